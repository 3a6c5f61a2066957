"""Sessions with a PKCS#11 token: a bounded number, lent out, opened again when the token restarted.

A call into the token blocks in C. Where greenlets serve the process it runs in a thread of a pool
as large as the number of sessions, so that only who asked waits.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pkcs11
import structlog
from gevent import monkey
from gevent.threadpool import ThreadPool
from pkcs11 import exceptions as faults

from backend.keys.hsm_library import NotLoaded, load
from backend.keys.port import KeyUnavailable, KeyUnknown
from backend.keys.settings import TokenSettings
from backend.keys.store import KeystoreDamaged

log = structlog.get_logger(__name__)

T = TypeVar("T")

BORROW_SECONDS = 5.0
ATTEMPTS = 3

LOST = (
    faults.SessionHandleInvalid,
    faults.SessionClosed,
    faults.KeyHandleInvalid,
    faults.ObjectHandleInvalid,
    faults.UserNotLoggedIn,
    faults.DeviceError,
    faults.DeviceRemoved,
    faults.TokenNotPresent,
    faults.TokenNotRecognised,
    faults.NoSuchToken,
    faults.GeneralError,
    faults.FunctionFailed,
    faults.OperationActive,
    faults.OperationNotInitialized,
)
"""Faults after which a new session may well succeed."""

WRONG_PIN = (faults.PinIncorrect, faults.PinInvalid, faults.PinLenRange)
PIN_CLOSED = (faults.PinLocked, faults.PinExpired)


class KeyNotSeen(Exception):
    """No key of this name: it is not there, or this session's login is gone and hides it."""


@dataclass(slots=True)
class Lease:
    """A session, and the key objects that were found in it.

    `age` counts restarts of the token: a library numbers sessions and keys anew then, and an old
    number may mean another one's.
    """

    age: int = 0
    session: pkcs11.Session | None = None
    keys: dict[str, Any] = field(default_factory=dict, repr=False)


class Sessions:
    """All calls into one token go through `run`. Threads and greenlets may share it."""

    def __init__(self, settings: TokenSettings) -> None:
        """Raises KeystoreDamaged when module, token or PIN do not fit."""
        self._settings = settings
        self._leases: queue.LifoQueue[Lease] = queue.LifoQueue(settings.sessions)
        for _ in range(settings.sessions):
            self._leases.put_nowait(Lease())
        # Held in threads of the pool: a greenlet's lock does not wake those reliably.
        self._opening = monkey.get_original("threading", "Lock")()
        self._age = 0
        self._threads: ThreadPool | None = None
        try:
            self._library = load(settings.module)
        except NotLoaded as error:
            raise KeystoreDamaged(
                f"keystore: {settings.module} is no PKCS#11 module that starts: {error}"
            ) from None
        self.mechanisms = self._first_login()

    def __repr__(self) -> str:
        return f"<Sessions {self._settings.label!r}>"

    def run(self, work: Callable[[Lease], T]) -> T:
        """`work` with a live session, again with a fresh one when the first was lost.

        So work must be safe to do twice. Raises KeyUnavailable, and KeyUnknown when the token says
        that this cannot be done.
        """
        try:
            lease = self._leases.get(timeout=BORROW_SECONDS)
        except queue.Empty:
            raise KeyUnavailable(f"all {self._settings.sessions} sessions are busy") from None
        try:
            if not monkey.is_module_patched("threading"):
                return self._attempt(lease, work)
            if self._threads is None:
                self._threads = ThreadPool(self._settings.sessions)
            result: T = self._threads.apply(self._attempt, (lease, work))
            return result
        finally:
            self._leases.put_nowait(lease)

    def _attempt(self, lease: Lease, work: Callable[[Lease], T]) -> T:
        why: Exception | None = None
        for _ in range(ATTEMPTS):
            try:
                self._renew(lease)
                return work(lease)
            except (*LOST, KeyNotSeen) as fault:
                why = fault
                self._lose(lease)
            except WRONG_PIN + PIN_CLOSED as fault:
                raise KeyUnavailable(f"the token refuses the PIN: {type(fault).__name__}") from None
            except faults.PKCS11Error as fault:
                raise KeyUnknown(f"the token cannot do this: {type(fault).__name__}") from None
        if isinstance(why, KeyNotSeen):
            raise KeyUnknown(str(why))
        label, name = self._settings.label, type(why).__name__
        log.error("pkcs11_unavailable", token=label, why=name)
        raise KeyUnavailable(f"token {label} does not answer: {name}")

    def _renew(self, lease: Lease) -> None:
        """A session of the token as it runs now."""
        if lease.session is None or lease.age != self._age:
            lease.keys.clear()
            lease.age = self._age
            lease.session = self._open()

    def _lose(self, lease: Lease) -> None:
        """What one session has found out, holds for all that are as old."""
        lease.session = None
        with self._opening:
            if lease.age == self._age:
                self._age += 1

    def _open(self) -> pkcs11.Session:
        """A session, logged in: one login counts for all sessions of a process."""
        with self._opening:
            token = self._library.get_token(token_label=self._settings.label)
            try:
                return token.open(rw=True, user_pin=self._settings.pin.reveal().decode())
            except faults.UserAlreadyLoggedIn:
                return token.open(rw=True)

    def _first_login(self) -> frozenset[pkcs11.Mechanism]:
        """What the token can do; the PIN is tried once, for a token locks after a few."""
        label, module = self._settings.label, self._settings.module
        try:
            lease = self._leases.get_nowait()
            self._renew(lease)
            self._leases.put_nowait(lease)
            assert lease.session is not None
            return frozenset(lease.session.token.slot.get_mechanisms())
        except faults.NoSuchToken:
            raise KeystoreDamaged(f"keystore: {module} has no token {label!r}") from None
        except PIN_CLOSED as fault:
            name = type(fault).__name__
            raise KeystoreDamaged(f"keystore: the PIN of token {label!r}: {name}") from None
        except (*WRONG_PIN, UnicodeDecodeError):
            raise KeystoreDamaged(f"keystore: the PIN does not open token {label!r}") from None
        except faults.PKCS11Error as fault:
            name = type(fault).__name__
            raise KeystoreDamaged(f"keystore: token {label!r} does not answer: {name}") from None
