"""An issuer of profiles and deny lists for one terminal, without a network."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from card_protocol.deny_list import Changes, DenyPart
from card_protocol.signatures import compressed_point, sign
from card_protocol.signed_document import encode_document
from card_protocol.terminal_profile import (
    DOCUMENT_KIND,
    Means,
    OfflineLimits,
    ProfileTerms,
    RideAuthorities,
    WhenExpired,
)
from reader_bridge.backend_client import Unreachable
from reader_bridge.profile import SignedProfile, open_profile, pins_of
from reader_bridge.profile.pins import thumbprint
from tests.reader_bridge.support import (
    MERCHANT_NUMBER,
    NOW,
    TERMINAL_NUMBER,
    CardKit,
    jwk_of,
)

TERMINAL_ID = "trm_01h2xcejqtf2nbrexx3vqjhp41"
TERMS = ProfileTerms(
    offline=OfflineLimits(
        sale_max_fen=5_000,
        card_sum_max_fen=8_000,
        card_count_max=3,
        sum_max_fen=20_000,
        count_max=5,
        age_max_seconds=7_200,
    ),
    when_expired=WhenExpired(
        accepts=frozenset({Means.MOBILE_CARD, Means.RIDE_CODE}),
        sale_max_fen=200,
        grace_seconds=600,
    ),
    valid_seconds=3_600,
    deny_list_age_max_seconds=1_800,
    purse_issuers=frozenset({bytes.fromhex("01011000FFFFFFFF")}),
)


@dataclass
class Issuer:
    """`keys` may sign; the first one does. `listed` are the numbers denied now."""

    kit: CardKit = field(default_factory=CardKit)
    keys: list[ec.EllipticCurvePrivateKey] = field(
        default_factory=lambda: [ec.generate_private_key(ec.SECP256R1())]
    )
    terms: ProfileTerms = TERMS
    rides: RideAuthorities | None = None
    version: int = 4
    issued_at: int = NOW - 60
    now: int = NOW
    part_changes_max: int = 3
    floor: int = 0
    log: list[tuple[int, bool]] = field(default_factory=list)  # version - 1 -> (number, denied?)
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    is_away: bool = False

    def jwks(self) -> list[dict[str, str]]:
        return [jwk_of(key.public_key()) for key in self.keys]

    def rotate(self) -> None:
        """Announce a new key first; `retire` then leaves the old one behind."""
        self.keys.append(ec.generate_private_key(ec.SECP256R1()))
        self.version += 1

    def retire(self) -> None:
        del self.keys[0]
        self.version += 1

    def document(self, terminal_id: str = TERMINAL_ID, **changes: Any) -> str:
        profile = {
            "profile_version": self.version,
            "terminal_id": terminal_id,
            "terminal_number": TERMINAL_NUMBER,
            "merchant_number": MERCHANT_NUMBER,
            "merchant_name": "老街面馆",
            "shop_name": "一号店",
            "currency": 156,
            "applications": [{"aid": "F0434954594341524401", "label": "CITY CARD", "priority": 1}],
            "issuer_keys": [{"index": 1, "public_key": jwk_of(self.kit.issuer.public_key())}],
            "online_timeout_seconds": 2,
            "deny_list_version": len(self.log),
            "terms": self.terms.to_document(),
            "ride_codes": self.rides.to_document() if self.rides else None,
        }
        claims = {
            "format": 1,
            "sub": terminal_id,
            "iat": self.issued_at,
            "exp": self.issued_at + self.terms.valid_seconds,
            "profile": profile,
            "keys": self.jwks(),
            **changes,
        }
        name = thumbprint(self.jwks()[0])
        return encode_document(DOCUMENT_KIND, name, claims, lambda text: sign(self.keys[0], text))

    def profile(self) -> SignedProfile:
        return open_profile(self.document(), pins_of(self.jwks()), TERMINAL_ID)

    def pins(self) -> dict[bytes, bytes]:
        return {
            base64.urlsafe_b64decode(thumbprint(jwk_of(key.public_key())) + "="): compressed_point(
                key.public_key()
            )
            for key in self.keys
        }

    def denied(self) -> list[int]:
        state = dict(self.log)
        return sorted(number for number, is_denied in state.items() if is_denied)

    def part(self, since: int, begun: int) -> DenyPart:
        """As the backend answers: the last word on each number, in the order of versions."""
        head = len(self.log)
        start = since if self.floor <= max(since, begun) and since <= head else 0
        last = {number: at for at, (number, _) in enumerate(self.log, start=1)}
        rows = [(at, number) for number, at in last.items() if at > start]
        rows = sorted(one for one in rows if self.log[one[0] - 1][1] or one[0] > self.floor)
        page = rows[: self.part_changes_max]
        upto = page[-1][0] if len(page) == self.part_changes_max else head
        numbers = {True: [], False: []}
        for at, number in page:
            numbers[self.log[at - 1][1]].append(number)
        tokens = Changes(tuple(sorted(numbers[True])), tuple(sorted(numbers[False])))
        return DenyPart(
            key_name=next(iter(self.pins())),
            since=start,
            upto=upto,
            head=head,
            issued_at=self.now,
            tokens_total=len(self.denied()),
            purses_total=0,
            tokens=tokens,
        ).signed_by(lambda body: sign(self.keys[0], body))

    def ask(self, path: str, params: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """What `BackendClient.get` gives."""
        if self.is_away:
            raise Unreachable("no_connection", sent=False)
        self.asked.append((path, params or {}))
        if params is None:
            return {"document": self.document(), "keys": self.jwks()}
        body = self.part(int(params["since"]), int(params["begun"])).encode()
        return {"part": base64.urlsafe_b64encode(body).rstrip(b"=").decode()}
