"""The journal on both engines; each law is said twice, so each is also tried by plain SQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

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
    Journal,
    Leg,
    Side,
    Transfer,
    tables,
)
from backend.wallet.ledger.model import LedgerBroken
from tests.simulation.books import dump

ARTICLE = "办法"
SHOP = "payable:mer_a:2026-11-23"


@pytest.fixture
def ledger(units: Units) -> Units:
    """House accounts, two wallets (one with 100 元), a shop."""
    with units.write(Which.LEDGER) as work:
        journal = Journal(work)
        for account in house_accounts():
            journal.open_account(account)
        for name in ("wal_a", "wal_b"):
            journal.open_account(wallet_account(name, 500_000, ARTICLE))
        journal.open_account(Account(SHOP, "merchant_payable", Side.CREDIT))
    post(units, "top_1", CHANNEL_BANK, "wal_a", 10_000)
    return units


def post(units: Units, operation_id: str, debit: str, credit: str, fen: int) -> None:
    with units.write(Which.LEDGER) as work:
        Journal(work).post(Transfer(operation_id, "payment", (Leg(debit, credit, fen),)))


def hold(units: Units, hold_id: str, fen: int, *, debit: str = "wal_a") -> None:
    with units.write(Which.LEDGER) as work:
        Journal(work).hold(hold_id, Leg(debit, SHOP, fen), None)


def state(units: Units, name: str = "wal_a") -> tuple[int, int]:
    with units.read(Which.LEDGER) as work:
        account = Journal(work).find_account(name)
    assert account is not None
    return account.balance_fen, account.available_fen


def set_state(units: Units, name: str, to: AccountState) -> None:
    with units.write(Which.LEDGER) as work:
        at = tables.account.c.account_id == name
        work.execute(update(tables.account).where(at).values(state=to.value))


def test_posting_moves_both_sides_and_is_listed(ledger: Units) -> None:
    post(ledger, "pay_1", "wal_a", SHOP, 1250)
    assert (state(ledger), state(ledger, SHOP)) == ((8750, 8750), (1250, 1250))
    with ledger.read(Which.LEDGER) as work:
        journal = Journal(work)
        assert journal.is_posted("pay_1")
        assert not journal.is_posted("pay_2")
        lines = journal.lines("wal_a", limit=9, before_line=None)
        assert [(one.line, one.amount_fen, one.balance_fen) for one in lines] == [
            (2, -1250, 8750),
            (1, 10_000, 10_000),
        ]
        assert journal.lines("wal_a", limit=1, before_line=2) == lines[1:]
        assert journal.count_by_code(SHOP) == {"payment": (1, 1250)}


def test_an_account_opened_again_stays_as_it_is(ledger: Units) -> None:
    with ledger.write(Which.LEDGER) as work:
        Journal(work).open_account(wallet_account("wal_a", 1, ARTICLE))
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
        Journal(work).post_hold("pay_1", transfer)
    assert state(ledger) == (10_000 - captured_fen, 10_000 - captured_fen)
    assert state(ledger, SHOP) == (captured_fen, captured_fen)
    _decided(ledger, transfer)


def test_a_hold_is_voided_once(ledger: Units) -> None:
    hold(ledger, "pay_1", 9_000)
    with ledger.write(Which.LEDGER) as work:
        Journal(work).void_hold("pay_1")
    assert state(ledger) == (10_000, 10_000)
    _decided(ledger, Transfer("pay_1", "payment", (Leg("wal_a", SHOP, 1),)))


def _decided(units: Units, transfer: Transfer) -> None:
    """Neither posted nor voided a second time; a hold that never was likewise."""
    before = dump(units)
    for hold_id in (transfer.operation_id, "pay_never"):
        for decide in (
            lambda journal, name=hold_id: journal.post_hold(name, transfer),
            lambda journal, name=hold_id: journal.void_hold(name),
        ):
            with pytest.raises(HoldDecided), units.write(Which.LEDGER) as work:
                decide(Journal(work))
    assert dump(units) == before


def test_a_hold_is_kept_although_the_wallet_was_frozen_since(ledger: Units) -> None:
    hold(ledger, "pay_1", 500)
    set_state(ledger, "wal_a", AccountState.FROZEN)
    with ledger.write(Which.LEDGER) as work:
        Journal(work).post_hold("pay_1", Transfer("pay_1", "payment", (Leg("wal_a", SHOP, 500),)))
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
        Journal(work).hold("pay_2", Leg(debit, credit, 1), None)
    assert dump(ledger) == before


def test_money_may_come_into_a_frozen_wallet(ledger: Units) -> None:
    set_state(ledger, "wal_a", AccountState.FROZEN)
    post(ledger, "ref_1", SHOP, "wal_a", 1)
    assert state(ledger) == (10_001, 10_001)


def test_the_ceiling_counts_pending_money_until_it_is_decided(ledger: Units) -> None:
    with ledger.write(Which.LEDGER) as work:
        Journal(work).hold("top_2", Leg(CHANNEL_BANK, "wal_a", 490_000), None)
    with pytest.raises(CeilingExceeded) as refusal:
        post(ledger, "top_3", CHANNEL_BANK, "wal_a", 1)
    assert refusal.value.data["room_fen"] == 0
    with ledger.write(Which.LEDGER) as work:
        Journal(work).void_hold("top_2")
    post(ledger, "top_3", CHANNEL_BANK, "wal_a", 490_000)
    assert state(ledger) == (500_000, 500_000)


def test_a_checked_list_names_whose_rules_count(ledger: Units) -> None:
    post(ledger, "top_2", CHANNEL_BANK, "wal_a", 490_000)
    transfer = Transfer("ref_1", "refund", (Leg(SHOP, "wal_a", 5),))
    with pytest.raises(CeilingExceeded), ledger.write(Which.LEDGER) as work:
        Journal(work).post(transfer)
    with ledger.write(Which.LEDGER) as work:
        Journal(work).post(transfer, checked=())
    assert state(ledger) == (500_005, 500_005)


def test_the_totals_name_what_is_owed_and_what_is_there(ledger: Units) -> None:
    post(ledger, "pay_1", "wal_a", SHOP, 1250)
    post(ledger, "top_1/custody", CUSTODY, CHANNEL_BANK, 4_000)
    with ledger.read(Which.LEDGER) as work:
        totals = Journal(work).totals()
    assert totals.by_kind == {
        "custody": -4_000,
        "channel_receivable": -6_000,
        "wallet": 8_750,
        "merchant_payable": 1_250,
    }
    assert totals.debits_fen == totals.credits_fen == 10_000 + 1_250 + 4_000


# --- the same laws, said by the database ---------------------------------------------------------

ACCOUNT_ROW = {
    "account_id": "wal_z",
    "kind": "wallet",
    "side": "credit",
    "floor_fen": 0,
    "state": "open",
    "debits_posted": 0,
    "credits_posted": 0,
    "debits_pending": 0,
    "credits_pending": 0,
    "lines": 0,
}
POSTING_ROW = {"operation_id": "op", "leg": 0, "debit": "a", "credit": "b", "amount_fen": 1}
ENTRY_ROW = {
    "account_id": "wal_z",
    "line": 1,
    "operation_id": "op",
    "leg": 0,
    "side": "debit",
    "amount_fen": 1,
    "balance_fen": 1,
}
HOLD_ROW = {
    "hold_id": "h",
    "debit": "a",
    "credit": "b",
    "amount_fen": 1,
    "state": "pending",
    "made_at": datetime(2026, 1, 1, tzinfo=UTC),
}
BROKEN_ROWS = [
    (tables.account, ACCOUNT_ROW, {"side": "left"}),
    (tables.account, ACCOUNT_ROW, {"state": "lost"}),
    (tables.account, ACCOUNT_ROW, {"debits_posted": 1}),
    (tables.account, ACCOUNT_ROW, {"credits_posted": 5, "debits_pending": 6}),
    (tables.account, ACCOUNT_ROW, {"side": "debit", "credits_posted": 1}),
    (tables.account, ACCOUNT_ROW, {"side": "debit", "debits_posted": 5, "credits_pending": 6}),
    (tables.account, ACCOUNT_ROW, {"credits_posted": -1, "floor_fen": None}),
    (tables.account, ACCOUNT_ROW, {"credits_pending": -1}),
    (tables.posting, POSTING_ROW, {"amount_fen": 0}),
    (tables.posting, POSTING_ROW, {"amount_fen": -1}),
    (tables.posting, POSTING_ROW, {"credit": "a"}),
    (tables.entry, ENTRY_ROW, {"amount_fen": 0}),
    (tables.entry, ENTRY_ROW, {"line": 0}),
    (tables.hold, HOLD_ROW, {"amount_fen": 0}),
    (tables.hold, HOLD_ROW, {"state": "perhaps"}),
]


def test_the_database_refuses_what_the_model_refuses(units: Units) -> None:
    for table, row, change in BROKEN_ROWS:
        with (
            pytest.raises(IntegrityError, match=r"(?i)check"),
            units.write(Which.LEDGER) as work,
        ):
            work.execute(table.insert().values({**row, **change}))


def test_the_rows_above_are_refused_for_their_change_alone(units: Units) -> None:
    for table, row in {table.name: (table, row) for table, row, _ in BROKEN_ROWS}.values():
        with units.read(Which.LEDGER) as work:  # a read rolls back what is written in it
            work.execute(table.insert().values(row))


@pytest.mark.parametrize("table", tables.APPEND_ONLY, ids=lambda table: table.name)
def test_the_journal_is_append_only_for_everybody(ledger: Units, table: Any) -> None:
    before = dump(ledger)
    for statement in (
        "UPDATE {name} SET operation_id = operation_id",
        "UPDATE {name} SET operation_id = 'other' WHERE operation_id = 'top_1'",
        "DELETE FROM {name}",
        "DELETE FROM {name} WHERE operation_id = 'top_1'",
    ):
        with (
            pytest.raises(DBAPIError, match="append only"),
            ledger.write(Which.LEDGER) as work,
        ):
            work.execute(text(statement.format(name=table.name)))
    assert dump(ledger) == before


def test_a_refusal_deep_in_a_work_takes_everything_with_it(ledger: Units) -> None:
    before = dump(ledger)
    with pytest.raises(InsufficientFunds):
        _pay_twice(ledger)
    assert dump(ledger) == before
    post(ledger, "pay_1", "wal_a", SHOP, 6_000)


def _pay_twice(units: Units) -> None:
    with units.write(Which.LEDGER) as work:
        for name in ("pay_1", "pay_2"):
            Journal(work).post(Transfer(name, "payment", (Leg("wal_a", SHOP, 6_000),)))


def test_the_business_day_turns_at_midnight_in_shanghai(ledger: Units, clock: Any) -> None:
    days: list[str] = []
    clock.advance(timedelta(hours=13, minutes=59, seconds=59))  # 23:59:59 there
    for _ in range(2):
        with ledger.read(Which.LEDGER) as work:
            days.append(Journal(work).day().isoformat())
        clock.advance(timedelta(seconds=1))
    assert days == ["2026-11-23", "2026-11-24"]
