"""A statement as a spreadsheet program reads it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from backend.wallet.statements.model import StatementLine
from backend.wallet.statements.spreadsheet import COLUMNS, csv_chunks, harmless
from backend.wallet.statements.words import Speaker

LINE = StatementLine(
    line_id="7",
    time=datetime(2026, 11, 22, 16, 0, 1, tzinfo=UTC),
    business_date=date(2026, 11, 23),
    code="payment",
    amount_fen=-123_456,
    balance_fen=5,
    counterparty='湾区"便利店", 一号\n店',
    reference="pay_1",
    operation_id="pay_1/reversal",
    linked_to=None,
)


def rows(chunks: list[bytes]) -> list[list[str]]:
    text = b"".join(chunks).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def test_the_bytes_of_a_file() -> None:
    chunks = list(csv_chunks([[LINE]], Speaker("zh")))
    assert chunks[0].startswith(b"\xef\xbb\xbf" + "序号,时间,".encode())
    assert chunks[1].decode() == (
        "7,2026-11-23 00:00:01,2026-11-23,消费,payment,-1234.56,-123456,0.05,5,"
        '"湾区""便利店"", 一号\n店",pay_1/reversal,\r\n'
    )


def test_a_reader_gets_back_what_was_written() -> None:
    head, line = rows(list(csv_chunks([[LINE]], Speaker("en"))))
    assert head[:3] == ["Line", "Time", "Business date"]
    assert len(head) == len(line) == len(COLUMNS) == len(set(head))
    assert line[9] == LINE.counterparty


def test_a_page_is_a_piece() -> None:
    """Goal: memory is bounded by a page: nothing is read ahead of what is written."""
    read: list[int] = []

    def pages():
        for number in range(3):
            read.append(number)
            yield [LINE] * 2

    chunks = csv_chunks(pages(), Speaker("zh"))
    next(chunks)
    assert read == []
    next(chunks)
    assert read == [0]
    assert len(list(chunks)) == 2


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", " =", "  @", "\u3000+"]
)
def test_a_formula_is_only_text(start: str) -> None:
    memo = f"{start}HYPERLINK(1)"
    assert harmless(memo) == f"'{memo}"
    planted = replace(LINE, counterparty=memo, operation_id=memo, linked_to=memo, code=memo)
    _, line = rows(list(csv_chunks([[planted]], Speaker("zh"))))
    assert [line[at] for at in (3, 4, 9, 10, 11)] == [f"'{memo}"] * 5
    assert line[5:7] == ["-1234.56", "-123456"]  # a number stays a number


@pytest.mark.parametrize("memo", ["", "便利店", "a=b", "····4560", "'", " x", "1-2"])
def test_other_texts_stay_as_they_are(memo: str) -> None:
    assert harmless(memo) == memo
