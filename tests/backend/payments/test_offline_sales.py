"""Uploads of taps and ride codes: who pays, what is refused, and that nobody pays twice."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from offline_world import DEBT_MAX_FEN, Box, Offline, b64u, join_offline, tap_proof

from backend.db import Units
from backend.kernel import ManualClock, new_id
from backend.keys import SoftwareKeys
from backend.payments.model import RefundPayment
from backend.payments.offline import CLONED
from backend.virtual_card import EndDevice, TapVerifier, TokenState, VerifiedProof
from backend.wallet.ledger import AccountState
from tests.simulation.money_world import Citizen, operation, owner_of


@pytest.fixture
def offline(units: Units, keys: SoftwareKeys, clock: ManualClock, tmp_path: Path) -> Offline:
    return join_offline(units, keys, clock, tmp_path)


@pytest.fixture
def box(offline: Offline) -> Box:
    return offline.box()


@pytest.fixture
def citizen(offline: Offline) -> Citizen:
    """With 100 元."""
    return offline.world.citizen(10_000)


def codes(results: list[Any]) -> list[str | None]:
    return [one.code for one in results]


def test_taps_are_paid_and_answered_in_order(
    offline: Offline, box: Box, citizen: Citizen, clock: ManualClock
) -> None:
    items = [box.tap(citizen, fen) for fen in (100, 200, 300)]
    clock.advance(timedelta(days=3))
    told = offline.upload(box, *reversed(items))
    assert [one.payment_id for one in told] == [one["payment_id"] for one in reversed(items)]
    assert [one.state.value for one in told] == ["captured"] * 3
    assert [one.balance_fen for one in told] == [9_700, 9_500, 9_400]
    assert offline.world.balance(citizen) == (9_400, 9_400)
    assert offline.world.payable_fen(box.facts.merchant_id) == 600
    payment = offline.world.sales.get(items[0]["payment_id"], owner_of(box.facts))
    assert (payment.captured_fen, payment.terminal_number) == (100, box.facts.terminal_number)


def test_an_upload_repeated_in_any_way_hears_the_first_answer(
    offline: Offline, box: Box, citizen: Citizen
) -> None:
    """Goal: cut, reordered, doubled within one upload, under other keys: charged once."""
    first, second = box.tap(citizen, 100), box.tap(citizen, 20_000)
    told = offline.upload(box, first, second, first)
    assert told[0] == told[2]
    assert codes(told) == [None, "insufficient_funds", None]
    offline.world.fund(citizen, 20_000)
    again = offline.upload(box, second, first)
    assert again == [told[1], told[0]]  # although the wallet could pay by now
    restarted = box.clone()
    assert offline.upload(restarted, first) == [told[0]]
    assert offline.world.balance(citizen) == (29_900, 29_900)


def test_one_bad_item_spoils_nothing(offline: Offline, box: Box, citizen: Citizen) -> None:
    good = box.tap(citizen, 100)
    forged = box.tap(citizen, 100)
    forged["proof"]["gpo_response"] = good["proof"]["gpo_response"]
    items: list[Any] = [
        {"payment_id": new_id("pay")},
        None,
        "x",
        {**good, "amount_fen": -1},
        forged,
        good,
    ]
    told = offline.upload(box, *items)
    assert [one.state.value for one in told] == ["refused"] * 5 + ["captured"]
    assert codes(told)[:4] == ["sale_malformed"] * 4
    assert told[4].code == "cryptogram_invalid"
    assert told[0].payment_id == items[0]["payment_id"]
    assert told[1].payment_id is None
    assert "chain" in str(told[0].detail)
    page, _ = offline.oddities.unread(limit=10, after=None)
    assert len(page) == 4
    assert offline.upload(box, *items) == told
    assert len(offline.oddities.unread(limit=10, after=None)[0]) == 4


def test_a_tap_for_another_sale_is_refused(offline: Offline, box: Box, citizen: Citizen) -> None:
    """Goal: amount and terminal are what the card agreed to."""
    dearer = {**box.tap(citizen, 100), "amount_fen": 101}
    elsewhere = offline.box().tap(citizen, 100)
    told = offline.upload(box, dearer, {**box.tap(citizen, 1), "proof": elsewhere["proof"]})
    assert codes(told) == ["tap_mismatch", "tap_mismatch"]
    assert offline.world.balance(citizen) == (10_000, 10_000)


def test_gaps_and_any_order_of_counters_are_normal(
    offline: Offline, box: Box, citizen: Citizen
) -> None:
    early = box.tap(citizen, 100, atc=3)
    late = box.tap(citizen, 100, atc=900)
    assert codes(offline.upload(box, late)) == [None]
    assert codes(offline.upload(box, early)) == [None]


def test_a_counter_pays_once_online_or_offline(
    offline: Offline, box: Box, citizen: Citizen
) -> None:
    """Goal: (token, ATC) is one identity for both ways."""
    item = box.tap(citizen, 100)
    again = box.keep(100, item["proof"])
    assert codes(offline.upload(box, item, again)) == [None, "atc_seen"]
    online = offline.world.tap_sale(box.facts, citizen, 50, counter=500)
    shown = citizen.card.tap(box.facts, 50, atc=citizen.card.atc)
    proof = tap_proof(shown.pdol_data, shown.gpo_response)
    assert online.captured_fen == 50
    told = offline.upload(box, box.keep(50, proof))
    assert codes(told) == ["token_clone_suspected"]  # one counter, two cryptograms
    found = offline.world.cards.get(citizen.person_id, citizen.card.card.token_id)
    assert found.state is TokenState.SUSPENDED


def test_an_online_sale_that_was_lost_is_not_charged_again(
    offline: Offline, box: Box, citizen: Citizen
) -> None:
    tap = citizen.card.tap(box.facts, 100)
    item = box.keep(100, tap_proof(tap.pdol_data, tap.gpo_response))
    named = {"payment_id": item["payment_id"], "counter": item["terminal_counter"]}
    online = offline.world.sell(box.facts, tap, 100, **named)
    told = offline.upload(box, item)
    assert (told[0].state.value, told[0].balance_fen) == ("captured", online.balance_fen)
    assert offline.world.balance(citizen) == (9_900, 9_900)


def test_a_sale_that_was_reversed_before_it_came_stays_so(
    offline: Offline, box: Box, citizen: Citizen
) -> None:
    item = box.tap(citizen, 100)
    offline.world.sales.reverse(item["payment_id"], owner_of(box.facts), operation())
    assert codes(offline.upload(box, item)) == ["payment_reversed"]
    assert offline.world.balance(citizen) == (10_000, 10_000)


# --- who bears what the wallet has not ------------------------------------------------------------


def test_a_low_wallet_owes_up_to_its_ceiling_and_the_issuer_bears_the_rest(
    offline: Offline, box: Box
) -> None:
    poor = offline.world.citizen(300)
    told = offline.upload(box, box.tap(poor, 2_000))
    assert (told[0].state.value, told[0].balance_fen) == ("captured", 0)
    assert offline.debt_fen(poor) == DEBT_MAX_FEN
    assert offline.loss_fen == 2_000 - 300 - DEBT_MAX_FEN
    assert offline.world.payable_fen(box.facts.merchant_id) == 2_000
    offline.upload(box, box.tap(poor, 400))  # nothing left to owe
    assert (offline.debt_fen(poor), offline.loss_fen) == (DEBT_MAX_FEN, 700 + 400)


def test_above_the_certificates_limit_the_merchant_is_paid_as_online(
    offline: Offline, box: Box, citizen: Citizen
) -> None:
    poor = offline.world.citizen(300)
    told = offline.upload(box, box.tap(citizen, 5_001), box.tap(poor, 5_001))
    assert codes(told) == [None, "insufficient_funds"]
    assert (offline.debt_fen(poor), offline.loss_fen) == (0, 0)
    assert offline.world.balance(poor) == (300, 300)


def test_a_refund_makes_the_issuer_whole_first(offline: Offline, box: Box) -> None:
    """Goal: nobody turns the issuer's loss into money of a wallet by a refund."""
    poor = offline.world.citizen(300)
    item = box.tap(poor, 2_000)
    offline.upload(box, item)
    for number, fen in enumerate((500, 1_500)):
        command = RefundPayment(item["payment_id"], new_id("ref"), fen, "returned")
        offline.world.sales.refund(command, owner_of(box.facts), operation(f"refund-{number}"))
        assert offline.loss_fen == max(0, 700 - (500, 2_000)[number])
    assert offline.world.balance(poor)[0] == 1_300  # what it gave and what it owes


