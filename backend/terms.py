"""What `city.toml` says, in the words of the domains: a function for each of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from backend import merchants, payments, virtual_card
from backend.config import Config, ConfigInvalid
from backend.kernel import AmountRange, Words
from backend.virtual_card.codes import RideTerms
from backend.virtual_card.codes.model import RideKeys
from backend.wallet.ledger.limits import CASH_COMPANY, CASH_PERSON, CASH_TOP_UP
from backend.wallet.statements import Issuer
from backend.wallet.topups.counter_model import Counter, Payer
from card_protocol.errors import MalformedBytes
from card_protocol.place import TerminalPlace, place_of
from card_protocol.signatures import Suite
from card_protocol.terminal_profile import ProfileTerms, RideAuthorities, terms_of

PROFILE_CODE = re.compile(r"[a-z0-9-]{1,32}")

COUNTER_RULES: Mapping[str, Mapping[Payer, tuple[str, ...]]] = {
    "own": {Payer.PERSON: (CASH_PERSON,), Payer.COMPANY: (CASH_COMPANY,)},
    "agent": {Payer.PERSON: (CASH_TOP_UP,), Payer.COMPANY: (CASH_TOP_UP, CASH_COMPANY)},
}
"""Whose counter it is -> the counters of limits that its cash feeds."""
CITY_ISSUER = "city"
"""In `purse_issuers`: the `issuer_id` of `[applications.epurse]`."""
PROVISIONING_MAX = 10_000
RIDE_ID_BYTES = 4
ACCOUNT_TYPE_MAX, RIDE_FEN_MAX = 0xFF, 0xFFFFFF  # u8 and u24 of the code (B.3.4)


@dataclass(frozen=True, slots=True)
class AttestationTerms:
    """Who judges phones, and whether one without a statement is enrolled."""

    judge: str
    is_required: bool


def check(config: Config, judges: Collection[str]) -> None:
    """Read once before anything is made or opened. Raises ConfigInvalid."""
    attestation(config, judges)
    provisioning(config)
    ride_codes(config)
    offline(config)
    terminal_profiles(config)


def attestation(config: Config, judges: Collection[str]) -> AttestationTerms:
    """`judges`: the names of those that can be joined. Raises ConfigInvalid, naming the setting."""
    table = _table(config, "attestation", {"judge", "required"})
    if table["judge"] not in list(judges):  # TOML may hold what cannot be hashed
        known = ", ".join(sorted(judges))
        raise ConfigInvalid(
            f"city.toml: [attestation] judge {table['judge']!r} is not known: it may be {known}"
        )
    if type(table["required"]) is not bool:
        raise ConfigInvalid("city.toml: [attestation] required must be true or false")
    return AttestationTerms(table["judge"], table["required"])


def provisioning(config: Config) -> virtual_card.Figures:
    """The figures of the rules for new phone cards. Raises ConfigInvalid, naming the setting."""
    names = {one.name for one in fields(virtual_card.Figures)}
    table = _table(config, "provisioning", names)
    figures = {
        name: _whole(table, "provisioning", name, minimum=1, maximum=PROVISIONING_MAX)
        for name in sorted(names)
    }
    return virtual_card.Figures(**figures)


def ride_codes(config: Config) -> RideTerms:
    """Who issues ride codes. Raises ConfigInvalid, naming the setting."""
    ids, where = ("issuer_id", "platform_id"), "ride_codes"
    table = _table(config, where, {*ids, "account_type", "ride_max_fen"})
    issuer_id, platform_id = (_ride_id(table[name], name) for name in ids)
    return RideTerms(
        issuer_id=issuer_id,
        platform_id=platform_id,
        account_type=_whole(table, where, "account_type", minimum=0, maximum=ACCOUNT_TYPE_MAX),
        ride_max_fen=_whole(table, where, "ride_max_fen", minimum=0, maximum=RIDE_FEN_MAX),
    )


def issuer(config: Config) -> virtual_card.IssuerProfile:
    """The products that live on a phone, with the figures of their keys and certificates.

    Raises ConfigInvalid.
    """
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
            suite=_suite(one),
        )
        for one in config.city["products"]
        if one["carrier"] == "phone"
    }
    return virtual_card.IssuerProfile(products=products)


def _suite(product: Mapping[str, Any]) -> Suite:
    """Raises ConfigInvalid, naming the product."""
    name, known = product.get("suite", "aes_es256"), {one.name.lower(): one for one in Suite}
    if not isinstance(name, str) or name not in known:
        where = f"city.toml: [[products]] {product['code']!r}"
        raise ConfigInvalid(f"{where}: suite must be one of {', '.join(known)}")
    return known[name]


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


def loading_agents(config: Config) -> payments.LoadAgents:
    """Merchants whose terminals take cash for loads: the counters that name one."""
    rows = config.city["topups"].get("counters", ())
    return frozenset(row["merchant_id"] for row in rows if "merchant_id" in row)


def offline(config: Config) -> payments.OfflineTerms:
    """How late a sale may come, and how long a stop takes to reach the terminals.

    What `[offline]` does not say is as `OfflineTerms` has it. Raises ConfigInvalid.
    """
    usual, where = payments.OfflineTerms(), "offline"
    figures = {
        "age_days_max": usual.age_max // timedelta(days=1),
        "deny_grace_hours": usual.deny_grace // timedelta(hours=1),
    }
    table = _table(config, where, set(figures), usual=figures)
    return payments.OfflineTerms(
        age_max=timedelta(days=_whole(table, where, "age_days_max", minimum=1, maximum=365)),
        deny_grace=timedelta(
            hours=_whole(table, where, "deny_grace_hours", minimum=0, maximum=35 * 24)
        ),
    )


def amounts(limits: Mapping[str, int]) -> AmountRange:
    return AmountRange(limits.get("amount_min_fen", 1), limits["amount_max_fen"])


def acceptance(config: Config) -> merchants.Acceptance:
    """What terminals select: phone cards all of them, the purse those that take an issuer's."""
    seconds = config.city["payments"]["online_timeout_seconds"]
    return merchants.Acceptance(
        (_application(config, "mobile_card"),),
        online_timeout_seconds=seconds,
        profiles=terminal_profiles(config),
        purse=_application(config, "epurse"),
        place=transit_place(config),
    )


