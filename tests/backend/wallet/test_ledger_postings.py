"""The ledger's hand on both engines: what it posts, holds and refuses, and what is there after."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import DBAPIError

from backend.db import Units, Which
from backend.kernel import DomainError
from backend.wallet.accounts import CHANNEL_BANK, CUSTODY, house_accounts, wallet_account
from backend.wallet.ledger import (
    Account,
    AccountClosed,
    AccountFrozen,
    AccountState,
    CeilingExceeded,
    HoldDecided,
    InsufficientFunds,
    Ledger,
    Leg,
    Limits,
    Side,
    Transfer,
    reading,
)
from backend.wallet.ledger.model import LedgerBroken
from tests.simulation.books import dump
from tests.simulation.money_world import CEILING

BOOK = Ledger(Limits([CEILING]))
SHOP = "payable:mer_a:2026-11-23"


@pytest.fixture
def ledger(units: Units) -> Units:
    """House accounts, two wallets (one with 100 元), a shop."""
    with units.write(Which.LEDGER) as work:
        for account in house_accounts():
            BOOK.open_account(work.rows, account)
        for name in ("wal_a", "wal_b"):
            BOOK.open_account(work.rows, wallet_account(name, "registered"))
        BOOK.open_account(work.rows, Account(SHOP, "merchant_payable", Side.CREDIT))
    post(units, "top_1", CHANNEL_BANK, "wal_a", 10_000)
    return units


def post(units: Units, operation_id: str, debit: str, credit: str, fen: int) -> None:
    with units.write(Which.LEDGER) as work:
        BOOK.post(work.rows, Transfer(operation_id, "payment", (Leg(debit, credit, fen),)))


def hold(units: Units, hold_id: str, fen: int, *, debit: str = "wal_a") -> None:
    with units.write(Which.LEDGER) as work:
        BOOK.hold(work.rows, hold_id, Leg(debit, SHOP, fen), expires_at=None)


def state(units: Units, name: str = "wal_a") -> tuple[int, int]:
    with units.read(Which.LEDGER) as work:
        account = BOOK.find_account(work.rows, name)
    assert account is not None
    return account.balance_fen, account.available_fen


def set_state(units: Units, name: str, to: AccountState) -> None:
    with units.write(Which.LEDGER) as work:
        BOOK.set_state(work.rows, name, to)


def test_posting_moves_both_sides_and_is_listed(ledger: Units) -> None:
    post(ledger, "pay_1", "wal_a", SHOP, 1250)
    assert (state(ledger), state(ledger, SHOP)) == ((8750, 8750), (1250, 1250))
    with ledger.read(Which.LEDGER) as work:
        assert BOOK.is_posted(work.rows, "pay_1")
        assert not BOOK.is_posted(work.rows, "pay_2")
        lines = reading.lines(work, "wal_a", limit=9)
        assert [(one.line, one.amount_fen, one.balance_fen) for one in lines] == [
            (2, -1250, 8750),
            (1, 10_000, 10_000),
        ]
        assert reading.lines(work, "wal_a", limit=1, before_line=2) == lines[1:]
        assert reading.count_by_code(work, SHOP) == {"payment": (1, 1250)}


def test_an_account_opened_again_stays_as_it_is(ledger: Units) -> None:
    with ledger.write(Which.LEDGER) as work:
        BOOK.open_account(work.rows, wallet_account("wal_a", "unregistered"))
    assert state(ledger) == (10_000, 10_000)


def test_an_unknown_account_is_a_bug_and_nothing_is_written(ledger: Units) -> None:
    before = dump(ledger)
    with pytest.raises(LedgerBroken):
        post(ledger, "pay_1", "wal_a", "payable:nobody", 1)
    assert dump(ledger) == before


def test_an_operation_id_is_posted_once(ledger: Units) -> None:
    post(ledger, "pay_1", "wal_a", SHOP, 1)
    before = dump(ledger)
    with pytest.raises((DBAPIError, DomainError)):
        post(ledger, "pay_1", "wal_a", SHOP, 1)
    assert dump(ledger) == before


def test_a_hold_counts_against_the_balance(ledger: Units) -> None:
    hold(ledger, "pay_1", 9_000)
    assert state(ledger) == (10_000, 1_000)
    before = dump(ledger)
    with pytest.raises(InsufficientFunds):
        post(ledger, "pay_2", "wal_a", SHOP, 1_001)
    with pytest.raises(InsufficientFunds):
        hold(ledger, "pay_3", 1_001)
    assert dump(ledger) == before
    post(ledger, "pay_4", "wal_a", SHOP, 1_000)
    assert state(ledger) == (9_000, 0)


@pytest.mark.parametrize("captured_fen", [1, 4_000, 9_000])
def test_a_hold_is_posted_whole_or_in_part_once(ledger: Units, captured_fen: int) -> None:
    hold(ledger, "pay_1", 9_000)
    transfer = Transfer("pay_1", "payment", (Leg("wal_a", SHOP, captured_fen),))
    with ledger.write(Which.LEDGER) as work:
        BOOK.post_hold(work.rows, "pay_1", transfer)
    assert state(ledger) == (10_000 - captured_fen, 10_000 - captured_fen)
    assert state(ledger, SHOP) == (captured_fen, captured_fen)
    _decided(ledger, transfer)


def test_more_than_was_held_is_never_posted_for_it(ledger: Units) -> None:
    """A second saying of the service's own law: here no limit and no floor is asked again."""
    hold(ledger, "pay_1", 100)
    before = dump(ledger)
    for legs in (
        (Leg("wal_a", SHOP, 101),),
        (Leg("wal_a", SHOP, 60), Leg("wal_a", CHANNEL_BANK, 41)),
    ):
        with pytest.raises(LedgerBroken), ledger.write(Which.LEDGER) as work:
            BOOK.post_hold(work.rows, "pay_1", Transfer("pay_1", "payment", legs))
    assert dump(ledger) == before


