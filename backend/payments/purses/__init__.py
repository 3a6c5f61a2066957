"""The value on chips as the ledger knows it: the book of each purse, its loads, its cases."""

from backend.payments.purses.cases import PurseCases
from backend.payments.purses.figures import PurseBooks
from backend.payments.purses.loads import LoadAgents, Loads
from backend.payments.purses.losses import PurseLosses
from backend.payments.purses.sams import Sams
from backend.payments.purses.settling import CONTRADICTED, PurseAlarm
from backend.payments.purses.stuck import StuckLoads

__all__ = [
    "CONTRADICTED",
    "LoadAgents",
    "Loads",
    "PurseAlarm",
    "PurseBooks",
    "PurseCases",
    "PurseLosses",
    "Sams",
    "StuckLoads",
]
