"""Recipes after one another: what belongs together ends at zero; custody covers what is owed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from backend.kernel import AMOUNT_MAX_FEN
from backend.wallet import accounts, recipes
from backend.wallet.ledger import Account, InsufficientFunds, Leg, Transfer
from backend.wallet.ledger.model import LedgerBroken, check_move, post
from tests.backend.wallet.recipe_cases import (
    BANK,
    CARD,
    CONC,
    CUSTODY,
    DEBT,
    FLOAT,
    PAID,
    PAY,
    PAY_NEXT,
    REPLACED,
    RODE,
    WAL,
    book,
    grown,
)


@pytest.mark.parametrize(
    "made",
    [
        PAID,
        RODE,
        recipes.payment_into_debt("pay_3", WAL, PAY, wallet_fen=150, debt_fen=50, memo="bus"),
        recipes.merchant_payout("out_1", PAY, 3 * AMOUNT_MAX_FEN, fee_fen=60),
    ],
    ids=lambda one: str(one.code),
)
def test_a_correction_and_a_reversal_leave_nothing_behind(made: Transfer) -> None:
    assert grown([made, recipes.correction("cor_1", made, "wrong")]) == {}
    assert grown([made, recipes.reversal_of(made)]) == {}


def test_a_correction_goes_back_step_by_step() -> None:
    """Goal: no line of the wallet's statement stands below zero on the way."""
    topped_up = recipes.top_up("top_1", WAL, 100, "m", debt_fen=80)
    books, _ = post(book([]), topped_up.legs)
    _, lines = post(books, recipes.correction("cor_1", topped_up, "wrong").legs)
    assert [one.balance_fen for one in lines if one.account_id == WAL] == [100, 0]


def test_a_fare_of_200_is_100_from_the_wallet_and_100_from_the_programme() -> None:
    assert RODE.legs == (Leg(WAL, PAY, 100), Leg(CONC, PAY, 100))


@pytest.mark.parametrize("first", ["written", "returned"])
def test_a_load_ends_once(first: str) -> None:
    """Goal: a return that crosses a late confirmation of the chip never doubles the money."""
    paid = recipes.load("lod_1", BANK, 500)
    ends = {
        "written": recipes.load_written("lod_1", CARD, 500),
        "returned": recipes.load_returned("lod_1", WAL, 500),
    }
    books = book([paid, ends.pop(first)])
    (second,) = ends.values()
    after, _ = post(books, second.legs)
    (transit,) = set(second.account_ids()) - {FLOAT, WAL}
    with pytest.raises(InsufficientFunds):
        check_move(books[transit], after[transit])


def test_a_purchase_uploaded_twice_is_one_operation_by_whoever_uploads_it() -> None:
    first = recipes.epurse_purchase(CARD, 7, PAY, 300, "bus")
    assert recipes.epurse_purchase(CARD, 7, PAY, 300, "bus") == first
    assert first.operation_id == recipes.epurse_purchase_id(CARD, 7) == "epurse:crd_a/7"
    others = [
        recipes.epurse_purchase(CARD, 8, PAY, 300, "bus"),
        recipes.epurse_purchase("crd_b", 7, PAY, 300, "bus"),
    ]
    assert first.operation_id not in {one.operation_id for one in others}


@pytest.mark.parametrize("counter", [-1, 2**32, True, 1.0, "7"])
def test_a_chips_counter_is_a_counter(counter: Any) -> None:
    with pytest.raises(LedgerBroken):
        recipes.epurse_purchase_id(CARD, counter)


def test_a_gap_stays_in_the_float_and_a_late_upload_empties_it() -> None:
    """Goal: three figures: what the chip has, what the book has, what is not uploaded yet."""
    loaded = [recipes.load("lod_1", WAL, 1000), recipes.load_written("lod_1", CARD, 1000)]
    bought = {counter: 100 * counter for counter in (1, 2, 3)}
    chip_fen = 1000 - sum(bought.values())
    uploads = [
        recipes.epurse_purchase(CARD, counter, PAY, bought[counter], "bus") for counter in (1, 3)
    ]
    assert book([*loaded, *uploads])[FLOAT].balance_fen == chip_fen + bought[2]
    late = recipes.epurse_purchase(CARD, 2, PAY_NEXT, bought[2], "bus")
    books = book([*loaded, *uploads, late])
    assert books[FLOAT].balance_fen == chip_fen
    assert books[PAY].balance_fen == bought[1] + bought[3]


