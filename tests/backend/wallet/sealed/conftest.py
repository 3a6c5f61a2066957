"""Books written row by row with plain SQL: these tests are about what is written, not how."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from plain_books import BANK, SHOP, Books
from tampering import Ask, Evidence

from backend.db import Units
from backend.kernel import ManualClock
from backend.keys import SoftwareKeys
from backend.wallet.ledger.export import export_journal
from backend.wallet.ledger.sealing import Sealer
from tools.verify_ledger.__main__ import main

SEALED = 3


@pytest.fixture(autouse=True)
def _audited() -> None:
    """Takes the place of the audit after every test of money: here books are broken on purpose."""


@pytest.fixture
def books(units: Units) -> Books:
    """House accounts, three wallets and a shop; nothing posted yet."""
    return Books.opened(units)


@pytest.fixture
def sealer(units: Units, keys: SoftwareKeys) -> Sealer:
    return Sealer(units, keys)


@pytest.fixture
def ask(
    books: Books, keys: SoftwareKeys, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Ask:
    """Export and check; `name` is the folder's, so that a test can export twice."""

    def export_and_check(name: str, *options: str, signed_by: SoftwareKeys = keys) -> Evidence:
        folder = tmp_path / name
        export_journal(books.units, signed_by, folder)
        capsys.readouterr()  # what others said before
        exit_code = main([str(folder), *options])
        (said,) = capsys.readouterr().out.splitlines()
        return Evidence(exit_code, said, folder)

    return export_and_check


@pytest.fixture
def history(books: Books, sealer: Sealer, clock: ManualClock) -> Books:
    """Three sealed segments of seven postings each, and four postings not sealed."""
    for segment in range(1, SEALED + 2):
        clock.advance(timedelta(minutes=1))
        books.post(f"top_{segment}", (BANK, "wal_a", 5_000))
        books.post(f"top_{segment}b", (BANK, "wal_b", 7_000))
        for number in (1, 2, 3):
            clock.advance(timedelta(seconds=1))
            books.post(f"pay_{segment}{number}", ("wal_a", SHOP, 100 + number))
        books.post(f"two_{segment}", ("wal_b", "wal_c", 50), ("wal_c", SHOP, 20))
        if segment <= SEALED:
            sealer.seal()
    return books
