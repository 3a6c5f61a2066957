"""Stops a terminal that guesses pay codes: eight digits bear a few wrong tries, not a million."""

from __future__ import annotations

from dataclasses import dataclass, field

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from backend.kernel import DomainError, Kind, Words

WRONG_MAX = 10
WINDOW_MINUTES = 10


class PayCodeGuessing(DomainError):
    kind, code, retryable = Kind.LIMITED, "pay_code_guessing", True
    title = Words(zh="付款码错误次数过多", en="Too many wrong pay codes")
    detail = Words(
        zh="该终端连续出示无效付款码，请稍后再试。",
        en="This terminal showed too many codes that were never made; wait a while.",
    )

    def __init__(self) -> None:
        super().__init__(retry_after_seconds=WINDOW_MINUTES * 60)


@dataclass(frozen=True, slots=True)
class GuessLimit:
    """Wrong codes per terminal, counted in this process: with N processes, N times as many.

    At 10 in 10 minutes a terminal that guesses day and night against one card hits once in
    some twenty years (3 time steps, 3 keys, 10^8 codes).
    """

    _limiter: MovingWindowRateLimiter = field(
        default_factory=lambda: MovingWindowRateLimiter(MemoryStorage())
    )
    _wrong: RateLimitItemPerMinute = field(
        default_factory=lambda: RateLimitItemPerMinute(WRONG_MAX, WINDOW_MINUTES)
    )

    def check(self, terminal_id: str) -> None:
        """Raises PayCodeGuessing while the terminal has used up its wrong tries."""
        if not self._limiter.test(self._wrong, terminal_id):
            raise PayCodeGuessing

    def count(self, terminal_id: str) -> None:
        """One more code that was never made."""
        self._limiter.hit(self._wrong, terminal_id)
