"""The collector of garbage, told how a server lives: much stays for ever, the rest goes at once."""

from __future__ import annotations

import gc

NEW_OBJECTS = 50_000
"""After so many the youngest are searched: a batch of commands ends before."""
ROUNDS = 20


def settle() -> None:
    """Call once, when everything that stays is there: it is not searched again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, ROUNDS, ROUNDS)
