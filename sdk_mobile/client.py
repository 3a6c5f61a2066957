"""One request to the backend, tried a bounded number of times. Knows nothing of wallets.

The same bytes and the same Idempotency-Key go out in every attempt.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import urlsplit

import httpx

from sdk_mobile.errors import Offline, Problem, Refused, SdkError

Language = Literal["zh-CN", "en"]

ATTEMPTS_MAX = 4
WAIT_FIRST_SECONDS = 0.2
WAIT_MAX_SECONDS = 5.0
TIMEOUT_SECONDS = 10.0
ANSWER_BYTES_MAX = 1024 * 1024
DATE_TRUST_SECONDS = 5.0  # an answer slower than this says too little about the time
_STANDARD = frozenset(
    ("type", "title", "status", "code", "detail", "errors", "request_id", "retryable", "article")
)
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Request:
    """What to send. `body` is the exact text; `query` pairs are encoded by the HTTP library."""

    method: str
    path: str
    body: str | None = field(default=None, repr=False)
    idempotency_key: str | None = None
    query: tuple[tuple[str, str], ...] = ()
    access_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer of our backend."""

    status: int
    document: Mapping[str, object]
    is_replayed: bool


@dataclass(frozen=True, slots=True)
class _Missed:
    """An attempt without an answer we can use."""

    may_be_done: bool
    wait_seconds: float | None = None
    problem: Problem | None = None


class NoAnswer(SdkError):
    """The request went out, and whether it was done is not known."""


class Client:
    """Sends requests to one backend.

    `on_backend_time` gets the backend's unix seconds from each answer. `sleep` and `jitter`
    (0.0 to 1.0) are handed in by tests.
    """

    def __init__(
        self,
        base_url: str,
        *,
        language: Language = "zh-CN",
        http: httpx.Client | None = None,
        on_backend_time: Callable[[float], None] = lambda seconds: None,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Raises ValueError for a URL without TLS, unless it names this machine."""
        _require_safe(base_url)
        # Environment proxies are not for money: who wants one hands in a client.
        self._http = http or httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False)
        self._base_url = base_url.rstrip("/")
        self._language = language
        self._on_backend_time = on_backend_time
        self._sleep = sleep
        self._jitter = jitter

    def close(self) -> None:
        self._http.close()

    def send(self, request: Request) -> Answer:
        """The answer, or Refused (told by the backend), Offline (never arrived), NoAnswer."""
        may_be_done, problem = False, None
        for attempt in range(1, ATTEMPTS_MAX + 1):
            result = self._attempt(request)
            if isinstance(result, Answer):
                return result
            if isinstance(result, Problem):
                raise Refused(result, earlier_attempt_open=may_be_done)
            may_be_done |= result.may_be_done
            problem = result.problem
            wait_seconds = self._wait_seconds(attempt, result)
            is_over = attempt == ATTEMPTS_MAX or self._http.is_closed
            if is_over or wait_seconds > WAIT_MAX_SECONDS:
                break
            self._sleep(wait_seconds)
        if problem is not None:
            raise Refused(problem, earlier_attempt_open=may_be_done)
        if may_be_done:
            raise NoAnswer(f"{request.method} {request.path}")
        raise Offline(f"{request.method} {request.path}: the backend cannot be reached")

    def _wait_seconds(self, attempt: int, missed: _Missed) -> float:
        if missed.wait_seconds is not None:
            return missed.wait_seconds
        ceiling: float = min(WAIT_MAX_SECONDS, WAIT_FIRST_SECONDS * 2 ** (attempt - 1))
        return ceiling * (0.5 + self._jitter() / 2)

    def _attempt(self, request: Request) -> Answer | Problem | _Missed:
        started = time.monotonic()
        try:
            with self._http.stream(
                request.method,
                self._base_url + request.path,
                params=list(request.query) or None,
                content=request.body.encode() if request.body is not None else None,
                headers=self._headers(request),
                follow_redirects=False,
            ) as response:
                document = _read_document(response)
        except _NOT_SENT:
            return _Missed(may_be_done=False)
        except httpx.RequestError:
            return _Missed(may_be_done=True)
        except RuntimeError:  # what httpx says to who asks after `close`, as the refilling thread
            if not self._http.is_closed:
                raise
            return _Missed(may_be_done=False)
        if document is None:  # a captive portal, a proxy's error page: nobody we know
            return _Missed(may_be_done=True)
        if time.monotonic() - started < DATE_TRUST_SECONDS:
            self._tell_time(response)
        return _read_result(response, document)

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {"Accept": "application/json", "Accept-Language": self._language}
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        if request.idempotency_key is not None:
            headers["Idempotency-Key"] = request.idempotency_key
        if request.access_token is not None:
            headers["Authorization"] = f"Bearer {request.access_token}"
        return headers

    def _tell_time(self, response: httpx.Response) -> None:
        try:
            date = parsedate_to_datetime(response.headers.get("Date", ""))
        except ValueError:
            return  # no Date, or not one: the skew stays what it was
        self._on_backend_time(date.timestamp() + 0.5)  # the middle of the second it names


def _require_safe(base_url: str) -> None:
    parts = urlsplit(base_url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1"):
        return
    raise ValueError(f"not an https URL: {base_url}")


def _read_document(response: httpx.Response) -> Mapping[str, object] | None:
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type not in ("application/json", "application/problem+json"):
        return None
    raw = bytearray()
    for chunk in response.iter_bytes():
        raw += chunk
        if len(raw) > ANSWER_BYTES_MAX:
            return None
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _read_result(
    response: httpx.Response, document: Mapping[str, object]
) -> Answer | Problem | _Missed:
    status = response.status_code
    if 200 <= status < 300:
        return Answer(status, document, response.headers.get("Idempotent-Replayed") == "true")
    wait_seconds = _retry_after_seconds(response)
    problem = _read_problem(status, document)
    if status == 429:  # refused at the door: this attempt did nothing
        return _Missed(may_be_done=False, wait_seconds=wait_seconds, problem=problem)
    still_running = status == 409 and wait_seconds is not None
    if status >= 500 or status == 408 or still_running or problem is None:
        return _Missed(may_be_done=True, wait_seconds=wait_seconds)
    return problem


def _retry_after_seconds(response: httpx.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None


def _read_problem(status: int, document: Mapping[str, object]) -> Problem | None:
    code = document.get("code")
    if not 400 <= status < 500 or not isinstance(code, str):
        return None
    return Problem(
        status=status,
        code=code,
        detail=_text(document, "detail") or _text(document, "title") or "",
        retryable=document.get("retryable") is True,
        article=_text(document, "article"),
        request_id=_text(document, "request_id"),
        data={name: value for name, value in document.items() if name not in _STANDARD},
    )


def _text(document: Mapping[str, object], name: str) -> str | None:
    value = document.get(name)
    return value if isinstance(value, str) else None
