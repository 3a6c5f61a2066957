"""Wallets as their holders see them, and the ledger's daily proof."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from backend.db import AnsweredBefore
from backend.kernel import business_date, new_id
from backend.wallet import OpenWallet, WalletUnknown
from backend.wallet.model import RegistrationNeeded, WalletExists
from tests.simulation.books import dump
from tests.simulation.money_world import CEILING_FEN, World, operation

TODAY = date(2026, 11, 23)


# --- wallets ------------------------------------------------------------------------------------


def test_a_wallet_opens_empty_and_under_its_ceiling(world: World) -> None:
    command = OpenWallet(new_id("per"), new_id("wal"))
    made = world.wallets.open(command, operation("k"))
    assert (made.state, made.account_class) == ("open", "registered")
    assert (made.balance_fen, made.available_fen, made.ceiling_fen) == (0, 0, CEILING_FEN)
    assert world.wallets.of_person(command.person_id) == [made]
    with pytest.raises(AnsweredBefore):
        world.wallets.open(command, operation("k"))
    with pytest.raises(WalletExists) as refusal:
        world.wallets.open(replace(command, wallet_id=new_id("wal")), operation())
    assert refusal.value.data == {"wallet_id": made.wallet_id}


def test_refusals_open_nothing(world: World) -> None:
    taken = world.wallets.open(OpenWallet(new_id("per"), new_id("wal")), operation())
    before = dump(world.units)
    with pytest.raises(WalletUnknown):  # tells nothing about somebody else's wallet
        world.wallets.open(OpenWallet(new_id("per"), taken.wallet_id), operation())
    stranger = replace(world.wallets, is_registered=lambda _: False)
    with pytest.raises(RegistrationNeeded) as refusal:
        stranger.open(OpenWallet(new_id("per"), new_id("wal")), operation())
    assert refusal.value.article
    assert dump(world.units) == before


def test_another_persons_wallet_is_unknown(world: World) -> None:
    mine, other = world.citizen(), world.citizen()
    for wallet_id in (other.wallet_id, new_id("wal")):
        with pytest.raises(WalletUnknown):
            world.wallets.get(wallet_id, mine.person_id)
        with pytest.raises(WalletUnknown):
            world.wallets.lines(wallet_id, mine.person_id, limit=5, after=None)
        assert not world.wallets.is_owner(mine.person_id, wallet_id)


def test_history_pages_without_gap_or_repetition(world: World) -> None:
    citizen = world.citizen()
    amounts = [1_000 + 100 * number for number in range(7)]
    for fen in amounts:
        world.fund(citizen, fen)
    read: list[Any] = []
    cursor: str | None = None
    for _ in range(4):
        lines, cursor = world.wallets.lines(
            citizen.wallet_id, citizen.person_id, limit=2, after=cursor
        )
        read += lines
    assert cursor is None
    assert [one.amount_fen for one in read] == amounts[::-1]
    assert [one.balance_fen for one in read] == [sum(amounts[: 7 - number]) for number in range(7)]
    assert {one.code for one in read} == {"top_up"}
    assert all(one.reference.startswith("top_") for one in read)


def test_a_cursor_nobody_was_given_does_no_harm(world: World) -> None:
    for after in ["x", "-1", "9" * 40, "１", "0"]:
        citizen = world.citizen(1_000)
        lines, following = world.wallets.lines(
            citizen.wallet_id, citizen.person_id, limit=2, after=after
        )
        assert following is None
        assert len(lines) <= 1


# --- the proof ----------------------------------------------------------------------------------


def figures(world: World) -> tuple[int, int, int, int, bool, bool]:
    """(custody, receivable, owed, bank, balanced, custody equals owed)."""
    proof = world.proof.prove()
    assert proof.sum_fen == 0
    return (
        proof.custody_fen,
        proof.channel_receivable_fen,
        proof.owed_fen,
        proof.bank_reported_fen,
        proof.balanced,
        proof.custody_equals_owed,
    )


def test_custody_equals_what_is_owed_once_the_statement_is_matched(world: World) -> None:
    assert figures(world) == (0, 0, 0, 0, True, True)
    citizen = world.citizen(20_000)
    assert figures(world) == (0, 20_000, 20_000, 20_000, True, False)
    matched = world.proof.match_custody(TODAY, operation())
    assert (matched.matched, matched.amount_fen, matched.unmatched) == (1, 20_000, [])
    assert figures(world) == (20_000, 0, 20_000, 20_000, True, True)
    till = world.terminal(world.shop(world.merchant()))
    world.tap_sale(till, citizen, 1_250)  # owed to another now, but owed
    assert figures(world) == (20_000, 0, 20_000, 20_000, True, True)
    assert world.proof.prove().debits_fen == 41_250


def test_matching_again_books_nothing_more(world: World) -> None:
    citizen = world.citizen(20_000)
    world.proof.match_custody(TODAY, operation("m"))
    before = dump(world.units)
    with pytest.raises(AnsweredBefore):
        world.proof.match_custody(TODAY, operation("m"))
    repeated = world.proof.match_custody(TODAY, operation())
    assert (repeated.matched, repeated.amount_fen, repeated.unmatched) == (0, 0, [])
    assert dump(world.units) == before
    world.fund(citizen, 5_000)  # the same day's statement has grown
    assert world.proof.match_custody(TODAY, operation()).amount_fen == 5_000
    assert figures(world)[-1]


def test_money_nobody_here_asked_for_is_named_and_left_alone(world: World) -> None:
    """Goal: a booking without a top-up, of another amount, or of one not settled is not booked."""
    world.citizen(20_000)
    slow = world.citizen()
    world.bank.charge("top_foreign", "6217000010001234567", 700)
    pending = world.request_topup(slow, 6_000)
    world.bank.charge(pending.topup_id, "6217000010001234567", 6_000)
    odd = world.request_topup(slow, 300)
    world.bank.charge(odd.topup_id, "6217000010001234567", 200)
    matched = world.proof.match_custody(TODAY, operation())
    assert (matched.matched, matched.amount_fen) == (1, 20_000)
    assert sorted(matched.unmatched) == sorted(["top_foreign", pending.topup_id, odd.topup_id])
    assert figures(world) == (20_000, 0, 20_000, 26_900, True, False)


def test_a_day_without_bookings_matches_nothing(world: World) -> None:
    world.citizen(20_000)
    world.clock.advance(timedelta(days=1))
    tomorrow = business_date(world.clock.now())
    assert world.proof.match_custody(tomorrow, operation()).matched == 0
    assert world.proof.match_custody(TODAY, operation()).matched == 1
