"""What a purse tells anybody: public data, balance, log, journeys; changes nothing on the card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeVar

from card_protocol.apdu import SHORT_LE_MAX, CommandApdu
from card_protocol.epurse.commands import get_balance
from card_protocol.epurse.files import (
    JOURNEY_RECORDS,
    LOG_RECORDS,
    SFI_JOURNEYS,
    SFI_LOG,
    SFI_MANAGEMENT,
    SFI_PUBLIC,
    JourneyRecord,
    LogRecord,
    ManagementData,
    PublicData,
)
from card_protocol.epurse.transactions import BALANCE_MAX_FEN
from card_protocol.errors import MalformedBytes
from card_protocol.status import StatusWord
from reader_bridge.clock import CHINA
from reader_bridge.exchange import Exchange
from reader_bridge.faults import CardFault
from reader_bridge.kernels.epurse.answers import ask, card_speaks, fault_of
from reader_bridge.kernels.selection import Selected

BALANCE_BYTES: Final = 4
DATE_BYTES: Final = 4
# Without the overdraft: 03 with most, 05 in Guangzhou. Where neither is known the spendable sum
# (00) less the overdraft limit (01): a card of Shanghai tells both alike and holds nothing.
OWN_BALANCE_P1: Final = (0x03, 0x05)
SPENDABLE_P1, OVERDRAFT_P1 = 0x00, 0x01

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class PurseFacts:
    """One purse as it was read. `log` and `journeys` are empty unless asked for, newest first."""

    aid: bytes
    public: PublicData
    management: ManagementData | None  # City Union cards have none
    balance_fen: int
    log: tuple[LogRecord, ...] = ()
    journeys: tuple[JourneyRecord, ...] = ()

    @property
    def purse_number(self) -> str:
        """The application's serial: 20 hex digits."""
        return self.public.serial.hex().upper()

    @property
    def issuer_id(self) -> bytes:
        """8 bytes."""
        return self.public.issuer


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which a purse is taken. `issuers`: beginnings of issuer ids; `moment`: BCD, 7."""

    moment: bytes
    issuers: frozenset[bytes]


def moment_at(unix_seconds: float) -> bytes:
    """CCYYMMDD HHMMSS in BCD (7 bytes), as cards, receipts and SAMs count time: in China."""
    return bytes.fromhex(datetime.fromtimestamp(unix_seconds, CHINA).strftime("%Y%m%d%H%M%S"))


def read(exchange: Exchange, selected: Selected, *, with_history: bool = False) -> PurseFacts:
    """A selected purse: files 15 and 17, the balance, and on wish log (18) and journeys (1E).

    Raises CardFault or ReaderFault.
    """
    with card_speaks():
        public = read_public(exchange)
        management = _read_management(exchange)
        balance_fen = read_balance(exchange)
        facts = PurseFacts(selected.application.aid, public, management, balance_fen)
        if not with_history:
            return facts
        log, journeys = read_log(exchange), read_journeys(exchange)
        return PurseFacts(facts.aid, public, management, balance_fen, log, journeys)


def require_usable(facts: PurseFacts, terms: Terms) -> None:
    """Raises CardFault(purse_foreign, purse_not_yet_valid, purse_expired).

    A blocked purse never comes here: its SELECT already says so (6283).
    """
    if not any(facts.issuer_id.startswith(issuer) for issuer in terms.issuers if issuer):
        raise CardFault("purse_foreign")
    today = terms.moment[:DATE_BYTES]  # BCD dates of one length sort as they read
    if today < facts.public.start:
        raise CardFault("purse_not_yet_valid")
    if today > facts.public.expiry:
        raise CardFault("purse_expired")


def read_public(exchange: Exchange) -> PublicData:
    """File 15; what a card has behind the 30 bytes is its own affair."""
    body = ask(exchange, "read_public", read_binary(SFI_PUBLIC))
    return PublicData.decode(body[: PublicData.LAYOUT.size])


def read_balance(exchange: Exchange) -> int:
    """Fen, without overdraft. Bit 31 is ignored, as all readers do."""
    for p1 in OWN_BALANCE_P1:
        own_fen = _find_balance(exchange, p1)
        if own_fen is not None:
            return own_fen
    spendable_fen = _balance_of(ask(exchange, "get_balance", get_balance(SPENDABLE_P1)))
    overdraft_fen = _find_balance(exchange, OVERDRAFT_P1) or 0
    return max(spendable_fen - overdraft_fen, 0)


def with_newest(exchange: Exchange, facts: PurseFacts) -> PurseFacts:
    """The newest journey or, where there is none, the newest line of the log: what a bus asks.

    Raises CardFault or ReaderFault.
    """
    journeys = read_journeys(exchange, 1)
    log = () if journeys else read_log(exchange, 1)
    return replace(facts, journeys=journeys, log=log)


def read_log(exchange: Exchange, records_max: int = LOG_RECORDS) -> tuple[LogRecord, ...]:
    """File 18, newest first, as far as it was ever written."""
    count = min(records_max, LOG_RECORDS)
    return _read_all(exchange, SFI_LOG, count, LogRecord.LAYOUT.size, LogRecord.decode)


def read_journeys(
    exchange: Exchange, records_max: int = JOURNEY_RECORDS
) -> tuple[JourneyRecord, ...]:
    """File 1E, newest first; an exit gate reads one."""
    count = min(records_max, JOURNEY_RECORDS)
    size = JourneyRecord.LAYOUT.size
    return _read_all(exchange, SFI_JOURNEYS, count, size, JourneyRecord.decode)


def read_binary(sfi: int) -> CommandApdu:
    """00 B0 (80|SFI) 00 00: all there is."""
    return CommandApdu(0x00, 0xB0, 0x80 | sfi, 0, b"", SHORT_LE_MAX)


def find_record(exchange: Exchange, sfi: int, number: int) -> bytes | None:
    """One record of SFI 18, 19, 1A or 1E; None where the card has no such record or file."""
    command = CommandApdu(0x00, 0xB2, number, sfi << 3 | 4, b"", SHORT_LE_MAX)
    answer = exchange.send("read_record", command)
    if answer.sw in {StatusWord.RECORD_NOT_FOUND, StatusWord.FILE_NOT_FOUND}:
        return None
    if answer.sw != StatusWord.OK:
        raise fault_of(answer.sw)
    return answer.data


def _read_management(exchange: Exchange) -> ManagementData | None:
    answer = exchange.send("read_management", read_binary(SFI_MANAGEMENT))
    if answer.sw != StatusWord.OK:
        return None
    try:
        return ManagementData.decode(answer.data)
    except MalformedBytes:
        return None  # other cities keep something of their own there


def _find_balance(exchange: Exchange, p1: int) -> int | None:
    answer = exchange.send("get_balance", get_balance(p1))
    return _balance_of(answer.data) if answer.sw == StatusWord.OK else None


def _balance_of(data: bytes) -> int:
    if len(data) != BALANCE_BYTES:
        raise CardFault("card_answer_malformed")
    return int.from_bytes(data) & BALANCE_MAX_FEN


def _read_all(
    exchange: Exchange, sfi: int, count: int, size: int, decode: Callable[[bytes], Record]
) -> tuple[Record, ...]:
    found = []
    for number in range(1, count + 1):
        body = find_record(exchange, sfi, number)
        if body is None or not any(body):
            break
        with card_speaks():
            found.append(decode(body[:size]))
    return tuple(found)
