"""Goal: a code that was changed in any way is refused by type and at once, and never pays."""

from __future__ import annotations

import gc
import sys

import pytest
from code_fuzz import SECONDS_MAX, SHORT_COUNT, fuzz, kinds

from card_protocol.errors import CodeRefused

NAMES = tuple(kinds())
SEED = 20261123


@pytest.mark.parametrize("name", NAMES)
def test_mutated_codes_are_refused(name, capsys):
    gc.disable()  # a collection of somebody else's garbage is not the check's time
    try:
        mix = fuzz(name, SHORT_COUNT, SEED)
    finally:
        gc.enable()
    with capsys.disabled():
        sys.stdout.write(f"\n  {mix}\n")  # the mix is part of the result
    assert mix.accepted == 0
    assert mix.slowest_seconds < SECONDS_MAX
    assert len(mix.refused) >= 3  # mutations reach deeper than the first check
    assert sum(mix.refused.values()) == SHORT_COUNT


@pytest.mark.parametrize("name", NAMES)
def test_the_unchanged_code_passes(name):
    kind = kinds()[name]
    if name != "merchant code":
        kind.check(kind.genuine)
        return
    with pytest.raises(CodeRefused) as refused:
        kind.check(kind.genuine)
    assert refused.value.code == "merchant_code_same_sale"
