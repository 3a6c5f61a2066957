"""The registry of e-purses: made, handed out, stopped; and what others ask about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from backend.cards import tables
from backend.cards.denials import PURSE_CHANGED
from backend.cards.errors import PurseExists, PurseFourEyesNeeded, PurseUnknown
from backend.cards.model import (
    NUMBER_DIGITS,
    ChangePurse,
    Purse,
    PurseAtMoment,
    PurseChange,
    RegisterPurse,
)
from backend.cards.states import STOPPED, PurseEvent, PurseState, advance
from backend.db import Decide, Operation, Rows, Units, Which
from card_protocol.checks import is_digits

REGISTERED = ("issuer_id", "suite", "key_version", "product", "wallet_id")


@dataclass(frozen=True, slots=True)
class Purses:
    """Each method is one command or one question."""

    units: Units

    def register(self, command: RegisterPurse, operation: Operation) -> Purse:
        """A purse was made. The number decides: again the same is the first answer.

        Raises PurseExists.
        """

        def needs(rows: Rows) -> bool:
            rows.want(tables.purse, command.purse_number)
            return False

        def decide(rows: Rows) -> Purse:
            row = rows.find(tables.purse, command.purse_number)
            if row is None:
                return _add(rows, command)
            for name in REGISTERED:
                if row[name] != getattr(command, name):
                    raise PurseExists(field=name)
            return purse_of(row)

        return self.units.decide(Which.BUSINESS, Decide(needs, decide), operation)

    def change(self, command: ChangePurse, operation: Operation) -> Purse:
        """Activate, suspend, release or close. What is closed stays so, and takes two persons.

        Raises PurseUnknown, PurseTransitionRefused, PurseFourEyesNeeded.
        """

        def needs(rows: Rows) -> bool:
            is_first = not rows.is_known(tables.purse, command.purse_number)
            rows.want(tables.purse, command.purse_number)
            row = None if is_first else rows.find(tables.purse, command.purse_number)
            if row is not None:
                rows.want(tables.purse_change, command.purse_number, row["changes"])
            return is_first

        def decide(rows: Rows) -> Purse:
            row = rows.find(tables.purse, command.purse_number)
            if row is None:
                raise PurseUnknown
            state = advance(PurseState(row["state"]), command.event)
            last = rows.find(tables.purse_change, command.purse_number, row["changes"])
            assert last is not None
            if command.event is PurseEvent.CLOSE and last["staff_id"] == command.staff_id:
                raise PurseFourEyesNeeded
            return _change(rows, row, state, command)

        return self.units.decide(Which.BUSINESS, Decide(needs, decide), operation)

    def get(self, purse_number: str) -> Purse:
        """Raises PurseUnknown."""
        found = self.find_all((purse_number,)).get(purse_number)
        if found is None:
            raise PurseUnknown
        return found.purse

    def find_all(self, numbers: Iterable[str]) -> Mapping[str, PurseAtMoment]:
        """The purses of these numbers with their histories: two questions for all of them."""
        asked = sorted({one for one in numbers if is_digits(one) and len(one) == NUMBER_DIGITS})
        if not asked:
            return {}
        lines = tables.purse_change.c
        with self.units.read(Which.BUSINESS) as work:
            rows = work.execute(
                select(tables.purse).where(tables.purse.c.purse_number.in_(asked))
            ).mappings()
            purses = [purse_of(row) for row in rows]
            told = work.execute(
                select(lines.purse_number, lines.after, lines.at)
                .where(lines.purse_number.in_(asked))
                .order_by(lines.purse_number, lines.number)
            ).all()
        changes: dict[str, list[PurseChange]] = defaultdict(list)
        for line in told:
            changes[line.purse_number].append(PurseChange(PurseState(line.after), line.at))
        return {
            one.purse_number: PurseAtMoment(one, tuple(changes[one.purse_number])) for one in purses
        }


def purse_of(row: Mapping[Any, Any]) -> Purse:
    values = {name: row[name] for name in Purse.__slots__ if name != "state"}
    return Purse(state=PurseState(row["state"]), **values)


def _add(rows: Rows, command: RegisterPurse) -> Purse:
    row = {
        "purse_number": command.purse_number,
        **{name: getattr(command, name) for name in REGISTERED},
        "state": PurseState.MADE.value,
        "changes": 1,
        "registered_at": rows.now,
        "changed_at": rows.now,
    }
    rows.add(tables.purse, row)
    _note(rows, row, "registered", command.staff_id)
    return purse_of(row)


def _change(rows: Rows, row: Mapping[str, Any], state: PurseState, command: ChangePurse) -> Purse:
    changed = {"state": state.value, "changes": row["changes"] + 1, "changed_at": rows.now}
    rows.change(tables.purse, (command.purse_number,), **changed)
    if {state, PurseState(row["state"])} & STOPPED:
        rows.tell(PURSE_CHANGED, purse_number=command.purse_number)
    after = {**row, **changed}
    _note(rows, after, command.reason, command.staff_id)
    return purse_of(after)


def _note(rows: Rows, row: Mapping[str, Any], reason: str, staff_id: str) -> None:
    line = {
        "purse_number": row["purse_number"],
        "number": row["changes"],
        "after": row["state"],
        "reason": reason,
        "staff_id": staff_id,
        "at": rows.now,
    }
    rows.add(tables.purse_change, line)
