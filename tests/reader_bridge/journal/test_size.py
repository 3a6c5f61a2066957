"""Ten or a hundred thousand sales in the file: a tap costs the same. Counted, not timed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from reader_bridge.journal import Atc, Journal, Usage, Verdict
from reader_bridge.journal.model import EntryState
from tests.reader_bridge.journal.support import AT, CARD, body_of, draft

FEW, MANY = 10, 100_000
FEN = 250
FILL = """
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {count})
INSERT INTO entry (entry_id, kind, reference, payment_id, amount_fen, method, terminal_counter,
  body, state, stored_at, card_key, accepted_at, link, chain)
SELECT 'pay_' || n, 'sale', 'R' || n, 'pay_' || n, {fen}, 'tap', n, zeroblob(200), 'accepted',
  {at} + n, 'token:' || (n % 5000), {at} + n, n, zeroblob(32) FROM number
"""


def filled(path: Path, count: int) -> Journal:
    journal = Journal(path)
    connection = journal._database._connection
    connection.execute(FILL.format(count=count, fen=FEN, at=AT))
    connection.execute("UPDATE book SET last_counter = ?1, last_link = ?1, last_at = 1", (count,))
    return journal


def steps_of(journal: Journal, act: Callable[[], object]) -> int:
    """Instructions of SQLite's virtual machine."""
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    connection = journal._database._connection
    connection.set_progress_handler(count, 1)
    try:
        act()
    finally:
        connection.set_progress_handler(None, 1)
    return steps


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, int]]:
    """What each act costs with few and with many entries in the file."""
    found: dict[str, dict[int, int]] = {}
    for count in (FEW, MANY):
        with closing(filled(tmp_path_factory.mktemp("size") / "j.sqlite", count)) as journal:
            assert journal.usage(CARD, AT * 2) == Usage(FEN * count, count, AT + 1, 0, 0, None)
            new, atc = draft(-1), Atc(5, AT)
            acts: dict[str, Callable[[], object]] = {
                "usage": lambda j=journal: j.usage("token:1", AT),
                "find_open": lambda j=journal: j.find_open("token:1"),
                "accept_new": lambda j=journal, d=new, a=atc: j.accept_new(
                    d, CARD, body_of, AT, atc=a
                ),
                "intend": lambda j=journal: j.intend(draft(-2), "purse:1", body_of, AT),
                "accept": lambda j=journal: j.accept("pay_-2", b"{}", AT),
                "to_upload": lambda j=journal: j.to_upload(FEW),
                "conclude": lambda j=journal: j.conclude(
                    [Verdict("pay_3", EntryState.CAPTURED, {})], AT
                ),
            }
            for name, act in acts.items():
                found.setdefault(name, {})[count] = steps_of(journal, act)
    return found


@pytest.mark.parametrize(
    "name", ["usage", "find_open", "accept_new", "intend", "accept", "to_upload", "conclude"]
)
def test_the_number_of_entries_does_not_slow(steps, name):
    """`usage` reads the card's own sales: 20 of 100 000 here, and a card's number is limited."""
    few, many = steps[name][FEW], steps[name][MANY]
    assert few > 10
    own_sales = MANY // 5000 if name == "usage" else 0
    assert many <= few + 10 * own_sales + 5
