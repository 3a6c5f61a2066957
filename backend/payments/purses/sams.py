"""Which SAM sits in which terminal: told by staff at the fitting, or pinned by the first upload.

Guarded by the SAM's own row. Decides nothing about money.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from backend.db import Decide, Operation, Rows, Units, Which
from backend.kernel import DomainError, Kind, Words
from backend.merchants import Merchants
from backend.payments.purses import tables

LIST_MAX = 200
BY_UPLOAD = "upload"


class PurseSamForeign(DomainError):
    kind, code = Kind.REFUSED, "purse_sam_foreign"
    title = Words(zh="安全模块与终端不符", en="SAM of another terminal")
    detail = Words(
        zh="该安全模块（SAM）登记于另一终端，交易待运营方核实。",
        en="This SAM is registered for another terminal: the operator looks at the sale.",
    )


class SamUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "sam_unknown"
    title = Words(zh="没有此安全模块", en="No such SAM")
    detail = Words(zh="该安全模块未登记。", en="This SAM is bound to no terminal.")


@dataclass(frozen=True, slots=True)
class BindSam:
    """The command: this SAM sits in this terminal from now on."""

    sam_number: str  # 12 hexadecimal digits, lower case
    terminal_id: str
    staff_id: str


@dataclass(frozen=True, slots=True)
class BoundSam:
    """`bound_by`: a member of staff, or `upload`: nobody had registered it."""

    sam_number: str
    terminal_id: str
    bound_by: str
    bound_at: datetime


@dataclass(frozen=True, slots=True)
class Sams:
    """What staff sees and does."""

    units: Units
    merchants: Merchants

    def bind(self, command: BindSam, operation: Operation) -> BoundSam:
        """Register a SAM for a terminal, or move it: what the terminal before sold until now it
        may still upload. Raises TerminalUnknown, TerminalNotActive."""
        self.merchants.vouch_for_terminal(command.terminal_id)

        def needs(rows: Rows) -> bool:
            is_first = not rows.is_known(tables.purse_sam, command.sam_number)
            rows.want(tables.purse_sam, command.sam_number)
            row = None if is_first else rows.find(tables.purse_sam, command.sam_number)
            if row is not None:
                rows.want(tables.purse_sam_past, command.sam_number, row["terminal_id"])
            return is_first

        def decide(rows: Rows) -> BoundSam:
            return _bind(rows, command)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def get(self, sam_number: str) -> BoundSam:
        """Raises SamUnknown."""
        with self.units.read(Which.LEDGER) as work:
            row = work.rows.find(tables.purse_sam, sam_number)
        if row is None:
            raise SamUnknown
        return BoundSam(**row)

    def of_terminal(self, terminal_id: str) -> list[BoundSam]:
        """At most `LIST_MAX`, by number. Raises SamUnknown where there are none."""
        columns = tables.purse_sam.c
        query = select(tables.purse_sam).where(columns.terminal_id == terminal_id)
        with self.units.read(Which.LEDGER) as work:
            found = work.execute(query.order_by(columns.sam_number).limit(LIST_MAX)).mappings()
            bound = [BoundSam(**row) for row in found]
        if not bound:
            raise SamUnknown
        return bound


def want(rows: Rows, sam_number: str, terminal_id: str) -> None:
    rows.want(tables.purse_sam, sam_number)
    rows.want(tables.purse_sam_past, sam_number, terminal_id)


def check(rows: Rows, sam_number: str, terminal_id: str, made_at: datetime) -> None:
    """Whether this terminal may upload what that SAM said then; a SAM nobody knows is its own
    from now on. Raises PurseSamForeign."""
    row = rows.find(tables.purse_sam, sam_number)
    if row is None:
        rows.add(tables.purse_sam, _row(rows, sam_number, terminal_id, BY_UPLOAD))
        return
    if row["terminal_id"] == terminal_id:
        return
    past = rows.find(tables.purse_sam_past, sam_number, terminal_id)
    if past is None or made_at > past["ended_at"]:
        raise PurseSamForeign


def _bind(rows: Rows, command: BindSam) -> BoundSam:
    number = command.sam_number
    row = rows.find(tables.purse_sam, number)
    new = _row(rows, number, command.terminal_id, command.staff_id)
    if row is None:
        rows.add(tables.purse_sam, new)
    elif row["terminal_id"] != command.terminal_id:
        _end(rows, number, row["terminal_id"])
        rows.change(tables.purse_sam, (number,), **new)
    elif row["bound_by"] == BY_UPLOAD:  # a person says so now
        rows.change(tables.purse_sam, (number,), bound_by=command.staff_id)
        return BoundSam(**{**row, "bound_by": command.staff_id})
    else:
        return BoundSam(**row)
    return BoundSam(**new)


def _end(rows: Rows, sam_number: str, terminal_id: str) -> None:
    key = (sam_number, terminal_id)
    if rows.find(tables.purse_sam_past, *key) is None:
        row = {"sam_number": sam_number, "terminal_id": terminal_id, "ended_at": rows.now}
        rows.add(tables.purse_sam_past, row)
    else:
        rows.change(tables.purse_sam_past, key, ended_at=rows.now)


def _row(rows: Rows, sam_number: str, terminal_id: str, bound_by: str) -> dict[str, Any]:
    return {
        "sam_number": sam_number,
        "terminal_id": terminal_id,
        "bound_by": bound_by,
        "bound_at": rows.now,
    }
