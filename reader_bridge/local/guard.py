"""What every request passes first: Host, Origin, size, headers. Knows no route and no till."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reader_bridge.faults import Language
from reader_bridge.local.problems import (
    edge_problem,
    language_of,
    new_request_id,
    problem_response,
)

_log = logging.getLogger(__name__)

BODY_BYTES_MAX: Final = 16 * 1024
BODY_SECONDS: Final = 10.0
# Refused before the body was read to its end: the rest of it is not waited for.
UNREAD: Final = frozenset({"body_too_large", "body_too_slow", "host_refused", "origin_refused"})
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
OPEN_PATH: Final = "/open"  # a one-time link may be followed from anywhere
CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")


class Guard:
    """ASGI middleware. A page of another origin, and a name rebound to us, get nowhere.

    A browser that follows another page's DNS name to 127.0.0.1 still sends that page's Host; a
    page of another origin shows in Origin or Sec-Fetch-Site. No CORS header is ever sent.
    """

    def __init__(self, app: ASGIApp, port: int, language: Language) -> None:
        self._app, self._language = app, language
        self._hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        self._origins = frozenset(f"http://{host}" for host in self._hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = _headers(scope["headers"])
        shown = headers.get("x-request-id", "")
        request_id = shown if _REQUEST_ID.fullmatch(shown) else new_request_id()
        scope["request_id"] = request_id

        is_begun = False

        async def send_guarded(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            if message["type"] == "http.response.start":
                extra = (*_HEADERS, (b"x-request-id", request_id.encode()))
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        async def refuse(code: str) -> None:
            language = language_of(headers.get("accept-language", ""), self._language)
            response = problem_response(edge_problem(code, language, request_id))
            if code in UNREAD:
                response.headers["connection"] = "close"
            await response(scope, receive, send_guarded)

        code, inner = await self._admit(scope, headers, receive)
        if code is not None:
            await refuse(code)
            return
        try:
            await self._app(scope, inner, send_guarded)
        except Exception:  # a bug: logged once, and the answer says nothing of it
            _log.exception("request %s failed", request_id)
            if not is_begun:
                await refuse("internal_error")

    async def _admit(
        self, scope: Scope, headers: dict[str, str], receive: Receive
    ) -> tuple[str | None, Receive]:
        """The code of a refusal, or None with the body at hand."""
        code = self._refusal(scope, headers)
        if code is not None or scope["method"] in SAFE_METHODS:
            return code, receive
        try:
            body = await asyncio.wait_for(_body(receive), BODY_SECONDS)
        except TooLarge:
            return "body_too_large", receive
        except TimeoutError:
            return "body_too_slow", receive
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if body and kind != "application/json":  # what a form of another page can send
            return "media_type_unsupported", receive
        return None, _replay(body, receive)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> str | None:
        if headers.get("host", "") not in self._hosts:
            return "host_refused"
        if scope["path"] == OPEN_PATH and scope["method"] in SAFE_METHODS:
            return None
        origin = headers.get("origin")
        is_foreign = origin is not None and origin not in self._origins
        if is_foreign or headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            return "origin_refused"
        return None


class TooLarge(Exception):
    """More than BODY_BYTES_MAX."""


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Names in small letters; one that comes twice is no value we know."""
    found: dict[str, str] = {}
    for name, value in pairs:
        key = name.decode("latin-1").lower()
        found[key] = "repeated" if key in found else value.decode("latin-1")
    return found


async def _body(receive: Receive) -> bytes:
    """Raises TooLarge."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            raise TooLarge
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body once more, and then whatever the connection says."""
    is_told = False

    async def again() -> Message:
        nonlocal is_told
        if is_told:
            return await receive()
        is_told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
