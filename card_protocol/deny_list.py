"""The deny list: which tokens and purses no terminal may take; parts as signed bytes, and look-ups.

A number is kept whole, as an unsigned 64-bit figure (19 digits fit): nothing is ever denied by
chance. A list is two ascending arrays, so a look-up is a binary search; a part says what changed
between two versions. Knows no file, no clock and no network. Format: docs/adr/0022.
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum, unique
from itertools import pairwise
from typing import TypeAlias

from card_protocol.checks import U32_MAX, is_digits, require, require_bytes, require_whole
from card_protocol.errors import CodeRefused, MalformedBytes
from card_protocol.signatures import SIGNATURE_BYTES, verify_signature

CODE = "deny_part_malformed"
NUMBER_CODE = "deny_number_malformed"
KEY_CODE = "deny_part_key_unknown"
ALTERED_CODE = "deny_part_altered"
GAP_CODE = "deny_part_gap"
STALE_CODE = "deny_part_stale"
COUNT_CODE = "deny_part_count_wrong"

U64_MAX = 0xFFFF_FFFF_FFFF_FFFF
FORMAT = 1
MAGIC = b"CCDL"
KEY_NAME_BYTES = 32  # SHA-256 thumbprint (RFC 7638) of the signing key
CHANGES_MAX = 50_000  # of one part
ENTRIES_MAX = 4_000_000  # of one kind in a list: 32 MB
SKEW_SECONDS = 300  # by so much the clocks of two signing machines may differ
# Said before every part signed, so that nothing else this key signs can pass for one.
CONTEXT = b"CITY CARD deny list part 1\x00"

_ENTRY_BYTES = 8
_HEAD = struct.Struct(f">4sB{KEY_NAME_BYTES}sQQQQIIIIII")
PART_BYTES_MAX = _HEAD.size + CHANGES_MAX * _ENTRY_BYTES + SIGNATURE_BYTES

Numbers: TypeAlias = "array[int] | memoryview"  # ascending: typecode or format "Q"


@unique
class DenyKind(IntEnum):
    """Whose number it is: the same digits may be a token's and a purse's."""

    TOKEN = 1  # 19 digits, tag 5A
    PURSE = 2  # 20 digits: the 10 bytes of BCD of file 15


DIGITS: Mapping[DenyKind, int] = {DenyKind.TOKEN: 19, DenyKind.PURSE: 20}


def number_value(kind: DenyKind, digits: str) -> int:
    """A number as a list holds it. Raises `MalformedBytes` "deny_number_malformed".

    A purse's serial of 20 digits fits while its first digit is 0, as T-Union has it, or 1.
    """
    length = DIGITS[kind]
    require(is_digits(digits) and len(digits) == length, NUMBER_CODE, f"{length} digits")
    value = int(digits)
    require(value <= U64_MAX, NUMBER_CODE, "a number that no list can hold")
    return value


@dataclass(frozen=True, slots=True)
class Changes:
    """What one kind of number gains and loses, each ascending, none in both."""

    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for numbers in (self.added, self.removed):
            is_inside = not numbers or (numbers[0] >= 0 and numbers[-1] <= U64_MAX)
            require(is_inside, CODE, "a number is outside 64 bits")
            is_rising = all(before < after for before, after in pairwise(numbers))
            require(is_rising, CODE, "numbers rise")
        require(not set(self.added) & set(self.removed), CODE, "added and removed at once")

    def __len__(self) -> int:
        return len(self.added) + len(self.removed)


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyPart:
    """What changed after version `since`, up to and including `upto`; the issuer is at `head`.

    `since` 0 begins a list anew. `tokens_total` and `purses_total` are how many numbers the list of
    version `head` has. Raises `MalformedBytes` "deny_part_malformed".
    """

    key_name: bytes  # 32
    since: int
    upto: int
    head: int
    issued_at: int  # unix seconds
    tokens_total: int
    purses_total: int
    tokens: Changes = field(default_factory=Changes)
    purses: Changes = field(default_factory=Changes)
    signature: bytes = bytes(SIGNATURE_BYTES)

    def __post_init__(self) -> None:
        require_bytes(self.key_name, KEY_NAME_BYTES, CODE, "key_name")
        for name in ("since", "upto", "head", "issued_at"):
            require_whole(getattr(self, name), 0, U64_MAX, CODE, name)
        for name in ("tokens_total", "purses_total"):
            require_whole(getattr(self, name), 0, U32_MAX, CODE, name)
        require(self.since <= self.upto <= self.head, CODE, "versions are in order")
        require(len(self.tokens) + len(self.purses) <= CHANGES_MAX, CODE, "too many changes")
        require_bytes(self.signature, SIGNATURE_BYTES, CODE, "signature")

    @property
    def is_last(self) -> bool:
        """Whether nothing is left to fetch."""
        return self.upto == self.head

    def signed_by(self, sign: Callable[[bytes], bytes]) -> DenyPart:
        """The same part with the signature (ES256, r‖s) that `sign` gives for `body()`."""
        return replace(self, signature=sign(self.body()))

    def body(self) -> bytes:
        """What is signed: the context, then everything but the signature."""
        return CONTEXT + self._plain()

    def encode(self) -> bytes:
        return self._plain() + self.signature

    def require_signed(self, keys: Mapping[bytes, bytes]) -> None:
        """`keys`: name -> SEC1 point on P-256. Raises `CodeRefused` key_unknown, altered."""
        if self.key_name not in keys:
            raise CodeRefused(KEY_CODE, "signed with a key that is not known here")
        if not self.is_signed(keys):
            raise CodeRefused(ALTERED_CODE, "the signature does not fit")

    def is_signed(self, keys: Mapping[bytes, bytes]) -> bool:
        """Whether one of these keys signed it, the one it names."""
        point = keys.get(self.key_name)
        return point is not None and verify_signature(point, self.body(), self.signature)

    @classmethod
    def decode(cls, body: bytes) -> DenyPart:
        """Raises `MalformedBytes`; checks no signature."""
        require(_HEAD.size + SIGNATURE_BYTES <= len(body) <= PART_BYTES_MAX, CODE, "wrong length")
        magic, form, key_name, since, upto, head, issued_at, *figures = _HEAD.unpack_from(body)
        require((magic, form) == (MAGIC, FORMAT), CODE, "unknown format")
        tokens_total, purses_total, *counts = figures
        entries = body[_HEAD.size : -SIGNATURE_BYTES]
        require(len(entries) == sum(counts) * _ENTRY_BYTES, CODE, "the counts do not fit")
        numbers = struct.unpack(f">{sum(counts)}Q", entries)
        lists = tuple(_split(numbers, counts))
        return cls(
            key_name=key_name,
            since=since,
            upto=upto,
            head=head,
            issued_at=issued_at,
            tokens_total=tokens_total,
            purses_total=purses_total,
            tokens=Changes(lists[0], lists[1]),
            purses=Changes(lists[2], lists[3]),
            signature=body[-SIGNATURE_BYTES:],
        )

    def _plain(self) -> bytes:
        lists = (self.tokens.added, self.tokens.removed, self.purses.added, self.purses.removed)
        head = _HEAD.pack(
            MAGIC,
            FORMAT,
            self.key_name,
            self.since,
            self.upto,
            self.head,
            self.issued_at,
            self.tokens_total,
            self.purses_total,
            *(len(numbers) for numbers in lists),
        )
        return head + b"".join(struct.pack(f">{len(one)}Q", *one) for one in lists)


@dataclass(frozen=True, slots=True)
class DenyList:
    """All denied numbers at one version. `as_of`: the last moment the issuer vouched for it."""

    version: int = 0
    as_of: int = 0  # unix seconds; 0: nobody has vouched for it
    tokens: Numbers = field(default_factory=lambda: array("Q"), repr=False)
    purses: Numbers = field(default_factory=lambda: array("Q"), repr=False)

    def is_denied(self, kind: DenyKind, digits: str) -> bool:
        """Raises `MalformedBytes` for what is no number of this kind."""
        numbers = self.numbers(kind)
        value = number_value(kind, digits)
        place = bisect_left(numbers, value)
        return place < len(numbers) and numbers[place] == value

    def numbers(self, kind: DenyKind) -> Numbers:
        return self.tokens if kind is DenyKind.TOKEN else self.purses

    def require_follows(self, part: DenyPart) -> None:
        """Whether `part` continues this list. Raises `CodeRefused` stale, gap.

        Stale: made before what is known here, so somebody plays old bytes. A part with `since` 0
        begins anew and follows any list that is not younger, also one of a higher version: the
        issuer may have come back from a backup.
        """
        if part.issued_at + SKEW_SECONDS < self.as_of:
            raise CodeRefused(STALE_CODE, "older than what is known here")
        if part.since not in (0, self.version):
            raise CodeRefused(GAP_CODE, f"begins at {part.since}, the list is at {self.version}")

    def applied(self, part: DenyPart) -> DenyList:
        """The list after `part`, in memory. Raises `CodeRefused` stale, gap, count wrong."""
        self.require_follows(part)
        arrays = []
        for kind in DenyKind:
            numbers = array("Q")
            for run in self.merged(part, kind):
                numbers.frombytes(run)
            arrays.append(numbers)
        require_counts(part, len(arrays[0]), len(arrays[1]))
        return DenyList(part.upto, part.issued_at, *arrays)

    def merged(self, part: DenyPart, kind: DenyKind) -> Iterator[memoryview]:
        """The numbers of one kind after `part`, as native 64-bit runs: nothing is copied whole."""
        before = array("Q") if part.since == 0 else self.numbers(kind)
        changes = part.tokens if kind is DenyKind.TOKEN else part.purses
        return merge(memoryview(before), changes)


def require_counts(part: DenyPart, tokens: int, purses: int) -> None:
    """The totals of a list that should be at the issuer's version. Raises `CodeRefused`."""
    if part.is_last and (tokens, purses) != (part.tokens_total, part.purses_total):
        raise CodeRefused(COUNT_CODE, "the list is not the issuer's: begin anew")