def test_a_hold_is_voided_once(ledger: Units) -> None:
    hold(ledger, "pay_1", 9_000)
    with ledger.write(Which.LEDGER) as work:
        BOOK.void_hold(work.rows, "pay_1")
    assert state(ledger) == (10_000, 10_000)
    _decided(ledger, Transfer("pay_1", "payment", (Leg("wal_a", SHOP, 1),)))


def _decided(units: Units, transfer: Transfer) -> None:
    """Neither posted nor voided a second time; a hold that never was is a bug."""
    before = dump(units)
    for hold_id, refusal in ((transfer.operation_id, HoldDecided), ("pay_never", LedgerBroken)):
        for decide in (
            lambda rows, name=hold_id: BOOK.post_hold(rows, name, transfer),
            lambda rows, name=hold_id: BOOK.void_hold(rows, name),
        ):
            with pytest.raises(refusal), units.write(Which.LEDGER) as work:
                decide(work.rows)
    assert dump(units) == before


def test_a_hold_is_kept_although_the_wallet_was_frozen_since(ledger: Units) -> None:
    hold(ledger, "pay_1", 500)
    set_state(ledger, "wal_a", AccountState.FROZEN)
    with ledger.write(Which.LEDGER) as work:
        BOOK.post_hold(work.rows, "pay_1", Transfer("pay_1", "payment", (Leg("wal_a", SHOP, 500),)))
    assert state(ledger) == (9_500, 9_500)


@pytest.mark.parametrize(
    ("to", "debit", "credit", "refusal"),
    [
        (AccountState.FROZEN, "wal_a", SHOP, AccountFrozen),
        (AccountState.CLOSED, "wal_a", SHOP, AccountClosed),
        (AccountState.CLOSED, CHANNEL_BANK, "wal_a", AccountClosed),
    ],
)
def test_frozen_and_closed(
    ledger: Units, to: AccountState, debit: str, credit: str, refusal: type[DomainError]
) -> None:
    set_state(ledger, "wal_a", to)
    before = dump(ledger)
    with pytest.raises(refusal):
        post(ledger, "pay_1", debit, credit, 1)
    with pytest.raises(refusal), ledger.write(Which.LEDGER) as work:
        BOOK.hold(work.rows, "pay_2", Leg(debit, credit, 1), expires_at=None)
    assert dump(ledger) == before


def test_money_may_come_into_a_frozen_wallet(ledger: Units) -> None:
    set_state(ledger, "wal_a", AccountState.FROZEN)
    post(ledger, "ref_1", SHOP, "wal_a", 1)
    assert state(ledger) == (10_001, 10_001)


def test_the_ceiling_counts_pending_money_until_it_is_decided(ledger: Units) -> None:
    with ledger.write(Which.LEDGER) as work:
        BOOK.hold(work.rows, "top_2", Leg(CHANNEL_BANK, "wal_a", 490_000), expires_at=None)
    with pytest.raises(CeilingExceeded) as refusal:
        post(ledger, "top_3", CHANNEL_BANK, "wal_a", 1)
    assert refusal.value.data["room_fen"] == 0
    with ledger.write(Which.LEDGER) as work:
        BOOK.void_hold(work.rows, "top_2")
    post(ledger, "top_3", CHANNEL_BANK, "wal_a", 490_000)
    assert state(ledger) == (500_000, 500_000)


def test_a_checked_list_names_whose_rules_count(ledger: Units) -> None:
    post(ledger, "top_2", CHANNEL_BANK, "wal_a", 490_000)
    transfer = Transfer("ref_1", "refund", (Leg(SHOP, "wal_a", 5),))
    with pytest.raises(CeilingExceeded), ledger.write(Which.LEDGER) as work:
        BOOK.post(work.rows, transfer)
    with ledger.write(Which.LEDGER) as work:
        BOOK.post(work.rows, transfer, with_ceilings=False)
    assert state(ledger) == (500_005, 500_005)
    set_state(ledger, "wal_a", AccountState.CLOSED)
    again = Transfer("ref_2", "refund", (Leg(SHOP, "wal_a", 5),))
    with pytest.raises(AccountClosed), ledger.write(Which.LEDGER) as work:
        BOOK.post(work.rows, again, with_ceilings=False)
    with ledger.write(Which.LEDGER) as work:
        BOOK.post(work.rows, again, checked=())
    assert state(ledger) == (500_010, 500_010)


def test_the_totals_name_what_is_owed_and_what_is_there(ledger: Units) -> None:
    post(ledger, "pay_1", "wal_a", SHOP, 1250)
    post(ledger, "top_1/custody", CUSTODY, CHANNEL_BANK, 4_000)
    with ledger.read(Which.LEDGER) as work:
        totals = reading.totals(work)
    assert {kind: fen for kind, fen in totals.by_kind.items() if fen} == {
        "custody": -4_000,
        "channel_receivable": -6_000,
        "wallet": 8_750,
        "merchant_payable": 1_250,
    }
    assert totals.debits_fen == totals.credits_fen == 10_000 + 1_250 + 4_000


def test_a_refusal_deep_in_a_work_takes_everything_with_it(ledger: Units) -> None:
    before = dump(ledger)
    with pytest.raises(InsufficientFunds):
        _pay_twice(ledger)
    assert dump(ledger) == before
    post(ledger, "pay_1", "wal_a", SHOP, 6_000)


def _pay_twice(units: Units) -> None:
    with units.write(Which.LEDGER) as work:
        for name in ("pay_1", "pay_2"):
            BOOK.post(work.rows, Transfer(name, "payment", (Leg("wal_a", SHOP, 6_000),)))
