"""The identity code 身份码 (design A.3): who may be asked, why, and for what; never who it is.

Text: "CIC1." and base64url of issuer part 136 ‖ purpose 1 ‖ claims 2 ‖ generated at 4 ‖ nonce 8 ‖
user signature 64. The issuer part names a sealed handle that changes with each part; only the
issuer can open it. Knows no clock and no person.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag, unique

from card_protocol.checks import U8_MAX, U32_MAX, require, require_bytes, require_whole
from card_protocol.code_keys import KeyLoader
from card_protocol.errors import CodeRefused, MalformedBytes
from card_protocol.signatures import SIGNATURE_BYTES, Suite, require_compressed_point

CODE = "identity_code_malformed"
FOREIGN_CODE = "identity_code_foreign"
ALTERED_CODE = "identity_code_altered"
AUTHORISATION_EXPIRED_CODE = "identity_code_authorisation_expired"
EXPIRED_CODE = "identity_code_expired"
NOT_YET_VALID_CODE = "identity_code_not_yet_valid"
CLOCK_WRONG_CODE = "identity_code_clock_wrong"

TEXT_START = "CIC1."
VALIDITY_SECONDS = 60
AHEAD_SECONDS = 30  # a phone's clock may be this much ahead
CLOCK_WRONG_SECONDS = 8 * 60 * 60
HANDLE_BYTES = 34
NONCE_BYTES = 8
VERSION = 1
PART_CONTEXT = b"CITY CARD identity part 1\x00"
CODE_CONTEXT = b"CITY CARD identity code 1\x00"

_PART = struct.Struct(f">BBB{HANDLE_BYTES}s33sI")
_SHOWN = struct.Struct(f">BHI{NONCE_BYTES}s")
PART_BYTES = _PART.size + SIGNATURE_BYTES
CODE_BYTES = PART_BYTES + _SHOWN.size + SIGNATURE_BYTES
TEXT_CHARACTERS_MAX = len(TEXT_START) + -(-CODE_BYTES * 4 // 3)

Sign = Callable[[bytes], bytes]


@unique
class Purpose(IntEnum):
    """Why somebody asks; a figure means one thing for ever."""

    COUNTER = 1  # 政务窗口, a counter of a department
    LIBRARY = 2  # 图书馆
    CLINIC = 3  # 就诊
    VENUE = 4  # 场馆入场
    LODGING = 5  # 住宿登记


@unique
class Claim(IntFlag):
    """What a verifier may learn; a figure means one thing for ever."""

    REGISTERED = 1  # whether the holder is a person matched with the base records
    NAME_MASKED = 2  # 张*
    NAME = 4
    ID_NUMBER_MASKED = 8
    PHONE_MASKED = 16


CLAIMS_ALL = Claim(sum(Claim))


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityPart:
    """What the issuer vouches for, for a day: this handle's holder has this key.

    `signature` is r‖s over context ‖ body; leave it out to issue one, and call `signed_by`.
    Raises `MalformedBytes` "identity_code_malformed".
    """

    suite: Suite
    issuer_key_index: int  # u8
    handle: bytes  # 34, opaque
    user_public_key: bytes  # 33, SEC1 compressed
    authorised_until: int  # unix seconds, inclusive
    signature: bytes = bytes(SIGNATURE_BYTES)

    def __post_init__(self) -> None:
        require(isinstance(self.suite, Suite), CODE, "suite is one of ours")
        require_whole(self.issuer_key_index, 0, U8_MAX, CODE, "issuer_key_index")
        require_bytes(self.handle, HANDLE_BYTES, CODE, "handle")
        require_compressed_point(self.user_public_key, CODE, "user_public_key")
        require_whole(self.authorised_until, 0, U32_MAX, CODE, "authorised_until")
        require_bytes(self.signature, SIGNATURE_BYTES, CODE, "signature")

    def body(self) -> bytes:
        """What the issuer signs, with its context."""
        return PART_CONTEXT + self.encode()[:-SIGNATURE_BYTES]

    def signed_by(self, sign: Sign) -> IdentityPart:
        """The same part with the signature that `sign` gives for `body()`."""
        return replace(self, signature=sign(self.body()))

    def encode(self) -> bytes:
        fields = _PART.pack(
            VERSION,
            self.suite,
            self.issuer_key_index,
            self.handle,
            self.user_public_key,
            self.authorised_until,
        )
        return fields + self.signature

    @classmethod
    def decode(cls, body: bytes) -> IdentityPart:
        require_bytes(body, PART_BYTES, CODE, "an identity part")
        version, suite, index, handle, public_key, until = _PART.unpack_from(body)
        require(version == VERSION, CODE, "unknown version")
        require(suite in set(Suite), CODE, "unknown suite")
        return cls(
            suite=Suite(suite),
            issuer_key_index=index,
            handle=handle,
            user_public_key=public_key,
            authorised_until=until,
            signature=body[_PART.size :],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityCode:
    """What the holder agreed to: this purpose, these claims, now. Signed by the holder's key.

    Raises `MalformedBytes` "identity_code_malformed", and "identity_code_foreign" for a text that
    is not of this kind.
    """

    part: IdentityPart
    purpose: Purpose
    claims: Claim  # at least one
    generated_at: int  # unix seconds
    nonce: bytes  # 8
    signature: bytes = bytes(SIGNATURE_BYTES)

    def __post_init__(self) -> None:
        require(isinstance(self.part, IdentityPart), CODE, "part is a value")
        require(isinstance(self.purpose, Purpose), CODE, "purpose is one of ours")
        is_known = isinstance(self.claims, Claim) and bool(self.claims)
        require(is_known and self.claims in CLAIMS_ALL, CODE, "claims are of ours, at least one")
        require_whole(self.generated_at, 0, U32_MAX, CODE, "generated_at")
        require_bytes(self.nonce, NONCE_BYTES, CODE, "nonce")
        require_bytes(self.signature, SIGNATURE_BYTES, CODE, "signature")

    def body(self) -> bytes:
        """What the holder signs, with its context."""
        return CODE_CONTEXT + self._fields()

    def signed_by(self, sign: Sign) -> IdentityCode:
        """The same code with the signature that `sign` gives for `body()`."""
        return replace(self, signature=sign(self.body()))

    def encode(self) -> str:
        """The text of the QR code."""
        body = self._fields() + self.signature
        return TEXT_START + base64.urlsafe_b64encode(body).rstrip(b"=").decode("ascii")

    @classmethod
    def decode(cls, text: str) -> IdentityCode:
        body = _body(text)
        purpose, claims, generated_at, nonce = _SHOWN.unpack_from(body, PART_BYTES)
        require(purpose in set(Purpose), CODE, "unknown purpose")
        require(0 < claims <= CLAIMS_ALL, CODE, "claims are of ours, at least one")
        return cls(
            part=IdentityPart.decode(body[:PART_BYTES]),
            purpose=Purpose(purpose),
            claims=Claim(claims),
            generated_at=generated_at,
            nonce=nonce,
            signature=body[-SIGNATURE_BYTES:],
        )

    def _fields(self) -> bytes:
        shown = _SHOWN.pack(self.purpose, self.claims, self.generated_at, self.nonce)
        return self.part.encode() + shown


@dataclass(frozen=True, slots=True)
class IdentityCodeVerifier:
    """Is a code genuine and in time: asked offline by whoever has the issuer's keys."""

    issuer_keys: Mapping[tuple[int, Suite], bytes]  # SEC1 points by (index, suite)
    suites: Mapping[Suite, KeyLoader]

    def verify(self, text: str, now: int) -> IdentityCode:
        """The code, at unix second `now`; the first reason against it is raised:

        malformed, foreign, altered (issuer), authorisation expired, expired, not yet valid, clock
        wrong, altered (holder). One use is for the issuer to see to: ask it online.
        """
        code = IdentityCode.decode(text)
        part = code.part
        issuer_key = self.issuer_keys.get((part.issuer_key_index, part.suite))
        load = self.suites.get(part.suite)
        if issuer_key is None or load is None:
            raise CodeRefused(FOREIGN_CODE, "no issuer key that is known here")
        if not load(issuer_key)(part.body(), part.signature):
            raise CodeRefused(ALTERED_CODE, "the issuer's signature does not fit")
        if now > part.authorised_until:
            raise CodeRefused(AUTHORISATION_EXPIRED_CODE, "the issuer's part is out of date")
        _check_time(now - code.generated_at)
        try:
            is_genuine = load(part.user_public_key)
        except MalformedBytes as error:
            raise MalformedBytes(CODE, error.reason) from None
        if not is_genuine(code.body(), code.signature):
            raise CodeRefused(ALTERED_CODE, "the holder's signature does not fit")
        return code


