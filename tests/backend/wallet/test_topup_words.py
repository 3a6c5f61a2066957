"""What the bank says about cards and amounts: no credit card, no credit on a wrong word."""

from __future__ import annotations

from typing import Any

import pytest

from backend.kernel import new_id
from backend.wallet.bank import CardKind, ChargeOutcome, ChargeState
from backend.wallet.topups import RequestTopUp, TopUpState
from backend.wallet.topups.model import CreditCardRefused
from tests.backend.wallet.topup_world import (
    CREDIT_CARD,
    UNKNOWN_CARD,
    Channels,
    join_channels,
)
from tests.simulation.books import dump
from tests.simulation.money_world import BANK_CARD, Citizen, World, operation

FEN = 20_000


@pytest.fixture
def channels(world: World) -> Channels:
    return join_channels(world)


@pytest.fixture
def citizen(world: World) -> Citizen:
    return world.citizen()


def request(world: World, citizen: Citizen, card: str) -> Any:
    wanted = RequestTopUp(citizen.person_id, new_id("top"), citizen.wallet_id, FEN, card)
    return world.topups.request(wanted, operation())


# --- cards ----------------------------------------------------------------------------------------


def test_a_credit_card_is_refused_before_anything_is_promised(
    world: World, citizen: Citizen
) -> None:
    before = dump(world.units)
    with pytest.raises(CreditCardRefused) as refusal:
        request(world, citizen, CREDIT_CARD)
    assert "信用卡" in refusal.value.article.text("zh")  # type: ignore[union-attr]
    assert dump(world.units) == before
    assert world.bank.query(new_id("top")).state is ChargeState.UNKNOWN


def test_the_bank_itself_says_no_to_a_card_it_does_not_know(world: World, citizen: Citizen) -> None:
    asked = request(world, citizen, UNKNOWN_CARD)
    world.worker.deliver_due()
    found = world.topups.get(asked.topup_id, citizen.person_id)
    assert (found.state, found.failure_code) == (TopUpState.FAILED, "bank_card_unknown")
    assert world.balance(citizen) == (0, 0)


def test_the_bank_takes_no_credit_card_either(world: World) -> None:
    """Goal: the rule is said twice: whoever gets past us is declined there."""
    outcome = world.bank.charge(new_id("top"), CREDIT_CARD, FEN)
    assert (outcome.state, outcome.reason) == (ChargeState.DECLINED, "bank_card_credit")


@pytest.mark.parametrize(
    ("first_digits", "kind"),
    [
        ("6217", CardKind.DEBIT),
        ("6225", CardKind.CREDIT),
        ("622588", CardKind.DEBIT),
        ("4", CardKind.CREDIT),
        ("9", CardKind.UNKNOWN),
        ("62", CardKind.UNKNOWN),
    ],
)
def test_the_longest_entry_of_the_table_counts(
    world: World, first_digits: str, kind: CardKind
) -> None:
    assert world.bank.card_kind(first_digits.ljust(16, "0")) is kind


# --- words about another amount or card --------------------------------------------------------


def paid(**changes: Any) -> ChargeOutcome:
    said = {"reference": "bnk_1", "amount_fen": FEN, "card_end": BANK_CARD[-4:], **changes}
    return ChargeOutcome(ChargeState.PAID, **said)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        (paid(amount_fen=FEN + 1), "told_amount_differs"),
        (paid(amount_fen=FEN - 1), "told_amount_differs"),
        (paid(card_end="0000"), "told_card_differs"),
    ],
)
def test_a_word_that_differs_credits_nothing_and_is_a_case(
    channels: Channels, citizen: Citizen, word: ChargeOutcome, kind: str
) -> None:
    world = channels.world
    asked = world.request_topup(citizen, FEN)
    for _ in range(2):
        world.topups.settle(asked.topup_id, word)
    assert world.balance(citizen) == (0, 0)
    found = world.topups.get(asked.topup_id, citizen.person_id)
    assert found.state is TopUpState.PROCESSING
    assert channels.cases() == [(asked.topup_id, kind, "open")]
    world.topups.settle(asked.topup_id, paid())  # the right word still counts
    assert world.balance(citizen) == (FEN, FEN)


@pytest.mark.parametrize("second", ["declined", "paid_less"])
def test_a_second_word_that_contradicts_the_first_is_a_case(
    channels: Channels, citizen: Citizen, second: str
) -> None:
    world = channels.world
    asked = world.request_topup(citizen, FEN)
    world.topups.settle(asked.topup_id, paid())
    words = {
        "declined": (ChargeOutcome(ChargeState.DECLINED, reason="x"), "told_otherwise"),
        "paid_less": (paid(amount_fen=1), "told_amount_differs"),
    }
    word, kind = words[second]
    world.topups.settle(asked.topup_id, word)
    assert channels.cases() == [(asked.topup_id, kind, "open")]
    assert world.balance(citizen) == (FEN, FEN)


def test_a_bank_that_reports_another_amount_is_asked_once(
    channels: Channels, citizen: Citizen
) -> None:
    """Goal: over worker and notice alike; the worker does not ask for ever."""
    world = channels.world
    topup_id = new_id("top")
    world.bank.misreport(topup_id, 1)
    world.request_topup(citizen, FEN, topup_id)
    channels.work()
    assert world.balance(citizen) == (0, 0)
    assert channels.cases() == [(topup_id, "told_amount_differs", "open")]
    assert channels.worker.deliver_due() == 0
    assert channels.worker.parked() == 0


def test_a_word_of_payment_names_amount_and_card() -> None:
    for missing in ("amount_fen", "card_end"):
        with pytest.raises(ValueError, match="how much"):
            paid(**{missing: None})


# --- ride debt ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("debt_fen", "left_fen"), [(200, 0), (FEN, 0), (FEN + 300, 300)])
def test_a_ride_into_the_red_is_taken_at_the_next_top_up(
    channels: Channels, citizen: Citizen, debt_fen: int, left_fen: int
) -> None:
    world = channels.world
    assert channels.debt_fen(citizen) == 0
    world.fund(citizen, FEN)  # no debt yet: nothing is taken
    assert world.balance(citizen) == (FEN, FEN)
    rider = world.citizen()
    channels.owe(rider, debt_fen)
    world.fund(rider, FEN)
    rest_fen = FEN - (debt_fen - left_fen)
    assert world.balance(rider) == (rest_fen, rest_fen)
    assert channels.debt_fen(rider) == left_fen
    world.fund(rider, FEN)
    assert channels.debt_fen(rider) == 0
