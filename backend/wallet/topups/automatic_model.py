"""A standing order of a wallet as its holder sees it, and its refusals. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from backend.kernel import DomainError, Kind, Words


class AutomaticTopUpUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "automatic_topup_unknown"
    title = Words(zh="未设置自动充值", en="No automatic top-up")
    detail = Words(zh="此钱包没有设置自动充值。", en="This wallet has no automatic top-up.")


class MonthTooSmall(DomainError):
    kind, code = Kind.INVALID, "month_max_too_small"
    title = Words(zh="每月上限过低", en="Monthly maximum too small")
    detail = Words(
        zh="每月上限不得低于一次充值的金额。", en="A month must leave room for one top-up at least."
    )


@dataclass(frozen=True, slots=True)
class OrderAutomatic:
    """The command: below `threshold_fen` (top-ups under way counted) ask for `amount_fen`.

    A month (Asia/Shanghai) takes `month_max_fen` at most; `bank_card` 16 to 19 digits.
    """

    person_id: str
    wallet_id: str
    threshold_fen: int
    amount_fen: int
    month_max_fen: int
    bank_card: str

    def __repr__(self) -> str:
        return f"OrderAutomatic({self.wallet_id}, <secret>)"


@dataclass(frozen=True, slots=True)
class AutomaticTopUp:
    """A standing order; `paused_code` says why it pauses. Ordering it again sets it going."""

    wallet_id: str
    threshold_fen: int
    amount_fen: int
    month_max_fen: int
    month_fen: int
    state: str
    paused_code: str | None
    bank_card_masked: str
    made_at: datetime
