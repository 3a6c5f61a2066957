"""Purchases with a lost outcome: what later uploads prove, and who gets the money."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from offline_world import PURSE, Box, Chip, Offline, join_offline

from backend.db import Units
from backend.kernel import ManualClock, new_id
from backend.keys import SoftwareKeys
from backend.payments.purses.loss_model import (
    LOSS_FLOW,
    DecideLoss,
    LossDenied,
    LossEvent,
    LossExists,
    LossFourEyesNeeded,
    LossState,
    LossStateConflict,
    LossUnknown,
    LossVerdict,
    LossView,
    OpenLoss,
    advance_loss,
)
from backend.payments.purses.states import CaseState
from backend.wallet import AccountState, WalletUnknown
from tests.simulation.money_world import Citizen, operation

OTHER = "03105170070104799999"
FEN = 300


@pytest.fixture
def offline(units: Units, keys: SoftwareKeys, clock: ManualClock, tmp_path: Path) -> Offline:
    made = join_offline(units, keys, clock, tmp_path)
    made.register()
    return made


@pytest.fixture
def box(offline: Offline) -> Box:
    return offline.box()


@pytest.fixture
def chip(clock: ManualClock) -> Chip:
    return Chip(clock)


@pytest.fixture
def citizen(offline: Offline) -> Citizen:
    return offline.world.citizen(1_000)


def lost(box: Box, chip: Chip) -> OpenLoss:
    """A purchase that is about to be torn, as the terminal's journal knows it."""
    return OpenLoss(
        loss_id=new_id("los"),
        terminal_id=box.facts.terminal_id,
        purse_number=PURSE,
        reference="R17",
        purchase_counter=chip.counter + 1,
        balance_before_fen=chip.balance_fen,
        amount_fen=FEN,
        staff_id="stf_a",
    )


def opened(offline: Offline, command: OpenLoss) -> LossView:
    return offline.losses.open(command, operation())


def end(offline: Offline, loss: LossView, event: LossEvent, **more: Any) -> LossView:
    command = DecideLoss(loss.loss_id, event, more.pop("staff_id", "stf_b"), "looked into", **more)
    return offline.losses.decide(command, operation())


def send(offline: Offline, box: Box, fen: int, proof: dict[str, object]) -> str | None:
    return offline.upload(box, box.keep(fen, proof))[0].code


@pytest.mark.parametrize(("state", "event"), list(product(LossState, LossEvent)))
def test_every_pair_is_decided(state: LossState, event: LossEvent) -> None:
    if (state, event) in LOSS_FLOW:
        assert advance_loss(state, event) is LOSS_FLOW[state, event]
    else:
        with pytest.raises(LossStateConflict):
            advance_loss(state, event)


def test_the_next_purchase_says_that_the_chip_paid(
    offline: Offline, box: Box, chip: Chip, citizen: Citizen
) -> None:
    """Goal: the counter moved by one and the balance by this amount; the holder gets it back."""
    command = lost(box, chip)
    loss = opened(offline, command)
    assert opened(offline, command) == loss
    assert (loss.state, loss.verdict) == (LossState.OPEN, LossVerdict.UNDECIDED)
    chip.pay(FEN)  # DEBIT worked, and its answer was never heard
    assert send(offline, box, 200, chip.pay(200)) is None
    assert offline.losses.get(loss.loss_id).verdict is LossVerdict.TAKEN
    with pytest.raises(LossDenied):
        end(offline, loss, LossEvent.DISMISS)
    done = end(offline, loss, LossEvent.REFUND, wallet_id=citizen.wallet_id)
    assert (done.state, done.verdict) == (LossState.REFUNDED, LossVerdict.TAKEN)
    assert offline.world.balance(citizen) == (1_300, 1_300)
    assert offline.balance_fen(f"epurse:{PURSE}") == -500
    with pytest.raises(LossStateConflict):
        end(offline, loss, LossEvent.PAY)


