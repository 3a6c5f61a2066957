"""Small parts by their rules: shapes, proofs, keys, clock, pictures, the table of kinds."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import jwt
import pytest
import zxingcpp
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image
from typeid import TypeID

from card_protocol import key_batch
from card_protocol.token_number import luhn_check_digit
from sdk_mobile import KeysUnreadable, MemoryStorage, SoftwareDeviceKeys
from sdk_mobile.clock import SkewedClock, phone_seconds
from sdk_mobile.ids import new_id
from sdk_mobile.keys import jwk
from sdk_mobile.models import TopUp
from sdk_mobile.pictures import picture
from sdk_mobile.proofs import make_proof
from sdk_mobile.shapes import ShapeError, decode, encode
from sdk_mobile.state import OPERATIONS_MAX, TOP_UPS_MAX, Kind, Operation, Proof, State

MOMENT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Inner:
    raw: bytes


@dataclass(frozen=True)
class Outer:
    count: int
    name: str | None
    inner: Inner | None
    inners: tuple[Inner, ...]
    at: datetime
    ratio: float = 0.0
    is_on: bool = False


WHOLE = Outer(7, "名", Inner(b"\xff\xfe"), (Inner(b""), Inner(b"x")), MOMENT, 0.5, True)


def test_a_value_comes_back_as_it_went():
    assert decode(Outer, json.loads(json.dumps(encode(WHOLE)))) == WHOLE
    bare = replace(WHOLE, name=None, inner=None, inners=())
    assert decode(Outer, encode(bare)) == bare


def test_unknown_members_are_passed_over():
    assert decode(Outer, {**encode(WHOLE), "news": 1}) == WHOLE


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("count", True),
        ("count", 7.0),
        ("count", "7"),
        ("count", None),
        ("name", 7),
        ("inner", {}),
        ("inner", []),
        ("inner", {"raw": "+/=="}),
        ("inner", {"raw": "AB"}),
        ("inners", {}),
        ("inners", [1]),
        ("at", "2026-11-23T12:00:00"),
        ("at", "yesterday"),
        ("at", 1_795_000_000),
        ("ratio", "0.5"),
        ("ratio", True),
        ("is_on", 1),
    ],
)
def test_another_shape_is_refused_and_named(member, value):
    with pytest.raises(ShapeError, match=f"Outer.{member}"):
        decode(Outer, {**encode(WHOLE), member: value})


@pytest.mark.parametrize("member", ["count", "name", "inner", "inners", "at"])
def test_a_missing_member_is_refused_and_named(member):
    document = encode(WHOLE)
    del document[member]
    with pytest.raises(ShapeError, match=f"Outer.{member}: missing"):
        decode(Outer, document)


@pytest.mark.parametrize("document", [None, [], "x", 7])
def test_what_is_no_object_is_refused(document):
    with pytest.raises(ShapeError, match="not an object"):
        decode(Outer, document)


def test_a_proof_is_a_jwt_any_library_verifies():
    keys = SoftwareDeviceKeys(MemoryStorage())
    proof = make_proof(keys, audience="/v1/me/devices", jti="dev_1", issued_at=1_795_000_000)
    key = jwt.PyJWK(jwk(keys.signing_public_key()), algorithm="ES256").key
    claims = jwt.decode(
        proof,
        key,
        algorithms=["ES256"],
        audience="/v1/me/devices",
        options={"verify_iat": False},
    )
    assert claims == {"aud": "/v1/me/devices", "jti": "dev_1", "iat": 1_795_000_000}


def test_keys_are_two_and_stay_the_same():
    storage = MemoryStorage()
    keys, again = SoftwareDeviceKeys(storage), SoftwareDeviceKeys(storage)
    assert keys.signing_public_key() == again.signing_public_key()
    assert keys.sealing_public_key() == again.sealing_public_key()
    assert keys.signing_public_key() != keys.sealing_public_key()


def test_sealed_bytes_open_only_whole_and_for_their_use():
    keys = SoftwareDeviceKeys(MemoryStorage())
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), keys.sealing_public_key())
    batch = key_batch.KeyBatch(b"k" * 16, b"p" * 32)
    digits = "960000000000000000"
    number = digits + luhn_check_digit(digits)
    sealed = key_batch.seal(batch, point, number, 1)
    assert keys.hpke_open(sealed, key_batch.seal_info(number, 1)) == batch.encode()
    wrong = [
        (sealed, key_batch.seal_info(number, 2)),
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), key_batch.seal_info(number, 1)),
        (sealed[:40], key_batch.seal_info(number, 1)),
        (b"", key_batch.seal_info(number, 1)),
    ]
    for altered, info in wrong:
        with pytest.raises(KeysUnreadable):
            keys.hpke_open(altered, info)


@pytest.mark.parametrize(
    ("seen", "skew"), [(100.0, 0.0), (101.9, 0.0), (98.1, 0.0), (102.5, 2.5), (40.0, -60.0)]
)
def test_small_differences_are_the_way_and_large_ones_the_clock(seen, skew):
    clock = SkewedClock(lambda: 100.0, 0.0, read_seconds=100.0)
    assert clock.learn(seen) is (skew != 0.0)
    assert clock.skew_seconds == skew
    assert clock.now_seconds() == 100.0 + skew


@pytest.mark.parametrize(("kind", "name"), [("qr", "QRCode"), ("code128", "Code128")])
def test_a_picture_is_read_back_by_a_scanner(kind, name):
    with Image.open(io.BytesIO(picture("9612345678123456787", kind))) as image:
        (found,) = zxingcpp.read_barcodes(image)
    assert found.text == "9612345678123456787"
    assert found.format == getattr(zxingcpp.BarcodeFormat, name)


@pytest.mark.parametrize(("content", "kind"), [("", "qr"), ("9" * 513, "qr"), ("9", "aztec")])
def test_what_no_picture_holds_is_refused(content, kind):
    with pytest.raises(ValueError, match=r"code|picture"):
        picture(content, kind)


def operation(kind: Kind) -> Operation:
    return Operation(f"op_{kind}", kind, "/v1/x", "{}", "key", Proof("/v1/x", "j", 1))


def test_every_kind_has_room_and_an_answer_to_take(ready):
    state = State()
    for kind in Kind:
        state = state.with_operation(operation(kind)).with_operation(operation(kind))
    assert len(state.operations) == len(Kind) <= OPERATIONS_MAX
    assert decode(State, encode(state)) == state
    assert set(ready._commands.takes()) == set(Kind) - {Kind.REFRESH}


def test_settled_top_ups_are_forgotten_before_open_ones():
    state = State()
    for number in range(TOP_UPS_MAX + 10):
        how = "processing" if number < 5 else "succeeded"
        state = state.with_top_up(TopUp(f"top_{number}", "wal_1", 1, how, MOMENT))
    assert len(state.top_ups) == TOP_UPS_MAX
    assert [one.topup_id for one in state.top_ups[:6]] == [
        "top_0",
        "top_1",
        "top_2",
        "top_3",
        "top_4",
        "top_15",
    ]


def test_ids_are_type_ids_of_uuid_7():
    made = [new_id("pay") for _ in range(200)]
    assert len(set(made)) == 200
    for text in made:
        read = TypeID.from_string(text)
        assert (read.prefix, str(read)) == ("pay", text)
        assert read.uuid.version == 7
        assert abs((read.uuid.int >> 80) / 1000 - phone_seconds()) < 60


@pytest.mark.parametrize("prefix", ["", "Pay", "pay_", "pay1", "p" * 64])
def test_what_is_no_prefix_makes_no_id(prefix):
    with pytest.raises(ValueError, match="prefix"):
        new_id(prefix)


NATIVE = ("PIL", "qrcode", "zxingcpp", "typeid", "uuid_utils")
LOADED = f"""
import sys
for name in {NATIVE!r}:
    sys.modules[name] = None  # as on a phone that has not got it
import sdk_mobile
from sdk_mobile.pictures import picture
for kind in ("qr", "code128"):
    try:
        picture("1", kind)
    except sdk_mobile.NotReady as error:
        assert error.code == "no_picture_library", error
    else:
        raise SystemExit("a picture out of nothing")
"""


def test_a_phone_without_the_libraries_of_pictures_does_all_the_rest():
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
