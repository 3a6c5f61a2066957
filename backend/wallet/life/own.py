"""Money between the wallets of one person: a transfer, and all of it to a replacement.

No route offers this yet: a person has one wallet at a time (`wallet_owner`).
"""

from __future__ import annotations

from dataclasses import dataclass

from backend.db import Decide, Operation, Rows, Units, Which
from backend.kernel import check_amount, is_id
from backend.wallet import recipes
from backend.wallet.ledger import Account, Ledger, Post, Transfer
from backend.wallet.ledger.posting import OperationConflict
from backend.wallet.life import standing
from backend.wallet.life.debts import RideDebts
from backend.wallet.life.errors import TransferExists, WalletBusy
from backend.wallet.life.model import Moved, MoveOwn, ReplaceWallet
from backend.wallet.life.states import WalletEvent
from backend.wallet.model import WalletUnknown
from backend.wallet.tables import wallet, wallet_owner


@dataclass(frozen=True, slots=True)
class OwnMoves:
    """Both wallets must belong to the person; limits on spending do not count such moves."""

    units: Units
    ledger: Ledger
    debts: RideDebts

    def transfer(self, command: MoveOwn, operation: Operation) -> Moved:
        """Move an amount. Raises WalletUnknown, TransferExists, InsufficientFunds,
        CeilingExceeded, AccountFrozen, AccountClosed."""
        check_amount(command.amount_fen)
        _check_two(command.from_id, command.to_id)
        moved = recipes.own_transfer(
            command.transfer_id, command.from_id, command.to_id, command.amount_fen
        )

        def needs(rows: Rows) -> bool:
            self._need(rows, command.from_id, command.to_id)
            self.ledger.need_transfer(rows, moved)
            return False

        def decide(rows: Rows) -> Moved:
            for one in (command.from_id, command.to_id):
                self._owned(rows, one, command.person_id)
            self._post(rows, moved)
            left = self._owned(rows, command.from_id, command.person_id)
            return Moved(command.transfer_id, command.amount_fen, left.balance_fen)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def replace(self, command: ReplaceWallet, operation: Operation) -> Moved:
        """Move the whole balance to the wallet that takes the old one's place, and close the old.

        Raises WalletUnknown, WalletBusy, WalletTransitionRefused, RideDebtOpen and what the
        ledger refuses.
        """
        _check_two(command.old_id, command.new_id)

        def needs(rows: Rows) -> bool:
            self._need(rows, command.old_id, command.new_id)
            rows.want(wallet_owner, command.person_id)
            self.ledger.need(rows, (command.old_id, command.new_id))
            self.debts.need(rows, command.old_id)
            return False

        return self.units.decide(
            Which.LEDGER, Decide(needs, lambda rows: self._replace(rows, command)), operation
        )

    def _replace(self, rows: Rows, command: ReplaceWallet) -> Moved:
        old_id, person_id = command.old_id, command.person_id
        account = self._owned(rows, old_id, person_id)
        self._owned(rows, command.new_id, person_id)
        if account.outgoing_fen or account.incoming_fen:
            raise WalletBusy(outgoing_fen=account.outgoing_fen, incoming_fen=account.incoming_fen)
        self.debts.take(rows, command.replacement_id, old_id)
        rest_fen = self._owned(rows, old_id, person_id).balance_fen
        if rest_fen:
            moved = recipes.moved_to_replacement(
                command.replacement_id, old_id, command.new_id, rest_fen
            )
            self._post(rows, moved)
        for event in (WalletEvent.BEGIN_CLOSING, WalletEvent.CLOSE):
            standing.change(
                rows, self.ledger, old_id, event, changed_by=person_id, reason=command.new_id
            )
        owner = rows.find(wallet_owner, person_id)
        if owner is not None and owner["wallet_id"] == old_id:
            rows.change(wallet_owner, (person_id,), wallet_id=command.new_id)
        return Moved(command.replacement_id, rest_fen, 0)

    def _need(self, rows: Rows, *wallet_ids: str) -> None:
        for one in wallet_ids:
            rows.want(wallet, one)
            standing.need(rows, self.ledger, one)

    def _owned(self, rows: Rows, wallet_id: str, person_id: str) -> Account:
        row = rows.find(wallet, wallet_id)
        account = self.ledger.find_account(rows, wallet_id)
        if row is None or account is None or row["person_id"] != person_id:
            raise WalletUnknown
        return account

    def _post(self, rows: Rows, transfer: Transfer) -> None:
        try:
            Post(self.ledger, transfer).decide(rows)
        except OperationConflict:
            raise TransferExists from None


def _check_two(one: str, other: str) -> None:
    """Raises WalletUnknown for what are not two wallets."""
    if one == other or not (is_id(one, "wal") and is_id(other, "wal")):
        raise WalletUnknown
