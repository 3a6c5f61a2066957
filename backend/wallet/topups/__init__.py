"""Top-up (充值): money into the wallet by every channel, credited once whatever happens.

From a bank card, asked for or by a standing order; cash at a counter; an employer's batch.
"""

from backend.wallet.topups.automatic import AutoTopUps
from backend.wallet.topups.batches import Batches
from backend.wallet.topups.counter import Counters
from backend.wallet.topups.model import RequestTopUp, TopUp, TopUpState, TopUpUnknown
from backend.wallet.topups.service import TopUps

__all__ = [
    "AutoTopUps",
    "Batches",
    "Counters",
    "RequestTopUp",
    "TopUp",
    "TopUpState",
    "TopUpUnknown",
    "TopUps",
]
