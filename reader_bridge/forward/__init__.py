"""Store and forward: what was accepted offline reaches the backend, once. This is the door."""

from reader_bridge.forward.pace import Pace
from reader_bridge.forward.sender import Sender, SenderStatus
from reader_bridge.forward.uploader import Poster, Step, StepKind, Uploader
from reader_bridge.forward.wire import (
    SALES_MAX,
    UPLOAD_BYTES_MAX,
    UPLOAD_PATH,
    OfflineSale,
    sale_body,
)

__all__ = [
    "SALES_MAX",
    "UPLOAD_BYTES_MAX",
    "UPLOAD_PATH",
    "OfflineSale",
    "Pace",
    "Poster",
    "Sender",
    "SenderStatus",
    "Step",
    "StepKind",
    "Uploader",
    "sale_body",
]
