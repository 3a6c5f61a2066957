"""The wallet (账户余额): accounts, top-up, holds, statement. The door other domains use."""

from backend.wallet.accounts import HOT_IDS, MERCHANT_PAYABLE, payable_account
from backend.wallet.ledger import (
    Account,
    AccountClosed,
    AccountFrozen,
    CeilingExceeded,
    HoldDecided,
    InsufficientFunds,
    Ledger,
    LimitExceeded,
    Limits,
    Transfer,
    reading,
)
from backend.wallet.ledger.limits import CODE_B, CODE_C, CODE_D, SPEND
from backend.wallet.life.cases import is_shut, open_case
from backend.wallet.life.debts import RideDebts
from backend.wallet.life.model import RidePaid
from backend.wallet.model import OpenWallet, Wallet, WalletUnknown
from backend.wallet.proof import LedgerProof, Proof
from backend.wallet.recipes import capture as capture_transfer
from backend.wallet.recipes import payment as payment_transfer
from backend.wallet.recipes import refund as refund_transfer
from backend.wallet.recipes import refund_to_suspense as refund_to_suspense_transfer
from backend.wallet.recipes import reversal as reversal_transfer
from backend.wallet.recipes import step as operation_step
from backend.wallet.service import Wallets
from backend.wallet.topups import AutoTopUps

__all__ = [
    "CODE_B",
    "CODE_C",
    "CODE_D",
    "HOT_IDS",
    "MERCHANT_PAYABLE",
    "SPEND",
    "Account",
    "AccountClosed",
    "AccountFrozen",
    "AutoTopUps",
    "CeilingExceeded",
    "HoldDecided",
    "InsufficientFunds",
    "Ledger",
    "LedgerProof",
    "LimitExceeded",
    "Limits",
    "OpenWallet",
    "Proof",
    "RideDebts",
    "RidePaid",
    "Transfer",
    "Wallet",
    "WalletUnknown",
    "Wallets",
    "capture_transfer",
    "is_shut",
    "open_case",
    "operation_step",
    "payable_account",
    "payment_transfer",
    "reading",
    "refund_to_suspense_transfer",
    "refund_transfer",
    "reversal_transfer",
]
