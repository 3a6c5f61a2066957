"""Ride and identity codes on the phone: fetched once a day, then made without the network."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from card_protocol.code_keys import load_es256
from card_protocol.identity_code import Claim, IdentityCodeVerifier, IdentityPart, Purpose
from card_protocol.mobile_card import compressed_point, sign
from card_protocol.ride_certificate import RideCertificate, RideSuite
from card_protocol.ride_code import IssuerPart
from card_protocol.ride_verifier import MemoryUsedCodes, RideCodeVerifier, RideRules
from card_protocol.signatures import Suite
from sdk_mobile import (
    AnswerMalformed,
    IdentityCodes,
    MemoryStorage,
    NotReady,
    Offline,
    PhoneCard,
    RideCodes,
    SoftwareDeviceKeys,
    StorageDamaged,
)
from sdk_mobile.clock import SkewedClock
from sdk_mobile.keys import compressed
from sdk_mobile.shapes import b64u

START = 1_795_400_000
DAY = 86_400
ISSUER = ec.derive_private_key(0x1550E5, ec.SECP256R1())
ISSUER_POINT = compressed_point(ISSUER.public_key())
ISSUER_ID = bytes(4)
CARD = PhoneCard(
    token_id="tok_1",
    token_number="6210000000000000017",
    short_number="12345678",
    state="active",
    product="phone_card",
    label="CITY CARD",
    certificate=b"",
    wallet_id="wal_1",
    device_id="dev_1",
)


def issued(data: bytes) -> bytes:
    return sign(ISSUER, data)


@dataclass
class Phone:
    """A phone 8 hours off that has learnt so; its backend answers, or is away."""

    storage: MemoryStorage = field(default_factory=MemoryStorage)
    seconds: float = START
    is_online: bool = True
    vouched: bytes | None = None  # another key in the part than this phone's
    asked: list[str] = field(default_factory=list)
    card: PhoneCard = CARD

    def __post_init__(self) -> None:
        self.keys = SoftwareDeviceKeys(self.storage)
        clock = SkewedClock(lambda: self.seconds - 8 * 3600, 8 * 3600)
        parts: Any = (self.storage, self, self.keys, clock, lambda: self.card)
        self.ride, self.identity = RideCodes(*parts), IdentityCodes(*parts)

    def get(self, path: str) -> dict[str, object]:
        """As `Sessions.get`."""
        if not self.is_online:
            raise Offline("no network")
        self.asked.append(path)
        point = self.vouched or compressed(self.keys.signing_public_key())
        until = int(self.seconds) + 30 * 3600
        part = (
            ride_part(point, until) if path.endswith("ride-part") else identity_part(point, until)
        )
        moment = datetime.fromtimestamp(until, UTC).isoformat()
        return {"content": b64u(part), "authorised_until": moment}


def ride_part(point: bytes, until: int) -> bytes:
    certificate = RideCertificate(
        ca_index=1,
        issuer_id=ISSUER_ID,
        expiry_month=12,
        expiry_year=2027,
        serial=bytes(3),
        suite=RideSuite.ES256,
        public_key=ISSUER_POINT,
    ).signed_by(issued)
    part = IssuerPart(
        certificate=certificate,
        account_number="0000000012345678",
        card_number=CARD.token_number,
        issuer_id=ISSUER_ID,
        platform_id=bytes(4),
        account_type=1,
        ride_max_fen=2_000,
        user_public_key=point,
        authorised_until=until,
    )
    return part.signed_by(issued).encode()


def identity_part(point: bytes, until: int) -> bytes:
    part = IdentityPart(
        suite=Suite.AES_ES256,
        issuer_key_index=1,
        handle=bytes(34),
        user_public_key=point,
        authorised_until=until,
    )
    return part.signed_by(issued).encode()


def gate() -> RideCodeVerifier:
    rules = RideRules(
        ca_keys={(1, RideSuite.ES256): ISSUER_POINT},
        suites={RideSuite.ES256: load_es256},
        issuers=frozenset({ISSUER_ID}),
        account_types=frozenset({1}),
    )
    return RideCodeVerifier(rules, MemoryUsedCodes(), frozenset())


def test_a_ride_code_is_made_offline_and_passes_a_gate() -> None:
    phone = Phone()
    assert phone.ride.refresh_if_needed()
    phone.is_online = False
    phone.seconds += 20 * 3600
    view = phone.ride.show()
    accepted = gate().verify(view.content, int(phone.seconds))
    assert accepted.part.card_number == CARD.token_number
    until_by_phone = phone.seconds - 8 * 3600 + 30
    assert view.valid_until == datetime.fromtimestamp(until_by_phone, UTC)
    assert phone.ride.show_picture().startswith(b"\x89PNG")


def test_an_identity_code_says_what_was_agreed_to() -> None:
    phone = Phone()
    phone.identity.refresh_if_needed()
    phone.is_online = False
    view = phone.identity.show("library", ["name", "registered", "name"])
    keys = {(1, Suite.AES_ES256): ISSUER_POINT}
    verifier = IdentityCodeVerifier(keys, {Suite.AES_ES256: load_es256})
    code = verifier.verify(view.content, int(phone.seconds))
    assert (code.purpose, code.claims) == (Purpose.LIBRARY, Claim.REGISTERED | Claim.NAME)
    assert view.claims == ("registered", "name")
    assert phone.identity.show("library", ["name"]).content != view.content
    for purpose, claims in (("spying", ["name"]), ("library", []), ("library", ["salary"])):
        with pytest.raises(ValueError):  # noqa: PT011 - of two sources
            phone.identity.show(purpose, claims)


@pytest.mark.parametrize("kind", ["ride", "identity"])
def test_parts_are_fetched_once_a_day_and_end(kind: str) -> None:
    phone = Phone()
    codes: Any = getattr(phone, kind)
    with pytest.raises(NotReady) as missing:
        phone.identity.show("library", ["name"]) if kind == "identity" else codes.show()
    assert missing.value.code == "no_part"
    assert [codes.refresh_if_needed() for _ in range(3)] == [True, False, False]
    phone.seconds += DAY - 1
    assert not codes.refresh_if_needed()
    phone.seconds += 1
    phone.is_online = False
    with pytest.raises(Offline):
        codes.refresh_if_needed()
    phone.seconds += 6 * 3600
    with pytest.raises(NotReady) as ended:
        phone.identity.show("library", ["name"]) if kind == "identity" else codes.show()
    assert ended.value.code == "part_expired"
    phone.is_online = True
    assert codes.refresh_if_needed()
    assert phone.asked == [f"/v1/me/cards/tok_1/{kind}-part"] * 2


def test_a_part_for_another_card_or_key_is_not_used() -> None:
    phone = Phone()
    phone.ride.refresh_if_needed()
    phone.card = PhoneCard(**{**_fields(CARD), "token_id": "tok_2"})
    with pytest.raises(NotReady):
        phone.ride.show()
    assert phone.ride.refresh_if_needed()
    stranger = Phone(vouched=ISSUER_POINT)
    with pytest.raises(AnswerMalformed):
        stranger.ride.refresh_if_needed()
    with pytest.raises(AnswerMalformed):
        stranger.identity.refresh_if_needed()


def test_a_damaged_part_is_named() -> None:
    phone = Phone()
    phone.storage.write("ride_part", b"{}")
    with pytest.raises(StorageDamaged, match="ride_part"):
        phone.ride.show()


def test_the_day_goes_by_the_backends_time() -> None:
    phone = Phone()
    phone.ride.refresh_if_needed()
    view = phone.ride.show()
    assert int.from_bytes(view.content[-69:-65]) == START
    assert timedelta(0) < view.valid_until - datetime.fromtimestamp(START - 8 * 3600, UTC)


def _fields(card: PhoneCard) -> dict[str, Any]:
    return {name: getattr(card, name) for name in card.__slots__}
