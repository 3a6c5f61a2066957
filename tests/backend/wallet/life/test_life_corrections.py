"""Corrections: asked by one, approved by another, posted once; what was written stays."""

from __future__ import annotations

import pytest
from life_world import OTHER_STAFF, STAFF, Life

from backend.kernel import new_id
from backend.wallet import InsufficientFunds
from backend.wallet.accounts import CHANNEL_BANK
from backend.wallet.life.errors import (
    AlreadyCorrected,
    CorrectionDecided,
    CorrectionExists,
    CorrectionNotPossible,
    CorrectionUnknown,
    PostingUnknown,
)
from backend.wallet.life.model import CORRECTABLE, AskCorrection, Correction
from backend.wallet.life.states import CorrectionState
from backend.wallet.model import FourEyesNeeded
from tests.simulation.books import dump
from tests.simulation.money_world import Citizen, operation


def ask(
    life: Life, operation_id: str, *, correction_id: str | None = None, reason: str = "记错账户"
) -> Correction:
    command = AskCorrection(STAFF, correction_id or new_id("cor"), operation_id, reason)
    return life.corrections.ask(command, operation())


def approve(life: Life, asked: Correction, staff_id: str = OTHER_STAFF) -> Correction:
    return life.corrections.approve(asked.correction_id, staff_id, operation())


@pytest.fixture
def citizen(life: Life) -> Citizen:
    return life.world.citizen()


@pytest.fixture
def topup_id(life: Life, citizen: Citizen) -> str:
    """A top-up of 200 元 that should not have been."""
    topup_id = life.world.request_topup(citizen, 20_000).topup_id
    life.worker.deliver_due()
    return topup_id


def test_the_mirror_is_posted_by_the_second_person(
    life: Life, citizen: Citizen, topup_id: str
) -> None:
    asked = ask(life, topup_id)
    assert (asked.state, asked.posting_code, asked.amount_fen) == (
        CorrectionState.ASKED,
        "top_up",
        20_000,
    )
    assert life.world.balance(citizen) == (20_000, 20_000)
    before = dump(life.world.units)
    with pytest.raises(FourEyesNeeded):
        approve(life, asked, STAFF)
    with pytest.raises(FourEyesNeeded):
        life.corrections.reject(asked.correction_id, STAFF, operation())
    assert dump(life.world.units) == before
    done = approve(life, asked)
    assert (done.state, done.asked_by, done.decided_by) == (
        CorrectionState.APPROVED,
        STAFF,
        OTHER_STAFF,
    )
    assert (life.world.balance(citizen), life.account(CHANNEL_BANK).balance_fen) == ((0, 0), 0)
    lines, _ = life.world.wallets.lines(citizen.wallet_id, citizen.person_id, limit=5, after=None)
    assert [(one.code, one.amount_fen, one.balance_fen) for one in lines] == [
        ("correction", -20_000, 0),
        ("top_up", 20_000, 20_000),
    ]
    assert (lines[0].counterparty, lines[0].reference) == ("更正：记错账户", topup_id)


def test_once_however_often_asked(life: Life, citizen: Citizen, topup_id: str) -> None:
    first, second = ask(life, topup_id), ask(life, topup_id)
    approve(life, first)
    with pytest.raises(CorrectionDecided):
        approve(life, first)
    with pytest.raises(AlreadyCorrected):
        approve(life, second)
    with pytest.raises(AlreadyCorrected):
        ask(life, topup_id)
    with pytest.raises(CorrectionNotPossible):  # nor is a correction corrected
        ask(life, f"{topup_id}/correction")
    assert life.world.balance(citizen) == (0, 0)


def test_rejected_leaves_everything_and_may_be_asked_anew(
    life: Life, citizen: Citizen, topup_id: str
) -> None:
    asked = ask(life, topup_id)
    done = life.corrections.reject(asked.correction_id, OTHER_STAFF, operation())
    assert done.state is CorrectionState.REJECTED
    with pytest.raises(CorrectionDecided):
        approve(life, asked)
    assert life.world.balance(citizen) == (20_000, 20_000)
    approve(life, ask(life, topup_id))
    assert life.world.balance(citizen) == (0, 0)


def test_the_wallet_must_still_have_it(life: Life, citizen: Citizen, topup_id: str) -> None:
    asked = ask(life, topup_id)
    life.pay(citizen, 1)
    before = dump(life.world.units)
    with pytest.raises(InsufficientFunds):
        approve(life, asked)
    assert dump(life.world.units) == before
    assert life.corrections.get(asked.correction_id).state is CorrectionState.ASKED


def test_what_has_a_state_of_its_own_is_not_corrected_behind_its_back(
    life: Life, citizen: Citizen, topup_id: str
) -> None:
    """Else a payment could be corrected and then refunded: the same money twice."""
    paid = life.pay(citizen, 1_000)
    with pytest.raises(CorrectionNotPossible) as refusal:
        ask(life, paid.payment_id)
    assert refusal.value.data == {"posting_code": "payment"}
    barred = {"payment", "refund", "reversal", "correction", "redemption", "closing", "payout"}
    assert not CORRECTABLE & (barred | {"suspense", "suspense_solved", "load", "netted"})


def test_several_legs_are_undone_together(life: Life, citizen: Citizen) -> None:
    life.ride(citizen, 300)
    life.world.fund(citizen, 1_000)
    life.redeem(life.rich(500), 100)
    rider = life.rich(50)
    life.ride(rider, 80)
    life.refunded(rider, 1_000)
    redemption_id = life.redeem(rider, 100).redemption_id
    debt = f"ride_debt:{rider.wallet_id}"
    assert life.account(debt).balance_fen == 0
    approve(life, ask(life, f"{redemption_id}/debt"))
    assert life.account(debt).balance_fen == 30
    assert life.world.balance(rider) == (1_000, 900)


def test_bad_ids(life: Life, topup_id: str) -> None:
    asked = ask(life, topup_id)
    before = dump(life.world.units)
    for strange in ("x", new_id("top"), topup_id + "/", "0" * 89, "0" * 100, "更" * 80):
        with pytest.raises(PostingUnknown):
            ask(life, strange)
    second = life.world.request_topup(life.world.citizen(), 700).topup_id
    life.worker.deliver_due()
    before = dump(life.world.units)
    with pytest.raises(CorrectionExists):
        ask(life, topup_id, correction_id=asked.correction_id, reason="another")
    with pytest.raises(CorrectionExists):
        ask(life, second, correction_id=asked.correction_id)
    for unknown in (new_id("cor"), "cor_x", "", "x" * 200):
        with pytest.raises(CorrectionUnknown):
            life.corrections.approve(unknown, OTHER_STAFF, operation())
        with pytest.raises(CorrectionUnknown):
            life.corrections.get(unknown)
    assert ask(life, topup_id, correction_id=asked.correction_id) == asked
    assert dump(life.world.units) == before


def test_open_corrections_page_oldest_first(life: Life, topup_id: str) -> None:
    asked = [ask(life, topup_id) for _ in range(3)]
    page, after = life.corrections.of_state(CorrectionState.ASKED, limit=2, after=None)
    rest, last = life.corrections.of_state(CorrectionState.ASKED, limit=2, after=after)
    assert ([*page, *rest], last) == (asked, None)
