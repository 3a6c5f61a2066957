"""Proofs that a request, or a further key, is this phone's. Knows nothing of the network."""

from __future__ import annotations

import json

from card_protocol.device_keys import statement
from card_protocol.signatures import Suite
from sdk_mobile.keys import DeviceKeys, compressed, jwk
from sdk_mobile.shapes import b64u

PROOF_AGE_MAX_SECONDS = 240  # the backend takes 300; the rest is for the way


def make_proof(keys: DeviceKeys, *, audience: str, jti: str, issued_at: int) -> str:
    """A compact JWS, ES256 (RFC 7515), with the claims aud, jti and iat (unix seconds).

    Written out by hand because a keystore signs bytes and hands out no key object.
    """
    header = _part({"alg": "ES256", "typ": "JWT"})
    claims = _part({"aud": audience, "jti": jti, "iat": issued_at})
    signing_input = f"{header}.{claims}"
    return f"{signing_input}.{b64u(keys.sign(signing_input.encode('ascii')))}"


def make_sm2_part(keys: DeviceKeys, device_id: str) -> dict[str, object]:
    """The SM2 key as a request tells it, with that key's own word for whose it is.

    No JWT: JOSE has no SM2. Makes the key when there is none yet.
    """
    point = keys.signing_public_key(Suite.SM4_SM2)
    signed = statement(device_id, compressed(keys.signing_public_key()), compressed(point))
    proof = keys.sign(signed, Suite.SM4_SM2)
    return {"signing_key": jwk(point, Suite.SM4_SM2), "proof": b64u(proof)}


def _part(value: dict[str, str | int]) -> str:
    return b64u(json.dumps(value, separators=(",", ":")).encode())
