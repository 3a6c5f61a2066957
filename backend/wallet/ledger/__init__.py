"""The journal: double entry, never edited, the id decides. Knows accounts, not citizens."""

from backend.wallet.ledger.journal import Journal
from backend.wallet.ledger.model import (
    Account,
    AccountClosed,
    AccountFrozen,
    AccountState,
    CeilingExceeded,
    HoldDecided,
    InsufficientFunds,
    Leg,
    Side,
    Transfer,
)

__all__ = [
    "Account",
    "AccountClosed",
    "AccountFrozen",
    "AccountState",
    "CeilingExceeded",
    "HoldDecided",
    "InsufficientFunds",
    "Journal",
    "Leg",
    "Side",
    "Transfer",
]
