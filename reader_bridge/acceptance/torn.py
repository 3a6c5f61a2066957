"""Torn purse sales for a person: what the operator asks about one, and its end once he decided.

A purse finishes its own torn sale at the next tap; this is for the few that no card decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from reader_bridge.acceptance.sale import TornSale
from reader_bridge.faults import TerminalFault
from reader_bridge.journal import Journal


@dataclass(frozen=True, slots=True)
class TornReport:
    """The facts of POST /v1/ops/purse-losses, but for its id. Counter and balance: before DEBIT."""

    terminal_id: str
    purse_number: str  # 20 hex digits
    reference: str
    purchase_counter: int
    balance_before_fen: int
    amount_fen: int


def torn_reports(journal: Journal, terminal_id: str) -> tuple[TornReport, ...]:
    """Oldest first, at most the journal's PENDING_MAX."""
    return tuple(
        TornReport(
            terminal_id=terminal_id,
            purse_number=intent.purse_number,
            reference=entry.draft.reference,
            purchase_counter=intent.request.offline_atc,
            balance_before_fen=intent.balance_before_fen,
            amount_fen=entry.draft.amount_fen,
        )
        for entry in journal.torn()
        for intent in (TornSale.decode(entry.body).intent,)
    )


def end_torn(journal: Journal, reference: str, now: int) -> None:
    """The operator's word stands, whatever the chip did: this terminal asks it no more.

    Raises TerminalFault(sale_unknown) for a reference that is not torn.
    """
    for entry in journal.torn():
        if entry.draft.reference == reference:
            journal.drop(entry.draft.entry_id, now)
            return
    raise TerminalFault("sale_unknown", reference=reference)
