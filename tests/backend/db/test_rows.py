"""Rows of a transaction: loaded in sets, changed in memory in any order, written in sets."""

# ruff: noqa: PT012 - what a block does before it is left by an error is the subject here

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from db_world import ON_POSTGRES, WHICH, TooPoor, count, together
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rows_world import DAYS, numbered, stored, thing
from sqlalchemy import delete

from backend.db import Databases, Rows, Units
from backend.db.row_sets import RowGone
from backend.db.rows import RowsBroken
from backend.kernel import ManualClock
from tests.support.statements import counting

pytestmark = pytest.mark.usefixtures("rows_tables")

TODAY, TOMORROW = DAYS


def put(units: Units, *keys: tuple[str, date], left_fen: int = 1) -> None:
    with units.write(WHICH) as work:
        for owner, day in keys:
            work.rows.add(thing, {"owner": owner, "day": day, "left_fen": left_fen})


# --- reading -------------------------------------------------------------------------------------


def test_what_is_wanted_comes_in_one_read(units: Units, databases: Databases) -> None:
    here = [(f"o{number}", day) for number in range(40) for day in DAYS]
    put(units, *here)
    absent = [(f"o{number}", date(2026, 1, 1)) for number in range(40)]
    with units.write(WHICH) as work:
        for key in (*here, *absent, *here):
            work.rows.want(thing, *key)
        assert not work.rows.is_known(thing, *here[0])
        with counting(databases[WHICH].engine) as seen:
            work.rows.load()
        assert len([one for one in seen.sent if '"thing"' in one or " thing" in one]) == 1
        with counting(databases[WHICH].engine) as seen:
            for key in here:
                row = work.rows.find(thing, *key)
                assert row is not None
                assert (row["owner"], row["day"], row["left_fen"], row["right_fen"]) == (
                    *key,
                    1,
                    None,
                )
            for key in absent:
                assert work.rows.is_known(thing, *key)
                assert work.rows.find(thing, *key) is None
        assert len(seen) == 0, "what was loaded is not asked for again"


def test_a_key_is_taken_whole(units: Units) -> None:
    """Goal: ("a", today) and ("b", tomorrow) do not bring ("a", tomorrow)."""
    put(units, ("a", TODAY), ("b", TOMORROW), ("a", TOMORROW))
    with units.write(WHICH) as work:
        work.rows.want(thing, "a", TODAY)
        work.rows.want(thing, "b", TOMORROW)
        work.rows.load()
        assert work.rows.find(thing, "a", TODAY) is not None
        assert not work.rows.is_known(thing, "a", TOMORROW)


def test_what_nobody_wanted_is_fetched_when_asked_for(units: Units) -> None:
    put(units, ("a", TODAY))
    with units.read(WHICH) as work:
        assert work.rows.find(thing, "a", TODAY) is not None
        assert work.rows.find(thing, "a", TOMORROW) is None


@pytest.mark.parametrize("number", [0, 1, -1, 2**53, 2**63 - 1, -(2**63)])
def test_a_number_is_a_key_too(units: Units, number: int) -> None:
    with units.write(WHICH) as work:
        work.rows.add(numbered, {"number": number, "value": 5})
    with units.write(WHICH) as work:
        assert work.rows.find(numbered, number) == {"number": number, "value": 5}
        work.rows.change(numbered, (number,), value=6)
    with units.write(WHICH) as work:
        assert work.rows.find(numbered, number) == {"number": number, "value": 6}
        work.rows.remove(numbered, number)
    assert stored(units, numbered) == {}


def test_a_condition_finds_rows_as_they_are_by_now(units: Units) -> None:
    put(units, ("a", TODAY), ("b", TODAY), ("c", TODAY))
    with units.write(WHICH) as work:
        work.rows.find(thing, "a", TODAY)
        work.rows.change(thing, ("a", TODAY), left_fen=9)
        work.rows.remove(thing, "b", TODAY)
        found = work.rows.find_where(thing, thing.c.left_fen == 1, 10)
        assert [(one["owner"], one["left_fen"]) for one in found] == [("a", 9), ("c", 1)]
        assert len(work.rows.find_where(thing, thing.c.left_fen == 1, 1)) == 1


# --- writing, in any order -----------------------------------------------------------------------

