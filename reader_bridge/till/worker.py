"""The one thread that takes cards and codes to the acceptor; knows no HTTP and no card command."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from reader_bridge.backend_client import Refused, Unreachable
from reader_bridge.faults import Fault, ReaderFault
from reader_bridge.loads.faults import LoadPause
from reader_bridge.readers.event_values import (
    CardArrived,
    CardUnread,
    CodeRead,
    CodeUnread,
    Event,
    ReaderGone,
    ReaderJoined,
    SeveralCards,
)
from reader_bridge.readers.port import CardChannel
from reader_bridge.receipt import REFUSALS, Outcome, Receipt
from reader_bridge.till.channel import Gate, WatchedChannel
from reader_bridge.till.desk import Desk, Timings
from reader_bridge.till.faults import MESSAGES
from reader_bridge.till.model import (
    TORN,
    CardShown,
    ResultState,
    Signal,
    Stage,
    StageEvent,
    result_of,
)
from reader_bridge.till.orders import Active, plain, text_of
from reader_bridge.till.ports import Acceptor, Events

_log = logging.getLogger(__name__)

# Reader faults after which the same card has to come back: money may have moved.
TORN_CODES: Final = frozenset({"debit_unknown", "credit_unknown"})
STEPS: Final = frozenset({"load_show_purse", "load_pin_wanted"})  # nothing went wrong
OPEN_STAGES: Final = frozenset({Stage.WAITING, Stage.AGAIN})


class Worker:
    """Takes one event after the other; everything it changes, it changes on the desk."""

    def __init__(
        self,
        desk: Desk,
        acceptor: Acceptor,
        events: Events,
        timings: Timings,
        stand: Callable[[], Active | None],
    ) -> None:
        self._desk, self._acceptor, self._events = desk, acceptor, events
        self._timings, self._stand = timings, stand
        self._stopping = threading.Event()
        # a daemon: a driver that hangs must not keep the till from being switched off
        self._thread = threading.Thread(target=self._run, name="till", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Raises RuntimeError when the acceptor does not come back."""
        self._stopping.set()
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            raise RuntimeError("the till's thread did not end")

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._turn()
            except Exception:  # a bug: told in the log, and the next customer is served
                _log.exception("the till could not take an event")

    def _turn(self) -> None:
        with self._desk.changed:
            self._desk.expire()
            self._follow_post()
            if self._desk.screen.stage is Stage.IDLE:
                self._begin_standing()
        event = self._events.next_event(self._timings.look_seconds)
        if event is not None:
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case CardArrived(reader_name, channel):
                self._card(reader_name, channel)
            case CodeRead(source, payload):
                self._code(source, payload)
            case SeveralCards():
                self._tell(ReaderFault("several_cards"))
            case CardUnread(_, fault) | CodeUnread(_, fault):
                self._tell(fault)
            case ReaderJoined(reader_name):
                self._know(reader_name, None)
            case ReaderGone(reader_name, fault):
                self._know(reader_name, fault)

    def _card(self, reader_name: str, channel: CardChannel) -> None:
        gate = Gate()
        watched = WatchedChannel(channel, gate, lambda: self._released(gate))
        try:
            active = self._begin(CardShown(reader_name), gate) if _is_there(channel) else None
            if active is not None:
                self._serve(
                    active,
                    lambda: self._acceptor.tap(active.take_order(), watched, reader_name),
                    lambda: self._note(reader_name, watched.aid),
                )
        finally:
            watched.close()

    def _code(self, source: str, payload: bytes) -> None:
        gate = Gate()
        gate.commit()  # it can be asked about at once: there is no way back
        active = self._begin(CardShown(source), gate)
        if active is None:
            return
        self._released(gate)
        self._serve(active, lambda: self._acceptor.code(active.order, payload), lambda: None)

    def _begin(self, shown: CardShown, gate: Gate) -> Active | None:
        """The order that this card or code is for, now being read; None when there is none."""
        desk = self._desk
        if desk.active is None and (left := desk.may_stand_at - desk.now()) > 0:
            self._stopping.wait(min(left, self._timings.standing_pause_seconds))
        with desk.changed:
            desk.expire()
            if desk.screen.stage in {Stage.DONE, Stage.IDLE}:
                self._begin_standing()  # the next passenger need not wait for the light
            active = desk.active
            if active is None or desk.screen.stage not in OPEN_STAGES or desk.is_closed:
                return None
            active.gate, active.is_served = gate, True
            message = MESSAGES["hold_still"]
            desk.move(StageEvent.PRESENT, "hold_still", message, card=shown, signal=Signal.NONE)
            return active

    def _begin_standing(self) -> None:
        active = self._stand()
        if active is not None:
            self._desk.start(active)

    def _follow_post(self) -> None:
        """Another fare or mode came with the profile: the standing order is made anew."""
        active = self._desk.active
        if active is not None and active.is_standing and active.post != self._acceptor.post():
            self._desk.withdraw()

    def _serve(
        self, active: Active, accept: Callable[[], Receipt], note: Callable[[], None]
    ) -> None:
        """One call of the acceptor, and what its end means."""
        try:
            receipt = accept()
        except ReaderFault as fault:
            self._lost(active, fault)
        except Fault as fault:  # SAM, journal, profile; or a card that was refused without receipt
            self._failed(active, fault.code, fault)
        except Unreachable as fault:
            state = ResultState.UNKNOWN if fault.sent else ResultState.FAILED
            code = "outcome_unknown" if fault.sent else "backend_unreachable"
            self._stopped(active, state, code, fault)
        except Refused as fault:
            self._stopped(active, ResultState.FAILED, fault.code, fault)
        except Exception:
            _log.exception("the acceptor failed")
            note()
            self._stopped(active, ResultState.UNKNOWN, "terminal_failed", None)
        else:
            note()
            self._finish(active, receipt)
        finally:
            with self._desk.changed:
                active.is_served = False

    def _finish(self, active: Active, receipt: Receipt) -> None:
        desk = self._desk
        if self._is_torn_still(active, receipt):
            refusal = receipt.refusal
            code = refusal.code if refusal else "show_same_card"
            with desk.changed:
                if desk.active is active:
                    active.is_torn = True
                    message = refusal.text if refusal else MESSAGES[code]
                    desk.move(StageEvent.TEAR, code, message, signal=Signal.AGAIN)
            return
        with desk.changed:
            result = result_of(active.order, receipt, MESSAGES, active.full_fare_fen)
            if desk.active is active:
                desk.finish(result)
            elif result.state in {ResultState.PAID, ResultState.UNKNOWN}:
                _log.error("a receipt came for an order that had ended")
                desk.correct(result)

    def _is_torn_still(self, active: Active, receipt: Receipt) -> bool:
        """Also after another card was refused: the first one may be debited; the journal knows."""
        if receipt.outcome.value == TORN:
            return True
        if not active.is_torn or receipt.outcome is not Outcome.REFUSED:
            return False
        try:
            kept = self._acceptor.ask_again(active.order.reference)
        except Fault as fault:
            return fault.code != "sale_unknown"
        except (Refused, Unreachable):
            return True
        return kept.outcome.value in {TORN, "unknown"}

    def _lost(self, active: Active, fault: ReaderFault) -> None:
        desk = self._desk
        with desk.changed:
            if desk.active is not active:
                return  # cancelled while the card was read
            active.is_torn = active.is_torn or fault.code in TORN_CODES
            wait = self._again_seconds(active) if active.is_torn else None
            if wait is not None and (active.deadline is None or fault.code in TORN_CODES):
                active.deadline = desk.now() + wait
            is_step = isinstance(fault, LoadPause)
            if is_step and not active.is_torn:  # all goes well: time for the next thing to show
                active.deadline = desk.now() + self._timings.show_card_seconds
            event = StageEvent.TEAR if active.is_torn else StageEvent.LOSE
            signal = Signal.NONE if is_step and fault.code in STEPS else Signal.AGAIN
            desk.move(event, fault.code, text_of(fault), signal=signal)

    def _again_seconds(self, active: Active) -> float:
        if active.is_standing:
            return self._timings.standing_again_seconds
        return self._timings.again_seconds

    def _failed(self, active: Active, code: str, fault: Fault) -> None:
        desk = self._desk
        with desk.changed:
            if desk.active is not active:
                return
            if active.is_torn or code == "sale_unfinished":  # another card, or not yet finished
                active.is_torn = True
                desk.move(StageEvent.TEAR, code, text_of(fault), signal=Signal.AGAIN)
                return
            message = text_of(fault)
            desk.end(active, ResultState.FAILED, code, StageEvent.FINISH, message)

    def _stopped(
        self, active: Active, state: ResultState, code: str, fault: Refused | Unreachable | None
    ) -> None:
        desk, message = self._desk, REFUSALS.get(code) or MESSAGES.get(code)
        if message is None:
            message = plain(str(fault), str(fault))
        with desk.changed:
            if desk.active is active:
                chosen = ResultState.UNKNOWN if active.is_torn else state
                desk.end(active, chosen, code, StageEvent.FINISH, message)

    def _released(self, gate: Gate) -> None:
        desk = self._desk
        with desk.changed:
            is_ours = desk.active is not None and desk.active.gate is gate
            if is_ours and desk.screen.stage is Stage.READING:
                desk.move(StageEvent.ASK, "asking", MESSAGES["asking"])

    def _note(self, reader_name: str, aid: bytes | None) -> None:
        with self._desk.changed:
            self._desk.note_card(CardShown(reader_name, aid))

    def _tell(self, fault: Fault) -> None:
        with self._desk.changed:
            if self._desk.screen.stage in OPEN_STAGES:
                self._desk.tell(fault.code, text_of(fault))

    def _know(self, reader_name: str, fault: ReaderFault | None) -> None:
        with self._desk.changed:
            self._desk.know_reader(reader_name, works=fault is None)
        if fault is not None:
            self._tell(fault)


def _is_there(channel: CardChannel) -> bool:
    """False for a card that left while another one was served."""
    try:
        return channel.is_present()
    except ReaderFault:
        return False
