"""Watches taps and logs for a second device with the same keys."""

from backend.virtual_card.watch.model import (
    LOG_RULES,
    Finding,
    LoggedTap,
    Sign,
    TapMark,
    Watched,
    check_log,
    find_sign,
)
from backend.virtual_card.watch.service import TapWatch

__all__ = [
    "LOG_RULES",
    "Finding",
    "LoggedTap",
    "Sign",
    "TapMark",
    "TapWatch",
    "Watched",
    "check_log",
    "find_sign",
]
