"""What a terminal's profile says beyond its own names: mode, fares, limits, authorities. Pure.

Backend and terminal read the same documents with the same checks: what the backend signs, a
terminal can read. The members: docs/protocol/terminal-profile.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum, unique
from typing import Any

from card_protocol.checks import (
    U8_MAX,
    U32_MAX,
    require,
    require_bytes,
    require_printable,
    require_whole,
)
from card_protocol.fares import Fare, FlatFare, MatrixFare, TimedFare, fare_of
from card_protocol.mode_rules import ModeRules, mode_rules_of
from card_protocol.ride_certificate import ISSUER_ID_BYTES, RideSuite
from card_protocol.signatures import require_compressed_point

CODE = "profile_malformed"
DOCUMENT_KIND = "city-terminal-profile+jwt"
FORMAT = 1
VALID_SECONDS_MAX = 30 * 86_400
ITEMS_MAX = 64
PURSE_ISSUER_BYTES = 8


@unique
class Mode(StrEnum):
    """What a terminal is for."""

    SHOP = "shop"
    BUS = "bus"
    GATE = "gate"
    PARKING = "parking"
    BICYCLE = "bicycle"
    CLINIC = "clinic"
    LOADING = "loading"


FARES_OF: Mapping[Mode, tuple[type, ...]] = {
    Mode.BUS: (FlatFare,),
    Mode.GATE: (MatrixFare, FlatFare),
    Mode.PARKING: (TimedFare,),
    Mode.BICYCLE: (TimedFare,),
}
"""The modes that ask a fare, and its forms; the other modes are told each amount."""


@unique
class Means(StrEnum):
    """What can be taken without asking the backend."""

    MOBILE_CARD = "mobile_card"
    EPURSE = "epurse"
    RIDE_CODE = "ride_code"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineLimits:
    """How much may be owed by sales that the backend has not seen; zeros mean online only.

    Counted over sales still kept at this terminal. Raises `MalformedBytes` "profile_malformed".
    """

    sale_max_fen: int = 0
    card_sum_max_fen: int = 0
    card_count_max: int = 0
    sum_max_fen: int = 0
    count_max: int = 0
    age_max_seconds: int = 0  # of the oldest sale kept

    def __post_init__(self) -> None:
        _require_whole_members(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhenExpired:
    """What is still taken offline when profile or deny list is too old, and for how long.

    After `grace_seconds` nothing is. Raises `MalformedBytes` "profile_malformed".
    """

    accepts: frozenset[Means] = frozenset()
    sale_max_fen: int = 0
    grace_seconds: int = 0

    def __post_init__(self) -> None:
        require(all(isinstance(one, Means) for one in self.accepts), CODE, "accepts")
        require_whole(self.sale_max_fen, 0, U32_MAX, CODE, "sale_max_fen")
        require_whole(self.grace_seconds, 0, VALID_SECONDS_MAX, CODE, "grace_seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileTerms:
    """One kind of terminal, as the city set it. Raises `MalformedBytes` "profile_malformed"."""

    mode: Mode = Mode.SHOP
    fare: Fare | None = None
    offline: OfflineLimits = field(default_factory=OfflineLimits)
    when_expired: WhenExpired = field(default_factory=WhenExpired)
    valid_seconds: int = 86_400  # of a signed profile
    deny_list_age_max_seconds: int = 86_400
    purse_issuers: frozenset[bytes] = frozenset()  # 8 bytes each, of file 15
    rules: ModeRules = field(default_factory=ModeRules)

    def __post_init__(self) -> None:
        forms = FARES_OF.get(self.mode, ())
        is_fit = isinstance(self.fare, forms) if forms else self.fare is None
        require(is_fit, CODE, f"{self.mode} goes with another fare")
        for name in ("valid_seconds", "deny_list_age_max_seconds"):
            require_whole(getattr(self, name), 60, VALID_SECONDS_MAX, CODE, name)
        require(len(self.purse_issuers) <= ITEMS_MAX, CODE, "too many purse issuers")
        for issuer in self.purse_issuers:
            require_bytes(issuer, PURSE_ISSUER_BYTES, CODE, "a purse issuer")
        require(isinstance(self.rules, ModeRules), CODE, "rules")

    def to_document(self) -> dict[str, Any]:
        return {
            "mode": self.mode.value,
            "fare": self.fare.to_document() if self.fare else None,
            "offline": _members(self.offline),
            "when_expired": {
                "accepts": sorted(self.when_expired.accepts),
                "sale_max_fen": self.when_expired.sale_max_fen,
                "grace_seconds": self.when_expired.grace_seconds,
            },
            "valid_seconds": self.valid_seconds,
            "deny_list_age_max_seconds": self.deny_list_age_max_seconds,
            "purse_issuers": sorted(issuer.hex() for issuer in self.purse_issuers),
            "rules": self.rules.to_document(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RideAuthorities:
    """Whose ride codes are genuine: what `ride_verifier.RideRules` is made of."""

    suite: RideSuite
    ca_keys: Mapping[int, bytes]  # index -> SEC1 point, 33 bytes
    issuers: frozenset[bytes]  # 4 bytes each
    account_types: frozenset[int]
    validity_seconds_max: int

    def __post_init__(self) -> None:
        require(isinstance(self.suite, RideSuite), CODE, "a ride suite")
        sizes = (len(one) for one in (self.ca_keys, self.issuers, self.account_types))
        require(all(size <= ITEMS_MAX for size in sizes), CODE, "too many authorities")
        for index, point in self.ca_keys.items():
            require_whole(index, 0, U8_MAX, CODE, "a CA's index")
            require_compressed_point(point, CODE, "a CA's key")
        for issuer in self.issuers:
            require_bytes(issuer, ISSUER_ID_BYTES, CODE, "a ride issuer")
        for account_type in self.account_types:
            require_whole(account_type, 0, U8_MAX, CODE, "an account type")
        require_whole(self.validity_seconds_max, 1, 3600, CODE, "validity_seconds_max")

    def to_document(self) -> dict[str, Any]:
        keys = sorted(self.ca_keys.items())
        return {
            "suite": int(self.suite),
            "ca_keys": [{"index": index, "point": point.hex()} for index, point in keys],
            "issuers": sorted(issuer.hex() for issuer in self.issuers),
            "account_types": sorted(self.account_types),
            "validity_seconds_max": self.validity_seconds_max,
        }


def terms_of(document: Mapping[str, Any]) -> ProfileTerms:
    """From a profile or from `city.toml`; what is left out has its default, what is unknown is
    refused. Raises `MalformedBytes` "profile_malformed", "fare_malformed", "mode_rules_malformed".
    """
    values = _known(document, ProfileTerms)
    readers: dict[str, Callable[[Any], Any]] = {
        "mode": lambda value: _one_of(Mode, value),
        "fare": lambda value: None if value is None else fare_of(value),
        "offline": lambda value: OfflineLimits(**_known(value, OfflineLimits)),
        "when_expired": _when_expired,
        "purse_issuers": lambda value: frozenset(_hex(one) for one in _list(value)),
        "rules": mode_rules_of,
    }
    return ProfileTerms(**{name: readers.get(name, _same)(one) for name, one in values.items()})


def ride_authorities_of(document: Mapping[str, Any]) -> RideAuthorities:
    """Raises `MalformedBytes` "profile_malformed"."""
    values = _known(document, RideAuthorities)
    require(values.keys() == set(RideAuthorities.__dataclass_fields__), CODE, "members missing")
    keys = [_item(one, "index", "point") for one in _list(values["ca_keys"])]
    require(values["suite"] in set(RideSuite), CODE, "unknown ride suite")
    return RideAuthorities(
        suite=RideSuite(values["suite"]),
        ca_keys={one["index"]: _hex(one["point"]) for one in keys},
        issuers=frozenset(_hex(one) for one in _list(values["issuers"])),
        account_types=frozenset(_list(values["account_types"])),
        validity_seconds_max=values["validity_seconds_max"],
    )


def _when_expired(document: Mapping[str, Any]) -> WhenExpired:
    values = _known(document, WhenExpired)
    if "accepts" in values:
        values["accepts"] = frozenset(_one_of(Means, one) for one in _list(values["accepts"]))
    return WhenExpired(**values)


def _known(document: object, kind: type) -> dict[str, Any]:
    require(isinstance(document, Mapping), CODE, f"{kind.__name__} is an object")
    assert isinstance(document, Mapping)
    names = set(kind.__dataclass_fields__)  # type: ignore[attr-defined]  # called with dataclasses
    require(document.keys() <= names, CODE, f"{kind.__name__} has no such member")
    return dict(document)


def _item(value: object, *names: str) -> Mapping[str, Any]:
    require(isinstance(value, Mapping) and value.keys() == set(names), CODE, f"{names} expected")
    assert isinstance(value, Mapping)
    return value


def _list(value: object) -> list[Any]:
    require(isinstance(value, list) and len(value) <= ITEMS_MAX, CODE, "a short list is expected")
    assert isinstance(value, list)
    require(all(isinstance(one, str | int | dict) for one in value), CODE, "unknown item")
    return value


def _one_of(kind: type[StrEnum], value: object) -> Any:
    require(value in {one.value for one in kind}, CODE, f"unknown {kind.__name__}")
    return kind(str(value))


def _hex(value: object) -> bytes:
    require_printable(value, 2, 256, CODE, "a hexadecimal text")
    try:
        return bytes.fromhex(str(value))
    except ValueError:
        require(False, CODE, "not hexadecimal")
        raise


def _same(value: Any) -> Any:
    return value


def _members(one: OfflineLimits) -> dict[str, int]:
    return {each.name: getattr(one, each.name) for each in fields(one)}


def _require_whole_members(one: OfflineLimits) -> None:
    for name, value in _members(one).items():
        require_whole(value, 0, U32_MAX, CODE, name)
