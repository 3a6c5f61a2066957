"""States, counters, configuration and numbers of the virtual card, without a database."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from backend.db import business_metadata
from backend.kernel import DomainError, Kind
from backend.virtual_card import (
    ATC_WINDOW,
    AtcOutOfWindow,
    AtcSeen,
    CardProduct,
    IssuerProfile,
    KeyExhausted,
    PayCodeUsed,
    TokenTransitionRefused,
    check_counter,
    check_key_uses,
    errors,
    mask_token_number,
    proof_seen,
)
from backend.virtual_card.model import number_with_check_digit
from backend.virtual_card.states import FLOW, TokenEvent, TokenState, advance
from card_protocol.mobile_card import is_luhn_valid

OWN_TABLES = (
    "device",
    "token",
    "token_history",
    "token_key_batch",
    "token_place",
    "token_number",
    "token_short_number",
    "card_holder",
    "token_decision",
    "card_step_up",
    "card_event",
    "token_move",
    "token_tap",
    "token_watch",
)


@pytest.mark.parametrize(("state", "event"), list(product(TokenState, TokenEvent)))
def test_every_pair_is_decided(state: TokenState, event: TokenEvent) -> None:
    if (state, event) in FLOW:
        assert advance(state, event) is FLOW[state, event]
    else:
        with pytest.raises(TokenTransitionRefused) as refused:
            advance(state, event)
        assert refused.value.data == {"state": state.value, "event": event.value}


def test_deleted_is_final_and_only_two_events_make_a_card_usable() -> None:
    assert not [pair for pair in FLOW if pair[0] is TokenState.DELETED]
    made = {pair for pair, after in FLOW.items() if after is TokenState.ACTIVE}
    assert made == {
        (TokenState.PENDING, TokenEvent.CONFIRM),
        (TokenState.SUSPENDED, TokenEvent.RELEASE),
    }


@pytest.mark.parametrize(
    ("atc", "highest", "is_inside"),
    [
        (1, None, True),
        (ATC_WINDOW, None, True),
        (ATC_WINDOW + 1, None, False),
        (0, None, False),
        (-1, 5, False),
        (500, 500, True),
        (500 + ATC_WINDOW, 500, True),
        (501 + ATC_WINDOW, 500, False),
        (500 - ATC_WINDOW, 500, True),
        (499 - ATC_WINDOW, 500, False),
        (65535, 65500, True),
        (65536, 65535, False),
    ],
)
def test_counters_stay_inside_their_window(atc: int, highest: int | None, is_inside: bool) -> None:
    if is_inside:
        check_counter(atc, highest)
    else:
        with pytest.raises(AtcOutOfWindow):
            check_counter(atc, highest)


def test_the_window_may_be_set() -> None:
    check_counter(11, 1, window=10)
    with pytest.raises(AtcOutOfWindow):
        check_counter(12, 1, window=10)


def test_a_key_works_as_often_as_it_says() -> None:
    for uses in range(20):
        check_key_uses(uses, 20)
    for uses in (20, 21):
        with pytest.raises(KeyExhausted) as refused:
            check_key_uses(uses, 20)
        assert refused.value.data == {"uses_max": 20}


def test_a_second_use_has_a_code_per_kind() -> None:
    assert isinstance(proof_seen("tap"), AtcSeen)
    assert isinstance(proof_seen("pay_code"), PayCodeUsed)
    assert (AtcSeen.code, PayCodeUsed.code) == ("atc_seen", "pay_code_used")


@pytest.mark.parametrize(
    "changes",
    [
        {"product": ""},
        {"product": "x" * 17},
        {"product": "卡"},
        {"label": ""},
        {"uses_max": 0},
        {"hours": 0},
        {"certificate_days": 0},
    ],
    ids=str,
)
def test_a_wrong_product_is_not_configured(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        CardProduct(**{"product": "phone_card", "label": "CITY CARD", **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"token_prefix": ""},
        {"token_prefix": "62x"},
        {"token_prefix": "6" * 9},
        {"products": {"other": CardProduct(product="phone_card", label="x")}},
    ],
    ids=str,
)
def test_a_wrong_issuer_is_not_configured(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        IssuerProfile(**{"products": {}, **changes})


def test_token_numbers_have_a_check_digit_and_are_shown_masked() -> None:
    token_number = number_with_check_digit("621000", "000000000001")
    assert is_luhn_valid(token_number)
    assert mask_token_number(token_number) == "621000*********" + token_number[-4:]
    with pytest.raises(ValueError, match="18 digits"):
        number_with_check_digit("621000", "1")


def test_every_refusal_has_a_code_of_its_own_and_words_in_both_languages() -> None:
    refusals = [
        one
        for one in vars(errors).values()
        if isinstance(one, type)
        and issubclass(one, DomainError)
        and one not in (DomainError, errors.ProofSeen)
    ]
    assert len({one.code for one in refusals}) == len(refusals) > 25
    data: dict[str, Any] = {"state": "x", "event": "y", "token_id": "z", "reason": "r"}
    data |= {"devices_max": 5, "uses_max": 20, "tries_left": 4, "field": "f", "reasons": ["a"]}
    data |= {"suite": "sm4_sm2"}
    for one in refusals:
        assert isinstance(one.kind, Kind)
        assert one.title.text("zh") != one.title.text("en")
        assert one.detail.text("zh", **data) != one.detail.text("en", **data)


@pytest.mark.parametrize("name", OWN_TABLES)
def test_every_key_holds_the_distribution_column(name: str) -> None:
    table = business_metadata.tables[name]
    column = table.info["citus"]
    uniques = [one for one in table.constraints if type(one).__name__ == "UniqueConstraint"]
    for key in (table.primary_key, *uniques):
        assert column in key.columns, key
