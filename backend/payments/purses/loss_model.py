"""A purchase with a lost outcome as a fact, what later purchases prove of it; refusals. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum

from backend.kernel import DomainError, Kind, Words


class LossUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "purse_loss_unknown"
    title = Words(zh="没有此登记", en="No such report")
    detail = Words(zh="未找到该未决交易登记。", en="There is no such report of a lost outcome.")


class LossExists(DomainError):
    kind, code = Kind.CONFLICT, "purse_loss_exists_differently"
    title = Words(zh="登记编号已使用", en="Report id in use")
    detail = Words(zh="此编号已用于另一笔登记。", en="This id belongs to another report.")


class LossStateConflict(DomainError):
    kind, code = Kind.CONFLICT, "purse_loss_decided"
    title = Words(zh="登记已处理", en="Report already decided")
    detail = Words(zh="该登记处于 {state}。", en="The report is {state}.")


class LossFourEyesNeeded(DomainError):
    kind, code = Kind.FORBIDDEN, "purse_loss_four_eyes_needed"
    title = Words(zh="须由另一人办理", en="Somebody else must do this")
    detail = Words(zh="登记与处理须由两人分别办理。", en="Who opened a report may not end it.")


class LossDenied(DomainError):
    kind, code = Kind.REFUSED, "purse_loss_denied"
    title = Words(zh="与卡片记录不符", en="The card says otherwise")
    detail = Words(
        zh="后续上送的交易表明：{verdict}。", en="Later uploads of this purse say: {verdict}."
    )


class LossState(Enum):
    OPEN = "open"
    REFUNDED = "refunded"  # into the holder's wallet
    PAID = "paid"  # to the merchant
    DISMISSED = "dismissed"  # the chip did not pay


class LossEvent(Enum):
    REFUND = "refund"
    PAY = "pay"
    DISMISS = "dismiss"


LOSS_FLOW: Mapping[tuple[LossState, LossEvent], LossState] = {
    (LossState.OPEN, LossEvent.REFUND): LossState.REFUNDED,
    (LossState.OPEN, LossEvent.PAY): LossState.PAID,
    (LossState.OPEN, LossEvent.DISMISS): LossState.DISMISSED,
}


class LossVerdict(Enum):
    """What later uploads say."""

    TAKEN = "taken"  # the chip's counter has moved by one, its balance by this amount
    NOT_TAKEN = "not_taken"  # another purchase has this counter
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class OpenLoss:
    """The command. `purchase_counter` and `balance_before_fen`: INITIALIZE's, as the terminal's
    journal has them; `reference` names the sale there."""

    loss_id: str
    terminal_id: str
    purse_number: str
    reference: str
    purchase_counter: int
    balance_before_fen: int
    amount_fen: int
    staff_id: str


@dataclass(frozen=True, slots=True)
class DecideLoss:
    """The command; `wallet_id`: where a refund goes."""

    loss_id: str
    event: LossEvent
    staff_id: str
    note: str
    wallet_id: str | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """The report as it stands; amounts in fen."""

    loss_id: str
    purse_number: str
    terminal_id: str
    merchant_id: str
    shop_name: str
    reference: str
    purchase_counter: int
    balance_before_fen: int
    amount_fen: int
    state: LossState
    opened_by: str
    opened_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    note: str | None


@dataclass(frozen=True, slots=True)
class LossView(Loss):
    """With what the uploads say of it now."""

    verdict: LossVerdict

    @classmethod
    def of(cls, loss: Loss, verdict: LossVerdict) -> LossView:
        return cls(verdict=verdict, **{one.name: getattr(loss, one.name) for one in fields(loss)})


@dataclass(frozen=True, slots=True)
class PurchaseSeen:
    """An uploaded purchase of the same chip; `balance_after_fen` None: nobody noted it."""

    payment_id: str
    amount_fen: int
    balance_after_fen: int | None


def judge_loss(
    loss: Loss, at_counter: PurchaseSeen | None, following: PurchaseSeen | None
) -> LossVerdict:
    """`at_counter` was uploaded under the lost purchase's counter, `following` under the next.

    A chip counts up with each purchase it makes. So another one under this counter says that
    the chip never made the lost one; the next one, begun with this amount less, that it did. A
    load in between hides it, and then a person decides.
    """
    if at_counter is not None and at_counter.payment_id != loss.loss_id:
        return LossVerdict.NOT_TAKEN
    if at_counter is not None:  # this report has used the counter itself
        return LossVerdict.TAKEN
    if following is None or following.balance_after_fen is None:
        return LossVerdict.UNDECIDED
    began_with_fen = following.balance_after_fen + following.amount_fen
    if began_with_fen == loss.balance_before_fen - loss.amount_fen:
        return LossVerdict.TAKEN
    return LossVerdict.UNDECIDED


def advance_loss(state: LossState, event: LossEvent) -> LossState:
    """Raises LossStateConflict."""
    try:
        return LOSS_FLOW[state, event]
    except KeyError:
        raise LossStateConflict(state=state.value) from None
