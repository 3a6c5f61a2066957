"""The wallet (账户余额): accounts, top-up, holds, statement. The door other domains use."""

from backend.wallet.accounts import (
    HOT_IDS,
    MERCHANT_PAYABLE,
    OFFLINE_LOSSES,
    RIDE_DEBT,
    Channel,
    channel_id,
    epurse_float_account,
    load_transit_account,
    payable_account,
    ride_debt_account,
    ride_debt_id,
    suspense_account,
)
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
from backend.wallet.ledger.limits import CODE_B, CODE_C, CODE_D, SPEND, check_ceiling
from backend.wallet.ledger.model import AccountState
from backend.wallet.life.cases import get_owner, is_shut, open_case, want_owner
from backend.wallet.life.debts import RideDebts
from backend.wallet.life.model import RidePaid
from backend.wallet.model import OpenWallet, Wallet, WalletUnknown
from backend.wallet.proof import LedgerProof, Proof
from backend.wallet.recipes import capture as capture_transfer
from backend.wallet.recipes import epurse_purchase as epurse_purchase_transfer
from backend.wallet.recipes import epurse_purchase_borne as epurse_purchase_borne_transfer
from backend.wallet.recipes import epurse_unloaded as epurse_unloaded_transfer
from backend.wallet.recipes import into_suspense as into_suspense_transfer
from backend.wallet.recipes import load as load_transfer
from backend.wallet.recipes import load_returned as load_returned_transfer
from backend.wallet.recipes import load_written as load_written_transfer
from backend.wallet.recipes import offline_sale as offline_sale_transfer
from backend.wallet.recipes import out_of_suspense as out_of_suspense_transfer
from backend.wallet.recipes import payment as payment_transfer
from backend.wallet.recipes import refund as refund_transfer
from backend.wallet.recipes import refund_to_suspense as refund_to_suspense_transfer
from backend.wallet.recipes import refund_with_loss as refund_with_loss_transfer
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
    "OFFLINE_LOSSES",
    "RIDE_DEBT",
    "SPEND",
    "Account",
    "AccountClosed",
    "AccountFrozen",
    "AccountState",
    "AutoTopUps",
    "CeilingExceeded",
    "Channel",
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
    "channel_id",
    "check_ceiling",
    "epurse_float_account",
    "epurse_purchase_borne_transfer",
    "epurse_purchase_transfer",
    "epurse_unloaded_transfer",
    "get_owner",
    "into_suspense_transfer",
    "is_shut",
    "load_returned_transfer",
    "load_transfer",
    "load_transit_account",
    "load_written_transfer",
    "offline_sale_transfer",
    "open_case",
    "operation_step",
    "out_of_suspense_transfer",
    "payable_account",
    "payment_transfer",
    "reading",
    "refund_to_suspense_transfer",
    "refund_transfer",
    "refund_with_loss_transfer",
    "reversal_transfer",
    "ride_debt_account",
    "ride_debt_id",
    "suspense_account",
    "want_owner",
]