def test_a_reversal_makes_the_issuer_whole_too(offline: Offline, box: Box) -> None:
    poor = offline.world.citizen(300)
    item = box.tap(poor, 2_000)
    offline.upload(box, item)
    offline.world.sales.reverse(item["payment_id"], owner_of(box.facts), operation())
    assert (offline.loss_fen, offline.world.balance(poor)[0]) == (0, 1_300)


@pytest.mark.parametrize("state", [AccountState.FROZEN, AccountState.CLOSED])
def test_a_wallet_that_may_not_pay_is_not_touched(
    offline: Offline, box: Box, citizen: Citizen, state: AccountState
) -> None:
    item, dear = box.tap(citizen, 1_000), box.tap(citizen, 5_001)
    offline.world.set_state(citizen.wallet_id, state)
    told = offline.upload(box, item, dear)
    assert codes(told) == [None, f"wallet_{state.value}"]
    assert (offline.loss_fen, offline.balance_fen(citizen.wallet_id)) == (1_000, 10_000)


# --- stopped cards, old sales -------------------------------------------------------------------


def test_a_stopped_card_is_judged_as_of_the_tap(
    offline: Offline, box: Box, citizen: Citizen, clock: ManualClock
) -> None:
    """Goal: before the stop the holder pays, soon after it the issuer, later the merchant."""
    before = box.tap(citizen, 100)
    clock.advance(timedelta(minutes=5))
    offline.report_loss(citizen)
    clock.advance(timedelta(hours=23))
    soon = box.tap(citizen, 200)
    clock.advance(timedelta(hours=2))
    late = box.tap(citizen, 400)
    told = offline.upload(box, before, soon, late)
    assert codes(told) == [None, None, "token_suspended"]
    assert offline.world.balance(citizen) == (9_900, 9_900)
    assert offline.loss_fen == 200
    assert offline.world.payable_fen(box.facts.merchant_id) == 300


