"""The walks that live beside the tests, as the runner wants them: cards by suite, codes by kind."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, Final, TypeVar

from card_protocol.mobile_card import Suite
from tools.fuzz.report import SLOWEST_MAX_MS, FuzzFailed, FuzzReport

PURSE: Final = "tests.hce.epurse_fuzz"  # by name: tools are checked without the tests
MOBILE: Final = "tests.hce.mobile_card_fuzz"
CODES: Final = "tests.card_protocol.code_fuzz"
LIFE_COMMANDS: Final = 2_000

T = TypeVar("T")


def fuzz_epurse(seed: int, count: int) -> FuzzReport:
    """`count` commands over so many lives of a purse. Raises FuzzFailed."""
    lives = max(1, count // LIFE_COMMANDS)
    seen = _walked(seed, lambda: import_module(PURSE).walk(count, seed=seed, lives=lives))
    outcomes = {**seen.words, "money moved": seen.money_moves, "orders done": seen.orders_done}
    return FuzzReport(count, dict(seen.mutations), outcomes, seen.slowest_seconds * 1000)


def fuzz_sm_card(seed: int, count: int) -> FuzzReport:
    """`count` commands to a mobile card of the SM suite. Raises FuzzFailed."""
    seen = _walked(seed, lambda: import_module(MOBILE).fuzz(seed, count, Suite.SM4_SM2))
    outcomes = {**seen.words, "cryptograms": seen.cryptograms}
    return FuzzReport(count, dict(seen.mix), outcomes, seen.slowest_seconds * 1000)


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
