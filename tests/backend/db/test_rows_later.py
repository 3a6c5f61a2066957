"""Rows that everybody changes: held for the last round trips of a transaction only."""

# ruff: noqa: PT012 - what a block does before it is left by an error is the subject here

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from db_world import ON_POSTGRES, WHICH, TooPoor, together
from rows_world import DAYS, stored, thing

from backend.db import Databases, Decide, Rows, Units
from backend.db.rows import Row, RowsBroken
from backend.kernel import ManualClock

pytestmark = pytest.mark.usefixtures("rows_tables")

TODAY, _ = DAYS
HOT = ("hot", TODAY)
Key = tuple[str, date]


def more(fen: int) -> Any:
    def step(row: Row | None) -> Row:
        old = row or {"owner": "hot", "day": TODAY, "left_fen": 0}
        return {**old, "left_fen": old["left_fen"] + fen}

    return step


def left_fen(units: Units) -> int | None:
    row = stored(units, thing).get(HOT)
    return None if row is None else row["left_fen"]


def test_steps_run_in_their_order_on_the_row_as_it_is_at_the_end(units: Units) -> None:
    seen: list[int | None] = []

    def noting(row: Row | None) -> Row:
        seen.append(None if row is None else row["left_fen"])
        return more(1)(row)

    for _ in range(2):
        with units.write(WHICH) as work:
            for _ in range(3):
                work.rows.later(thing, HOT, noting)
            assert not work.rows.is_known(thing, *HOT), "nothing is held yet"
    assert seen == [None, 1, 2, 3, 4, 5]
    assert left_fen(units) == 6


def test_a_step_that_leaves_the_row_as_it_is_writes_nothing(units: Units) -> None:
    with units.write(WHICH) as work:
        work.rows.later(thing, HOT, more(5))
    with units.write(WHICH) as work:
        work.rows.later(thing, HOT, more(0))
    assert left_fen(units) == 5


def test_what_was_wanted_is_changed_at_once(units: Units) -> None:
    with units.write(WHICH) as work:
        work.rows.want(thing, *HOT)
        work.rows.load()
        work.rows.later(thing, HOT, more(5))
        row = work.rows.find(thing, *HOT)
        assert row is not None
        assert row["left_fen"] == 5


def test_to_read_it_after_a_step_is_a_bug(units: Units) -> None:
    with pytest.raises(RowsBroken), units.write(WHICH) as work:
        work.rows.later(thing, HOT, more(5))
        work.rows.find(thing, *HOT)
    assert left_fen(units) is None


@pytest.mark.parametrize("is_wanted", [False, True])
def test_a_refusal_takes_its_own_steps_back_and_no_others(units: Units, *, is_wanted: bool) -> None:
    def needs(rows: Rows) -> bool:
        if is_wanted:
            rows.want(thing, *HOT)
        return False

    def take(fen: int) -> Decide[int]:
        def decide(rows: Rows) -> int:
            rows.later(thing, HOT, more(fen))
            rows.later(thing, HOT, more(fen))
            if fen > 10:
                raise TooPoor(short_fen=fen)
            return fen

        return Decide(needs, decide)

    told = units.decide_all(WHICH, [take(1), take(100), take(2), take(200)])
    assert [type(one) for one in told] == [int, TooPoor, int, TooPoor]
    assert left_fen(units) == 6


def test_a_batch_that_only_refuses_touches_nothing(units: Units) -> None:
    def decide(rows: Rows) -> None:
        rows.later(thing, HOT, more(1))
        raise TooPoor(short_fen=1)

    units.decide_all(WHICH, [Decide(lambda _: False, decide)])
    assert left_fen(units) is None


def test_while_reading_no_step_runs(units: Units) -> None:
    with units.read(WHICH) as work:
        work.rows.later(thing, HOT, more(1))
    assert left_fen(units) is None


@ON_POSTGRES
def test_two_who_change_it_meet_at_the_end_and_lose_nothing(
    databases: Databases, clock: ManualClock
) -> None:
    """Goal: each transaction holds rows of its own, and the hot ones in one order."""
    hot = [(f"hot{number}", TODAY) for number in range(6)]

    def add(index: int) -> None:
        mine = Units(databases, clock)
        for turn in range(10):
            with mine.write(WHICH) as work:
                work.rows.want(thing, f"own{index}", TODAY)
                work.rows.load()
                for key in hot if (index + turn) % 2 else reversed(hot):
                    work.rows.later(thing, key, lambda row, key=key: _one_more(row, key))

    assert together(6, add) == [None] * 6
    rows = stored(Units(databases, clock), thing)
    assert {key: rows[key]["left_fen"] for key in hot} == dict.fromkeys(hot, 60)


def _one_more(row: Row | None, key: Key) -> Row:
    if row is None:
        return {"owner": key[0], "day": key[1], "left_fen": 1}
    return {**row, "left_fen": row["left_fen"] + 1}


@ON_POSTGRES
def test_others_are_not_kept_waiting_while_it_is_decided(
    databases: Databases, units: Units, clock: ManualClock
) -> None:
    """Goal: a whole transaction on the hot row passes while another one is still deciding."""
    elsewhere = Units(databases, clock)
    with units.write(WHICH) as work:
        work.rows.want(thing, "own", TODAY)
        work.rows.load()
        work.rows.later(thing, HOT, more(1))
        with elsewhere.write(WHICH) as other:
            other.rows.later(thing, HOT, more(10))
        assert left_fen(elsewhere) == 10
    assert left_fen(units) == 11
