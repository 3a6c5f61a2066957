"""What every card and code needs while it pays: journal, clock, receipts, the way online."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from reader_bridge.acceptance.line import Line
from reader_bridge.backend_client import Unreachable
from reader_bridge.clock import Clock
from reader_bridge.delivery import Delivery, Steps, never_sent
from reader_bridge.exchange import Exchange
from reader_bridge.faults import Fault, TerminalFault
from reader_bridge.journal import Draft, Entry, EntryState, Journal
from reader_bridge.modes import Held
from reader_bridge.readers.port import CardChannel
from reader_bridge.receipt import (
    Heading,
    Outcome,
    Receipt,
    receipt_of_entry,
    receipt_of_fault,
    words_of_fault,
)
from reader_bridge.receipt_fare import Fare


@dataclass(frozen=True, slots=True)
class Tap:
    """One presentation of a card, timed."""

    channel: CardChannel
    clock: Clock
    exchange: Exchange = field(init=False)
    started: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "started", self.clock.elapsed())
        object.__setattr__(self, "exchange", Exchange(self.channel, self.clock.elapsed))

    def done(self) -> Steps:
        """The card may go; what it took, in milliseconds by step and in all ("card")."""
        self.channel.close()
        whole = round((self.clock.elapsed() - self.started) * 1000, 3)
        steps = ((timing.name, timing.milliseconds) for timing in self.exchange.timings)
        return (*steps, ("card", whole))


@dataclass(frozen=True, slots=True)
class Desk:
    """Shared by all flows of one terminal."""

    journal: Journal
    delivery: Delivery
    clock: Clock
    heading: Heading
    line: Line
    wake: Callable[[], None]  # there is something to upload

    def now(self) -> int:
        return int(self.clock.unix_now())

    def timed(self, write: Callable[[], tuple[Entry, bool]]) -> tuple[Entry, bool, Steps]:
        """A write to the journal, and its milliseconds as the step "store"."""
        started = self.clock.elapsed()
        entry, is_new = write()
        took = round((self.clock.elapsed() - started) * 1000, 3)
        return entry, is_new, (("store", took),)

    def send(self, entry: Entry, steps: Steps) -> Entry | Unreachable:
        """The first sending of a stored entry, or why it surely never left."""
        try:
            sent = self.delivery.send_fresh(entry, steps)
        except Unreachable as failure:
            self.line.failed()
            return failure
        if sent.state is not EntryState.STORED:
            self.line.answered()
        return sent

    def give_up(self, entry: Entry, steps: Steps, why: Unreachable | Fault) -> Entry:
        """Never sent and not taken: refused, nothing charged."""
        if isinstance(why, Unreachable):
            answer = never_sent(why)
        else:
            words = words_of_fault(why)
            answer = {"code": why.code, "detail": words["en"], "retryable": True, "data": {}}
            answer = {**answer, "words": words}
        entry_id = entry.draft.entry_id
        return self.journal.settle(entry_id, EntryState.REFUSED, answer, self.now(), steps)

    def sell_online(self, draft: Draft, body_of: Callable[[int], bytes], steps: Steps) -> Receipt:
        """On the disk first, then on the wire: exactly these bytes, now and whenever again."""
        entry, is_new, stored = self.timed(lambda: self.journal.store(draft, body_of, self.now()))
        if not is_new:
            return self.told_again(entry, draft.amount_fen)
        steps = (*steps, *stored)
        sent = self.send(entry, steps)
        if isinstance(sent, Unreachable):
            sent = self.give_up(entry, steps, sent)
        return self.receipt(sent)

    def told_again(self, entry: Entry, amount_fen: int) -> Receipt:
        """A reference that is known. Raises TerminalFault(reference_used_differently)."""
        if entry.draft.amount_fen != amount_fen:
            raise TerminalFault(
                "reference_used_differently", reference=entry.draft.reference, field="amount"
            )
        if entry.state is EntryState.STORED:
            entry = self.delivery.ask(entry)
        return self.receipt(entry, is_repeated=True)

    def receipt(
        self,
        entry: Entry,
        steps: Steps = (),
        *,
        fare: Fare | None = None,
        is_repeated: bool = False,
    ) -> Receipt:
        """`fare`: of what just happened, with words that only a green light may say."""
        told = receipt_of_entry(self.heading, entry, is_repeated=is_repeated)
        if fare is not None:
            told = replace(told, fare=fare if told.is_green else replace(fare, told=None))
        return replace(told, steps=steps) if steps else told

    def passing(
        self, reference: str, method: str, application: str | None, said: Held | Fare
    ) -> Receipt:
        """Nothing to take: the same card again, or a stay that costs nothing. Nothing is stored."""
        is_green = isinstance(said, Fare) or said.may_pass
        fare = said if isinstance(said, Fare) else None
        return Receipt(
            heading=self.heading,
            outcome=Outcome.PASSED if is_green else Outcome.HELD,
            amount_fen=0,
            register_reference=reference,
            method=method,
            application=application,
            fare=fare,
            words=said.told if isinstance(said, Held) else None,
        )

    def refusal(self, fault: Fault, amount_fen: int, reference: str) -> Receipt:
        return receipt_of_fault(self.heading, fault, amount_fen, reference)
