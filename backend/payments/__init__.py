"""Payments: authorise, capture, void, refund, reverse; one room for taps, codes and links."""

from backend.payments.model import Payment, PaymentUnknown
from backend.payments.offline import (
    CLONED,
    CloneAlarm,
    Judge,
    Oddities,
    OfflineSales,
    OfflineTerms,
)
from backend.payments.purses import (
    CONTRADICTED,
    LoadAgents,
    Loads,
    PurseAlarm,
    PurseBooks,
    PurseCases,
)
from backend.payments.service import Payments
from backend.payments.statements import Statements

__all__ = [
    "CLONED",
    "CONTRADICTED",
    "CloneAlarm",
    "Judge",
    "LoadAgents",
    "Loads",
    "Oddities",
    "OfflineSales",
    "OfflineTerms",
    "Payment",
    "PaymentUnknown",
    "Payments",
    "PurseAlarm",
    "PurseBooks",
    "PurseCases",
    "Statements",
]
