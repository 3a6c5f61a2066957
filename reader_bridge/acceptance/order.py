"""What a cash register, a page or a simulator asks of a terminal: the seam alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Protocol

from reader_bridge.loads.values import Funding
from reader_bridge.readers.port import CardChannel
from reader_bridge.receipt import Receipt


@unique
class OrderKind(Enum):
    """What is to be done with the next card or code."""

    SALE = "sale"
    BALANCE = "balance"
    LOAD = "load"


@dataclass(frozen=True, slots=True)
class Order:
    """One wish. `amount_fen`: the register's, in shop and clinic only; None where the terminal's
    own fare decides."""

    kind: OrderKind
    reference: str  # the cash register's own number, 1 to 64 visible characters
    amount_fen: int | None = None
    funding: Funding | None = None  # of a load, which has an amount too
    pin: bytes | None = field(default=None, repr=False, compare=False)  # of this tap alone, BCD
    stay_started_at: int | None = None  # unix seconds, of a ticket or number plate: phone cards


class Acceptor(Protocol):
    """Carries orders out. What happens to a sale is always a Receipt, also a refusal."""

    def tap(self, order: Order, channel: CardChannel, reader_name: str) -> Receipt:
        """The card in the field pays, or tells its balance; the channel is closed afterwards.

        Raises ReaderFault: nothing happened, hold the card again; with `debit_unknown` nobody knows
        yet, and the same card has to be shown again for the same order. SamFault: the terminal's
        own trouble, nothing happened. TerminalFault: a wrong call or damaged state.
        """

    def code(self, order: Order, payload: bytes) -> Receipt:
        """What a scanner read pays. Raises TerminalFault as `tap` does."""
