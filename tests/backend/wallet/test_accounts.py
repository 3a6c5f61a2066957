"""The chart of accounts: sides, floors, whose limits hold, ids that fit their column."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from backend.wallet import accounts
from backend.wallet.ledger import Account, Side
from backend.wallet.ledger.model import LedgerBroken

DAY = date(2026, 11, 23)
C, D = Side.CREDIT, Side.DEBIT
CHART: list[tuple[Account, str, str, Side, str | None, int | None]] = [
    (accounts.custody_account("icbc"), "custody:icbc", "custody", D, None, 0),
    (
        accounts.channel_account(accounts.Channel.COUNTER_CASH),
        "channel:counter_cash", "channel_receivable", D, None, None,
    ),
    (accounts.wallet_account("wal_a", "class_1"), "wal_a", "wallet", C, "class_1", 0),
    (accounts.epurse_float_account("crd_a"), "epurse:crd_a", "epurse_float", C, None, None),
    (accounts.load_transit_account("lod_1"), "load:lod_1", "load_transit", C, None, 0),
    (
        accounts.payable_account("mer_a", DAY),
        "payable:mer_a:2026-11-23", "merchant_payable", C, None, None,
    ),
    (
        accounts.concession_account("elderly"),
        "concession:elderly", "concession_receivable", D, None, None,
    ),
    (accounts.ride_debt_account("wal_a"), "ride_debt:wal_a", "ride_debt", D, "ride_debt", 0),
    (accounts.suspense_account("case_1"), "suspense:case_1", "suspense", C, None, None),
]  # fmt: skip
HOUSE = {
    "custody:main": ("custody", D, 0),
    "channel:bank": ("channel_receivable", D, None),
    "channel:counter_cash": ("channel_receivable", D, None),
    "channel:employer_batch": ("channel_receivable", D, None),
    "income:fees": ("fee_income", C, None),
    "income:replacement_fees": ("replacement_fee", C, None),
    "deposits:cards": ("card_deposit", C, 0),
    "expense:write_offs": ("write_off", D, None),
    "expense:offline_losses": ("write_off", D, None),
    "advance:operator": ("operator_advance", C, 0),
}


@pytest.mark.parametrize("row", CHART, ids=[row[1] for row in CHART])
def test_the_chart(row: tuple[Account, str, str, Side, str | None, int | None]) -> None:
    account, account_id, kind, side, account_class, floor_fen = row
    meant = Account(account_id, kind, side, account_class=account_class, floor_fen=floor_fen)
    assert account == meant


def test_the_house_opens_with_its_own_accounts() -> None:
    opened = {
        one.account_id: (one.kind, one.side, one.floor_fen) for one in accounts.house_accounts()
    }
    assert opened == HOUSE
    assert len(accounts.house_accounts()) == len(HOUSE)


def test_the_assets_are_the_debit_accounts_but_expenses() -> None:
    every = [row[0] for row in CHART] + accounts.house_accounts()
    debit = {one.kind for one in every if one.side is Side.DEBIT}
    assert debit - {accounts.WRITE_OFF} == accounts.ASSETS


def test_customers_money_is_what_is_owed_but_income_and_the_operators_own() -> None:
    every = [row[0] for row in CHART] + accounts.house_accounts()
    credit = {one.kind for one in every if one.side is Side.CREDIT}
    own = {accounts.FEE_INCOME_KIND, accounts.REPLACEMENT_FEE, accounts.ADVANCE}
    assert credit - own == accounts.CUSTOMERS_MONEY


MAKERS: list[Callable[[str], str]] = [
    accounts.custody_id,
    accounts.epurse_float_id,
    accounts.load_transit_id,
    lambda name: accounts.payable_id(name, DAY),
    accounts.concession_id,
    accounts.ride_debt_id,
    accounts.suspense_id,
    lambda name: accounts.wallet_account(name, "registered").account_id,
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", ["", "a:b", "n" * 81])
def test_an_id_is_bounded_and_cannot_be_read_as_another(
    make: Callable[[str], str], name: str
) -> None:
    with pytest.raises(LedgerBroken):
        make(name)


@pytest.mark.parametrize("make", MAKERS)
def test_an_id_has_room_for_every_typeid(make: Callable[[str], str]) -> None:
    assert len(make("prefix_" + "0" * 26)) <= accounts.ACCOUNT_ID_MAX


def test_no_two_things_share_an_account() -> None:
    made = [make("x") for make in MAKERS]
    assert len(set(made)) == len(MAKERS)
