"""Purse sales uploaded: false, doubled, unknown and stopped purses, and the three figures."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from offline_world import ISSUER_ID, PURSE, Box, Chip, Offline, join_offline

from backend.cards import PurseEvent, PurseUnknown
from backend.db import Units
from backend.kernel import ManualClock
from backend.keys import SoftwareKeys
from backend.payments.purses.model import DecideCase, PurseCaseNotKnown, PurseCaseUnknown
from backend.payments.purses.states import CaseState, PurseCaseDecided
from card_protocol.epurse.suites import SM4_SUITE
from tests.simulation.money_world import operation

OTHER = "03105170070104799999"


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


def send(offline: Offline, box: Box, fen: int, proof: dict[str, object]) -> str | None:
    return offline.upload(box, box.keep(fen, proof))[0].code


def test_purchases_are_paid_from_the_float_whenever_they_come(
    offline: Offline, box: Box, chip: Chip, clock: ManualClock
) -> None:
    """Goal: late, in another order, with a gap."""
    items = []
    for fen in (150, 250, 350):
        items.append(box.keep(fen, chip.pay(fen)))
        clock.advance(timedelta(hours=1))
    told = offline.upload(box, items[2])
    assert (told[0].state.value, told[0].balance_fen) == ("captured", 9_250)
    figures = offline.books.figures(PURSE)
    assert (figures.chip_fen, figures.book_fen, figures.not_uploaded_fen) == (9_250, -350, -9_600)
    offline.upload(box, items[0])
    assert offline.books.figures(PURSE).chip_fen == 9_250  # the older word does not count
    assert offline.balance_fen(f"epurse:{PURSE}") == -500
    assert offline.world.payable_fen(box.facts.merchant_id) == 500


def test_sm4_and_compound_purchases_and_free_entries(
    offline: Offline, box: Box, clock: ManualClock
) -> None:
    offline.register(OTHER, suite=4)
    chip = Chip(clock, OTHER, SM4_SUITE)
    assert send(offline, box, 0, chip.pay(0, transaction_type=9)) is None
    assert send(offline, box, 200, chip.pay(200, transaction_type=9, suite="sm4")) is None
    assert offline.world.payable_fen(box.facts.merchant_id) == 200


def test_a_free_entry_is_checked_and_kept_and_moves_nothing(
    offline: Offline, box: Box, clock: ManualClock
) -> None:
    """Goal: 0 fen is no way around the TAC or its one use, and nobody waits under a case for it."""
    chip, before = Chip(clock), offline.kinds()
    fare = {"kind": "entry", "full_fare_fen": 0, "concession_fen": 0, "transfer_fen": 0}
    proof = chip.pay(0, transaction_type=9, records=["ab" * 48, "cd" * 128])
    item = box.keep(0, proof, fare=fare)
    (told,) = offline.upload(box, item)
    assert (told.state.value, told.balance_fen) == ("captured", 10_000)
    assert offline.upload(box, item) == [told]
    assert send(offline, box, 0, proof) == "purse_sale_seen"
    assert send(offline, box, 0, chip.pay(0, transaction_type=9, tac="00000000")) == (
        "purse_tac_invalid"
    )
    stranger = Chip(clock, OTHER, serials=count(100))
    assert send(offline, box, 0, stranger.pay(0, transaction_type=9)) is None
    assert offline.cases.of_state(CaseState.OPEN, limit=10, after=None)[0] == []
    assert {**before, "epurse_float": 0} == offline.kinds()
    assert offline.books.figures(PURSE).chip_fen == 10_000


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"tac": "00000000"}, "purse_tac_invalid"),
        ({"terminal_serial": "0000ffff", "tac": "11223344"}, "purse_tac_invalid"),
        ({"key_version": 2}, "purse_mismatch"),
        ({"suite": 4}, "purse_mismatch"),
        ({"issuer_id": "0" * 16}, "purse_mismatch"),
        ({"transaction_time": "20261399000000"}, "sale_malformed"),
        ({"purchase_counter": 65_536}, "sale_malformed"),
        ({"tac": "zz"}, "sale_malformed"),
    ],
)
def test_false_words_are_refused(
    offline: Offline, box: Box, chip: Chip, changes: dict[str, object], code: str
) -> None:
    assert send(offline, box, 100, {**chip.pay(100), **changes}) == code
    assert offline.balance_fen(f"epurse:{PURSE}") == 0


def test_the_tac_covers_the_amount(offline: Offline, box: Box, chip: Chip) -> None:
    assert send(offline, box, 101, chip.pay(100)) == "purse_tac_invalid"


def test_one_tac_pays_once_whatever_counter_it_is_told_under(
    offline: Offline, box: Box, chip: Chip
) -> None:
    """Goal: the TAC does not cover the chip's counter, so the SAM's own count is an identity."""
    proof = chip.pay(100)
    assert send(offline, box, 100, proof) is None
    assert send(offline, box, 100, proof) == "purse_sale_seen"
    assert send(offline, box, 100, {**proof, "purchase_counter": 77}) == "purse_sale_seen"
    assert send(offline, offline.box(), 100, {**proof, "purchase_counter": 78}) == (
        "purse_sale_seen"
    )
    assert offline.balance_fen(f"epurse:{PURSE}") == -100


def test_a_counter_told_twice_is_a_case_for_a_person(
    offline: Offline, box: Box, chip: Chip
) -> None:
    first = chip.pay(100)
    assert send(offline, box, 100, first) is None
    second = {**chip.pay(300), "purchase_counter": first["purchase_counter"]}
    assert send(offline, box, 300, second) == "purse_sale_kept"
    cases, _ = offline.cases.of_state(CaseState.OPEN, limit=10, after=None)
    assert [(one.amount_fen, one.reason) for one in cases] == [(300, "counter_used")]
    assert offline.balance_fen(f"suspense:{cases[0].case_id}") == 300
    decided = offline.cases.dismiss(
        DecideCase(cases[0].case_id, "stf_b", "a copied chip"), operation()
    )
    assert decided.state is CaseState.DISMISSED
    assert offline.balance_fen(f"epurse:{PURSE}") == -100
    with pytest.raises(PurseCaseDecided):
        offline.cases.pay(DecideCase(cases[0].case_id, "stf_b", "no"), operation())


def test_an_unknown_purse_waits_until_it_is_known(
    offline: Offline, box: Box, clock: ManualClock
) -> None:
    chip = Chip(clock, OTHER)
    item = box.keep(100, chip.pay(100))
    told = offline.upload(box, item)
    assert told[0].code == "purse_sale_kept"
    assert offline.world.payable_fen(box.facts.merchant_id) == 0
    (case,), _ = offline.cases.of_state(CaseState.OPEN, limit=10, after=None)
    command = DecideCase(case.case_id, "stf_b", "found in the old register")
    with pytest.raises(PurseCaseNotKnown):
        offline.cases.pay(command, operation())
    offline.register(OTHER)
    assert offline.cases.pay(command, operation()).state is CaseState.PAID
    assert offline.world.payable_fen(box.facts.merchant_id) == 100
    assert offline.balance_fen(f"epurse:{OTHER}") == -100
    assert offline.upload(box, item) == told  # the first answer stands
    with pytest.raises(PurseCaseUnknown):
        offline.cases.pay(DecideCase("cas_no", "stf_b", "x"), operation())


def test_a_stopped_purse_is_judged_as_of_the_purchase(
    offline: Offline, box: Box, chip: Chip, clock: ManualClock
) -> None:
    """Goal: before the stop the float pays, soon after it the issuer, later the merchant."""
    before = box.keep(100, chip.pay(100))
    clock.advance(timedelta(minutes=1))
    offline.change(PurseEvent.SUSPEND)
    clock.advance(timedelta(hours=1))
    soon = box.keep(200, chip.pay(200))
    clock.advance(timedelta(hours=24))
    late = box.keep(400, chip.pay(400))
    clock.advance(timedelta(minutes=1))
    offline.change(PurseEvent.RELEASE)
    clock.advance(timedelta(minutes=1))
    after = box.keep(800, chip.pay(800))
    told = offline.upload(box, after, late, soon, before)
    assert [one.code for one in told] == [None, "purse_not_active", None, None]
    assert (offline.balance_fen(f"epurse:{PURSE}"), offline.loss_fen) == (-900, 200)
    assert offline.world.payable_fen(box.facts.merchant_id) == 1_100


def test_a_purchase_older_than_the_limit_is_refused(
    offline: Offline, box: Box, chip: Chip, clock: ManualClock
) -> None:
    item = box.keep(100, chip.pay(100))
    clock.advance(timedelta(days=31))
    assert offline.upload(box, item)[0].code == "sale_too_old"


def test_what_is_not_known_of_a_proof_is_kept_and_not_read(
    offline: Offline, box: Box, chip: Chip
) -> None:
    """Goal: a newer terminal may tell more."""
    assert send(offline, box, 100, {**chip.pay(100), "mac2_unchecked": True}) is None


def test_figures_of_purses_never_seen(offline: Offline) -> None:
    assert offline.books.figures(PURSE).chip_fen is None
    with pytest.raises(PurseUnknown):
        offline.books.figures("0" * 20)
    assert offline.purses.get(PURSE).issuer_id == ISSUER_ID