KEYS = st.sampled_from([(owner, day) for owner in ("a", "王", "c'\"\\") for day in DAYS])
VALUES = st.dictionaries(
    st.sampled_from(["left_fen", "right_fen"]), st.none() | st.integers(0, 2**63 - 1)
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), KEYS, VALUES),
        st.tuples(st.just("change"), KEYS, VALUES),
        st.tuples(st.just("remove"), KEYS, st.none()),
        st.tuples(st.just("want"), KEYS, st.none()),
        st.tuples(st.sampled_from(["load", "mark", "undo", "flush"]), st.none(), st.none()),
    ),
    max_size=25,
)
Model = dict[tuple[str, date], dict[str, Any]]


class Play:
    """The same steps on `Rows` and on a dictionary."""

    def __init__(self, rows: Rows, model: Model) -> None:
        self.rows, self.model = rows, model
        self.marks: list[tuple[int, Model]] = []

    def step(self, kind: str, key: Any, values: Any) -> None:
        getattr(self, f"_{kind}")(key, values)

    def _add(self, key: Any, values: Any) -> None:
        row = {"owner": key[0], "day": key[1], **values}
        self.rows.find(thing, *key)
        if key in self.model:
            with pytest.raises(RowsBroken):
                self.rows.add(thing, row)
            return
        self.rows.add(thing, row)
        self.model[key] = {"left_fen": None, "right_fen": None, **row}

    def _change(self, key: Any, values: Any) -> None:
        self.rows.find(thing, *key)
        if key not in self.model:
            with pytest.raises(RowsBroken):
                self.rows.change(thing, key, **values)
            return
        self.rows.change(thing, key, **values)
        self.model[key] = {**self.model[key], **values}

    def _remove(self, key: Any, _values: Any) -> None:
        self.rows.remove(thing, *key)
        self.model.pop(key, None)

    def _want(self, key: Any, _values: Any) -> None:
        self.rows.want(thing, *key)

    def _load(self, _key: Any, _values: Any) -> None:
        self.rows.load()

    def _mark(self, _key: Any, _values: Any) -> None:
        self.marks.append((self.rows.mark(), dict(self.model)))

    def _undo(self, _key: Any, _values: Any) -> None:
        if self.marks:
            mark, self.model = self.marks.pop()
            self.rows.undo(mark)

    def _flush(self, _key: Any, _values: Any) -> None:
        self.rows.flush()
        self.marks.clear()  # what is written is not forgotten any more


@given(first=STEPS, second=STEPS)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_order_of_changes_is_what_a_dictionary_would_hold(
    units: Units, first: list[Any], second: list[Any]
) -> None:
    """Two transactions: the second finds rows in the database that the first wrote."""
    with units.write(WHICH) as work:
        work.execute(delete(thing))
    model: Model = {}
    for steps in (first, second):
        with units.write(WHICH) as work:
            play = Play(work.rows, model)
            for step in steps:
                play.step(*step)
            model = play.model
            for key, row in model.items():
                seen = work.rows.find(thing, *key)
                assert seen is not None
                assert {name: seen.get(name) for name in row} == row
        assert stored(units, thing) == model


def test_a_row_put_in_the_place_of_another_has_nothing_of_it(units: Units) -> None:
    """Goal: removed and added again in one transaction: a column not named is null."""
    put(units, ("a", TODAY), ("b", TODAY), left_fen=7)
    with units.write(WHICH) as work:
        for owner in ("a", "b"):
            work.rows.find(thing, owner, TODAY)
        work.rows.remove(thing, "a", TODAY)
        work.rows.add(thing, {"owner": "a", "day": TODAY})
        work.rows.change(thing, ("b", TODAY), right_fen=5)
    found = stored(units, thing)
    assert (found["a", TODAY]["left_fen"], found["a", TODAY]["right_fen"]) == (None, None)
    assert (found["b", TODAY]["left_fen"], found["b", TODAY]["right_fen"]) == (7, 5)


def test_a_row_that_is_gone_at_the_end_is_a_bug(units: Units) -> None:
    put(units, ("a", TODAY))
    with pytest.raises(RowGone), units.write(WHICH) as work:
        work.rows.find(thing, "a", TODAY)
        work.connection.execute(delete(thing))
        work.rows.change(thing, ("a", TODAY), left_fen=2)
    assert stored(units, thing)["a", TODAY]["left_fen"] == 1


