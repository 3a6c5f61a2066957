"""Goal: every code, drawn, is read from its picture by two programs that know nothing of us."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pytest
import zxingcpp
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image

from card_protocol import pay_code, ride_code
from card_protocol.emvco import MERCHANT_GUID, MerchantAccount, MerchantCode
from card_protocol.identity_code import Claim, IdentityCode, IdentityPart, Purpose
from card_protocol.mobile_card import compressed_point, sign
from card_protocol.ride_certificate import RideCertificate, RideSuite
from card_protocol.ride_code import IssuerPart
from card_protocol.signatures import Suite
from sdk_mobile.pictures import picture

NOW = 1_795_400_000
KEY = ec.derive_private_key(0xD0D0, ec.SECP256R1())
POINT = compressed_point(KEY.public_key())


def signed(data: bytes) -> bytes:
    return sign(KEY, data)


def ride() -> bytes:
    certificate = RideCertificate(
        ca_index=1,
        issuer_id=bytes(4),
        expiry_month=12,
        expiry_year=2027,
        serial=bytes(3),
        suite=RideSuite.ES256,
        public_key=POINT,
    ).signed_by(signed)
    part = IssuerPart(
        certificate=certificate,
        account_number="0000000012345678",
        card_number="3105170070104791381",
        issuer_id=bytes(4),
        platform_id=bytes(4),
        account_type=1,
        ride_max_fen=2_000,
        user_public_key=POINT,
        authorised_until=NOW + 3_600,
        custom=b"0123456789\r\n\x00\xff\xfe",  # digits, ends of lines, a zero: all in byte mode
    ).signed_by(signed)
    return ride_code.show(part.encode(), NOW, signed)


def identity() -> str:
    part = IdentityPart(
        suite=Suite.AES_ES256,
        issuer_key_index=1,
        handle=bytes(range(34)),
        user_public_key=POINT,
        authorised_until=NOW + 3_600,
    ).signed_by(signed)
    code = IdentityCode(
        part=part,
        purpose=Purpose.VENUE,
        claims=Claim.NAME,
        generated_at=NOW,
        nonce=bytes(8),
    )
    return code.signed_by(signed).encode()


def merchant(*, is_dynamic: bool) -> str:
    account = MerchantAccount(MERCHANT_GUID, "S001", "BILL42" if is_dynamic else None, bytes(8))
    return MerchantCode(
        merchant_account=account,
        is_dynamic=is_dynamic,
        mcc="5812",
        amount_fen=1250 if is_dynamic else None,
        merchant_name="LAO WANG NOODLES",
        city="YINCHENG",
        merchant_name_zh="老王面馆",
        city_zh="银城",
    ).encode()


PAY = pay_code.PayCode("12345678", "46119246")
DRAWN = {
    "pay code, bars": (PAY.encode(), "code128"),
    "pay code": (PAY.encode(), "qr"),
    "pay code, consumer-presented": (PAY.encode_consumer(), "qr"),
    "merchant code, static": (merchant(is_dynamic=False), "qr"),
    "merchant code, dynamic": (merchant(is_dynamic=True), "qr"),
    "ride code": (ride(), "qr"),
    "identity code": (identity(), "qr"),
}
each_code = pytest.mark.parametrize("name", DRAWN)


def drawn(name: str) -> tuple[str | bytes, bytes]:
    content, kind = DRAWN[name]
    return content, picture(content, kind)


@each_code
def test_zxing_reads_it(name: str) -> None:
    content, png = drawn(name)
    with Image.open(io.BytesIO(png)) as image:
        (found,) = zxingcpp.read_barcodes(image)
    if isinstance(content, bytes):
        assert found.bytes == content
    else:
        assert found.text == content


@each_code
def test_zbar_reads_it(name: str, tmp_path: Path) -> None:
    """Without zbarimg this fails: a round trip that was not made is not a round trip."""
    zbarimg = shutil.which("zbarimg")
    assert zbarimg, "zbarimg is missing (Debian package zbar-tools): no second reader was asked"
    content, png = drawn(name)
    path = tmp_path / "code.png"
    path.write_bytes(png)
    read = subprocess.run(
        [zbarimg, "--quiet", "--raw", "--nodbus", "-Sbinary", "--oneshot", str(path)],
        capture_output=True,
        timeout=20,
        check=True,
    )
    expected = content if isinstance(content, bytes) else content.encode()
    assert read.stdout == expected


def test_a_ride_code_read_from_a_picture_decodes() -> None:
    content, png = drawn("ride code")
    with Image.open(io.BytesIO(png)) as image:
        (found,) = zxingcpp.read_barcodes(image)
    code = ride_code.RideCode.decode(found.bytes)
    assert (code.part.custom[:4], code.generated_at) == (b"0123", NOW)
    assert code.encode() == content
