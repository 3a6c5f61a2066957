"""The line to the backend: does it answer, over TLS, at what hour, and does it know us."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from reader_bridge.backend_client import BackendClient, Refused, Unreachable
from reader_bridge.client_key import ClientKey, Identity
from reader_bridge.clock import Clock
from reader_bridge.faults import Language, TerminalFault
from reader_bridge.selftest.lines import Line, fail, fail_by, ok, skip

PROBE_SECONDS: Final = 5.0
LOGIN_SECONDS: Final = 8.0
PROBE_PATH: Final = "/v1/terminal/profile"
# The backend refuses a login at five minutes; codes of thirty seconds suffer much sooner.
CLOCK_SECONDS_MAX: Final = 30.0
_BROKEN: Final = 500


@dataclass(frozen=True, slots=True)
class Probe:
    """One answer of the backend, or why there was none."""

    line: Line
    ahead_seconds: float | None = None  # our clock before the backend's


def probe(identity: Identity, key: ClientKey, clock: Clock) -> Probe:
    """One question without login: any answer will do, its Date most of all."""
    try:
        BackendClient(identity.url, key, None).close()  # the one place that judges addresses
    except TerminalFault as fault:
        return Probe(fail_by("backend", fault))
    is_tls = httpx.URL(identity.url).scheme == "https"
    try:
        with (
            httpx.Client(base_url=identity.url, trust_env=is_tls, timeout=PROBE_SECONDS) as client,
            client.stream("GET", PROBE_PATH) as response,
        ):
            heard_at = clock.unix_now()
            tls = _tls_of(response)
    except httpx.HTTPError as error:
        return Probe(_no_answer(identity.url, error))
    if response.status_code >= _BROKEN:
        words = f"{identity.url}: HTTP {response.status_code}"
        return Probe(fail("backend", "backend_failing", words, words))
    line = ok("backend", f"{identity.url} 有应答,{tls}", f"{identity.url} answers, {tls}")
    said_at = _date_of(response)
    return Probe(line, None if said_at is None else heard_at - said_at)


def check_clock(seen: Probe) -> Line:
    """Against the backend's own, which counts whole seconds."""
    if seen.ahead_seconds is None:
        return skip("clock", "backend")
    ahead = round(seen.ahead_seconds)
    zh, en = (
        f"比后台{'快' if ahead >= 0 else '慢'} {abs(ahead)} 秒",
        f"{ahead:+d} s to the backend's",
    )
    if abs(seen.ahead_seconds) > CLOCK_SECONDS_MAX:
        return fail("clock", "clock_wrong", zh, en)
    return ok("clock", zh, en)


def check_login(identity: Identity, key: ClientKey, clock: Clock, language: Language) -> Line:
    """Whether the backend still takes this key for this terminal."""
    try:
        with BackendClient(
            identity.url,
            key,
            identity.client_id,
            language=language,
            clock=clock,
            timeout_seconds=LOGIN_SECONDS,
        ) as client:
            client.ensure_session()
    except Refused as refusal:
        return fail("login", "login_refused", refusal.code, refusal.code)
    except Unreachable as failure:
        return fail("login", "backend_unreachable", failure.reason, failure.reason)
    except TerminalFault as fault:
        return fail_by("login", fault)
    return ok("login", identity.client_id, identity.client_id)


def _no_answer(url: str, error: httpx.HTTPError) -> Line:
    cause: BaseException | None = error
    for _ in range(8):  # a chain of causes is short
        if isinstance(cause, ssl.SSLError):
            words = f"{url}: {getattr(cause, 'verify_message', '') or cause.reason or 'TLS'}"
            return fail("backend", "tls_refused", words, words)
        cause = None if cause is None else cause.__cause__ or cause.__context__
    words = f"{url}: {type(error).__name__}"
    return fail("backend", "backend_unreachable", words, words)


def _tls_of(response: httpx.Response) -> str:
    stream = response.extensions.get("network_stream")
    secure = None if stream is None else stream.get_extra_info("ssl_object")
    return "HTTP" if secure is None else str(secure.version())


def _date_of(response: httpx.Response) -> float | None:
    """RFC 9110, 6.6.1; a backend without a usable Date tells no time."""
    try:
        return parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
    except (TypeError, ValueError):
        return None
