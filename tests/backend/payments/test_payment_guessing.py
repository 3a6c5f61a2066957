"""Goal: who guesses pay codes at a terminal is stopped there; nobody else notices."""

from __future__ import annotations

import pytest

from backend.kernel import DomainError
from backend.merchants import TerminalFacts
from backend.payments.guessing import WRONG_MAX, PayCodeGuessing
from backend.payments.model import PayCodeShown
from card_protocol import pay_code
from tests.simulation.money_world import Citizen, World

FEN = 100


def guess(world: World, till: TerminalFacts, short_number: str, number: int) -> DomainError:
    content = pay_code.encode(short_number, f"{number:08d}")
    with pytest.raises(DomainError) as caught:
        world.sell(till, PayCodeShown(content), FEN)
    return caught.value


def test_guessing_is_stopped_at_that_terminal(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    short_number = citizen.card.pay_code(world.clock.now()).content[2:10]
    tried = [guess(world, till, short_number, number).code for number in range(WRONG_MAX)]
    assert tried == ["pay_code_altered"] * WRONG_MAX
    stopped = guess(world, till, short_number, WRONG_MAX)
    assert isinstance(stopped, PayCodeGuessing)
    assert stopped.data["retry_after_seconds"] > 0
    right = citizen.card.pay_code(world.clock.now())
    assert guess_with(world, till, right).code == "pay_code_guessing"
    other = world.terminal(world.shop(world.merchant()))
    assert world.sell(other, right, FEN).captured_fen == FEN


def guess_with(world: World, till: TerminalFacts, shown: PayCodeShown) -> DomainError:
    with pytest.raises(DomainError) as caught:
        world.sell(till, shown, FEN)
    return caught.value


def test_taps_go_on_at_a_terminal_that_guessed(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    for number in range(WRONG_MAX + 1):
        guess(world, till, "00000000", number)
    tap = citizen.card.tap(till, FEN)
    assert world.sell(till, tap, FEN).captured_fen == FEN
