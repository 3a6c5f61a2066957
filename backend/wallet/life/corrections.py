"""Corrections (更正): one person asks, another approves; the mirror is posted once, linked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from backend.db import Decide, Operation, Rows, Units, Which
from backend.kernel import is_id
from backend.wallet import recipes
from backend.wallet.ledger import Ledger, Leg, Transfer
from backend.wallet.ledger.model import LEGS_MAX, OPERATION_ID_MAX
from backend.wallet.ledger.tables import posting
from backend.wallet.life.errors import (
    AlreadyCorrected,
    CorrectionDecided,
    CorrectionExists,
    CorrectionUnknown,
    PostingUnknown,
)
from backend.wallet.life.model import AskCorrection, Correction, check_correctable
from backend.wallet.life.states import CorrectionState
from backend.wallet.life.tables import correction_request
from backend.wallet.model import FourEyesNeeded

LEFT_FOR_STEP = len("/correction")
TAKEN_BACK = ("correction", "reversal", "returned")
"""Steps of an operation that undo it: it is undone once, by one of them."""


@dataclass(frozen=True, slots=True)
class Corrections:
    """Nothing is edited: what was written stays, and its mirror stands beside it."""

    units: Units
    ledger: Ledger

    def ask(self, command: AskCorrection, operation: Operation) -> Correction:
        """Ask that a posting be undone. The id decides.

        Raises PostingUnknown, CorrectionNotPossible, AlreadyCorrected, CorrectionExists.
        """
        operation_id = _checked(command.operation_id)

        def needs(rows: Rows) -> bool:
            rows.want(correction_request, command.correction_id)
            _want(rows, operation_id)
            return False

        def decide(rows: Rows) -> Correction:
            known = rows.find(correction_request, command.correction_id)
            if known is not None:
                return _same(known, command)
            wrong = _get_wrong(rows, operation_id)
            return _add(rows, command, wrong)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def approve(self, correction_id: str, staff_id: str, operation: Operation) -> Correction:
        """Undo the posting. Floors and states hold: a wallet must still have the money.

        Limits keep what the wrong operation had used of them. Raises CorrectionUnknown,
        CorrectionDecided, FourEyesNeeded, AlreadyCorrected and what the ledger refuses.
        """

        def decide(rows: Rows) -> Correction:
            row = _get_asked(rows, correction_id, staff_id)
            wrong = _get_wrong(rows, row["operation_id"])
            mirror = recipes.correction(
                recipes.step(wrong.operation_id, "correction"), wrong, f"更正：{row['reason']}"
            )
            # What comes home is not kept out by a ceiling reached since.
            self.ledger.post(rows, mirror, with_ceilings=False)
            return _decided(rows, correction_id, CorrectionState.APPROVED, staff_id)

        return self._decide(correction_id, decide, operation)

    def reject(self, correction_id: str, staff_id: str, operation: Operation) -> Correction:
        """Leave the posting as it is. Raises CorrectionUnknown, CorrectionDecided,
        FourEyesNeeded."""

        def decide(rows: Rows) -> Correction:
            _get_asked(rows, correction_id, staff_id)
            return _decided(rows, correction_id, CorrectionState.REJECTED, staff_id)

        return self._decide(correction_id, decide, operation)

    def get(self, correction_id: str) -> Correction:
        """Raises CorrectionUnknown."""
        with self.units.read(Which.LEDGER) as work:
            return _correction(_get(work.rows, correction_id))

    def of_state(
        self, state: CorrectionState, *, limit: int, after: str | None
    ) -> tuple[list[Correction], str | None]:
        """Corrections in a state, oldest first, above the cursor; and the next cursor."""
        table = correction_request
        query = select(table).where(table.c.state == state.value)
        if after is not None:
            query = query.where(table.c.correction_id > after)
        query = query.order_by(table.c.correction_id).limit(limit + 1)
        with self.units.read(Which.LEDGER) as work:
            found = [_correction(row) for row in work.execute(query).mappings()]
        page = found[:limit]
        return page, page[-1].correction_id if len(found) > limit else None

    def _decide(
        self, correction_id: str, decide: Callable[[Rows], Correction], operation: Operation
    ) -> Correction:
        if not is_id(correction_id, "cor"):
            raise CorrectionUnknown

        def needs(rows: Rows) -> bool:
            return self._need(rows, correction_id)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def _need(self, rows: Rows, correction_id: str) -> bool:
        """The request, then its posting, then the accounts of that."""
        if not rows.is_known(correction_request, correction_id):
            rows.want(correction_request, correction_id)
            return True
        row = rows.find(correction_request, correction_id)
        if row is None:
            return False
        operation_id = row["operation_id"]
        if not rows.is_known(posting, operation_id, 0):
            _want(rows, operation_id)
            return True
        wrong = _find_wrong(rows, operation_id)
        if wrong is not None:
            self.ledger.need(rows, wrong.account_ids())
        return False


def _want(rows: Rows, operation_id: str) -> None:
    for leg in range(LEGS_MAX):
        rows.want(posting, operation_id, leg)
    for name in TAKEN_BACK:
        rows.want(posting, recipes.step(operation_id, name), 0)


def _checked(operation_id: str) -> str:
    """An id that could have been posted and leaves room for its correction's."""
    if not 0 < len(operation_id) <= OPERATION_ID_MAX - LEFT_FOR_STEP:
        raise PostingUnknown
    return operation_id


