"""The demo city's limits are those of the regulations; a mistake of a city is told in one line."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any, NamedTuple

import pytest

from backend.config import ROOT, ConfigInvalid, load_config
from backend.wallet.ledger.limits import Limit, Limits, Period

DAY = date(2026, 11, 23)
PREPAID, ONLINE, CODES = date(2012, 11, 1), date(2016, 7, 1), date(2018, 4, 1)


class Row(NamedTuple):
    """What the table of docs/limits.md says in one row, and words of its article."""

    rule: str
    account_class: str
    counter: str | None
    period: Period
    fen: int
    since: date
    article: str


CITY = [
    Row("registered_balance", "registered", None, Period.BALANCE, 500_000, PREPAID, "预付卡"),
    Row("unregistered_balance", "unregistered", None, Period.BALANCE, 100_000, PREPAID, "预付卡"),
    Row("class_1_ever", "class_1", "spend", Period.EVER, 100_000, ONLINE, "网络支付"),
    Row("class_2_year", "class_2", "spend", Period.YEAR, 10_000_000, ONLINE, "网络支付"),
    Row("class_3_year", "class_3", "spend", Period.YEAR, 20_000_000, ONLINE, "网络支付"),
    Row("code_b_day", "*", "code_b", Period.DAY, 500_000, CODES, "条码支付"),
    Row("code_c_day", "*", "code_c", Period.DAY, 100_000, CODES, "条码支付"),
    Row("code_d_day", "*", "code_d", Period.DAY, 50_000, CODES, "条码支付"),
    Row("cash_top_up_day", "*", "cash_top_up", Period.DAY, 20_000, PREPAID, "预付卡"),
    Row("cash_person_sale", "*", "cash_person", Period.SALE, 4_999_999, PREPAID, "预付卡"),
    Row("cash_company_sale", "*", "cash_company", Period.SALE, 499_999, PREPAID, "预付卡"),
    Row("ride_debt_balance", "ride_debt", None, Period.BALANCE, 1_000, date(2026, 1, 1), "乘车"),
]


def found(limits: Limits, row: Row, day: date) -> Limit | None:
    name = "registered" if row.account_class == "*" else row.account_class
    if row.counter is None:
        return limits.ceiling(name, day)
    return next((one for one in limits.of(name, row.counter, day) if one.rule == row.rule), None)


@pytest.mark.parametrize("row", CITY, ids=[row.rule for row in CITY])
def test_the_demo_citys_limits_are_those_of_the_regulations(row: Row) -> None:
    limits = load_config({}).limits()
    assert found(limits, row, row.since - timedelta(days=1)) is None
    for day in (row.since, DAY):
        one = found(limits, row, day)
        assert one is not None
        assert (one.rule, one.period, one.amount_max_fen) == (row.rule, row.period, row.fen)
        assert row.article in one.article.zh
        assert one.article.en.isascii()


def test_the_demo_city_sets_no_other_limit() -> None:
    rows = load_config({}).city["limits"]
    assert [row["rule"] for row in rows] == [row.rule for row in CITY]


def test_the_page_of_limits_shows_every_limit() -> None:
    page = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    for row in CITY:
        yuan = f"{row.fen / 100:,.2f}".replace(",", " ")
        line = (
            f"| `{row.rule}` | `{row.account_class}` | {f'`{row.counter}`' if row.counter else '–'}"
            f" | `{row.period.value}` | {yuan} yuan | {row.since} |"
        )
        assert line in page, line


ROW: dict[str, Any] = {
    "rule": "r",
    "account_class": "registered",
    "period": "balance",
    "amount_max_fen": 5,
    "effective_from": PREPAID,
    "article": {"zh": "一", "en": "1"},
}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**ROW, "period": "week"}, r"\[\[limits\]\] number 1 \('r'\): period must be one of bal"),
        ({**ROW, "period": ["day"]}, "period must be one of"),
        ({**ROW, "ceiling_fen": 5}, "no such setting: ceiling_fen"),
        ({"rule": "r"}, "says nothing of account_class, article, effective_from, period"),
        ({**ROW, "article": "一"}, "article must be given in zh and en"),
        ({**ROW, "article": {"zh": "一"}}, "article must be given in zh and en"),
        ({**ROW, "amount_max_fen": 5.5}, r"entry 1 \('r', 'registered'\): amount_max_fen"),
        ({**ROW, "counter": "spend"}, "a balance has neither counter"),
        ("registered", "number 1 is no table"),
    ],
)
def test_a_citys_mistake_is_told_in_one_line(row: Any, said: str) -> None:
    config = replace(load_config({}), city={"limits": [row]})
    with pytest.raises(ConfigInvalid, match=said) as refusal:
        config.limits()
    assert str(refusal.value).startswith("city.toml: ")
    assert "\n" not in str(refusal.value)
