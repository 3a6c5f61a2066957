"""The walks over codes, which live beside the tests, as the runner wants them: one a kind."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, Final

from tools.fuzz.report import SLOWEST_MAX_MS, FuzzFailed, FuzzReport

CODES: Final = "tests.card_protocol.code_fuzz"  # by name: tools are checked without the tests


def code_walks() -> dict[str, Callable[[int, int], FuzzReport]]:
    """Kind of code -> its walk."""
    return {f"{kind} code": partial(_fuzz_code, kind) for kind in import_module(CODES).kinds()}


def _fuzz_code(kind: str, seed: int, count: int) -> FuzzReport:
    seen = _walked(seed, lambda: import_module(CODES).fuzz(kind, count, seed))
    slowest_ms = seen.slowest_seconds * 1000
    if seen.accepted or slowest_ms > SLOWEST_MAX_MS:
        raise FuzzFailed(f"{kind}: {seen.accepted} accepted, slowest {slowest_ms} ms; seed {seed}")
    return FuzzReport(count, dict(seen.tried), dict(seen.refused), slowest_ms)


def _walked(seed: int, walk: Callable[[], Any]) -> Any:
    try:
        return walk()
    except AssertionError as broken:
        raise FuzzFailed(f"{broken}; seed {seed}") from None
