"""Every way money moves, as a named function: operation id, code, legs."""

from __future__ import annotations

from backend.wallet.accounts import CHANNEL_BANK, CUSTODY
from backend.wallet.ledger import Leg, Transfer


def top_up(topup_id: str, wallet_id: str, amount_fen: int, memo: str) -> Transfer:
    """充值: the bank has taken the money, its statement is still to come."""
    return Transfer(topup_id, "top_up", (top_up_leg(wallet_id, amount_fen),), memo=memo)


def top_up_leg(wallet_id: str, amount_fen: int) -> Leg:
    """The leg of a top-up, pending while the bank has not spoken."""
    return Leg(CHANNEL_BANK, wallet_id, amount_fen)


def custody_matched(topup_id: str, amount_fen: int) -> Transfer:
    """The bank's statement shows the money in the custody account (备付金)."""
    leg = Leg(CUSTODY, CHANNEL_BANK, amount_fen)
    return Transfer(f"{topup_id}/custody", "custody", (leg,), linked_to=topup_id)


def payment(
    payment_id: str, wallet_id: str, payable_id: str, amount_fen: int, memo: str
) -> Transfer:
    """A sale: from the wallet to what the city owes the merchant for the day."""
    return Transfer(payment_id, "payment", (Leg(wallet_id, payable_id, amount_fen),), memo=memo)


def refund(
    refund_id: str,
    payment_id: str,
    *,
    wallet_id: str,
    payable_id: str,
    amount_fen: int,
    memo: str,
) -> Transfer:
    """退款: part or all of a payment back to its wallet, at the cost of the merchant's day."""
    leg = Leg(payable_id, wallet_id, amount_fen)
    return Transfer(refund_id, "refund", (leg,), linked_to=payment_id, memo=memo)


def reversal(
    payment_id: str, wallet_id: str, payable_id: str, amount_fen: int, memo: str
) -> Transfer:
    """冲正: a payment whose outcome its terminal never learnt is taken back whole."""
    leg = Leg(payable_id, wallet_id, amount_fen)
    return Transfer(f"{payment_id}/reversal", "reversal", (leg,), linked_to=payment_id, memo=memo)
