"""What a load is made of: the card's request, the issuer's word, the intent, the outcomes."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol, Self

from card_protocol.checks import U8_MAX, require, require_bytes, require_whole
from card_protocol.epurse.suites import MAC_BYTES
from card_protocol.epurse.transactions import (
    BALANCE_MAX_FEN,
    COUNTER_MAX,
    MOMENT_BYTES,
    RANDOM_BYTES,
    TERMINAL_BYTES,
)
from card_protocol.fci import require_aid
from reader_bridge.faults import ReaderFault

CODE: Final = "purse_load_malformed"


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """What the card said to INITIALIZE FOR LOAD: MAC1 proves card, balance, amount and counter.

    Raises `MalformedBytes` "purse_load_malformed".
    """

    aid: bytes
    serial: bytes  # 10
    issuer_id: bytes  # 8
    amount_fen: int
    terminal_number: bytes  # 6
    key_index: int
    balance_before_fen: int
    load_counter: int
    key_version: int
    suite: int  # algorithm byte: 00 3DES, 04 SM4
    random: bytes  # 4
    mac1: bytes  # 4

    def __post_init__(self) -> None:
        require_aid(self.aid, CODE)
        require_bytes(self.terminal_number, TERMINAL_BYTES, CODE, "terminal_number")
        sizes = {"serial": 10, "issuer_id": 8, "random": RANDOM_BYTES, "mac1": MAC_BYTES}
        for name, size in sizes.items():
            require_bytes(getattr(self, name), size, CODE, name)
        for name in ("amount_fen", "balance_before_fen"):
            require_whole(getattr(self, name), 0, BALANCE_MAX_FEN, CODE, name)
        for name in ("key_index", "key_version", "suite"):
            require_whole(getattr(self, name), 0, U8_MAX, CODE, name)
        require_whole(self.load_counter, 0, COUNTER_MAX, CODE, "load_counter")

    @property
    def purse_number(self) -> str:
        return self.serial.hex().upper()


@dataclass(frozen=True, slots=True)
class LoadAuthorisation:
    """The issuer has the money. Raises `MalformedBytes` "purse_load_malformed"."""

    mac2: bytes  # 4
    moment: bytes  # 7, BCD: the host's time, which MAC2 covers

    def __post_init__(self) -> None:
        require_bytes(self.mac2, MAC_BYTES, CODE, "mac2")
        require_bytes(self.moment, MOMENT_BYTES, CODE, "moment")


@dataclass(frozen=True, slots=True)
class LoadIntent:
    """Everything known when CREDIT is about to leave."""

    VERSION: ClassVar[int] = 1
    LAYOUT: ClassVar[struct.Struct] = struct.Struct(">10s8sI6sBIHBB4s4s4s7s")
    request: LoadRequest
    authorisation: LoadAuthorisation

    def encode(self) -> bytes:
        """For the journal: what a restart needs to go on."""
        asked, given = self.request, self.authorisation
        head = bytes((self.VERSION, len(asked.aid))) + asked.aid
        return head + self.LAYOUT.pack(
            asked.serial,
            asked.issuer_id,
            asked.amount_fen,
            asked.terminal_number,
            asked.key_index,
            asked.balance_before_fen,
            asked.load_counter,
            asked.key_version,
            asked.suite,
            asked.random,
            asked.mac1,
            given.mac2,
            given.moment,
        )

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Raises `MalformedBytes` "purse_load_malformed"."""
        require(isinstance(body, bytes) and len(body) > 2, CODE, "too short")
        require(body[0] == cls.VERSION, CODE, "an intent of another version")
        at = 2 + body[1]
        require(len(body) == at + cls.LAYOUT.size, CODE, "wrong length")
        *asked, mac2, moment = cls.LAYOUT.unpack(body[at:])
        return cls(LoadRequest(body[2:at], *asked), LoadAuthorisation(mac2, moment))


@dataclass(frozen=True, slots=True)
class PurseLoad:
    """A load that is on the card; the TAC is the card's word for it, checked by the issuer."""

    intent: LoadIntent
    tac: bytes  # 4

    @property
    def balance_after_fen(self) -> int:
        return self.intent.request.balance_before_fen + self.intent.request.amount_fen


@dataclass(frozen=True, slots=True)
class NotWritten:
    """The card has not got the money, and cannot get it by this intent any more.

    `evidence`: INITIALIZE FOR LOAD anew, whose MAC1 proves the unchanged counter to the host.
    """

    intent: LoadIntent
    evidence: LoadRequest


@dataclass(frozen=True, slots=True)
class LoadLost:
    """Undecidable here: the card has gone on since. `counter` None: it would not tell.

    `evidence`: INITIALIZE FOR LOAD anew, for a host that can tell more from its counter.
    """

    intent: LoadIntent
    counter: int | None
    evidence: LoadRequest | None = field(default=None, compare=False)


class LoadHost(Protocol):
    """The issuer, as far as a load goes. `written` and `returned` return when the word is kept
    on this side; that it arrives, once, is their care.
    """

    def begin(self, request: LoadRequest) -> LoadAuthorisation:
        """Checks MAC1 and takes the money. What it raises ends the load: the card has nothing."""

    def written(self, load: PurseLoad) -> None:
        """The money is on the card."""

    def returned(self, intent: LoadIntent, evidence: LoadRequest | None) -> None:
        """The money is not on the card. Without evidence it waits for the card to prove it."""


class TornLoad(ReaderFault):
    """The card left between CREDIT and its answer: hold the same card, then `recover_load`."""

    def __init__(self, intent: LoadIntent) -> None:
        super().__init__("credit_unknown")
        self.intent = intent
