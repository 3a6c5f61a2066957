"""Amounts, ids, clocks and words at their edges."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.kernel import (
    AMOUNT_MAX_FEN,
    Kind,
    ManualClock,
    SystemClock,
    Words,
    business_date,
    check_amount,
    check_id,
    new_id,
    yuan_text,
)
from backend.kernel.fen import AmountInvalid
from backend.kernel.ids import IdInvalid

SUFFIX = "01h455vb4pex5vsknk084sn02q"

WRONG_AMOUNTS = [
    0,
    -1,
    -(2**31),
    2**31,
    2**53,
    2**64,
    10**400,
    True,
    False,
    1.0,
    1.5,
    1e309,
    float("nan"),
    float("-inf"),
    "5",
    b"5",
    "",
    None,
    Decimal(5),
    [5],
    {},
]


@pytest.mark.parametrize("amount", [1, 2, 100, AMOUNT_MAX_FEN])
def test_a_whole_positive_amount_is_itself(amount: int) -> None:
    assert check_amount(amount) is amount


@pytest.mark.parametrize("amount", WRONG_AMOUNTS, ids=lambda value: f"{value!r:.20}")
def test_any_other_amount_is_refused(amount: object) -> None:
    with pytest.raises(AmountInvalid) as refusal:
        check_amount(amount)
    assert refusal.value.kind is Kind.INVALID
    assert refusal.value.data == {"maximum_fen": 2147483647}


def test_a_subclass_of_int_is_no_amount() -> None:
    class Sly(int):
        def __gt__(self, other: object) -> bool:
            return True

    with pytest.raises(AmountInvalid):
        check_amount(Sly(5))


@given(st.integers(-(10**15), 10**15))
def test_yuan_text_is_the_decimal_with_two_places(amount: int) -> None:
    assert yuan_text(amount) == f"{Decimal(amount) / 100:.2f}"


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0.00"), (1, "0.01"), (-1, "-0.01"), (-99, "-0.99"), (100, "1.00"), (-1250, "-12.50")],
)
def test_yuan_text_keeps_sign_and_places(amount: int, text: str) -> None:
    assert yuan_text(amount) == text


def test_a_new_id_is_accepted_under_its_prefix_and_no_other() -> None:
    made = new_id("pay")
    assert check_id(made, "pay") is made
    with pytest.raises(IdInvalid):
        check_id(made, "top")


def test_new_ids_sort_in_the_order_they_were_made() -> None:
    """The outbox delivers by id: within one millisecond too, later must sort later."""
    made = [new_id("evt") for _ in range(5000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "pay",
        "pay_",
        "_" + SUFFIX,
        SUFFIX,
        "top_" + SUFFIX,
        "PAY_" + SUFFIX,
        "Pay_" + SUFFIX,
        "pay_" + SUFFIX.upper(),
        "pay_" + SUFFIX[:-1],
        "pay_" + SUFFIX + "0",
        "pay_" + SUFFIX * 40,
        "pay_8" + SUFFIX[1:],  # more than 128 bits
        "pay_" + SUFFIX[:-1] + "u",  # not in the alphabet
        "pay_" + SUFFIX[:-1] + "l",
        "pay__" + SUFFIX,
        "pay_x_" + SUFFIX,
        "_pay_" + SUFFIX,
        " pay_" + SUFFIX,
        "pay_" + SUFFIX + "\n",
        "pay_" + SUFFIX + "\0",
        "pay_" + SUFFIX[:-1] + "０",  # a full-width zero
        "pаy_" + SUFFIX,  # a Cyrillic letter
        "付_" + SUFFIX,
        "pay_" + "付" * 26,
        "pay_" + "\ud800" * 26,
        "pay-" + SUFFIX,
        "a" * 64 + "_" + SUFFIX,
    ],
    ids=lambda value: ascii(value)[:50],
)
def test_anything_but_a_typeid_of_the_prefix_is_refused(value: str) -> None:
    with pytest.raises(IdInvalid) as refusal:
        check_id(value, "pay")
    assert refusal.value.data == {"prefix": "pay"}


@given(st.text(max_size=60))
def test_no_text_makes_check_id_fail_in_another_way(value: str) -> None:
    for candidate in (value, f"pay_{value}"):
        try:
            check_id(candidate, "pay")
        except IdInvalid:
            continue
        assert candidate.isascii()
        assert len(candidate) == 30


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 11, 22, 15, 59, 59, 999999, tzinfo=UTC), date(2026, 11, 22)),
        (datetime(2026, 11, 22, 16, 0, tzinfo=UTC), date(2026, 11, 23)),
        (datetime(2026, 12, 31, 16, 0, tzinfo=UTC), date(2027, 1, 1)),
        (datetime(2028, 2, 28, 16, 0, tzinfo=UTC), date(2028, 2, 29)),
        (datetime(2026, 11, 23, 0, 0, tzinfo=timezone(timedelta(hours=8))), date(2026, 11, 23)),
        (datetime(2026, 11, 22, 8, 0, tzinfo=timezone(timedelta(hours=-8))), date(2026, 11, 23)),
    ],
)
def test_business_days_turn_at_midnight_in_shanghai(moment: datetime, day: date) -> None:
    assert business_date(moment) == day


def test_a_moment_without_a_zone_has_no_business_date() -> None:
    with pytest.raises(ValueError, match="zone"):
        business_date(datetime(2026, 11, 23, 0, 0))  # noqa: DTZ001 - the point of the test


def test_the_manual_clock_moves_only_when_told() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    clock = ManualClock(start)
    assert clock.now() == clock.now() == start
    clock.advance(timedelta(seconds=90))
    assert clock.now() == start + timedelta(seconds=90)


def test_the_system_clock_knows_its_zone() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("language", "text"),
    [("zh", "剩 5 分"), ("en", "5 fen left"), ("fr", "剩 5 分"), ("", "剩 5 分")],
)
def test_words_speak_english_when_asked_and_chinese_otherwise(language: str, text: str) -> None:
    words = Words(zh="剩 {left_fen} 分", en="{left_fen} fen left")
    assert words.text(language, left_fen=5, more="unused") == text


def test_data_in_words_is_not_a_template_again() -> None:
    words = Words(zh="{name}", en="{name}")
    assert words.text("en", name="{secret} {0}") == "{secret} {0}"
