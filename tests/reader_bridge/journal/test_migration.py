"""A file of the first format opens as one of today's, whole or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from reader_bridge.faults import TerminalFault
from reader_bridge.journal import EntryKind, EntryState, Journal, schema
from tests.reader_bridge.journal.support import CARD, body_of, draft

# Written by the release that knew no offline sales: seven entries, in every state it had.
VERSION_0 = Path(__file__).with_name("data") / "version_0.sql"
OLD_AT = 1_790_000_000


@pytest.fixture
def old(path):
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.executescript(VERSION_0.read_text())
    return path


def test_every_entry_is_there_as_it_was(old):
    with closing(Journal(old)) as journal:
        states = {
            reference: journal.last_result(reference).state.value
            for reference in ("单 1", "单 2", "单 3", "单 4", "单 7")
        }
        assert states == {
            "单 1": "stored",
            "单 2": "captured",
            "单 3": "refused",
            "单 4": "reversed",
            "单 7": "stored",
        }
        captured = journal.last_result("单 2")
        assert (captured.terminal_counter, captured.stored_at) == (2, OLD_AT + 2)
        assert captured.body == b'{"terminal_counter": 2}'
        assert captured.answer["detail"] == "余额不足"
        assert captured.steps == (("card", 1.5),)
        assert captured.card_key is captured.link is captured.chain is None
        refund = journal.find(EntryKind.REFUND, "单 5")
        assert (refund.state, refund.draft.payment_id) == (EntryState.POSTED, "pay_2")
        assert [entry.terminal_counter for entry in journal.pending()] == [1, 6, 7]


def test_it_goes_on_where_it_was(old):
    with closing(Journal(old)) as journal:
        entry, _ = journal.accept_new(draft(8), CARD, body_of, OLD_AT)
        assert entry.terminal_counter == 8
        assert entry.clock_suspect, "the last entry of the old file is later than this one"
        assert journal.settle("pay_1", EntryState.CAPTURED, {}, OLD_AT).state.value == "captured"
        assert journal.usage(CARD, OLD_AT).count == 1


def test_a_migrated_file_has_the_schema_of_a_new_one(old, tmp_path):
    new = tmp_path / "new.sqlite"
    for path in (old, new):
        Journal(path).close()
    Journal(old).close()  # a second opening changes nothing more

    def schema_of(path):
        with closing(sqlite3.connect(path)) as database:
            return database.execute(
                "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
            ).fetchall(), database.execute("PRAGMA user_version").fetchone()

    assert schema_of(old) == schema_of(new)


def test_a_migration_cut_short_leaves_the_old_file(old, monkeypatch):
    before = old.read_bytes()
    monkeypatch.setattr(schema, "_TRIGGERS", (*schema._TRIGGERS, "this is no statement"))
    with pytest.raises(TerminalFault):
        Journal(old)
    monkeypatch.undo()
    with closing(sqlite3.connect(old)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM entry").fetchone() == (7,)
    assert old.read_bytes() == before
    with closing(Journal(old)) as journal:
        assert len(journal.pending()) == 3


def test_a_file_of_a_later_release_is_left_alone(path):
    Journal(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    with pytest.raises(TerminalFault) as caught:
        Journal(path)
    assert caught.value.code == "state_newer"
