"""Uploads of offline sales: each stands or falls alone, and hears its first answer for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from backend.db import Decide, Operation, Rows, Units, Which
from backend.kernel import DomainError
from backend.merchants import Merchants, TerminalFacts
from backend.payments import records as payment_records
from backend.payments.model import Payment, PaymentExists, PaymentReversed
from backend.payments.offline import clones, foreign, records
from backend.payments.offline.judging import Judge
from backend.payments.offline.model import (
    Judged,
    OfflineSale,
    OfflineTerms,
    Result,
    SaleMalformed,
    SaleState,
    TerminalCloned,
    Unreadable,
    Upload,
    Uploaded,
    refused,
)
from backend.payments.offline.records import Taken
from backend.payments.offline.taking import Taking
from backend.payments.purses.sams import PurseSamForeign
from backend.payments.states import State
from backend.wallet import Ledger

PAID = frozenset({State.CAPTURED, State.PARTIALLY_REFUNDED, State.REFUNDED})


@dataclass(frozen=True, slots=True)
class OfflineSales:
    """One command: the whole upload is one transaction with a fixed number of statements."""

    units: Units
    ledger: Ledger
    merchants: Merchants
    judge: Judge
    terms: OfflineTerms = field(default_factory=OfflineTerms)
    taking: Taking = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "taking", Taking(self.ledger, self.terms))

    def upload(self, upload: Upload, operation: Operation) -> Uploaded:
        """A result for each item, in order. Raises TerminalUnknown, TerminalNotActive."""
        facts = self.merchants.vouch_for_terminal(upload.terminal_id)
        sales = [one for one in upload.sales if isinstance(one, OfflineSale)]
        now = self.units.clock.now()
        told = self.judge.judge(sales, now, is_dry_run=operation.is_dry_run)
        judged = {id(sale): word for sale, word in zip(sales, told, strict=True)}

        def needs(rows: Rows) -> bool:
            clones.want_journal(rows, upload)
            for one in upload.sales:
                if isinstance(one, Unreadable):
                    records.want_unreadable(rows, upload.terminal_id, one)
                else:
                    self._need(rows, upload, one, judged[id(one)])
            return False

        def decide(rows: Rows) -> Uploaded:
            clones.note_incarnation(rows, upload)
            answers = [self._answer(rows, upload, one, judged, facts) for one in upload.sales]
            return Uploaded.of(answers, upload.language)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def _need(self, rows: Rows, upload: Upload, sale: OfflineSale, judged: Judged) -> None:
        payment_records.want_payment(rows, sale.payment_id)
        payment_records.want_terminal_sale(rows, upload.terminal_id, sale.terminal_counter)
        records.want(rows, upload, sale)
        if not isinstance(judged, DomainError):
            self.taking.need(rows, judged, upload.terminal_id)
            foreign.want(rows, sale.payment_id)

    def _answer(
        self,
        rows: Rows,
        upload: Upload,
        item: OfflineSale | Unreadable,
        judged: Mapping[int, Judged],
        facts: TerminalFacts,
    ) -> Result:
        if isinstance(item, Unreadable):
            records.keep_unreadable(rows, upload.terminal_id, item)
            return refused(item.payment_id, SaleMalformed(fields=item.wrong_fields))
        try:
            known = _find_known(rows, upload, item)
        except TerminalCloned as cloned:
            first = payment_records.find_terminal_sale(
                rows, upload.terminal_id, item.terminal_counter
            )
            clones.note_clone(rows, upload, item, first or item.payment_id)
            return refused(item.payment_id, cloned)
        except PaymentExists as exists:
            return refused(item.payment_id, exists)
        if known is not None:
            return known
        taken = self._take(rows, item, judged[id(item)], facts)
        payment_records.add_terminal_sale(
            rows, upload.terminal_id, item.terminal_counter, item.payment_id
        )
        records.keep(rows, upload, item, taken)
        records.keep_payment(rows, item.payment_id, taken, facts)
        return taken.result

    def _take(self, rows: Rows, sale: OfflineSale, judged: Judged, facts: TerminalFacts) -> Taken:
        mark = rows.mark()
        try:
            if payment_records.find_reversal(rows, sale.payment_id) is not None:
                raise PaymentReversed
            if isinstance(judged, DomainError):
                raise judged
            return self.taking.take(rows, sale, judged, facts)
        except DomainError as refusal:
            rows.undo(mark)
            if isinstance(refusal, PurseSamForeign):
                foreign.note(rows, sale, facts.terminal_id)
            return Taken(refused(sale.payment_id, refusal))


def _find_known(rows: Rows, upload: Upload, sale: OfflineSale) -> Result | None:
    """What was answered before, if this very sale was.

    Raises TerminalCloned (the counter has another sale), PaymentExists (the id has).
    """
    terminal_id, counter = upload.terminal_id, sale.terminal_counter
    first = payment_records.find_terminal_sale(rows, terminal_id, counter)
    kept = records.find_kept(rows, terminal_id, counter)
    if kept is not None and kept["digest"] == sale.digest:
        return records.result_of(kept)
    if kept is not None or first not in (None, sale.payment_id):
        raise TerminalCloned
    payment = payment_records.find_payment(rows, sale.payment_id)
    if first is None and (payment is not None or records.has_moved(rows, sale.payment_id)):
        raise PaymentExists
    return None if payment is None else _as_online(payment, upload, sale)


def _as_online(payment: Payment, upload: Upload, sale: OfflineSale) -> Result:
    """The terminal lost an online answer, and took the sale offline under the same id.

    Raises PaymentExists when it is another sale after all, or was never captured.
    """
    same = (payment.terminal_id, payment.amount_fen) == (upload.terminal_id, sale.amount_fen)
    if same and payment.state in PAID:
        return Result(sale.payment_id, SaleState.CAPTURED, balance_fen=payment.balance_fen)
    if same and payment.state is State.REVERSED:
        return refused(sale.payment_id, PaymentReversed())
    raise PaymentExists
