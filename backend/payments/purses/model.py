"""Loads and cases of purses as facts, the commands about them, and the refusals. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum

from backend.cards import LoadSeed, PurseKey
from backend.kernel import DomainError, Kind, Words
from backend.payments.model import PayCodeShown, Tap
from backend.payments.purses.states import CaseState, LoadState
from card_protocol.epurse.transactions import Load

SHANGHAI = timezone(timedelta(hours=8))


class LoadUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "load_unknown"
    title = Words(zh="没有这笔圈存", en="No such load")
    detail = Words(zh="未找到该圈存。", en="There is no such load of this terminal.")


class LoadExists(DomainError):
    kind, code = Kind.CONFLICT, "load_exists_differently"
    title = Words(zh="圈存编号已使用", en="Load id in use")
    detail = Words(zh="此编号已用于另一笔圈存。", en="This id belongs to another load.")


class LoadMacInvalid(DomainError):
    kind, code = Kind.REFUSED, "load_mac_invalid"
    title = Words(zh="卡片校验码不符", en="The card's MAC is false")
    detail = Words(
        zh="圈存初始化校验码（MAC1）校验失败。", en="MAC1 of INITIALIZE FOR LOAD does not fit."
    )


class LoadTacInvalid(DomainError):
    kind, code = Kind.REFUSED, "load_tac_invalid"
    title = Words(zh="圈存认证码不符", en="The load's TAC is false")
    detail = Words(
        zh="圈存认证码（TAC）校验失败。", en="The card's proof of the load does not fit."
    )


class LoadNotProved(DomainError):
    kind, code = Kind.REFUSED, "load_not_proved"
    title = Words(zh="不能证明未写卡", en="It is not proved that the load failed")
    detail = Words(
        zh="卡片联机计数与本笔圈存不衔接，不能自动退回。",
        en="The card's load counter is neither this load's nor the next one.",
    )


class LoadingAgentOnly(DomainError):
    kind, code = Kind.FORBIDDEN, "loading_agent_only"
    title = Words(zh="非充值网点", en="Not a loading agent")
    detail = Words(
        zh="本终端所属商户不是现金充值网点。",
        en="This terminal's merchant takes no cash for loads.",
    )


class PurseCaseUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "purse_case_unknown"
    title = Words(zh="没有此挂账", en="No such case")
    detail = Words(zh="未找到该挂账。", en="There is no such case.")


class PurseCaseNotKnown(DomainError):
    kind, code = Kind.REFUSED, "purse_case_purse_unknown"
    title = Words(zh="电子钱包仍未登记", en="The purse is not registered yet")
    detail = Words(
        zh="先登记该电子钱包，再支付商户。", en="Register the purse first, then pay the merchant."
    )


class ToldBy(Enum):
    """What decided a load."""

    TAC = "tac"  # the chip: it is written
    NEXT_COUNTER = "next_counter"  # the chip's counter has moved on: it is written
    SAME_COUNTER = "same_counter"  # the chip's counter has not: it is not written
    STAFF = "staff"  # the chip will not be seen again: its purse is closed


class LoadNotStuck(DomainError):
    kind, code = Kind.REFUSED, "load_not_stuck"
    title = Words(zh="圈存尚可由卡片判定", en="The chip may still tell")
    detail = Words(
        zh="电子钱包销户满 {days} 天后方可退回该圈存。",
        en="A load is given back {days} days after its purse was closed, no earlier.",
    )


@dataclass(frozen=True, slots=True)
class Init:
    """What the chip answered to INITIALIZE FOR LOAD, and what it was asked."""

    old_balance_fen: int
    load_counter: int
    key_version: int
    suite: int
    random: bytes  # 4
    mac1: bytes  # 4

    @property
    def seed(self) -> LoadSeed:
        return LoadSeed(self.random, self.load_counter)


@dataclass(frozen=True, slots=True)
class Cash:
    """The holder paid in cash, at a loading agent's terminal."""


Source = Tap | PayCodeShown | Cash


@dataclass(frozen=True, slots=True)
class BeginLoad:
    """The command: the chip waits for MAC2; the money is in the wallet or in the drawer."""

    terminal_id: str
    load_id: str
    purse_number: str
    issuer_id: str
    amount_fen: int
    sam_number: bytes  # 6, the terminal number the chip was told
    source: Source
    init: Init

    @property
    def key(self) -> PurseKey:
        return PurseKey(self.purse_number, self.issuer_id, self.init.suite, self.init.key_version)

    def load(self, moment: bytes = bytes(7)) -> Load:
        return Load(self.amount_fen, self.sam_number, moment)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A later INITIALIZE FOR LOAD of the same chip: amount and terminal as it was asked."""

    amount_fen: int
    sam_number: bytes  # 6
    init: Init


@dataclass(frozen=True, slots=True)
class LoadView:
    """A load as its terminal and staff see it."""

    load_id: str
    purse_number: str
    amount_fen: int
    state: LoadState
    mac2: bytes | None  # while it may still be written
    transaction_time: str  # CCYYMMDDHHMMSS, Shanghai
    told_by: str | None
    is_contradicted: bool


@dataclass(frozen=True, slots=True)
class PurseFigures:
    """The three figures of a purse; a purse that never came here has none."""

    purse_number: str
    chip_fen: int | None
    chip_seen_at: datetime | None
    book_fen: int
    not_uploaded_fen: int | None
    in_transit_fen: int


@dataclass(frozen=True, slots=True)
class PurseCase:
    """Value that left a chip and nobody could place; held in suspense under its id."""

    case_id: str
    payment_id: str
    purse_number: str
    merchant_id: str
    shop_name: str
    amount_fen: int
    reason: str
    state: CaseState
    opened_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    note: str | None


@dataclass(frozen=True, slots=True)
class DecideCase:
    """The command: pay the merchant, or give the value back to the purse's float."""

    case_id: str
    staff_id: str
    note: str


def moment_text(now: datetime) -> str:
    """CCYYMMDDHHMMSS as terminals write it: Shanghai's time."""
    return now.astimezone(SHANGHAI).strftime("%Y%m%d%H%M%S")
