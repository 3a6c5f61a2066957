"""A journal, a backend's desk, and an uploader between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from reader_bridge.clock import Clock
from reader_bridge.forward import Uploader
from reader_bridge.journal import Journal
from tests.reader_bridge.forward.support import AT, UploadDesk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with closing(Journal(path)) as opened:
        yield opened


@pytest.fixture
def desk() -> UploadDesk:
    return UploadDesk()


@pytest.fixture
def clock() -> Clock:
    return Clock(unix_now=lambda: float(AT + 5000), jitter=lambda: 0.0)


@pytest.fixture
def uploader(journal: Journal, desk: UploadDesk, clock: Clock) -> Uploader:
    return Uploader(journal, desk, clock)
