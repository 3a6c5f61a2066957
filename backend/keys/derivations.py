"""How a card's or token's key comes from its master, and which MAC it makes. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

FACTOR_BYTES = 8
SEED_BYTES = 8
FACTORS_MAX = 3
CHALLENGE_BYTES = frozenset({4, 8})


@dataclass(frozen=True, slots=True)
class TokenMac:
    """CMAC under a limited-use key: KDF(master, context) (design A.2). 16 bytes."""

    context: bytes


@dataclass(frozen=True, slots=True)
class SessionMac:
    """Purse MAC1 or MAC2 under a session key (design B.1.5, B.1.7, B.1.8). 4 bytes."""

    factors: tuple[bytes, ...]  # issuer's first, card's last; 8 bytes each
    seed: bytes  # 8 bytes: rand ‖ counter ‖ terminal serial or 8000

    def __post_init__(self) -> None:
        check_factors(self.factors)
        if len(self.seed) != SEED_BYTES:
            raise ValueError(f"a session's seed has {SEED_BYTES} bytes, not {len(self.seed)}")


@dataclass(frozen=True, slots=True)
class TacMac:
    """Purse TAC (design B.1.7, B.1.8). 4 bytes."""

    factors: tuple[bytes, ...]

    def __post_init__(self) -> None:
        check_factors(self.factors)


@dataclass(frozen=True, slots=True)
class CommandMac:
    """MAC of a secured command, chained to the card's challenge (design B.1.7, B.1.8). 4 bytes."""

    factors: tuple[bytes, ...]
    challenge: bytes  # 4 or 8 bytes of GET CHALLENGE

    def __post_init__(self) -> None:
        check_factors(self.factors)
        if len(self.challenge) not in CHALLENGE_BYTES:
            raise ValueError(f"a challenge has 4 or 8 bytes, not {len(self.challenge)}")


Derivation: TypeAlias = TokenMac | SessionMac | TacMac | CommandMac


def check_factors(factors: tuple[bytes, ...]) -> None:
    """Raises ValueError unless there are 1 to 3 factors of 8 bytes."""
    if not 1 <= len(factors) <= FACTORS_MAX:
        raise ValueError(f"1 to {FACTORS_MAX} levels of diversification, not {len(factors)}")
    if any(len(factor) != FACTOR_BYTES for factor in factors):
        raise ValueError(f"a factor of diversification has {FACTOR_BYTES} bytes")
