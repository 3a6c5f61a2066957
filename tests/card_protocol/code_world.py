"""A city's ride and identity keys for tests: genuine codes of both suites, and who checks them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from card_protocol import ride_code, sm2
from card_protocol.code_keys import KeyLoader, load_es256, load_sm2
from card_protocol.identity_code import (
    Claim,
    IdentityCode,
    IdentityCodeVerifier,
    IdentityPart,
    Purpose,
)
from card_protocol.mobile_card import compressed_point, sign
from card_protocol.ride_certificate import RideCertificate, RideSuite
from card_protocol.ride_code import AccountType, IssuerPart
from card_protocol.ride_verifier import MemoryUsedCodes, RideCodeVerifier, RideRules
from card_protocol.signatures import Suite

NOW = 1_795_400_000  # in November 2026
HOUR = 3_600
ISSUER_ID = bytes.fromhex("64010000")
CARD_NUMBER = "3105170070104791381"


@dataclass(frozen=True)
class Signer:
    """One key pair of either suite."""

    point: bytes
    sign: Callable[[bytes], bytes] = field(repr=False)


def es256_signer() -> Signer:
    key = ec.generate_private_key(ec.SECP256R1())
    return Signer(compressed_point(key.public_key()), lambda data: sign(key, data))


def sm2_signer() -> Signer:
    key = sm2.PrivateKey.generate()
    return Signer(key.public_key, key.sign)


MAKERS = {RideSuite.ES256: es256_signer, RideSuite.SM2: sm2_signer}
LOADERS: dict[RideSuite, KeyLoader] = {RideSuite.ES256: load_es256, RideSuite.SM2: load_sm2}


@dataclass
class Rides:
    """Keys of one suite, an issuer part, and gates that know them."""

    suite: RideSuite = RideSuite.ES256

    def __post_init__(self) -> None:
        make = MAKERS[self.suite]
        self.ca, self.issuer, self.user = make(), make(), make()
        self.part = self.part_with()
        self.denied: set[str] = set()

    def certificate_with(self, **changes: Any) -> RideCertificate:
        values = {
            "ca_index": 1,
            "issuer_id": ISSUER_ID,
            "expiry_month": 12,
            "expiry_year": 2026,
            "serial": bytes(3),
            "suite": self.suite,
            "public_key": self.issuer.point,
        }
        return RideCertificate(**{**values, **changes}).signed_by(self.ca.sign)

    def part_with(self, certificate: RideCertificate | None = None, **changes: Any) -> IssuerPart:
        part = IssuerPart(
            certificate=certificate or self.certificate_with(),
            account_number="0000000012345678",
            card_number=CARD_NUMBER,
            issuer_id=ISSUER_ID,
            platform_id=bytes(4),
            account_type=AccountType.ORDINARY,
            ride_max_fen=2_000,
            user_public_key=self.user.point,
            authorised_until=NOW + 24 * HOUR,
        )
        return replace(part, **changes).signed_by(self.issuer.sign)

    def code(self, at: int = NOW, part: IssuerPart | None = None) -> bytes:
        return ride_code.show((part or self.part).encode(), at, self.user.sign)

    def gate(self, used: Any = None, **more: Any) -> RideCodeVerifier:
        rules = RideRules(
            ca_keys={(1, self.suite): self.ca.point},
            suites=LOADERS,
            issuers=frozenset({ISSUER_ID}),
            account_types=frozenset({AccountType.ORDINARY}),
        )
        return RideCodeVerifier(rules, used or MemoryUsedCodes(), self.denied, **more)


@dataclass
class Identities:
    """An issuer and a holder."""

    def __post_init__(self) -> None:
        self.issuer, self.user = es256_signer(), es256_signer()
        self.verifier = IdentityCodeVerifier(
            {(1, Suite.AES_ES256): self.issuer.point}, {Suite.AES_ES256: load_es256}
        )

    def part_with(self, **changes: Any) -> IdentityPart:
        part = IdentityPart(
            suite=Suite.AES_ES256,
            issuer_key_index=1,
            handle=bytes(34),
            user_public_key=self.user.point,
            authorised_until=NOW + 24 * HOUR,
        )
        return replace(part, **changes).signed_by(self.issuer.sign)

    def code(self, at: int = NOW, part: IdentityPart | None = None) -> str:
        code = IdentityCode(
            part=part or self.part_with(),
            purpose=Purpose.LIBRARY,
            claims=Claim.NAME,
            generated_at=at,
            nonce=bytes(8),
        )
        return code.signed_by(self.user.sign).encode()
