"""The terminal's memory: a sale is on the disk before it is sent, or before the light is green.

Knows no network and no card. This is the door; the rooms behind it are nobody else's.
"""

from reader_bridge.journal.journal import PENDING_MAX, Journal
from reader_bridge.journal.model import (
    BODY_BYTES_MAX,
    FLOW,
    GENESIS,
    Atc,
    Backlog,
    Conclusion,
    Draft,
    Entry,
    EntryKind,
    EntryState,
    SetAside,
    TransitionRefused,
    Usage,
    Verdict,
    next_chain,
)

__all__ = [
    "BODY_BYTES_MAX",
    "FLOW",
    "GENESIS",
    "PENDING_MAX",
    "Atc",
    "Backlog",
    "Conclusion",
    "Draft",
    "Entry",
    "EntryKind",
    "EntryState",
    "Journal",
    "SetAside",
    "TransitionRefused",
    "Usage",
    "Verdict",
    "next_chain",
]
