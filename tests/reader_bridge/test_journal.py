"""The journal: what was stored stays, survives kill -9, and gives each reference one sale."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest

from reader_bridge.faults import TerminalFault
from reader_bridge.journal import FLOW, Draft, EntryKind, EntryState, Journal, TransitionRefused

ROOT = Path(__file__).resolve().parents[2]
AT = 1_790_000_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path):
    with closing(Journal(path)) as opened:
        yield opened


def draft(number: int, kind: EntryKind = EntryKind.SALE, reference: str | None = None) -> Draft:
    return Draft(
        kind=kind,
        entry_id=f"pay_{number}",
        reference=reference or f"R{number}",
        payment_id=f"pay_{number}",
        amount_fen=1250,
        method="tap",
        application="CITY CARD",
    )


def body_of(counter: int) -> bytes:
    return json.dumps({"terminal_counter": counter}).encode()


def test_counters_rise_and_the_body_is_kept_byte_for_byte(journal, path):
    entries = [journal.store(draft(number), body_of, AT)[0] for number in range(3)]
    assert [entry.terminal_counter for entry in entries] == [1, 2, 3]
    with closing(Journal(path)) as again:
        assert list(again.pending()) == entries
        assert again.store(draft(9), body_of, AT)[0].terminal_counter == 4
        assert again.last_result("R1") == entries[1]
        assert again.last_result("none") is None


def test_a_reference_gives_its_first_sale_and_takes_no_counter(journal):
    first, is_new = journal.store(draft(1), body_of, AT)
    assert is_new
    again, is_new = journal.store(draft(2, reference="R1"), body_of, AT + 9)
    assert (again, is_new) == (first, False)
    assert journal.store(draft(3), body_of, AT)[0].terminal_counter == 2
    refund, is_new = journal.store(draft(4, EntryKind.REFUND, "R1"), body_of, AT)
    assert is_new
    assert refund.draft.kind is EntryKind.REFUND


def put_into(journal, number, kind, state):
    journal.store(draft(number, kind), body_of, AT)
    path = {
        EntryState.STORED: [],
        EntryState.REVERSED: [EntryState.REVERSED],
    }.get(state, [state])
    for step in path:
        journal.settle(f"pay_{number}", step, {"step": step.value}, AT)


@pytest.mark.parametrize(("before", "after"), list(product(EntryState, EntryState)))
def test_every_pair_of_states_is_decided(journal, before, after):
    kind = EntryKind.REFUND if EntryState.POSTED in {before, after} else EntryKind.SALE
    impossible = {EntryState.CAPTURED, EntryState.REVERSED} & {before, after}
    if kind is EntryKind.REFUND and impossible:
        assert (before, after) not in FLOW
        return
    put_into(journal, 1, kind, before)
    if before is after:
        first = journal.find(kind, "R1")
        assert journal.settle("pay_1", after, {"other": 1}, AT + 1) == first
    elif (before, after) in FLOW:
        assert journal.settle("pay_1", after, {"new": 1}, AT, (("card", 1.5),)).state is after
        assert journal.find(kind, "R1").answer == {"new": 1}
        assert journal.find(kind, "R1").steps == (("card", 1.5),)
    else:
        with pytest.raises(TransitionRefused):
            journal.settle("pay_1", after, {}, AT)
        assert journal.find(kind, "R1").state is before


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entry",
        "UPDATE entry SET amount_fen = 1",
        "UPDATE entry SET body = x'00'",
        "UPDATE entry SET reference = 'other'",
        "UPDATE entry SET terminal_counter = 77",
        "UPDATE entry SET state = 'captured'",  # without an answer
        "UPDATE entry SET state = 'posted', answer = '{}'",  # a sale is never posted
        "INSERT INTO entry SELECT 'x', kind, 'x', payment_id, 0, method, application, 9, body,"
        " state, answer, stored_at, answered_at, steps FROM entry",
    ],
)
def test_the_database_says_the_laws_again(journal, path, statement):
    journal.store(draft(1), body_of, AT)
    with closing(sqlite3.connect(path)) as other, pytest.raises(sqlite3.IntegrityError):
        other.execute(statement)


def test_settings_for_power_cuts(journal, path):
    assert journal._database.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    assert journal._database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_was_stored_outlives_kill_9(path):
    """The child is killed by itself after the first store and inside the second transaction."""
    program = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from reader_bridge.journal import Draft, EntryKind, Journal

        def draft(number):
            return Draft(EntryKind.SALE, f"pay_{number}", f"R{number}", f"pay_{number}", 1250,
                         "tap", None)

        def killed_while_storing(counter):
            os.kill(os.getpid(), signal.SIGKILL)

        journal = Journal(Path(sys.argv[1]))
        journal.store(draft(1), lambda counter: b"first", 5)
        journal.store(draft(2), killed_while_storing, 6)
        """
    )
    child = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=30,
    )
    assert child.returncode == -signal.SIGKILL
    with closing(Journal(path)) as journal:
        (entry,) = journal.pending()
        assert (entry.draft.reference, entry.body, entry.terminal_counter) == ("R1", b"first", 1)
        assert journal.store(draft(2), body_of, 7)[0].terminal_counter == 2


@pytest.mark.parametrize(
    "content", [b"this is no database at all, sorry" * 40, b"SQLite format 3\0"]
)
def test_a_damaged_file_is_one_clear_fault(path, content):
    path.write_bytes(content)
    with pytest.raises(TerminalFault) as caught:
        Journal(path)
    assert caught.value.code == "state_damaged"


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(TerminalFault, match="state_unusable"):
        Journal(tmp_path / "missing" / "journal.sqlite")
