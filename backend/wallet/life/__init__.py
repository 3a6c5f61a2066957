"""A wallet's later life: redemption, closing, freezing, replacement, ride debt, corrections."""

from backend.wallet.life.cases import Cases
from backend.wallet.life.corrections import Corrections
from backend.wallet.life.debts import RideDebts
from backend.wallet.life.freezes import Freezes
from backend.wallet.life.orders import REQUESTED, Orders
from backend.wallet.life.own import OwnMoves
from backend.wallet.life.payout_match import PayoutMatches
from backend.wallet.life.service import Redemptions

__all__ = [
    "REQUESTED",
    "Cases",
    "Corrections",
    "Freezes",
    "Orders",
    "OwnMoves",
    "PayoutMatches",
    "Redemptions",
    "RideDebts",
]
