"""Words every domain shares: fen, ids, clock, errors. Knows no domain, no database, no web."""

from backend.kernel.clock import Clock, ManualClock, SystemClock, business_date
from backend.kernel.errors import DomainError, Kind, Words
from backend.kernel.fen import (
    AMOUNT_MAX_FEN,
    ANY_AMOUNT,
    AmountOutOfRange,
    AmountRange,
    check_amount,
    yuan_text,
)
from backend.kernel.ids import check_id, is_id, new_id

__all__ = [
    "AMOUNT_MAX_FEN",
    "ANY_AMOUNT",
    "AmountOutOfRange",
    "AmountRange",
    "Clock",
    "DomainError",
    "Kind",
    "ManualClock",
    "SystemClock",
    "Words",
    "business_date",
    "check_amount",
    "check_id",
    "is_id",
    "new_id",
    "yuan_text",
]
