"""Merchants, shops, terminals and merchants' servers as facts, with pure rules; knows no rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from backend.merchants.states import State
from card_protocol.place import TerminalPlace
from card_protocol.terminal_profile import ProfileTerms

MERCHANT_NUMBER_CHARACTERS = 15
SHOP_NUMBER_DIGITS = 8
TERMINAL_NUMBER_CHARACTERS = 8

SHOP = "shop"  # the kind of a terminal for which nobody chose another

CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # without 0 O 1 I L U: read aloud and typed
CODE_CHARACTERS = 8
CODE_TTL = timedelta(hours=24)


class ClientKind(Enum):
    """Who signs in with a key of its own."""

    TERMINAL = "terminal"
    MERCHANT = "merchant"  # a merchant's server


@dataclass(frozen=True, slots=True)
class Merchant:
    """Who is paid. `name_en` is printable ASCII: EMVCo codes carry it beside the Chinese name."""

    merchant_id: str
    merchant_number: str  # 15 characters, on terminals and receipts
    name: str
    name_en: str
    mcc: str  # 4 digits, ISO 18245
    city: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Shop:
    """A place of a merchant."""

    shop_id: str
    merchant_id: str
    shop_number: str  # 8 digits, in merchant codes
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Client:
    """A terminal (`trm_`) or a merchant's server (`mcl_`)."""

    client_id: str
    kind: ClientKind
    merchant_id: str
    shop_id: str | None  # terminals only
    terminal_number: str | None  # 8 characters, terminals only
    label: str
    state: State
    created_at: datetime
    activated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Ordered:
    """A client waiting for its device, and the code that lets the device in."""

    client: Client
    activation_code: str  # XXXX-XXXX
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Ordered({self.client!r}, <secret>)"


@dataclass(frozen=True, slots=True)
class TerminalFacts:
    """What payments needs to know of a terminal that is active."""

    terminal_id: str
    merchant_id: str
    merchant_name: str
    shop_id: str
    shop_name: str
    terminal_number: str
    merchant_number: str


@dataclass(frozen=True, slots=True)
class Activated:
    """Who the device is from now on."""

    client_id: str
    kind: ClientKind
    merchant_id: str
    merchant_name: str
    shop_id: str | None
    shop_name: str | None
    terminal_number: str | None
    merchant_number: str
    profile_keys: tuple[EllipticCurvePublicKey, ...] = ()  # a terminal pins them


@dataclass(frozen=True, slots=True)
class AcceptedApplication:
    """An application terminals select on a card, lowest priority number first."""

    aid: bytes
    label: str
    priority: int

    @property
    def aid_hex(self) -> str:
        return self.aid.hex().upper()


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What every terminal of the city accepts: configuration."""

    applications: tuple[AcceptedApplication, ...]
    online_timeout_seconds: int = 10
    profiles: Mapping[str, ProfileTerms] = field(default_factory=lambda: {SHOP: ProfileTerms()})
    purse: AcceptedApplication | None = None
    place: TerminalPlace = field(default_factory=TerminalPlace)  # the city's part of each place

    def applications_for(self, terms: ProfileTerms) -> tuple[AcceptedApplication, ...]:
        """What a terminal selects, in order of priority; the purse where it takes an issuer's."""
        more = () if self.purse is None or not terms.purse_issuers else (self.purse,)
        return tuple(sorted((*self.applications, *more), key=lambda one: one.priority))


def code_text(characters: str) -> str:
    """`ABCD2345` as people see it: `ABCD-2345`."""
    return f"{characters[:4]}-{characters[4:]}"


def code_characters(typed: str) -> str:
    """What was typed, without hyphens, spaces and lower case."""
    return "".join(typed.split()).replace("-", "").upper()


def derive_code(mac: Callable[[bytes], bytes], client_id: str, serial: int) -> str:
    """The activation code a client gets as its `serial`-th: 8 characters, stored nowhere.

    `mac` is keyed and gives 32 bytes: the remainder's bias is far below 2^-200.
    """
    number = int.from_bytes(mac(f"activation-code-of|{client_id}|{serial}".encode()), "big")
    characters = []
    for _ in range(CODE_CHARACTERS):
        number, place = divmod(number, len(CODE_ALPHABET))
        characters.append(CODE_ALPHABET[place])
    return "".join(characters)
