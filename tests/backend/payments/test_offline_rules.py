"""The pure rules of late sales: how a card stood, who pays, which changes are possible."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.payments.offline.model import split_amount
from backend.payments.offline.schemas import read_item
from backend.payments.purses.states import (
    CASE_FLOW,
    LOAD_FLOW,
    CaseEvent,
    CaseState,
    LoadEvent,
    LoadState,
    LoadStateConflict,
    PurseCaseDecided,
    advance_case,
    advance_load,
)
from backend.virtual_card import Reason, TokenDeleted, TokenPending, TokenState, TokenSuspended
from backend.virtual_card.past.model import StateChange, find_stop

T0 = datetime(2026, 11, 23, tzinfo=UTC)
A, P, S, D = TokenState.ACTIVE, TokenState.PENDING, TokenState.SUSPENDED, TokenState.DELETED


@pytest.mark.parametrize(("state", "event"), list(product(LoadState, LoadEvent)))
def test_every_pair_of_a_load_is_decided(state: LoadState, event: LoadEvent) -> None:
    if (state, event) in LOAD_FLOW:
        assert advance_load(state, event) is LOAD_FLOW[state, event]
    else:
        with pytest.raises(LoadStateConflict):
            advance_load(state, event)


@pytest.mark.parametrize(("state", "event"), list(product(CaseState, CaseEvent)))
def test_every_pair_of_a_case_is_decided(state: CaseState, event: CaseEvent) -> None:
    if (state, event) in CASE_FLOW:
        assert advance_case(state, event) is CASE_FLOW[state, event]
    else:
        with pytest.raises(PurseCaseDecided):
            advance_case(state, event)


def lines(*states: TokenState, reason: Reason = Reason.LOST_PHONE) -> list[StateChange]:
    """One change an hour."""
    return [StateChange(one, T0 + timedelta(hours=n), reason) for n, one in enumerate(states)]


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def test_how_a_token_stood_at_a_moment() -> None:
    history = lines(P, A, S, A, S, D)
    for hours in (1, 1.5, 3.5):
        assert find_stop(history, at(hours)) is None
    first, second, third = (find_stop(history, at(hours)) for hours in (2.5, 4.5, 9))
    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.since, first.refusal) == (at(2), TokenSuspended)
    assert (second.since, second.refusal) == (at(4), TokenSuspended)
    assert (third.since, third.refusal) == (at(4), TokenDeleted)  # stopped since the suspension


def test_who_sets_a_card_aside_keeps_it_in_hand() -> None:
    """Goal: a moved card that taps on is its holder's; one lost before it was deleted is not."""
    moved = find_stop(lines(A, D, reason=Reason.MOVED_ON), at(2))
    assert moved is not None
    assert not moved.is_out_of_hand
    lost = [*lines(A, S), StateChange(D, at(2), Reason.DEVICE_ENDED)]
    stop = find_stop(lost, at(3))
    assert stop is not None
    assert stop.is_out_of_hand


@pytest.mark.parametrize("hours", [-1, 0, 0.5])
def test_a_token_that_waits_pays_nothing(hours: float) -> None:
    with pytest.raises(TokenPending):
        find_stop(lines(P, A), at(hours))


def test_a_moment_before_the_first_change_reads_as_the_first() -> None:
    """Goal: a terminal's clock that is behind refuses no fresh card."""
    assert find_stop(lines(A, S), at(-0.01)) is None
    with pytest.raises(TokenPending):
        find_stop([], at(0))


FEN = st.integers(-10_000, 10_000)


@given(amount=st.integers(1, 10_000), available=FEN, room=FEN)
def test_the_parts_of_a_sale_sum_to_it(amount: int, available: int, room: int) -> None:
    split = split_amount(amount, available, room)
    assert split.wallet_fen + split.debt_fen + split.loss_fen == amount
    assert 0 <= split.wallet_fen <= max(0, available)
    assert 0 <= split.debt_fen <= max(0, room)
    assert split.loss_fen >= 0
    if split.debt_fen:
        assert split.wallet_fen == max(0, available)
    if split.loss_fen:
        assert split.debt_fen == max(0, room)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
NAMES = ("payment_id", "terminal_counter", "chain", "amount_fen", "accepted_at", "proof", "mode")


@given(item=JSON | st.dictionaries(st.sampled_from(NAMES), JSON))
def test_nothing_a_terminal_sends_breaks_the_reading(item: object) -> None:
    """Goal: an item is a sale or it is told why not; never a bug."""
    assert len(read_item(item).digest) == 64
