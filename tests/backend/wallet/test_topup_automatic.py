"""Standing orders: asked once, top-ups under way counted, never a loop."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backend.db import Event
from backend.kernel import new_id
from backend.wallet.bank import ChargeOutcome, ChargeState
from backend.wallet.ledger import AccountState
from backend.wallet.model import WalletUnknown
from backend.wallet.topups.automatic import DUE
from backend.wallet.topups.automatic_model import AutomaticTopUpUnknown, MonthTooSmall
from backend.wallet.topups.model import BankCardInvalid, CreditCardRefused
from tests.backend.wallet.topup_world import CREDIT_CARD, Channels, join_channels
from tests.simulation.books import dump
from tests.simulation.money_world import BANK_CARD, Citizen, World

LATE, DECLINES = 10_001, 10_002  # how the sandbox bank treats these amounts


@pytest.fixture
def channels(world: World) -> Channels:
    return join_channels(world)


@pytest.fixture
def citizen(world: World) -> Citizen:
    return world.citizen(5_000)


def test_a_payment_that_leaves_too_little_asks_once(channels: Channels, citizen: Citizen) -> None:
    channels.order(citizen)
    channels.pay(citizen, 3_000)  # 2 000 left: not below the threshold
    channels.work()
    assert len(channels.topups(citizen)) == 1  # the one that funded the wallet
    channels.pay(citizen, 1)
    channels.work()
    (_, asked) = channels.topups(citizen)
    assert (asked["amount_fen"], asked["state"]) == (10_000, "succeeded")
    assert channels.world.balance(citizen) == (11_999, 11_999)
    seen = channels.world.topups.get(asked["topup_id"], citizen.person_id)
    assert seen.automatic
    assert channels.automatic.get(citizen.wallet_id, citizen.person_id).month_fen == 10_000


def test_top_ups_under_way_are_counted(channels: Channels, citizen: Citizen) -> None:
    """Goal: money.md: automatic top-up that did not count a top-up already under way."""
    channels.order(citizen, amount_fen=LATE)
    for _ in range(4):  # all of them before the worker gets round to it
        channels.pay(citizen, 1_000)
    channels.work(2)  # the bank is late: the money is under way
    for _ in range(3):
        channels.pay(citizen, 100)
        channels.work(2)
    assert len(channels.topups(citizen)) == 2
    channels.world.clock.advance(timedelta(seconds=5))
    channels.work()
    assert channels.world.balance(citizen)[0] == 5_000 - 4_300 + LATE


def test_a_top_up_the_citizen_asked_for_counts_too(channels: Channels, citizen: Citizen) -> None:
    channels.order(citizen)
    channels.world.request_topup(citizen, LATE)
    channels.pay(citizen, 4_000)
    channels.worker.deliver_due()
    assert len(channels.topups(citizen)) == 2


def test_the_same_trigger_heard_twice_asks_once(channels: Channels, citizen: Citizen) -> None:
    """Goal: the outbox delivers at least once; the id follows from the payment."""
    channels.order(citizen, threshold_fen=400_000)
    event = Event(
        "evt_1",
        DUE,
        {"wallet_id": citizen.wallet_id, "operation_id": new_id("pay")},
        channels.world.clock.now(),
        0,
    )
    for _ in range(3):  # below the threshold all the time, and nothing under way in between
        channels.automatic.ask(event)
        channels.work()
    assert len(channels.topups(citizen)) == 2


def test_a_month_takes_no_more_than_its_maximum(channels: Channels, citizen: Citizen) -> None:
    channels.order(citizen, threshold_fen=400_000, month_max_fen=25_000)
    for _ in range(5):
        channels.pay(citizen, 10)
        channels.work()
    assert len(channels.topups(citizen)) == 1 + 2
    channels.order(citizen, threshold_fen=400_000, month_max_fen=25_000)  # no month anew
    channels.pay(citizen, 10)
    channels.work()
    assert len(channels.topups(citizen)) == 1 + 2
    channels.world.clock.advance(timedelta(days=8))  # the first of the next month
    channels.pay(citizen, 10)
    channels.work()
    assert len(channels.topups(citizen)) == 1 + 3
    assert channels.automatic.get(citizen.wallet_id, citizen.person_id).month_fen == 10_000


def test_three_declines_in_a_row_pause_it(channels: Channels, citizen: Citizen) -> None:
    channels.order(citizen, threshold_fen=400_000, amount_fen=DECLINES)
    for _ in range(6):
        channels.pay(citizen, 10)
        channels.work()
    found = channels.automatic.get(citizen.wallet_id, citizen.person_id)
    assert (found.state, found.paused_code) == ("paused", "bank_insufficient_funds")
    assert found.month_fen == 0  # nothing came: the month has lost nothing
    assert len(channels.topups(citizen)) == 1 + 3
    channels.order(citizen, threshold_fen=400_000)  # ordered again, it goes on
    channels.pay(citizen, 10)
    channels.work()
    assert len(channels.topups(citizen)) == 1 + 4


def test_a_success_between_begins_the_count_anew(channels: Channels, citizen: Citizen) -> None:
    channels.order(citizen, threshold_fen=400_000, month_max_fen=500_000)
    declined = ChargeOutcome(ChargeState.DECLINED, reason="bank_card_blocked")
    paid = ChargeOutcome(ChargeState.PAID, amount_fen=10_000, card_end=BANK_CARD[-4:])
    states = []
    for word in (declined, declined, paid, declined, declined, declined):
        channels.pay(citizen, 10)
        channels.worker.deliver_due()  # asked for; the order to the bank is still to come
        channels.world.topups.settle(channels.topups(citizen)[-1]["topup_id"], word)
        channels.world.clock.advance(timedelta(seconds=1))
        states.append(channels.automatic.get(citizen.wallet_id, citizen.person_id).state)
    assert states == ["active"] * 5 + ["paused"]


def test_a_wallet_that_says_no_itself_pauses_it_too(channels: Channels, citizen: Citizen) -> None:
    """Goal: a full wallet is no loop: each refusal counts like a decline."""
    channels.order(citizen, threshold_fen=499_000, amount_fen=498_000, month_max_fen=499_000_000)
    for _ in range(4):
        channels.pay(citizen, 10)
        channels.work()
    found = channels.automatic.get(citizen.wallet_id, citizen.person_id)
    assert (found.state, found.paused_code) == ("paused", "ceiling_exceeded")
    assert len(channels.topups(citizen)) == 1
    assert found.month_fen == 0


def test_an_old_orders_decline_does_not_count_for_the_new(
    channels: Channels, citizen: Citizen
) -> None:
    channels.order(citizen, threshold_fen=400_000, amount_fen=10_003)  # declined late
    for _ in range(3):
        channels.pay(citizen, 10)
        channels.work(2)
    assert len(channels.topups(citizen)) == 1 + 3
    channels.order(citizen, threshold_fen=400_000)
    channels.world.clock.advance(timedelta(seconds=5))
    channels.work()
    assert [one["state"] for one in channels.topups(citizen)[1:]] == ["failed"] * 3
    assert channels.automatic.get(citizen.wallet_id, citizen.person_id).state == "active"


def test_without_an_order_nothing_is_told(channels: Channels, citizen: Citizen) -> None:
    channels.order(citizen)
    channels.automatic.stop(citizen.wallet_id, citizen.person_id)
    channels.automatic.stop(citizen.wallet_id, citizen.person_id)
    before = dump(channels.world.units)["ledger.outbox"]
    channels.pay(citizen, 4_900)
    assert dump(channels.world.units)["ledger.outbox"] == before
    with pytest.raises(AutomaticTopUpUnknown):
        channels.automatic.get(citizen.wallet_id, citizen.person_id)


def test_refusals_change_nothing(channels: Channels, citizen: Citizen) -> None:
    channels.order(citizen)
    before = dump(channels.world.units)
    wrong = BANK_CARD[:-1] + str((int(BANK_CARD[-1]) + 1) % 10)
    for refusal, changes in (
        (MonthTooSmall, {"month_max_fen": 9_999}),
        (BankCardInvalid, {"bank_card": wrong}),
        (CreditCardRefused, {"bank_card": CREDIT_CARD}),
    ):
        with pytest.raises(refusal):
            channels.order(citizen, **changes)
    stranger = channels.world.citizen
    assert dump(channels.world.units) == before
    other = stranger()
    for act in (channels.automatic.get, channels.automatic.stop):
        with pytest.raises(WalletUnknown):
            act(citizen.wallet_id, other.person_id)


def test_the_card_number_is_sealed(channels: Channels, citizen: Citizen) -> None:
    made = channels.order(citizen)
    assert made.bank_card_masked == "····" + BANK_CARD[-4:]
    channels.pay(citizen, 4_900)
    channels.work()
    assert BANK_CARD not in str(dump(channels.world.units, but=()))


def test_a_closed_wallet_stops_asking(channels: Channels, citizen: Citizen) -> None:
    channels.order(citizen)
    channels.pay(citizen, 4_900)
    channels.world.set_state(citizen.wallet_id, AccountState.CLOSED)
    channels.work()
    assert len(channels.topups(citizen)) == 1
