"""Limits: which figure holds for whom on which day, what a refusal tells, what no city may set."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.kernel import Kind, Words
from backend.wallet.ledger.limits import (
    EPOCH,
    KEPT,
    CeilingExceeded,
    Limit,
    LimitExceeded,
    LimitInvalid,
    Limits,
    Period,
    check_ceiling,
    check_use,
    period_start,
)
from backend.web.problems import problem_body, status_of

ARTICLE = Words(zh="办法第一条", en="Article 1")
START, DAY = date(2020, 1, 1), date(2026, 11, 23)


def limit(rule: str = "rule", fen: int | None = 500, **changes: Any) -> Limit:
    made = Limit(rule, "registered", "spend", Period.DAY, fen, None, START, ARTICLE)
    return replace(made, **changes)


def ceiling(rule: str = "most", fen: int | None = 500_000, **changes: Any) -> Limit:
    return limit(rule, fen, **{"period": Period.BALANCE, "counter": None, **changes})


# --- which holds ----------------------------------------------------------------------------------

STEPS = [
    limit(fen=500, effective_from=date(2020, 1, 1)),
    limit(fen=None, effective_from=date(2030, 1, 1)),
    limit(fen=700, effective_from=date(2026, 6, 1)),
    limit(fen=900, effective_from=date(2031, 1, 1)),
]


@pytest.mark.parametrize(
    ("day", "fen"),
    [
        (date(2019, 12, 31), None),
        (date(2020, 1, 1), 500),
        (date(2026, 5, 31), 500),
        (date(2026, 6, 1), 700),
        (date(2029, 12, 31), 700),
        (date(2030, 1, 1), None),
        (date(2030, 12, 31), None),
        (date(2031, 1, 1), 900),
        (date.max, 900),
        (date.min, None),
    ],
)
def test_the_newest_that_has_begun_holds_until_an_entry_ends_it(day: date, fen: int | None) -> None:
    found = Limits(STEPS).of("registered", "spend", day)
    assert [one.amount_max_fen for one in found] == ([] if fen is None else [fen])
    standing = Limits(
        [ceiling(fen=one.amount_max_fen, effective_from=one.effective_from) for one in STEPS]
    ).ceiling("registered", day)
    assert (standing.amount_max_fen if standing else None) == fen


def test_any_class_holds_beside_the_class_itself_and_narrow_periods_come_first() -> None:
    limits = Limits(
        [
            limit("year", period=Period.YEAR),
            limit("sale", period=Period.SALE),
            limit("ever", period=Period.EVER),
            limit("day", account_class="*"),
            limit("other", counter="code_b"),
            limit("class_1", account_class="class_1"),
        ]
    )
    asked = {
        ("registered", "spend"): ["sale", "day", "year", "ever"],
        ("class_1", "spend"): ["class_1", "day"],
        ("unheard_of", "spend"): ["day"],
        ("registered", "code_b"): ["other"],
        ("class_1", "code_b"): [],
        (None, "spend"): [],
    }
    for (name, counter), rules in asked.items():
        assert [one.rule for one in limits.of(name, counter, DAY)] == rules


def test_the_lowest_ceiling_counts() -> None:
    limits = Limits([ceiling("a", 900), ceiling("b", 300, account_class="*"), limit()])
    for name, fen in (("registered", 300), ("unheard_of", 300)):
        found = limits.ceiling(name, DAY)
        assert found is not None
        assert found.amount_max_fen == fen
    assert limits.ceiling(None, DAY) is None  # a house account has no limits
    assert Limits([ceiling("a", 900)]).ceiling("unheard_of", DAY) is None


def test_a_ceiling_of_nothing_is_a_ceiling() -> None:
    found = Limits([ceiling("a", 0), ceiling("b", 5)]).ceiling("registered", DAY)
    assert found is not None
    assert found.rule == "a"


def test_no_limits_at_all() -> None:
    limits = Limits([])
    assert limits.ceiling("registered", DAY) is None
    assert limits.of("registered", "spend", DAY) == ()
    assert limits.periods("spend", DAY) == ()


def test_limits_do_not_change_with_the_list_they_came_from() -> None:
    entries = [limit()]
    limits = Limits(entries)
    entries.append(limit("more"))
    assert len(limits.of("registered", "spend", DAY)) == 1


CLASSES, COUNTERS = ("registered", "class_1", "*"), ("spend", "code_b", None)
ENTRIES = st.lists(
    st.builds(
        lambda rule, name, counter, period, fen, days: limit(
            rule,
            fen,
            account_class=name,
            counter=None if period is Period.BALANCE else counter or "spend",
            period=period,
            effective_from=START + timedelta(days=days),
        ),
        st.sampled_from("abc"),
        st.sampled_from(CLASSES),
        st.sampled_from(COUNTERS),
        st.sampled_from(Period),
        st.none() | st.integers(0, 9),
        st.integers(0, 800),
    ),
    max_size=8,
    unique_by=lambda one: (one.rule, one.account_class, one.effective_from),
)


@given(ENTRIES, st.integers(-1, 801))
@settings(max_examples=300, deadline=None)
def test_the_prepared_answers_are_those_of_a_plain_search(entries: list[Limit], days: int) -> None:
    limits, day = Limits(entries), START + timedelta(days=days)

    def holds(one: Limit) -> bool:
        rivals = [
            other.effective_from
            for other in entries
            if (other.rule, other.account_class) == (one.rule, one.account_class)
        ]
        begun = [since for since in rivals if since <= day]
        return not one.is_end and bool(begun) and one.effective_from == max(begun)

    for name in (*CLASSES, "unheard_of"):
        mine = [one for one in entries if one.account_class in (name, "*") and holds(one)]
        standing = [one.amount_max_fen or 0 for one in mine if one.period is Period.BALANCE]
        found = limits.ceiling(name, day)
        assert (found.amount_max_fen if found else None) == min(standing, default=None)
        for counter in ("spend", "code_b"):
            meant = {id(one) for one in mine if one.counter == counter}
            assert {id(one) for one in limits.of(name, counter, day)} == meant


# --- what must be kept ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "starts_on"),
    [(Period.DAY, DAY), (Period.YEAR, date(2026, 1, 1)), (Period.EVER, date(1970, 1, 1))],
)
def test_a_period_starts(period: Period, starts_on: date) -> None:
    assert period_start(period, DAY) == starts_on


@pytest.mark.parametrize("period", [Period.SALE, Period.BALANCE])
def test_what_counts_over_no_time_has_no_start(period: Period) -> None:
    with pytest.raises(ValueError, match=period.value):
        period_start(period, DAY)


def test_use_is_kept_for_every_class_that_counts_it_over_time() -> None:
    limits = Limits(
        [
            limit("a", period=Period.EVER, account_class="class_1"),
            limit("b", period=Period.DAY, account_class="*"),
            limit("c", period=Period.SALE),
            limit("d", period=Period.SALE, counter="cash_person"),
            ceiling(),
        ]
    )
    assert limits.periods("spend", DAY) == (Period.DAY, Period.EVER)
    assert limits.periods("cash_person", DAY) == limits.periods("unheard_of", DAY) == ()


@pytest.mark.parametrize(
    ("period", "first_kept"),
    [(Period.DAY, date(2026, 7, 1)), (Period.YEAR, date(2026, 1, 1)), (Period.EVER, EPOCH)],
)
def test_use_is_kept_before_the_limit_holds(period: Period, first_kept: date) -> None:
    """Goal: a limit of the year that begins in July knows what was spent in spring."""
    limits = Limits([limit(period=period, effective_from=date(2026, 7, 1))])
    assert limits.periods("spend", first_kept) == (period,)
    assert limits.periods("spend", first_kept - timedelta(days=1)) == ()
    assert limits.of("registered", "spend", date(2026, 6, 30)) == ()


@given(ENTRIES, st.integers(0, 801))
@settings(deadline=None)
def test_whatever_a_limit_counts_is_kept(entries: list[Limit], days: int) -> None:
    limits, day = Limits(entries), START + timedelta(days=days)
    for name in CLASSES:
        for counter in ("spend", "code_b"):
            counted = {one.period for one in limits.of(name, counter, day)} & set(KEPT)
            assert counted <= set(limits.periods(counter, day))


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("used_fen", "amount_fen", "room_fen"),
    [
        (0, 500, None),
        (0, 501, 500),
        (480, 20, None),
        (480, 21, 20),
        (500, 1, 0),
        (900, 1, 0),  # the figure was lowered meanwhile
    ],
)
@pytest.mark.parametrize("period", KEPT)
def test_a_use_above_the_figure_is_refused(
    period: Period, used_fen: int, amount_fen: int, room_fen: int | None
) -> None:
    one = limit("class_2_year", period=period)
    if room_fen is None:
        check_use(one, used_fen, 99, amount_fen)
        return
    with pytest.raises(LimitExceeded) as refusal:
        check_use(one, used_fen, 99, amount_fen)
    data = refusal.value.data
    assert (refusal.value.code, refusal.value.kind) == ("limit_exceeded", Kind.REFUSED)
    assert (data["rule"], data["period"]) == ("class_2_year", period.value)
    assert (data["limit_fen"], data["limit_yuan"]) == (500, "5.00")
    assert (data["used_fen"], data["room_fen"]) == (used_fen, room_fen)
    assert data["room_yuan"] == f"0.{room_fen:02d}" if room_fen < 100 else "5.00"
    assert "limit_times" not in data
    assert refusal.value.article == ARTICLE


def test_one_sale_is_measured_alone() -> None:
    one = limit(period=Period.SALE)
    check_use(one, 10_000, 99, 500)
    with pytest.raises(LimitExceeded) as refusal:
        check_use(one, 10_000, 99, 501)
    assert refusal.value.data["room_fen"] == 500


@pytest.mark.parametrize(("used_times", "is_refused"), [(0, False), (2, False), (3, True)])
def test_times_are_counted(used_times: int, is_refused: bool) -> None:
    one = limit(fen=None, times_max=3)
    if not is_refused:
        check_use(one, 10**9, used_times, 10**9)
        return
    with pytest.raises(LimitExceeded) as refusal:
        check_use(one, 10**9, used_times, 1)
    data = refusal.value.data
    assert (data["limit_times"], data["used_times"]) == (3, 3)
    assert "limit_fen" not in data


@pytest.mark.parametrize(
    ("before_fen", "reached_fen", "room_fen"),
    [
        (0, 500_000, None),
        (0, 500_001, 500_000),
        (499_999, 500_001, 1),
        (600_000, 600_000, None),
        (600_000, 599_999, None),  # above it already, and going down
        (600_000, 600_001, 0),
    ],
)
def test_a_balance_above_the_ceiling_is_refused(
    before_fen: int, reached_fen: int, room_fen: int | None
) -> None:
    if room_fen is None:
        check_ceiling(ceiling(), before_fen, reached_fen)
        return
    with pytest.raises(CeilingExceeded) as refusal:
        check_ceiling(ceiling(), before_fen, reached_fen)
    data = refusal.value.data
    assert (refusal.value.code, data["rule"]) == ("ceiling_exceeded", "most")
    assert (data["ceiling_fen"], data["ceiling_yuan"]) == (500_000, "5000.00")
    assert (data["room_fen"], refusal.value.article) == (room_fen, ARTICLE)


def refusals() -> list[LimitExceeded | CeilingExceeded]:
    """One of each: every period by amount, every period that remembers by times, a ceiling."""
    made: list[LimitExceeded | CeilingExceeded] = []
    for period in (Period.SALE, *KEPT):
        with pytest.raises(LimitExceeded) as refusal:
            check_use(limit(period=period), 480, 1, 501)
        made.append(refusal.value)
    for period in KEPT:
        with pytest.raises(LimitExceeded) as refusal:
            check_use(limit(fen=None, times_max=3, period=period), 480, 3, 1)
        made.append(refusal.value)
    with pytest.raises(CeilingExceeded) as above:
        check_ceiling(ceiling(), 0, 500_001)
    return [*made, above.value]


@pytest.mark.parametrize(("asked", "article"), [("zh-CN", ARTICLE.zh), ("en", ARTICLE.en)])
def test_a_refusal_speaks_the_callers_language_its_article_too(asked: str, article: str) -> None:
    with Flask(__name__).test_request_context(headers={"Accept-Language": asked}):
        for refusal in refusals():
            body = problem_body(refusal)
            assert status_of(refusal) == body["status"] == 402
            assert body["article"] == article
            assert body["rule"] in ("rule", "most")
            is_chinese = bool(re.search("[\u4e00-\u9fff]", body["detail"] + body["title"]))
            assert is_chinese is (asked == "zh-CN")
            assert "{" not in body["detail"]


# --- what no city may set -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (limit(fen=-1), "amount_max_fen"),
        (limit(fen=True), "amount_max_fen"),
        (limit(amount_max_fen=5.0), "amount_max_fen"),
        (limit(amount_max_fen="500"), "amount_max_fen"),
        (limit(fen=2**53 + 1), "amount_max_fen"),
        (limit(times_max=-1), "times_max"),
        (limit(times_max=False), "times_max"),
        (limit(period="day"), "period must be one of balance, sale, day, year, ever"),
        (ceiling(counter="spend"), "neither counter"),
        (ceiling(times_max=3), "neither counter nor times"),
        (limit(counter=None), "counter must say"),
        (limit(period=Period.SALE, times_max=2), "no times"),
        (limit(rule=""), "rule must be a name"),
        (limit(rule="r" * 33), "rule must be a name"),
        (limit(rule=7), "rule must be a name"),  # type: ignore[arg-type]
        (limit(account_class="c" * 17), "account_class must be a name of 1 to 16"),
        (limit(account_class=None), "account_class"),
        (limit(counter="a,b"), "without a comma"),
        (limit(counter=["spend"]), "counter must be a name"),
        (limit(effective_from="2020-01-01"), "effective_from"),
        (limit(effective_from=datetime(2020, 1, 1)), "effective_from"),  # noqa: DTZ001
        (limit(article="第一条"), "article"),
        (limit(article=Words(zh="", en="x")), "article"),
        (limit(article=Words(zh="{rule}", en="x")), "without braces"),
        (limit(article=Words(zh="一", en=5)), "article"),  # type: ignore[arg-type]
    ],
)
def test_an_entry_that_cannot_be_meant_is_named(entry: Limit, said: str) -> None:
    with pytest.raises(LimitInvalid, match=re.escape(said)) as refusal:
        Limits([limit("first"), entry])
    assert str(refusal.value).startswith(f"limits, entry 2 ({entry.rule!r}, ")


def test_one_rule_is_said_once_a_day() -> None:
    Limits([limit(), limit(account_class="*"), limit(effective_from=DAY), limit("other")])
    with pytest.raises(LimitInvalid, match=r"entry 2 .*twice for 2020-01-01"):
        Limits([limit(), limit(fen=700)])


def test_limits_are_bounded() -> None:
    with pytest.raises(LimitInvalid, match="500 allowed"):
        Limits([limit(f"rule_{number}") for number in range(501)])
