"""The day's match (对账): statement, top-ups and ledger agree to the fen, or there is a case."""

from backend.wallet.matching.model import DayMatch, DayState, SideTotals
from backend.wallet.matching.service import Matching

__all__ = ["DayMatch", "DayState", "Matching", "SideTotals"]
