"""Whether a person may have a card on a device, and the making of it."""

from backend.virtual_card.provisioning.deciding import Deciding, Wish
from backend.virtual_card.provisioning.issuing import Issuing, NewToken
from backend.virtual_card.provisioning.model import Facts, Figures, Outcome, Verdict, judge

__all__ = [
    "Deciding",
    "Facts",
    "Figures",
    "Issuing",
    "NewToken",
    "Outcome",
    "Verdict",
    "Wish",
    "judge",
]