def test_another_purchase_under_its_counter_says_that_it_did_not(
    offline: Offline, box: Box, chip: Chip, citizen: Citizen
) -> None:
    loss = opened(offline, lost(box, chip))
    assert send(offline, box, 200, chip.pay(200)) is None
    assert offline.losses.get(loss.loss_id).verdict is LossVerdict.NOT_TAKEN
    for event in (LossEvent.REFUND, LossEvent.PAY):
        with pytest.raises(LossDenied):
            end(offline, loss, event, wallet_id=citizen.wallet_id)
    done = end(offline, loss, LossEvent.DISMISS)
    assert done.state is LossState.DISMISSED
    assert offline.world.balance(citizen) == (1_000, 1_000)


def test_another_balance_leaves_it_to_a_person(offline: Offline, box: Box, chip: Chip) -> None:
    """Goal: a load in between, or another amount: no proof either way."""
    loss = opened(offline, lost(box, chip))
    chip.pay(FEN)
    chip.balance_fen += 5_000
    assert send(offline, box, 200, chip.pay(200)) is None
    assert offline.losses.get(loss.loss_id).verdict is LossVerdict.UNDECIDED
    done = end(offline, loss, LossEvent.PAY)
    assert done.state is LossState.PAID
    assert offline.world.payable_fen(box.facts.merchant_id) == 200 + FEN


@pytest.mark.parametrize("event", [LossEvent.REFUND, LossEvent.PAY])
def test_uploaded_after_all_it_is_a_case(
    offline: Offline, box: Box, chip: Chip, citizen: Citizen, event: LossEvent
) -> None:
    """Goal: nobody is paid twice for one purchase."""
    loss = opened(offline, lost(box, chip))
    proof = chip.pay(FEN)
    end(offline, loss, event, wallet_id=citizen.wallet_id)
    assert send(offline, box, FEN, proof) == "purse_sale_kept"
    (case,), _ = offline.cases.of_state(CaseState.OPEN, limit=5, after=None)
    assert (case.amount_fen, case.reason) == (FEN, "counter_used")


def test_a_registered_purse_has_its_own_wallet_and_a_closed_one_a_case(
    offline: Offline, box: Box, chip: Chip, citizen: Citizen
) -> None:
    offline.register(OTHER, wallet_id=citizen.wallet_id)
    stranger = offline.world.citizen(1_000)
    loss = opened(offline, replace(lost(box, chip), purse_number=OTHER))
    offline.world.set_state(citizen.wallet_id, AccountState.CLOSED)
    end(offline, loss, LossEvent.REFUND, wallet_id=stranger.wallet_id)
    assert offline.world.balance(stranger) == (1_000, 1_000)
    assert offline.kinds()["suspense"] == FEN


def test_who_may_and_what_is_there(
    offline: Offline, box: Box, chip: Chip, citizen: Citizen
) -> None:
    command = lost(box, chip)
    loss = opened(offline, command)
    with pytest.raises(LossExists):
        opened(offline, replace(command, amount_fen=FEN + 1))
    with pytest.raises(LossFourEyesNeeded):
        end(offline, loss, LossEvent.PAY, staff_id="stf_a")
    for nowhere in (None, new_id("wal")):
        with pytest.raises(WalletUnknown):
            end(offline, loss, LossEvent.REFUND, wallet_id=nowhere)
    for unknown in ("los_x", new_id("los")):
        with pytest.raises(LossUnknown):
            offline.losses.get(unknown)
    other = opened(offline, lost(box, chip))
    page, following = offline.losses.of_state(LossState.OPEN, limit=1, after=None)
    assert ([one.loss_id for one in page], following) == ([loss.loss_id], loss.loss_id)
    page, following = offline.losses.of_state(LossState.OPEN, limit=1, after=following)
    assert ([one.loss_id for one in page], following) == ([other.loss_id], None)
