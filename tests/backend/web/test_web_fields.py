"""Fields of the wire, value by value: what they take, and that they guess nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError, fields, validate
from web_world import b64u

from backend.keys import key_to_jwk, point_to_jwk
from backend.web import B64u, EcKey, Fen, Moment, Sm2Key, StrictInteger, TypeIdField
from card_protocol import sm2
from card_protocol.signatures import Suite

KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
OTHER_CURVE = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
JWK = key_to_jwk(KEY)
SM2 = sm2.PrivateKey.generate().public_key
SM2_JWK = point_to_jwk(sm2.uncompressed(SM2), Suite.SM4_SM2)
TYPE_ID = "pay_01h455vb4pex5vsknk084sn02q"
NO_INTEGERS = [
    True,
    False,
    1.0,
    1.5,
    1e309,
    float("nan"),
    "5",
    "",
    b"5",
    None,
    [5],
    {},
    2**63,
    10**30,
]

TAKEN: list[tuple[fields.Field, Any, Any]] = [
    (Fen(), 1, 1),
    (Fen(), 2**31 - 1, 2**31 - 1),
    (Fen(minimum=0), 0, 0),
    (StrictInteger(), 0, 0),
    (StrictInteger(), -(2**63), -(2**63)),
    (StrictInteger(), 2**63 - 1, 2**63 - 1),
    (B64u(), "", b""),
    (B64u(), "AA", b"\0"),
    (B64u(), "-_8", b"\xfb\xff"),
    (B64u(), b64u(bytes(3072)), bytes(3072)),
    (TypeIdField("pay"), TYPE_ID, TYPE_ID),
    (EcKey(), JWK, KEY),
    (EcKey(), {**JWK, "kid": "k", "use": "sig"}, KEY),
    (Sm2Key(), SM2_JWK, SM2),
    (Sm2Key(), {**SM2_JWK, "kid": "k", "use": "sig"}, SM2),
    (Moment(), "2026-11-23T10:00:00+08:00", datetime(2026, 11, 23, 2, tzinfo=UTC)),
]


@pytest.mark.parametrize(
    ("field", "value", "result"), TAKEN, ids=lambda one: "point" if one is SM2 else f"{one!r:.30}"
)
def test_taken(field: fields.Field, value: Any, result: Any) -> None:
    assert field.deserialize(value) == result


REFUSED: list[tuple[fields.Field, Any]] = [
    *((StrictInteger(), value) for value in NO_INTEGERS),
    *((StrictInteger(validate=validate.Range(min=1)), value) for value in (0, 2**63, 2**70)),
    *((Fen(), value) for value in [*NO_INTEGERS, 0, -1, 2**31, 2**53]),
    *((Fen(minimum=0), value) for value in (-1, 2**31, False)),
    *(
        (B64u(), value)
        for value in (
            "A",  # no number of bytes has this length
            "AA==",  # padding
            "AA=",
            "=",
            "AB",  # bits beyond the last byte are set: a second text for the same byte
            "+/8",  # the other alphabet
            "A A",
            "AA\n",
            "A!A",
            "é",
            "ＡＡ",
            "\ud800",
            "A" * 4097,
            "A" * 100_000,
            5,
            None,
            [],
            {},
            True,
        )
    ),
    *(
        (Sm2Key(), value)
        for value in (
            None,
            "key",
            [],
            JWK,
            {**JWK, "crv": "SM2"},  # not on this curve
            {**SM2_JWK, "crv": "P-256"},
            {**SM2_JWK, "crv": "sm2p256v1"},
            {**SM2_JWK, "kty": "OKP"},
            {**SM2_JWK, "x": SM2_JWK["y"]},
            {**SM2_JWK, "y": SM2_JWK["y"][:-1]},
            {**SM2_JWK, "y": SM2_JWK["y"] + "="},
            {**SM2_JWK, "y": 5},
            {**SM2_JWK, "y": None},
        )
    ),
    *(
        (EcKey(), value)
        for value in (
            None,
            "key",
            [],
            {},
            5,
            {**JWK, "kty": "RSA"},
            {**JWK, "crv": "P-384"},
            {**JWK, "crv": None},
            {**JWK, "x": JWK["y"]},  # not on the curve
            {**JWK, "x": JWK["x"][:-1]},
            {**JWK, "x": JWK["x"] + "A"},
            {**JWK, "x": JWK["x"] + "="},
            {**JWK, "x": "!" * 43},
            {**JWK, "x": "é" * 43},
            {**JWK, "x": "\ud800" * 43},
            {**JWK, "x": 5},
            {**JWK, "x": None},
            {**JWK, "x": b64u(b"\xff" * 32)},  # beyond the field
            {**JWK, "x": b64u(bytes(32)), "y": b64u(bytes(32))},  # the point at infinity
            {"kty": "EC", "crv": "P-256", "x": JWK["x"]},
            {
                "kty": "EC",
                "crv": "P-256",
                "x": b64u(OTHER_CURVE.x.to_bytes(48, "big")),
                "y": b64u(OTHER_CURVE.y.to_bytes(48, "big")),
            },
        )
    ),
    *(
        (TypeIdField("pay"), value)
        for value in ("", "pay_", TYPE_ID.upper(), "top" + TYPE_ID[3:], TYPE_ID * 50, 5, None, "é")
    ),
]


@pytest.mark.parametrize(("field", "value"), REFUSED, ids=lambda one: f"{one!a:.30}")
def test_refused(field: fields.Field, value: Any) -> None:
    field.required = True
    with pytest.raises(ValidationError):
        field.deserialize(value)


@given(st.binary(max_size=300))
def test_bytes_come_back_and_have_one_text(raw: bytes) -> None:
    text = b64u(raw)
    assert B64u().deserialize(text) == raw
    assert B64u()._serialize(raw, "", None) == text


@given(st.text(max_size=50))
def test_a_text_is_the_one_text_of_its_bytes_or_refused(text: str) -> None:
    try:
        raw = B64u().deserialize(text)
    except ValidationError:
        return
    assert b64u(raw) == text


def test_what_goes_out() -> None:
    moment = datetime(2026, 11, 23, 2, 0, 0, 123456, tzinfo=UTC)
    assert Moment()._serialize(moment, "", None) == "2026-11-23T02:00:00.123+00:00"
    assert EcKey()._serialize(KEY, "", None) == JWK
    assert Sm2Key()._serialize(SM2, "", None) == SM2_JWK
    for field in (Moment(), EcKey(), Sm2Key(), B64u()):
        assert field._serialize(None, "", None) is None
