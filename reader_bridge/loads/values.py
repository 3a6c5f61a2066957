"""One load as this terminal keeps it: stages, and one table between them. Knows no disk or card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any, Final

from reader_bridge.amounts import format_yuan
from reader_bridge.faults import Language, Text
from reader_bridge.kernels.epurse import LoadIntent

REFERENCE_CHARACTERS_MAX: Final = 64


@unique
class Funding(StrEnum):
    """Who pays the issuer: the holder's wallet (phone card or pay code), or cash at an agent."""

    WALLET = "wallet"
    CASH = "cash"


@unique
class LoadStage(StrEnum):
    """How far a load has come. A crash leaves it where it was written last."""

    ASKED = "asked"  # the request is on the disk: the backend may have the money
    PAID = "paid"  # the issuer's word is here: CREDIT may have left
    WRITTEN = "written"  # on the card; the backend has to hear of it
    RETURNING = "returning"  # the card's evidence is here; the backend has to hear of it
    CONFIRMED = "confirmed"  # on the card, and the backend knows
    RETURNED = "returned"  # not on the card, and the money is back
    REFUSED = "refused"  # the backend took nothing
    LOST = "lost"  # this terminal cannot tell any more: a person, or the card's next load, does


FLOW: Final[Mapping[LoadStage, frozenset[LoadStage]]] = {
    LoadStage.ASKED: frozenset(
        {LoadStage.PAID, LoadStage.REFUSED, LoadStage.RETURNED, LoadStage.CONFIRMED}
    ),
    LoadStage.PAID: frozenset(
        {
            LoadStage.WRITTEN,
            LoadStage.RETURNING,
            LoadStage.LOST,
            # told by the backend: the card was shown at another terminal meanwhile
            LoadStage.RETURNED,
            LoadStage.CONFIRMED,
        }
    ),
    LoadStage.WRITTEN: frozenset({LoadStage.CONFIRMED, LoadStage.LOST}),
    LoadStage.RETURNING: frozenset({LoadStage.RETURNED, LoadStage.CONFIRMED, LoadStage.LOST}),
    LoadStage.RETURNED: frozenset({LoadStage.WRITTEN}),  # a TAC is stronger: the backend is told
    LoadStage.LOST: frozenset({LoadStage.RETURNED, LoadStage.CONFIRMED}),
    LoadStage.CONFIRMED: frozenset(),
    LoadStage.REFUSED: frozenset(),
}
OPEN: Final = frozenset({LoadStage.ASKED, LoadStage.PAID})  # the card has to come back
TO_TELL: Final = frozenset({LoadStage.WRITTEN, LoadStage.RETURNING})
DECIDED: Final = frozenset({LoadStage.CONFIRMED, LoadStage.RETURNED, LoadStage.REFUSED})
ON_CARD: Final = frozenset({LoadStage.WRITTEN, LoadStage.CONFIRMED})


class StageRefused(Exception):
    """A load was to move in a way FLOW does not know: a bug in the caller."""


def require_flow(before: LoadStage, after: LoadStage) -> None:
    """Raises StageRefused."""
    if after not in FLOW[before]:
        raise StageRefused(f"{after.value} is not possible when {before.value}")


@dataclass(frozen=True, slots=True)
class Load:
    """One row of the book. `body` is the request that began it, to the byte."""

    load_id: str
    reference: str
    amount_fen: int
    funding: Funding
    stage: LoadStage
    intent: LoadIntent  # while `asked`: with an authorisation of zeros
    body: bytes
    asked_at: int  # unix seconds
    application: str | None = None
    tac: bytes | None = None
    evidence: bytes | None = None  # the body of `returned`
    answer: Mapping[str, Any] | None = None  # of the backend, or why this ended

    @property
    def purse_number(self) -> str:
        return self.intent.request.purse_number

    @property
    def balance_before_fen(self) -> int:
        return self.intent.request.balance_before_fen

    @property
    def balance_fen(self) -> int | None:
        """On the card as far as this load tells; None where nobody knows."""
        if self.stage in ON_CARD:
            return self.balance_before_fen + self.amount_fen
        if self.stage in {LoadStage.REFUSED, LoadStage.RETURNING, LoadStage.RETURNED}:
            return self.balance_before_fen
        return None

    def told(self) -> LoadTold:
        return LoadTold(self.load_id, self.funding, self.stage, self.balance_before_fen)


@dataclass(frozen=True, slots=True)
class LoadTold:
    """What a receipt says about a load beside amount and balance."""

    load_id: str
    funding: Funding
    stage: LoadStage
    balance_before_fen: int

    def rows(self, language: Language, amount_fen: int) -> list[tuple[Text, str]]:
        """Lines of a receipt."""
        unit = _YUAN.read(language)
        rows = [
            (_BEFORE, f"{format_yuan(self.balance_before_fen)} {unit}"),
            (_FUNDING, _FUNDINGS[self.funding].read(language)),
            (_STAGE, STAGES[self.stage].read(language)),
            (_ID, self.load_id),
        ]
        if self.stage in {LoadStage.RETURNING, LoadStage.RETURNED}:
            rows.insert(0, (_NOT_LOADED, f"{format_yuan(amount_fen)} {unit}"))
        return rows


def pin_of(digits: str) -> bytes:
    """4 to 12 digits as BCD; an odd number of them ends with F. Raises ValueError."""
    if not (digits.isascii() and digits.isdigit() and 4 <= len(digits) <= 12):
        raise ValueError("a PIN has 4 to 12 digits")
    return bytes.fromhex(digits + "F" * (len(digits) % 2))


_YUAN: Final = Text("元", "CNY")
_BEFORE: Final = Text("圈存前余额", "Balance before")
_FUNDING: Final = Text("资金来源", "Paid from")
_STAGE: Final = Text("圈存状态", "Load")
_ID: Final = Text("圈存号", "Load number")
_NOT_LOADED: Final = Text("未写入金额", "Not loaded")
_FUNDINGS: Final[Mapping[Funding, Text]] = {
    Funding.WALLET: Text("电子账户", "wallet"),
    Funding.CASH: Text("现金", "cash"),
}
STAGES: Final[Mapping[LoadStage, Text]] = {
    LoadStage.ASKED: Text("已请求,结果未知", "asked for, outcome unknown"),
    LoadStage.PAID: Text("已付款,尚未确认写卡", "paid, not known to be on the card"),
    LoadStage.WRITTEN: Text("已写卡,待后台确认", "on the card, to be confirmed"),
    LoadStage.RETURNING: Text("未写卡,款项退回中", "not on the card, money on its way back"),
    LoadStage.CONFIRMED: Text("已写卡,已确认", "on the card, confirmed"),
    LoadStage.RETURNED: Text("未写卡,款项已退回", "not on the card, money given back"),
    LoadStage.REFUSED: Text("未受理,未扣款", "refused, nothing taken"),
    LoadStage.LOST: Text("待人工核对", "a person has to look"),
}
