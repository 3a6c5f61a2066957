"""What can happen at readers and scanners, as values; knows no thread and no driver."""

from __future__ import annotations

from dataclasses import dataclass

from reader_bridge.faults import CodeFault, ReaderFault
from reader_bridge.readers.port import CardChannel


@dataclass(frozen=True, slots=True)
class CardArrived:
    """A card is held to the reader. Whoever takes the event closes the channel when done."""

    reader_name: str
    channel: CardChannel


@dataclass(frozen=True, slots=True)
class CardLeft:
    """The card that arrived last at this reader has gone."""

    reader_name: str


@dataclass(frozen=True, slots=True)
class SeveralCards:
    """More than one card in the field: told once, until the field is empty or holds one card."""

    reader_name: str


@dataclass(frozen=True, slots=True)
class CardUnread:
    """Something lies there that cannot be spoken to: told once, until the field is empty."""

    reader_name: str
    fault: ReaderFault


@dataclass(frozen=True, slots=True)
class ReaderJoined:
    """The reader works, for the first time or again."""

    reader_name: str


@dataclass(frozen=True, slots=True)
class ReaderGone:
    """The reader was unplugged, or broke; `fault` says what a fitter can do."""

    reader_name: str
    fault: ReaderFault


@dataclass(frozen=True, slots=True)
class CodeRead:
    """A scanner read a code; `payload` is cleaned of what scanners add, and not judged."""

    source: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class CodeUnread:
    """A scanner gave what can be no code of ours."""

    source: str
    fault: CodeFault


Event = (
    CardArrived
    | CardLeft
    | SeveralCards
    | CardUnread
    | ReaderJoined
    | ReaderGone
    | CodeRead
    | CodeUnread
)
