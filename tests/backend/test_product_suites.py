"""Which suite a product's cards are of, as city.toml says it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from backend import terms
from backend.config import Config, ConfigInvalid, load_config
from card_protocol.signatures import Suite


def with_suite(value: object, code: str = "phone_card") -> Config:
    """The demo city, this product's `suite` set."""
    config = load_config({})
    city: Any = deepcopy(config.city)
    (product,) = [one for one in city["products"] if one["code"] == code]
    product["suite"] = value
    return replace(config, city=city)


def test_nothing_said_is_aes_and_es256() -> None:
    assert {one.suite for one in terms.issuer(load_config({})).products.values()} == {
        Suite.AES_ES256
    }


@pytest.mark.parametrize("suite", list(Suite), ids=lambda one: one.name)
def test_a_city_names_the_suite_of_a_product(suite: Suite) -> None:
    issuer = terms.issuer(with_suite(suite.name.lower()))
    assert issuer.products["phone_card"].suite is suite


@pytest.mark.parametrize("value", ["sm2", "SM4_SM2", "", 2, None, True, ["sm4_sm2"], {}], ids=str)
def test_another_word_is_refused_by_the_products_name(value: object) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        terms.issuer(with_suite(value))
    expected = "[[products]] 'phone_card': suite must be one of aes_es256, sm4_sm2"
    assert expected in str(refused.value)
