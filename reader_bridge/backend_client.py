"""The way to the backend: signed login, safe retries, and the two kinds of "no"; knows no card.

`Refused` is an answer: the backend said no. `Unreachable` is no answer: the outcome is unknown
when `sent` is true.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import httpx
import jwt

from reader_bridge.client_key import ClientKey
from reader_bridge.clock import Clock
from reader_bridge.faults import Language, TerminalFault

ATTEMPTS_MAX: Final = 3
ANSWER_BYTES_MAX: Final = 1024 * 1024
TIMEOUT_SECONDS: Final = 10.0
CONNECT_SECONDS_MAX: Final = 3.0
RETRY_AFTER_SECONDS_MAX: Final = 2.0
TOKEN_SPARE_SECONDS: Final = 30.0  # a token this close to its end is not used any more
ASSERTION_SECONDS: Final = 120
LOCKED_OUT: Final = frozenset({401, 403})  # about the caller, not about the request
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_PROBLEM_MEMBERS: Final = frozenset(
    {"type", "title", "status", "code", "detail", "errors", "request_id", "retryable", "article"}
)


class Refused(Exception):
    """The backend answered no (RFC 9457). Never sent again by itself."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        retryable: bool,
        data: Mapping[str, Any],
        status: int,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code  # stable
        self.detail = detail  # in the language that was asked for
        self.retryable = retryable
        self.data = data
        self.status = status


