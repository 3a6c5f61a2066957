"""Offline sales that the wallet cannot pay in full: who bears the rest, and how it goes back."""

from __future__ import annotations

from backend.wallet.accounts import OFFLINE_LOSSES, ride_debt_id
from backend.wallet.ledger import Transfer
from backend.wallet.ledger.limits import SPEND
from backend.wallet.recipes.cards import epurse_purchase_id
from backend.wallet.recipes.parts import legs, transfer


def offline_sale(
    payment_id: str,
    wallet_id: str,
    payable_id: str,
    *,
    wallet_fen: int,
    debt_fen: int,
    loss_fen: int,
    memo: str,
    checks: tuple[str, ...] = (),
) -> Transfer:
    """脱机交易上送: taken while nobody could be asked; the merchant is paid the whole of it.

    Debit wallet for what it has, debit ride debt within its ceiling, debit write-offs for
    what the issuer bears, credit merchant payable. Each may be 0; nothing taken, nothing counted.
    """
    own = legs(wallet_id, payable_id, wallet_fen)
    owed = legs(ride_debt_id(wallet_id), payable_id, debt_fen)
    lost = legs(OFFLINE_LOSSES, payable_id, loss_fen)
    counts = (SPEND, *checks) if own else ()
    return transfer(payment_id, "payment", own, owed, lost, memo=memo, counts=counts)


def refund_with_loss(
    refund_id: str,
    payment_id: str,
    *,
    home_id: str,
    payable_id: str,
    home_fen: int,
    loss_fen: int,
    memo: str,
) -> Transfer:
    """退款 of a sale the issuer had borne a part of: the issuer is made whole first.

    Debit merchant payable, credit write-offs, credit the wallet (or, where that is closed,
    suspense of its case).
    """
    lost = legs(payable_id, OFFLINE_LOSSES, loss_fen)
    own = legs(payable_id, home_id, home_fen)
    return transfer(refund_id, "refund", lost, own, linked_to=payment_id, memo=memo)


def epurse_purchase_borne(
    card_id: str, purchase_counter: int, payable_id: str, amount_fen: int, memo: str
) -> Transfer:
    """脱机消费上送 with a purse that was stopped before terminals could know it.

    Debit write-offs, credit merchant payable: the purse's own money stays in the float. Same
    id and code as `epurse_purchase`: one of the two is posted, once.
    """
    paid = legs(OFFLINE_LOSSES, payable_id, amount_fen)
    operation_id = epurse_purchase_id(card_id, purchase_counter)
    return transfer(operation_id, "epurse_purchase", paid, memo=memo)
