"""Writes the journal into a folder that proves itself: docs/protocol/journal-export.md.

Everything comes from one snapshot and goes out as it is read; the folder appears when whole.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Select, and_, or_, select

from backend.db import Units, Which, Work
from backend.keys import KeyRef, Keys, public_jwk
from backend.wallet.ledger.lines import (
    ROWS_AT_ONCE,
    bytes_of,
    bytewise,
    canonical,
    lines_of,
    moment_text,
)
from backend.wallet.ledger.segments import open_number
from backend.wallet.ledger.tables import account, entry, posting, segment

HEAD_FORM = "journal/1"
ACCOUNTS, POSTINGS, SEGMENTS, STRAYS, HEAD = (
    "accounts.jsonl",
    "postings.jsonl",
    "segments.jsonl",
    "strays.jsonl",
    "head.json",
)
FIGURES = ("floor_fen", "debits_posted", "credits_posted", "debits_pending", "credits_pending")


class ExportRefused(Exception):
    """The folder cannot be written: told to the operator, in one line."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export holds; `strays` are entries that fit no posting: there should be none."""

    folder: Path
    accounts: int
    postings: int
    unsealed: int
    segments: int
    strays: int


def export_journal(units: Units, keys: Keys, folder: Path) -> Manifest:
    """Write accounts, postings, seals and head into `folder`, which must not exist or be empty.

    Raises ExportRefused, and DatabaseUnavailable; then there is no folder.
    """
    with _whole_or_not(folder) as growing, units.read(Which.LEDGER) as work:
        return _export(work, keys, growing, folder)


def _export(work: Work, keys: Keys, growing: Path, folder: Path) -> Manifest:
    accounts = _write(growing / ACCOUNTS, _account_lines(work))
    seals = _write(growing / SEGMENTS, _segment_lines(work))
    newest = _find_newest(work)
    postings = unsealed = 0
    with (growing / POSTINGS).open("wb") as file:
        for number in _numbers(work):
            count = _append(file, _posting_lines(work, number))
            postings += count
            unsealed += count if newest is None or number > newest["number"] else 0
    strays = _write(growing / STRAYS, _stray_lines(work))
    head = {
        "form": HEAD_FORM,
        "exported_at": moment_text(work.now),
        "accounts": accounts,
        "postings": postings,
        "unsealed_postings": unsealed,
        "open_segment": open_number(work),
        "newest_segment": newest,
        "keys": [public_jwk(key) for key in keys.public_keys(KeyRef.LEDGER_SEAL).values()],
    }
    _write(growing / HEAD, [canonical(head)])
    return Manifest(folder, accounts, postings, unsealed, seals, strays)


def _account_lines(work: Work) -> Iterator[bytes]:
    columns = account.c
    for row in _rows(work, select(account).order_by(bytewise(work, columns.account_id))):
        yield canonical(
            {
                "account_id": row.account_id,
                "kind": row.kind,
                "account_class": row.account_class,
                "side": row.side,
                "state": row.state,
                "lines": row.lines,
                **{name: getattr(row, name) for name in FIGURES},
            }
        )


def _segment_lines(work: Work) -> Iterator[bytes]:
    # One at a time: a segment carries 16 bytes for each of its postings.
    for row in _rows(work, select(segment).order_by(segment.c.number), at_once=1):
        yield canonical(
            {
                "number": row.number,
                "postings": row.postings,
                "previous_hash": row.previous_hash.hex(),
                "leaves": row.leaves.hex(),
                "segment_hash": row.segment_hash.hex(),
                "key_id": row.key_id,
                "signature": row.signature.hex(),
                "sealed_at": moment_text(row.sealed_at),
            }
        )


def _find_newest(work: Work) -> Mapping[str, Any] | None:
    columns = segment.c
    query = select(columns.number, columns.segment_hash, columns.sealed_at)
    row = work.execute(query.order_by(columns.number.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    return {
        "number": row.number,
        "segment_hash": row.segment_hash.hex(),
        "sealed_at": moment_text(row.sealed_at),
    }


def _numbers(work: Work) -> list[int]:
    """The segments that postings name: from the postings, so that none is left out."""
    query = select(posting.c.segment).distinct().order_by(posting.c.segment)
    return list(work.execute(query).scalars())


def _posting_lines(work: Work, number: int) -> Iterator[bytes]:
    with closing(lines_of(work, number)) as lines:
        for line in lines:
            yield bytes_of(line)


def _stray_lines(work: Work) -> Iterator[bytes]:
    """Entries without a posting, or that differ from theirs: a statement would show them."""
    its_side = or_(
        and_(entry.c.side == "debit", entry.c.account_id == posting.c.debit),
        and_(entry.c.side == "credit", entry.c.account_id == posting.c.credit),
    )
    fits = and_(
        posting.c.operation_id == entry.c.operation_id,
        posting.c.leg == entry.c.leg,
        posting.c.amount_fen == entry.c.amount_fen,
        posting.c.posted_at == entry.c.posted_at,
        posting.c.code == entry.c.code,
        its_side,
    )
    stray = select(entry).outerjoin(posting, fits).where(posting.c.operation_id.is_(None))
    order = (bytewise(work, entry.c.account_id), entry.c.line)
    for row in _rows(work, stray.order_by(*order)):
        yield canonical(
            {
                "account_id": row.account_id,
                "line": row.line,
                "operation_id": row.operation_id,
                "leg": row.leg,
                "side": row.side,
                "amount_fen": row.amount_fen,
                "balance_fen": row.balance_fen,
                "posted_at": moment_text(row.posted_at),
            }
        )


def _rows(work: Work, query: Select[Any], at_once: int = ROWS_AT_ONCE) -> Iterator[Any]:
    with work.execute(query.execution_options(yield_per=at_once)) as rows:
        yield from rows


def _write(path: Path, lines: Iterable[bytes]) -> int:
    with path.open("wb") as file:
        return _append(file, lines)


def _append(file: Any, lines: Iterable[bytes]) -> int:
    """Write lines and see them on the disk; how many."""
    count = 0
    for line in lines:
        file.write(line + b"\n")
        count += 1
    file.flush()
    os.fsync(file.fileno())
    return count


@contextmanager
def _whole_or_not(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` to write into, which takes its name at the end."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportRefused(f"export: {folder} is there already")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        growing = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise ExportRefused(f"export: {folder}: {error.strerror}") from error
    try:
        yield growing
        os.replace(growing, folder)
    except OSError as error:
        raise ExportRefused(f"export: {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(growing, ignore_errors=True)  # it is gone where all went well
