"""The pay code a citizen shows (design A.3): 19 digits made offline; knows no clock.

prefix 96 ‖ short number, 8 digits ‖ one-time digits, 8 ‖ Luhn check digit. The same digits also
travel in an EMVCo consumer-presented code, as 5A of our application.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256 as _sha256

from card_protocol import emvco_consumer
from card_protocol.checks import is_digits, require, require_bytes, require_digits, require_whole
from card_protocol.emvco_consumer import Application, ConsumerCode
from card_protocol.errors import CodeRefused, MalformedBytes
from card_protocol.tlv import Tlv
from card_protocol.token_number import (
    decode_token_number,
    encode_token_number,
    is_luhn_valid,
    luhn_check_digit,
)

CODE = "pay_code_malformed"
FOREIGN_CODE = "pay_code_foreign"
EXPIRED_CODE = "pay_code_expired"
NOT_YET_VALID_CODE = "pay_code_not_yet_valid"
CLOCK_WRONG_CODE = "pay_code_clock_wrong"
ALTERED_CODE = "pay_code_altered"
PREFIX = "96"  # outside 10-15 WeChat, 25-30 Alipay, 62 UnionPay
CODE_DIGITS = 19
SHORT_NUMBER_DIGITS = 8
ONE_TIME_DIGITS = 8
STEP_SECONDS = 30
KEY_BYTES = 32
AID = bytes.fromhex("F0434954594341524401")  # the mobile card's own
LABEL = b"CITY CARD"

NEIGHBOUR_STEPS = 1  # a phone's clock may be half a minute off
TOLD_APART_STEPS = 60 * 60 // STEP_SECONDS
CLOCK_WRONG_STEPS = 8 * 60 * 60 // STEP_SECONDS
"""Shanghai is 8 hours from UTC: a phone or program that mixes them up is off by just that."""
CLOCK_WRONG_SPREAD_STEPS = 2 * NEIGHBOUR_STEPS
_U64_MAX = (1 << 64) - 1
# Lengths of the codes other schemes show in this country: 16 to 24 digits.
_FOREIGN_DIGITS_MIN, _FOREIGN_DIGITS_MAX = 16, 24
_ONE_TIME_MODULUS = 10**ONE_TIME_DIGITS
_PACK = struct.Struct(">Q").pack
_WORD_AT = struct.Struct(">I").unpack_from
_is_same = hmac.compare_digest
_PREFIX = PREFIX.encode("ascii")
_BLOCK_BYTES = 64
_INNER = bytes(one ^ 0x36 for one in range(256))
_OUTER = bytes(one ^ 0x5C for one in range(256))
# Luhn over ASCII digits: every second one doubled, its digits added. The others are summed up as
# they come: there are ten of them, and ten times the character "0" is a multiple of ten.
_DOUBLED = bytes(sum(divmod(2 * (one - 48), 10)) if 48 <= one <= 57 else 0 for one in range(256))


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PayCodeKey:
    """A pay code key with the two blocks HMAC makes of it (RFC 2104, 4), made once; never printed.

    Preparing them costs as much as checking a code; a verifier checks many steps with one key.
    """

    inner: bytes
    outer: bytes

    @classmethod
    def of(cls, key: bytes) -> PayCodeKey:
        """Raises `MalformedBytes` "key_malformed" unless the key has 32 bytes."""
        require_bytes(key, KEY_BYTES, "key_malformed", "a pay code key")
        block = key.ljust(_BLOCK_BYTES, b"\0")
        return cls(block.translate(_INNER), block.translate(_OUTER))

    def __repr__(self) -> str:
        return "PayCodeKey(<secret>)"


@dataclass(frozen=True, slots=True)
class PayCode:
    """What a pay code says; whether it is true only the issuer can tell.

    Raises `MalformedBytes` "pay_code_malformed", or "pay_code_foreign" for another scheme's code.
    """

    short_number: str  # 8 digits
    one_time: str  # 8 digits

    def __post_init__(self) -> None:
        require_digits(self.short_number, SHORT_NUMBER_DIGITS, CODE, "short_number")
        require_digits(self.one_time, ONE_TIME_DIGITS, CODE, "one_time")

    def encode(self) -> str:
        digits = PREFIX + self.short_number + self.one_time
        return digits + luhn_check_digit(digits)

    def encode_consumer(self) -> str:
        """The same content as an EMVCo consumer-presented code (60 characters)."""
        objects = (
            Tlv(emvco_consumer.TAG_LABEL, LABEL),
            Tlv(emvco_consumer.TAG_NUMBER, encode_token_number(self.encode())),
        )
        return ConsumerCode((Application(AID, objects),)).encode()

    @classmethod
    def decode(cls, text: str) -> PayCode:
        """The 19 digits."""
        return cls(*split(text))

    @classmethod
    def decode_consumer(cls, text: str) -> PayCode:
        """A consumer-presented code; "pay_code_foreign" when our application is not in it."""
        return cls(*split_consumer(text))


def encode(short_number: str, one_time: str) -> str:
    """The 19 digits to show."""
    return PayCode(short_number, one_time).encode()


def decode(text: str) -> PayCode:
    """See `PayCode.decode`."""
    return PayCode.decode(text)


def read(text: str) -> tuple[str, str]:
    """(short number, one-time digits) of a code in either form. Raises as `PayCode` does."""
    try:
        raw = text.encode("ascii")
    except (AttributeError, UnicodeEncodeError):
        raise _why_not(text) from None
    is_shaped = len(raw) == CODE_DIGITS and raw.isdigit() and raw[:2] == _PREFIX
    if is_shaped and not (sum(raw[::2]) + sum(raw[1::2].translate(_DOUBLED))) % 10:
        return text[2:10], text[10:18]
    if emvco_consumer.is_consumer_code(text):
        return split_consumer(text)
    raise _why_not(text)


def split(text: str) -> tuple[str, str]:
    """The same of the 19 digits only."""
    if not is_digits(text):
        raise _why_not(text)
    return read(text)


def split_consumer(text: str) -> tuple[str, str]:
    """The same of a consumer-presented code."""
    try:
        code = ConsumerCode.decode(text)
    except MalformedBytes as error:
        raise MalformedBytes(CODE, error.reason) from None
    ours = code.find(AID)
    if ours is None:
        raise MalformedBytes(FOREIGN_CODE, "our application is not in it")
    is_alone = code.applications == (ours,) and not code.common
    require(is_alone and len(ours.objects) == 2, CODE, "ours carries label and number only")
    label, number = ours.objects
    is_ours = label == Tlv(emvco_consumer.TAG_LABEL, LABEL)
    require(is_ours and number.tag == emvco_consumer.TAG_NUMBER, CODE, "not 50 and 5A of ours")
    return split(decode_token_number(number.value, CODE))


def step_at(unix_seconds: int) -> int:
    """The number of the 30-second step a moment lies in (RFC 6238 with T0 = 0)."""
    require_whole(unix_seconds, 0, _U64_MAX, CODE, "unix_seconds")
    return unix_seconds // STEP_SECONDS


def one_time_digits(key: bytes, step: int) -> str:
    """8 digits for one step: HOTP (RFC 4226, 5.3) with HMAC-SHA-256 under the pay code key."""
    require_whole(step, 0, _U64_MAX, CODE, "step")
    number = int.from_bytes(_one_time(PayCodeKey.of(key), _PACK(step)))
    return f"{number:0{ONE_TIME_DIGITS}d}"


def match(
    one_time: str,
    live: Sequence[PayCodeKey],
    now_seconds: int,
    ended: Sequence[PayCodeKey] = (),
) -> tuple[int, int]:
    """(which of the `live` keys, its step) that gave these digits now, or half a minute off.

    `live`: keys that may pay; `ended`: those that could within the hour. Raises `CodeRefused`:
    "pay_code_expired" and "pay_code_not_yet_valid" within an hour, "pay_code_clock_wrong" around
    8 hours, "pay_code_altered" for what no key gave.
    """
    wanted = _PACK(int(one_time))
    now = now_seconds // STEP_SECONDS
    if now < NEIGHBOUR_STEPS:
        raise MalformedBytes(CODE, "there is no step before the first")
    counter = _PACK(now)
    for key in live:  # nearly all codes are of this half minute
        if _is_same(_one_time(key, counter), wanted):
            return live.index(key), now
    for step in (now - NEIGHBOUR_STEPS, now + NEIGHBOUR_STEPS):
        counter = _PACK(step)
        for key in live:
            if _is_same(_one_time(key, counter), wanted):
                return live.index(key), step
    raise _refusal(wanted, live, now, (*live, *ended))


def _refusal(
    wanted: bytes, live: Sequence[PayCodeKey], now: int, known: Sequence[PayCodeKey]
) -> CodeRefused:
    first, last = now - NEIGHBOUR_STEPS, now + NEIGHBOUR_STEPS
    # A key that ended within the hour counts here: its codes were right once.
    if _is_given(known, range(last, now - TOLD_APART_STEPS - 1, -1), wanted):
        return CodeRefused(EXPIRED_CODE, "its half minute is over")
    if _is_given(live, range(first, now + TOLD_APART_STEPS + 1), wanted):
        return CodeRefused(NOT_YET_VALID_CODE, "its half minute is still to come")
    for middle in (now - CLOCK_WRONG_STEPS, now + CLOCK_WRONG_STEPS):
        around = range(middle - CLOCK_WRONG_SPREAD_STEPS, middle + CLOCK_WRONG_SPREAD_STEPS + 1)
        if _is_given(known, around, wanted):
            return CodeRefused(CLOCK_WRONG_CODE, "made 8 hours from now: a time zone mixed up")
    return CodeRefused(ALTERED_CODE, "no key of this card gave these digits")


def _is_given(keys: Sequence[PayCodeKey], steps: Iterable[int], wanted: bytes) -> bool:
    return any(
        _is_same(_one_time(key, _PACK(step)), wanted) for step in steps if step >= 0 for key in keys
    )


def _one_time(key: PayCodeKey, counter: bytes) -> bytes:
    """The one-time number of a step in 8 bytes: RFC 4226, 5.3 over HMAC-SHA-256."""
    inner = _sha256(key.inner + counter).digest()
    digest = _sha256(key.outer + inner).digest()
    return _PACK((_WORD_AT(digest, digest[31] & 0x0F)[0] & 0x7FFF_FFFF) % _ONE_TIME_MODULUS)


def _why_not(text: object) -> MalformedBytes:
    """What is wrong with a text that is not one of our codes."""
    if not isinstance(text, str) or not is_digits(text):
        return MalformedBytes(CODE, "a pay code is ASCII digits")
    is_other_length = _FOREIGN_DIGITS_MIN <= len(text) <= _FOREIGN_DIGITS_MAX
    if is_other_length and not text.startswith(PREFIX):
        return MalformedBytes(FOREIGN_CODE, "the prefix belongs to another scheme")
    if len(text) != CODE_DIGITS:
        return MalformedBytes(CODE, "a pay code is 19 digits")
    assert not is_luhn_valid(text)  # the fast way in and ISO/IEC 7812-1 agree
    return MalformedBytes(CODE, "the check digit is wrong")
