"""Payments: authorise, capture, void, refund, reverse; one room for taps, codes and links."""

from collections.abc import Callable, Mapping

from backend.db import Event
from backend.payments.model import Payment, PaymentUnknown
from backend.payments.offline import (
    CLONED,
    FOREIGN_SAM,
    CloneAlarm,
    ForeignSales,
    Judge,
    Oddities,
    OfflineSales,
    OfflineTerms,
    SamAlarm,
)
from backend.payments.purses import (
    CONTRADICTED,
    LoadAgents,
    Loads,
    PurseAlarm,
    PurseBooks,
    PurseCases,
    PurseLosses,
    Sams,
    StuckLoads,
)
from backend.payments.service import Payments
from backend.payments.statements import Statements

__all__ = [
    "ForeignSales",
    "Judge",
    "LoadAgents",
    "Loads",
    "Oddities",
    "OfflineSales",
    "OfflineTerms",
    "Payment",
    "PaymentUnknown",
    "Payments",
    "PurseBooks",
    "PurseCases",
    "PurseLosses",
    "Sams",
    "Statements",
    "StuckLoads",
    "alarms",
]


def alarms() -> Mapping[str, Callable[[Event], None]]:
    """Who hears what a person has to look at: the operator's log."""
    return {
        CLONED: CloneAlarm().ring,
        FOREIGN_SAM: SamAlarm().ring,
        CONTRADICTED: PurseAlarm().ring,
    }
