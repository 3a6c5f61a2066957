"""The ledger's laws as pure rules: accounts and legs, no rows (ceilings: test_limits)."""

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
    InsufficientFunds,
    Leg,
    Side,
    Transfer,
)
from backend.wallet.ledger.model import LedgerBroken, check_move, pend, post

NAMES = ("bank", "wal_a", "wal_b", "shop")


def wallet(name: str = "wal_a", fen: int = 0, **changes: Any) -> Account:
    return Account(name, "wallet", Side.CREDIT, credits_posted=fen, **{"floor_fen": 0, **changes})


def books(**changes: Account) -> dict[str, Account]:
    made = {
        "bank": Account("bank", "custody", Side.DEBIT),
        "wal_a": wallet("wal_a"),
        "wal_b": wallet("wal_b"),
        "shop": Account("shop", "merchant_payable", Side.CREDIT),
    }
    return {**made, **{one.account_id: one for one in changes.values()}}


Books = dict[str, Account]


def posted(before: Books, *legs: Leg) -> Books:
    """The books after the legs, if every account allows it."""
    after, _ = post(before, legs)
    return allowed(before, after)


def held(before: Books, leg: Leg) -> Books:
    return allowed(before, pend(before, leg, leg.amount_fen))


def allowed(before: Books, after: Books) -> Books:
    for name, account in after.items():
        if account != before[name]:
            check_move(before[name], account)
    return after


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
        lambda: posted(before, Leg("wal_a", "shop", pays_fen)),
        lambda: held(before, Leg("wal_a", "shop", pays_fen)),
    ):
        if short_by_fen is None:
            move()
            continue
        with pytest.raises(InsufficientFunds) as refusal:
            move()
        assert refusal.value.data["short_by_fen"] == short_by_fen
        assert refusal.value.data["balance_fen"] == has_fen - held_fen


def test_an_account_below_its_floor_may_rise_and_not_sink() -> None:
    """Goal: a correction that left somebody in the red does not keep his money out."""
    before = books(a=wallet(fen=0, debits_posted=100))
    assert posted(before, Leg("bank", "wal_a", 1))["wal_a"].balance_fen == -99
    with pytest.raises(InsufficientFunds):
        posted(before, Leg("wal_a", "shop", 1))


def test_money_under_way_is_promised_and_not_available() -> None:
    account = wallet(fen=100, credits_pending=30, debits_pending=40)
    assert (account.available_fen, account.promised_fen) == (60, 130)


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
            lambda leg=leg: posted(before, leg),
            lambda leg=leg: held(before, leg),
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
        posted(before, *legs)
    assert before["wal_a"].balance_fen == 100


def test_the_entries_show_the_balance_after_each_leg() -> None:
    before = books(a=wallet(fen=100, lines=3))
    legs = (Leg("wal_a", "shop", 60), Leg("bank", "wal_a", 5))
    _, entries = post(before, legs)
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
    accounts, pending = books(a=wallet(fen=0)), []
    for kind, legs in moves:
        try:
            if kind == "post":
                accounts = posted(accounts, *legs)
            elif kind == "hold":
                accounts = held(accounts, legs[0])
                pending.append(legs[0])
            elif pending:
                leg = pending.pop()
                accounts = pend(accounts, leg, -leg.amount_fen)
        except InsufficientFunds:
            continue
    assert total_fen(accounts) == 0
    for name in ("wal_a", "wal_b"):
        assert 0 <= accounts[name].available_fen <= accounts[name].balance_fen
    for name, account in accounts.items():
        assert account.debits_pending == sum(leg.amount_fen for leg in pending if leg.debit == name)
        assert account.credits_pending == sum(
            leg.amount_fen for leg in pending if leg.credit == name
        )


@given(LEGS)
def test_a_hold_released_leaves_no_trace(leg: Leg) -> None:
    before = books(a=wallet("wal_a", 700_000), b=wallet("wal_b", 700_000))
    assert pend(held(before, leg), leg, -leg.amount_fen) == before
