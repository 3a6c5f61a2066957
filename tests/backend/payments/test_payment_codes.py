"""The pay code at the till: two forms of one code, two tills, a photo, a clock that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from backend.kernel import DomainError
from backend.merchants import TerminalFacts
from backend.payments.model import PayCodeShown
from card_protocol import pay_code
from tests.simulation.money_world import Citizen, World

FEN = 300


def shown(world: World, citizen: Citizen, seconds: int = 0) -> pay_code.PayCode:
    """What the phone shows when its clock is `seconds` off."""
    at = world.clock.now() + timedelta(seconds=seconds)
    return pay_code.decode(citizen.card.pay_code(at).content)


def refusal(world: World, till: TerminalFacts, content: str) -> str | None:
    try:
        world.sell(till, PayCodeShown(content), FEN)
    except DomainError as refused:
        return refused.code
    return None


FORMS: dict[str, Callable[[pay_code.PayCode], str]] = {
    "digits": pay_code.PayCode.encode,
    "consumer-presented": pay_code.PayCode.encode_consumer,
}


@pytest.mark.parametrize("first", FORMS)
@pytest.mark.parametrize("second", FORMS)
def test_a_code_pays_once_whatever_its_form_and_till(
    world: World, till: TerminalFacts, citizen: Citizen, first: str, second: str
) -> None:
    code, other_till = shown(world, citizen), world.terminal(till.shop_id)
    assert refusal(world, till, FORMS[first](code)) is None
    assert refusal(world, other_till, FORMS[second](code)) == "pay_code_used"


@pytest.mark.parametrize("form", FORMS)
def test_each_refusal_at_the_till(
    world: World, till: TerminalFacts, citizen: Citizen, form: str
) -> None:
    world.clock.advance(timedelta(hours=9))  # the card's keys are older than any wrong clock
    write, code = FORMS[form], shown(world, citizen)
    changed = pay_code.PayCode(code.short_number, f"{(int(code.one_time) + 1) % 10**8:08d}")
    assert refusal(world, till, write(changed)) == "pay_code_altered"
    assert refusal(world, till, write(shown(world, citizen, -300))) == "pay_code_expired"
    assert refusal(world, till, write(shown(world, citizen, 300))) == "pay_code_not_yet_valid"
    assert refusal(world, till, write(shown(world, citizen, 8 * 3600))) == "pay_code_clock_wrong"
    assert refusal(world, till, write(shown(world, citizen, -8 * 3600))) == "pay_code_clock_wrong"
    assert refusal(world, till, write(code)[:-1]) == "pay_code_malformed"
    photo = write(shown(world, citizen))
    world.clock.advance(timedelta(minutes=2))
    assert refusal(world, till, photo) == "pay_code_expired"
    assert refusal(world, till, write(shown(world, citizen))) is None
