"""Sales that were accepted while nobody could be asked, and are uploaded later."""

from backend.payments.offline.clones import CLONED, CloneAlarm, Oddities
from backend.payments.offline.foreign import FOREIGN_SAM, ForeignSales, SamAlarm
from backend.payments.offline.judging import Judge
from backend.payments.offline.model import OfflineTerms
from backend.payments.offline.service import OfflineSales

__all__ = [
    "CLONED",
    "FOREIGN_SAM",
    "CloneAlarm",
    "ForeignSales",
    "Judge",
    "Oddities",
    "OfflineSales",
    "OfflineTerms",
    "SamAlarm",
]
