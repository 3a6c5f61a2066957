"""Dice that fall the same way for the same seed; for nothing that must be a secret."""

from __future__ import annotations

import random


def dice_for(seed: int, *who: object) -> random.Random:
    """Dice of their own for each `who`: nobody's throws depend on how fast others are."""
    return random.Random("/".join(map(str, (seed, *who))))  # noqa: S311 - repeatable on purpose
