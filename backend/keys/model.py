"""What the key store knows of keys: versions, states, ceremonies. Never a key in the clear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum

from backend.keys.port import VERSION_MAX, KeyRef

SOFTWARE, PKCS11 = "software", "pkcs11"
PARTS = frozenset({2, 3})


class KeyState(Enum):
    """What a version is for."""

    ANNOUNCED = "announced"  # told to those who verify, not yet used
    ACTIVE = "active"  # for new work; one for each key
    VERIFYING = "verifying"  # for what was made under it
    RETIRED = "retired"  # destroyed; only its name and check value are left


class KeyEvent(Enum):
    ACTIVATE = "activate"
    SUCCEED = "succeed"
    RETIRE = "retire"


FLOW: Mapping[tuple[KeyState, KeyEvent], KeyState] = {
    (KeyState.ANNOUNCED, KeyEvent.ACTIVATE): KeyState.ACTIVE,
    (KeyState.ANNOUNCED, KeyEvent.RETIRE): KeyState.RETIRED,
    (KeyState.ACTIVE, KeyEvent.SUCCEED): KeyState.VERIFYING,
    (KeyState.VERIFYING, KeyEvent.RETIRE): KeyState.RETIRED,
}


class KeysRefused(Exception):
    """What was asked of the key store is not allowed: one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """One version of one key. `sealed` is the key under the key-encryption key, if it is here."""

    ref: KeyRef
    number: int
    state: KeyState
    created_at: datetime
    changed_at: datetime  # when it got this state
    check_value: str = ""  # hex
    place: str = SOFTWARE
    point: str = ""  # hex, of signing keys
    sealed: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.ref.named(self.number)

    def after(self, event: KeyEvent, now: datetime) -> KeyVersion:
        """The only way a version changes state. Raises KeysRefused."""
        try:
            state = FLOW[self.state, event]
        except KeyError:
            raise KeysRefused(f"{self.name} is {self.state.value}: no {event.value}") from None
        return replace(self, state=state, changed_at=now)


@dataclass(frozen=True, slots=True)
class Component:
    """One person's part of a key: XOR of all parts is the key."""

    who: str
    check_value: str
    at: datetime
    sealed: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ceremony:
    """A key that comes in by parts (dual control)."""

    ref: KeyRef
    parts: int
    check_value: str  # of the whole key, told beforehand
    begun_by: str
    expires_at: datetime
    components: tuple[Component, ...] = ()


@dataclass(frozen=True, slots=True)
class Contents:
    """All that the store holds, and the last line of the trail that it answers for."""

    versions: tuple[KeyVersion, ...]
    ceremonies: tuple[Ceremony, ...] = ()
    trail_lines: int = 0
    trail_mac: str = ""

    def of(self, ref: KeyRef) -> tuple[KeyVersion, ...]:
        """All versions of a key, oldest first."""
        return tuple(one for one in self.versions if one.ref is ref)

    def get_active(self, ref: KeyRef) -> KeyVersion:
        """Raises KeysRefused."""
        for one in self.of(ref):
            if one.state is KeyState.ACTIVE:
                return one
        raise KeysRefused(f"{ref.value} has no active version")

    def find_announced(self, ref: KeyRef) -> KeyVersion | None:
        return next((one for one in self.of(ref) if one.state is KeyState.ANNOUNCED), None)

    def get(self, ref: KeyRef, number: int) -> KeyVersion:
        """Raises KeysRefused."""
        for one in self.of(ref):
            if one.number == number:
                return one
        raise KeysRefused(f"{ref.value} has no version {number}")

    def next_number(self, ref: KeyRef) -> int:
        """Raises KeysRefused when the one byte that carries versions is used up."""
        number = max((one.number for one in self.of(ref)), default=0) + 1
        if number > VERSION_MAX:
            raise KeysRefused(f"{ref.value} has had {VERSION_MAX} versions: no more can be named")
        return number

    def with_version(self, version: KeyVersion) -> Contents:
        """With this version added or replaced."""
        others = [one for one in self.versions if one.name != version.name]
        order = {ref: place for place, ref in enumerate(KeyRef)}
        both = sorted([*others, version], key=lambda one: (order[one.ref], one.number))
        return replace(self, versions=tuple(both))


@dataclass(frozen=True, slots=True)
class Terms:
    """What still needs a version that is no longer active, and for how long.

    `keep` None: nobody can say; the operator must have made sure.
    """

    keep: timedelta | None
    needed_by: str


NOT_ROTATED: Mapping[str, str] = {
    "pii-index": "people are found, and kept apart, by its values: every row would have to be "
    "indexed anew first",
    "answers": "a payment that is asked again would be taken for another one",
    "secrets": "every session, one-time code and activation code would end at once",
    "bank-notices": "the bank holds it too: both change together, by agreement",
}
"""Purpose -> why a second version cannot be: what was made under the first is looked up by it."""

RETIRE_TERMS: Mapping[str, Terms] = {
    "token-master": Terms(
        timedelta(days=30), "limited-use keys of phones that have not refilled since"
    ),
    "issuer-signing": Terms(
        None, "token certificates signed with it: terminals refuse those cards from then on"
    ),
    "transport": Terms(None, "card keys wrapped under it and not yet in a card"),
    "access-tokens": Terms(timedelta(hours=1), "access tokens that have not expired"),
    "pii-cipher": Terms(
        None, "every row sealed under it: personal data that nobody can read afterwards"
    ),
    "terminal-profile": Terms(
        timedelta(days=30), "terminals not online since it was rotated: a fitter pins them anew"
    ),
    "merchant-codes": Terms(None, "printed merchant codes: they are refused from then on"),
}
NOT_RETIRED: Mapping[str, str] = {
    "ledger-seal": "seals made with it are checked for ever",
    "audit-seal": "seals made with it are checked for ever",
}
CARD_TERMS = Terms(None, "cards personalised under it: they can neither pay nor be loaded")
"""For the issuer masters: a card keeps its keys for life."""


def terms_of(ref: KeyRef) -> Terms:
    """What retiring a version of this key means."""
    return RETIRE_TERMS.get(ref.purpose, CARD_TERMS)
