"""Sales by tap, pay code and merchant code: paid once, by the right person, for this sale."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backend.db import AnsweredBefore
from backend.kernel import new_id
from backend.merchants import MakeCode, MerchantCodeAltered, MerchantCodeMalformed, TerminalFacts
from backend.payments import Payment, PaymentUnknown
from backend.payments.model import (
    AmountMismatch,
    BillPaid,
    Method,
    Owner,
    PaymentExists,
    PayMerchantCode,
    TerminalCounterSeen,
)
from backend.payments.states import State
from backend.wallet import InsufficientFunds, WalletUnknown
from tests.simulation.books import USED_UP, dump
from tests.simulation.money_world import Citizen, World, operation, owner_of


def code(world: World, till: TerminalFacts, bill: str, fen: int | None) -> str:
    made = world.codes.make_for_terminal(MakeCode(till.terminal_id, bill, fen), operation())
    return made.content


def test_a_tap_pays(world: World, till: TerminalFacts, citizen: Citizen) -> None:
    payment = world.tap_sale(till, citizen, 1_250)
    assert (payment.state, payment.method) == (State.CAPTURED, Method.TAP)
    assert (payment.amount_fen, payment.captured_fen, payment.balance_fen) == (1_250, 1_250, 8_750)
    assert (payment.merchant_id, payment.shop_id) == (till.merchant_id, till.shop_id)
    assert payment.terminal_number == till.terminal_number
    number = citizen.card.card.token_number
    assert payment.token_number_masked == f"{number[:6]}·········{number[-4:]}"
    assert world.balance(citizen) == (8_750, 8_750)
    assert world.payable_fen(till.merchant_id) == 1_250


@pytest.mark.parametrize("off_seconds", [-29, 0, 29])
def test_a_pay_code_pays_with_a_clock_half_a_minute_off(
    world: World, till: TerminalFacts, citizen: Citizen, off_seconds: int
) -> None:
    shown = citizen.card.pay_code(world.clock.now() + timedelta(seconds=off_seconds))
    payment = world.sell(till, shown, 300)
    assert (payment.state, payment.method) == (State.CAPTURED, Method.PAY_CODE)
    assert world.balance(citizen) == (9_700, 9_700)


def test_the_last_fen_can_be_spent_and_not_one_more(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    world.tap_sale(till, citizen, 1)
    before = dump(world.units, but=USED_UP)
    with pytest.raises(InsufficientFunds) as refusal:
        world.tap_sale(till, citizen, 10_000)
    assert refusal.value.data["short_by_fen"] == 1
    assert refusal.value.data["balance_fen"] == 9_999
    assert dump(world.units, but=USED_UP) == before
    assert world.tap_sale(till, citizen, 9_999).balance_fen == 0


def test_a_refused_first_sale_of_the_day_leaves_nothing_but_the_used_proof(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    """Goal: no account is opened for a merchant's day on which nothing was sold."""
    before = dump(world.units, but=USED_UP)
    with pytest.raises(InsufficientFunds):
        world.tap_sale(till, citizen, 10_001)
    with pytest.raises(InsufficientFunds):
        world.tap_sale(till, citizen, 10_001, capture=False)
    assert dump(world.units, but=USED_UP) == before


# --- the same sale again ------------------------------------------------------------------------


