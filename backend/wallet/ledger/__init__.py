"""The ledger: double entry, never edited, the id decides. Knows accounts, not citizens."""

from backend.wallet.ledger import reading
from backend.wallet.ledger.ledger import Ledger
from backend.wallet.ledger.limits import CeilingExceeded, Limit, LimitExceeded, Limits, Period
from backend.wallet.ledger.model import (
    Account,
    AccountClosed,
    AccountFrozen,
    AccountState,
    HoldDecided,
    InsufficientFunds,
    Leg,
    Side,
    Transfer,
)
from backend.wallet.ledger.posting import OperationConflict, Post

__all__ = [
    "Account",
    "AccountClosed",
    "AccountFrozen",
    "AccountState",
    "CeilingExceeded",
    "HoldDecided",
    "InsufficientFunds",
    "Ledger",
    "Leg",
    "Limit",
    "LimitExceeded",
    "Limits",
    "OperationConflict",
    "Period",
    "Post",
    "Side",
    "Transfer",
    "reading",
]