def _check_time(age: int) -> None:
    if -AHEAD_SECONDS <= age <= VALIDITY_SECONDS:
        return
    if abs(abs(age) - CLOCK_WRONG_SECONDS) <= VALIDITY_SECONDS:
        raise CodeRefused(CLOCK_WRONG_CODE, "made 8 hours from now: a time zone mixed up")
    if age > 0:
        raise CodeRefused(EXPIRED_CODE, "shown too late")
    raise CodeRefused(NOT_YET_VALID_CODE, "shown before its time")


def _body(text: object) -> bytes:
    """The bytes of a text in its one spelling."""
    require(isinstance(text, str), CODE, "a code is text")
    given = str(text)
    if not given.startswith(TEXT_START):
        raise MalformedBytes(FOREIGN_CODE, "not an identity code of this city")
    encoded = given[len(TEXT_START) :]
    is_sized = len(given) == TEXT_CHARACTERS_MAX and encoded.isascii()
    require(is_sized, CODE, f"a code has {TEXT_CHARACTERS_MAX} characters")
    try:
        padding = "=" * (-len(encoded) % 4)
        body = base64.b64decode(encoded + padding, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise MalformedBytes(CODE, "not base64url") from None
    is_one_spelling = base64.urlsafe_b64encode(body).rstrip(b"=").decode("ascii") == encoded
    require(is_one_spelling and len(body) == CODE_BYTES, CODE, "not base64url in its one spelling")
    return body
