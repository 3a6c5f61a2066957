"""Every value a row may hold comes back as it went in, the same on both engines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from db_world import WHICH
from rows_world import DAYS, sample, stored, thing

from backend.db import Units

pytestmark = pytest.mark.usefixtures("rows_tables")

TODAY = DAYS[0]

WORDS = [
    "",
    "余额不足 😀 𠮷",
    'it\'s "quoted" and \\escaped\\ \\u0041 \\x41 %s :name ? {x} $1',
    "tab\t newline\n return\r del\x7f",
    "null",
    "x" * 200_000,
]
DOCUMENTS: list[Any] = [
    {},
    [],
    {"键": ["\\", '"', "'", None, True, 1.5, -(2**53)], "deep": {"a": {"b": [[]]}}},
    "a text",
    "null",
    12,
    False,
]
MOMENTS = [
    datetime(2026, 11, 23, 1, 2, 3, 456789, tzinfo=UTC),
    datetime(2026, 11, 23, 0, 0, tzinfo=timezone(timedelta(hours=8))),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
]
CASES: list[tuple[str, Any]] = [
    *[("words", one) for one in WORDS],
    *[("document", one) for one in DOCUMENTS],
    *[("moment", one) for one in MOMENTS],
    *[("raw", one) for one in (b"", b"\x00\xff\\x41'\"", bytes(range(256)), b"\\x00")],
    *[("day", one) for one in (date.min, TODAY, date.max)],
    *[("number", one) for one in (0, -1, 2**53 + 1, 2**63 - 1, -(2**63))],
]


def test_every_value_comes_back_as_it_was_added_and_changed(units: Units) -> None:
    blank = dict.fromkeys(column.name for column in sample.columns)
    with units.write(WHICH) as work:
        for number, (column, value) in enumerate(CASES):
            work.rows.add(sample, {"name": f"added {number}", column: value})
            work.rows.add(sample, {"name": f"changed {number}"})
    with units.write(WHICH) as work:
        for number, (column, value) in enumerate(CASES):
            work.rows.find(sample, f"changed {number}")
            work.rows.change(sample, (f"changed {number}",), **{column: value})
    found = stored(units, sample)
    with units.read(WHICH) as work:
        for number, (column, value) in enumerate(CASES):
            for name in (f"added {number}", f"changed {number}"):
                wanted = {**blank, "name": name, column: value}
                assert found[name,] == wanted, column
                assert work.rows.find(sample, name) == wanted


def test_a_value_becomes_null_again(units: Units) -> None:
    full = {"words": "w", "moment": MOMENTS[0], "raw": b"r", "day": TODAY, "number": 1}
    with units.write(WHICH) as work:
        work.rows.add(sample, {"name": "x", "document": {}, **full})
    with units.write(WHICH) as work:
        work.rows.find(sample, "x")
        work.rows.change(sample, ("x",), document=None, **dict.fromkeys(full))
    assert set(stored(units, sample)["x",].values()) == {"x", None}


@pytest.mark.parametrize("key", ["王小明", "a'b", 'a"b', "a\\b", "a,b", "{a}", "[1]", "null", " "])
def test_a_key_of_any_letters_is_found_changed_and_removed(units: Units, key: str) -> None:
    with units.write(WHICH) as work:
        work.rows.add(thing, {"owner": key, "day": TODAY, "left_fen": 1})
        work.rows.add(sample, {"name": key, "number": 1})
    with units.write(WHICH) as work:
        assert work.rows.find(thing, key, TODAY) is not None
        assert work.rows.find(sample, key) is not None
        work.rows.change(thing, (key, TODAY), left_fen=2)
        work.rows.change(sample, (key,), number=2)
    assert stored(units, thing)[key, TODAY]["left_fen"] == 2
    assert stored(units, sample)[key,]["number"] == 2
    with units.write(WHICH) as work:
        work.rows.remove(thing, key, TODAY)
        work.rows.remove(sample, key)
    assert (stored(units, thing), stored(units, sample)) == ({}, {})


BAD_VALUES: list[tuple[str, Callable[[], Any]]] = [
    ("moment", lambda: datetime(2026, 11, 23)),  # noqa: DTZ001 - without a zone
    ("document", lambda: {"x": object()}),
]


@pytest.mark.parametrize(("column", "make"), BAD_VALUES, ids=[name for name, _ in BAD_VALUES])
def test_what_no_column_keeps_is_a_bug_and_not_stored_otherwise(
    units: Units, column: str, make: Callable[[], Any]
) -> None:
    """Goal: a moment without a zone is refused on either engine, never read as local time."""
    with pytest.raises((ValueError, TypeError)), units.write(WHICH) as work:
        work.rows.add(sample, {"name": "x", column: make()})
    assert stored(units, sample) == {}
