"""What SELECT answers: the directory of a card and the face of one application (EMV Book 1, 11.3).

Both are our own shapes of template 6F: objects missing, unknown or out of order are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from card_protocol import tlv
from card_protocol.checks import require, require_bytes, require_printable, require_whole
from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import PPSE_NAME, TAG_PDOL

CODE = "fci_malformed"
TAG_FCI = 0x6F
TAG_NAME = 0x84
TAG_PROPRIETARY = 0xA5
TAG_LABEL = 0x50
TAG_DISCRETIONARY = 0xBF0C
TAG_PROGRAMME = 0x9F5A
TAG_ENTRY = 0x61
TAG_AID = 0x4F
TAG_PRIORITY = 0x87

AID_BYTES_MIN, AID_BYTES_MAX = 5, 16
LABEL_CHARACTERS_MAX = 16
PROGRAMME_BYTES_MAX = 16
PDOL_BYTES_MAX = 64
ENTRIES_MAX = 8


def require_aid(value: object, code: str = CODE) -> None:
    """5 to 16 bytes (ISO/IEC 7816-4, 12.2.3)."""
    is_aid = isinstance(value, bytes) and AID_BYTES_MIN <= len(value) <= AID_BYTES_MAX
    require(is_aid, code, "an AID is 5 to 16 bytes")


@dataclass(frozen=True, slots=True)
class ApplicationFci:
    """The mobile card's face: 6F{84, A5{50, 9F38, BF0C{9F5A}}} (design A.2, step 1).

    Raises `MalformedBytes` "fci_malformed".
    """

    aid: bytes
    label: str  # 1..16 printable ASCII
    pdol: bytes  # tags and lengths, as `mobile_card.PDOL`
    programme_id: bytes  # 1..16 bytes

    def __post_init__(self) -> None:
        require_aid(self.aid)
        require_printable(self.label, 1, LABEL_CHARACTERS_MAX, CODE, "label")
        parse_pdol(self.pdol)
        is_programme = (
            isinstance(self.programme_id, bytes)
            and 1 <= len(self.programme_id) <= PROGRAMME_BYTES_MAX
        )
        require(is_programme, CODE, "programme_id is 1 to 16 bytes")

    def encode(self) -> bytes:
        proprietary = (
            tlv.Tlv(TAG_LABEL, self.label.encode("ascii")),
            tlv.Tlv(TAG_PDOL, self.pdol),
            tlv.Tlv(TAG_DISCRETIONARY, tlv.Tlv(TAG_PROGRAMME, self.programme_id).encode()),
        )
        return _fci(self.aid, tlv.encode(proprietary))

    @classmethod
    def decode(cls, body: bytes) -> ApplicationFci:
        aid, proprietary = _open_fci(body)
        label, pdol, discretionary = tlv.values_in_order(
            proprietary, (TAG_LABEL, TAG_PDOL, TAG_DISCRETIONARY), CODE
        )
        (programme_id,) = tlv.values_in_order(discretionary, (TAG_PROGRAMME,), CODE)
        return cls(aid, label.decode("latin-1"), pdol, programme_id)


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """One application a card carries: 61{4F, 50, 87}; priority 1 is asked first."""

    aid: bytes
    label: str  # 1..16 printable ASCII
    priority: int  # 1..15

    def __post_init__(self) -> None:
        require_aid(self.aid)
        require_printable(self.label, 1, LABEL_CHARACTERS_MAX, CODE, "label")
        require_whole(self.priority, 1, 15, CODE, "priority")

    def encode(self) -> bytes:
        objects = (
            tlv.Tlv(TAG_AID, self.aid),
            tlv.Tlv(TAG_LABEL, self.label.encode("ascii")),
            tlv.Tlv(TAG_PRIORITY, self.priority.to_bytes(1)),
        )
        return tlv.Tlv(TAG_ENTRY, tlv.encode(objects)).encode()

    @classmethod
    def decode(cls, body: bytes) -> DirectoryEntry:
        (entry,) = tlv.values_in_order(body, (TAG_ENTRY,), CODE)
        aid, label, priority = tlv.values_in_order(entry, (TAG_AID, TAG_LABEL, TAG_PRIORITY), CODE)
        require_bytes(priority, 1, CODE, "priority")
        return cls(aid, label.decode("latin-1"), priority[0])


@dataclass(frozen=True, slots=True)
class Directory:
    """The answer to SELECT 2PAY.SYS.DDF01: 6F{84, A5{BF0C{61 …}}}, in the card's order.

    Raises `MalformedBytes` "fci_malformed".
    """

    entries: tuple[DirectoryEntry, ...]  # 1..8

    def __post_init__(self) -> None:
        is_row = isinstance(self.entries, tuple) and 0 < len(self.entries) <= ENTRIES_MAX
        require(is_row, CODE, "a directory has 1 to 8 entries")
        is_typed = all(isinstance(entry, DirectoryEntry) for entry in self.entries)
        require(is_typed, CODE, "an entry is a value")

    def encode(self) -> bytes:
        entries = b"".join(entry.encode() for entry in self.entries)
        return _fci(PPSE_NAME, tlv.Tlv(TAG_DISCRETIONARY, entries).encode())

    @classmethod
    def decode(cls, body: bytes) -> Directory:
        name, proprietary = _open_fci(body)
        require(name == PPSE_NAME, CODE, "not the contactless directory")
        (discretionary,) = tlv.values_in_order(proprietary, (TAG_DISCRETIONARY,), CODE)
        try:
            items = tlv.parse(discretionary)
        except MalformedBytes as error:
            raise MalformedBytes(CODE, error.reason) from None
        return cls(tuple(DirectoryEntry.decode(item.encode()) for item in items))


def parse_pdol(pdol: bytes) -> tuple[tuple[int, int], ...]:
    """(tag, length) pairs of a data object list (EMV Book 3, 5.4); lengths are one byte."""
    require(isinstance(pdol, bytes) and 0 < len(pdol) <= PDOL_BYTES_MAX, CODE, "no PDOL")
    pairs: list[tuple[int, int]] = []
    at = 0
    while at < len(pdol):
        try:
            end = tlv.tag_end(pdol, at)
        except MalformedBytes as error:
            raise MalformedBytes(CODE, error.reason) from None
        require(end < len(pdol) and pdol[end] < 0x80, CODE, "a PDOL tag has a length below 128")
        pairs.append((int.from_bytes(pdol[at:end]), pdol[end]))
        at = end + 1
    return tuple(pairs)


def _fci(name: bytes, proprietary: bytes) -> bytes:
    objects = (tlv.Tlv(TAG_NAME, name), tlv.Tlv(TAG_PROPRIETARY, proprietary))
    return tlv.Tlv(TAG_FCI, tlv.encode(objects)).encode()


def _open_fci(body: bytes) -> tuple[bytes, bytes]:
    (template,) = tlv.values_in_order(body, (TAG_FCI,), CODE)
    name, proprietary = tlv.values_in_order(template, (TAG_NAME, TAG_PROPRIETARY), CODE)
    return name, proprietary
