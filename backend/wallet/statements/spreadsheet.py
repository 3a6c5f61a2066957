"""A statement as CSV (RFC 4180) that a spreadsheet program opens without harm. Knows no request."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from backend.kernel import yuan_text
from backend.wallet.statements.model import StatementLine
from backend.wallet.statements.words import Speaker

BYTE_ORDER_MARK = "\ufeff"  # without it spreadsheet programs read Chinese in the wrong encoding

COLUMNS = (
    "line",
    "time",
    "business_date",
    "what",
    "code",
    "amount_yuan",
    "amount_fen",
    "balance_yuan",
    "balance_fen",
    "counterparty",
    "operation_id",
    "linked_to",
)

FORMULA_STARTS = frozenset("=+-@\t\r\n＝＋－＠")
"""What makes a cell a formula (OWASP, CSV Injection), full width too."""


def csv_chunks(pages: Iterable[list[StatementLine]], speaker: Speaker) -> Iterator[bytes]:
    """The file in pieces, UTF-8: mark and head first, then one piece a page."""
    head = _text([[speaker.text(name) for name in COLUMNS]])
    yield (BYTE_ORDER_MARK + head).encode()
    for page in pages:
        yield _text(_row(one, speaker) for one in page).encode()


def harmless(text: str) -> str:
    """A text that no spreadsheet program takes for a formula: an apostrophe goes before it."""
    begins = text.lstrip(" \u3000")[:1]
    return f"'{text}" if begins in FORMULA_STARTS and begins else text


def _row(line: StatementLine, speaker: Speaker) -> list[str]:
    return [
        line.line_id,
        speaker.moment(line.time),
        line.business_date.isoformat(),
        harmless(speaker.kind(line.code)),
        harmless(line.code),
        yuan_text(line.amount_fen),
        str(line.amount_fen),
        yuan_text(line.balance_fen),
        str(line.balance_fen),
        harmless(line.counterparty),
        harmless(line.operation_id),
        harmless(line.linked_to or ""),
    ]


def _text(rows: Iterable[list[str]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerows(rows)
    return buffer.getvalue()
