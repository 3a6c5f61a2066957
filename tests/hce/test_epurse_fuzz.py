"""20 000 commands, most of them wrong: status words only, and no money without its MAC."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hce.applets.epurse import money, secured, step
from hce.applets.epurse.context import Context, Step
from hce.applets.epurse.state import Rules
from hce.applets.epurse.step import COMMANDS as COMMANDS_OF_CARD
from tests.hce.epurse_bench import SELECT, bench
from tools.fuzz.__main__ import shares
from tools.fuzz.epurse import OWN_ACCIDENTS, fuzz_epurse
from tools.fuzz.mutations import ACCIDENTS, AS_IT_IS
from tools.fuzz.report import FuzzFailed

COMMANDS = 20_000
WORDS = {"9302", "6988", "6901", "6D00", "6E00", "6700", "9401", "9406"}


def test_mutated_commands_in_any_order(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG, "hce"):
        report = fuzz_epurse(1, COMMANDS * 3 // 4)
    with capsys.disabled():
        sys.stdout.write(f"\ne-purse: {report.count} commands\n")
        sys.stdout.write(f"  mix: {shares(report.mix)}\n  words: {shares(report.outcomes)}\n")
    assert report.outcomes["money moved"] > 300  # the walk does reach the money
    assert report.outcomes["orders done"] > 50
    assert report.mix.keys() == {*ACCIDENTS, *OWN_ACCIDENTS, AS_IT_IS}
    assert report.outcomes.keys() >= WORDS
    assert not caplog.records  # never a fault inside


def test_mutated_commands_where_tries_are_counted() -> None:
    rules = Rules(key_tries_max=1, money_tries_max=3)
    report = fuzz_epurse(2, COMMANDS // 4, rules, life_commands=COMMANDS // 80)
    assert report.outcomes["money moved"] > 10
    assert report.outcomes["9303"] > 0  # some purse was locked for ever by wrong orders


def wrong_mac_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(money, "mac_is", lambda told, right: True)


def wrong_order_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secured, "mac_is", lambda told, right: True)


def initialise_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    good = COMMANDS_OF_CARD[0x80, 0x50]

    def decide(context: Context) -> Step:
        made = good.decide(context)
        return replace(made, state=replace(made.state, offline_atc=made.state.offline_atc + 1))

    table = dict(COMMANDS_OF_CARD) | {(0x80, 0x50): replace(good, decide=decide)}
    monkeypatch.setattr(step, "COMMANDS", table)


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (wrong_mac_is_taken, "money moved without its MAC"),
        (wrong_order_is_taken, "changed without an order"),
        (initialise_counts, "money moved without its MAC"),
    ],
)
def test_the_walk_finds_a_wrong_purse(
    monkeypatch: pytest.MonkeyPatch,
    break_it: Callable[[pytest.MonkeyPatch], None],
    reason: str,
) -> None:
    break_it(monkeypatch)
    with pytest.raises(FuzzFailed, match=reason):
        fuzz_epurse(3, 6_000)


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
