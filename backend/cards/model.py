"""A purse as the registry knows it, the commands about it, and how it stood at a moment. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from backend.cards.errors import PurseMismatch, PurseNotActive
from backend.cards.states import STOPPED, PurseEvent, PurseState

NUMBER_DIGITS = 20
"""The 10-byte application serial in hexadecimal digits (JT/T 978: BCD, first nibble 0)."""


@dataclass(frozen=True, slots=True)
class PurseKey:
    """Whose keys a MAC is under: what the card's keys are derived from."""

    purse_number: str  # 20 digits
    issuer_id: str  # 16 hexadecimal digits, lower case
    suite: int  # the algorithm byte of INITIALIZE: 0 3DES, 4 SM4
    key_version: int


@dataclass(frozen=True, slots=True)
class Purse:
    """`wallet_id`: whose it is, where a holder registered it (记名)."""

    purse_number: str
    issuer_id: str
    suite: int
    key_version: int
    product: str
    wallet_id: str | None
    state: PurseState
    registered_at: datetime
    changed_at: datetime

    @property
    def key(self) -> PurseKey:
        return PurseKey(self.purse_number, self.issuer_id, self.suite, self.key_version)

    def check_key(self, said: PurseKey) -> None:
        """Whether a card that says this can be the registered one. Raises PurseMismatch."""
        for name in ("issuer_id", "suite", "key_version"):
            if getattr(said, name) != getattr(self, name):
                raise PurseMismatch(field=name)

    def check_active(self) -> None:
        """Raises PurseNotActive."""
        if self.state is not PurseState.ACTIVE:
            raise PurseNotActive(state=self.state.value)


@dataclass(frozen=True, slots=True)
class PurseChange:
    """One line of a purse's history."""

    after: PurseState
    at: datetime


@dataclass(frozen=True, slots=True)
class PurseAtMoment:
    """A purse with its history, to be asked how it stood when it paid."""

    purse: Purse
    changes: tuple[PurseChange, ...]  # in their order

    def stopped_since(self, at: datetime) -> datetime | None:
        """Since when the purse was stopped at that moment; None when it was not."""
        return find_stopped_since(self.changes, at)


def find_stopped_since(changes: Sequence[PurseChange], at: datetime) -> datetime | None:
    """The first of the stops that still held at a moment."""
    since = None
    for one in changes:
        if one.at > at:
            break
        if one.after not in STOPPED:
            since = None
        elif since is None:
            since = one.at
    return since


@dataclass(frozen=True, slots=True)
class RegisterPurse:
    """The command: a purse was personalised."""

    purse_number: str
    issuer_id: str
    suite: int
    key_version: int
    product: str
    staff_id: str
    wallet_id: str | None = None


@dataclass(frozen=True, slots=True)
class ChangePurse:
    """The command: staff changes a purse's state."""

    purse_number: str
    event: PurseEvent
    reason: str
    staff_id: str
