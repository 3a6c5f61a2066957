"""Every recipe moves the accounts its docstring names, in the direction it says; sums are zero."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.kernel import AMOUNT_MAX_FEN
from backend.wallet import accounts, recipes
from backend.wallet.ledger import Account, Leg
from backend.wallet.ledger.model import LedgerBroken
from backend.wallet.recipes.parts import MEMO_MAX, OPERATION_ID_MAX
from tests.backend.wallet.recipe_cases import (
    BANK,
    CARD,
    CASES,
    CHART,
    CONCESSION,
    OTHER,
    PAID,
    PAY,
    PAY_NEXT,
    RODE,
    WAL,
    Case,
    book,
    grown,
)

# How a docstring names an account of a kind.
SAID: Mapping[str, str] = {
    accounts.CUSTODY_KIND: "custody|the new one|the old one",
    accounts.CHANNEL_RECEIVABLE: "channel",
    accounts.WALLET: "wallet|old card|new card|whoever|whose|gets|what it debited",
    accounts.EPURSE_FLOAT: "e-purse float",
    accounts.LOAD_TRANSIT: "load in transit",
    accounts.MERCHANT_PAYABLE: "payable|owes the merchant|wrong one",
    accounts.FEE_INCOME_KIND: "fee income|debit income",
    accounts.REPLACEMENT_FEE: "replacement fees",
    accounts.CARD_DEPOSIT: "card deposits",
    accounts.CONCESSION_RECEIVABLE: "programme's receivable",
    accounts.RIDE_DEBT: "ride debt",
    accounts.SUSPENSE: "suspense",
    accounts.WRITE_OFF: "write-offs",
    accounts.ADVANCE: "operator advance",
}

IDS = [one.name for one in CASES]
MOVING = [
    name
    for name in recipes.__all__
    if inspect.signature(getattr(recipes, name)).return_annotation == "Transfer"
]
LEGS = {
    "top_up_leg": (recipes.top_up_leg(WAL, 5), Leg(BANK, WAL, 5)),
    "redeem_leg": (recipes.redeem_leg(WAL, 5), Leg(WAL, BANK, 5)),
    "payment_leg": (recipes.payment_leg(WAL, PAY, 5), Leg(WAL, PAY, 5)),
    "payout_leg": (recipes.payout_leg(PAY, 5), Leg(PAY, BANK, 5)),
}
AMOUNTS = st.integers(1, AMOUNT_MAX_FEN // 4)


def total_fen(books: Mapping[str, Account]) -> int:
    return sum(one.credits_posted - one.debits_posted for one in books.values())


def test_every_recipe_has_a_case() -> None:
    assert sorted(MOVING) == sorted({one.recipe for one in CASES})
    assert sorted(name for name in recipes.__all__ if name.endswith("_leg")) == sorted(LEGS)


@pytest.mark.parametrize("one", CASES, ids=IDS)
@given(amount_fen=AMOUNTS)
@settings(max_examples=15, deadline=None)
def test_a_recipe_moves_what_it_names(one: Case, amount_fen: int) -> None:
    made = one.call(amount_fen)
    assert total_fen(book([made])) == 0
    assert grown([made]) == {name: fen * amount_fen for name, fen in one.grows.items() if fen}
    assert 0 < len(made.operation_id) <= OPERATION_ID_MAX
    assert len(made.code) <= 32


@pytest.mark.parametrize("one", CASES, ids=IDS)
def test_the_docstring_names_the_accounts_and_their_sides(one: Case) -> None:
    said = " ".join((inspect.getdoc(getattr(recipes, one.recipe)) or "").split())
    debits = " ".join(re.findall(r"[dD]ebits? .*?(?=, credits? |$)", said))
    credits = " ".join(re.findall(r"[cC]redits? .*", said))
    for leg in one.call(5).legs:
        for name, part in ((leg.debit, debits), (leg.credit, credits)):
            assert re.search(SAID[CHART[name].kind], part), (one.name, name, part)


@pytest.mark.parametrize("name", LEGS)
def test_a_pending_leg(name: str) -> None:
    made, meant = LEGS[name]
    assert made == meant


@pytest.mark.parametrize("one", CASES, ids=IDS)
@pytest.mark.parametrize("amount_fen", [0, -1, True, 1.0, "1", None])
def test_what_is_no_amount_makes_no_transfer(one: Case, amount_fen: Any) -> None:
    with pytest.raises((LedgerBroken, TypeError)):
        one.call(amount_fen)


# --- shares ---------------------------------------------------------------------------------------


def test_shares_of_every_value_by_a_hundred_rates_sum_to_the_whole() -> None:
    for rate in range(1, 101):
        for amount_fen in range(1, 10_001):
            share_fen, rest_fen = recipes.split_fen(amount_fen, rate, 100)
            assert share_fen + rest_fen == amount_fen
            assert 0 <= amount_fen * rate - share_fen * 100 < 100


@pytest.mark.parametrize(
    "figures", [(-1, 1, 2), (1, -1, 2), (1, 3, 2), (1, 0, 0), (1.0, 1, 2), (True, 1, 2), (1, 1, -2)]
)
def test_what_is_no_share_is_refused(figures: tuple[Any, Any, Any]) -> None:
    with pytest.raises(LedgerBroken):
        recipes.split_fen(*figures)


@given(st.data(), st.integers(1, 5_000), st.lists(st.integers(1, 700), min_size=1, max_size=12))
def test_refunds_in_parts_give_each_exactly_what_it_paid(
    data: st.DataObject, fare_fen: int, parts: list[int]
) -> None:
    concession_fen = data.draw(st.integers(0, fare_fen))
    refunded_fen = wallet_fen = programme_fen = 0
    for part_fen in [*parts, fare_fen]:
        amount_fen = min(part_fen, fare_fen - refunded_fen)
        if not amount_fen:
            break
        shares = recipes.refund_shares(
            fare_fen, concession_fen, refunded_fen=refunded_fen, amount_fen=amount_fen
        )
        assert min(shares) >= 0
        assert sum(shares) == amount_fen
        refunded_fen += amount_fen
        wallet_fen, programme_fen = wallet_fen + shares[0], programme_fen + shares[1]
    assert (wallet_fen, programme_fen) == (fare_fen - concession_fen, concession_fen)


@pytest.mark.parametrize(("refunded_fen", "amount_fen"), [(0, 201), (200, 1), (150, 51), (0, 0)])
def test_no_more_comes_back_than_was_paid(refunded_fen: int, amount_fen: int) -> None:
    with pytest.raises(LedgerBroken):
        recipes.refund_shares(200, 100, refunded_fen=refunded_fen, amount_fen=amount_fen)


@pytest.mark.parametrize("concession_fen", [-1, 201])
def test_a_concession_is_a_part_of_the_fare(concession_fen: int) -> None:
    with pytest.raises(LedgerBroken):
        recipes.payment_with_concession(
            "p", WAL, PAY, fare_fen=200, concession_fen=concession_fen, **CONCESSION
        )


# --- ids, links, counters -------------------------------------------------------------------------


def test_a_derived_step_is_named_after_its_operation_and_linked_to_it() -> None:
    derived = [
        recipes.top_up_reversal("x", WAL, 1, "m"),
        recipes.custody_matched("x", 1),
        recipes.custody_paid_out("x", 1),
        recipes.moved_to_replacement("x", WAL, OTHER, 1),
        recipes.reversal("x", WAL, PAY, 1, "m"),
        recipes.load_written("x", CARD, 1),
        recipes.load_returned("x", WAL, 1),
        recipes.payables_netted("x", PAY, [(PAY_NEXT, 1)]),
        recipes.payout_returned("x", PAY, 1, "m"),
        recipes.deposit_returned("x", WAL, 1),
        recipes.debt_paid("x", WAL, 1),
    ]
    for one in derived:
        assert one.operation_id.startswith("x/")
        assert one.linked_to == "x"
    steps = [one.operation_id for one in derived]
    # A top-up and a payment, a load and a deposit have different ids: they share step names.
    assert sorted(steps) == sorted(
        ["x/balance", "x/custody", "x/custody", "x/debt", "x/netted"]
        + ["x/returned"] * 3
        + ["x/reversal"] * 2
        + ["x/written"]
    )


@pytest.mark.parametrize("length", [0, 101])
def test_an_operation_id_is_bounded(length: int) -> None:
    with pytest.raises(LedgerBroken):
        recipes.payment("p" * length, WAL, PAY, 1, "m")


def test_a_derived_id_is_bounded_too() -> None:
    longest = "p" * (OPERATION_ID_MAX - len("/reversal"))
    assert len(recipes.reversal(longest, WAL, PAY, 1, "m").operation_id) == OPERATION_ID_MAX
    with pytest.raises(LedgerBroken):
        recipes.reversal(longest + "p", WAL, PAY, 1, "m")


def test_a_long_memo_is_cut_to_its_column() -> None:
    assert recipes.payment("p", WAL, PAY, 1, "店" * 500).memo == "店" * MEMO_MAX


def test_a_sale_is_counted_and_a_reversal_gives_back_what_was_counted() -> None:
    assert PAID.counts == ("spend", "code_c")
    assert recipes.reversal_of(PAID).gives_back == PAID.counts
    reversal = recipes.reversal("pay_1", WAL, PAY, 100, "tea", checks=("code_c",))
    assert reversal == recipes.reversal_of(PAID)
    assert recipes.correction("cor_1", PAID, "wrong shop").gives_back == PAID.counts
    assert recipes.capture("pay_1", WAL, PAY, 100, "tea").counts == ()  # counted at the hold


def test_what_takes_nothing_from_the_wallet_counts_nothing() -> None:
    free = recipes.payment_with_concession(
        "p", WAL, PAY, fare_fen=200, concession_fen=200, **CONCESSION
    )
    owed = recipes.payment_into_debt("p", WAL, PAY, wallet_fen=0, debt_fen=200, memo="m")
    assert free.counts == owed.counts == ()
    assert RODE.counts == ("spend",)
