"""`python -m reader_bridge serve`: terminal, readers, till and local API in one process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reader_bridge.acceptance.upkeep import TerminalStatus
from reader_bridge.clock import Clock
from reader_bridge.local.server import LocalServer, serve
from reader_bridge.local.settings import Health
from reader_bridge.local.token import load_or_make_token
from reader_bridge.readers.events import ReaderSet
from reader_bridge.readers.pcsc import PcscPlugs
from reader_bridge.terminal import Terminal
from reader_bridge.till import Till


def serve_terminal(
    terminal: Terminal,
    folder: Path,
    *,
    port: int,
    reader_name: str | None,
    on_ready: Callable[[LocalServer], None],
) -> None:
    """Until SIGINT or SIGTERM. Readers may be plugged in later; one stands for every slot named so.

    `folder` keeps the local API's token. Raises TerminalFault.
    """
    token, clock = load_or_make_token(folder), Clock()
    terminal.recover()
    terminal.start_forwarding()
    with (
        ReaderSet(plugs=[PcscPlugs(reader_name)]) as readers,
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
        profile_version=status.profile_version,
    )