def _application(config: Config, name: str) -> merchants.AcceptedApplication:
    told = config.city["applications"][name]
    return merchants.AcceptedApplication(
        bytes.fromhex(told["aid"]), told["label"], told["priority"]
    )


def transit_place(config: Config) -> TerminalPlace:
    """The part of a terminal's place that all of the city's share. Raises ConfigInvalid."""
    told = config.city.get("transit", {})
    names = {"city", "operator", "acquirer"}
    if not isinstance(told, Mapping) or not told.keys() <= names:
        raise ConfigInvalid(f"city.toml: [transit] has only {', '.join(sorted(names))}")
    try:
        return place_of(told)
    except MalformedBytes as error:
        raise ConfigInvalid(f"city.toml: [transit]: {error.reason}") from None


def terminal_profiles(config: Config) -> Mapping[str, ProfileTerms]:
    """The kinds of terminal, by code; `shop` is always there. Raises ConfigInvalid."""
    found = {merchants.SHOP: ProfileTerms()}
    for row in config.city.get("terminal_profiles", ()):
        code = row.get("code")
        if not isinstance(code, str) or not PROFILE_CODE.fullmatch(code):
            raise ConfigInvalid("city.toml: [[terminal_profiles]] needs a code of a-z, 0-9 and -")
        members = {name: one for name, one in row.items() if name != "code"}
        if isinstance(issuers := members.get("purse_issuers"), list):
            members["purse_issuers"] = [
                _city_issuer(config) if one == CITY_ISSUER else one for one in issuers
            ]
        try:
            found[code] = terms_of(members)
        except MalformedBytes as error:
            raise ConfigInvalid(
                f"city.toml: [[terminal_profiles]] {code!r}: {error.reason}"
            ) from None
    return found


def _city_issuer(config: Config) -> str:
    """Whose purses are this city's, in hexadecimal. Raises ConfigInvalid."""
    text = config.city["applications"]["epurse"].get("issuer_id")
    if not (isinstance(text, str) and re.fullmatch(r"[0-9A-Fa-f]{16}", text)):
        raise ConfigInvalid("city.toml: [applications.epurse] issuer_id must be 16 hex digits")
    return text


def ride_authorities(keys: RideKeys) -> RideAuthorities:
    """Whose ride codes a gate takes, as its profile says it."""
    return RideAuthorities(
        suite=keys.suite,
        ca_keys={one.index: one.public_key for one in keys.ca_keys},
        issuers=frozenset({keys.issuer_id}),
        account_types=frozenset(keys.account_types),
        validity_seconds_max=keys.validity_seconds_max,
    )


def words(texts: Mapping[str, str]) -> Words:
    return Words(zh=texts["zh"], en=texts["en"])


def _table(
    config: Config, name: str, settings: set[str], *, usual: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    """The section, with exactly these settings; what it does not say is `usual`, where that is.

    Raises ConfigInvalid.
    """
    table = config.city[name] if usual is None else config.city.get(name, {})
    if not isinstance(table, Mapping):
        raise ConfigInvalid(f"city.toml: [{name}] is no table")
    table = {**(usual or {}), **table}
    if missing := sorted(settings - set(table)):
        raise ConfigInvalid(f"city.toml: [{name}] says nothing of {', '.join(missing)}")
    if unknown := sorted(set(table) - settings):
        raise ConfigInvalid(f"city.toml: [{name}] no such setting: {', '.join(unknown)}")
    return table


def _whole(table: Mapping[str, Any], where: str, name: str, *, minimum: int, maximum: int) -> int:
    figure = table[name]
    if type(figure) is not int or not minimum <= figure <= maximum:
        raise ConfigInvalid(
            f"city.toml: [{where}] {name} must be a whole number from {minimum} to {maximum}"
        )
    return figure


def _ride_id(text: object, name: str) -> bytes:
    digits = 2 * RIDE_ID_BYTES
    if not (isinstance(text, str) and re.fullmatch(rf"[0-9A-Fa-f]{{{digits}}}", text)):
        raise ConfigInvalid(f"city.toml: [ride_codes] {name} must be {digits} hex digits")
    return bytes.fromhex(text)