def test_a_rider_in_the_red_pays_it_with_the_next_top_up() -> None:
    rode = recipes.payment_into_debt("pay_1", WAL, PAY, wallet_fen=120, debt_fen=80, memo="bus")
    paid = recipes.top_up("top_1", WAL, 120, "m")
    again = recipes.top_up("top_2", WAL, 1000, "m", debt_fen=80)
    books = book([paid, rode, again])
    assert (books[WAL].balance_fen, books[DEBT].balance_fen) == (920, 0)
    assert books[PAY].balance_fen == 200


@pytest.mark.parametrize(
    ("amount_fen", "legs"),
    [
        (AMOUNT_MAX_FEN, [AMOUNT_MAX_FEN]),
        (AMOUNT_MAX_FEN + 1, [AMOUNT_MAX_FEN, 1]),
        (3 * AMOUNT_MAX_FEN, [AMOUNT_MAX_FEN] * 3),
    ],
)
def test_a_day_above_what_one_leg_carries_is_paid_in_several(
    amount_fen: int, legs: list[int]
) -> None:
    assert [leg.amount_fen for leg in recipes.merchant_payout("p", PAY, amount_fen).legs] == legs


def test_more_than_eight_legs_is_not_one_payout() -> None:
    with pytest.raises(LedgerBroken):
        recipes.merchant_payout("p", PAY, 10**15)


def customers_money_fen(books: Mapping[str, Account]) -> int:
    mine = [one for one in books.values() if one.kind in accounts.CUSTOMERS_MONEY]
    return sum(one.balance_fen for one in mine)


def test_until_a_programme_pays_the_operator_covers_its_concessions() -> None:
    """Goal: a merchant is paid in full, and no citizen's money pays for it."""
    day = [
        recipes.top_up("top_1", WAL, 1_000, "m"),
        recipes.custody_matched("top_1", 1_000),
        RODE,
        recipes.merchant_payout("out_1", PAY, 200),
        recipes.custody_paid_out("out_1", 200),
    ]
    short = book(day)
    assert customers_money_fen(short) - short[CUSTODY].balance_fen == 100
    covered = [*day, recipes.advance_paid_in("adv_1", 100)]
    books = book(covered)
    assert books[CUSTODY].balance_fen == customers_money_fen(books) == 900
    settled = [
        *covered,
        recipes.concession_settled("clm_1", "elderly", 100),
        recipes.advance_paid_out("adv_2", 100),
        recipes.custody_paid_out("adv_2", 100),
    ]
    books = book(settled)
    assert books[CUSTODY].balance_fen == customers_money_fen(books) == 900
    assert books[CONC].balance_fen == books[accounts.OPERATOR_ADVANCE].balance_fen == 0


def test_after_a_whole_day_custody_is_what_is_owed() -> None:
    """Goal: the law of custody, once every statement and every claim has come."""
    day = [
        recipes.top_up("top_1", WAL, 10_000, "m"),
        recipes.custody_matched("top_1", 10_000),
        RODE,
        recipes.payment("pay_3", WAL, PAY, 1_000, "tea"),
        recipes.refund("ref_1", "pay_3", wallet_id=WAL, payable_id=PAY, amount_fen=300, memo="tea"),
        recipes.load("lod_1", WAL, 2_000),
        recipes.load_written("lod_1", CARD, 2_000),
        recipes.epurse_purchase(CARD, 1, PAY, 150, "bus"),
        recipes.deposit_taken("dep_1", WAL, 1_500),
        recipes.replacement_fee("fee_1", WAL, 500, "new card"),
        recipes.concession_settled("clm_1", "elderly", 100),
        recipes.merchant_payout("out_1", PAY, 1_000, fee_fen=50),
        recipes.custody_paid_out("out_1", 1_000),
        recipes.income_paid_out("out_2", REPLACED, 500),
        recipes.custody_paid_out("out_2", 500),
        recipes.income_paid_out("out_3", accounts.FEE_INCOME, 50),
        recipes.custody_paid_out("out_3", 50),
        recipes.redeem("red_1", WAL, 600, "m"),
        recipes.custody_paid_out("red_1", 600),
    ]
    books = book(day)
    assert books[PAY].balance_fen == books[BANK].balance_fen == books[CONC].balance_fen == 0
    assert books[CUSTODY].balance_fen == customers_money_fen(books) == 7_950