def test_a_phone_its_holder_set_aside_still_pays_from_the_wallet(
    offline: Offline, box: Box, citizen: Citizen, clock: ManualClock
) -> None:
    """Goal: ending one's own device buys nothing at the issuer's cost."""
    device_id = citizen.card.card.device_id
    offline.world.devices.end(EndDevice(citizen.person_id, device_id), operation())
    clock.advance(timedelta(hours=1))
    soon = box.tap(citizen, 200)
    clock.advance(timedelta(hours=24))
    assert codes(offline.upload(box, soon, box.tap(citizen, 400))) == [None, "token_deleted"]
    assert offline.world.balance(citizen) == (9_800, 9_800)
    assert offline.loss_fen == 0


def test_a_key_that_had_ended_at_the_tap_is_refused_one_that_ended_since_is_not(
    offline: Offline, box: Box, citizen: Citizen, clock: ManualClock
) -> None:
    in_time = box.tap(citizen, 100)
    clock.advance(timedelta(hours=121))
    too_late = box.tap(citizen, 100)
    assert codes(offline.upload(box, in_time, too_late)) == [None, "key_expired"]


def test_a_sale_older_than_the_limit_is_refused_and_kept(
    offline: Offline, box: Box, citizen: Citizen, clock: ManualClock
) -> None:
    item = box.tap(citizen, 100)
    clock.advance(timedelta(days=30, seconds=1))
    told = offline.upload(box, item)
    assert codes(told) == ["sale_too_old"]
    assert offline.upload(box, item) == told


def test_a_clock_a_day_ahead_loses_no_sale(offline: Offline, box: Box, citizen: Citizen) -> None:
    item = box.tap(citizen, 100, date=bytes.fromhex("261124"))
    assert codes(offline.upload(box, item)) == [None]


def test_an_upload_at_once_is_no_sign_of_a_copied_phone(
    offline: Offline, box: Box, citizen: Citizen, clock: ManualClock
) -> None:
    """Goal: a tap taken offline and sent a minute later, while a later one came online, is
    nobody's fault."""
    item = box.tap(citizen, 100)
    clock.advance(timedelta(seconds=10))
    now = clock.now() + timedelta(hours=8)
    at: dict[str, Any] = {"time": bytes.fromhex(now.strftime("%H%M%S"))}
    other = offline.box().facts
    offline.world.sell(other, citizen.card.tap(other, 50, **at), 50)
    clock.advance(timedelta(seconds=80))
    assert codes(offline.upload(box, item)) == [None]
    verifier: TapVerifier = offline.world.sales.verifier
    shown = citizen.card.tap(other, 10)
    proof = verifier.verify_tap(shown.pdol_data, shown.gpo_response, clock.now())
    assert isinstance(proof, VerifiedProof)  # the card is not suspended


# --- ride codes ---------------------------------------------------------------------------------


