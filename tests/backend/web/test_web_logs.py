"""Lines of the log: kept together for a moment, whole, bounded; never in a payment's way."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator

import pytest

from backend.web import logs
from backend.web.logs import LOST, Lines

WAIT_SECONDS = 10.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for one in (reading, writing):
        try:
            os.close(one)
        except OSError:
            continue  # closed by the test


def _lost() -> float:
    return next(sample.value for metric in LOST.collect() for sample in metric.samples)


def _waiting(reading: int, seconds: float = 0) -> bytes:
    ready, _, _ = select.select([reading], [], [], seconds)
    return os.read(reading, 1 << 20) if ready else b""


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written by the passing of time."""
    monkeypatch.setattr(logs, "DELAY_SECONDS", 3600.0)


@pytest.mark.usefixtures("slow")
def test_a_warning_brings_along_what_was_kept(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    lines = Lines(writing)
    lines.info("one")
    assert _waiting(reading) == b""
    lines.warning("two 澄")
    assert _waiting(reading) == "one\ntwo 澄\n".encode()


def test_a_line_does_not_wait_for_ever(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    Lines(writing).info("alone")
    assert _waiting(reading, WAIT_SECONDS) == b"alone\n"


@pytest.mark.usefixtures("slow")
def test_a_burst_leaves_in_whole_lines_no_longer_than_a_pipe_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what is held never exceeds one such write."""
    written: list[bytes] = []
    monkeypatch.setattr(os, "write", lambda _, data: written.append(bytes(data)) or len(data))
    lines = Lines(-1)
    for number in range(1000):
        lines.info(f"{number} " + "x" * (number % 300))
    lines.flush()
    assert max(map(len, written)) <= select.PIPE_BUF
    assert all(one.endswith(b"\n") for one in written)
    assert [int(line.split()[0]) for line in b"".join(written).splitlines()] == list(range(1000))
    assert len(written) < 100


@pytest.mark.usefixtures("slow")
def test_lines_of_many_threads_are_all_there(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    lines = Lines(writing)
    threads = [
        threading.Thread(target=lambda: [lines.info("x" * 20) for _ in range(100)])
        for _ in range(4)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join(WAIT_SECONDS)
    lines.flush()
    assert _waiting(reading) == b"xxxxxxxxxxxxxxxxxxxx\n" * 400


def test_a_line_that_cannot_be_written_is_counted_and_stops_nobody() -> None:
    lines = Lines(os.open("/dev/full", os.O_WRONLY))
    before = _lost()
    lines.warning("no room")
    assert _lost() == before + 1
    lines.close()
    lines.warning("nobody is there")
    assert _lost() == before + 2
