"""The ledger's laws as pure rules: accounts and legs, no rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.kernel import AMOUNT_MAX_FEN, DomainError
from backend.wallet.ledger import (
    Account,
    AccountClosed,
    AccountFrozen,
    AccountState,
    CeilingExceeded,
    InsufficientFunds,
    Leg,
    Side,
    Transfer,
)
from backend.wallet.ledger.model import LedgerBroken, hold, post, release

ARTICLE = "支付机构预付卡业务管理办法"
NAMES = ("bank", "wal_a", "wal_b", "shop")


def wallet(name: str = "wal_a", fen: int = 0, **changes: Any) -> Account:
    changes = {"floor_fen": 0, "ceiling_fen": 500_000, "ceiling_article": ARTICLE, **changes}
    return Account(name, "wallet", Side.CREDIT, credits_posted=fen, **changes)


def books(**changes: Account) -> dict[str, Account]:
    made = {
        "bank": Account("bank", "custody", Side.DEBIT),
        "wal_a": wallet("wal_a"),
        "wal_b": wallet("wal_b"),
        "shop": Account("shop", "merchant_payable", Side.CREDIT),
    }
    return {**made, **{one.account_id: one for one in changes.values()}}


def one_leg(debit: str, credit: str, fen: int) -> Transfer:
    return Transfer("op", "test", (Leg(debit, credit, fen),))


def total_fen(accounts: Mapping[str, Account]) -> int:
    return sum(one.credits_posted - one.debits_posted for one in accounts.values())


@pytest.mark.parametrize("fen", [0, -1, AMOUNT_MAX_FEN + 1, True, 1.0, "1", None])
def test_a_leg_has_a_positive_whole_amount(fen: Any) -> None:
    with pytest.raises(LedgerBroken):
        Leg("wal_a", "shop", fen)


def test_nobody_pays_himself() -> None:
    with pytest.raises(LedgerBroken):
        Leg("wal_a", "wal_a", 1)


@pytest.mark.parametrize("count", [0, 9])
def test_an_operation_has_one_to_eight_legs(count: int) -> None:
    with pytest.raises(LedgerBroken):
        Transfer("op", "test", (Leg("a", "b", 1),) * count)


@pytest.mark.parametrize(
    ("side", "debits", "credits", "balance_fen"),
    [
        (Side.CREDIT, 30, 100, 70),
        (Side.CREDIT, 100, 30, -70),
        (Side.DEBIT, 30, 100, -70),
        (Side.DEBIT, 100, 30, 70),
    ],
)
def test_a_balance_is_on_the_accounts_own_side(
    side: Side, debits: int, credits: int, balance_fen: int
) -> None:
    account = Account("x", "x", side, debits_posted=debits, credits_posted=credits)
    assert account.balance_fen == balance_fen


@pytest.mark.parametrize(
    ("has_fen", "held_fen", "pays_fen", "short_by_fen"),
    [
        (100, 0, 100, None),
        (100, 0, 101, 1),
        (0, 0, 1, 1),
        (100, 40, 60, None),
        (100, 40, 61, 1),
        (100, 100, 1, 1),
    ],
)
def test_the_floor_counts_what_is_held(
    has_fen: int, held_fen: int, pays_fen: int, short_by_fen: int | None
) -> None:
    before = books(a=wallet(fen=has_fen, debits_pending=held_fen))
    for move in (
        lambda: post(before, one_leg("wal_a", "shop", pays_fen)),
        lambda: hold(before, Leg("wal_a", "shop", pays_fen)),
    ):
        if short_by_fen is None:
            move()
            continue
        with pytest.raises(InsufficientFunds) as refusal:
            move()
        assert refusal.value.data["short_by_fen"] == short_by_fen
        assert refusal.value.data["balance_fen"] == has_fen - held_fen


@pytest.mark.parametrize(
    ("has_fen", "coming_fen", "gets_fen", "room_fen"),
    [
        (0, 0, 500_000, None),
        (0, 0, 500_001, 500_000),
        (499_999, 0, 1, None),
        (499_999, 0, 2, 1),
        (0, 400_000, 100_000, None),
        (0, 400_000, 100_001, 100_000),
        (100_000, 400_000, 1, 0),
    ],
)
def test_the_ceiling_counts_what_is_under_way(
    has_fen: int, coming_fen: int, gets_fen: int, room_fen: int | None
) -> None:
    before = books(a=wallet(fen=has_fen, credits_pending=coming_fen))
    for move in (
        lambda: post(before, one_leg("bank", "wal_a", gets_fen)),
        lambda: hold(before, Leg("bank", "wal_a", gets_fen)),
    ):
        if room_fen is None:
            move()
            continue
        with pytest.raises(CeilingExceeded) as refusal:
            move()
        assert refusal.value.data["room_fen"] == room_fen
        assert refusal.value.article == ARTICLE


def test_what_is_held_out_makes_no_room_under_the_ceiling() -> None:
    """Goal: a hold may be voided; money let in meanwhile would then stand above the ceiling."""
    before = books(a=wallet(fen=500_000, debits_pending=100))
    with pytest.raises(CeilingExceeded):
        post(before, one_leg("bank", "wal_a", 1))


def test_a_wallet_above_its_ceiling_may_still_pay() -> None:
    before = books(a=wallet(fen=600_000))
    after, _ = post(before, one_leg("wal_a", "shop", 1))
    assert after["wal_a"].balance_fen == 599_999


@pytest.mark.parametrize(
    ("state", "out", "into"),
    [
        (AccountState.OPEN, None, None),
        (AccountState.FROZEN, AccountFrozen, None),
        (AccountState.CLOSED, AccountClosed, AccountClosed),
    ],
)
def test_a_frozen_account_gives_nothing_and_a_closed_one_neither_gives_nor_takes(
    state: AccountState, out: type[DomainError] | None, into: type[DomainError] | None
) -> None:
    before = books(a=wallet(fen=100, state=state))
    moves = ((out, Leg("wal_a", "shop", 1)), (into, Leg("bank", "wal_a", 1)))
    for refusal, leg in moves:
        for move in (
            lambda leg=leg: post(before, Transfer("op", "t", (leg,))),
            lambda leg=leg: hold(before, leg),
        ):
            if refusal is None:
                move()
            else:
                with pytest.raises(refusal):
                    move()


def test_legs_stand_or_fall_together() -> None:
    before = books(a=wallet(fen=100))
    legs = (Leg("wal_a", "shop", 60), Leg("wal_a", "wal_b", 60))
    with pytest.raises(InsufficientFunds):
        post(before, Transfer("op", "test", legs))
    assert before["wal_a"].balance_fen == 100


def test_the_entries_show_the_balance_after_each_leg() -> None:
    before = books(a=wallet(fen=100, lines=3))
    legs = (Leg("wal_a", "shop", 60), Leg("bank", "wal_a", 5))
    _, entries = post(before, Transfer("op", "test", legs))
    mine = [(one.line, one.side, one.balance_fen) for one in entries if one.account_id == "wal_a"]
    assert mine == [(4, Side.DEBIT, 40), (5, Side.CREDIT, 45)]


LEGS = st.builds(
    lambda pair, fen: Leg(*pair, fen),
    st.permutations(NAMES).map(lambda names: (names[0], names[1])),
    st.integers(1, 700_000),
)
MOVES = st.lists(
    st.tuples(st.sampled_from(["post", "hold", "release"]), st.lists(LEGS, min_size=1, max_size=3)),
    max_size=25,
)


@given(MOVES)
def test_no_order_of_moves_breaks_a_law(moves: list[tuple[str, list[Leg]]]) -> None:
    accounts, held = books(a=wallet(fen=0)), []
    for kind, legs in moves:
        try:
            if kind == "post":
                accounts, _ = post(accounts, Transfer("op", "test", tuple(legs)))
            elif kind == "hold":
                accounts = hold(accounts, legs[0])
                held.append(legs[0])
            elif held:
                accounts = release(accounts, held.pop())
        except (InsufficientFunds, CeilingExceeded):
            continue
    assert total_fen(accounts) == 0
    for name in ("wal_a", "wal_b"):
        assert 0 <= accounts[name].available_fen <= accounts[name].balance_fen <= 500_000
        assert accounts[name].balance_fen + accounts[name].incoming_fen <= 500_000
    for name, account in accounts.items():
        assert account.debits_pending == sum(leg.amount_fen for leg in held if leg.debit == name)
        assert account.credits_pending == sum(leg.amount_fen for leg in held if leg.credit == name)


@given(LEGS)
def test_a_hold_released_leaves_no_trace(leg: Leg) -> None:
    before = books(
        a=wallet("wal_a", 700_000, ceiling_fen=None), b=wallet("wal_b", 700_000, ceiling_fen=None)
    )
    assert release(hold(before, leg), leg) == before
