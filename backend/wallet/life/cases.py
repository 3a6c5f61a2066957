"""Cases: money that came for a wallet that is closed, kept in suspense until its owner has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from backend.db import Decide, Operation, Rows, Units, Which
from backend.kernel import is_id, new_id
from backend.wallet import recipes
from backend.wallet.accounts import CHANNEL_BANK, suspense_account, suspense_id
from backend.wallet.ledger import AccountState, Ledger
from backend.wallet.life import orders
from backend.wallet.life.errors import (
    CaseDecided,
    CaseNotTheirs,
    CaseUnknown,
    RedemptionExists,
)
from backend.wallet.life.model import Case, PayCase, RedemptionKind
from backend.wallet.life.orders import Draft, Orders
from backend.wallet.life.states import CaseState
from backend.wallet.life.tables import suspense_case
from backend.wallet.model import WalletUnknown
from backend.wallet.tables import wallet


def is_shut(rows: Rows, ledger: Ledger, wallet_id: str) -> bool:
    """Whether money for this wallet must wait in a case: it is closing or closed."""
    account = ledger.find_account(rows, wallet_id)
    return account is not None and account.state is AccountState.CLOSED


def want_owner(rows: Rows, wallet_id: str) -> None:
    """Want what `get_owner` reads."""
    rows.want(wallet, wallet_id)


def get_owner(rows: Rows, wallet_id: str) -> str:
    """Whose wallet it is, also when it is closed: a person's id. Raises WalletUnknown."""
    row = rows.find(wallet, wallet_id)
    if row is None:
        raise WalletUnknown
    return str(row["person_id"])


def open_case(
    rows: Rows,
    ledger: Ledger,
    *,
    wallet_id: str,
    person_id: str,
    operation_id: str,
    amount_fen: int,
    reason: str,
) -> str:
    """A fresh case and its account, for the operation that is going to fill it; the case's id."""
    case_id = new_id("cas")
    ledger.open_account(rows, suspense_account(case_id))
    row = {
        "case_id": case_id,
        "wallet_id": wallet_id,
        "person_id": person_id,
        "operation_id": operation_id,
        "amount_fen": amount_fen,
        "reason": reason[:100],
        "state": CaseState.OPEN.value,
        "opened_at": rows.now,
    }
    rows.add(suspense_case, row)
    return case_id


@dataclass(frozen=True, slots=True)
class Cases:
    """What staff sees of cases, and how one is paid to its owner."""

    units: Units
    ledger: Ledger
    orders: Orders

    def get(self, case_id: str) -> Case:
        """Raises CaseUnknown."""
        with self.units.read(Which.LEDGER) as work:
            return _case(_get(work.rows, case_id))

    def of_state(
        self, state: CaseState, *, limit: int, after: str | None
    ) -> tuple[list[Case], str | None]:
        """Cases in a state, oldest first, above the cursor `after`; and the next cursor."""
        query = select(suspense_case).where(suspense_case.c.state == state.value)
        if after is not None:
            query = query.where(suspense_case.c.case_id > after)
        query = query.order_by(suspense_case.c.case_id).limit(limit + 1)
        with self.units.read(Which.LEDGER) as work:
            found = [_case(row) for row in work.execute(query).mappings()]
        page = found[:limit]
        return page, page[-1].case_id if len(found) > limit else None

    def pay(self, command: PayCase, operation: Operation) -> Case:
        """Pay a case to its owner: into an open wallet of theirs at once, or to their bank card.

        Raises CaseUnknown, CaseDecided, CaseNotTheirs, WalletUnknown, BankCardInvalid,
        RedemptionExists, and what the ledger refuses.
        """
        if not is_id(command.case_id, "cas"):
            raise CaseUnknown

        def needs(rows: Rows) -> bool:
            rows.want(suspense_case, command.case_id)
            orders.want(rows, command.redemption_id)
            accounts = [suspense_id(command.case_id), CHANNEL_BANK]
            if command.wallet_id is not None:
                rows.want(wallet, command.wallet_id)
                accounts.append(command.wallet_id)
            self.ledger.need(rows, accounts)
            return False

        def decide(rows: Rows) -> Case:
            row = _get(rows, command.case_id)
            if row["paid_by"] == command.redemption_id:
                return _case(row)
            if row["state"] != CaseState.OPEN.value:
                raise CaseDecided(state=row["state"])
            is_posted = self.ledger.is_posted(rows, command.redemption_id)
            if is_posted or orders.find(rows, command.redemption_id) is not None:
                raise RedemptionExists  # of an earlier order for this case, or of another's
            if command.wallet_id is not None:
                return self._into_wallet(rows, row, command, command.wallet_id)
            return self._to_bank(rows, row, command)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def _into_wallet(
        self, rows: Rows, row: Mapping[str, Any], command: PayCase, wallet_id: str
    ) -> Case:
        target = rows.find(wallet, wallet_id)
        if target is None:
            raise WalletUnknown
        if target["person_id"] != row["person_id"]:
            raise CaseNotTheirs
        transfer = recipes.out_of_suspense(
            command.redemption_id, command.case_id, wallet_id, row["amount_fen"]
        )
        # Their own money comes home: a ceiling reached since cannot keep it out.
        self.ledger.post(rows, transfer, with_ceilings=False)
        return self._decided(rows, command, CaseState.PAID)

    def _to_bank(self, rows: Rows, row: Mapping[str, Any], command: PayCase) -> Case:
        draft = Draft(
            command.redemption_id,
            RedemptionKind.CASE,
            row["wallet_id"],
            row["person_id"],
            row["amount_fen"],
            command.bank_card or "",
            command.case_id,
        )
        self.orders.place(rows, draft)
        return self._decided(rows, command, CaseState.PAYING)

    def _decided(self, rows: Rows, command: PayCase, state: CaseState) -> Case:
        rows.change(
            suspense_case,
            (command.case_id,),
            state=state.value,
            decided_by=command.staff_id,
            decided_at=rows.now,
            paid_by=command.redemption_id,
        )
        return _case(_get(rows, command.case_id))


def _get(rows: Rows, case_id: str) -> Mapping[str, Any]:
    row = rows.find(suspense_case, case_id) if is_id(case_id, "cas") else None
    if row is None:
        raise CaseUnknown
    return row


def _case(row: Mapping[Any, Any]) -> Case:
    return Case(**{**row, "state": CaseState(row["state"])})
