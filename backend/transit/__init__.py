"""The door of transit: the deny list that terminals keep."""

from backend.transit.model import DENY_PART_CHANGES_MAX, DenyHead, DenySource, Standing, Swept
from backend.transit.service import DenyLists, SignedPart, SweepDenyList
from backend.transit.upkeep import DenyListUpkeep

__all__ = [
    "DENY_PART_CHANGES_MAX",
    "DenyHead",
    "DenyListUpkeep",
    "DenyLists",
    "DenySource",
    "SignedPart",
    "Standing",
    "SweepDenyList",
    "Swept",
]
