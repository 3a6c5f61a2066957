"""Terms of ride codes, verifiers of identity codes and what they learnt, as facts; no rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from card_protocol.identity_code import Claim, Purpose
from card_protocol.ride_code import AccountType, RideSuite
from card_protocol.signatures import compressed_point

PART_HOURS = 30
"""A phone asks once a day; the hours above that bear an evening without network."""
REPEAT_SECONDS = 300
"""For so long a verifier that lost the answer may ask again under the same request_id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RideTerms:
    """Who issues ride codes, as certificates say it: configuration.

    The ids stand for this city alone until a clearing centre gives out others.
    """

    issuer_id: bytes = bytes.fromhex("00000001")
    platform_id: bytes = bytes.fromhex("00000001")
    account_type: int = AccountType.ORDINARY
    ride_max_fen: int = 2_000
    suite: RideSuite = RideSuite.ES256

    def __post_init__(self) -> None:
        if len(self.issuer_id) != 4 or len(self.platform_id) != 4:
            raise ValueError("issuer_id and platform_id have 4 bytes")
        if self.suite is not RideSuite.ES256:
            raise ValueError("the phone's keys are on P-256: the suite is ES256")


@dataclass(frozen=True, slots=True)
class SignedPart:
    """An issuer part, to be kept by the phone until `authorised_until`."""

    content: bytes
    authorised_until: datetime


@dataclass(frozen=True, slots=True)
class NumberedKey:
    """A key that may have signed: its version is the index that codes and certificates name."""

    index: int
    public_key: bytes  # SEC1, 33 bytes

    @classmethod
    def all_of(cls, keys: Mapping[int, EllipticCurvePublicKey]) -> tuple[NumberedKey, ...]:
        return tuple(cls(index, compressed_point(key)) for index, key in sorted(keys.items()))


@dataclass(frozen=True, slots=True)
class RideKeys:
    """What a gate needs to check ride codes offline."""

    suite: RideSuite
    ca_keys: tuple[NumberedKey, ...]
    issuer_id: bytes
    account_types: tuple[int, ...]
    validity_seconds_max: int


@dataclass(frozen=True, slots=True)
class IdentityKeys:
    """What a verifier needs to check identity codes offline."""

    suite: int
    issuer_keys: tuple[NumberedKey, ...]


@dataclass(frozen=True, slots=True)
class IdentityVerifier:
    """A merchant that may read identity codes: for these purposes, never more than these claims."""

    merchant_id: str
    purposes: tuple[str, ...]
    claims: tuple[str, ...]
    registered_at: datetime


@dataclass(frozen=True, slots=True)
class IdentityRelease:
    """What a verifier learnt: exactly the claims in the code. `values` are told, never kept."""

    release_id: str
    merchant_id: str
    purpose: str
    claims: tuple[str, ...]
    released_at: datetime
    values: Mapping[str, object]


def purposes_of(mask: int) -> tuple[str, ...]:
    """Names of the purposes whose figures' bits are set."""
    return tuple(one.name.lower() for one in Purpose if mask >> one & 1)


def purposes_mask(names: Iterable[str]) -> int:
    """The inverse."""
    return sum(1 << Purpose[name.upper()] for name in set(names))


def claims_of(mask: int) -> tuple[str, ...]:
    """Names of the claims in a mask."""
    return tuple(str(one.name).lower() for one in Claim if mask & one)


def claims_mask(names: Iterable[str]) -> int:
    """The inverse."""
    return sum(Claim[name.upper()] for name in set(names))
