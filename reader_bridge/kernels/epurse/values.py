"""What a purchase from a purse is made of: the intent kept before DEBIT, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from card_protocol.checks import U8_MAX, require, require_bytes, require_whole
from card_protocol.epurse.capp import CappHead
from card_protocol.epurse.commands import UpdateCache
from card_protocol.epurse.files import SFI_JOURNEYS
from card_protocol.epurse.sam import SamOffer, SamRequest
from card_protocol.epurse.suites import MAC_BYTES
from card_protocol.epurse.transactions import (
    BALANCE_MAX_FEN,
    TERMINAL_BYTES,
    TransactionKind,
)
from card_protocol.fci import require_aid
from reader_bridge.faults import ReaderFault
from reader_bridge.sam.port import Verified

CODE: Final = "purse_intent_malformed"
RECORDS_MAX: Final = 8  # what a card keeps between INITIALIZE and DEBIT
SERIAL_BYTES: Final = 10


@dataclass(frozen=True, slots=True)
class CappRecord:
    """A record that a compound purchase writes: SFI 1E (a journey, 48 bytes), 19 or 1A.

    Raises `MalformedBytes`.
    """

    sfi: int
    body: bytes

    def __post_init__(self) -> None:
        self.to_write()

    def to_write(self) -> UpdateCache:
        """P1 names a variable record by its id's last byte; a cyclic file has 00."""
        record_id = 0 if self.sfi == SFI_JOURNEYS else CappHead.decode(self.body).last_id_byte
        return UpdateCache(self.sfi, record_id, self.body)


@dataclass(frozen=True, slots=True)
class Intent:
    """Everything known when DEBIT is about to leave: enough to prove the purchase, or to find
    that it never was. Raises `MalformedBytes` "purse_intent_malformed".
    """

    VERSION: ClassVar[int] = 1
    aid: bytes
    serial: bytes  # 10, the application's
    issuer_id: bytes  # 8
    terminal: bytes  # 6
    key_index: int
    balance_before_fen: int
    request: SamRequest
    offer: SamOffer
    records: tuple[CappRecord, ...] = ()

    def __post_init__(self) -> None:
        require_aid(self.aid, CODE)
        require_bytes(self.serial, SERIAL_BYTES, CODE, "serial")
        require_bytes(self.issuer_id, 8, CODE, "issuer_id")
        require_bytes(self.terminal, TERMINAL_BYTES, CODE, "terminal")
        require_whole(self.key_index, 0, U8_MAX, CODE, "key_index")
        require_whole(self.balance_before_fen, 0, BALANCE_MAX_FEN, CODE, "balance_before_fen")
        require(self.request.issuer == self.issuer_id, CODE, "the SAM was told another issuer")
        require(len(self.records) <= RECORDS_MAX, CODE, "more than 8 records")

    @property
    def purse_number(self) -> str:
        return self.serial.hex().upper()

    @property
    def counter_after(self) -> int:
        """The card's counter once DEBIT is done; also what GET TRANSACTION PROVE asks for."""
        return self.request.offline_atc + 1

    def encode(self) -> bytes:
        """For the journal: what a restart needs to go on."""
        head = bytes((self.VERSION, len(self.records), len(self.aid)))
        head += self.aid + self.serial + self.terminal
        money = bytes((self.key_index,)) + self.balance_before_fen.to_bytes(4)
        body = head + money + self.request.encode() + self.offer.encode()
        for record in self.records:
            body += bytes((record.sfi, len(record.body))) + record.body
        return body

    @classmethod
    def decode(cls, body: bytes) -> Self:
        require(isinstance(body, bytes) and len(body) > 3, CODE, "too short")
        require(body[0] == cls.VERSION, CODE, "an intent of another version")
        at = 3 + body[2]
        sizes = (SERIAL_BYTES, TERMINAL_BYTES, 1, 4, 36, SamOffer.DATA_BYTES)
        require(len(body) >= at + sum(sizes), CODE, "too short")
        parts = []
        for size in sizes:
            parts.append(body[at : at + size])
            at += size
        serial, terminal, key_index, balance, request_body, offer = parts
        request = SamRequest.decode(request_body)
        assert request.issuer is not None  # 36 bytes
        return cls(
            body[3 : 3 + body[2]],
            serial,
            request.issuer,
            terminal,
            key_index[0],
            int.from_bytes(balance),
            request,
            SamOffer.decode(offer),
            _records(body[at:], body[1]),
        )


def _records(body: bytes, count: int) -> tuple[CappRecord, ...]:
    records, at = [], 0
    while at < len(body):
        require(at + 2 <= len(body), CODE, "a record is cut off")
        sfi, size = body[at], body[at + 1]
        record = body[at + 2 : at + 2 + size]
        require(len(record) == size, CODE, "a record is cut off")
        records.append(CappRecord(sfi, record))
        at += 2 + size
    require(len(records) == count, CODE, "records are missing")
    return tuple(records)


@dataclass(frozen=True, slots=True)
class PurseSale:
    """A purchase the card has done. Green only with the SAM's word for its MAC2.

    `purchase_counter` is INITIALIZE's: of the card before the purchase. Raises `MalformedBytes`
    when `verified` is of another purchase.
    """

    purse_number: str  # 20 hex digits
    issuer_id: bytes  # 8
    amount_fen: int
    balance_before_fen: int
    balance_after_fen: int
    purchase_counter: int
    transaction_type: TransactionKind
    terminal_number: bytes  # 6
    terminal_serial: bytes  # 4, the SAM's
    transaction_time: bytes  # 7, BCD
    key_version: int
    suite: int  # algorithm byte: 00 3DES, 04 SM4
    tac: bytes  # 4
    records: tuple[CappRecord, ...]
    verified: Verified | None = field(kw_only=True)

    def __post_init__(self) -> None:
        require_bytes(self.tac, MAC_BYTES, CODE, "tac")
        serials = {
            self.terminal_serial,
            *([self.verified.terminal_serial] if self.verified else ()),
        }
        require(len(serials) == 1, CODE, "verified was another purchase")

    @property
    def is_green(self) -> bool:
        """The merchant may let go: the card proved that it paid."""
        return self.verified is not None

    @property
    def mac2_unchecked(self) -> bool:
        """The SAM failed after DEBIT: the TAC is kept for the issuer to judge; no green light."""
        return self.verified is None


def sale_of(intent: Intent, tac: bytes, verified: Verified | None) -> PurseSale:
    """What the intent has become."""
    request = intent.request
    return PurseSale(
        intent.purse_number,
        intent.issuer_id,
        request.amount_fen,
        intent.balance_before_fen,
        intent.balance_before_fen - request.amount_fen,
        request.offline_atc,
        request.kind,
        intent.terminal,
        intent.offer.terminal_serial,
        request.moment,
        request.key_version,
        request.algorithm,
        tac,
        intent.records,
        verified=verified,
    )


class Torn(ReaderFault):
    """The card left between DEBIT and its answer: hold the same card again, then `recover`."""

    def __init__(self, intent: Intent) -> None:
        super().__init__("debit_unknown")
        self.intent = intent


@dataclass(frozen=True, slots=True)
class NotTaken:
    """The card has not paid, and never will by this intent: the purchase may be repeated."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class OtherCard:
    """Not the card of the intent; nothing was asked of it."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Undecidable here: the card has gone on since, and its proof with it.

    `counter` is None where the card would not tell. `log_shows_debit`: what its log says, which
    nobody signed; None where the log does not reach back.
    """

    intent: Intent
    counter: int | None
    log_shows_debit: bool | None
