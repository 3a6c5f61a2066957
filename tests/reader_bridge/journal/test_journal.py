"""The journal: what was stored stays, survives kill -9, and gives each reference one sale."""

from __future__ import annotations

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
from reader_bridge.journal import FLOW, Entry, EntryKind, EntryState, Journal, TransitionRefused
from reader_bridge.journal.model import ANSWERED, OF_SALES_ONLY
from tests.reader_bridge.journal.support import AT, CARD, body_of, draft

ROOT = Path(__file__).resolve().parents[3]


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


def put_into(journal: Journal, number: int, kind: EntryKind, state: EntryState) -> Entry:
    """An entry in that state, by a way that FLOW knows."""
    if state in {EntryState.INTENDED, EntryState.DROPPED}:
        journal.intend(draft(number), CARD, body_of, AT)
    elif state is EntryState.ACCEPTED:
        journal.accept_new(draft(number), CARD, body_of, AT)
    else:
        journal.store(draft(number, kind), body_of, AT, card_key=CARD)
    if state is EntryState.DROPPED:
        return journal.drop(f"pay_{number}", AT)
    if state in ANSWERED:
        return journal.settle(f"pay_{number}", state, {"step": state.value}, AT)
    return journal._entries("entry_id = ?", f"pay_{number}")[0]


def move(journal: Journal, entry_id: str, state: EntryState) -> Entry:
    if state is EntryState.ACCEPTED:
        return journal.accept(entry_id, b"{}", AT + 1)
    if state is EntryState.DROPPED:
        return journal.drop(entry_id, AT + 1)
    return journal.settle(entry_id, state, {"new": 1}, AT + 1, (("card", 1.5),))


@pytest.mark.parametrize(("before", "after"), list(product(EntryState, EntryState)))
def test_every_pair_of_states_is_decided(journal, path, before, after):
    kind = EntryKind.REFUND if EntryState.POSTED in {before, after} else EntryKind.SALE
    if kind is EntryKind.REFUND and {before, after} & OF_SALES_ONLY:
        assert (before, after) not in FLOW
        return
    first = put_into(journal, 1, kind, before)
    assert first.state is before
    if (before, after) in FLOW:
        moved = move(journal, "pay_1", after)
        assert moved.state is after
        assert moved == journal._entries("entry_id = 'pay_1'")[0]
        if after in ANSWERED:
            assert (moved.answer, moved.steps) == ({"new": 1}, (("card", 1.5),))
    elif before is after and before is not EntryState.ACCEPTED:
        assert move(journal, "pay_1", after) == first
    else:
        with pytest.raises(TransitionRefused):
            move(journal, "pay_1", after)
        assert journal._entries("entry_id = 'pay_1'") == (first,)
        if before is not after:
            with closing(sqlite3.connect(path)) as other, pytest.raises(sqlite3.IntegrityError):
                other.execute("UPDATE entry SET state = ?", (after.value,))


def test_states_fall_into_those_with_an_answer_and_those_without(journal):
    for number, state in enumerate(sorted(EntryState, key=lambda one: one.value)):
        kind = EntryKind.REFUND if state is EntryState.POSTED else EntryKind.SALE
        entry = put_into(journal, number, kind, state)
        assert (entry.answer is not None) == (state in ANSWERED)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entry",
        "UPDATE entry SET amount_fen = 1",
        "UPDATE entry SET body = x'00'",
        "UPDATE entry SET reference = 'other'",
        "UPDATE entry SET terminal_counter = 77",
        "UPDATE entry SET state = 'captured'",  # without an answer
        "UPDATE entry SET state = 'accepted'",  # without a place in the chain
        "UPDATE entry SET card_key = 'other'",
        "UPDATE entry SET link = 1",
        "UPDATE entry SET aside = '{}'",  # was never accepted
        "UPDATE book SET open_sum_fen = -1",
        "UPDATE entry SET state = 'posted', answer = '{}'",  # a sale is never posted
        "INSERT INTO entry (entry_id, kind, reference, payment_id, amount_fen, method,"
        " terminal_counter, body, state, stored_at)"
        " VALUES ('x', 'sale', 'x', 'x', 0, 'tap', 9, x'00', 'stored', 1)",
    ],
)
def test_the_database_says_the_laws_again(journal, path, statement):
    journal.store(draft(1), body_of, AT)
    with closing(sqlite3.connect(path)) as other, pytest.raises(sqlite3.IntegrityError):
        other.execute(statement)


def test_settings_for_power_cuts(journal, path):
    assert journal._database.read("PRAGMA synchronous")[0][0] == 2  # FULL
    assert journal._database.read("PRAGMA journal_mode")[0][0] == "wal"
    for name in path.parent.iterdir():
        assert name.stat().st_mode & 0o777 == 0o600, name


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
