"""What a DEMO city signs: a terminal's profile, an empty deny list; and the keys it signs with."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from card_protocol.deny_list import DenyPart
from card_protocol.mobile_card import EPURSE_AID, MOBILE_CARD_AID, MOBILE_CARD_LABEL
from card_protocol.signatures import sign
from card_protocol.signed_document import encode_document
from card_protocol.terminal_profile import (
    DOCUMENT_KIND,
    FORMAT,
    Means,
    OfflineLimits,
    ProfileTerms,
    WhenExpired,
)
from reader_bridge.client_key import ClientKey, load_or_make_key, make_folder, write_private
from reader_bridge.profile.pins import thumbprint

CLIENT_ID: Final = "trm_01h2xcejqtf2nbrexx3vqjhp41"
PURSE_LABEL: Final = "MOT_T_EP"
SHOP_NAME: Final = "DEMO 模拟一号店"
FACTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "client_id": CLIENT_ID,
        "kind": "terminal",
        "merchant_id": "mer_01h2xcejqtf2nbrexx3vqjhp42",
        "merchant_name": "DEMO 模拟商户",
        "merchant_number": "104999999999999",
        "shop_id": "shp_01h2xcejqtf2nbrexx3vqjhp43",
        "shop_name": SHOP_NAME,
        "terminal_number": "DEMO0001",
    }
)
ISSUER_KEY_INDEX: Final = 255  # what `python -m hce new` writes into a demonstration card
TEST_PURSE_ISSUER: Final = bytes.fromhex("01010000FFFFFFFF")  # of TEST purses; no city's
PROFILE_VERSION: Final = 1
DENY_LIST_VERSION: Final = 1
HOUR: Final = 3_600
ISSUER_FILE: Final = "phone-issuer.der"
TERMINAL_KEY_FILE: Final = "terminal.json"
TERMS: Final = ProfileTerms(
    offline=OfflineLimits(
        sale_max_fen=10_000,
        card_sum_max_fen=50_000,
        card_count_max=50,
        sum_max_fen=500_000,
        count_max=500,
        age_max_seconds=24 * HOUR,
    ),
    when_expired=WhenExpired(
        accepts=frozenset({Means.MOBILE_CARD, Means.EPURSE}), sale_max_fen=200, grace_seconds=HOUR
    ),
    valid_seconds=12 * HOUR,
    deny_list_age_max_seconds=12 * HOUR,
    purse_issuers=frozenset({TEST_PURSE_ISSUER}),
)


class CityKeys:
    """The keys of one folder, made at first: who signs papers, who vouches for phones."""

    def __init__(self, folder: Path) -> None:
        """Raises TerminalFault(state_unusable, state_damaged, key_exposed)."""
        make_folder(folder)
        make_folder(folder / "issuer")
        self._terminal_path = folder / TERMINAL_KEY_FILE
        self.signing = load_or_make_key(folder)
        self.issuer = load_or_make_key(folder / "issuer")
        self.issuer_path = folder / ISSUER_FILE  # as the program of the cards reads it
        if not self.issuer_path.exists():
            der = self.issuer.private_key.private_bytes(
                serialization.Encoding.DER,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            write_private(self.issuer_path, der)

    def jwks(self) -> list[dict[str, str]]:
        return [self.signing.public_jwk()]

    def know_terminal(self, jwk: Mapping[str, str]) -> None:
        members = {name: str(jwk[name]) for name in ("kty", "crv", "x", "y")}
        write_private(self._terminal_path, json.dumps(members).encode())

    def terminal_key(self) -> dict[str, str] | None:
        """The JWK of the terminal that was activated last."""
        if not self._terminal_path.exists():
            return None
        known: dict[str, str] = json.loads(self._terminal_path.read_bytes())
        return known


@dataclass(frozen=True, slots=True)
class Papers:
    """Unsigned and signed, for any moment."""

    keys: CityKeys

    def profile(self) -> dict[str, Any]:
        issuer = {"index": ISSUER_KEY_INDEX, "public_key": self.keys.issuer.public_jwk()}
        names = ("terminal_number", "merchant_number", "merchant_name", "shop_name")
        return {
            "profile_version": PROFILE_VERSION,
            "terminal_id": CLIENT_ID,
            **{name: FACTS[name] for name in names},
            "currency": 156,
            "applications": [
                {"aid": EPURSE_AID.hex().upper(), "label": PURSE_LABEL, "priority": 1},
                {"aid": MOBILE_CARD_AID.hex().upper(), "label": MOBILE_CARD_LABEL, "priority": 2},
            ],
            "issuer_keys": [issuer],
            "online_timeout_seconds": 2,
        }

    def signed_profile(self, now: int) -> str:
        more = {
            "deny_list_version": DENY_LIST_VERSION,
            "terms": TERMS.to_document(),
            "ride_codes": None,
        }
        claims = {
            "format": FORMAT,
            "sub": CLIENT_ID,
            "iat": now,
            "exp": now + TERMS.valid_seconds,
            "profile": {**self.profile(), **more},
            "keys": self.keys.jwks(),
        }
        name, key = thumbprint(self.keys.jwks()[0]), _private(self.keys.signing)
        return encode_document(DOCUMENT_KIND, name, claims, lambda text: sign(key, text))

    def deny_part(self, now: int) -> str:
        """Nobody is denied in a demo city."""
        name, key = thumbprint(self.keys.jwks()[0]), _private(self.keys.signing)
        part = DenyPart(
            key_name=base64.urlsafe_b64decode(name + "="),
            since=0,
            upto=DENY_LIST_VERSION,
            head=DENY_LIST_VERSION,
            issued_at=now,
            tokens_total=0,
            purses_total=0,
        ).signed_by(lambda body: sign(key, body))
        return base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode()


def _private(key: ClientKey) -> ec.EllipticCurvePrivateKey:
    return key.private_key
