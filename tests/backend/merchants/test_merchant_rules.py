"""The terminal's states as a table, and the form of activation codes."""

from __future__ import annotations

import hashlib
from itertools import product

import pytest

from backend.db import business_metadata
from backend.merchants import TerminalTransitionRefused
from backend.merchants.model import (
    CODE_ALPHABET,
    CODE_CHARACTERS,
    Ordered,
    code_characters,
    code_text,
    derive_code,
)
from backend.merchants.states import FLOW, Event, State, advance

OWN_TABLES = ("merchant", "shop", "merchant_client", "activation_code", "client_assertion")


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_pair_is_decided(state: State, event: Event) -> None:
    if (state, event) in FLOW:
        assert advance(state, event) is FLOW[state, event]
    else:
        with pytest.raises(TerminalTransitionRefused) as refused:
            advance(state, event)
        assert refused.value.data == {"state": state.value, "event": event.value}


def test_closed_is_final_and_ordered_cannot_be_resumed() -> None:
    assert not [pair for pair in FLOW if pair[0] is State.CLOSED]
    assert (State.ORDERED, Event.RESUME) not in FLOW
    assert (State.SUSPENDED, Event.ACTIVATE) not in FLOW


def test_codes_are_unambiguous_distinct_and_repeatable() -> None:
    def mac(data: bytes) -> bytes:
        return hashlib.sha256(data).digest()

    codes = {derive_code(mac, f"trm_{one}", serial) for one in range(50) for serial in (1, 2)}
    assert len(codes) == 100
    assert derive_code(mac, "trm_1", 1) in codes
    assert {len(one) for one in codes} == {CODE_CHARACTERS}
    assert set("".join(codes)) <= set(CODE_ALPHABET)
    assert not set("01OILU") & set(CODE_ALPHABET)


@pytest.mark.parametrize("typed", ["ABCD-2345", "abcd2345", " ABCD 2345 ", "a-b-c-d-2345"])
def test_a_code_is_read_as_people_type_it(typed: str) -> None:
    assert code_characters(typed) == "ABCD2345"
    assert code_text("ABCD2345") == "ABCD-2345"


def test_an_activation_code_is_never_printed() -> None:
    printed = repr(Ordered(None, "ABCD-2345", None))  # type: ignore[arg-type]
    assert "ABCD" not in printed
    assert "<secret>" in printed


@pytest.mark.parametrize("name", OWN_TABLES)
def test_every_key_holds_the_distribution_column(name: str) -> None:
    table = business_metadata.tables[name]
    column = table.info["citus"]
    if column != "reference":
        assert column in table.primary_key.columns
