"""Goal: a terminal's profile is what the city chose, signed, and its version rises with change."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from merchant_world import World, operation

from backend.config import ConfigInvalid, load_config
from backend.kernel import new_id
from backend.keys import KeyRef, SoftwareKeys, key_thumbprint
from backend.merchants import (
    Acceptance,
    ChooseProfile,
    TerminalPlaceUnfit,
    TerminalProfiles,
    TerminalProfileUnknown,
    TerminalUnknown,
)
from backend.terms import terminal_profiles, transit_place
from backend.web import CallerKind
from card_protocol.errors import CodeRefused
from card_protocol.fares import FlatFare, MatrixFare, TimedFare
from card_protocol.place import Direction, TerminalPlace, place_of
from card_protocol.signatures import compressed_point
from card_protocol.signed_document import open_document, point_of_jwk
from card_protocol.terminal_profile import DOCUMENT_KIND, Mode, ProfileTerms, terms_of

Headers = Callable[[CallerKind, str], dict[str, str]]
GATE = ProfileTerms(mode=Mode.GATE, fare=MatrixFare(("0101", "0102"), ((200, 300), (300, 200))))
PARKING = ProfileTerms(mode=Mode.PARKING, fare=TimedFare(1800, 250, 900, 4_000))
BUS = ProfileTerms(mode=Mode.BUS, fare=FlatFare(200), valid_seconds=8_000)


@pytest.fixture
def profiles(world: World, keys: SoftwareKeys) -> TerminalProfiles:
    acceptance = replace(world.profiles.acceptance, profiles={"shop": ProfileTerms(), "bus": BUS})
    return replace(world.profiles, acceptance=acceptance)


def pins(keys: SoftwareKeys) -> dict[str, bytes]:
    found = keys.public_keys(KeyRef.TERMINAL_PROFILE).values()
    return {key_thumbprint(key): compressed_point(key) for key in found}


def test_a_version_stands_for_what_it_says(world: World, profiles: TerminalProfiles) -> None:
    terminal_id, _ = world.terminal()
    first = profiles.get_profile(terminal_id)
    assert (first.profile_version, first.profile_code, first.terms.mode) == (1, "shop", Mode.SHOP)
    busier = replace(profiles, deny_list_version=lambda: 77)
    again = busier.get_profile(terminal_id)
    assert (again.profile_version, again.deny_list_version) == (1, 77)

    slower = replace(profiles.acceptance, online_timeout_seconds=3)
    assert replace(profiles, acceptance=slower).get_profile(terminal_id).profile_version == 2
    assert profiles.get_profile(terminal_id).profile_version == 3  # back again is a change too
    other_id, _ = world.terminal()
    assert profiles.get_profile(other_id).profile_version == 1


def test_staff_choose_what_a_terminal_is_for(world: World, profiles: TerminalProfiles) -> None:
    terminal_id, _ = world.terminal()
    assert profiles.get_profile(terminal_id).profile_version == 1
    chosen = profiles.choose(ChooseProfile(terminal_id, "bus"), operation())
    assert (chosen.terminal_id, chosen.profile) == (terminal_id, "bus")
    after = profiles.get_profile(terminal_id)
    assert (after.profile_version, after.terms) == (2, BUS)

    fresh_id, _ = world.terminal()  # chosen before it ever asked
    profiles.choose(ChooseProfile(fresh_id, "bus"), operation())
    assert profiles.get_profile(fresh_id).profile_version == 1

    with pytest.raises(TerminalProfileUnknown):
        profiles.choose(ChooseProfile(terminal_id, "tram"), operation())
    server_id, _ = world.client()
    for nobody in (new_id("trm"), server_id):
        with pytest.raises(TerminalUnknown):
            profiles.choose(ChooseProfile(nobody, "bus"), operation())
    shops_only = replace(profiles, acceptance=Acceptance(profiles.acceptance.applications))
    with pytest.raises(TerminalProfileUnknown):  # a fare is never guessed
        shops_only.get_profile(terminal_id)


def test_the_signed_form_says_the_same(
    world: World, profiles: TerminalProfiles, keys: SoftwareKeys
) -> None:
    terminal_id, _ = world.terminal()
    profiles.choose(ChooseProfile(terminal_id, "bus"), operation())
    signed = profiles.get_signed(terminal_id)
    claims = open_document(DOCUMENT_KIND, signed.document, pins(keys))
    assert claims["sub"] == terminal_id
    assert claims["profile"] == profiles.get_profile(terminal_id).to_document()
    assert terms_of(claims["profile"]["terms"]) == BUS
    now = int(world.clock.now().timestamp())
    assert now - 1_000 < claims["iat"] <= now
    assert claims["exp"] - claims["iat"] == 8_000
    assert {jwk["kid"]: point_of_jwk(jwk) for jwk in claims["keys"]}.keys() == pins(keys).keys()

    world.clock.advance(timedelta(seconds=1))
    assert profiles.get_signed(terminal_id).tag == signed.tag
    world.clock.advance(timedelta(seconds=1_000))
    assert profiles.get_signed(terminal_id).tag != signed.tag
    with pytest.raises(CodeRefused):
        open_document(DOCUMENT_KIND, signed.document, {})


def test_a_terminal_hears_only_what_is_new(
    world: World, profiles: TerminalProfiles, public_app: Flask, bearer: Headers
) -> None:
    api, (terminal_id, _) = public_app.test_client(), world.terminal()
    headers = bearer(CallerKind.TERMINAL, terminal_id)
    plain = api.get("/v1/terminal/profile", headers=headers)
    assert plain.json == world.profiles.get_profile(terminal_id).to_document()
    first = api.get("/v1/terminal/profile/signed", headers=headers)
    assert first.status_code == 200
    assert sorted(first.json) == ["document", "keys"]
    known = {**headers, "If-None-Match": first.headers["ETag"]}
    again = api.get("/v1/terminal/profile/signed", headers=known)
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    world.clock.advance(timedelta(seconds=86_400 // 8))
    known |= bearer(CallerKind.TERMINAL, terminal_id)
    assert api.get("/v1/terminal/profile/signed", headers=known).status_code == 200


def test_staff_choose_over_http(world: World, internal_app: Flask, public_app: Flask) -> None:
    ops, (terminal_id, _) = internal_app.test_client(), world.terminal()

    def choose(who: str, profile: str, key: str) -> tuple[int, str]:
        path = f"/v1/ops/terminals/{who}/profile"
        sent = ops.post(path, json={"profile": profile}, headers={"Idempotency-Key": key})
        return sent.status_code, sent.json.get("code") or sent.json["profile"]

    assert choose(terminal_id, "shop", "a") == (200, "shop")
    assert choose(terminal_id, "tram", "b") == (409, "terminal_profile_unknown")
    assert choose(new_id("trm"), "shop", "c") == (404, "terminal_unknown")
    assert choose(terminal_id, "../x", "d")[0] == 422


def test_the_place_of_a_terminal_is_part_of_its_profile(
    world: World, profiles: TerminalProfiles
) -> None:
    """Goal: the city's ids and the terminal's own place go out together, under a new version."""
    city = TerminalPlace(city=b"\x33\x10", operator=b"\x00\x01", acquirer=bytes(range(8)))
    kinds = {"gate": GATE, "bus": BUS}
    told = replace(profiles, acceptance=replace(profiles.acceptance, profiles=kinds, place=city))
    terminal_id, _ = world.terminal()
    told.choose(ChooseProfile(terminal_id, "bus", line="00A1"), operation())
    bus = told.get_profile(terminal_id)
    assert bus.place == replace(city, line=b"\x00\xa1")
    entry = ChooseProfile(terminal_id, "gate", "0001", "0102", Direction.IN)
    told.choose(entry, operation())
    gate = told.get_profile(terminal_id)
    assert gate.profile_version == bus.profile_version + 1
    assert place_of(gate.to_document()["place"]) == replace(
        city, line=b"\x00\x01", station="0102", direction=Direction.IN
    )
    told.choose(replace(entry, direction=Direction.OUT), operation())
    assert told.get_profile(terminal_id).profile_version == gate.profile_version + 1


@pytest.mark.parametrize(
    ("profile", "place"),
    [
        ("gate", {}),
        ("gate", {"station": "0102"}),
        ("gate", {"direction": Direction.IN}),
        ("gate", {"station": "0999", "direction": Direction.IN}),
        ("parking", {"station": "0001"}),
        ("bus", {"direction": Direction.OUT}),
    ],
)
def test_a_place_that_does_not_fit_is_refused(
    world: World, profiles: TerminalProfiles, profile: str, place: dict[str, Any]
) -> None:
    kinds = {"shop": ProfileTerms(), "gate": GATE, "parking": PARKING, "bus": BUS}
    told = replace(profiles, acceptance=replace(profiles.acceptance, profiles=kinds))
    terminal_id, _ = world.terminal()
    with pytest.raises(TerminalPlaceUnfit):
        told.choose(ChooseProfile(terminal_id, profile, **place), operation())
    assert told.get_profile(terminal_id).profile_code == "shop"


def test_staff_say_over_http_where_a_terminal_stands(
    world: World, internal_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = world.profiles.acceptance.profiles
    assert isinstance(kinds, dict)
    monkeypatch.setitem(kinds, "gate", GATE)
    ops, (terminal_id, _) = internal_app.test_client(), world.terminal()

    def choose(key: str, **body: Any) -> tuple[int, dict[str, Any]]:
        path = f"/v1/ops/terminals/{terminal_id}/profile"
        sent = ops.post(path, json=body, headers={"Idempotency-Key": key})
        return sent.status_code, sent.json

    gate = {"profile": "gate", "line": "0001", "station": "0102", "direction": "out"}
    for _ in range(2):
        assert choose("a", **gate) == (200, {"terminal_id": terminal_id, **gate})
    assert choose("b", **gate | {"station": "0999"})[1]["code"] == "terminal_place_unfit"
    assert choose("c", profile="gate")[0] == 409
    for wrong in ({"station": "102"}, {"line": "000g"}, {"direction": "up"}, {"station": "01a2"}):
        assert choose(f"d{wrong}"[:30], **gate | wrong)[0] == 422
    assert choose("e", profile="shop")[1] == {
        "terminal_id": terminal_id,
        "profile": "shop",
        "line": "0000",
        "station": "0000",
        "direction": None,
    }


@pytest.mark.parametrize(
    "told", [{"city": "331"}, {"station": "0101"}, {"operator": 1}, "3310", {"acquirer": "zz" * 8}]
)
def test_a_wrong_transit_stops_the_start(told: object) -> None:
    config = load_config({})
    with pytest.raises(ConfigInvalid, match="transit"):
        transit_place(replace(config, city={**config.city, "transit": told}))
    assert transit_place(replace(config, city={})) == TerminalPlace()


def test_the_demo_citys_kinds_are_readable() -> None:
    config = load_config({})
    found = terminal_profiles(config)
    assert set(found) == {mode.value for mode in Mode}
    for code, terms in found.items():
        assert terms.mode.value == code
        assert terms_of(terms.to_document()) == terms


@pytest.mark.parametrize(
    "row",
    [
        {"code": "Bus", "mode": "bus"},
        {"mode": "shop"},
        {"code": "bus", "mode": "bus"},  # and no fare
        {"code": "bus", "mode": "bus", "fare": {"kind": "flat", "amount_fen": 2.0}},
        {"code": "x", "mode": "tram"},
        {"code": "x", "offline": {"sale_max": 1}},
    ],
)
def test_a_wrong_kind_stops_the_start(row: dict[str, object]) -> None:
    config = load_config({})
    wrong = replace(config, city={**config.city, "terminal_profiles": [row]})
    with pytest.raises(ConfigInvalid, match="terminal_profiles"):
        terminal_profiles(wrong)


def test_questions_at_once_hear_one_version(world: World, profiles: TerminalProfiles) -> None:
    terminal_id, _ = world.terminal()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(profiles.get_profile, terminal_id) for _ in range(8)]
        assert {one.result().profile_version for one in asked} == {1}
