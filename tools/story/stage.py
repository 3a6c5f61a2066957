"""What the story's steps share: people, machines, and the books that every step is held against."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from card_protocol.token_number import luhn_check_digit
from reader_bridge import Terminal, format_yuan
from reader_bridge.backend_client import BackendClient
from sdk_mobile import Attester, Wallet
from tools.story.network import Gate
from tools.story.reader import Till
from tools.story.staff import Staff

SHANGHAI = ZoneInfo("Asia/Shanghai")
_BANK_CARD = "622200201511110000"  # the sandbox bank's own; its check digit is added below
BANK_CARD = _BANK_CARD + luhn_check_digit(_BANK_CARD)


def today() -> date:
    """The business date at this moment."""
    return datetime.now(SHANGHAI).date()


class StoryFailed(Exception):
    """A step did not see what it claims; the message says what it saw instead."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a step saw, in both languages."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Citizen:
    """A row of the demo city's base records."""

    name: str
    id_number: str
    phone: str


@dataclass(frozen=True, slots=True)
class Movement:
    """One line that a statement must show; `amount_fen` as its owner sees it."""

    code: str
    amount_fen: int
    reference: str


@dataclass(slots=True)
class Stage:
    """Filled by the steps in their order; a step may rely on what the earlier ones put here.

    `wallet_lines` and `merchant_lines` are the story's own books, oldest first: what the system
    says must equal them, line by line, at every step that moves money.
    """

    public: str
    internal: str
    city: Mapping[str, Any]
    city_folder: Path
    folder: Path
    till: Till
    exits: ExitStack
    platform: Attester | None = None  # vouches for phones, where the city's vendor key is known
    began_on: date = field(default_factory=today)
    staff: Staff = field(init=False)
    gate: Gate = field(init=False)
    citizen: Citizen = field(init=False)
    wallet: Wallet = field(init=False)
    terminal: Terminal = field(init=False)
    merchant: BackendClient = field(init=False)
    merchant_id: str = ""
    shop_name: str = ""
    activation_codes: dict[str, str] = field(default_factory=dict, repr=False)
    wallet_lines: list[Movement] = field(default_factory=list)
    merchant_lines: list[Movement] = field(default_factory=list)

    @property
    def balance_fen(self) -> int:
        """What the citizen must have by the story's own books."""
        return sum(line.amount_fen for line in self.wallet_lines)

    def note_sale(self, payment_id: str, amount_fen: int) -> None:
        self.wallet_lines.append(Movement("payment", -amount_fen, payment_id))
        self.merchant_lines.append(Movement("payment", amount_fen, payment_id))

    def note_refund(self, refund_id: str, amount_fen: int) -> None:
        self.wallet_lines.append(Movement("refund", amount_fen, refund_id))
        self.merchant_lines.append(Movement("refund", -amount_fen, refund_id))

    def require_books(self) -> None:
        """Balance and history, asked of the backend, are those of the story's own books."""
        balance = self.wallet.balance()
        require(balance.is_fresh, "the balance was remembered, not asked")
        require_equal("balance", balance.balance_fen, self.balance_fen)
        require_equal("available balance", balance.available_fen, self.balance_fen)
        history = self.wallet.history()
        require(history.is_fresh, "the history was remembered, not asked")
        seen = [
            Movement(line.code, line.amount_fen, line.reference or "") for line in history.lines
        ]
        require_equal("history", seen, self.wallet_lines[::-1])
        running_fen = self.balance_fen
        for line in history.lines:
            require_equal(f"balance after {line.reference}", line.balance_fen, running_fen)
            running_fen -= line.amount_fen


def require(condition: bool, reason: str) -> None:
    """Raises StoryFailed."""
    if not condition:
        raise StoryFailed(reason)


def require_equal(what: str, seen: object, expected: object) -> None:
    """Raises StoryFailed."""
    if seen != expected:
        raise StoryFailed(f"{what} is {seen!r}, expected {expected!r}")


def yuan(amount_fen: int) -> str:
    return format_yuan(amount_fen)
