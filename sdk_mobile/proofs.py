"""Proof that a request comes from this phone: a small signed JWT. Knows nothing of the network."""

from __future__ import annotations

import json

from sdk_mobile.keys import DeviceKeys
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


def _part(value: dict[str, str | int]) -> str:
    return b64u(json.dumps(value, separators=(",", ":")).encode())
