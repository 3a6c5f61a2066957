"""The register of fuzz functions: a name and where the function is, nothing else.

A function takes (seed, count), returns a `FuzzReport` and raises `FuzzFailed`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Final

from tools.fuzz.decoders import DECODERS, fuzz_decoder
from tools.fuzz.report import FuzzReport
from tools.fuzz.walks import code_walks

Fuzz = Callable[[int, int], FuzzReport]


@dataclass(frozen=True, slots=True)
class Target:
    """`share` of the count asked for: some inputs cost a signature, some nothing."""

    name: str
    place: str  # module:function
    share: float = 1.0

    def load(self) -> Fuzz:
        """Raises ModuleNotFoundError, AttributeError."""
        module, _, function = self.place.partition(":")
        loaded: Fuzz = getattr(import_module(module), function)
        return loaded


# Cards: every command; each is one line. Codes: every kind their own walk knows.
CARDS: Final = (
    Target("mobile-card", "tools.fuzz.mobile_card:fuzz_mobile_card"),
    Target("mobile-card-sm", "tools.fuzz.mobile_card:fuzz_sm_card"),
    Target("e-purse", "tools.fuzz.epurse:fuzz_epurse"),
)
RADIO: Final = (Target("iso-dep", "tools.fuzz.isodep:fuzz_isodep"),)
DECODER_SHARE: Final = 0.1  # there are many of them


def all_targets() -> dict[str, tuple[Fuzz, float]]:
    """(function, share) by name, in the order they run."""
    found = {one.name: (one.load(), one.share) for one in (*CARDS, *RADIO)}
    found |= {name: (walk, 1.0) for name, walk in code_walks().items()}
    for name in DECODERS:
        found[name] = (partial(fuzz_decoder, name), DECODER_SHARE)
    return found
