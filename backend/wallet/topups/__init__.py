"""Top-up (充值): money from a bank card into the wallet, credited once whatever the bank does."""

from backend.wallet.topups.model import RequestTopUp, TopUp, TopUpState, TopUpUnknown
from backend.wallet.topups.service import TopUps

__all__ = ["RequestTopUp", "TopUp", "TopUpState", "TopUpUnknown", "TopUps"]
