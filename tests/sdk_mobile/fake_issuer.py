"""What the fake backend issues: cards with certificates, batches of keys."""

from __future__ import annotations

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from card_protocol import key_batch
from card_protocol.certificate import Certificate
from card_protocol.signatures import compressed_point, sign
from card_protocol.token_number import luhn_check_digit


def issue_card(
    issuer: ec.EllipticCurvePrivateKey,
    device: ec.EllipticCurvePublicKey,
    asked: dict[str, Any],
    number: int,
    now: int,
) -> dict[str, Any]:
    """The card's document; `asked` is the request's body."""
    digits = f"96000000{number:010d}"
    token_number = digits + luhn_check_digit(digits)
    certificate = Certificate(
        token_number=token_number,
        device_public_key=compressed_point(device),
        product=asked["product"],
        concession_group=0,
        not_before=now - 60,
        not_after=now + 86_400 * 365,
        offline_sale_max_fen=5_000,
        offline_sum_max_fen=20_000,
        status_index=1,
        issuer_key_index=1,
    ).signed_by(lambda data: sign(issuer, data))
    return {
        "token_id": asked["token_id"],
        "token_number": token_number,
        "short_number": f"{number:08d}",
        "state": "active",
        "product": asked["product"],
        "label": "CITY CARD",
        "certificate": b64u(certificate.encode()),
        "wallet_id": asked["wallet_id"],
        "device_id": asked["device_id"],
    }


def make_batch(token_id: str, index: int) -> key_batch.KeyBatch:
    seed = f"{index}/{token_id}".encode().ljust(48, b".")
    return key_batch.KeyBatch(seed[:16], seed[:32])


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
