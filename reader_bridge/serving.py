"""`python -m reader_bridge serve`: terminal, readers, till and local API in one process."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from reader_bridge.acceptance.upkeep import TerminalStatus
from reader_bridge.attached import Attached
from reader_bridge.clock import Clock
from reader_bridge.local.server import LocalServer, serve
from reader_bridge.local.settings import Health
from reader_bridge.local.token import load_or_make_token
from reader_bridge.readers.events import ReaderSet
from reader_bridge.terminal import Terminal
from reader_bridge.till import Till


def serve_terminal(
    terminal: Terminal,
    folder: Path,
    *,
    port: int,
    attached: Attached,
    on_ready: Callable[[LocalServer], None],
) -> None:
    """Until SIGINT or SIGTERM. What is attached may be plugged in later, pulled out and come back.

    `folder` keeps the local API's token. Raises TerminalFault.
    """
    token, clock = load_or_make_token(folder), Clock()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    terminal.recover()
    terminal.start_forwarding()
    with (
        ReaderSet(attached.readers, attached.scanners, attached.plugs) as readers,
        Till(terminal, readers, clock) as till,
    ):
        serve(
            till,
            token,
            port=port,
            shop_name=terminal.identity.shop_name,
            language=terminal.language,
            health=lambda: health_of(terminal.status()),
            on_ready=on_ready,
        )


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """uvicorn stops first and then raises the signal anew, whose usual end would skip closing:
    readers let go, and the upload under way gets its answer."""
    del number, frame
    raise SystemExit(0)


def health_of(status: TerminalStatus) -> Health:
    """What the page shows of the line and of what waits."""
    sender = status.sender
    is_online = None
    if sender is not None and (sender.failure or sender.last_answer_at is not None):
        is_online = sender.failure is None
    return Health(
        is_online=is_online,
        kept_count=status.backlog.count,
        kept_sum_fen=status.backlog.sum_fen,
        profile_age_seconds=status.profile_age_seconds,
        profile_version=status.profile_version,
    )
