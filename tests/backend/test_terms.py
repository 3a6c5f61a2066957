"""What `city.toml` says of phones and codes, in the domains' words; one line for a mistake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from backend import terms
from backend.config import Config, ConfigInvalid, load_config
from backend.virtual_card import Figures
from backend.virtual_card.codes import RideTerms

JUDGES = ("sandbox", "strict")


def attestation(config: Config) -> object:
    return terms.attestation(config, JUDGES)


READ: dict[str, Callable[[Config], object]] = {
    "attestation": attestation,
    "provisioning": terms.provisioning,
    "ride_codes": terms.ride_codes,
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
