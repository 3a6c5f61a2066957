"""20 000 commands, most of them wrong: status words only, and no money without its MAC."""

from __future__ import annotations

import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hce.applets.epurse.state import Rules
from tests.hce.epurse_bench import SELECT, bench
from tests.hce.epurse_fuzz import walk

COMMANDS = 20_000


def test_mutated_commands_in_any_order(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "hce"):
        report = walk(COMMANDS * 3 // 4, seed=1)
    sys.stdout.write("\n".join(report.lines()))
    assert report.money_moves > 300  # the walk does reach the money
    assert report.orders_done > 50
    assert len(report.mutations) == 13
    assert {"9302", "6988", "6901", "6D00", "6E00", "6700", "9401", "9406"} <= set(report.words)
    assert not caplog.records  # never a fault inside


def test_mutated_commands_where_tries_are_counted() -> None:
    rules = Rules(key_tries_max=1, money_tries_max=3)
    report = walk(COMMANDS // 4, seed=2, rules=rules, lives=20)
    assert report.money_moves > 10
    assert report.words["9303"] > 0  # some purse was locked for ever by wrong orders


@given(st.binary(max_size=300))
def test_any_bytes_get_a_status_word(command: bytes) -> None:
    card = bench()
    before = card.state
    for selection in (b"", SELECT):
        card.card.transmit(selection)
        answer = card.card.transmit(command)
        assert len(answer) >= 2
        assert 0x61 <= answer[-2] <= 0x6E or 0x90 <= answer[-2] <= 0x9F
    assert card.state.balance_fen == before.balance_fen
