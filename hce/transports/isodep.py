"""The card's side of ISO-DEP (ISO/IEC 14443-4) as a frame machine: a frame in, a frame out.

Pure: no clock, no thread, no radio. The rules of 7.5.4 that bind a card stand beside the line
that keeps them (C, D, E for the block number; 2, 3, 9 to 13 for the blocks).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto, unique
from typing import Final

from card_protocol.apdu import EXTENDED_DATA_MAX
from card_protocol.errors import MalformedBytes
from hce.transports.isodep_frames import CRC_BYTES, Ats, Block, Kind, Pps, Rats, frame_size

# Header, extended Lc and Le around the longest data. A longer chain is taken to its end and
# handed over cut at one byte more: no command is that long, so the card answers "wrong length".
COMMAND_BYTES_MAX: Final = 4 + 3 + EXTENDED_DATA_MAX + 2


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this frame."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class Command:
    """A whole command for the card; answer with `IsoDepCard.answer`, or `extend` meanwhile."""

    apdu: bytes


@dataclass(frozen=True, slots=True)
class Granted:
    """The reader waits longer: go on computing, nothing is to be sent."""


Step = Reply | Command | Granted | None  # None: keep silent and listen


@unique
class State(Enum):
    SELECTED = auto()  # by its UID; only RATS is understood
    ACTIVE = auto()
    BUSY = auto()  # the card computes
    EXTENDING = auto()  # S(WTX) is out, its answer awaited
    HALTED = auto()  # deselected: silent until the reader wakes it


class IsoDepCard:
    """One activation, from RATS to S(DESELECT) or the end of the field.

    Whatever is not for this card, not a block or out of place is met with silence, as a card does
    (7.5.6: error recovery is the reader's).
    """

    def __init__(self, ats: Ats | None = None) -> None:
        self.ats = ats or Ats()
        self.state = State.SELECTED
        self._cid = 0
        self._frame_bytes_max = frame_size(0) - CRC_BYTES
        self._is_fresh = False  # nothing but RATS was heard: PPS may come, or RATS again
        self._number = 1  # rule C
        self._has_cid = False  # whether the reader's last block named us, so does the answer
        self._collected = bytearray()
        self._rest = b""  # of an answer in chaining
        self._is_chaining = False
        self._last: bytes | None = None
        self._multiplier = 0

    def receive(self, frame: bytes) -> Step:
        """One frame of the reader, any bytes. Never raises for what the reader sends."""
        if self.state is State.SELECTED:
            return self._begin(frame)
        if self.state is State.HALTED:
            return None
        if self._is_fresh and (step := self._negotiate(frame)) is not None:
            return step
        self._is_fresh = False
        try:
            block = Block.decode(frame)
        except MalformedBytes:
            return None
        if len(frame) > self.ats.frame_bytes_max or not self._is_for_us(block):
            return None
        self._has_cid = block.cid is not None
        return self._dispatch(block)

    def answer(self, response: bytes) -> bytes:
        """The first frame of the card's answer to the command handed over."""
        assert self.state is State.BUSY, "nobody asked"
        self.state = State.ACTIVE
        self._rest = bytes(response)
        return self._next_of_answer()

    def extend(self, multiplier: int) -> bytes:
        """S(WTX): asks for FWT · multiplier (1..59) instead of an answer, rule 9."""
        assert self.state is State.BUSY, "nobody waits"
        frame = Block(Kind.WTX, inf=bytes((multiplier,)), cid=self._named()).encode()
        self.state, self._multiplier, self._last = State.EXTENDING, multiplier, frame
        return frame

    def _begin(self, frame: bytes) -> Step:
        try:
            rats = Rats.decode(frame)
        except MalformedBytes:
            return None
        self._cid = rats.cid
        self._frame_bytes_max = frame_size(rats.fsdi) - CRC_BYTES
        self.state, self._is_fresh = State.ACTIVE, True
        return Reply(self.ats.encode())

    def _negotiate(self, frame: bytes) -> Step:
        """What may follow the ATS at once: RATS again (the ATS was lost), or one PPS (5.6.2)."""
        self._is_fresh = False
        if frame[:1] == b"\xe0":
            return self._begin(frame)
        try:
            pps = Pps.decode(frame)
        except MalformedBytes:
            return None
        if pps.cid != self._cid or pps.rates:  # only 106 kbit/s was offered
            return None
        return Reply(pps.answer())

    def _is_for_us(self, block: Block) -> bool:
        """7.1.2.2: our own CID; none at all where ours is 0 or we never took one; never a NAD."""
        if block.nad is not None:
            return False
        if not self.ats.is_cid_supported:
            return block.cid is None
        return block.cid == self._cid if block.cid is not None else self._cid == 0

    def _dispatch(self, block: Block) -> Step:
        match block.kind:
            case Kind.DESELECT:
                self.state = State.HALTED
                return Reply(Block(Kind.DESELECT, cid=self._named()).encode())
            case Kind.WTX:
                return self._extended(block)
            case Kind.INFORMATION if self.state is State.ACTIVE:
                return self._information(block)
            case Kind.ACK | Kind.NAK if self.state in {State.ACTIVE, State.EXTENDING}:
                return self._ready(block)
        return None  # rule 3: what is not the answer to our S(WTX) is out of place

    def _extended(self, block: Block) -> Step:
        if self.state is not State.EXTENDING or block.inf[0] != self._multiplier:
            return None
        self.state = State.BUSY
        return Granted()

    def _information(self, block: Block) -> Step:
        self._number ^= 1  # rule D: whatever number it has
        self._rest, self._is_chaining = b"", False
        room = COMMAND_BYTES_MAX + 1 - len(self._collected)
        self._collected += block.inf[:room]
        if block.is_chained:
            return self._reply(Block(Kind.ACK, self._number, cid=self._named()))  # rule 2
        command = bytes(self._collected)
        self._collected.clear()
        if not command:  # a phone's way to ask whether the card is still there
            return self._reply(Block(Kind.INFORMATION, self._number, cid=self._named()))  # rule 10
        self.state = State.BUSY
        return Command(command)

    def _ready(self, block: Block) -> Step:
        if block.number == self._number:
            return Reply(self._last) if self._last is not None else None  # rule 11
        if block.kind is Kind.NAK:
            return Reply(Block(Kind.ACK, self._number, cid=self._named()).encode())  # rule 12
        if not self._is_chaining:
            return None
        self._number ^= 1  # rule E
        return Reply(self._next_of_answer())  # rule 13

    def _next_of_answer(self) -> bytes:
        room = self._frame_bytes_max - 1 - (self._named() is not None)
        part, self._rest = self._rest[:room], self._rest[room:]
        self._is_chaining = bool(self._rest)
        block = Block(
            Kind.INFORMATION, self._number, part, is_chained=self._is_chaining, cid=self._named()
        )
        return self._reply(block).frame

    def _named(self) -> int | None:
        return self._cid if self._has_cid else None

    def _reply(self, block: Block) -> Reply:
        """A block that R(NAK) may ask for again."""
        self._last = block.encode()
        return Reply(self._last)
