"""Loads (圈存) at this terminal: kept before they are sent, told until the backend has heard.

Knows no reader and no receipt: the tap itself is `acceptance/load.py`.
"""

from reader_bridge.loads.book import LoadBook
from reader_bridge.loads.courier import LoadCourier, settle_all
from reader_bridge.loads.faults import LoadFault, LoadPause
from reader_bridge.loads.host import BackendLoadHost, LoadWish, ReferenceTaken
from reader_bridge.loads.teller import LoadTeller
from reader_bridge.loads.values import (
    FLOW,
    ON_CARD,
    OPEN,
    TO_TELL,
    Funding,
    Load,
    LoadStage,
    LoadTold,
)

__all__ = [
    "FLOW",
    "ON_CARD",
    "OPEN",
    "TO_TELL",
    "BackendLoadHost",
    "Funding",
    "Load",
    "LoadBook",
    "LoadCourier",
    "LoadFault",
    "LoadPause",
    "LoadStage",
    "LoadTeller",
    "LoadTold",
    "LoadWish",
    "ReferenceTaken",
    "settle_all",
]
