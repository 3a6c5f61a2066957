"""What the local API has to be told; values only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from reader_bridge.clock import Clock
from reader_bridge.faults import Language


@dataclass(frozen=True, slots=True)
class Health:
    """What a status shows beside the readers; None is "not known"."""

    is_online: bool | None = None
    kept_count: int | None = None  # sales that wait for upload
    kept_sum_fen: int | None = None
    profile_age_seconds: int | None = None
    profile_version: int | None = None


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """`token` is the register's key (at least 32 characters); it is never shown."""

    port: int
    token: str = field(repr=False)
    language: Language = "zh-CN"
    shop_name: str = ""
    health: Callable[[], Health] = Health  # must answer at once: no network
    clock: Clock = field(default_factory=Clock)
    heartbeat_seconds: float = 15.0

    def __post_init__(self) -> None:
        if len(self.token) < 32:
            raise ValueError("a local token has at least 32 characters")
        if not 0 < self.port < 65_536:
            raise ValueError("a port is 1 to 65535")
