"""The payment's one table: every pair of state and event is decided."""

from __future__ import annotations

from itertools import product

import pytest

from backend.payments.states import FLOW, Event, State, TransitionRefused, advance

LASTING = {State.VOIDED, State.REFUNDED, State.REVERSED}


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_pair_is_decided(state: State, event: Event) -> None:
    if (state, event) in FLOW:
        assert advance(state, event) is FLOW[state, event]
        return
    with pytest.raises(TransitionRefused) as refusal:
        advance(state, event)
    assert refusal.value.data == {"state": state.value, "event": event.value}


def test_the_table_says_what_the_house_says() -> None:
    """Goal: written a second time by hand, so that a row added by mistake is seen."""
    assert {
        (before.value, event.value, after.value) for (before, event), after in FLOW.items()
    } == {
        ("authorised", "capture", "captured"),
        ("authorised", "void", "voided"),
        ("authorised", "reverse", "reversed"),
        ("captured", "refund_part", "partially_refunded"),
        ("captured", "refund_all", "refunded"),
        ("captured", "reverse", "reversed"),
        ("partially_refunded", "refund_part", "partially_refunded"),
        ("partially_refunded", "refund_all", "refunded"),
    }


@pytest.mark.parametrize("state", sorted(LASTING, key=lambda state: state.value))
def test_what_is_over_is_over(state: State) -> None:
    assert not [event for event in Event if (state, event) in FLOW]
