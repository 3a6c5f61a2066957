"""BER-TLV with definite, shortest lengths (ISO/IEC 8825-1, 7816-4 annex E); knows no tag by name.

One value has one encoding: `encode(parse(body)) == body`. Padding bytes 00 and FF between objects
and lengths longer than needed are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from card_protocol.checks import require, require_whole
from card_protocol.errors import MalformedBytes

CODE = "tlv_malformed"
TAG_BYTES_MAX = 3
SIZE_MAX_BYTES = 65_536
ITEMS_MAX = 1_024
DEPTH_MAX = 8


@dataclass(frozen=True, slots=True)
class Tlv:
    """One object: the tag as its bytes read as a number (0x9F02), and its value."""

    tag: int
    value: bytes

    def __post_init__(self) -> None:
        require_whole(self.tag, 1, (1 << 8 * TAG_BYTES_MAX) - 1, CODE, "tag")
        body = tag_bytes(self.tag)
        require(tag_end(body, 0) == len(body), CODE, "the tag is not one BER tag")
        require(isinstance(self.value, bytes), CODE, "value is bytes")
        require(len(self.value) <= SIZE_MAX_BYTES, CODE, "value is too long")

    @property
    def is_constructed(self) -> bool:
        """True when the value is itself a row of objects (bit 6 of the first tag byte)."""
        return bool(tag_bytes(self.tag)[0] & 0x20)

    def encode(self) -> bytes:
        return tag_bytes(self.tag) + length_bytes(len(self.value)) + self.value

    @classmethod
    def decode(cls, body: bytes) -> Tlv:
        """Exactly one object."""
        items = parse(body)
        if len(items) != 1:
            raise MalformedBytes(CODE, "exactly one object is expected")
        return items[0]


@dataclass(frozen=True, slots=True)
class TlvNode:
    """An object with what it contains; `children` is empty for a primitive object."""

    tag: int
    value: bytes
    children: tuple[TlvNode, ...] = ()


def tag_bytes(tag: int) -> bytes:
    return tag.to_bytes((tag.bit_length() + 7) // 8)


def length_bytes(length: int) -> bytes:
    """The shortest definite length: one byte below 128, else 81, 82, … and the number."""
    if length < 0x80:
        return bytes((length,))
    count = (length.bit_length() + 7) // 8
    return bytes((0x80 | count,)) + length.to_bytes(count)


def encode(items: Iterable[Tlv]) -> bytes:
    """The objects one after the other."""
    return b"".join(item.encode() for item in items)


def parse(body: bytes) -> tuple[Tlv, ...]:
    """One level of objects; raises `MalformedBytes` "tlv_malformed"."""
    if len(body) > SIZE_MAX_BYTES:
        raise MalformedBytes(CODE, "the body is too long")
    items: list[Tlv] = []
    at = 0
    while at < len(body):
        if len(items) == ITEMS_MAX:
            raise MalformedBytes(CODE, "too many objects")
        length_at = tag_end(body, at)
        length, value_at = _length(body, length_at)
        if length > len(body) - value_at:
            raise MalformedBytes(CODE, "a value ends before its length")
        items.append(Tlv(int.from_bytes(body[at:length_at]), body[value_at : value_at + length]))
        at = value_at + length
    return tuple(items)


def parse_tree(body: bytes) -> tuple[TlvNode, ...]:
    """All levels; at most `DEPTH_MAX` deep and `ITEMS_MAX` objects in all.

    Raises `MalformedBytes` "tlv_malformed", also for a constructed object with broken contents.
    """
    nodes, _ = _tree(body, depth=1, items_left=ITEMS_MAX)
    return nodes


def _tree(body: bytes, depth: int, items_left: int) -> tuple[tuple[TlvNode, ...], int]:
    """(nodes, how many more objects the whole tree may have)."""
    if body and depth > DEPTH_MAX:
        raise MalformedBytes(CODE, "nested too deep")
    items = parse(body)
    items_left -= len(items)
    if items_left < 0:
        raise MalformedBytes(CODE, "too many objects")
    nodes: list[TlvNode] = []
    for item in items:
        children: tuple[TlvNode, ...] = ()
        if item.is_constructed:
            children, items_left = _tree(item.value, depth + 1, items_left)
        nodes.append(TlvNode(item.tag, item.value, children))
    return tuple(nodes), items_left


def find(body: bytes, path: Sequence[int]) -> bytes | None:
    """The value at a path of tags, outermost first; the first of repeated objects; None if absent.

    `find(fci, (0x6F, 0xA5, 0x50))` is the label. Only the levels on the path are parsed.
    """
    require(0 < len(path) <= DEPTH_MAX, CODE, "a path has 1 to 8 tags")
    value: bytes | None = body
    for tag in path:
        if value is None:
            return None
        value = next((item.value for item in parse(value) if item.tag == tag), None)
    return value


def get(body: bytes, path: Sequence[int]) -> bytes:
    """As `find`, but an absent object is refused."""
    value = find(body, path)
    if value is None:
        raise MalformedBytes(CODE, "no " + "/".join(f"{tag:X}" for tag in path))
    return value


def values_in_order(body: bytes, tags: Sequence[int], code: str) -> tuple[bytes, ...]:
    """The values of exactly these tags in exactly this order; anything else is refused."""
    try:
        items = parse(body)
    except MalformedBytes as error:
        raise MalformedBytes(code, error.reason) from None
    if [item.tag for item in items] != list(tags):
        raise MalformedBytes(code, "objects are missing, repeated, unknown or out of order")
    return tuple(item.value for item in items)


def tag_end(body: bytes, at: int) -> int:
    """Where the tag that starts at `at` ends; its structure is checked, its meaning is not."""
    first = body[at]
    if first in {0x00, 0xFF}:
        raise MalformedBytes(CODE, "padding where a tag is expected")
    end = at + 1
    if first & 0x1F == 0x1F:
        while end < len(body) and body[end] & 0x80:
            end += 1
            if end - at >= TAG_BYTES_MAX:
                raise MalformedBytes(CODE, "the tag is longer than 3 bytes")
        end += 1
    if end > len(body):
        raise MalformedBytes(CODE, "the body ends inside a tag")
    return end


def _length(body: bytes, at: int) -> tuple[int, int]:
    """(length, where the value starts)."""
    if at >= len(body):
        raise MalformedBytes(CODE, "the body ends before a length")
    first = body[at]
    if first < 0x80:
        return first, at + 1
    count = first & 0x7F
    field = body[at + 1 : at + 1 + count]
    if not 1 <= count <= 3 or len(field) != count:
        raise MalformedBytes(CODE, "a length is definite and has at most 3 further bytes")
    length = int.from_bytes(field)
    if length_bytes(length) != body[at : at + 1 + count]:
        raise MalformedBytes(CODE, "a length is written in its shortest form")
    return length, at + 1 + count
