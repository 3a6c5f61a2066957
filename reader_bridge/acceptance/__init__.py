"""The flow of one tap: order in, receipt out; kernels, decision, journal and sender joined."""

from reader_bridge.acceptance.desk import Desk
from reader_bridge.acceptance.joined import Acceptance
from reader_bridge.acceptance.knowledge import Knowledge, Known
from reader_bridge.acceptance.line import Line
from reader_bridge.acceptance.order import Acceptor, Order, OrderKind
from reader_bridge.acceptance.upkeep import (
    Forwarding,
    KeepingUploader,
    TerminalStatus,
    forward_all,
    status_of,
)

__all__ = [
    "Acceptance",
    "Acceptor",
    "Desk",
    "Forwarding",
    "KeepingUploader",
    "Knowledge",
    "Known",
    "Line",
    "Order",
    "OrderKind",
    "TerminalStatus",
    "forward_all",
    "status_of",
]
