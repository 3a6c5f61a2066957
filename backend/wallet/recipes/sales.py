"""Money from a wallet to a merchant's day, and back: sale, fare, hold, refund, ride debt."""

from __future__ import annotations

from backend.wallet.accounts import concession_id, ride_debt_id, suspense_id
from backend.wallet.ledger import Leg, Transfer
from backend.wallet.ledger.limits import SPEND
from backend.wallet.ledger.model import LedgerBroken
from backend.wallet.recipes.parts import legs, step, transfer, turned


def payment(
    payment_id: str,
    wallet_id: str,
    payable_id: str,
    amount_fen: int,
    memo: str,
    *,
    checks: tuple[str, ...] = (),
) -> Transfer:
    """A sale. Debit wallet, credit what the city owes the merchant for the day.

    checks: the counter of the check reached for this payment (`code_c`, …), beside `spend`.
    """
    paid = legs(wallet_id, payable_id, amount_fen)
    return transfer(payment_id, "payment", paid, memo=memo, counts=(SPEND, *checks))


def payment_with_concession(
    payment_id: str,
    wallet_id: str,
    payable_id: str,
    *,
    fare_fen: int,
    concession_fen: int,
    programme: str,
    memo: str,
    checks: tuple[str, ...] = (),
) -> Transfer:
    """A fare of which a programme pays a part; the merchant gets the whole of it.

    Debit wallet for the rest, debit the programme's receivable for the concession, credit
    merchant payable for both. A free ride touches no wallet and counts nothing.
    """
    if not 0 <= concession_fen <= fare_fen:
        raise LedgerBroken(f"a concession of {concession_fen} on a fare of {fare_fen} fen")
    own = legs(wallet_id, payable_id, fare_fen - concession_fen)
    given = legs(concession_id(programme), payable_id, concession_fen)
    counts = (SPEND, *checks) if own else ()
    return transfer(payment_id, "payment", own, given, memo=memo, counts=counts)


def payment_into_debt(
    payment_id: str,
    wallet_id: str,
    payable_id: str,
    *,
    wallet_fen: int,
    debt_fen: int,
    memo: str,
    checks: tuple[str, ...] = (),
) -> Transfer:
    """One ride into the red: the wallet gives what it has, the rider owes the rest.

    Debit wallet (`wallet_fen`, may be 0: then nothing is counted), debit ride debt, credit
    merchant payable for both.
    """
    own = legs(wallet_id, payable_id, wallet_fen)
    owed = legs(ride_debt_id(wallet_id), payable_id, debt_fen)
    counts = (SPEND, *checks) if own else ()
    return transfer(payment_id, "payment", own, owed, memo=memo, counts=counts)


def payment_leg(wallet_id: str, payable_id: str, amount_fen: int) -> Leg:
    """预授权: the pending leg of a hold; releasing it needs no posting.

    Pending debit on the wallet, pending credit on merchant payable.
    """
    return Leg(wallet_id, payable_id, amount_fen)


def capture(
    payment_id: str, wallet_id: str, payable_id: str, amount_fen: int, memo: str
) -> Transfer:
    """预授权完成: the whole of a hold or a part, posted in its place; the hold was counted.

    Debit wallet, credit merchant payable. It is the payment: same id, same code.
    """
    return transfer(payment_id, "payment", legs(wallet_id, payable_id, amount_fen), memo=memo)


def refund(
    refund_id: str,
    payment_id: str,
    *,
    wallet_id: str,
    payable_id: str,
    amount_fen: int,
    memo: str,
) -> Transfer:
    """退款: part or all of a payment back to its wallet, at the cost of the merchant's day.

    Debit merchant payable, credit wallet. What was spent stays counted.
    """
    back = legs(payable_id, wallet_id, amount_fen)
    return transfer(refund_id, "refund", back, linked_to=payment_id, memo=memo)


def refund_with_concession(
    refund_id: str,
    payment_id: str,
    *,
    wallet_id: str,
    payable_id: str,
    wallet_fen: int,
    concession_fen: int,
    programme: str,
    memo: str,
) -> Transfer:
    """退款 of a fare: each gets back its share (`refund_shares`).

    Debit merchant payable for both, credit wallet, credit the programme's receivable.
    """
    own = legs(payable_id, wallet_id, wallet_fen)
    given = legs(payable_id, concession_id(programme), concession_fen)
    return transfer(refund_id, "refund", own, given, linked_to=payment_id, memo=memo)


def refund_to_suspense(
    refund_id: str,
    payment_id: str,
    *,
    case_id: str,
    payable_id: str,
    amount_fen: int,
    memo: str,
) -> Transfer:
    """退款 to a wallet that is closed: the money waits under a case number for its owner.

    Debit merchant payable, credit suspense of the case.
    """
    back = legs(payable_id, suspense_id(case_id), amount_fen)
    return transfer(refund_id, "refund", back, linked_to=payment_id, memo=memo)


def reversal(
    payment_id: str,
    wallet_id: str,
    payable_id: str,
    amount_fen: int,
    memo: str,
    *,
    checks: tuple[str, ...] = (),
) -> Transfer:
    """冲正: a payment whose outcome its terminal never learnt is taken back whole.

    Debit merchant payable, credit wallet; the limits get back what it had used.
    """
    return reversal_of(payment(payment_id, wallet_id, payable_id, amount_fen, memo, checks=checks))


def reversal_of(paid: Transfer) -> Transfer:
    """冲正 of a payment of any shape: concession and ride debt are taken back with it.

    Debit merchant payable, credit whoever had paid; the limits get back what it had used.
    """
    return transfer(
        step(paid.operation_id, "reversal"),
        "reversal",
        turned(paid),
        linked_to=paid.operation_id,
        memo=paid.memo,
        gives_back=paid.counts,
    )
