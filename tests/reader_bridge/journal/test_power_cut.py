"""The power goes at any byte: what `accept` returned for is there, and the file opens.

A power cut is played by copies of the file and its log, cut where the disk may have been: the log
anywhere after its last sync, the file anywhere inside a checkpoint.
"""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from reader_bridge.journal import GENESIS, Entry, EntryState, Journal, Verdict, next_chain
from tests.reader_bridge.journal.support import AT, CARD, body_of, draft

SALES = 12
PURSE = "purse:1"
PAGE_BYTES = 4096
FRAME_BYTES = PAGE_BYTES + 24  # sqlite.org/fileformat2.html, 4: frame header and page
CUTS = 120


@dataclass(frozen=True, slots=True)
class Moment:
    """What the disk held when a call returned, and what the caller knew then."""

    log_bytes: int
    states: dict[str, EntryState]


@dataclass(frozen=True, slots=True)
class Story:
    """A file before its checkpoint and after it, its log, and each acknowledgement."""

    before: bytes
    after: bytes
    log: bytes
    moments: tuple[Moment, ...]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    path = tmp_path_factory.mktemp("story") / "journal.sqlite"
    log_path = path.with_name(path.name + "-wal")
    Journal(path).close()
    with closing(Journal(path)) as journal:
        before, known = path.read_bytes(), {}
        moments = [Moment(log_path.stat().st_size, {})]
        for number in range(SALES):
            name = f"pay_{number}"
            if number % 3 == 0:
                journal.intend(draft(number), PURSE, body_of, AT)
                known[name] = EntryState.INTENDED
                moments.append(Moment(log_path.stat().st_size, dict(known)))
                journal.accept(name, b"{}", AT)
            else:
                journal.accept_new(draft(number), CARD, lambda counter: bytes(3000), AT)
            known[name] = EntryState.ACCEPTED
            moments.append(Moment(log_path.stat().st_size, dict(known)))
        journal.conclude([Verdict("pay_1", EntryState.CAPTURED, {})], AT)
        known["pay_1"] = EntryState.CAPTURED
        log = log_path.read_bytes()
        moments.append(Moment(len(log), dict(known)))
        journal._database.checkpoint()
        assert log_path.read_bytes() == log, "a passive checkpoint leaves the log as it is"
        return Story(before, path.read_bytes(), log, tuple(moments))


def restarted(folder: Path, file: bytes, log: bytes) -> dict[str, Entry]:
    """All entries as the next start finds them; the journal works and its chain is whole."""
    path = folder / "journal.sqlite"
    for old in folder.glob("journal.sqlite*"):
        old.unlink()
    path.write_bytes(file)
    path.with_name(path.name + "-wal").write_bytes(log)
    with closing(Journal(path)) as journal:
        fresh, is_new = journal.accept_new(draft(99), CARD, body_of, AT)
        entries = journal._entries("entry_id <> 'pay_99' ORDER BY terminal_counter")
        assert is_new
        assert [entry.terminal_counter for entry in entries] == list(range(1, len(entries) + 1))
        assert fresh.terminal_counter == len(entries) + 1
        chain = GENESIS
        for entry in sorted((e for e in (*entries, fresh) if e.link), key=lambda e: e.link or 0):
            chain = next_chain(chain, entry.body)
            assert entry.chain == chain
        waiting = journal.to_upload(SALES + 1)
        assert journal.usage(CARD, AT).count == len(waiting)
        assert journal.usage(CARD, AT).sum_fen == sum(e.draft.amount_fen for e in waiting)
    return {entry.draft.entry_id: entry for entry in entries}


def require_all(entries: dict[str, Entry], known: dict[str, EntryState], *, exactly: bool) -> None:
    for name, state in known.items():
        assert name in entries, f"{name} was acknowledged and is lost"
        if exactly:
            assert entries[name].state is state
    if exactly:
        assert entries.keys() == known.keys()


def last_before(story: Story, log_bytes: int) -> Moment:
    return [moment for moment in story.moments if moment.log_bytes <= log_bytes][-1]


def cuts(story: Story) -> list[int]:
    """Each end of a frame, a byte before and after, and dice."""
    dice = random.Random(5)
    ends = range(32, len(story.log) + 1, FRAME_BYTES)
    near = {end + step for end in ends for step in (-1, 0, 1)}
    anywhere = {dice.randrange(len(story.log) + 1) for _ in range(CUTS)}
    acknowledged = {moment.log_bytes for moment in story.moments}
    chosen = set(dice.sample(sorted(near), min(len(near), CUTS))) | anywhere | acknowledged
    return sorted(cut for cut in chosen if 0 <= cut <= len(story.log))


def test_the_log_cut_at_any_byte_keeps_all_that_was_acknowledged_before(story, tmp_path):
    """After the last sync nothing is promised; up to it everything, and nothing else appears."""
    start = story.moments[0].log_bytes
    for cut in cuts(story):
        entries = restarted(tmp_path, story.before, story.log[:cut])
        moment = last_before(story, max(cut, start))
        require_all(entries, moment.states, exactly=True)


def test_the_log_with_rubbish_after_its_last_sync_keeps_all(story, tmp_path):
    """A disk that reorders: sectors of the next transaction arrived, others hold old bytes."""
    dice = random.Random(6)
    for moment in story.moments[1:]:
        tail = bytearray(story.log[moment.log_bytes :])
        for _ in range(max(1, len(tail) // 4096)):
            at = dice.randrange(len(tail) + 1)
            tail[at : at + 512] = dice.randbytes(min(512, len(tail) - at))
        entries = restarted(tmp_path, story.before, story.log[: moment.log_bytes] + bytes(tail))
        require_all(entries, moment.states, exactly=False)


def test_a_checkpoint_cut_at_any_byte_keeps_all(story, tmp_path):
    """The log is whole and synced before the file is touched: any mixture of pages will do."""
    dice = random.Random(7)
    last = story.moments[-1].states
    for _ in range(40):
        file = bytearray(
            story.before.ljust(dice.randrange(len(story.before), len(story.after)), b"\0")
        )
        for page in range(0, len(file), PAGE_BYTES):
            if dice.random() < 0.5:
                part = dice.choice([512, 2048, PAGE_BYTES])
                file[page : page + part] = story.after[page : page + part][: len(file) - page]
        require_all(restarted(tmp_path, bytes(file), story.log), last, exactly=True)


def test_after_the_checkpoint_the_file_needs_no_log(story, tmp_path):
    require_all(restarted(tmp_path, story.after, b""), story.moments[-1].states, exactly=True)