def test_a_ride_code_pays_once_and_within_its_cap(
    offline: Offline, box: Box, citizen: Citizen, clock: ManualClock
) -> None:
    proof = {"kind": "ride_code", "code": b64u(offline.ride_code(citizen, clock.now()))}
    item, again = box.keep(200, proof), box.keep(200, proof)
    clock.advance(timedelta(seconds=1))
    fresh = {"kind": "ride_code", "code": b64u(offline.ride_code(citizen, clock.now()))}
    dear = box.keep(2_001, fresh)
    clock.advance(timedelta(days=2))
    told = offline.upload(box, item, again, dear)
    assert codes(told) == [None, "ride_code_used", "ride_amount_exceeds_code"]
    assert offline.world.balance(citizen) == (9_800, 9_800)
    payment = offline.world.sales.get(item["payment_id"], owner_of(box.facts))
    assert payment.method.value == "ride_code"


def test_a_ride_code_must_fit_the_moment_it_was_accepted(
    offline: Offline, box: Box, citizen: Citizen, clock: ManualClock
) -> None:
    code = offline.ride_code(citizen, clock.now())
    altered = bytes((*code[:-1], code[-1] ^ 1))
    items = [box.keep(200, {"kind": "ride_code", "code": b64u(one)}) for one in (altered, code)]
    clock.advance(timedelta(minutes=5))
    late = {**items[1], "accepted_at": clock.now().isoformat()}
    told = offline.upload(box, items[0], late)
    assert codes(told) == ["ride_code_refused"] * 2
    assert "ride_code_altered" in str(told[0].detail)
    assert "ride_code_expired" in str(told[1].detail)


# --- copied terminals ---------------------------------------------------------------------------


def test_a_copied_disk_is_found_and_charges_nobody_twice(
    offline: Offline, box: Box, citizen: Citizen
) -> None:
    """Goal: two bodies under one counter: the first stands, the second is kept for a person."""
    copy = box.clone()
    first, second = box.tap(citizen, 100), copy.tap(citizen, 300)
    assert first["terminal_counter"] == second["terminal_counter"]
    assert codes(offline.upload(box, first)) == [None]
    told = offline.upload(copy, second)
    assert codes(told) == ["terminal_cloned"]
    assert offline.upload(copy, second) == told
    assert offline.told(CLONED) == 1
    report = offline.oddities.report(box.facts.terminal_id)
    assert [(one.first_payment_id, one.payment_id) for one in report.sales] == [
        (first["payment_id"], second["payment_id"])
    ]
    assert offline.oddities.terminals(limit=10, after=None) == ([box.facts.terminal_id], None)
    assert offline.world.balance(citizen) == (9_900, 9_900)


def test_a_forked_chain_is_a_copy(offline: Offline, box: Box, citizen: Citizen) -> None:
    item = box.tap(citizen, 100)
    offline.upload(box, item)
    assert codes(offline.upload(box, {**item, "chain": "ab" * 32})) == ["terminal_cloned"]
    assert offline.world.balance(citizen) == (9_900, 9_900)


def test_an_incarnation_that_returns_is_told_and_refuses_nothing(
    offline: Offline, box: Box, citizen: Citizen
) -> None:
    restarted = box.clone()
    items = [box.tap(citizen, fen) for fen in (1, 2, 3)]
    for one, item in zip((box, restarted, box), items, strict=True):
        assert codes(offline.upload(one, item)) == [None]
    report = offline.oddities.report(box.facts.terminal_id)
    assert [(one.incarnation, one.returns) for one in report.incarnations] == [(box.incarnation, 1)]
    assert offline.told(CLONED) == 1


def test_a_sale_of_another_terminal_is_not_taken_over(
    offline: Offline, box: Box, citizen: Citizen
) -> None:
    item = box.tap(citizen, 100)
    offline.upload(box, item)
    assert codes(offline.upload(offline.box(), item)) == ["payment_exists_differently"]
    assert offline.world.balance(citizen) == (9_900, 9_900)


def test_a_refund_to_a_closed_wallet_makes_the_issuer_whole_and_opens_a_case(
    offline: Offline, box: Box
) -> None:
    """Goal: of 2 000 the wallet gave 300 and owes 1 000: that waits for its owner, 700 do not."""
    poor = offline.world.citizen(300)
    item = box.tap(poor, 2_000)
    offline.upload(box, item)
    offline.world.set_state(poor.wallet_id, AccountState.CLOSED)
    command = RefundPayment(item["payment_id"], new_id("ref"), 2_000, "returned")
    offline.world.sales.refund(command, owner_of(box.facts), operation())
    assert offline.loss_fen == 0
    totals = offline.kinds()
    assert totals["suspense"] == 1_300
