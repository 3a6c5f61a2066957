"""The till's state under one lock: order, screen, results; knows no thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from reader_bridge.acceptance.order import OrderKind
from reader_bridge.faults import Text
from reader_bridge.loads.values import Funding
from reader_bridge.till.faults import MESSAGES
from reader_bridge.till.model import (
    BALANCE_UNKNOWN,
    CardShown,
    Result,
    ResultState,
    Screen,
    Signal,
    Stage,
    StageEvent,
    advance,
)
from reader_bridge.till.orders import Active, Results

READERS_MAX: Final = 32


@dataclass(frozen=True, slots=True)
class Timings:
    """How long what is waited for. `look_seconds`: how often time itself is looked at."""

    show_card_seconds: float = 60.0
    again_seconds: float = 120.0
    done_seconds: float = 10.0
    look_seconds: float = 0.25
    standing_pause_seconds: float = 0.3  # between two orders that nobody pressed a key for
    standing_again_seconds: float = 15.0  # others wait behind the card that left
    standing_done_seconds: float = 3.0


class Desk:
    """Every method is called with `changed` held; it is notified when the screen changes."""

    def __init__(self, elapsed: Callable[[], float], timings: Timings) -> None:
        self.changed = threading.Condition()
        self.active: Active | None = None
        self.results = Results()
        self.readers: dict[str, bool] = {}
        self.screen = Screen(message=MESSAGES["ready"])
        self.is_closed = False
        self._elapsed, self._timings = elapsed, timings
        self._done_until = 0.0
        self.may_stand_at = 0.0  # of the clock's `elapsed`

    def start(self, active: Active) -> Result:
        """Shows the order and waits for a card; the caller made sure that nobody is served."""
        self.active = active
        stage = advance(
            self.screen.stage, StageEvent.RESUME if active.is_torn else StageEvent.START
        )
        order, full = active.order, active.full_fare_fen
        amount_fen = order.amount_fen
        if amount_fen is None and active.post is not None:
            amount_fen = active.post.fare_fen
        code = _code_of(active)
        self._put(
            Screen(
                stage=stage,
                order=order,
                amount_fen=amount_fen,
                full_fare_fen=full,
                concession_fen=_concession(full, amount_fen),
                code=code,
                message=MESSAGES[code],
                signal=Signal.AGAIN if active.is_torn else Signal.NONE,
            )
        )
        return active.open_result(code, MESSAGES[code])

    def move(self, event: StageEvent, code: str, message: Text, **changes: Any) -> None:
        """One step of the order being served."""
        stage = advance(self.screen.stage, event)
        self._put(replace(self.screen, stage=stage, code=code, message=message, **changes))

    def tell(self, code: str, message: Text) -> None:
        """Another sentence in the same stage: hold still, only one card."""
        self._put(replace(self.screen, code=code, message=message, signal=Signal.AGAIN))

    def end(
        self,
        active: Active,
        state: ResultState,
        code: str,
        event: StageEvent = StageEvent.CANCEL,
        message: Text | None = None,
    ) -> Result:
        """Without a receipt: cancelled, timed out, failed."""
        result = Result(
            active.order, state, code, message or MESSAGES[code], None, active.full_fare_fen
        )
        return self.finish(result, event)

    def finish(self, result: Result, event: StageEvent = StageEvent.FINISH) -> Result:
        """The order is over: kept, shown, and room for the next."""
        self.results.keep(result)
        active, self.active = self.active, None
        now, timings = self._elapsed(), self._timings
        is_standing = active is not None and active.is_standing
        shown_seconds = timings.standing_done_seconds if is_standing else timings.done_seconds
        self._done_until, self.may_stand_at = now + shown_seconds, now
        self.may_stand_at += timings.standing_pause_seconds
        receipt = result.receipt
        known = receipt.balance_fen if receipt is not None else None
        changes: dict[str, Any] = {"signal": result.signal, "receipt": receipt}
        changes["balance"] = BALANCE_UNKNOWN if known is None else known
        if receipt is not None and result.state is ResultState.PAID:  # a flat fare is told now
            changes["amount_fen"] = receipt.amount_fen
            changes["concession_fen"] = _concession(result.full_fare_fen, receipt.amount_fen)
        card = self.screen.card
        if card is not None and receipt is not None:
            changes["card"] = replace(card, application=receipt.application, steps=receipt.steps)
        self.move(event, result.code, result.message, **changes)
        return result

    def correct(self, result: Result) -> None:
        """A receipt of an order that had ended: what it says about money is the truth."""
        self.results.keep(result)
        order = self.screen.order
        if self.screen.stage is Stage.DONE and order == result.order:
            shown = replace(self.screen, code=result.code, message=result.message)
            self._put(replace(shown, signal=result.signal, receipt=result.receipt))

    def expire(self) -> None:
        """What time alone changes: nobody came, or the result was shown long enough."""
        now, active = self._elapsed(), self.active
        if active is None:
            if self.screen.stage is Stage.DONE and now >= self._done_until:
                self.clear()
            return
        is_late = active.deadline is not None and now >= active.deadline
        if is_late and self.screen.stage is Stage.AGAIN:
            self.end(active, ResultState.UNKNOWN, left_code(active), StageEvent.EXPIRE)
        elif is_late and self.screen.stage is Stage.WAITING:
            self.end(active, ResultState.TIMED_OUT, "timed_out", StageEvent.EXPIRE)

    def withdraw(self) -> bool:
        """A standing order that no card has come for gives way; False when there is none."""
        active = self.active
        is_free = active is not None and active.is_standing and not active.is_served
        if not is_free or self.screen.stage is not Stage.WAITING:
            return False
        self.active = None
        self.clear()
        return True

    def clear(self) -> None:
        """Back to the empty screen."""
        stage = advance(self.screen.stage, StageEvent.CLEAR)
        self._put(Screen(stage=stage, message=MESSAGES["ready"]))

    def now(self) -> float:
        return self._elapsed()

    def note_card(self, card: CardShown) -> None:
        """Which application answered; shown with the result that follows at once."""
        self.screen = replace(self.screen, card=card)

    def know_reader(self, name: str, *, works: bool) -> None:
        if name in self.readers or len(self.readers) < READERS_MAX:
            self.readers[name] = works
        self._put(self.screen)  # a display shows the readers too

    def _put(self, screen: Screen) -> None:
        self.screen = replace(screen, version=self.screen.version + 1)
        self.changed.notify_all()


def left_code(active: Active) -> str:
    """What is said when the card of a torn order does not come back."""
    return "load_left" if active.order.kind is OrderKind.LOAD else "torn_left"


def _code_of(active: Active) -> str:
    """The sentence an order begins with."""
    if active.is_torn:
        return "show_same_card"
    if active.order.kind is OrderKind.LOAD:
        return "show_payer" if active.order.funding is Funding.WALLET else "show_purse"
    return "show_tap" if active.is_standing else "show_card"


def _concession(full_fare_fen: int | None, amount_fen: int | None) -> int | None:
    if full_fare_fen is None or amount_fen is None:
        return None
    return max(0, full_fare_fen - amount_fen)
