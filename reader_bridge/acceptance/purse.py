"""A sale from an e-purse, its torn taps, its balance; offline always, with the terminal's SAM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from reader_bridge import offline
from reader_bridge.acceptance.desk import Desk, Tap
from reader_bridge.acceptance.sale import Origin, Sale, TornSale, purse_proof
from reader_bridge.faults import CardFault, ReaderFault, Text
from reader_bridge.journal import Entry, EntryState
from reader_bridge.kernels import epurse
from reader_bridge.kernels.epurse import Intent, Lost, NotTaken, PurseSale, Terms, moment_at
from reader_bridge.kernels.selection import Selected
from reader_bridge.receipt import LogLine, Outcome, Receipt, Refusal, masked_purse
from reader_bridge.sam.port import Sam

LOST: Final = Text(
    "该卡上一笔交易无法判定,请联系运营方",
    "Nobody can tell any more whether this card paid the sale before: call the operator",
)
LOST_CODE: Final = "purse_outcome_lost"


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
        if finished is not None:
            told = self.desk.receipt(finished)
            if finished.state is EntryState.INTENDED:
                return self._lost(sale, finished)
            if finished.draft.reference != sale.reference:
                return replace(self._buy(self.sam, sale, tap, facts), finished=(told,))
            if finished.state is EntryState.ACCEPTED:
                return replace(told, steps=tap.done())
        return self._buy(self.sam, sale, tap, facts)

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
            finished=() if finished is None else (self.desk.receipt(finished),),
            steps=tap.done(),
        )

    def _finish_torn(self, sam: Sam, tap: Tap, card_key: str) -> Entry | None:
        """The torn sale of this card as it is now; `intended` still: nobody can tell any more."""
        entry = self.desk.journal.find_open(card_key)
        if entry is None:
            return None
        torn = TornSale.decode(entry.body)
        outcome = epurse.recover(tap.exchange, sam, torn.intent)
        if isinstance(outcome, PurseSale):
            return self._accept(entry, torn.origin, outcome)
        # What the card's log shows is as good here as where its proof is still to be had.
        is_not_taken = isinstance(outcome, Lost) and outcome.log_shows_debit is False
        if isinstance(outcome, NotTaken) or is_not_taken:
            return self.desk.journal.drop(entry.draft.entry_id, self.desk.now())
        return entry

    def _buy(self, sam: Sam, sale: Sale, tap: Tap, facts: epurse.PurseFacts) -> Receipt:
        known, journal, card_key = sale.known, self.desk.journal, _key_of(facts)
        verdict = offline.decide(
            offline.PurseFacts(sale.amount_fen, facts.public),
            known.profile,
            known.deny_list,
            journal.usage(card_key, sale.at),
            sale.at,
        )
        if isinstance(verdict, offline.Refuse) or known.profile is None:
            fault = offline.Refuse("profile_missing") if known.profile is None else verdict
            assert isinstance(fault, offline.Refuse)
            return self.desk.refusal(fault.fault(), sale.amount_fen, sale.reference)
        origin = Origin(sale.profile.version, known.mode.value)
        draft = sale.draft("purse", _label(sale, facts))
        kept: list[Entry] = []

        def before_debit(intent: Intent) -> None:
            body = TornSale(intent, origin).encode()
            entry, is_new = journal.intend(draft, card_key, lambda _: body, sale.at)
            if not is_new:
                raise _ReferenceTaken(entry)
            kept.append(entry)

        terms = Terms(moment_at(sale.at), known.profile.terms.purse_issuers)
        try:
            bought = epurse.purchase(
                tap.exchange,
                sam,
                facts,
                terms,
                amount_fen=sale.amount_fen,
                before_debit=before_debit,
            )
        except _ReferenceTaken as taken:
            return self.desk.told_again(taken.entry, sale.amount_fen)
        except CardFault:  # the card surely did not pay, or is false and what it says is void
            for entry in kept:
                journal.drop(entry.draft.entry_id, self.desk.now())
            raise
        return self.desk.receipt(self._accept(kept[0], origin, bought), tap.done())

    def _accept(self, entry: Entry, origin: Origin, bought: PurseSale) -> Entry:
        now = self.desk.now()
        body = origin.body(entry.draft, entry.terminal_counter, now, purse_proof(bought))
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


def _key_of(facts: epurse.PurseFacts) -> str:
    return f"purse:{facts.purse_number}"


def _label(sale: Sale, facts: epurse.PurseFacts) -> str | None:
    labels = (one.label for one in sale.applications if one.aid == facts.aid)
    return next(labels, None)
