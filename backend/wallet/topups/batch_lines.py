"""The decision about one line of an approved batch: posted, or refused with its code. Once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.db import Rows
from backend.kernel import DomainError
from backend.wallet import recipes
from backend.wallet.accounts import Channel, channel_id, ride_debt_id
from backend.wallet.ledger import Ledger
from backend.wallet.ledger.model import Transfer
from backend.wallet.topups.batch_model import BatchState
from backend.wallet.topups.tables import topup_batch, topup_line

EMPLOYER = channel_id(Channel.EMPLOYER_BATCH)
MEMO_MAX = 120


@dataclass(frozen=True, slots=True)
class PostLine:
    """The operation's id is `<batch>/<line>`: a line is posted once, whoever tries again."""

    ledger: Ledger
    batch_id: str
    number: int

    def needs(self, rows: Rows) -> bool:
        is_first = not rows.is_known(topup_line, self.batch_id, self.number)
        rows.want(topup_batch, self.batch_id)
        rows.want(topup_line, self.batch_id, self.number)
        if is_first:
            return True
        row = rows.find(topup_line, self.batch_id, self.number)
        if row is not None:
            self.ledger.need(rows, (EMPLOYER, row["wallet_id"], ride_debt_id(row["wallet_id"])))
        return False

    def decide(self, rows: Rows) -> str:
        batch = rows.find(topup_batch, self.batch_id)
        row = rows.find(topup_line, self.batch_id, self.number)
        if batch is None or row is None or batch["state"] != BatchState.APPROVED.value:
            return "not_approved"
        if row["state"] != "waiting":
            return str(row["state"])
        mark = rows.mark()
        try:
            self.ledger.post(rows, self._transfer(rows, batch, row))
        except DomainError as refusal:
            rows.undo(mark)
            self._say(rows, "refused", refusal.code)
            return "refused"
        self._say(rows, "posted", None)
        return "posted"

    def _say(self, rows: Rows, state: str, code: str | None) -> None:
        key = (self.batch_id, self.number)
        rows.change(topup_line, key, state=state, code=code, settled_at=rows.now)

    def _transfer(self, rows: Rows, batch: Mapping[str, Any], row: Mapping[str, Any]) -> Transfer:
        wallet_id = row["wallet_id"]
        debt = self.ledger.find_account(rows, ride_debt_id(wallet_id))
        return recipes.top_up(
            recipes.step(self.batch_id, str(self.number)),
            wallet_id,
            row["amount_fen"],
            f"{batch['employer']} {row['reference']}"[:MEMO_MAX],
            channel=Channel.EMPLOYER_BATCH,
            debt_fen=0 if debt is None else max(0, debt.balance_fen),
        )
