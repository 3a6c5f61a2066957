"""Entries settled long ago go, so that the file has a bound; nothing else ever does."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from reader_bridge.journal import GENESIS, EntryKind, EntryState, Journal, next_chain, schema
from reader_bridge.journal import forget as forgetting
from reader_bridge.journal.forget import (
    DAY_SECONDS,
    FORGET_MAX,
    KEEP_SECONDS,
    WINDOW_SECONDS,
)
from tests.reader_bridge.journal.support import AT, CARD, body_of, draft

ROOT = Path(__file__).resolve().parents[3]
KEEP_DAYS, WINDOW_DAYS = KEEP_SECONDS // DAY_SECONDS, WINDOW_SECONDS // DAY_SECONDS
A_DAY = 2  # sales
KILLS, LINES = 5, 40


def sell(journal: Journal, number: int, at: int, state: EntryState | None) -> None:
    """A sale of each kind in turn; `state` None leaves it as it is."""
    if number % 3 == 0:
        journal.store(draft(number), body_of, at)
    else:
        journal.accept_new(draft(number), CARD, body_of, at)
    if state is not None:
        journal.settle(f"pay_{number}", state, {}, at)


def day_of(number: int) -> int:
    return number // A_DAY


def found(journal: Journal, numbers: range) -> set[int]:
    return {one for one in numbers if journal.last_result(f"R{one}") is not None}


def play(journal: Journal, days: int, open_ones: set[int] = frozenset()) -> range:
    """So many days of sales, with one visit of the janitor in each."""
    for number in range(days * A_DAY):
        at = AT + day_of(number) * DAY_SECONDS
        state = EntryState.REFUSED if number % 5 == 0 else EntryState.CAPTURED
        sell(journal, number, at, None if number in open_ones else state)
        if number % A_DAY == A_DAY - 1:
            journal.forget(at + 1)
    return range(days * A_DAY)


def test_settled_entries_go_after_their_time_and_open_ones_stay(journal):
    open_ones, days = {1, 3, 7, 20}, KEEP_DAYS + 20
    numbers = play(journal, days, open_ones)
    kept = found(journal, numbers)
    today = days - 1
    assert open_ones <= kept
    young = {one for one in numbers if today - day_of(one) < KEEP_DAYS}
    assert young <= kept
    old = {one for one in numbers if today - day_of(one) > KEEP_DAYS + 1}
    assert old & kept == open_ones
    usage = journal.usage(CARD, AT)
    assert (usage.count, usage.sum_fen) == (3, 3 * 1250)
    assert {one.draft.entry_id for one in journal.pending()} == {"pay_3"}
    entry, is_new = journal.accept_new(draft(10_000), CARD, body_of, AT)
    assert is_new
    assert entry.terminal_counter == len(numbers) + 1


def test_the_chain_of_what_is_left_can_be_followed(journal):
    play(journal, KEEP_DAYS + 20)
    links = journal.links(10_000)
    assert links[0].link > 1
    for before, after in pairwise(links):
        assert after.link == before.link + 1
        assert after.chain == next_chain(before.chain, after.body)
    assert next_chain(GENESIS, links[0].body) != links[0].chain


def test_a_full_journal_forgets_earlier_but_never_in_the_window(journal, monkeypatch):
    """Goal: a register may ask for, or repeat, a reference of the last thirty days."""
    monkeypatch.setattr(forgetting, "KEEP_MAX", 5)
    days = WINDOW_DAYS + 20
    numbers = play(journal, days)
    kept = found(journal, numbers)
    in_window = {one for one in numbers if days - 1 - day_of(one) < WINDOW_DAYS}
    assert in_window <= kept
    assert len(kept - in_window) <= 2 * A_DAY
    repeated, is_new = journal.store(draft(min(in_window)), body_of, AT)
    assert not is_new
    assert repeated.draft.entry_id == f"pay_{min(in_window)}"


@pytest.mark.parametrize("years", [-3, 3])
def test_a_wrong_clock_forgets_nothing_early(journal, years):
    """Goal: what an entry says of its own age is not believed."""
    wrong = AT + years * 365 * DAY_SECONDS
    for number in range(A_DAY):
        sell(journal, number, wrong, EntryState.CAPTURED)
    for day in range(WINDOW_DAYS):
        assert journal.forget(AT + day * DAY_SECONDS) == 0
    assert len(found(journal, range(A_DAY))) == A_DAY
    assert journal.forget(AT + (KEEP_DAYS + 1) * DAY_SECONDS) == A_DAY


def test_a_verdict_that_came_late_is_kept_for_a_window(journal):
    journal.accept_new(draft(1), CARD, body_of, AT)
    journal.forget(AT)
    late = AT + KEEP_SECONDS + DAY_SECONDS
    journal.settle("pay_1", EntryState.REFUSED, {"code": "sale_too_old"}, late)
    assert journal.forget(late) == 0
    assert journal.forget(late + WINDOW_SECONDS) == 0
    assert journal.forget(late + WINDOW_SECONDS + 1) == 1


def test_a_visit_is_short(journal):
    for number in range(FORGET_MAX + 7):
        sell(journal, number, AT, EntryState.CAPTURED)
    journal.forget(AT)
    after = AT + KEEP_SECONDS + DAY_SECONDS
    assert [journal.forget(after) for _ in range(3)] == [FORGET_MAX, 7, 0]


def test_marks_are_bounded(journal):
    for day in range(3 * KEEP_DAYS):
        journal.forget(AT + day * DAY_SECONDS)
        journal.forget(AT + day * DAY_SECONDS + 60)
    ((marks,),) = journal._database.read("SELECT count(*) FROM mark")
    assert marks <= KEEP_DAYS + 2


def test_the_file_stops_growing(journal, path):
    """Goal: pages that became free are used again."""
    sizes = []
    for number in range(4 * KEEP_DAYS):
        at = AT + number * DAY_SECONDS
        journal.store(draft(number), lambda _: bytes(4_000), at)
        journal.settle(f"pay_{number}", EntryState.CAPTURED, {}, at)
        journal.forget(at)
        sizes.append(journal._database.read("PRAGMA page_count")[0][0])
    assert sizes[-1] <= sizes[KEEP_DAYS + 10] + 4


@pytest.mark.parametrize("state", [None, EntryState.CAPTURED])
def test_the_database_says_it_again(journal, path, state):
    """Neither an open entry nor a young one can be deleted, by whatever statement."""
    sell(journal, 1, AT, state)
    journal.forget(AT + 1)
    if state is None:
        journal.forget(AT + 2 * KEEP_SECONDS)
    with closing(sqlite3.connect(path)) as other, pytest.raises(sqlite3.IntegrityError):
        other.execute("DELETE FROM entry")


def test_a_file_of_version_1_begins_to_count_today(path):
    with closing(Journal(path)) as journal:
        sell(journal, 1, AT, EntryState.CAPTURED)
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "DROP TABLE mark; DROP TRIGGER entry_is_kept; PRAGMA user_version = 1;"
            "CREATE TRIGGER entry_is_kept BEFORE DELETE ON entry"
            " BEGIN SELECT RAISE(ABORT, 'the journal keeps every entry'); END"
        )
    with closing(Journal(path)) as journal:
        assert journal._database.read("PRAGMA user_version")[0][0] == schema.VERSION
        today = AT + 10 * KEEP_SECONDS
        assert journal.forget(today) == 0
        assert journal.forget(today + KEEP_SECONDS + 1) == 1
        assert journal.find(EntryKind.SALE, "R1") is None


KILLED = """
import sys
from pathlib import Path
from reader_bridge.journal import EntryState, Journal
from tests.reader_bridge.journal.support import AT, CARD, body_of, draft

