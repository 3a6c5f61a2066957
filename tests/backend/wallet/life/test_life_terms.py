"""The city's terms of redemption, and what it may not write there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backend.config import ConfigInvalid, load_config

CONFIG = load_config({})


def test_the_demo_city_has_the_figures_of_the_regulation() -> None:
    terms = CONFIG.redemption()
    assert (terms.months_min, terms.unregistered_below_fen) == (3, 10_000)
    for article in (terms.article, terms.unregistered_article):
        assert "预付卡" in article.zh
        assert "Prepaid" in article.en


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("months_min", -1),
        ("months_min", 1_201),
        ("months_min", "3"),
        ("months_min", True),
        ("months_min", 3.0),
        ("months_min", None),
        ("unregistered_below_fen", 10**9 + 1),
        ("unregistered_below_fen", 100.5),
        ("article", "only one"),
        ("article", {"zh": "一"}),
        ("unregistered_article", None),
    ],
)
def test_a_mistake_is_named_in_one_line(name: str, value: Any) -> None:
    terms = {**CONFIG.city["redemption"], name: value}
    config = replace(CONFIG, city={**CONFIG.city, "redemption": terms})
    with pytest.raises(ConfigInvalid, match=rf"\[redemption\] {name} must be") as told:
        config.redemption()
    assert "\n" not in str(told.value)
