"""Any bytes, in any order: a status word each time, counters only upward, no cryptogram twice."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import GpoResponse, Suite
from hce.applets.mobile_card import MobileCardApplet
from hce.ports import CardStore
from hce.store import MemoryCardStore
from tests.hce.examples import (
    KEY,
    READ_CERTIFICATE,
    SELECT_CARD,
    SELECT_DIRECTORY,
    Bench,
    bench,
    gpo,
    is_genuine,
)
from tools.fuzz import mobile_card
from tools.fuzz.__main__ import shares
from tools.fuzz.mobile_card import MADE, RESET, fuzz_mobile_card
from tools.fuzz.mutations import ACCIDENTS, AS_IT_IS
from tools.fuzz.report import FuzzFailed, is_status_word

COMMANDS = 20_000
WORDS = {"9000", "6700", "6985", "6A80", "6A82", "6A86", "6D00", "6E00"}


def counter(store: CardStore) -> int:
    assert isinstance(store, MemoryCardStore)
    return store._state.atc


def suspend(store: CardStore, is_suspended: bool) -> None:
    assert isinstance(store, MemoryCardStore)
    store.change(lambda state: state.with_suspended(is_suspended))


def cryptogram_in(answer: bytes) -> GpoResponse | None:
    try:
        return GpoResponse.decode(answer[:-2])
    except MalformedBytes:
        return None


def endless() -> Bench:
    """A card whose key lasts for a whole fuzz."""
    return bench(atc=0, key=replace(KEY, uses_left=0xFFFF))


@pytest.mark.parametrize("suite", list(Suite), ids=lambda suite: suite.name)
def test_mutated_commands_in_any_order(
    suite: Suite, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: status words only, none late, no state changed but by a valid GPO; the mix is told."""
    with caplog.at_level(logging.DEBUG, "hce"):
        report = fuzz_mobile_card(int(suite), COMMANDS, suite)
    with capsys.disabled():
        sys.stdout.write(f"\nmobile card, {suite.name}: {COMMANDS} commands\n")
        sys.stdout.write(f"  mix: {shares(report.mix)}\n  words: {shares(report.outcomes)}\n")
    assert not caplog.records  # never a fault inside
    assert report.count == COMMANDS
    assert report.mix.keys() == {*ACCIDENTS, *MADE, AS_IT_IS, RESET}
    assert report.outcomes["cryptogram"] > 400  # the fuzz does reach the cryptogram
    assert report.outcomes.keys() >= {
        "9000",
        "6700",
        "6985",
        "6A80",
        "6A82",
        "6A86",
        "6D00",
        "6E00",
    }


class Spender(MobileCardApplet):
    """A wrong card: it counts before it looks at what the terminal sent."""

    def process(self, command: CommandApdu) -> ResponseApdu:
        if command.ins == 0xA8:
            self._store.take_counter()
        return super().process(command)


class Repeater(MobileCardApplet):
    """A wrong card: a second cryptogram in one selection."""

    def process(self, command: CommandApdu) -> ResponseApdu:
        self._has_answered = False
        return super().process(command)


class Forgetter(MobileCardApplet):
    """A wrong card: it signs for what an earlier terminal asked."""

    first = b""

    def _answer(self, pdol_data: bytes) -> bytes:
        self.first = self.first or pdol_data
        return super()._answer(self.first)


@pytest.mark.parametrize(
    ("applet", "reason"),
    [
        (Spender, "a GPO that did not spend one counter"),
        (Repeater, "the state changed without a GPO"),
        (Forgetter, "a cryptogram over something else"),
    ],
)
def test_the_fuzz_finds_a_wrong_card(
    monkeypatch: pytest.MonkeyPatch, applet: type[MobileCardApplet], reason: str
) -> None:
    monkeypatch.setattr(mobile_card, "MobileCardApplet", applet)
    with pytest.raises(FuzzFailed, match=reason):
        fuzz_mobile_card(seed=1, count=4_000)


@given(st.binary(max_size=600))
def test_any_bytes_get_a_status_word(command: bytes) -> None:
    card = endless()
    for selection in (b"", SELECT_DIRECTORY, SELECT_CARD):
        card.card.transmit(selection)
        answer = card.card.transmit(command)
        assert is_status_word(answer)
        assert answer[-2:] != b"\x6f\x00"


STEPS = st.lists(
    st.sampled_from(["select", "gpo", "short gpo", "rest", "read", "reset", "suspend", "release"]),
    max_size=25,
)


@given(STEPS)
def test_a_life_in_any_order(steps: list[str]) -> None:
    """Goal: at most one counter a selection, every cryptogram genuine, none while suspended."""
    card, is_open, is_suspended, atc = endless(), False, False, 0
    sent = {
        "select": SELECT_CARD,
        "gpo": gpo(),
        "short gpo": gpo()[:-1] + b"\x01",
        "rest": bytes.fromhex("00C0000000"),
        "read": READ_CERTIFICATE,
    }
    waiting = False
    for step in steps:
        if step in {"suspend", "release"}:
            is_suspended = step == "suspend"
            suspend(card.store, is_suspended)
            continue
        if step == "reset":
            card.card.reset()
            is_open = waiting = False
            continue
        answer = card.card.transmit(sent[step])
        if step == "select":
            is_open = True
        spends = step in {"gpo", "short gpo"} and is_open and not is_suspended
        proof = cryptogram_in(answer)
        assert (proof is not None) == ((spends and step == "gpo") or (step == "rest" and waiting))
        waiting = spends and step == "short gpo"
        if spends:
            atc, is_open = atc + 1, False
        if proof is not None:
            assert proof.atc == atc
            assert is_genuine(proof)
        assert counter(card.store) == atc
