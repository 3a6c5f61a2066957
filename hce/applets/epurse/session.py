"""What a purse forgets when power goes or when it is selected anew; holds no key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from card_protocol.epurse.commands import Initialise, UpdateCache

CACHE_MAX: Final = 8  # writes one compound purchase may carry


@dataclass(frozen=True, slots=True)
class Transaction:
    """Between INITIALIZE and CREDIT or DEBIT. Balance and counters stand still meanwhile."""

    request: Initialise
    random: bytes  # 4
    cache: tuple[UpdateCache, ...] = ()

    def with_write(self, write: UpdateCache) -> Transaction:
        return replace(self, cache=(*self.cache, write))


@dataclass(frozen=True, slots=True)
class Session:
    transaction: Transaction | None = None
    challenge: bytes | None = None  # of GET CHALLENGE, good for one command
    is_pin_verified: bool = False
    is_update_open: bool = False  # EXTERNAL AUTHENTICATE succeeded
    current_sfi: int | None = None  # selected by file id

    def without_transaction(self) -> Session:
        return self if self.transaction is None else replace(self, transaction=None)

    def without_pin(self) -> Session:
        return replace(self, is_pin_verified=False) if self.is_pin_verified else self

    def without_update(self) -> Session:
        return replace(self, is_update_open=False) if self.is_update_open else self

    def without_challenge(self) -> Session:
        return self if self.challenge is None else replace(self, challenge=None)


FRESH: Final = Session()
