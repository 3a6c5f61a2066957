"""Slow C work in a real thread, so that the other greenlets of the process go on meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gevent import get_hub, monkey

T = TypeVar("T")


def offload(work: Callable[..., T], *arguments: object) -> T:
    """`work(*arguments)`; in gevent's thread pool when greenlets serve this process.

    For work that holds neither the interpreter nor a database transaction: argon2 is one.
    """
    if not monkey.is_module_patched("threading"):
        return work(*arguments)
    result: T = get_hub().threadpool.apply(work, arguments)
    return result
