"""What the cash register and the page see of a terminal: one order at a time, one screen.

This is the door; knows no HTTP, no driver and no card command beyond "may money have moved".
"""

from reader_bridge.till.faults import TillFault
from reader_bridge.till.model import (
    BALANCE_UNKNOWN,
    FLOW,
    CardShown,
    Result,
    ResultState,
    Screen,
    Signal,
    Stage,
    StageEvent,
    advance,
)
from reader_bridge.till.ports import Acceptor, Events
from reader_bridge.till.post import Post
from reader_bridge.till.service import Standing, Till, Timings

__all__ = [
    "BALANCE_UNKNOWN",
    "FLOW",
    "Acceptor",
    "CardShown",
    "Events",
    "Post",
    "Result",
    "ResultState",
    "Screen",
    "Signal",
    "Stage",
    "StageEvent",
    "Standing",
    "Till",
    "TillFault",
    "Timings",
    "advance",
]
