"""The token certificate a mobile card shows in READ RECORD: what the issuer vouches for offline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from card_protocol import tlv
from card_protocol.checks import (
    U8_MAX,
    U32_MAX,
    require,
    require_bytes,
    require_printable,
    require_whole,
)
from card_protocol.errors import MalformedBytes
from card_protocol.signatures import (
    SIGNATURE_BYTES,
    PublicKey,
    Suite,
    require_compressed_point,
    verify_signature,
)
from card_protocol.token_number import (
    decode_token_number,
    encode_token_number,
    require_token_number,
)

CODE = "certificate_malformed"
CERTIFICATE_BYTES_MAX = 250
PRODUCT_CHARACTERS_MAX = 16
UNSIGNED = bytes(SIGNATURE_BYTES)
VERSION = 1  # keys and signature are ES256's
VERSION_WITH_SUITE = 2  # another suite's, named right after the version
# Said before every body signed, so that no other thing the issuer key signs can pass for one.
BODY_CONTEXT = b"CITY CARD certificate 1\x00"

TAG_RECORD_TEMPLATE = 0x70
TAG_TOKEN_NUMBER = 0x5A
TAG_VERSION = 0xDF00
TAG_DEVICE_PUBLIC_KEY = 0xDF01
TAG_PRODUCT = 0xDF02
TAG_CONCESSION_GROUP = 0xDF03
TAG_NOT_BEFORE = 0xDF04
TAG_NOT_AFTER = 0xDF05
TAG_OFFLINE_SALE_MAX = 0xDF06
TAG_OFFLINE_SUM_MAX = 0xDF07
TAG_STATUS_INDEX = 0xDF08
TAG_ISSUER_KEY_INDEX = 0xDF09
TAG_ISSUER_SIGNATURE = 0xDF0A
TAG_SUITE = 0xDF0B

_ORDER = (
    TAG_VERSION,
    TAG_TOKEN_NUMBER,
    TAG_DEVICE_PUBLIC_KEY,
    TAG_PRODUCT,
    TAG_CONCESSION_GROUP,
    TAG_NOT_BEFORE,
    TAG_NOT_AFTER,
    TAG_OFFLINE_SALE_MAX,
    TAG_OFFLINE_SUM_MAX,
    TAG_STATUS_INDEX,
    TAG_ISSUER_KEY_INDEX,
    TAG_ISSUER_SIGNATURE,
)
_ORDER_WITH_SUITE = (TAG_VERSION, TAG_SUITE, *_ORDER[1:])
_HEAD_WITH_SUITE = tlv.Tlv(TAG_VERSION, VERSION_WITH_SUITE.to_bytes(1)).encode()
_WIDTHS = {  # bytes of each whole number
    TAG_VERSION: 1,
    TAG_SUITE: 1,
    TAG_CONCESSION_GROUP: 1,
    TAG_NOT_BEFORE: 4,
    TAG_NOT_AFTER: 4,
    TAG_OFFLINE_SALE_MAX: 4,
    TAG_OFFLINE_SUM_MAX: 4,
    TAG_STATUS_INDEX: 4,
    TAG_ISSUER_KEY_INDEX: 1,
}


@dataclass(frozen=True, slots=True)
class Certificate:
    """Token, device key, validity and offline limits, signed by the issuer (design A.2, step 3).

    Times are unix seconds with `not_before <= not_after`, both inclusive. To issue one, leave the
    signature out and call `signed_by`. Raises `MalformedBytes` "certificate_malformed".
    """

    token_number: str  # 19 digits with check digit
    device_public_key: bytes  # 33 bytes, SEC1 compressed
    product: str  # 1..16 printable ASCII
    concession_group: int  # u8, 0 = none
    not_before: int  # u32
    not_after: int  # u32
    offline_sale_max_fen: int  # u32, 0 = online only
    offline_sum_max_fen: int  # u32
    status_index: int  # u32, place in the status list
    issuer_key_index: int  # u8
    signature: bytes = UNSIGNED  # 64 bytes r‖s
    suite: Suite = Suite.AES_ES256  # of the device key and of the issuer's signature

    def __post_init__(self) -> None:
        require_token_number(self.token_number, CODE)
        require_compressed_point(self.device_public_key, CODE, "device_public_key")
        require_printable(self.product, 1, PRODUCT_CHARACTERS_MAX, CODE, "product")
        for name in ("concession_group", "issuer_key_index"):
            require_whole(getattr(self, name), 0, U8_MAX, CODE, name)
        for name in (
            "not_before",
            "not_after",
            "offline_sale_max_fen",
            "offline_sum_max_fen",
            "status_index",
        ):
            require_whole(getattr(self, name), 0, U32_MAX, CODE, name)
        require(self.not_before <= self.not_after, CODE, "not_before is after not_after")
        require_bytes(self.signature, SIGNATURE_BYTES, CODE, "signature")
        require(isinstance(self.suite, Suite), CODE, "unknown suite")

    @property
    def device_key(self) -> PublicKey:
        """What the device's signatures are verified with."""
        return PublicKey(self.suite, self.device_public_key)

    def body(self) -> bytes:
        """What the issuer signs: the context, then every object but the signature."""
        return BODY_CONTEXT + tlv.encode(self._objects())

    def signed_by(self, sign: Callable[[bytes], bytes]) -> Certificate:
        """The same certificate with the signature (r‖s) that `sign` gives for `body()`."""
        return replace(self, signature=sign(self.body()))

    def is_valid_at(self, unix_seconds: int) -> bool:
        return self.not_before <= unix_seconds <= self.not_after

    def encode(self) -> bytes:
        """Template 70, at most 250 bytes: one READ RECORD answer."""
        objects = (*self._objects(), tlv.Tlv(TAG_ISSUER_SIGNATURE, self.signature))
        return tlv.Tlv(TAG_RECORD_TEMPLATE, tlv.encode(objects)).encode()

    @classmethod
    def decode(cls, body: bytes) -> Certificate:
        if len(body) > CERTIFICATE_BYTES_MAX:
            raise MalformedBytes(CODE, "longer than one record")
        (record,) = tlv.values_in_order(body, (TAG_RECORD_TEMPLATE,), CODE)
        order = _ORDER_WITH_SUITE if record.startswith(_HEAD_WITH_SUITE) else _ORDER
        values = dict(zip(order, tlv.values_in_order(record, order, CODE), strict=True))
        number = _numbers(values)
        return cls(
            token_number=decode_token_number(values[TAG_TOKEN_NUMBER], CODE),
            device_public_key=values[TAG_DEVICE_PUBLIC_KEY],
            # latin-1 never fails; what is not ASCII is refused at birth
            product=values[TAG_PRODUCT].decode("latin-1"),
            concession_group=number[TAG_CONCESSION_GROUP],
            not_before=number[TAG_NOT_BEFORE],
            not_after=number[TAG_NOT_AFTER],
            offline_sale_max_fen=number[TAG_OFFLINE_SALE_MAX],
            offline_sum_max_fen=number[TAG_OFFLINE_SUM_MAX],
            status_index=number[TAG_STATUS_INDEX],
            issuer_key_index=number[TAG_ISSUER_KEY_INDEX],
            signature=values[TAG_ISSUER_SIGNATURE],
            suite=Suite(number.get(TAG_SUITE, Suite.AES_ES256)),
        )

    def _objects(self) -> tuple[tlv.Tlv, ...]:
        values = {
            TAG_VERSION: VERSION.to_bytes(1),
            TAG_TOKEN_NUMBER: encode_token_number(self.token_number),
            TAG_DEVICE_PUBLIC_KEY: self.device_public_key,
            TAG_PRODUCT: self.product.encode("ascii"),
            TAG_CONCESSION_GROUP: self.concession_group.to_bytes(1),
            TAG_NOT_BEFORE: self.not_before.to_bytes(4),
            TAG_NOT_AFTER: self.not_after.to_bytes(4),
            TAG_OFFLINE_SALE_MAX: self.offline_sale_max_fen.to_bytes(4),
            TAG_OFFLINE_SUM_MAX: self.offline_sum_max_fen.to_bytes(4),
            TAG_STATUS_INDEX: self.status_index.to_bytes(4),
            TAG_ISSUER_KEY_INDEX: self.issuer_key_index.to_bytes(1),
        }
        order: tuple[int, ...] = _ORDER
        if self.suite is not Suite.AES_ES256:
            order = _ORDER_WITH_SUITE
            values[TAG_VERSION] = VERSION_WITH_SUITE.to_bytes(1)
            values[TAG_SUITE] = self.suite.to_bytes(1)
        return tuple(tlv.Tlv(tag, values[tag]) for tag in order[:-1])


def _numbers(values: Mapping[int, bytes]) -> dict[int, int]:
    """The whole numbers of a record. ES256's suite is never named: one value, one encoding."""
    number = {}
    for tag in values.keys() & _WIDTHS.keys():
        require_bytes(values[tag], _WIDTHS[tag], CODE, f"object {tag:X}")
        number[tag] = int.from_bytes(values[tag])
    version = VERSION_WITH_SUITE if TAG_SUITE in number else VERSION
    require(number[TAG_VERSION] == version, CODE, "unknown version")
    other = set(Suite) - {Suite.AES_ES256}
    require(number.get(TAG_SUITE, Suite.SM4_SM2) in other, CODE, "unknown suite, or ES256's")
    return number


def verify_certificate(certificate: Certificate, issuer_public_key: bytes) -> bool:
    """True when this issuer key (SEC1, 33 or 65 bytes) of the certificate's own suite signed it.

    Says nothing about time. A key of the other suite's curve verifies nothing.
    """
    return verify_signature(
        issuer_public_key, certificate.body(), certificate.signature, certificate.suite
    )
