"""What the wallet asks of a bank: take money from a card, say what became of it, what it holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Protocol


class BankUnreachable(Exception):
    """No answer: the order may or may not have been carried out. Ask by its id."""


class ChargeState(Enum):
    PAID = "paid"
    DECLINED = "declined"
    PROCESSING = "processing"
    UNKNOWN = "unknown"  # the bank never heard of the order: it may be sent again


class CardKind(Enum):
    """What a card's first digits (BIN) say about it."""

    DEBIT = "debit"
    CREDIT = "credit"
    UNKNOWN = "unknown"  # in no table: the bank itself will say no


@dataclass(frozen=True, slots=True)
class ChargeOutcome:
    """The bank's word on an order: `reference` when paid, `reason` (stable code) when declined.

    A word that money was paid says how much, and from which card (its last four digits); ValueError
    when it does not. `booked_on`: the day under which the statement will show it, when known.
    """

    state: ChargeState
    reference: str | None = None
    reason: str | None = None
    amount_fen: int | None = None
    card_end: str | None = None
    booked_on: date | None = None

    def __post_init__(self) -> None:
        if self.state is ChargeState.PAID and None in (self.amount_fen, self.card_end):
            raise ValueError("paid: but how much, and from which card?")


@dataclass(frozen=True, slots=True)
class Booking:
    """A line of the custody account's statement: money that is there.

    `order_id` is what the payer named: a top-up, a cash drawer, an employer's batch, or anything.
    """

    order_id: str
    amount_fen: int
    reference: str


class Bank(Protocol):
    """Orders carry our id: the bank carries each out at most once, however often it is sent."""

    def card_kind(self, bank_card: str) -> CardKind:
        """What a card is, by the bank's own table of first digits; asks nobody."""

    def charge(self, order_id: str, bank_card: str, amount_fen: int) -> ChargeOutcome:
        """Take `amount_fen` from the card. Raises BankUnreachable when no answer comes."""

    def query(self, order_id: str) -> ChargeOutcome:
        """What became of an order. Raises BankUnreachable."""

    def bookings(self, day: date) -> list[Booking]:
        """The custody account's lines of one business day."""

    def custody_balance_fen(self) -> int:
        """What the bank says the custody account holds."""
