"""The decision that follows the bank's word on a top-up: credited, given up, or a case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from backend.db import Rows
from backend.kernel import business_date
from backend.wallet import recipes
from backend.wallet.accounts import ride_debt_id
from backend.wallet.bank import ChargeOutcome, ChargeState
from backend.wallet.cases import CaseKind, open_case, want_case
from backend.wallet.ledger import Ledger
from backend.wallet.topups.model import TopUpState
from backend.wallet.topups.records import find_topup, want_topup
from backend.wallet.topups.standing import note_outcome
from backend.wallet.topups.tables import automatic_topup, topup

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settle:
    """Decides once: a top-up that is settled stays as it is."""

    ledger: Ledger
    topup_id: str
    outcome: ChargeOutcome

    def needs(self, rows: Rows) -> bool:
        want_topup(rows, self.topup_id)
        if self.ledger.need_hold(rows, self.topup_id):
            return True
        row = find_topup(rows, self.topup_id)
        if row is not None:
            self.ledger.need(rows, (ride_debt_id(row["wallet_id"]),))
            rows.want(automatic_topup, row["wallet_id"])
            if (kind := self._case(row)) is not None:
                want_case(rows, business_date(rows.now), self.topup_id, kind)
        return False

    def decide(self, rows: Rows) -> None:
        row = find_topup(rows, self.topup_id)
        if row is None:
            log.warning("notice_for_unknown_topup")
            return
        if (kind := self._case(row)) is not None:
            self._open_case(rows, row, kind)
        elif row["state"] == TopUpState.PROCESSING.value:
            self._settle(rows, row)

    def _case(self, row: Mapping[str, Any]) -> CaseKind | None:
        """What is wrong with the bank's word, if anything."""
        outcome = self.outcome
        paid = outcome.state is ChargeState.PAID
        said = TopUpState.SUCCEEDED if paid else TopUpState.FAILED
        if row["state"] not in (TopUpState.PROCESSING.value, said.value):
            return CaseKind.TOLD_OTHERWISE
        if paid and outcome.amount_fen != row["amount_fen"]:
            return CaseKind.TOLD_AMOUNT_DIFFERS
        if paid and outcome.card_end != row["bank_card_end"]:
            return CaseKind.TOLD_CARD_DIFFERS
        return None

    def _open_case(self, rows: Rows, row: Mapping[str, Any], kind: CaseKind) -> None:
        """Nothing is credited: a person asks the bank, whose right word may still come."""
        log.error("bank_word_differs", topup_id=self.topup_id, kind=kind.value)
        open_case(
            rows,
            business_date(rows.now),
            self.topup_id,
            kind,
            bank_fen=self.outcome.amount_fen,
            ours_fen=row["amount_fen"],
        )

    def _settle(self, rows: Rows, row: Mapping[str, Any]) -> None:
        paid = self.outcome.state is ChargeState.PAID
        if paid:
            self.ledger.post_hold(rows, self.topup_id, self._transfer(rows, row))
        else:
            self.ledger.void_hold(rows, self.topup_id)
        rows.change(
            topup,
            (self.topup_id,),
            state=(TopUpState.SUCCEEDED if paid else TopUpState.FAILED).value,
            failure_code=None if paid else self.outcome.reason,
            bank_reference=self.outcome.reference,
            settled_at=rows.now,
            ask_again_at=None,
            booked_on=(self.outcome.booked_on or business_date(rows.now)) if paid else None,
        )
        note_outcome(rows, row, None if paid else self.outcome.reason or "bank_declined")

    def _transfer(self, rows: Rows, row: Mapping[str, Any]) -> Any:
        """Credited; and what the rider owes is taken at once."""
        debt = self.ledger.find_account(rows, ride_debt_id(row["wallet_id"]))
        return recipes.top_up(
            self.topup_id,
            row["wallet_id"],
            row["amount_fen"],
            f"····{row['bank_card_end']}",
            debt_fen=max(0, debt.balance_fen) if debt is not None else 0,
        )
