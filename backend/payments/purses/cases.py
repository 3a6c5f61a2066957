"""Cases of purses: value that left a chip, kept in suspense until a person says whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from backend.cards import Purses
from backend.db import Decide, Operation, Rows, Units, Which
from backend.kernel import business_date, is_id
from backend.payments.purses import tables
from backend.payments.purses.model import (
    DecideCase,
    PurseCase,
    PurseCaseNotKnown,
    PurseCaseUnknown,
)
from backend.payments.purses.states import CaseEvent, CaseState, advance_case
from backend.wallet import (
    Ledger,
    epurse_float_account,
    operation_step,
    out_of_suspense_transfer,
    payable_account,
    suspense_account,
)


@dataclass(frozen=True, slots=True)
class PurseCases:
    """What staff sees and decides."""

    units: Units
    ledger: Ledger
    purses: Purses

    def of_state(
        self, state: CaseState, *, limit: int, after: str | None
    ) -> tuple[list[PurseCase], str | None]:
        """Cases in a state, oldest first, above the cursor; and the next cursor."""
        table = tables.purse_case
        query = select(table).where(table.c.state == state.value)
        if after is not None:
            query = query.where(table.c.case_id > after)
        query = query.order_by(table.c.case_id).limit(limit + 1)
        with self.units.read(Which.LEDGER) as work:
            found = [_case(row) for row in work.execute(query).mappings()]
        page = found[:limit]
        return page, page[-1].case_id if len(found) > limit else None

    def pay(self, command: DecideCase, operation: Operation) -> PurseCase:
        """Pay the merchant, on the day that is open now; its purse is registered by then.

        Raises PurseCaseUnknown, PurseCaseDecided, PurseCaseNotKnown.
        """
        return self._decide(command, CaseEvent.PAY, operation)

    def dismiss(self, command: DecideCase, operation: Operation) -> PurseCase:
        """Give the value back to the purse's float: the merchant is not paid.

        Raises PurseCaseUnknown, PurseCaseDecided.
        """
        return self._decide(command, CaseEvent.DISMISS, operation)

    def _decide(self, command: DecideCase, event: CaseEvent, operation: Operation) -> PurseCase:
        if not is_id(command.case_id, "cas"):
            raise PurseCaseUnknown
        number = self._number_of(command.case_id)
        is_known = number is not None and number in self.purses.find_all((number,))

        def needs(rows: Rows) -> bool:
            rows.want(tables.purse_case, command.case_id)
            accounts = [suspense_account(command.case_id).account_id]
            if number is not None:
                accounts.append(epurse_float_account(number).account_id)
            self.ledger.need(rows, accounts)
            return False

        def decide(rows: Rows) -> PurseCase:
            row = rows.find(tables.purse_case, command.case_id)
            if row is None:
                raise PurseCaseUnknown
            state = advance_case(CaseState(row["state"]), event)
            if event is CaseEvent.PAY and not is_known:
                raise PurseCaseNotKnown
            return self._write(rows, row, state, command)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def _write(
        self, rows: Rows, row: Mapping[str, Any], state: CaseState, command: DecideCase
    ) -> PurseCase:
        to_id = epurse_float_account(row["purse_number"]).account_id
        if state is CaseState.PAID:
            payable = payable_account(row["merchant_id"], business_date(rows.now))
            self.ledger.open_account(rows, payable)
            to_id = payable.account_id
        transfer = out_of_suspense_transfer(
            operation_step(command.case_id, state.value),
            command.case_id,
            to_id,
            row["amount_fen"],
            row["shop_name"],
        )
        self.ledger.post(rows, transfer)
        new = {
            "state": state.value,
            "decided_by": command.staff_id,
            "decided_at": rows.now,
            "note": command.note,
        }
        rows.change(tables.purse_case, (command.case_id,), **new)
        return _case({**row, **new})

    def _number_of(self, case_id: str) -> str | None:
        """Whose case it is: never changes, so it may be read ahead."""
        with self.units.read(Which.LEDGER) as work:
            row = work.rows.find(tables.purse_case, case_id)
        return None if row is None else str(row["purse_number"])


def _case(row: Mapping[Any, Any]) -> PurseCase:
    return PurseCase(**{**row, "state": CaseState(row["state"])})
