"""The house's own bookings: payouts, fees, deposits, claims, corrections, cases, write-offs."""

from __future__ import annotations

from collections.abc import Sequence

from backend.wallet.accounts import (
    CARD_DEPOSITS,
    CUSTODY,
    FEE_INCOME,
    OPERATOR_ADVANCE,
    REPLACEMENT_FEES,
    WRITE_OFFS,
    Channel,
    channel_id,
    concession_id,
    ride_debt_id,
    suspense_id,
)
from backend.wallet.ledger import Leg, Transfer
from backend.wallet.recipes.parts import legs, step, transfer, turned


def merchant_payout(
    payout_id: str, payable_id: str, amount_fen: int, *, fee_fen: int = 0, memo: str = ""
) -> Transfer:
    """结算: a merchant's day is paid, less the fee; `amount_fen` is what the merchant receives.

    Debit merchant payable for both, credit channel receivable and fee income. The statement
    then books it out of custody: `custody_paid_out`.
    """
    paid = legs(payable_id, channel_id(Channel.BANK), amount_fen)
    kept = legs(payable_id, FEE_INCOME, fee_fen)
    return transfer(payout_id, "payout", paid, kept, memo=memo)


def payables_netted(payout_id: str, having_id: str, owing: Sequence[tuple[str, int]]) -> Transfer:
    """Days on which refunds were more than sales are made up by a day that has enough.

    Debit the payable that has, credit each payable that owes (id and fen, at most 8).
    """
    made_up = [legs(having_id, owing_id, fen) for owing_id, fen in owing]
    return transfer(step(payout_id, "netted"), "netted", *made_up, linked_to=payout_id)


def payout_leg(payable_id: str, amount_fen: int) -> Leg:
    """The leg of a payout or of income taken out, pending until the bank has taken the order."""
    return Leg(payable_id, channel_id(Channel.BANK), amount_fen)


def payout_returned(payout_id: str, payable_id: str, amount_fen: int, memo: str) -> Transfer:
    """The bank could not pay it and gave it back: the merchant is owed it again.

    Debit channel receivable, credit merchant payable.
    """
    back = legs(channel_id(Channel.BANK), payable_id, amount_fen)
    return transfer(
        step(payout_id, "returned"), "payout_returned", back, linked_to=payout_id, memo=memo
    )


def income_paid_out(payout_id: str, income_id: str, amount_fen: int) -> Transfer:
    """The operator takes its income out of custody: debit income, credit channel receivable."""
    out = legs(income_id, channel_id(Channel.BANK), amount_fen)
    return transfer(payout_id, "income_payout", out)


def fee(fee_id: str, payer_id: str, amount_fen: int, memo: str) -> Transfer:
    """手续费: debit the wallet or payable that pays, credit fee income."""
    return transfer(fee_id, "fee", legs(payer_id, FEE_INCOME, amount_fen), memo=memo)


def replacement_fee(fee_id: str, payer_id: str, amount_fen: int, memo: str) -> Transfer:
    """补卡费: debit the wallet or channel that pays, credit replacement fees."""
    paid = legs(payer_id, REPLACEMENT_FEES, amount_fen)
    return transfer(fee_id, "replacement_fee", paid, memo=memo)


def deposit_taken(deposit_id: str, payer_id: str, amount_fen: int) -> Transfer:
    """押金: debit the wallet or channel that pays, credit card deposits: it is owed back."""
    return transfer(deposit_id, "deposit", legs(payer_id, CARD_DEPOSITS, amount_fen))


def deposit_returned(deposit_id: str, payee_id: str, amount_fen: int) -> Transfer:
    """押金退还: debit card deposits, credit the wallet or channel that is paid."""
    return transfer(
        step(deposit_id, "returned"),
        "deposit_returned",
        legs(CARD_DEPOSITS, payee_id, amount_fen),
        linked_to=deposit_id,
    )


def concession_settled(
    claim_id: str, programme: str, amount_fen: int, *, custody_id: str = CUSTODY
) -> Transfer:
    """The statement shows what a programme paid for its concessions.

    Debit custody, credit the programme's receivable.
    """
    paid = legs(custody_id, concession_id(programme), amount_fen)
    return transfer(claim_id, "concession_settled", paid)


def advance_paid_in(advance_id: str, amount_fen: int, *, custody_id: str = CUSTODY) -> Transfer:
    """The operator covers with its own money what programmes and riders still owe.

    Debit custody, credit operator advance, when the statement shows it.
    """
    return transfer(advance_id, "advance", legs(custody_id, OPERATOR_ADVANCE, amount_fen))


def advance_paid_out(advance_id: str, amount_fen: int) -> Transfer:
    """The operator takes its advance back. Debit operator advance, credit channel receivable."""
    out = legs(OPERATOR_ADVANCE, channel_id(Channel.BANK), amount_fen)
    return transfer(advance_id, "advance_back", out)


def correction(correction_id: str, wrong: Transfer, memo: str) -> Transfer:
    """更正: undoes a posting by its mirror, linked to it; what was written stays written.

    Debits what the wrong one credited, credits what it debited, amount for amount.
    """
    return transfer(
        correction_id,
        "correction",
        turned(wrong),
        linked_to=wrong.operation_id,
        memo=memo,
        gives_back=wrong.counts,
    )


def into_suspense(
    operation_id: str, case_id: str, from_id: str, amount_fen: int, memo: str = ""
) -> Transfer:
    """挂账: money nobody can place yet, under a case number.

    Debit where it came from (custody, float, payable …), credit suspense of the case.
    """
    placed = legs(from_id, suspense_id(case_id), amount_fen)
    return transfer(operation_id, "suspense", placed, memo=memo or case_id)


def out_of_suspense(
    operation_id: str, case_id: str, to_id: str, amount_fen: int, memo: str = ""
) -> Transfer:
    """销账: the case is solved: debit suspense of the case, credit whose money it is."""
    placed = legs(suspense_id(case_id), to_id, amount_fen)
    return transfer(operation_id, "suspense_solved", placed, memo=memo or case_id)


def debt_written_off(case_id: str, wallet_id: str, amount_fen: int) -> Transfer:
    """核销: ride debt nobody will pay. Debit write-offs, credit ride debt."""
    lost = legs(WRITE_OFFS, ride_debt_id(wallet_id), amount_fen)
    return transfer(step(case_id, "written_off"), "write_off", lost, memo=case_id)


def debt_paid(topup_id: str, wallet_id: str, debt_fen: int) -> Transfer:
    """Ride debt taken by itself, after a top-up that was posted without it.

    Debit wallet, credit ride debt. A top-up that knows of the debt takes it in its own legs.
    """
    paid = legs(wallet_id, ride_debt_id(wallet_id), debt_fen)
    return transfer(step(topup_id, "debt"), "debt_paid", paid, linked_to=topup_id)
