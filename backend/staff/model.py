"""Roles and what they may do, how long a session lives, when an account is locked. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyotp

FAILURES_MAX = 5
LOCK = timedelta(minutes=15)
IDLE = timedelta(minutes=15)
ABSOLUTE = timedelta(hours=8)
PASSWORD_CHARACTERS_MIN = 8
TOTP_SECONDS = 30
TOTP_STEPS_AROUND = (-1, 0, 1)  # RFC 6238, section 5.2: one step of delay is forgiven

PERMISSIONS: Mapping[str, frozenset[str]] = {
    "operator": frozenset(
        {
            "ledger.read",
            "custody.write",
            "merchants.write",
            "sandbox.read",
            "wallets.freeze",
            "debts.write",
            "cases.write",
            "corrections.write",
            "counter.topup",
            "batches.write",
            "batches.approve",
            "cards.write",
        }
    ),
    "agent": frozenset({"merchants.write", "cards.write"}),
    "auditor": frozenset({"ledger.read"}),
}
"""Role -> scopes: the whole of what staff may do."""


class RoleUnknown(ValueError):
    """A role that is not in PERMISSIONS: a mistake in the configuration."""


def check_roles(roles: Iterable[str]) -> tuple[str, ...]:
    """The roles, sorted, each once. Raises RoleUnknown."""
    named = tuple(sorted(set(roles)))
    for role in named:
        if role not in PERMISSIONS:
            raise RoleUnknown(f"no such role: {role} (known: {', '.join(PERMISSIONS)})")
    return named


def scopes_of(roles: Iterable[str]) -> frozenset[str]:
    """Everything the roles may do together."""
    return frozenset().union(*(PERMISSIONS[role] for role in roles))


def find_totp_step(secret: str, code: str, now: datetime, last_step: int) -> int | None:
    """The time step `code` belongs to (RFC 6238), when it is later than `last_step`."""
    totp = pyotp.TOTP(secret, interval=TOTP_SECONDS)
    present = int(now.timestamp()) // TOTP_SECONDS
    found = None
    for around in TOTP_STEPS_AROUND:
        step = present + around
        expected = totp.generate_otp(step)
        if hmac.compare_digest(expected.encode(), code.encode()) and step > last_step:
            found = step
    return found


@dataclass(frozen=True, slots=True)
class StaffSession:
    """A login in use. `token` goes into the cookie and nowhere else."""

    username: str
    roles: tuple[str, ...]
    csrf_token: str = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StaffMember:
    """Who a session belongs to."""

    staff_id: str
    username: str
    roles: tuple[str, ...]

    @property
    def scopes(self) -> frozenset[str]:
        return scopes_of(self.roles)
