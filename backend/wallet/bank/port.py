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


@dataclass(frozen=True, slots=True)
class ChargeOutcome:
    """The bank's word on an order: `reference` when paid, `reason` (stable code) when declined."""

    state: ChargeState
    reference: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Booking:
    """A line of the custody account's statement: money that is there."""

    order_id: str
    amount_fen: int
    reference: str


class Bank(Protocol):
    """Orders carry our id: the bank carries each out at most once, however often it is sent."""

    def charge(self, order_id: str, bank_card: str, amount_fen: int) -> ChargeOutcome:
        """Take `amount_fen` from the card. Raises BankUnreachable when no answer comes."""

    def query(self, order_id: str) -> ChargeOutcome:
        """What became of an order. Raises BankUnreachable."""

    def bookings(self, day: date) -> list[Booking]:
        """The custody account's lines of one business day."""

    def custody_balance_fen(self) -> int:
        """What the bank says the custody account holds."""