journal, first = Journal(Path(sys.argv[1])), int(sys.argv[2])
for number in range(first, first + 100_000):
    at = AT + number * 86_400
    journal.accept_new(draft(number), CARD, body_of, at)
    print("A", number, flush=True)
    if number % 7:
        journal.settle(f"pay_{number}", EntryState.CAPTURED, {}, at)
        print("S", number, flush=True)
    journal.forget(at)
"""


def test_killed_while_it_forgets(path):
    """Goal: at any instruction: what is open or young is there, and its sums are right."""
    accepted: set[int] = set()
    settled: set[int] = set()
    first = 0
    for life in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path), str(first)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        for _ in range(LINES * 6 if life == 0 else LINES + life):
            _note(child.stdout.readline(), accepted, settled)
        child.send_signal(signal.SIGKILL)
        for line in child.stdout.read().splitlines():
            _note(line, accepted, settled)
        child.wait(10)
        child.stdout.close()
        first = max(accepted) + 2  # the one under way may be there
    with closing(Journal(path)) as journal:
        waiting = {int(one.draft.reference[1:]) for one in journal.to_upload(10_000)}
        untold = accepted - settled - waiting  # killed before it could say that it had settled it
        assert len(untold) <= KILLS
        usage = journal.usage(CARD, AT)
        assert (usage.count, usage.sum_fen) == (len(waiting), 1250 * len(waiting))
        newest = max(accepted)
        young = {one for one in settled | untold if (newest - one) * DAY_SECONDS < WINDOW_SECONDS}
        kept = found(journal, range(newest + 2))
        assert young <= kept
        gone = {one for one in settled if (newest - one) * DAY_SECONDS > KEEP_SECONDS + DAY_SECONDS}
        assert gone, "nothing was old enough to be forgotten"
        assert not gone & kept
        assert journal._database.read("PRAGMA integrity_check")[0][0] == "ok"


def _note(line: str, accepted: set[int], settled: set[int]) -> None:
    word, _, number = line.partition(" ")
    (accepted if word == "A" else settled).add(int(number))
