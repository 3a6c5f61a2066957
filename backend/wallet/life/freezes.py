"""Freezing and unfreezing by staff, with reason, and the history of a wallet's states."""

from __future__ import annotations

from dataclasses import dataclass

from backend.db import Decide, Operation, Rows, Units, Which
from backend.kernel import is_id
from backend.wallet.ledger import Ledger
from backend.wallet.life import standing
from backend.wallet.life.model import ChangeWallet, WalletChange
from backend.wallet.model import WalletUnknown
from backend.wallet.tables import wallet


@dataclass(frozen=True, slots=True)
class Freezes:
    """A frozen wallet gives nothing away and still receives; what was promised is kept."""

    units: Units
    ledger: Ledger

    def change(self, command: ChangeWallet, operation: Operation) -> WalletChange:
        """Freeze or unfreeze. Raises WalletUnknown, WalletTransitionRefused."""
        wallet_id = _checked(command.wallet_id)

        def needs(rows: Rows) -> bool:
            rows.want(wallet, wallet_id)
            standing.need(rows, self.ledger, wallet_id)
            return False

        def decide(rows: Rows) -> WalletChange:
            if rows.find(wallet, wallet_id) is None:
                raise WalletUnknown
            return standing.change(
                rows,
                self.ledger,
                wallet_id,
                command.event,
                changed_by=command.staff_id,
                reason=command.reason,
            )

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def history(
        self, wallet_id: str, *, limit: int, after: str | None
    ) -> tuple[list[WalletChange], str | None]:
        """Who changed a wallet's state, newest first; and the next cursor. Raises WalletUnknown."""
        before = int(after) if after and after.isdecimal() and len(after) < 10 else None
        with self.units.read(Which.LEDGER) as work:
            if work.rows.find(wallet, _checked(wallet_id)) is None:
                raise WalletUnknown
            found = standing.history(work, wallet_id, limit=limit + 1, before=before)
        page = found[:limit]
        return page, str(page[-1].number) if len(found) > limit else None


def _checked(wallet_id: str) -> str:
    if not is_id(wallet_id, "wal"):  # bytes no column would take
        raise WalletUnknown
    return wallet_id