def test_while_reading_changes_are_a_view_and_not_kept(units: Units) -> None:
    put(units, ("a", TODAY))
    with units.read(WHICH) as work:
        work.rows.find(thing, "a", TODAY)
        work.rows.change(thing, ("a", TODAY), left_fen=9)
        work.rows.flush()
        row = work.rows.find(thing, "a", TODAY)
        assert row is not None
        assert row["left_fen"] == 9
    assert stored(units, thing)["a", TODAY]["left_fen"] == 1


def test_what_is_told_and_undone_is_not_told(units: Units) -> None:
    with units.write(WHICH) as work:
        mark = work.rows.mark()
        work.rows.tell("never", x=1)
        work.rows.undo(mark)
        work.rows.tell("told", x=2)
    assert count(units, "outbox") == 1


def test_a_refusal_forgets_what_was_changed(units: Units) -> None:
    put(units, ("a", TODAY))
    with pytest.raises(TooPoor), units.write(WHICH) as work:
        work.rows.find(thing, "a", TODAY)
        work.rows.change(thing, ("a", TODAY), left_fen=9)
        raise TooPoor(short_fen=1)
    assert stored(units, thing)["a", TODAY]["left_fen"] == 1


# --- a fixed number of statements ----------------------------------------------------------------


def _change_all(units: Units, size: int) -> None:
    """Read, change, remove and add `size` rows of two tables each."""
    with units.write(WHICH) as work:
        for number in range(size):
            for kind in ("changed", "removed", "new"):
                work.rows.want(thing, f"{kind}{number}", TODAY)
        work.rows.load()
        for number in range(size):
            work.rows.change(thing, (f"changed{number}", TODAY), left_fen=number)
            if number % 2:
                work.rows.change(thing, (f"changed{number}", TODAY), right_fen=number)
            work.rows.remove(thing, f"removed{number}", TODAY)
            work.rows.add(thing, {"owner": f"new{number}", "day": TODAY})
            work.rows.tell("told", number=number)


def test_the_number_of_statements_does_not_grow_with_the_rows(
    units: Units, databases: Databases
) -> None:
    sent: dict[int, int] = {}
    for size in (2, 10, 400):
        with units.write(WHICH) as work:
            work.execute(delete(thing))
        put(units, *[(f"{kind}{n}", TODAY) for kind in ("changed", "removed") for n in range(size)])
        with counting(databases[WHICH].engine) as seen:
            _change_all(units, size)
        sent[size] = len(seen)
        assert len(stored(units, thing)) == 2 * size
    assert len(set(sent.values())) == 1, sent
    assert sent[2] <= 6  # locks, read; delete, insert, update; outbox


# --- locks ---------------------------------------------------------------------------------------


@ON_POSTGRES
def test_a_key_is_held_also_when_it_has_no_row(units: Units) -> None:
    """Goal: two that find nothing do not both add; the second finds what the first added."""

    def add(index: int) -> str:
        with units.write(WHICH) as work:
            if work.rows.find(thing, "only", TODAY) is not None:
                return "found"
            work.rows.add(thing, {"owner": "only", "day": TODAY, "left_fen": index})
            return "added"

    outcomes = together(8, add)
    assert sorted(outcomes) == ["added"] + ["found"] * 7


@ON_POSTGRES
def test_keys_wanted_in_any_order_never_wait_in_a_circle(units: Units) -> None:
    keys = [(f"o{number}", TODAY) for number in range(12)]

    def hold(index: int) -> None:
        for turn in range(6):
            mine = keys[index % 5 :: 2] + keys[: turn + 1]
            with units.write(WHICH) as work:
                for key in mine if index % 2 else reversed(mine):
                    work.rows.want(thing, *key)
                work.rows.load()

    assert together(8, hold) == [None] * 8


@ON_POSTGRES
def test_a_lock_that_is_only_tried_is_not_waited_for(
    databases: Databases, units: Units, clock: ManualClock
) -> None:
    elsewhere = Units(databases, clock)
    with units.write(WHICH) as work:
        assert work.rows.load(tried=[1, 2]) == {1, 2}
        with elsewhere.write(WHICH) as other:
            assert other.rows.load(tried=[2, 3]) == {3}
    with elsewhere.write(WHICH) as other:
        assert other.rows.load(tried=[1, 2, 3]) == {1, 2, 3}
