"""The wallet (账户余额): accounts, top-up, holds, statement. The door other domains use."""

from backend.wallet.accounts import MERCHANT_PAYABLE, payable_account
from backend.wallet.ledger import (
    AccountClosed,
    AccountFrozen,
    CeilingExceeded,
    HoldDecided,
    InsufficientFunds,
    Journal,
)
from backend.wallet.model import OpenWallet, Wallet, WalletUnknown
from backend.wallet.proof import LedgerProof, Proof
from backend.wallet.recipes import payment as payment_transfer
from backend.wallet.recipes import refund as refund_transfer
from backend.wallet.recipes import reversal as reversal_transfer
from backend.wallet.service import Wallets

__all__ = [
    "MERCHANT_PAYABLE",
    "AccountClosed",
    "AccountFrozen",
    "CeilingExceeded",
    "HoldDecided",
    "InsufficientFunds",
    "Journal",
    "LedgerProof",
    "OpenWallet",
    "Proof",
    "Wallet",
    "WalletUnknown",
    "Wallets",
    "payable_account",
    "payment_transfer",
    "refund_transfer",
    "reversal_transfer",
]
