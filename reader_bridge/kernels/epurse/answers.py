"""What a purse's status words mean to the holder; sends nothing and knows no money."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.errors import MalformedBytes
from card_protocol.status import StatusWord
from reader_bridge.exchange import Exchange
from reader_bridge.faults import CardFault

FAULTS: Final[Mapping[int, str]] = MappingProxyType(
    {
        StatusWord.INSUFFICIENT_BALANCE: "purse_balance_low",
        StatusWord.COUNTER_AT_MAXIMUM: "purse_counter_spent",
        StatusWord.KEY_INDEX_NOT_SUPPORTED: "card_key_unknown",
        StatusWord.RECORD_LOCKED: "purse_record_locked",
        StatusWord.GREY_LOCKED: "purse_grey_locked",
        StatusWord.APPLICATION_LOCKED: "application_blocked",
        StatusWord.WARNING_BLOCKED: "application_blocked",
    }
)


def fault_of(sw: int) -> CardFault:
    """The refusal a status word stands for; card_declined with the word where it has no name."""
    code = FAULTS.get(sw)
    return CardFault("card_declined", status=f"{sw:04X}") if code is None else CardFault(code)


def require_done(answer: ResponseApdu) -> bytes:
    """The data of an answer with 9000. Raises CardFault for any other word."""
    if answer.sw != StatusWord.OK:
        raise fault_of(answer.sw)
    return answer.data


def ask(exchange: Exchange, name: str, command: CommandApdu) -> bytes:
    """One command that has to succeed. Raises CardFault or ReaderFault."""
    return require_done(exchange.send(name, command))


@contextmanager
def card_speaks() -> Iterator[None]:
    """Inside, bytes that cannot be what was asked for are the card's fault."""
    try:
        yield
    except MalformedBytes:
        raise CardFault("card_answer_malformed") from None
