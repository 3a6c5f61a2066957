"""Money into a wallet and out to its owner: top-up, redemption, closing, between own cards.

Custody (备付金) moves only by what the bank's statement shows; until then the channel's account
holds the difference.
"""

from __future__ import annotations

from backend.wallet.accounts import CUSTODY, Channel, channel_id, ride_debt_id
from backend.wallet.ledger import Leg, Transfer
from backend.wallet.recipes.parts import legs, step, transfer


def top_up(
    topup_id: str,
    wallet_id: str,
    amount_fen: int,
    memo: str,
    *,
    channel: Channel = Channel.BANK,
    debt_fen: int = 0,
    counts: tuple[str, ...] = (),
) -> Transfer:
    """充值: the channel has the money, the statement is still to come.

    Debit channel receivable, credit wallet. `debt_fen`: what the rider owes is taken at once, as
    far as the top-up reaches: debit wallet, credit ride debt. Cash names its counters.
    """
    taken = legs(wallet_id, ride_debt_id(wallet_id), min(debt_fen, amount_fen))
    paid = legs(channel_id(channel), wallet_id, amount_fen)
    return transfer(topup_id, "top_up", paid, taken, memo=memo, counts=counts)


def top_up_leg(wallet_id: str, amount_fen: int, *, channel: Channel = Channel.BANK) -> Leg:
    """The leg of a top-up, pending while the bank has not spoken."""
    return Leg(channel_id(channel), wallet_id, amount_fen)


def top_up_reversal(
    topup_id: str,
    wallet_id: str,
    amount_fen: int,
    memo: str,
    *,
    channel: Channel = Channel.BANK,
    gives_back: tuple[str, ...] = (),
) -> Transfer:
    """充值冲正: the channel took its money back, or never had it.

    Debit wallet, credit channel receivable; the wallet must still have it.
    """
    back = legs(wallet_id, channel_id(channel), amount_fen)
    return transfer(
        step(topup_id, "reversal"),
        "top_up_reversal",
        back,
        linked_to=topup_id,
        memo=memo,
        gives_back=gives_back,
    )


def custody_matched(
    topup_id: str,
    amount_fen: int,
    *,
    channel: Channel = Channel.BANK,
    custody_id: str = CUSTODY,
) -> Transfer:
    """The bank's statement shows the money in the custody account (备付金).

    Debit custody, credit channel receivable.
    """
    seen = legs(custody_id, channel_id(channel), amount_fen)
    return transfer(step(topup_id, "custody"), "custody", seen, linked_to=topup_id)


def custody_paid_out(
    operation_id: str,
    amount_fen: int,
    *,
    channel: Channel = Channel.BANK,
    custody_id: str = CUSTODY,
) -> Transfer:
    """The statement shows that a payout, redemption or reversal has left the custody account.

    Debit channel receivable, credit custody.
    """
    seen = legs(channel_id(channel), custody_id, amount_fen)
    return transfer(step(operation_id, "custody"), "custody", seen, linked_to=operation_id)


def custody_moved(operation_id: str, from_id: str, to_id: str, amount_fen: int) -> Transfer:
    """From one custody bank account to another: debit the new one, credit the old one."""
    return transfer(operation_id, "custody_moved", legs(to_id, from_id, amount_fen))


def own_transfer(transfer_id: str, from_id: str, to_id: str, amount_fen: int) -> Transfer:
    """Between two cards of one person: debit the wallet that gives, credit the one that gets."""
    return transfer(transfer_id, "own_transfer", legs(from_id, to_id, amount_fen))


def redeem_leg(wallet_id: str, amount_fen: int, *, channel: Channel = Channel.BANK) -> Leg:
    """The leg of a redemption, pending until the bank has taken the order."""
    return Leg(wallet_id, channel_id(channel), amount_fen)


def redeem(
    redemption_id: str,
    wallet_id: str,
    amount_fen: int,
    memo: str,
    *,
    channel: Channel = Channel.BANK,
) -> Transfer:
    """赎回: back to the owner's bank account. Debit wallet, credit channel receivable.

    The statement then books it out of custody: `custody_paid_out`.
    """
    out = legs(wallet_id, channel_id(channel), amount_fen)
    return transfer(redemption_id, "redemption", out, memo=memo)


def close(
    closing_id: str,
    wallet_id: str,
    rest_fen: int,
    memo: str,
    *,
    channel: Channel = Channel.BANK,
) -> Transfer:
    """销户: the rest is paid out, then the account is closed; with a rest of 0 nothing moves and
    there is no transfer to ask for. Debit wallet, credit channel receivable."""
    out = legs(wallet_id, channel_id(channel), rest_fen)
    return transfer(closing_id, "closing", out, memo=memo)


def moved_to_replacement(
    replacement_id: str, old_id: str, new_id: str, amount_fen: int
) -> Transfer:
    """补换卡: the balance goes to the new card, wallet or e-purse float alike.

    Debit the old card's account, credit the new card's.
    """
    return transfer(
        step(replacement_id, "balance"),
        "replacement",
        legs(old_id, new_id, amount_fen),
        linked_to=replacement_id,
    )
