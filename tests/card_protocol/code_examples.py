"""Ride, identity and consumer-presented codes: one example each with its bytes, written by hand."""

from __future__ import annotations

import base64

from card_protocol.emvco_consumer import Application, ConsumerCode
from card_protocol.identity_code import Claim, IdentityCode, IdentityPart, Purpose
from card_protocol.ride_certificate import RideCertificate, RideSuite
from card_protocol.ride_code import IssuerPart, RideCode
from card_protocol.signatures import Suite
from card_protocol.tlv import Tlv

SIGNATURE = bytes(range(64))
POINT = bytes.fromhex("02" + "11" * 32)
_SIGNATURE_HEX, _POINT_HEX = SIGNATURE.hex(), POINT.hex()

RIDE_CERTIFICATE = RideCertificate(
    ca_index=7,
    issuer_id=bytes.fromhex("64010000"),
    expiry_month=12,
    expiry_year=2027,
    serial=bytes.fromhex("000001"),
    suite=RideSuite.SM2,
    public_key=POINT,
    signature=SIGNATURE,
)
RIDE_CERTIFICATE_HEX = (
    f"24 01010000 07 12 64010000 1227 000001 04 04 00 21 {_POINT_HEX} {_SIGNATURE_HEX}"
)
RIDE_PART = IssuerPart(
    certificate=RIDE_CERTIFICATE,
    account_number="0000000012345678",
    card_number="3105170070104791381",
    issuer_id=bytes.fromhex("64010000"),
    platform_id=bytes.fromhex("64010001"),
    account_type=1,
    ride_max_fen=2_000,
    user_public_key=POINT,
    authorised_until=1_800_000_000,
    custom=b"\xca\xfe",
    signature=SIGNATURE,
)
RIDE_PART_HEX = (
    f"{RIDE_CERTIFICATE_HEX} 30303030303030303132333435363738 03105170070104791381"
    f"64010000 64010001 01 0007D0 {_POINT_HEX} 6B49D200 001E 02 CAFE 15 {_SIGNATURE_HEX}"
)
RIDE_CODE = RideCode(RIDE_PART, 1_799_900_000, SIGNATURE)
RIDE_CODE_HEX = f"81 014B {RIDE_PART_HEX} 6B484B60 15 {_SIGNATURE_HEX}"

IDENTITY_PART = IdentityPart(
    suite=Suite.AES_ES256,
    issuer_key_index=1,
    handle=bytes(range(34)),
    user_public_key=POINT,
    authorised_until=1_800_000_000,
    signature=SIGNATURE,
)
IDENTITY_PART_HEX = f"01 01 01 {bytes(range(34)).hex()} {_POINT_HEX} 6B49D200 {_SIGNATURE_HEX}"
IDENTITY_CODE = IdentityCode(
    part=IDENTITY_PART,
    purpose=Purpose.LIBRARY,
    claims=Claim.REGISTERED | Claim.NAME_MASKED,
    generated_at=1_799_900_000,
    nonce=bytes.fromhex("0102030405060708"),
    signature=SIGNATURE,
)
_IDENTITY_HEX = f"{IDENTITY_PART_HEX} 02 0003 6B484B60 0102030405060708 {_SIGNATURE_HEX}"
IDENTITY_CODE_TEXT = "CIC1." + base64.urlsafe_b64encode(bytes.fromhex(_IDENTITY_HEX)).decode()
IDENTITY_CODE_TEXT = IDENTITY_CODE_TEXT.rstrip("=")

CONSUMER_CODE = ConsumerCode(
    (
        Application(
            bytes.fromhex("F0434954594341524401"),
            (
                Tlv(0x50, b"CITY CARD"),
                Tlv(0x5A, bytes.fromhex("9612345678461192460F")),
            ),
        ),
    )
)
CONSUMER_CODE_TEXT = base64.b64encode(
    bytes.fromhex(
        "8505435056303161234F0AF043495459434152440150094349545920434152445A0A9612345678461192460F"
    )
).decode()

CODE_EXAMPLES = (
    (RIDE_CERTIFICATE, RIDE_CERTIFICATE_HEX, False),
    (RIDE_PART, RIDE_PART_HEX, False),
    (RIDE_CODE, RIDE_CODE_HEX, False),
    (IDENTITY_PART, IDENTITY_PART_HEX, False),
    (IDENTITY_CODE, IDENTITY_CODE_TEXT, True),
    (CONSUMER_CODE, CONSUMER_CODE_TEXT, True),
)

_RIDE, _IDENTITY, _CONSUMER = (
    "ride_code_malformed",
    "identity_code_malformed",
    "consumer_code_malformed",
)
WRONG_CODES_AT_BIRTH = (
    (RIDE_CERTIFICATE, _RIDE, {"expiry_month": 13}),
    (RIDE_CERTIFICATE, _RIDE, {"expiry_year": 2100}),
    (RIDE_CERTIFICATE, _RIDE, {"suite": 4}),
    (RIDE_CERTIFICATE, _RIDE, {"issuer_id": bytes(3)}),
    (RIDE_CERTIFICATE, _RIDE, {"public_key": bytes(33)}),
    (RIDE_CERTIFICATE, _RIDE, {"signature": bytes(65)}),
    (RIDE_PART, _RIDE, {"account_number": "1"}),
    (RIDE_PART, _RIDE, {"card_number": "310517007010479138１"}),
    (RIDE_PART, _RIDE, {"account_type": 256}),
    (RIDE_PART, _RIDE, {"ride_max_fen": 1 << 24}),
    (RIDE_PART, _RIDE, {"validity_seconds": 0}),
    (RIDE_PART, _RIDE, {"authorised_until": 1 << 32}),
    (RIDE_PART, _RIDE, {"custom": bytes(256)}),
    (RIDE_PART, _RIDE, {"certificate": None}),
    (RIDE_CODE, _RIDE, {"generated_at": -1}),
    (RIDE_CODE, _RIDE, {"signature": "text"}),
    (IDENTITY_PART, _IDENTITY, {"handle": bytes(31)}),
    (IDENTITY_PART, _IDENTITY, {"suite": 3}),
    (IDENTITY_PART, _IDENTITY, {"issuer_key_index": True}),
    (IDENTITY_CODE, _IDENTITY, {"claims": Claim(0)}),
    (IDENTITY_CODE, _IDENTITY, {"claims": 3}),
    (IDENTITY_CODE, _IDENTITY, {"purpose": 2}),
    (IDENTITY_CODE, _IDENTITY, {"nonce": bytes(7)}),
    (CONSUMER_CODE, _CONSUMER, {"applications": ()}),
    (CONSUMER_CODE, _CONSUMER, {"applications": CONSUMER_CODE.applications * 9}),
    (CONSUMER_CODE.applications[0], _CONSUMER, {"aid": bytes(4)}),
    (CONSUMER_CODE.applications[0], _CONSUMER, {"objects": (Tlv(0x50, b"a"), Tlv(0x50, b"b"))}),
)
