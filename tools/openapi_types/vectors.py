"""Shared vectors: inputs and bytes of the Python reference, for every other SDK to give the same.

Signatures are ECDSA with the nonce of RFC 6979, and sealings use one fixed ephemeral key, so that
the same code writes the same files. No key here guards anything. Bytes are hex.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from card_protocol import identity_code, key_batch, pay_code, ride_code
from card_protocol.errors import MalformedBytes
from card_protocol.identity_code import Claim, IdentityCode, IdentityPart, Purpose
from card_protocol.ride_certificate import RideCertificate, RideSuite
from card_protocol.ride_code import IssuerPart
from card_protocol.signatures import Suite, compressed_point
from card_protocol.token_number import luhn_check_digit
from sdk_mobile.keys import jwk
from sdk_mobile.proofs import make_proof
from sdk_mobile.shapes import b64u
from tools.openapi_types.sealing import seal_with

Case = Mapping[str, Any]

PHONE = ec.derive_private_key(0x0FF1CE, ec.SECP256R1())
SEALING = ec.derive_private_key(0x5EA1, ec.SECP256R1())
EPHEMERAL = ec.derive_private_key(0xE9, ec.SECP256R1())
ISSUER = ec.derive_private_key(0x1550E5, ec.SECP256R1())
NOW = 1_795_400_000
NUMBER_DIGITS = "960000001234567890"
TOKEN_NUMBER = NUMBER_DIGITS + luhn_check_digit(NUMBER_DIGITS)
OTHER_NUMBER = "0" * 19


def documents() -> Mapping[str, str]:
    """Name of each file, without its ending, and its text."""
    made = {
        "device": _device(),
        "identity_code": _identity_code(),
        "key_batch": _key_batch(),
        "pay_code": _pay_code(),
        "proof": _proof(),
        "ride_code": _ride_code(),
    }
    return {name: json.dumps(value, indent=2) + "\n" for name, value in made.items()}


def sign_by(key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    """data -> r‖s, 64 bytes, always the same."""
    algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, algorithm))
        return r.to_bytes(32) + s.to_bytes(32)

    return sign


def ride_part(point: bytes, authorised_until: int, custom: bytes = b"") -> bytes:
    """An issuer part for the phone with this compressed point."""
    issuer = sign_by(ISSUER)
    certificate = RideCertificate(
        ca_index=1,
        issuer_id=bytes(4),
        expiry_month=12,
        expiry_year=2027,
        serial=bytes(3),
        suite=RideSuite.ES256,
        public_key=compressed_point(ISSUER.public_key()),
    ).signed_by(issuer)
    part = IssuerPart(
        certificate=certificate,
        account_number="0000000012345678",
        card_number=TOKEN_NUMBER,
        issuer_id=bytes(4),
        platform_id=bytes(4),
        account_type=1,
        ride_max_fen=2_000,
        user_public_key=point,
        authorised_until=authorised_until,
        custom=custom,
    )
    return part.signed_by(issuer).encode()


def identity_part(point: bytes, authorised_until: int) -> bytes:
    """The same for identity codes."""
    part = IdentityPart(
        suite=Suite.AES_ES256,
        issuer_key_index=1,
        handle=bytes(range(34)),
        user_public_key=point,
        authorised_until=authorised_until,
    )
    return part.signed_by(sign_by(ISSUER)).encode()


class _Keys:
    """The phone of the vectors, as far as proofs ask."""

    def sign(self, data: bytes) -> bytes:
        return sign_by(PHONE)(data)


def _device() -> Case:
    point = _point(PHONE)
    return {
        "signing": {"private": _jwk(PHONE), "point": point.hex()},
        "sealing": {"private": _jwk(SEALING), "point": _point(SEALING).hex()},
        "compressed": compressed_point(PHONE.public_key()).hex(),
        "jwk": jwk(point),
    }


def _pay_code() -> Case:
    key = b"12345678901234567890123456789012"  # RFC 6238, appendix B
    steps = [pay_code.step_at(seconds) for seconds in (59, 60, 1_111_111_109, NOW, 20_000_000_000)]
    codes = []
    for number, step in zip(
        ("12345678", "00000000", "99999999", "00000042", "7" * 8), steps, strict=True
    ):
        digits = pay_code.encode(number, pay_code.one_time_digits(key, step))
        consumer = pay_code.decode(digits).encode_consumer()
        one_time = digits[10:18]
        codes.append(
            {
                "step": step,
                "short_number": number,
                "one_time": one_time,
                "digits": digits,
                "consumer": consumer,
            }
        )
    good = str(codes[0]["digits"])
    bad = ["", good[:-1], good + "0", good[:-1] + "9", "13" + good[2:], "13" + good[2:16], "٣" * 19]
    refused = [{"text": text, "code": _code_of(pay_code.decode, text)} for text in bad]
    return {"key": key.hex(), "codes": codes, "refused": refused}


def _key_batch() -> Case:
    batch = key_batch.KeyBatch(bytes(range(16)), bytes(range(32, 64)))
    info = key_batch.seal_info(TOKEN_NUMBER, 7)
    sealed = seal_with(EPHEMERAL, SEALING.public_key(), info, batch.encode())
    assert key_batch.open_sealed(sealed, SEALING, TOKEN_NUMBER, 7) == batch
    version_2 = seal_with(EPHEMERAL, SEALING.public_key(), info, b"\x02" + batch.encode()[1:])
    altered = sealed[:-1] + bytes((sealed[-1] ^ 1,))
    off_curve = b"\x04" + bytes(64) + sealed[65:]
    asked: list[tuple[str, bytes, str, int]] = [
        ("altered", altered, TOKEN_NUMBER, 7),
        ("another index", sealed, TOKEN_NUMBER, 8),
        ("another card", sealed, OTHER_NUMBER, 7),
        ("too short", sealed[:-1], TOKEN_NUMBER, 7),
        ("off the curve", off_curve, TOKEN_NUMBER, 7),
        ("unknown version", version_2, TOKEN_NUMBER, 7),
        ("no card number", sealed, NUMBER_DIGITS + "x", 7),
        ("wrong check digit", sealed, "0" * 18 + "1", 7),
        ("index too large", sealed, TOKEN_NUMBER, 1 << 32),
    ]
    refused = [
        {
            "what": what,
            "sealed": body.hex(),
            "token_number": number,
            "key_index": index,
            "code": _code_of(key_batch.open_sealed, body, SEALING, number, index),
        }
        for what, body, number, index in asked
    ]
    return {
        "token_number": TOKEN_NUMBER,
        "key_index": 7,
        "info": info.hex(),
        "sealed": sealed.hex(),
        "limited_use_key": batch.limited_use_key.hex(),
        "pay_code_key": batch.pay_code_key.hex(),
        "refused": refused,
    }


def _ride_code() -> Case:
    point = compressed_point(PHONE.public_key())
    codes = []
    for custom, generated_at in ((b"", NOW), (b"\xca\xfe", NOW + 29), (bytes(255), 0)):
        part = ride_part(point, NOW + 3_600, custom)
        code = ride_code.show(part, generated_at, sign_by(PHONE))
        codes.append(
            {
                "part": part.hex(),
                "generated_at": generated_at,
                "signed": ride_code.signed_bytes(code).hex(),
                "code": code.hex(),
            }
        )
    part = bytes.fromhex(str(codes[0]["part"]))
    # Offsets of docs/protocol/codes.md: certificate 0 to 116, account 117 to 194.
    places = {"head": 0, "form": 6, "month": 11, "suite": 16, "parameter": 18, "issuer key": 20}
    places |= {"account": 117, "card number": 133, "phone's key": 155, "custom length": 194}
    places |= {"format": 195}
    spoilt = {what: part[:at] + b"\xff" + part[at + 1 :] for what, at in places.items()}
    spoilt |= {"empty": b"", "short": part[:-1], "long": part + b"\0"}
    spoilt["no validity"] = part[:192] + b"\0\0" + part[194:]
    refused = [
        {"what": what, "part": body.hex(), "code": _code_of(IssuerPart.decode, body)}
        for what, body in spoilt.items()
    ]
    return {
        "codes": codes,
        "vouched": point.hex(),
        "authorised_until": NOW + 3_600,
        "card_number": TOKEN_NUMBER,
        "refused": refused,
    }


def _identity_code() -> Case:
    body = identity_part(compressed_point(PHONE.public_key()), NOW + 3_600)
    part = IdentityPart.decode(body)
    agreed: list[tuple[Purpose, Claim]] = [
        (Purpose.LIBRARY, Claim.REGISTERED | Claim.NAME),
        (Purpose.COUNTER, identity_code.CLAIMS_ALL),
        (Purpose.LODGING, Claim.PHONE_MASKED),
    ]
    codes = []
    for purpose, claims in agreed:
        nonce = bytes(range(8))
        unsigned = IdentityCode(
            part=part, purpose=purpose, claims=claims, generated_at=NOW, nonce=nonce
        )
        names = [str(one.name).lower() for one in Claim if one in claims]
        codes.append(
            {
                "purpose": purpose.name.lower(),
                "claims": names,
                "generated_at": NOW,
                "nonce": nonce.hex(),
                "signed": unsigned.body().hex(),
                "code": unsigned.signed_by(sign_by(PHONE)).encode(),
            }
        )
    spoilt = {"version": b"\x02" + body[1:], "suite": body[:1] + b"\x07" + body[2:]}
    spoilt |= {"key": body[:37] + b"\x04" + body[38:], "empty": b"", "short": body[:-1]}
    refused = [
        {"what": what, "part": one.hex(), "code": _code_of(IdentityPart.decode, one)}
        for what, one in spoilt.items()
    ]
    return {"part": body.hex(), "codes": codes, "refused": refused}


def _proof() -> Case:
    cases = []
    for audience, jti in (("/v1/login/sessions", "otc_1"), ("/v1/me/devices", "dev_2")):
        keys: Any = _Keys()
        made = make_proof(keys, audience=audience, jti=jti, issued_at=NOW)
        cases.append({"audience": audience, "jti": jti, "issued_at": NOW, "proof": made})
    return {"proofs": cases}


def _code_of(decode: Callable[..., object], *given: object) -> str:
    """The code of the refusal. Raises ValueError when it is taken."""
    try:
        decode(*given)
    except MalformedBytes as error:
        return error.code
    raise ValueError(f"{decode} takes {given}")


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    numbers = key.public_key().public_numbers()
    return b"\x04" + numbers.x.to_bytes(32) + numbers.y.to_bytes(32)


def _jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    return jwk(_point(key)) | {"d": b64u(key.private_numbers().private_value.to_bytes(32))}