class Unreachable(Exception):
    """No usable answer. With `sent` false, the request certainly never left this machine."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    retry_after: str | None
    document: Any  # parsed JSON, or None

    @property
    def is_busy(self) -> bool:
        """Not a decision about the request: it may be sent again as it is."""
        is_running = self.status == 409 and self.retry_after is not None
        return is_running or self.status in {425, 429} or self.status >= 500


class BackendClient:
    """One terminal's connection. `url` must be https unless it is this machine.

    Raises TerminalFault(address_refused).
    """

    def __init__(
        self,
        url: str,
        key: ClientKey,
        client_id: str | None,
        *,
        language: Language = "zh-CN",
        clock: Clock | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        is_local = _require_address(url)
        self._key, self._client_id = key, client_id
        self._clock = clock or Clock()
        self.timeout_seconds = timeout_seconds
        self._token: str | None = None
        self._token_until = 0.0
        self._http = httpx.Client(
            base_url=url,
            headers={"Accept-Language": language, "User-Agent": "city-card-terminal/0.1"},
            follow_redirects=False,
            trust_env=not is_local,  # a shop may sit behind a proxy; this machine never does
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def activate(self, activation_code: str, label: str) -> Mapping[str, Any]:
        """POST /v1/activations. The same code and key again is the same request."""
        jwk = self._key.public_jwk()
        body = {"activation_code": activation_code, "public_key": jwk, "label": label}
        digest = hashlib.sha256(f"{activation_code} {jwk['x']}".encode()).hexdigest()
        return self._call(
            "POST",
            "/v1/activations",
            content=json.dumps(body, ensure_ascii=False).encode(),
            key=f"act_{digest[:40]}",
            login=False,
        )

    def ensure_session(self) -> None:
        """Log in unless a token is at hand that lives long enough. Raises Refused, Unreachable."""
        if self._token is None or self._clock.elapsed() >= self._token_until:
            self._login()

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """A question; asked again a few times when there is no answer."""
        return self._call("GET", path, params=params)

    def post(self, path: str, body: bytes, idempotency_key: str) -> Mapping[str, Any]:
        """A command. Every try of it carries the same key and the same bytes."""
        return self._call("POST", path, content=body, key=idempotency_key)

    def _login(self) -> None:
        """RFC 7523, 2.2: a short assertion signed with our own key, for a short token."""
        now = int(self._clock.unix_now())
        claims = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": "/v1/token",
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
            "jti": secrets.token_urlsafe(18),
        }
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": jwt.encode(claims, self._key.private_key, algorithm="ES256"),
        }
        deadline = self._clock.elapsed() + self.timeout_seconds
        request = self._http.build_request("POST", "/v1/token", data=form)
        try:
            answer = self._send(request, deadline)
            if answer.is_busy:
                raise Unreachable(f"login_answered_{answer.status}", sent=False)
            document = _require_success(answer)
        except Unreachable as failure:  # what the login is for was not sent yet
            raise Unreachable(failure.reason, sent=False) from None
        token, seconds = document.get("access_token"), document.get("expires_in")
        if not isinstance(token, str) or not isinstance(seconds, int):
            raise Unreachable("answer_not_understood", sent=False)
        self._token = token
        self._token_until = self._clock.elapsed() + seconds - TOKEN_SPARE_SECONDS

    def _call(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        key: str | None = None,
        params: Mapping[str, str] | None = None,
        login: bool = True,
    ) -> Mapping[str, Any]:
        """Up to ATTEMPTS_MAX tries of one and the same request, inside `timeout_seconds`."""
        deadline = self._clock.elapsed() + self.timeout_seconds
        sent, reason, may_login_again = False, "no_answer", login
        for attempt in range(1, ATTEMPTS_MAX + 1):
            wait_seconds = self._clock.jitter() * 0.1 * 2**attempt
            try:
                if login:
                    self.ensure_session()
                request = self._request(
                    method, path, content=content, key=key, params=params, login=login
                )
                answer = self._send(request, deadline)
                if answer.status == 401 and may_login_again:
                    self._token, may_login_again = None, False
                    continue
                if not answer.is_busy:
                    return _require_success(answer)
                sent, reason = True, f"answered_{answer.status}"
                wait_seconds = max(wait_seconds, _seconds_of(answer.retry_after))
            except Unreachable as failure:
                sent, reason = sent or failure.sent, failure.reason
            except Refused as refusal:
                if sent and refusal.status in LOCKED_OUT:
                    # who is locked out now does not hear what became of an earlier try
                    raise Unreachable(refusal.code, sent=True) from refusal
                raise
            if self._clock.elapsed() + wait_seconds >= deadline or attempt == ATTEMPTS_MAX:
                break
            self._clock.sleep(wait_seconds)
        raise Unreachable(reason, sent=sent)

    def _request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None,
        key: str | None,
        params: Mapping[str, str] | None,
        login: bool,
    ) -> httpx.Request:
        headers = {"Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        if key is not None:
            headers["Idempotency-Key"] = key
        if login:
            headers["Authorization"] = f"Bearer {self._token}"
        return self._http.build_request(
            method, path, content=content, params=params, headers=headers
        )

    def _send(self, request: httpx.Request, deadline: float) -> _Answer:
        """One try. Raises Unreachable; `sent` is false only when no connection came about."""
        left_seconds = max(0.05, deadline - self._clock.elapsed())
        timeout = httpx.Timeout(left_seconds, connect=min(left_seconds, CONNECT_SECONDS_MAX))
        request.extensions["timeout"] = timeout.as_dict()
        try:
            response = self._http.send(request, stream=True)
            try:
                body = self._bounded_body(response, deadline)
            finally:
                response.close()
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise Unreachable("no_connection", sent=False) from None
        except httpx.TimeoutException:
            raise Unreachable("no_answer_in_time", sent=True) from None
        except (httpx.TransportError, httpx.DecodingError):
            raise Unreachable("connection_lost", sent=True) from None
        return _Answer(response.status_code, response.headers.get("Retry-After"), _json(body))

    def _bounded_body(self, response: httpx.Response, deadline: float) -> bytes:
        body = b""
        for part in response.iter_bytes():
            body += part
            if len(body) > ANSWER_BYTES_MAX:
                raise Unreachable("answer_too_long", sent=True)
            if self._clock.elapsed() > deadline:
                raise Unreachable("no_answer_in_time", sent=True)
        return body


def _require_success(answer: _Answer) -> Mapping[str, Any]:
    """The document of a 2xx; a problem document as Refused; anything else is no answer."""
    document = answer.document
    if not isinstance(document, dict):
        raise Unreachable("answer_not_understood", sent=True)
    if 200 <= answer.status < 300:
        return document
    code = document.get("code")
    if answer.status < 400 or not isinstance(code, str):
        raise Unreachable("answer_not_understood", sent=True)
    raise Refused(
        code,
        str(document.get("detail") or document.get("title") or code),
        retryable=document.get("retryable") is True,
        data={name: value for name, value in document.items() if name not in _PROBLEM_MEMBERS},
        status=answer.status,
    )


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _seconds_of(retry_after: str | None) -> float:
    """RFC 9110, 10.2.3, the form in seconds; bounded, because a person is waiting."""
    if retry_after is None or not (retry_after.isascii() and retry_after.isdigit()):
        return 0.0
    return min(float(retry_after[:6]), RETRY_AFTER_SECONDS_MAX)


def _require_address(url: str) -> bool:
    """True for this machine. Raises TerminalFault(address_refused)."""
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        raise TerminalFault("address_refused", url=url[:100]) from None
    is_local = address.host == "localhost"
    with contextlib.suppress(ValueError):  # a name is no number
        is_local = is_local or ipaddress.ip_address(address.host).is_loopback
    if not address.host or not (
        address.scheme == "https" or (address.scheme == "http" and is_local)
    ):
        raise TerminalFault("address_refused", url=url[:100])
    return is_local
