"""Who may use the local API: a register by its token, a page by a cookie from a one-time link."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final

from reader_bridge.clock import Clock
from reader_bridge.faults import TerminalFault

TOKEN_FILE: Final = "local_token"  # noqa: S105 - a file's name
LINK_SECONDS: Final = 600.0
LINKS_MAX: Final = 8
COOKIE: Final = "till"
COOKIE_SECONDS: Final = 30 * 86_400
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_COOKIE: Final = re.compile(r"([0-9]{1,12})\.([A-Za-z0-9_-]{22})\.([0-9a-f]{64})")


def load_or_make_token(folder: Path) -> str:
    """The token of this terminal's folder, mode 0600; deleting the file shuts everybody out.

    Raises TerminalFault(key_exposed, state_damaged, state_unusable).
    """
    path = folder / TOKEN_FILE
    try:
        _make(path)
        if path.stat().st_mode & 0o077:
            raise TerminalFault("key_exposed", file=TOKEN_FILE)
        token = path.read_text("ascii").strip()
    except UnicodeDecodeError:
        raise TerminalFault("state_damaged", file=TOKEN_FILE) from None
    except OSError as error:
        raise TerminalFault("state_unusable", reason=error.strerror or "error") from None
    if not _TOKEN.fullmatch(token):
        raise TerminalFault("state_damaged", file=TOKEN_FILE)
    return token


def _make(path: Path) -> None:
    """Whole or not at all: written beside, then linked to its name, which never overwrites."""
    if path.exists():
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if not path.exists():
            os.link(beside, path)
    except FileExistsError:
        return  # another process was first: its token is read
    finally:
        beside.unlink()


class Doors:
    """Judges tokens and cookies in constant time; keeps one-time links in memory only."""

    def __init__(self, token: str, clock: Clock) -> None:
        self._token, self._clock = token.encode(), clock
        self._links: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def is_token(self, shown: str) -> bool:
        return hmac.compare_digest(shown.encode(), self._token)

    def new_link(self) -> str:
        """A word that opens the page once within ten minutes; the oldest of nine is forgotten."""
        link = secrets.token_urlsafe(24)
        with self._lock:
            self._links[link] = self._clock.elapsed() + LINK_SECONDS
            while len(self._links) > LINKS_MAX:
                self._links.popitem(last=False)
        return link

    def open_link(self, link: str) -> str | None:
        """The cookie for a link that was not used yet, or None."""
        with self._lock:
            until = self._links.pop(link, None)
        if until is None or self._clock.elapsed() >= until:
            return None
        expires, nonce = int(self._clock.unix_now()) + COOKIE_SECONDS, secrets.token_urlsafe(16)
        return f"{expires}.{nonce}.{self._seal(str(expires), nonce)}"

    def is_cookie(self, shown: str) -> bool:
        """Sealed with the token: it outlives a restart, and dies with the token."""
        match = _COOKIE.fullmatch(shown)
        if match is None:
            return False
        expires, nonce, seal = match.groups()
        is_genuine = hmac.compare_digest(seal, self._seal(expires, nonce))
        return is_genuine and self._clock.unix_now() < int(expires)

    def _seal(self, expires: str, nonce: str) -> str:
        message = f"till page {expires} {nonce}".encode()
        return hmac.new(self._token, message, hashlib.sha256).hexdigest()