def _find_wrong(rows: Rows, operation_id: str) -> Transfer | None:
    """The operation as it was posted. What it counted is not in the journal."""
    found = [rows.find(posting, operation_id, leg) for leg in range(LEGS_MAX)]
    legs = [row for row in found if row is not None]
    if not legs:
        return None
    return Transfer(
        operation_id=operation_id,
        code=legs[0]["code"],
        legs=tuple(Leg(row["debit"], row["credit"], row["amount_fen"]) for row in legs),
        linked_to=legs[0]["linked_to"],
        memo=legs[0]["memo"],
    )


def _get_wrong(rows: Rows, operation_id: str) -> Transfer:
    """Raises PostingUnknown, CorrectionNotPossible, AlreadyCorrected."""
    wrong = _find_wrong(rows, operation_id)
    if wrong is None:
        raise PostingUnknown
    check_correctable(wrong.code)
    for name in TAKEN_BACK:
        if rows.find(posting, recipes.step(operation_id, name), 0) is not None:
            raise AlreadyCorrected
    return wrong


def _add(rows: Rows, command: AskCorrection, wrong: Transfer) -> Correction:
    row = {
        "correction_id": command.correction_id,
        "operation_id": command.operation_id,
        "posting_code": wrong.code,
        "amount_fen": sum(leg.amount_fen for leg in wrong.legs),
        "reason": command.reason,
        "state": CorrectionState.ASKED.value,
        "asked_by": command.staff_id,
        "asked_at": rows.now,
        "decided_by": None,
        "decided_at": None,
    }
    rows.add(correction_request, row)
    return _correction(row)


def _same(row: Mapping[str, Any], command: AskCorrection) -> Correction:
    known = (row["operation_id"], row["reason"], row["asked_by"])
    if known != (command.operation_id, command.reason, command.staff_id):
        raise CorrectionExists
    return _correction(row)


def _get(rows: Rows, correction_id: str) -> Mapping[str, Any]:
    is_known_form = is_id(correction_id, "cor")
    row = rows.find(correction_request, correction_id) if is_known_form else None
    if row is None:
        raise CorrectionUnknown
    return row


def _get_asked(rows: Rows, correction_id: str, staff_id: str) -> Mapping[str, Any]:
    row = _get(rows, correction_id)
    if row["state"] != CorrectionState.ASKED.value:
        raise CorrectionDecided(state=row["state"])
    if row["asked_by"] == staff_id:
        raise FourEyesNeeded
    return row


def _decided(rows: Rows, correction_id: str, state: CorrectionState, staff_id: str) -> Correction:
    rows.change(
        correction_request,
        (correction_id,),
        state=state.value,
        decided_by=staff_id,
        decided_at=rows.now,
    )
    return _correction(_get(rows, correction_id))


def _correction(row: Mapping[Any, Any]) -> Correction:
    return Correction(**{**row, "state": CorrectionState(row["state"])})
