"""A full disk refuses further offline sales instead of losing one; results still find room."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from reader_bridge.faults import TerminalFault
from reader_bridge.journal import EntryState, Journal, Verdict
from reader_bridge.journal.reserve import RESERVE_BYTES, Reserve
from tests.reader_bridge.journal.support import AT, CARD, body_of, draft
from tools.chaos.disks import SmallDisk, small_disk, why_no_mounts

ROOT = Path(__file__).resolve().parents[3]
DISK_BYTES, OTHERS_BYTES = 16 << 20, 6 << 20
BODY = bytes(20_000)
UPLOAD_SALES = 12  # as many of that size as one request holds


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    reason = why_no_mounts()
    if reason is not None:
        pytest.skip(reason)  # the same with a limit on file sizes is tested below
    with small_disk(DISK_BYTES) as mounted:
        mounted.fill(leave_bytes=DISK_BYTES - OTHERS_BYTES)
        yield mounted


def sell_until_full(journal: Journal, first: int = 0) -> int:
    """How many were accepted before the journal said no."""
    for number in range(first, first + 1000):
        try:
            journal.accept_new(draft(number), CARD, lambda counter: BODY, AT)
        except TerminalFault as fault:
            if fault.code != "journal_full":
                raise
            return number - first
    raise AssertionError("the disk is larger than the test thinks")


def test_sales_end_with_a_refusal_and_each_accepted_one_is_kept(disk):
    path = disk.folder / "journal.sqlite"
    with closing(Journal(path)) as journal:
        journal.intend(draft(5000), "purse:1", body_of, AT)
        accepted = sell_until_full(journal)
        assert accepted > 20
        with pytest.raises(TerminalFault, match="journal_full"):
            journal.intend(draft(6000), "purse:2", body_of, AT)
    with closing(Journal(path)) as journal:
        names = {entry.draft.entry_id for entry in journal.to_upload(1000)}
        assert names == {f"pay_{number}" for number in range(accepted)}
        assert journal.last_result(f"R{accepted}") is None


def test_on_a_full_disk_what_happened_is_written_from_the_reserve(disk):
    """The card was debited, the backend has spoken: both must be kept, then sales go on."""
    path = disk.folder / "journal.sqlite"
    with closing(Journal(path)) as journal:
        assert journal.can_take_offline()
        journal.intend(draft(5000), "purse:1", body_of, AT)
        accepted = sell_until_full(journal)
        disk.fill()
        assert journal.accept("pay_5000", BODY, AT).state is EntryState.ACCEPTED
        for start in range(0, accepted, UPLOAD_SALES):
            names = range(start, min(start + UPLOAD_SALES, accepted))
            verdicts = [Verdict(f"pay_{n}", EntryState.CAPTURED, {}) for n in names]
            assert journal.conclude(verdicts, AT).captured == len(names)
        assert not path.with_name("journal.sqlite.reserve").exists(), "it took the reserve"
        disk.fill()
        assert not journal.can_take_offline(), "somebody else has the room"
        with pytest.raises(TerminalFault, match="journal_full"):
            journal.accept_new(draft(7000), CARD, body_of, AT)
        disk.make_room()
        assert journal.can_take_offline()
        journal.accept_new(draft(7000), CARD, body_of, AT)
    with closing(Journal(path)) as journal:
        assert [e.draft.entry_id for e in journal.to_upload(9)] == ["pay_5000", "pay_7000"]


def test_a_journal_opens_on_a_full_disk(disk):
    path = disk.folder / "journal.sqlite"
    with closing(Journal(path)) as journal:
        accepted = sell_until_full(journal)
    disk.fill()
    with closing(Journal(path)) as journal:
        assert journal.usage(CARD, AT).count == accepted
        journal.conclude([Verdict("pay_0", EntryState.REFUSED, {"code": "x"})], AT)
        assert journal.last_result("R0").state is EntryState.REFUSED


def test_a_file_that_may_not_grow_refuses_sales_and_keeps_the_others(path):
    """RLIMIT_FSIZE in a process of its own: each write beyond it fails with EFBIG."""
    program = textwrap.dedent(
        """
        import os, resource, sys
        from pathlib import Path
        from reader_bridge.faults import TerminalFault
        from reader_bridge.journal import Journal
        from tests.reader_bridge.journal.support import AT, CARD, draft

        path = Path(sys.argv[1])
        journal = Journal(path)
        assert journal.can_take_offline()
        limit = path.with_name(path.name + "-wal").stat().st_size + 400_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        accepted = 0
        try:
            while accepted < 1000:
                journal.accept_new(draft(accepted), CARD, lambda counter: bytes(20_000), AT)
                accepted += 1
        except TerminalFault as fault:
            print(accepted, fault.code)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        journal.accept_new(draft(2000), CARD, lambda counter: b"{}", AT)
        os._exit(0)  # no orderly end
        """
    )
    child = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    accepted, code = child.stdout.split()
    assert int(accepted) > 5
    assert code == "journal_full"
    with closing(Journal(path)) as journal:
        names = [entry.draft.entry_id for entry in journal.to_upload(1000)]
    assert names == [*(f"pay_{number}" for number in range(int(accepted))), "pay_2000"]


def test_a_reserve_is_whole_or_not_there(tmp_path, monkeypatch):
    reserve = Reserve(tmp_path / "reserve")
    assert reserve.hold()
    assert (tmp_path / "reserve").stat().st_size == RESERVE_BYTES
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= RESERVE_BYTES, "no holes"
    assert reserve.release()
    assert not reserve.release()

    def no_room(descriptor, offset, size):
        os.write(descriptor, b"a part")
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    assert not reserve.hold()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_of_a_reserve_is_used_again(tmp_path):
    (tmp_path / "reserve.draft").write_bytes(b"a part")
    assert Reserve(tmp_path / "reserve").hold()
    assert [file.name for file in tmp_path.iterdir()] == ["reserve"]


def test_where_room_cannot_be_taken_in_advance_it_is_written(tmp_path, monkeypatch):
    def not_supported(descriptor, offset, size):
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(os, "posix_fallocate", not_supported)
    assert Reserve(tmp_path / "reserve").hold()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= RESERVE_BYTES


def test_a_limit_below_the_reserve_leaves_online_sales(path):
    with closing(Journal(path)) as journal:
        old = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (RESERVE_BYTES // 2, old[1]))
        try:
            with pytest.raises(TerminalFault, match="journal_full"):
                journal.accept_new(draft(1), CARD, body_of, AT)
            journal.store(draft(2), body_of, AT)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        assert [entry.draft.entry_id for entry in journal.pending()] == ["pay_2"]
