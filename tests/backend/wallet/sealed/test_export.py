"""The export: one snapshot, whole or not at all, in the forms the document gives."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from plain_books import BANK, SHOP, Books, as_owner
from sqlalchemy import text

from backend.db import Databases, DatabaseUnavailable, Units
from backend.keys import KeyRef, SoftwareKeys, public_jwk
from backend.wallet.ledger import export
from backend.wallet.ledger.export import ExportRefused, Manifest, export_journal
from backend.wallet.ledger.sealing import Sealer
from tools.verify_ledger.forms import read_head
from tools.verify_ledger.verify import verify

FILES = ["accounts.jsonl", "head.json", "postings.jsonl", "segments.jsonl", "strays.jsonl"]


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_what_is_written(books: Books, sealer: Sealer, keys: SoftwareKeys, tmp_path: Path) -> None:
    books.post("top_1", (BANK, "wal_a", 1_000))
    books.post("pay_1", ("wal_a", SHOP, 250))
    seal = sealer.seal()
    assert seal is not None
    books.post("pay_2", ("wal_a", SHOP, 50))
    folder = tmp_path / "new" / "journal"
    made = export_journal(books.units, keys, folder)
    assert made == Manifest(folder, accounts=6, postings=3, unsealed=1, segments=1, strays=0)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["journal"]
    newest = {
        "number": 1,
        "segment_hash": seal.segment_hash.hex(),
        "sealed_at": "2026-11-23T02:00:00.000000Z",
    }
    assert lines(folder / "head.json") == [
        {
            "form": "journal/1",
            "exported_at": "2026-11-23T02:00:00.000000Z",
            "accounts": 6,
            "postings": 3,
            "unsealed_postings": 1,
            "open_segment": 2,
            "newest_segment": newest,
            "keys": [public_jwk(keys.public_key(KeyRef.LEDGER_SEAL))],
        }
    ]
    wallet = next(row for row in lines(folder / "accounts.jsonl") if row["account_id"] == "wal_a")
    assert wallet == {
        "account_id": "wal_a",
        "kind": "wallet",
        "account_class": "registered",
        "side": "credit",
        "state": "open",
        "floor_fen": 0,
        "lines": 3,
        "debits_posted": 300,
        "credits_posted": 1_000,
        "debits_pending": 0,
        "credits_pending": 0,
    }
    assert [row[2] for row in lines(folder / "postings.jsonl")] == ["pay_1", "top_1", "pay_2"]
    assert (folder / "strays.jsonl").read_bytes() == b""
    assert verify(folder, read_head(folder / "head.json")).postings == 3


def test_one_snapshot_while_others_write(
    books: Books, sealer: Sealer, keys: SoftwareKeys, tmp_path: Path
) -> None:
    """Goal: whatever is posted and sealed meanwhile, each export proves itself."""
    stop, kept = threading.Event(), None

    def write() -> int:
        count = 0
        while not stop.is_set():
            books.post(f"top_{count:06d}", (BANK, "wal_a", 5), (BANK, "wal_b", 5))
            count += 1
            if count % 5 == 0:
                sealer.seal()
        return count

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        try:
            for number in range(6):
                folder = tmp_path / str(number)
                export_journal(books.units, keys, folder)
                verify(folder, kept)
                kept = read_head(folder / "head.json")
        finally:
            stop.set()
        assert writer.result(timeout=30) > 6
    export_journal(books.units, keys, tmp_path / "last")
    assert verify(tmp_path / "last", kept).postings == 2 * writer.result()


def test_closed_segments_that_are_not_sealed_are_told(
    books: Books, sealer: Sealer, keys: SoftwareKeys, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(Sealer, "_closed", lambda self: iter(()))  # the worker died between
    for number in (1, 2):
        books.post(f"top_{number}", (BANK, "wal_a", 1_000))
        sealer.seal()
    books.post("top_3", (BANK, "wal_a", 1_000))
    made = export_journal(books.units, keys, tmp_path / "journal")
    assert (made.segments, made.unsealed) == (0, 3)
    report = verify(tmp_path / "journal")
    assert (report.segments, report.unsealed) == (0, 3)


def test_a_folder_with_something_in_it_is_left_alone(
    books: Books, keys: SoftwareKeys, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("mine")
    for taken in (tmp_path, tmp_path / "mine"):
        with pytest.raises(ExportRefused, match="is there already"):
            export_journal(books.units, keys, taken)
    with pytest.raises(ExportRefused):
        export_journal(books.units, keys, tmp_path / "mine" / "inside")
    assert [path.name for path in tmp_path.iterdir() if path.name != "databases"] == ["mine"]


def _fails(*_arguments: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _is_away(*_arguments: object) -> None:
    raise DatabaseUnavailable


@pytest.mark.parametrize(
    ("failure", "seen"), [(_fails, ExportRefused), (_is_away, DatabaseUnavailable)]
)
def test_what_fails_half_way_leaves_nothing(
    books: Books,
    keys: SoftwareKeys,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    failure: Callable[..., None],
    seen: type[Exception],
) -> None:
    monkeypatch.setattr(export, "_stray_lines", failure)
    with pytest.raises(seen):
        export_journal(books.units, keys, tmp_path / "out" / "journal")
    assert list((tmp_path / "out").iterdir()) == []


def test_entries_that_fit_no_posting_are_listed(
    books: Books, keys: SoftwareKeys, databases: Databases, units: Units, tmp_path: Path
) -> None:
    books.post("top_1", (BANK, "wal_a", 1_000))
    books.post("top_2", (BANK, "wal_a", 1_000))
    with as_owner(databases) as owner:
        for statement in (
            "UPDATE entry SET amount_fen = 999 WHERE operation_id = 'top_1' AND side = 'debit'",
            "UPDATE entry SET side = 'debit' WHERE operation_id = 'top_1' AND side = 'credit'",
            "UPDATE entry SET leg = 1 WHERE operation_id = 'top_2' AND side = 'debit'",
        ):
            owner.execute(text(statement))
    assert export_journal(units, keys, tmp_path / "journal").strays == 3
    found = lines(tmp_path / "journal" / "strays.jsonl")
    assert [(row["account_id"], row["line"], row["leg"], row["amount_fen"]) for row in found] == [
        *((BANK, 1, 0, 999), (BANK, 2, 1, 1_000), ("wal_a", 1, 0, 1_000))
    ]
