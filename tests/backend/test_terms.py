"""What `city.toml` says of phones and codes, in the domains' words; one line for a mistake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from backend import terms
from backend.config import Config, ConfigInvalid, load_config
from backend.payments import OfflineTerms
from backend.virtual_card import Figures
from backend.virtual_card.codes import RideTerms
from hce.purse_keys import TEST_KEYS

JUDGES = ("sandbox", "strict")


def attestation(config: Config) -> object:
    return terms.attestation(config, JUDGES)


READ: dict[str, Callable[[Config], object]] = {
    "attestation": attestation,
    "provisioning": terms.provisioning,
    "ride_codes": terms.ride_codes,
    "offline": terms.offline,
}


def changed(section: str, **settings: object) -> Config:
    """The demo city with a section changed; None takes a setting out."""
    config = load_config({})
    table = {**config.city[section], **settings}
    kept = {name: value for name, value in table.items() if value is not None}
    return replace(config, city={**config.city, section: kept})


def test_the_demo_city_is_as_the_domain_is_without_one() -> None:
    config = load_config({})
    assert terms.attestation(config, JUDGES) == terms.AttestationTerms("sandbox", False)
    assert terms.provisioning(config) == Figures()
    assert terms.ride_codes(config) == RideTerms()


def test_each_figure_is_read() -> None:
    figures = {
        "tokens_per_card_max": 1,
        "tokens_per_day_max": 2,
        "declines_per_day_max": 3,
        "loss_days": 4,
        "clone_days": 5,
        "sim_days": 6,
        "phone_number_hours_min": 7,
    }
    assert terms.provisioning(changed("provisioning", **figures)) == Figures(**figures)
    ride = {"issuer_id": "0A0b0C0d", "platform_id": "00000002", "account_type": 3}
    assert terms.ride_codes(changed("ride_codes", **ride, ride_max_fen=900)) == RideTerms(
        issuer_id=bytes.fromhex("0a0b0c0d"),
        platform_id=bytes.fromhex("00000002"),
        account_type=3,
        ride_max_fen=900,
    )
    strict = changed("attestation", judge="strict", required=True)
    assert terms.attestation(strict, JUDGES) == terms.AttestationTerms("strict", True)


@pytest.mark.parametrize(
    ("section", "settings", "words"),
    [
        ("attestation", {"judge": "play"}, r"judge 'play' is not known: it may be sandbox, strict"),
        ("attestation", {"judge": ["sandbox"]}, r"judge \['sandbox'\] is not known"),
        ("attestation", {"required": 1}, "required must be true or false"),
        ("attestation", {"required": None}, r"\[attestation\] says nothing of required"),
        ("attestation", {"root": "x"}, r"\[attestation\] no such setting: root"),
        ("provisioning", {"loss_days": 0}, "loss_days must be a whole number from 1 to 10000"),
        ("provisioning", {"loss_days": True}, "loss_days must be a whole number"),
        ("provisioning", {"sim_days": 2.5}, "sim_days must be a whole number"),
        ("provisioning", {"clone_days": 10_001}, "clone_days must be a whole number"),
        ("provisioning", {"clone_days": None, "sim_days": None}, "nothing of clone_days, sim_days"),
        ("provisioning", {"los_days": 7}, "no such setting: los_days"),
        ("ride_codes", {"issuer_id": "0001"}, "issuer_id must be 8 hex digits"),
        ("ride_codes", {"issuer_id": "0000 001"}, "issuer_id must be 8 hex digits"),
        ("ride_codes", {"platform_id": 1}, "platform_id must be 8 hex digits"),
        ("ride_codes", {"account_type": 256}, "account_type must be a whole number from 0 to 255"),
        ("ride_codes", {"ride_max_fen": -1}, "ride_max_fen must be a whole number from 0"),
        ("offline", {"age_days_max": 0}, "age_days_max must be a whole number from 1 to 365"),
        ("offline", {"deny_grace_hours": 1.5}, "deny_grace_hours must be a whole number from 0"),
        ("offline", {"grace": 1}, r"\[offline\] no such setting: grace"),
        ("ride_codes", {"ride_max_fen": 2**24}, "ride_max_fen must be a whole number from 0"),
    ],
)
def test_a_mistake_is_named(section: str, settings: dict[str, object], words: str) -> None:
    config = changed(section, **settings)
    with pytest.raises(ConfigInvalid, match=words):
        READ[section](config)
    with pytest.raises(ConfigInvalid, match=words):
        terms.check(config, JUDGES)


@pytest.mark.parametrize("section", list(READ))
def test_a_section_is_a_table(section: str) -> None:
    config = load_config({})
    with pytest.raises(ConfigInvalid, match=rf"\[{section}\] is no table"):
        READ[section](replace(config, city={**config.city, section: "x"}))


def test_what_offline_does_not_say_is_as_ever() -> None:
    config, usual = load_config({}), OfflineTerms()
    assert terms.offline(config) == usual
    silent = {name: one for name, one in config.city.items() if name != "offline"}
    assert terms.offline(replace(config, city=silent)) == usual
    told = terms.offline(changed("offline", age_days_max=7, deny_grace_hours=None))
    assert told == OfflineTerms(age_max=timedelta(days=7))


def test_a_profile_says_city_for_the_citys_own_purses() -> None:
    config = load_config({})
    found = terms.terminal_profiles(config)
    own = frozenset({TEST_KEYS.issuer})  # what `python -m hce new --purse` makes
    assert {code for code, one in found.items() if one.purse_issuers == own} == {
        "shop",
        "bus",
        "gate",
    }
    applications = config.city["applications"]
    for wrong in (None, "0101", 5):
        purse = {**applications["epurse"], "issuer_id": wrong}
        with pytest.raises(ConfigInvalid, match="issuer_id must be 16 hex digits"):
            terms.terminal_profiles(changed("applications", epurse=purse))


def test_terminals_that_take_purses_select_them_last() -> None:
    config = load_config({})
    acceptance = terms.acceptance(config)
    labels = {
        code: [one.label for one in acceptance.applications_for(profile)]
        for code, profile in acceptance.profiles.items()
    }
    assert labels["shop"] == labels["bus"] == ["CITY CARD", "MOT_T_EP"]
    assert labels["clinic"] == ["CITY CARD"]
    first = {**config.city["applications"]["epurse"], "priority": 0}
    turned = terms.acceptance(changed("applications", epurse=first))
    applications = turned.applications_for(turned.profiles["shop"])
    assert [one.label for one in applications] == ["MOT_T_EP", "CITY CARD"]


def test_the_demo_city_sells_offline_within_what_its_terminals_take() -> None:
    """Goal: a newcomer's phone card pays on a bus and in a shop without a network."""
    config = load_config({})
    product = terms.issuer(config).products["phone_card"]
    shop, bus = (terms.terminal_profiles(config)[code].offline for code in ("shop", "bus"))
    assert 0 < product.offline_sale_max_fen <= shop.sale_max_fen
    assert product.offline_sale_max_fen <= product.offline_sum_max_fen <= shop.card_sum_max_fen
    assert bus.sale_max_fen >= 200
