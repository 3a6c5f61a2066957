"""What `city.toml` says, in the words of the domains: a function for each of them."""

from __future__ import annotations

from collections.abc import Mapping

from backend import merchants, virtual_card
from backend.config import Config, ConfigInvalid
from backend.kernel import AmountRange, Words
from backend.wallet.ledger.limits import CASH_COMPANY, CASH_PERSON, CASH_TOP_UP
from backend.wallet.statements import Issuer
from backend.wallet.topups.counter_model import Counter, Payer

COUNTER_RULES: Mapping[str, Mapping[Payer, tuple[str, ...]]] = {
    "own": {Payer.PERSON: (CASH_PERSON,), Payer.COMPANY: (CASH_COMPANY,)},
    "agent": {Payer.PERSON: (CASH_TOP_UP,), Payer.COMPANY: (CASH_TOP_UP, CASH_COMPANY)},
}
"""Whose counter it is -> the counters of limits that its cash feeds."""


def issuer(config: Config) -> virtual_card.IssuerProfile:
    """The products that live on a phone, with the figures of their keys and certificates."""
    keys, certificate = config.city["limited_use_keys"], config.city["certificate"]
    label = config.city["applications"]["mobile_card"]["label"]
    products = {
        one["code"]: virtual_card.CardProduct(
            product=one["code"],
            label=label,
            uses_max=keys["uses_max"],
            hours=keys["hours_max"],
            offline_sale_max_fen=certificate["offline_sale_max_fen"],
            offline_sum_max_fen=certificate["offline_sum_max_fen"],
            certificate_days=certificate["days_valid"],
        )
        for one in config.city["products"]
        if one["carrier"] == "phone"
    }
    return virtual_card.IssuerProfile(products=products)


def statement_issuer(config: Config) -> Issuer:
    """Who stands behind a printed statement."""
    city = config.city["city"]
    return Issuer(
        city=words(city["name"]),
        card=words(config.city["brand"]["card_name"]),
        operator=words(city["operator"]),
        hotline=config.city["phone_lines"][0]["number"],
    )


def counters(config: Config) -> Mapping[str, Counter]:
    """The counters where cash is taken, by code. Raises ConfigInvalid."""
    found = {}
    for row in config.city["topups"].get("counters", ()):
        if row.get("kind") not in COUNTER_RULES or not isinstance(row.get("code"), str):
            raise ConfigInvalid("city.toml: [[topups.counters]] needs code and kind own or agent")
        found[row["code"]] = Counter(row["code"], COUNTER_RULES[row["kind"]])
    return found


def amounts(limits: Mapping[str, int]) -> AmountRange:
    return AmountRange(limits.get("amount_min_fen", 1), limits["amount_max_fen"])


def acceptance(config: Config) -> merchants.Acceptance:
    mobile = config.city["applications"]["mobile_card"]
    application = merchants.AcceptedApplication(
        bytes.fromhex(mobile["aid"]), mobile["label"], mobile["priority"]
    )
    seconds = config.city["payments"]["online_timeout_seconds"]
    return merchants.Acceptance((application,), online_timeout_seconds=seconds)


def words(texts: Mapping[str, str]) -> Words:
    return Words(zh=texts["zh"], en=texts["en"])
