"""Sales that were accepted while nobody could be asked, and are uploaded later."""

from backend.payments.offline.clones import CLONED, CloneAlarm, Oddities
from backend.payments.offline.judging import Judge
from backend.payments.offline.model import OfflineTerms
from backend.payments.offline.service import OfflineSales

__all__ = ["CLONED", "CloneAlarm", "Judge", "Oddities", "OfflineSales", "OfflineTerms"]
