"""The issuing body's certificate inside a ride code (B.3.4): 117 bytes; checks no signature."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum, unique

from card_protocol.checks import U8_MAX, require, require_bytes, require_whole
from card_protocol.signatures import (
    COMPRESSED_POINT_BYTES,
    SIGNATURE_BYTES,
    require_compressed_point,
)

CODE = "ride_code_malformed"
CERTIFICATE_BYTES = 117
SERVICE_ID = bytes.fromhex("01010000")
ISSUER_ID_BYTES = 4
SERIAL_BYTES = 3
HEAD_BYTE = 0x24
FORMAT_BYTE = 0x12
PARAMETER = 0x00
EXPIRY_ZONE = timezone(timedelta(hours=8))  # unconfirmed: a month ends when it does in China
EXPIRY_CENTURY = 2000

_LAYOUT = struct.Struct(f">B4sBB4s2s3sBBBB33s{SIGNATURE_BYTES}s")
_SIGNED_FROM = 6  # the format byte
assert _LAYOUT.size == CERTIFICATE_BYTES


@unique
class RideSuite(IntEnum):
    """The certificate's algorithm byte; it holds for every signature of the code."""

    SM2 = 0x04  # SM2 with SM3, GM/T 0003
    ES256 = 0x81  # our own figure: ECDSA on P-256 with SHA-256


@dataclass(frozen=True, slots=True, kw_only=True)
class RideCertificate:
    """Which issuing body holds which key, signed by the clearing CA whose key has `ca_index`.

    Raises `MalformedBytes` "ride_code_malformed".
    """

    ca_index: int  # u8
    issuer_id: bytes  # 4
    expiry_month: int  # 1..12, valid to its end
    expiry_year: int  # 2000..2099
    serial: bytes  # 3
    suite: RideSuite
    public_key: bytes  # 33, SEC1 compressed
    service_id: bytes = SERVICE_ID  # 4
    signature: bytes = bytes(SIGNATURE_BYTES)

    def __post_init__(self) -> None:
        require_whole(self.ca_index, 0, U8_MAX, CODE, "ca_index")
        require_bytes(self.issuer_id, ISSUER_ID_BYTES, CODE, "issuer_id")
        require_whole(self.expiry_month, 1, 12, CODE, "expiry_month")
        century = EXPIRY_CENTURY
        require_whole(self.expiry_year, century, century + 99, CODE, "expiry_year")
        require_bytes(self.serial, SERIAL_BYTES, CODE, "serial")
        require(isinstance(self.suite, RideSuite), CODE, "suite is one of ours")
        require_compressed_point(self.public_key, CODE, "public_key")
        require_bytes(self.service_id, 4, CODE, "service_id")
        require_bytes(self.signature, SIGNATURE_BYTES, CODE, "signature")

    @property
    def ends_at(self) -> int:
        """The first unix second it no longer holds."""
        years, month = divmod(self.expiry_month, 12)
        after = datetime(self.expiry_year + years, month + 1, 1, tzinfo=EXPIRY_ZONE)
        return int(after.astimezone(UTC).timestamp())

    def body(self) -> bytes:
        """What the CA signs: from the format byte to the key."""
        return self.encode()[_SIGNED_FROM:-SIGNATURE_BYTES]

    def signed_by(self, sign: Callable[[bytes], bytes]) -> RideCertificate:
        """The same certificate with the signature (r‖s) that `sign` gives for `body()`."""
        return replace(self, signature=sign(self.body()))

    def encode(self) -> bytes:
        expiry = f"{self.expiry_month:02d}{self.expiry_year - EXPIRY_CENTURY:02d}"
        return _LAYOUT.pack(
            HEAD_BYTE,
            self.service_id,
            self.ca_index,
            FORMAT_BYTE,
            self.issuer_id,
            bytes.fromhex(expiry),
            self.serial,
            self.suite,
            self.suite,
            PARAMETER,
            COMPRESSED_POINT_BYTES,
            self.public_key,
            self.signature,
        )

    @classmethod
    def decode(cls, body: bytes) -> RideCertificate:
        require_bytes(body, CERTIFICATE_BYTES, CODE, "a certificate")
        (head, service_id, ca_index, form, issuer_id, expiry, serial, *rest) = _LAYOUT.unpack(body)
        signing, encrypting, parameter, key_bytes, public_key, signature = rest
        require((head, form) == (HEAD_BYTE, FORMAT_BYTE), CODE, "the certificate's form is unknown")
        month_year = expiry.hex()
        require(month_year.isdigit(), CODE, "expiry is binary-coded decimal")
        require(signing in set(RideSuite) and signing == encrypting, CODE, "the suite is unknown")
        is_known = (parameter, key_bytes) == (PARAMETER, COMPRESSED_POINT_BYTES)
        require(is_known, CODE, "the key's parameters are unknown")
        return cls(
            ca_index=ca_index,
            issuer_id=issuer_id,
            expiry_month=int(month_year[:2]),
            expiry_year=EXPIRY_CENTURY + int(month_year[2:]),
            serial=serial,
            suite=RideSuite(signing),
            public_key=public_key,
            service_id=service_id,
            signature=signature,
        )
