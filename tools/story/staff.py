"""A member of staff on the internal network; knows its HTTP contract and nothing of the story."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self
from uuid import uuid4

import httpx
import pyotp

TIMEOUT_SECONDS = 15.0
TOTP_SECONDS = 30
UNAUTHENTICATED = 401


class StaffRefused(Exception):
    """The internal network said no; the message has its code."""


class Staff:
    """One session with cookie and CSRF token. Raises StaffRefused, httpx.HTTPError."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False)
        self._csrf_token = ""
        self.roles: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def log_in(self, username: str, password: str, totp_secret: str) -> None:
        """A one-time password counts once: where this step's is spent, the next one's is tried.

        The backend forgives one step of delay, so at most one step is waited for.
        """
        totp = pyotp.TOTP(totp_secret, interval=TOTP_SECONDS)
        for ahead_seconds in (0, TOTP_SECONDS):
            code = totp.at(int(time.time()) + ahead_seconds)
            if self._is_let_in(username, password, code):
                return
        time.sleep(TOTP_SECONDS - time.time() % TOTP_SECONDS + 0.1)
        code = totp.at(int(time.time()) + TOTP_SECONDS)
        if not self._is_let_in(username, password, code):
            raise StaffRefused(f"{username} cannot log in: password, TOTP secret or clock is wrong")

    def get(self, path: str, **query: str) -> dict[str, Any]:
        return _document(self._http.get(path, params=query))

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"X-CSRF-Token": self._csrf_token, "Idempotency-Key": uuid4().hex}
        return _document(self._http.post(path, json=body, headers=headers))

    def _is_let_in(self, username: str, password: str, totp: str) -> bool:
        body = {"username": username, "password": password, "totp": totp}
        answer = self._http.post("/v1/ops/session", json=body)
        if answer.status_code == UNAUTHENTICATED:
            return False
        document = _document(answer)
        self._csrf_token = document["csrf_token"]
        self.roles = tuple(document["roles"])
        return True


def _document(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_success:
        document: dict[str, Any] = answer.json()
        return document
    try:
        problem = answer.json()
        reason = f"{problem['code']}: {problem.get('detail')} {problem.get('errors') or ''}".strip()
    except (ValueError, KeyError, TypeError):
        reason = answer.text[:200]
    request = answer.request
    raise StaffRefused(f"{request.method} {request.url.path}: {answer.status_code} {reason}")
