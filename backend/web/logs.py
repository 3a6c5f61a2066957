"""JSON logs with the request's id; no secret, no personal data."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import structlog


def set_up_logs(path: Path | None) -> None:
    """Write JSON lines to `path`, or to stderr when it is None."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    stream = sys.stderr if path is None else path.open("a", encoding="utf-8", buffering=1)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # The traceback's own text only: locals could hold a number or a name.
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
