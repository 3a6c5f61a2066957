"""Taps and ride codes that arrive long after they were made, judged as of their own moment."""

from backend.virtual_card.past.model import (
    PastProof,
    PastRideCode,
    PastTap,
    RideCodeRefused,
    RideCodeUsed,
    Stop,
)
from backend.virtual_card.past.service import PastProofs

__all__ = [
    "PastProof",
    "PastProofs",
    "PastRideCode",
    "PastTap",
    "RideCodeRefused",
    "RideCodeUsed",
    "Stop",
]
