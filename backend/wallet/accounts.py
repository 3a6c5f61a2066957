"""The chart of accounts: which there are, on which side they grow, what their floors are."""

from __future__ import annotations

from datetime import date

from backend.wallet.ledger import Account, Side

CUSTODY = "custody:main"  # 备付金
CHANNEL_BANK = "channel:bank"  # paid by the bank, not yet on its statement
WALLET = "wallet"
MERCHANT_PAYABLE = "merchant_payable"


def house_accounts() -> list[Account]:
    """The accounts that exist before the first citizen."""
    return [
        Account(CUSTODY, "custody", Side.DEBIT, floor_fen=0),
        Account(CHANNEL_BANK, "channel_receivable", Side.DEBIT, floor_fen=0),
    ]


def wallet_account(wallet_id: str, ceiling_fen: int, article: str) -> Account:
    """A citizen's account: it cannot go below zero."""
    return Account(
        wallet_id,
        WALLET,
        Side.CREDIT,
        floor_fen=0,
        ceiling_fen=ceiling_fen,
        ceiling_article=article,
    )


def payable_account(merchant_id: str, day: date) -> Account:
    """What the city owes a merchant for one business day; refunds may turn it negative."""
    return Account(f"payable:{merchant_id}:{day.isoformat()}", MERCHANT_PAYABLE, Side.CREDIT)
