"""Cards that mean harm at a whole terminal: one refusal at most, and the next good card pays.

`CITY_EXAMPLES=5000` plays the long form of the random ones.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import count, cycle

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from hce.card import Card
from hce.ports import LimitedUseKey
from hce.transports.vpcd import VpcdPlug
from reader_bridge import Outcome, ReaderFault, Receipt
from reader_bridge.clock import Clock
from reader_bridge.exchange import FOLLOW_UPS_MAX
from reader_bridge.faults import Fault
from reader_bridge.readers import pcsc
from reader_bridge.readers.loopback import LoopbackReader
from reader_bridge.terminal import Terminal
from tests.reader_bridge.acceptance.test_joined import ROOMY
from tests.reader_bridge.acceptance.world import PurseCard, Stall
from tests.reader_bridge.support import ACTIVATION_CODE, LUK, NOW

EXAMPLES = int(os.environ.get("CITY_EXAMPLES", "150"))
COMMANDS_MAX = 16 * (1 + FOLLOW_UPS_MAX)
COMMANDS = {"phone": 4, "purse": 7}  # of a whole genuine tap
SILENT_SECONDS = 10.0
SILENCE_SEEN_SECONDS = 8.0  # the reader gives up after five
CardAnswer = Callable[[bytes], bytes]
numbers = count(1)


def after(good_commands: int, good: CardAnswer, then: CardAnswer) -> CardAnswer:
    """A genuine card for some commands, then another."""
    heard = count()

    def transmit(command: bytes) -> bytes:
        return good(command) if next(heard) < good_commands else then(command)

    return transmit


def counted(card: CardAnswer) -> tuple[list[bytes], CardAnswer]:
    seen: list[bytes] = []

    def transmit(command: bytes) -> bytes:
        seen.append(command)
        return card(command)

    return seen, transmit


def other_le() -> CardAnswer:
    lengths = count(1)
    return lambda command: bytes((0x6C, next(lengths) & 0xFF))


def in_turn() -> CardAnswer:
    turns = cycle((b"\x6c\x05", b"\x61\x05"))
    return lambda command: next(turns)


HARM: dict[str, Callable[[], CardAnswer]] = {
    "6C for ever": lambda: lambda command: b"\x6c\x10",
    "6C, each time another": other_le,
    "61 for ever": lambda: lambda command: b"\x61\x10",
    "61 for ever, with data": lambda: lambda command: bytes(250) + b"\x61\x00",
    "6C and 61 in turn": in_turn,
    "nothing": lambda: lambda command: b"",
    "what was asked": lambda: lambda command: command,
    "yes to all": lambda: lambda command: b"\x90\x00",
}


def shown(stall: Stall, card: CardAnswer, reference: str) -> tuple[Receipt | None, Fault | None]:
    try:
        return stall.tap(card, 300, reference), None
    except ReaderFault as fault:
        return None, fault


def require_harmless(stall: Stall, card: CardAnswer, good: CardAnswer) -> None:
    """Goal: one refusal or a "hold still"; nothing is charged, and the next card pays."""
    seen, harm = counted(card)
    before, reference = stall.charged_ids(), f"H{next(numbers)}"
    torn = len(stall.terminal.journal.torn())
    receipt, fault = shown(stall, harm, reference)
    if fault is None:
        assert receipt is not None
        assert receipt.outcome is Outcome.REFUSED
        assert len(stall.terminal.journal.torn()) == torn
    else:
        assert fault.code == "debit_unknown"
        assert any(one[:2] == b"\x80\x54" for one in seen)  # DEBIT had left
        assert len(stall.terminal.journal.torn()) == torn + 1
        reference = f"H{next(numbers)}"  # that order waits for its card
    assert len(seen) <= COMMANDS_MAX
    assert stall.charged_ids() == before
    assert stall.terminal.journal.to_upload(9) == ()
    assert stall.tap(good, 300, reference).is_paid


def test_how_many_commands_a_tap_has(stall, kit):
    phone, plastic = kit.card(kit.certificate(**ROOMY)), PurseCard()
    for kind, card in (("phone", phone.transmit), ("purse", plastic.shown())):
        seen, counting = counted(card)
        assert stall.tap(counting, 300).is_green
        assert len(seen) == COMMANDS[kind]


def require_finished(stall: Stall, plastic: PurseCard) -> None:
    """The genuine purse comes back: it proves that it was not debited."""
    if stall.terminal.journal.torn():
        (finished,) = stall.balance(plastic.shown()).finished
        assert finished.outcome is Outcome.DROPPED
        assert plastic.balance_fen == 5_000


@pytest.mark.parametrize("name", HARM)
def test_loops_and_noise_cost_one_refusal(stall, kit, name):
    """At each command of a tap, by phone and purse."""
    phone = kit.card(kit.certificate(**ROOMY))
    for kind, commands in COMMANDS.items():
        for good_commands in range(commands):
            plastic = PurseCard()
            genuine = phone.transmit if kind == "phone" else plastic.shown()
            require_harmless(stall, after(good_commands, genuine, HARM[name]()), phone.transmit)
            require_finished(stall, plastic)


ANSWERS = st.lists(st.binary(max_size=300), min_size=1, max_size=12)
ENDED = st.lists(
    st.tuples(st.binary(max_size=80), st.sampled_from([b"\x90\x00", b"\x61\x20", b"\x6c\x20"])),
    min_size=1,
    max_size=12,
).map(lambda parts: [body + status for body, status in parts])


def test_random_bytes_cost_one_refusal(stall, backend, kit):
    backend.balance_fen = 10**9
    key = LimitedUseKey(index=3, version=1, value=LUK, uses_left=60_000, not_after=NOW + 86_400)
    plenty = kit.card(kit.certificate(**ROOMY), key=key)

    @seed(20261123)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        answers=st.one_of(ANSWERS, ENDED), good_commands=st.integers(0, 6), is_purse=st.booleans()
    )
    def play(answers: list[bytes], good_commands: int, is_purse: bool) -> None:
        answer, plastic = cycle(answers), PurseCard()
        kind = "purse" if is_purse else "phone"
        genuine = plastic.shown() if is_purse else plenty.transmit
        harm = after(good_commands % COMMANDS[kind], genuine, lambda _: next(answer))
        require_harmless(stall, harm, plenty.transmit)
        require_finished(stall, plastic)

    play()


def test_two_cards_at_once_are_nobodys_sale(stall, kit):
    phone = kit.card(kit.certificate(**ROOMY))
    reader = LoopbackReader()
    reader.insert(phone.transmit, PurseCard().shown())
    with pytest.raises(ReaderFault, match="several_cards"):
        stall.terminal.sell(300, register_reference="R1", reader=reader)
    assert stall.terminal.journal.last_result("R1") is None
    reader.insert(phone.transmit)
    assert stall.terminal.sell(300, register_reference="R1", reader=reader).is_paid
    assert stall.backend.charges() == [300]


class SilentCard(Card):
    """A genuine card that says nothing for ten seconds when it is to sign."""

    def transmit(self, command: bytes) -> bytes:
        if command[:2] == b"\x80\xa8":
            time.sleep(SILENT_SECONDS)  # sleep: the silence is what is tested
        return super().transmit(command)


@pytest.mark.pcsc
def test_ten_real_seconds_of_silence(pcscd, backend, folder, kit):
    """Goal: the reader gives up in time, the sale never was, and a good card pays it."""
    silent = kit.card(kit.certificate(**ROOMY))
    silent.__class__ = SilentCard
    clock = Clock(unix_now=lambda: float(NOW))
    reader = pcsc.PcscReader("Virtual PCD 00 00")
    with Terminal.activate(folder, backend.url, ACTIVATION_CODE, clock=clock) as terminal:
        terminal.refresh()
        with VpcdPlug(silent, port=pcscd.vpcd_port):
            began = time.monotonic()
            with pytest.raises(ReaderFault, match="card_mute"):
                terminal.sell(300, register_reference="R1", reader=reader, card_seconds=5.0)
            assert time.monotonic() - began < SILENCE_SEEN_SECONDS
            assert terminal.journal.last_result("R1") is None
        good = kit.card(kit.certificate(**ROOMY))
        with VpcdPlug(good, port=pcscd.vpcd_port):
            paid = terminal.sell(300, register_reference="R1", reader=reader, card_seconds=20.0)
        assert paid.is_paid
        assert backend.charges() == [300]
    reader.close()
