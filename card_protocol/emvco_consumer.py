"""EMVCo consumer-presented codes: base64 of BER-TLV; knows no scheme and checks no cryptogram.

EMV QRCPS Consumer-Presented Mode 1.1, 3: 85 "CPV01", application templates 61, at most one common
data template 62.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from card_protocol import tlv
from card_protocol.checks import require
from card_protocol.errors import MalformedBytes
from card_protocol.tlv import Tlv

CODE = "consumer_code_malformed"
TEXT_CHARACTERS_MAX = 512
APPLICATIONS_MAX = 8
FORMAT = b"CPV01"
TEXT_START = "hQVDUFYwMW"
"""How every consumer-presented code begins: base64 of 85 05 "CPV01", as far as it is fixed."""

TAG_FORMAT = 0x85
TAG_APPLICATION = 0x61
TAG_COMMON = 0x62
TAG_AID = 0x4F
TAG_LABEL = 0x50
TAG_NUMBER = 0x5A
AID_BYTES_MIN, AID_BYTES_MAX = 5, 16


@dataclass(frozen=True, slots=True)
class Application:
    """One template 61: 4F first, then the application's objects in their order.

    Raises `MalformedBytes` "consumer_code_malformed".
    """

    aid: bytes  # 5..16 bytes
    objects: tuple[Tlv, ...]  # without 4F; no tag twice

    def __post_init__(self) -> None:
        is_aid = isinstance(self.aid, bytes) and AID_BYTES_MIN <= len(self.aid) <= AID_BYTES_MAX
        require(is_aid, CODE, "an AID has 5 to 16 bytes")
        tags = [TAG_AID, *(item.tag for item in self.objects)]
        require(len(set(tags)) == len(tags), CODE, "a tag is repeated")

    def find(self, tag: int) -> bytes | None:
        """The value of an object of this application."""
        return next((item.value for item in self.objects if item.tag == tag), None)

    def encode(self) -> bytes:
        return Tlv(TAG_APPLICATION, tlv.encode((Tlv(TAG_AID, self.aid), *self.objects))).encode()

    @classmethod
    def from_value(cls, value: bytes) -> Application:
        """Reads the value of template 61."""
        objects = tlv.parse(value)
        require(bool(objects) and objects[0].tag == TAG_AID, CODE, "a template 61 begins with 4F")
        return cls(objects[0].value, objects[1:])


@dataclass(frozen=True, slots=True)
class ConsumerCode:
    """What a phone shows. Raises `MalformedBytes` "consumer_code_malformed"."""

    applications: tuple[Application, ...]  # 1..8, the preferred first
    common: tuple[Tlv, ...] = ()  # template 62; absent when empty

    def __post_init__(self) -> None:
        is_counted = 1 <= len(self.applications) <= APPLICATIONS_MAX
        require(is_counted, CODE, "a code has 1 to 8 application templates")

    def find(self, aid: bytes) -> Application | None:
        """The application of this name, exactly."""
        return next((one for one in self.applications if one.aid == aid), None)

    def encode(self) -> str:
        """The text of the QR code."""
        body = Tlv(TAG_FORMAT, FORMAT).encode()
        body += b"".join(one.encode() for one in self.applications)
        if self.common:
            body += Tlv(TAG_COMMON, tlv.encode(self.common)).encode()
        text = base64.b64encode(body).decode("ascii")
        require(len(text) <= TEXT_CHARACTERS_MAX, CODE, "longer than 512 characters")
        return text

    @classmethod
    def decode(cls, text: str) -> ConsumerCode:
        body = _body(text)
        try:
            objects = tlv.parse(body)
            tlv.parse_tree(body)  # broken templates are refused at every depth
            is_ours = bool(objects) and objects[0] == Tlv(TAG_FORMAT, FORMAT)
            require(is_ours, CODE, 'a code begins with 85 "CPV01"')
            common: tuple[Tlv, ...] = ()
            templates = objects[1:]
            if templates and templates[-1].tag == TAG_COMMON:
                common = tlv.parse(templates[-1].value)
                require(bool(common), CODE, "template 62 is empty")
                templates = templates[:-1]
            is_known = all(item.tag == TAG_APPLICATION for item in templates)
            require(is_known, CODE, "only templates 61, then at most one 62, follow")
            return cls(tuple(Application.from_value(item.value) for item in templates), common)
        except MalformedBytes as error:
            raise MalformedBytes(CODE, error.reason) from None


def is_consumer_code(text: str) -> bool:
    """True when a text says that it is consumer-presented, well formed or not."""
    return text.startswith(TEXT_START)


def _body(text: object) -> bytes:
    """Standard base64 with its padding, in its one spelling."""
    is_text = isinstance(text, str) and text.isascii() and len(text) <= TEXT_CHARACTERS_MAX
    require(is_text, CODE, "a code is ASCII text of at most 512 characters")
    try:
        body = base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedBytes(CODE, "not base64") from None
    require(base64.b64encode(body).decode("ascii") == text, CODE, "not base64 in its one spelling")
    return body
