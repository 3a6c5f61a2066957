"""Staff accounts, log-in with password and TOTP, sessions. Knows no cookies and no requests."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyotp
import structlog
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Row, delete, insert, select, update

from backend.db import Units, Which, Work
from backend.kernel import new_id
from backend.keys import KeyRef, Keys
from backend.staff.errors import CsrfInvalid, StaffLoginRefused, StaffSessionExpired
from backend.staff.model import (
    ABSOLUTE,
    FAILURES_MAX,
    IDLE,
    LOCK,
    PASSWORD_CHARACTERS_MIN,
    StaffMember,
    StaffSession,
    check_roles,
    find_totp_step,
)
from backend.staff.tables import staff_account, staff_role, staff_session
from backend.web.offload import offload

log = structlog.get_logger(__name__)

TOKEN_BYTES = 32
SEEN_SECONDS = 30
"""How stale `seen_at` may be: not every click writes."""


@dataclass(frozen=True, slots=True)
class Staff:
    """People of the city at the internal network."""

    units: Units
    keys: Keys
    hasher: PasswordHasher = field(default_factory=PasswordHasher)
    _nobody: dict[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # What an unknown name is compared with, so that it costs what a known one costs.
        unknown = {
            "password_hash": self.hasher.hash(secrets.token_urlsafe(TOKEN_BYTES)),
            "totp_secret": pyotp.random_base32(),
        }
        object.__setattr__(self, "_nobody", unknown)

    def add(self, username: str, password: str, totp_secret: str, roles: Iterable[str]) -> str:
        """Make the account of a configuration row, or bring it in line; its staff id.

        The same again changes nothing; a change ends the account's sessions. Raises ValueError
        for a short password, a secret that is not base32 or an unknown role.
        """
        named = check_roles(roles)
        if len(password) < PASSWORD_CHARACTERS_MIN:
            raise ValueError(f"staff {username}: password under {PASSWORD_CHARACTERS_MIN} letters")
        try:
            pyotp.TOTP(totp_secret).generate_otp(0)
        except ValueError:
            raise ValueError(f"staff {username}: the TOTP secret is not base32") from None
        with self.units.read(Which.BUSINESS) as work:
            row = _find_account(work, username)
            known_roles = _roles(work, username)
        if row is not None and self._is_same(row, password, totp_secret):
            if known_roles != named:
                self._give_roles(username, named)
            return str(row.staff_id)
        return self._write_account(
            username, offload(self.hasher.hash, password), totp_secret, named
        )

    def log_in(self, username: str, password: str, totp: str) -> StaffSession:
        """Open a session. Raises StaffLoginRefused, whatever is wrong."""
        with self.units.read(Which.BUSINESS) as work:
            row = _find_account(work, username)
        # Slow on purpose, so outside the transaction; a name unknown takes the same time.
        password_hash = self._nobody["password_hash"] if row is None else row.password_hash
        is_password = self._verify(password_hash, password)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with self.units.write(Which.BUSINESS) as work:
            account = _find_account(work, username, locked=True)
            step = self._totp_step(account, totp, work.now)
            is_current = account is not None and account.password_hash == password_hash
            proven = is_password and is_current and step is not None
            admitted = account if proven and not _is_locked(account, work.now) else None
            if admitted is None:
                _count_failure(work, username, account)
            else:
                self._open(work, admitted, token, step)
                roles = _roles(work, username)
        if admitted is None:  # raised here: what was counted stays
            log.warning("staff_login_refused", is_known=account is not None)
            raise StaffLoginRefused
        log.info("staff_login", staff_id=admitted.staff_id)
        return StaffSession(username, roles, self._csrf(token), token)

    def find_member(self, token: str) -> StaffMember | None:
        """Who is logged in with `token`, None when nobody is. Raises StaffSessionExpired.

        15 minutes without a request or 8 hours in all end a session.
        """
        mac = self._mac("staff_session", token)
        with self.units.read(Which.BUSINESS) as work:
            row = work.one(select(staff_session).where(staff_session.c.token_mac == mac))
            account = None if row is None else _find_account(work, row.username)
            if row is None or account is None:
                return None
            roles, now = _roles(work, row.username), work.now
        if now >= min(row.seen_at + IDLE, row.created_at + ABSOLUTE):
            raise StaffSessionExpired
        if (now - row.seen_at).total_seconds() >= SEEN_SECONDS:
            self._touch(mac)
        return StaffMember(account.staff_id, account.username, roles)

    def check_csrf(self, token: str, csrf_token: str) -> None:
        """Raises CsrfInvalid unless `csrf_token` was told with this very session."""
        if not hmac.compare_digest(self._csrf(token).encode(), csrf_token.encode()):
            raise CsrfInvalid

    def log_out(self, token: str) -> None:
        """End the session; nothing happens when it has ended."""
        mac = self._mac("staff_session", token)
        with self.units.write(Which.BUSINESS) as work:
            work.execute(delete(staff_session).where(staff_session.c.token_mac == mac))

    def _is_same(self, row: Row[Any], password: str, totp_secret: str) -> bool:
        same_totp = hmac.compare_digest(self._totp_secret(row).encode(), totp_secret.encode())
        return same_totp and self._verify(row.password_hash, password)

    def _verify(self, password_hash: str, password: str) -> bool:
        return offload(_is_password, self.hasher, password_hash, password)

    def _give_roles(self, username: str, roles: tuple[str, ...]) -> None:
        with self.units.write(Which.BUSINESS) as work:
            _set_roles(work, username, roles)

    def _write_account(
        self, username: str, password_hash: str, totp_secret: str, roles: tuple[str, ...]
    ) -> str:
        sealed = self.keys.encrypt(KeyRef.PII_CIPHER, totp_secret.encode(), _totp_place(username))
        fresh = {
            "password_hash": password_hash,
            "totp_sealed": sealed,
            "failures": 0,
            "locked_until": None,
        }
        with self.units.write(Which.BUSINESS) as work:
            row = _find_account(work, username, locked=True)
            staff_id = new_id("stf") if row is None else str(row.staff_id)
            if row is None:
                born = {"staff_id": staff_id, "totp_last_step": -1, "created_at": work.now}
                work.execute(insert(staff_account), {"username": username, **born, **fresh})
            else:
                work.execute(update(staff_account).where(_is(username)).values(**fresh))
                work.execute(delete(staff_session).where(staff_session.c.username == username))
            _set_roles(work, username, roles)
        return staff_id

    def _totp_step(self, account: Row[Any] | None, totp: str, now: datetime) -> int | None:
        if account is None:
            return find_totp_step(self._nobody["totp_secret"], totp, now, -1)
        return find_totp_step(self._totp_secret(account), totp, now, account.totp_last_step)

    def _totp_secret(self, row: Row[Any]) -> str:
        place = _totp_place(row.username)
        return self.keys.decrypt(KeyRef.PII_CIPHER, row.totp_sealed, place).decode()

    def _open(self, work: Work, account: Row[Any], token: str, step: int | None) -> None:
        """The step is spent, failures are forgotten, sessions past their end are swept."""
        work.execute(
            update(staff_account)
            .where(_is(account.username))
            .values(totp_last_step=step, failures=0, locked_until=None)
        )
        work.execute(
            delete(staff_session).where(
                staff_session.c.username == account.username,
                (staff_session.c.seen_at <= work.now - IDLE)
                | (staff_session.c.created_at <= work.now - ABSOLUTE),
            )
        )
        row = {
            "token_mac": self._mac("staff_session", token),
            "username": account.username,
            "created_at": work.now,
            "seen_at": work.now,
        }
        work.execute(insert(staff_session), row)

    def _touch(self, mac: bytes) -> None:
        with self.units.write(Which.BUSINESS) as work:
            work.execute(
                update(staff_session)
                .where(staff_session.c.token_mac == mac, staff_session.c.seen_at < work.now)
                .values(seen_at=work.now)
            )

    def _csrf(self, token: str) -> str:
        mac = self._mac("staff_csrf", token)
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()

    def _mac(self, purpose: str, token: str) -> bytes:
        return self.keys.mac(KeyRef.SECRETS, json.dumps([purpose, token]).encode())


def _is(username: str) -> Any:
    return staff_account.c.username == username


def _find_account(work: Work, username: str, *, locked: bool = False) -> Row[Any] | None:
    query = select(staff_account).where(_is(username))
    return work.one(query.with_for_update() if locked else query)


def _roles(work: Work, username: str) -> tuple[str, ...]:
    roles = select(staff_role.c.role).where(staff_role.c.username == username)
    return tuple(sorted(work.execute(roles).scalars()))


def _set_roles(work: Work, username: str, roles: tuple[str, ...]) -> None:
    work.execute(delete(staff_role).where(staff_role.c.username == username))
    if roles:
        work.execute(insert(staff_role), [{"username": username, "role": one} for one in roles])


def _is_locked(account: Row[Any] | None, now: datetime) -> bool:
    if account is None or account.locked_until is None:
        return False
    return bool(now < account.locked_until)


def _count_failure(work: Work, username: str, account: Row[Any] | None) -> None:
    """One failure more; the fifth locks. A name unknown runs the same statement, on no row."""
    failures, locked_until = 0, None
    if account is not None:
        failures, locked_until = account.failures, account.locked_until
    if locked_until is None or work.now >= locked_until:
        failures = failures + 1 if locked_until is None else 1
        locked_until = work.now + LOCK if failures == FAILURES_MAX else None
    work.execute(
        update(staff_account)
        .where(_is(username))
        .values(failures=failures, locked_until=locked_until)
    )


def _totp_place(username: str) -> bytes:
    return f"staff_account.totp_sealed:{username}".encode()


def _is_password(hasher: PasswordHasher, password_hash: str, password: str) -> bool:
    try:
        return hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