def test_a_sale_asked_again_is_the_same_sale(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    """Goal: with its key or another, with its tap or another: one charge, one answer."""
    tap = citizen.card.tap(till, 1_250)
    named: dict[str, Any] = {"payment_id": new_id("pay"), "counter": 77}
    first = world.sell(till, tap, 1_250, **named, key="k")
    before = dump(world.units)
    with pytest.raises(AnsweredBefore):
        world.sell(till, tap, 1_250, **named, key="k")
    assert world.sell(till, tap, 1_250, **named) == first
    assert world.tap_sale(till, citizen, 1_250, **named) == first
    world.clock.advance(timedelta(days=30))  # keys and codes have ended since
    assert world.sell(till, tap, 1_250, **named) == first
    assert dump(world.units) == before


def test_a_refusal_is_remembered_under_its_key(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    tap = citizen.card.tap(till, 10_001)
    named: dict[str, Any] = {"payment_id": new_id("pay"), "counter": 77, "key": "k"}
    with pytest.raises(InsufficientFunds):
        world.sell(till, tap, 10_001, **named)
    world.fund(citizen, 5_000)
    with pytest.raises(AnsweredBefore):
        world.sell(till, tap, 10_001, **named)
    assert world.balance(citizen) == (15_000, 15_000)


def test_an_id_means_one_sale(world: World, till: TerminalFacts, citizen: Citizen) -> None:
    other_till = world.terminal(till.shop_id)
    first = world.tap_sale(till, citizen, 500, counter=7)
    before = dump(world.units)
    for where, fen, counter in ((till, 501, 7), (till, 500, 8), (other_till, 500, 7)):
        with pytest.raises(PaymentExists):
            world.tap_sale(where, citizen, fen, payment_id=first.payment_id, counter=counter)
    with pytest.raises(TerminalCounterSeen):
        world.tap_sale(till, citizen, 500, counter=7)
    link = code(world, other_till, "B1", 500)
    before = dump(world.units)
    with pytest.raises(PaymentExists):
        world.pay_code_of(world.citizen(), link, 500, first.payment_id)
    after = dump(world.units)
    assert {name for name in before if before[name] != after[name]} <= NEW_CITIZEN
    assert world.tap_sale(other_till, citizen, 500, counter=7).state is State.CAPTURED


NEW_CITIZEN = {
    "ledger.account",
    "ledger.wallet",
    "ledger.wallet_owner",
    *(f"business.{name}" for name in ("device", "token", "token_history", "token_key_batch")),
    *(f"business.{name}" for name in ("token_place", "token_number", "token_short_number")),
    *(f"business.{name}" for name in ("card_holder", "token_decision")),
}


# --- merchant codes -----------------------------------------------------------------------------


def test_a_static_code_is_paid_as_often_as_citizens_like(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    content = world.codes.make_for_shop(till.shop_id).content
    for fen in (100, 200, 100):
        payment = world.pay_code_of(citizen, content, fen)
        assert (payment.method, payment.terminal_id) == (Method.STATIC_CODE, None)
    assert world.balance(citizen) == (9_600, 9_600)
    assert world.payable_fen(till.merchant_id) == 400


def test_a_bill_is_paid_once(world: World, till: TerminalFacts, citizen: Citizen) -> None:
    content = code(world, till, "B1", 2_000)
    assert world.sales.find_by_bill("B1", till.shop_id) == []
    paid = world.pay_code_of(citizen, content, 2_000)
    assert paid.method is Method.MERCHANT_CODE
    assert (paid.bill_number, paid.terminal_id) == ("B1", till.terminal_id)
    assert world.sales.find_by_bill("B1", till.shop_id) == [paid]
    other = world.citizen(5_000)
    before = dump(world.units)
    for payer in (citizen, other):
        with pytest.raises(BillPaid):
            world.pay_code_of(payer, content, 2_000)
    assert world.pay_code_of(citizen, content, 2_000, paid.payment_id) == paid  # a lost answer
    assert dump(world.units) == before
    second_shop = world.terminal(world.shop(till.merchant_id, "二号店"))
    assert world.sales.find_by_bill("B1", second_shop.shop_id) == []
    assert world.pay_code_of(citizen, code(world, second_shop, "B1", 1), 1)


def test_a_link_payment_cannot_be_taken_over(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    content = world.codes.make_for_shop(till.shop_id).content
    paid = world.pay_code_of(citizen, content, 100)
    other = world.citizen(1_000)
    before = dump(world.units)
    for payer, fen in ((other, 100), (citizen, 101)):
        with pytest.raises(PaymentExists):
            world.pay_code_of(payer, content, fen, paid.payment_id)
    with pytest.raises(WalletUnknown):  # somebody else's wallet
        world.sales.pay_merchant_code(
            PayMerchantCode(other.person_id, new_id("pay"), citizen.wallet_id, content, 1),
            operation(),
        )
    assert dump(world.units) == before


def test_refusals_of_merchant_codes_change_nothing(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    content = code(world, till, "B1", 2_000)
    before = dump(world.units)
    with pytest.raises(AmountMismatch) as refusal:
        world.pay_code_of(citizen, content, 1_999)
    assert refusal.value.data == {"expected_fen": 2_000}
    static = world.codes.make_for_shop(till.shop_id).content
    with pytest.raises(InsufficientFunds):
        world.pay_code_of(citizen, static, 10_001)
    for text in ("", "000201", content[:-1], content.replace("20.00", "02.00"), "9" * 500):
        with pytest.raises((MerchantCodeMalformed, MerchantCodeAltered)):
            world.pay_code_of(citizen, text, 2_000)
    with pytest.raises(MerchantCodeAltered):  # CRC made fit again: the MAC is not
        world.pay_code_of(citizen, _with_amount(content, "20.00", "02.00"), 200)
    assert dump(world.units) == before


def _with_amount(content: str, old: str, new: str) -> str:
    """The code with another amount and the checksum made right (EMVCo MPM 4.7.3)."""
    body = content[:-4].replace(old, new)
    crc = 0xFFFF
    for byte in body.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
            crc &= 0xFFFF
    return f"{body}{crc:04X}"


# --- who may see it -----------------------------------------------------------------------------


def test_a_payment_is_seen_by_its_three_parties_only(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    paid: Payment = world.tap_sale(till, citizen, 100)
    neighbour = world.terminal(till.shop_id)
    stranger = world.terminal(world.shop(world.merchant("城西超市")))
    for owner in (owner_of(till), Owner(merchant_id=till.merchant_id)):
        assert world.sales.get(paid.payment_id, owner) == paid
    assert world.sales.get_mine(paid.payment_id, citizen.person_id) == paid
    for owner in (
        owner_of(neighbour),
        owner_of(stranger),
        Owner(merchant_id=stranger.merchant_id),
        Owner(),
    ):
        with pytest.raises(PaymentUnknown):
            world.sales.get(paid.payment_id, owner)
    with pytest.raises(PaymentUnknown):
        world.sales.get_mine(paid.payment_id, new_id("per"))


def test_what_was_never_an_id_is_unknown(world: World, till: TerminalFacts) -> None:
    for payment_id in ["", "x", "pay_\x00", "pay_" + "0" * 400, "ref_1", "支付"]:
        with pytest.raises(PaymentUnknown):
            world.sales.get(payment_id, owner_of(till))
        with pytest.raises(PaymentUnknown):
            world.sales.get_mine(payment_id, new_id("per"))
