"""A sale from an e-purse, its torn taps, its balance; offline always, with the terminal's SAM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from card_protocol.epurse.files import SFI_CAPP, SFI_TRANSIT
from reader_bridge import offline
from reader_bridge.acceptance.desk import Desk, Tap
from reader_bridge.acceptance.sale import Origin, Sale, TornSale, purse_proof
from reader_bridge.exchange import Exchange
from reader_bridge.faults import CardFault, ReaderFault, Text
from reader_bridge.journal import Entry, EntryState
from reader_bridge.kernels import epurse
from reader_bridge.kernels.epurse import Intent, Lost, NotTaken, PurseSale, Terms, moment_at
from reader_bridge.kernels.selection import Selected
from reader_bridge.modes import Held, PurseTap, Reads
from reader_bridge.receipt import LogLine, Outcome, Receipt, Refusal, masked_purse
from reader_bridge.sam.port import Sam

LOST: Final = Text(
    "该卡上一笔交易无法判定,请联系运营方",
    "Nobody can tell any more whether this card paid the sale before: call the operator",
)
LOST_CODE: Final = "purse_outcome_lost"
# So long after it a torn ride that is proved is this tap's answer, later a ride of its own.
TORN_SECONDS: Final = 120
STAY_NUMBER, RAIL_NUMBER = 1, 2  # records of SFI 19 and 1A, in the order a card is born with


class _ReferenceTaken(Exception):
    """Another process used the reference while the card was read: DEBIT must not leave."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.draft.reference)
        self.entry = entry


