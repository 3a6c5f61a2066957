"""Walks through a card: directories, applications, files; what it refuses is a finding too.

Raises ConnectionError when the card leaves; nothing a card answers is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from card_protocol import tlv
from card_protocol.certificate import Certificate
from card_protocol.epurse.files import (
    JOURNEY_RECORDS,
    LOG_RECORDS,
    SFI_CAPP,
    SFI_HOLDER,
    SFI_JOURNEYS,
    SFI_LOG,
    SFI_MANAGEMENT,
    SFI_PUBLIC,
    SFI_TRANSIT,
    HolderData,
    JourneyRecord,
    LogRecord,
    ManagementData,
    PublicData,
)
from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import CERTIFICATE_RECORD, CERTIFICATE_SFI
from hce.inspect import shapes
from hce.inspect.applications import (
    BY_AID,
    DIRECTORIES,
    ED,
    EP,
    KNOWN,
    MASTER_FILE,
    Family,
    Known,
)
from hce.inspect.commands import Answer, Asker, Channel

LISTED_MAX: Final = 16  # applications a directory may name
DIRECTORY_RECORDS_MAX: Final = 10
COMPOUND_RECORDS_MAX: Final = 5
COMPOUND_IDENTIFIERS: Final = (0x01, 0x12, 0x27)  # where records are named, not numbered
SFI_COMPOUND: Final = (SFI_CAPP, SFI_TRANSIT)
TAG_ENTRY, TAG_AID, TAG_LABEL = 0x61, 0x4F, 0x50
TAG_NAME, TAG_SFI = 0x84, 0x88
PUBLIC_PATH: Final = (0x6F, 0xA5, 0x9F0C)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Listed:
    """An application a directory names."""

    aid: bytes
    label: str


@dataclass(frozen=True, slots=True)
class DirectoryView:
    name: bytes
    sw: int | None
    listed: tuple[Listed, ...]


@dataclass(frozen=True, slots=True)
class FileView:
    """A file that did not open, or whose contents nobody can read."""

    sfi: int
    sw: int | None
    size: int


@dataclass(frozen=True, slots=True)
class PurseView:
    """`balance_fen` without overdraft; `spendable_fen` with it; None: the card did not say."""

    public: PublicData | None
    holder: shapes.Holder | None
    management: ManagementData | None
    balance_fen: int | None
    spendable_fen: int | None
    log: tuple[LogRecord, ...]
    journeys: tuple[JourneyRecord, ...]
    compound: tuple[shapes.CompoundRecord, ...]
    unread: tuple[FileView, ...]


@dataclass(frozen=True, slots=True)
class MobileCardView:
    certificate: Certificate | None
    sw: int | None


@dataclass(frozen=True, slots=True)
class ApplicationView:
    aid: bytes
    label: str
    sw: int | None
    known: Known | None
    content: PurseView | MobileCardView | None


@dataclass(frozen=True, slots=True)
class CardReport:
    """All that was found. `refused`: names that were tried and are not there, with their answer."""

    atr: bytes
    directories: tuple[DirectoryView, ...]
    applications: tuple[ApplicationView, ...]
    refused: tuple[tuple[bytes, int | None], ...]
    master_file_sw: int | None


def survey_card(channel: Channel, atr: bytes) -> CardReport:
    """Reads everything that is free to read. Raises ConnectionError."""
    asker = Asker(channel)
    directories = tuple(_directory(asker, name) for name in DIRECTORIES)
    labels: dict[bytes, str] = {}
    for directory in directories:
        for listed in directory.listed:
            labels.setdefault(listed.aid, listed.label)
    applications: dict[bytes, ApplicationView] = {}
    refused: list[tuple[bytes, int | None]] = []
    for aid in [*labels, *(known.aid for known in KNOWN if known.aid not in labels)]:
        found = _application(asker, aid, labels.get(aid, ""))
        if found.sw is not None and _is_there(found):
            applications.setdefault(found.aid, found)
        elif aid in labels:
            applications.setdefault(aid, found)  # listed, and yet it does not open: worth a line
        else:
            refused.append((aid, found.sw))
    master_file_sw = asker.select_file(MASTER_FILE).sw
    return CardReport(
        atr, directories, tuple(applications.values()), tuple(refused), master_file_sw
    )


def _is_there(found: ApplicationView) -> bool:
    return Answer(b"", found.sw).is_selected


def _directory(asker: Asker, name: bytes) -> DirectoryView:
    answer = asker.select_name(name)
    if not answer.is_selected:
        return DirectoryView(name, answer.sw, ())
    bodies = [answer.data]
    sfi = _first(answer.data, TAG_SFI)
    if len(sfi) == 1 and 1 <= sfi[0] <= 10:  # a contact card's list stands in records
        bodies += _records(asker, sfi[0], DIRECTORY_RECORDS_MAX)
    listed = [one for body in bodies for one in _listed(body)]
    return DirectoryView(name, answer.sw, tuple(listed[:LISTED_MAX]))


def _listed(body: bytes) -> Iterator[Listed]:
    for node in _nodes(body):
        if node.tag == TAG_ENTRY:
            inside = {child.tag: child.value for child in node.children}
            if aid := inside.get(TAG_AID):
                yield Listed(aid[:16], _label(inside.get(TAG_LABEL, b"")))


def _application(asker: Asker, aid: bytes, label: str) -> ApplicationView:
    answer = asker.select_name(aid)
    known = BY_AID.get(aid)
    if not answer.is_selected:
        return ApplicationView(aid, label, answer.sw, known, None)
    name = _first(answer.data, TAG_NAME)
    if len(name) > len(aid) and name.startswith(aid):  # the card completed a part of a name
        aid, known = name, BY_AID.get(name, known)
    label = label or _label(_first(answer.data, TAG_LABEL))
    content: PurseView | MobileCardView | None = None
    if known is not None and known.family is Family.PURSE:
        content = _purse(asker, answer.data, known.purse)
    elif known is not None and known.family is Family.MOBILE_CARD:
        content = _mobile_card(asker)
    return ApplicationView(aid, label, answer.sw, known, content)


def _mobile_card(asker: Asker) -> MobileCardView:
    answer = asker.read_record(CERTIFICATE_SFI, CERTIFICATE_RECORD)
    try:
        return MobileCardView(Certificate.decode(answer.data), answer.sw)
    except MalformedBytes:
        return MobileCardView(None, answer.sw)


def _purse(asker: Asker, fci: bytes, purse: int) -> PurseView:
    unread: list[FileView] = []
    files = _Files(asker, unread)
    public = files.read(SFI_PUBLIC, PublicData.LAYOUT.size, shapes.public_data)
    if public is None:
        public = shapes.public_data(_at(fci, PUBLIC_PATH))
    holder = files.read(SFI_HOLDER, HolderData.LAYOUT.size, shapes.holder)
    management = files.read(SFI_MANAGEMENT, ManagementData.LAYOUT.size, shapes.management_data)
    balance, spendable = _balances(asker, purse)
    return PurseView(
        public,
        holder,
        management,
        balance,
        spendable,
        files.records(SFI_LOG, LOG_RECORDS, shapes.log_record),
        files.records(SFI_JOURNEYS, JOURNEY_RECORDS, shapes.journey_record),
        tuple(one for sfi in SFI_COMPOUND for one in files.compound(sfi)),
        tuple(unread),
    )


def _balances(asker: Asker, purse: int) -> tuple[int | None, int | None]:
    """(without overdraft, with it): 1.9. A card that has no such purse is asked for the other.

    P1 03 is the purse alone; where it is unknown, 00 less the overdraft of 01 is the same.
    """
    for one in (purse, EP if purse == ED else ED):
        spendable = _balance(asker, 0x00, one)
        alone = _balance(asker, 0x03, one)
        if alone is None and spendable is not None:
            overdraft = _balance(asker, 0x01, one) or 0
            alone = spendable - overdraft if overdraft <= spendable else spendable
        if alone is not None:
            return alone, spendable
    return None, None


def _balance(asker: Asker, p1: int, purse: int) -> int | None:
    answer = asker.get_balance(p1, purse)
    return shapes.balance_fen(answer.data) if answer.is_ok else None


class _Files:
    """The files of the selected application; notes what could not be read."""

    def __init__(self, asker: Asker, unread: list[FileView]) -> None:
        self._asker, self._unread = asker, unread

    def read(self, sfi: int, size: int, decode: Callable[[bytes], Value | None]) -> Value | None:
        answer = self._asker.read_binary(sfi, size)
        value = decode(answer.data) if answer.is_ok else None
        if value is None and not (answer.is_ok and shapes.is_blank(answer.data)):
            self._unread.append(FileView(sfi, answer.sw, len(answer.data)))
        return value

    def records(
        self, sfi: int, records_max: int, decode: Callable[[bytes], Value | None]
    ) -> tuple[Value, ...]:
        """Newest first; ends at the first that is blank, refused or unreadable."""
        found: list[Value] = []
        for record in range(1, records_max + 1):
            answer = self._asker.read_record(sfi, record)
            value = decode(answer.data) if answer.is_ok else None
            if value is None:
                is_blank = answer.is_ok and shapes.is_blank(answer.data)
                if not is_blank and (record == 1 or answer.is_ok):
                    self._unread.append(FileView(sfi, answer.sw, len(answer.data)))
                break
            found.append(value)
        return tuple(found)

    def compound(self, sfi: int) -> Iterator[shapes.CompoundRecord]:
        """By number, then by name where that card numbers none. A card without them is no news."""
        bodies = _records(self._asker, sfi, COMPOUND_RECORDS_MAX)
        if not bodies:
            answers = [
                self._asker.read_record(sfi, identifier, by_identifier=True)
                for identifier in COMPOUND_IDENTIFIERS
            ]
            bodies = [answer.data for answer in answers if answer.is_ok]
        for body in bodies:
            if (record := shapes.compound_record(body)) is not None:
                yield record


def _records(asker: Asker, sfi: int, records_max: int) -> list[bytes]:
    bodies: list[bytes] = []
    for record in range(1, records_max + 1):
        answer = asker.read_record(sfi, record)
        if not answer.is_ok:
            break
        bodies.append(answer.data)
    return bodies


def _nodes(body: bytes) -> Iterator[tlv.TlvNode]:
    """Every object at every depth; none of what is not BER-TLV."""
    try:
        waiting = list(tlv.parse_tree(body))
    except MalformedBytes:
        return
    while waiting:
        node = waiting.pop(0)
        yield node
        waiting = [*node.children, *waiting]


def _first(body: bytes, tag: int) -> bytes:
    return next((node.value for node in _nodes(body) if node.tag == tag), b"")


def _at(body: bytes, path: tuple[int, ...]) -> bytes:
    try:
        return tlv.find(body, path) or b""
    except MalformedBytes:
        return b""


def _label(body: bytes) -> str:
    text = body[:16].decode("ascii", "replace")
    return "".join(one if one.isascii() and one.isprintable() else "?" for one in text)
