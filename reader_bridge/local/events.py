"""The screen as server-sent events: every stream is one waiting thread, so they are few."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from reader_bridge.local.access import CALLER
from reader_bridge.local.problems import EdgeRefusal
from reader_bridge.local.schemas import Responses, ScreenOut, problems
from reader_bridge.local.settings import LocalSettings
from reader_bridge.till import Till

STREAMS_MAX: Final = 8
LOOK_SECONDS: Final = 1.0  # how late a stream sees that it has to end
RETRY_MILLISECONDS: Final = 1000
_VERSION: Final = re.compile(r"[0-9]{1,15}", re.ASCII)

_STREAM: Final[Responses] = {
    200: {"description": "`screen` events", "content": {"text/event-stream": {}}}
}

router = APIRouter(prefix="/v1")


class Streams:
    """How many are open; touched by the event loop's thread only."""

    def __init__(self) -> None:
        self.count = 0
        self.is_ending = False
        self.limiter = anyio.CapacityLimiter(STREAMS_MAX)


@router.get(
    "/events",
    dependencies=CALLER,
    response_class=StreamingResponse,
    responses=problems(503, also=_STREAM),
)
async def stream_events(request: Request) -> StreamingResponse:
    """The screen now, and again after every change; `id` is its version.

    A screen is a state: who comes back with `Last-Event-ID` gets the newest, once, if it is
    another. Screens that followed each other faster than they could be sent may be left out.
    """
    streams: Streams = request.app.state.streams
    if streams.count >= STREAMS_MAX:
        raise EdgeRefusal("streams_full")
    shown = request.headers.get("last-event-id", "")
    version = int(shown) if _VERSION.fullmatch(shown) else 0
    settings: LocalSettings = request.app.state.settings
    body = _lines(request.app.state.till, streams, settings, version)
    return StreamingResponse(
        body, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


async def _lines(
    till: Till, streams: Streams, settings: LocalSettings, version: int
) -> AsyncIterator[str]:
    streams.count += 1
    try:
        yield f"retry: {RETRY_MILLISECONDS}\n\n"
        spoke_at = settings.clock.elapsed()
        look_seconds = min(LOOK_SECONDS, settings.heartbeat_seconds)
        while not (streams.is_ending or till.is_closed):
            screen = await run_sync(
                till.wait_screen, version, look_seconds, limiter=streams.limiter
            )
            now = settings.clock.elapsed()
            if screen is not None:
                version, spoke_at = screen.version, now
                data = ScreenOut.of(screen).model_dump_json()
                yield f"id: {version}\nevent: screen\ndata: {data}\n\n"
            elif now - spoke_at >= settings.heartbeat_seconds:
                spoke_at = now
                yield ": still here\n\n"
    finally:
        streams.count -= 1