@dataclass(frozen=True, slots=True)
class PurseFlow:
    """`sam` None: balances are read, nothing is sold and nothing torn is finished."""

    desk: Desk
    sam: Sam | None

    def sell(self, sale: Sale, tap: Tap, selected: Selected) -> Receipt:
        """Raises CardFault and SamFault (nothing taken), ReaderFault, Torn, TerminalFault."""
        if self.sam is None:
            raise CardFault("application_missing")
        facts = epurse.read(tap.exchange, selected)
        card_key = _key_of(facts)
        if sale.torn_card_key not in {None, card_key}:
            raise ReaderFault("debit_unknown")  # this order waits for the card that was torn
        finished = self._finish_torn(self.sam, tap, card_key)
        if finished is None:
            return self._buy(self.sam, sale, tap, facts)
        entry, told = finished
        if entry.state is EntryState.INTENDED:
            return self._lost(sale, entry)
        is_same = entry.draft.reference == sale.reference
        is_this_tap = is_same or (sale.has_fare and abs(sale.at - entry.stored_at) <= TORN_SECONDS)
        if entry.state is EntryState.ACCEPTED and is_this_tap:
            return replace(told, steps=tap.done())
        bought = self._buy(self.sam, sale, tap, facts)
        return bought if is_same else replace(bought, finished=(told,))

    def read_balance(self, reference: str, tap: Tap, selected: Selected) -> Receipt:
        """What is on the chip, with its log. Raises CardFault, ReaderFault, TerminalFault."""
        facts = epurse.read(tap.exchange, selected, with_history=True)
        finished = None
        if self.sam is not None:
            finished = self._finish_torn(self.sam, tap, _key_of(facts))
        lines = (
            LogLine(one.amount_fen, one.kind, one.terminal.hex(), one.moment.hex())
            for one in facts.log
        )
        return Receipt(
            heading=self.desk.heading,
            outcome=Outcome.TOLD,
            amount_fen=0,
            register_reference=reference,
            method="purse",
            application=selected.application.label,
            token_number_masked=masked_purse(facts.purse_number),
            balance_fen=facts.balance_fen,
            log=tuple(lines),
            finished=() if finished is None else (finished[1],),
            steps=tap.done(),
        )

    def _finish_torn(self, sam: Sam, tap: Tap, card_key: str) -> tuple[Entry, Receipt] | None:
        """The torn sale of this card as it is now; `intended` still: nobody can tell any more."""
        entry = self.desk.journal.find_open(card_key)
        if entry is None:
            return None
        torn = TornSale.decode(entry.body)
        outcome = epurse.recover(tap.exchange, sam, torn.intent)
        # What the card's log shows is as good here as where its proof is still to be had.
        is_not_taken = isinstance(outcome, Lost) and outcome.log_shows_debit is False
        if isinstance(outcome, PurseSale):
            entry = self._accept(entry, torn, outcome)
        elif isinstance(outcome, NotTaken) or is_not_taken:
            entry = self.desk.journal.drop(entry.draft.entry_id, self.desk.now())
        fare = torn.fare if entry.state is EntryState.ACCEPTED else None
        return entry, self.desk.receipt(entry, fare=fare)

    def _buy(self, sam: Sam, sale: Sale, tap: Tap, facts: epurse.PurseFacts) -> Receipt:
        """First whether the purse is taken at all, then what the mode asks, then the money."""
        refused = self._find_refusal(sale, facts)
        if refused is not None:
            return refused
        try:
            said = sale.decided(read_tap(tap.exchange, facts, sale.book.reads))
        except CardFault as fault:
            refusal = self.desk.refusal(fault, sale.amount_fen, sale.reference)
            return replace(_shown(refusal, facts), steps=tap.done())
        label = _label(sale, facts)
        if isinstance(said, Held):
            told = self.desk.passing(sale.reference, "purse", label, said)
            return replace(_shown(told, facts), steps=tap.done())
        if said.fare is not None and said.is_free:
            told = self.desk.passing(sale.reference, "purse", label, said.fare)
            return replace(_shown(told, facts), steps=tap.done())
        return self._find_refusal(said, facts) or self._debit(sam, said, tap, facts)

    def _find_refusal(self, sale: Sale, facts: epurse.PurseFacts) -> Receipt | None:
        """Before the fare is known, with amount 0; afterwards with what it costs."""
        verdict = offline.decide(
            offline.PurseFacts(sale.amount_fen, facts.public),
            sale.known.profile,
            sale.known.deny_list,
            self.desk.journal.usage(_key_of(facts), sale.at),
            sale.at,
        )
        if not isinstance(verdict, offline.Refuse):
            return None
        return self.desk.refusal(verdict.fault(), sale.amount_fen, sale.reference)

    def _debit(self, sam: Sam, sale: Sale, tap: Tap, facts: epurse.PurseFacts) -> Receipt:
        journal, profile = self.desk.journal, sale.known.profile
        assert profile is not None
        assert sale.ride is not None
        origin = Origin(sale.profile.version, sale.known.mode.value)
        draft = sale.draft("purse", _label(sale, facts))
        kept: list[tuple[Entry, TornSale]] = []

        def before_debit(intent: Intent) -> None:
            torn = TornSale(intent, origin, sale.fare)
            body = torn.encode()
            entry, is_new = journal.intend(draft, _key_of(facts), lambda _: body, sale.at)
            if not is_new:
                raise _ReferenceTaken(entry)
            kept.append((entry, torn))

        terms = Terms(moment_at(sale.at), profile.terms.purse_issuers)
        buy = epurse.purchase
        if sale.ride.records:
            buy = partial(epurse.compound, records=sale.ride.records)
        try:
            bought = buy(
                tap.exchange,
                sam,
                facts,
                terms,
                amount_fen=sale.amount_fen,
                before_debit=before_debit,
            )
        except _ReferenceTaken as taken:
            return self.desk.told_again(taken.entry, sale.amount_like(taken.entry))
        except CardFault:  # the card surely did not pay, or is false and what it says is void
            for entry, _ in kept:
                journal.drop(entry.draft.entry_id, self.desk.now())
            raise
        (made,) = kept
        return self.desk.receipt(self._accept(*made, bought), tap.done(), fare=sale.fare)

    def _accept(self, entry: Entry, torn: TornSale, bought: PurseSale) -> Entry:
        now = self.desk.now()
        counter, proof = entry.terminal_counter, purse_proof(bought)
        body = torn.origin.body(entry.draft, counter, now, proof, torn.fare)
        taken = self.desk.journal.accept(entry.draft.entry_id, body, now)
        self.desk.wake()
        return taken

    def _lost(self, sale: Sale, entry: Entry) -> Receipt:
        return Receipt(
            heading=self.desk.heading,
            outcome=Outcome.REFUSED,
            amount_fen=sale.amount_fen,
            register_reference=sale.reference,
            refusal=Refusal(LOST_CODE, LOST, False, {"reference": entry.draft.reference}),
        )


def read_tap(exchange: Exchange, facts: epurse.PurseFacts, reads: Reads) -> PurseTap:
    """The purse with what its mode asks for, and nothing more. Raises CardFault, ReaderFault."""
    if reads.journey:
        facts = epurse.with_newest(exchange, facts)
    rail = epurse.find_record(exchange, SFI_TRANSIT, RAIL_NUMBER) if reads.rail else None
    stay = epurse.find_record(exchange, SFI_CAPP, STAY_NUMBER) if reads.stay else None
    return PurseTap(facts, rail, stay)


def _shown(receipt: Receipt, facts: epurse.PurseFacts) -> Receipt:
    """Nothing was taken: the balance is what was read."""
    return replace(
        receipt,
        method="purse",
        balance_fen=facts.balance_fen,
        token_number_masked=masked_purse(facts.purse_number),
    )


def _key_of(facts: epurse.PurseFacts) -> str:
    return f"purse:{facts.purse_number}"


def _label(sale: Sale, facts: epurse.PurseFacts) -> str | None:
    labels = (one.label for one in sale.applications if one.aid == facts.aid)
    return next(labels, None)
