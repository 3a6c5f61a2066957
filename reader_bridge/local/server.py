"""Serves the local API on 127.0.0.1, and nowhere else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from reader_bridge.faults import TerminalFault
from reader_bridge.local.app import make_local
from reader_bridge.local.settings import LocalSettings
from reader_bridge.till import Till

HOST: Final = "127.0.0.1"
PORT: Final = 8765
CONNECTIONS_MAX: Final = 48
STOP_SECONDS: Final = 10.0


def bind(port: int = PORT) -> socket.socket:
    """A listening socket on the loopback; port 0 takes a free one.

    Raises TerminalFault(state_unusable) when the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise TerminalFault("state_unusable", reason=f"port {port}: {error.strerror}") from None
    return listener


class LocalServer:
    """The API on a socket of `bind`. `run` in this thread, or `start` and `stop`."""

    def __init__(self, app: FastAPI, listener: socket.socket) -> None:
        self.app, self._listener = app, listener
        self.port: int = listener.getsockname()[1]
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=3,
            h11_max_incomplete_event_size=16 * 1024,
        )
        self._server = _Server(config, app)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def page_url(self) -> str:
        """Opens the page once, within ten minutes: to be shown to the merchant only."""
        return f"{self.url}/open?link={self.app.state.doors.new_link()}"

    def run(self) -> None:
        """Until SIGINT, SIGTERM or `stop`; closes the socket."""
        try:
            self._server.run(sockets=[self._listener])
        finally:
            with suppress(OSError):
                self._listener.close()

    def start(self) -> None:
        """In a thread of its own; the socket listens already, so a call may come at once."""
        self._thread = threading.Thread(target=self.run, name="local api", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the streams and waits. Raises RuntimeError when the thread stays."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                raise RuntimeError("the local API did not end")


class _Server(uvicorn.Server):
    """Tells the streams to end before it waits for them."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.streams.is_ending = True
        await super().shutdown(sockets)


def serve(
    till: Till,
    token: str,
    *,
    port: int = PORT,
    on_ready: Callable[[LocalServer], None] = lambda server: None,
    **settings: Any,
) -> None:
    """Serves until it is told to end. `settings` are LocalSettings' other fields.

    `on_ready` is called once, before the first request: a place to print `page_url()`.
    """
    listener = bind(port)
    chosen = LocalSettings(port=listener.getsockname()[1], token=token, **settings)
    server = LocalServer(make_local(till, chosen), listener)
    on_ready(server)
    server.run()
