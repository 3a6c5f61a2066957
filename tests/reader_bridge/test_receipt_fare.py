"""Goal: a fare goes into a document and back, and into both languages; nonsense is no fare."""

from __future__ import annotations

from typing import Any

import pytest

from reader_bridge.faults import Text
from reader_bridge.receipt_fare import Fare, find_fare

FARE = Fare(kind="exit", full_fare_fen=500, concession_fen=150, transfer_fen=100)


def test_a_document_and_back() -> None:
    told = Fare(kind="entry", full_fare_fen=0, told=Text("请进", "Go in"))
    assert find_fare(FARE.to_document()) == FARE
    assert find_fare(told.to_document()) == Fare(kind="entry", full_fare_fen=0)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"kind": "exit"},
        {**FARE.to_document(), "kind": 4},
        {**FARE.to_document(), "full_fare_fen": "500"},
        {**FARE.to_document(), "transfer_fen": True},
        {**FARE.to_document(), "told": "Go in"},
    ],
)
def test_what_is_no_fare(document: Any) -> None:
    assert find_fare(document) is None


def test_lines_in_both_languages() -> None:
    lines = [(title.zh, value) for title, value in FARE.rows("zh-CN")]
    assert lines == [
        ("类型", "出站"),
        ("票价", "5.00 元"),
        ("优惠", "1.50 元"),
        ("换乘优惠", "1.00 元"),
    ]
    free = Fare(kind="entry", full_fare_fen=0).rows("en")
    assert [value for _, value in free] == ["Entry", None, None, None]
