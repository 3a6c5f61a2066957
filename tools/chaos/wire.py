"""One HTTP connection of a chaos client; knows answers to the byte and nothing of payments."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

HEAD_END = b"\r\n\r\n"
LENGTH = b"\r\ncontent-length:"
REPLAYED = b"\r\nidempotent-replayed: true"
CLOSES = b"\r\nconnection: close"
ANSWER_BYTES_MAX = 256 * 1024
CONNECT_SECONDS = 5.0

LOST = (OSError, EOFError, TimeoutError)
"""What an asker hears when the other side dies, hangs up or says nothing in time."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer: the status, the body to the byte, and whether it was said before."""

    status: int
    body: bytes = field(repr=False)
    is_replay: bool = False

    @property
    def code(self) -> str:
        """The problem's stable code (RFC 9457); nothing when the body is no problem."""
        try:
            said = json.loads(self.body)
        except ValueError:
            return ""
        return str(said.get("code", "")) if isinstance(said, dict) else ""


@dataclass(slots=True)
class Wire:
    """A kept connection to 127.0.0.1. Whoever hears one of LOST closes it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    is_closing: bool = False

    @classmethod
    async def open(cls, port: int) -> Wire:
        """Raises one of LOST."""
        opening = asyncio.open_connection("127.0.0.1", port, limit=ANSWER_BYTES_MAX)
        return cls(*await asyncio.wait_for(opening, CONNECT_SECONDS))

    async def ask(self, request: bytes, seconds: float) -> Heard:
        """Sends a whole request and hears its answer. Raises one of LOST."""
        async with asyncio.timeout(seconds):
            self.writer.write(request)
            head = (await self.reader.readuntil(HEAD_END)).lower()
            body = await self.reader.readexactly(_length(head))
        self.is_closing = CLOSES in head
        return Heard(int(head[9:12]), body, REPLAYED in head)

    def close(self) -> None:
        """At once: what is still under way is not waited for."""
        self.writer.transport.abort()


def _length(head: bytes) -> int:
    at = head.find(LENGTH)
    if at < 0:
        return 0
    at += len(LENGTH)
    return int(head[at : head.index(b"\r\n", at)])