def merge(before: memoryview, changes: Changes) -> Iterator[memoryview]:
    """`before` with the added and without the removed numbers, run by run, as bytes.

    A number added twice, or removed and not there, changes nothing: parts may be told again.
    """
    raw = before.cast("B")
    added = set(changes.added)
    start = 0
    for value in sorted(added | set(changes.removed)):
        place = bisect_left(before, value, start)
        if place > start:
            yield raw[start * _ENTRY_BYTES : place * _ENTRY_BYTES]
        if value in added:
            yield memoryview(value.to_bytes(_ENTRY_BYTES, sys.byteorder))
        is_there = place < len(before) and before[place] == value
        start = place + is_there
    if start < len(before):
        yield raw[start * _ENTRY_BYTES :]


def _split(numbers: tuple[int, ...], counts: Iterable[int]) -> Iterator[tuple[int, ...]]:
    start = 0
    for count in counts:
        yield numbers[start : start + count]
        start += count


def require_sound(numbers: Numbers) -> None:
    """Ascending, and not more than ENTRIES_MAX. Raises `MalformedBytes` "deny_part_malformed"."""
    if len(numbers) > ENTRIES_MAX:
        raise MalformedBytes(CODE, "more numbers than a terminal holds")
    require(all(a < b for a, b in pairwise(numbers)), CODE, "numbers rise")
