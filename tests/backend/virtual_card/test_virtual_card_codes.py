"""Ride and identity codes at the backend: what is issued, what is released, what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from card_world import Phone, World, operation
from codes_world import MERCHANT, SECRET_NAME, CodesWorld
from flask import Flask
from sqlalchemy import text

from backend.db import Databases, Which
from backend.kernel import DomainError, ManualClock, new_id
from backend.keys import SoftwareKeys
from backend.virtual_card import Card, EndDevice, TokenDeleted, TokenSuspended, TokenUnknown
from backend.virtual_card.codes import ReleaseIdentity
from backend.virtual_card.codes.api import blueprint, internal_blueprint
from backend.virtual_card.codes.identities import REFUSALS
from backend.web import AccessTokens, Caller, CallerKind
from backend.web.application import BearerAuthenticator, Network, make_app
from card_protocol import identity_code
from card_protocol.code_keys import load_es256
from card_protocol.errors import CodeRefused
from card_protocol.identity_code import (
    Claim,
    IdentityCode,
    IdentityCodeVerifier,
    IdentityPart,
    Purpose,
)
from card_protocol.mobile_card import sign
from card_protocol.ride_code import RideSuite
from card_protocol.ride_verifier import MemoryUsedCodes, RideCodeVerifier, RideRules
from card_protocol.signatures import Suite


@dataclass
class Here:
    city: CodesWorld
    phone: Phone
    card: Card

    def release(self, content: str, request_id: str | None = None) -> Any:
        request_id = request_id or new_id("idq")
        wanted = ReleaseIdentity(MERCHANT, "mcl_1", request_id, content)
        return self.city.codes.identities.release(wanted)

    def refusal(self, content: str) -> str | None:
        try:
            self.release(content)
        except DomainError as refused:
            return refused.code
        return None


@pytest.fixture
def here(world: World) -> Here:
    phone, card, _ = world.issued()
    city = CodesWorld(world)
    city.register(operation())
    return Here(city, phone, card)


def gate(here: Here) -> RideCodeVerifier:
    keys = here.city.codes.rides.gate_keys()
    rules = RideRules(
        ca_keys={(one.index, keys.suite): one.public_key for one in keys.ca_keys},
        suites={RideSuite.ES256: load_es256},
        issuers=frozenset({keys.issuer_id}),
        account_types=frozenset(keys.account_types),
        validity_seconds_max=keys.validity_seconds_max,
    )
    return RideCodeVerifier(rules, MemoryUsedCodes(), frozenset())


def test_a_gate_accepts_what_the_city_issued_and_the_phone_showed(here: Here) -> None:
    now = here.city.world.unix
    accepted = gate(here).verify(here.city.ride(here.phone, here.card), now)
    assert accepted.part.card_number == here.card.token_number
    assert accepted.part.account_number == here.card.short_number.rjust(16, "0")
    assert accepted.part.authorised_until == now + 30 * 3600


def test_gates_see_one_certificate_all_month(here: Here) -> None:
    verifier, world = gate(here), here.city.world
    other_phone, other_card, _ = world.issued()
    verifier.verify(here.city.ride(here.phone, here.card), world.unix)
    world.clock.advance(timedelta(days=2))
    verifier.verify(here.city.ride(other_phone, other_card), world.unix)
    assert verifier.remembered == (2, 1)


def test_a_ride_part_ends_and_a_suspended_card_gets_none(here: Here) -> None:
    world = here.city.world
    part = here.city.codes.rides.issue(world.person_id, here.card.token_id)
    assert part.authorised_until == world.clock.now() + timedelta(hours=30)
    code = here.city.ride(here.phone, here.card)
    world.clock.advance(timedelta(hours=31))
    with pytest.raises(CodeRefused) as refused:
        gate(here).verify(code, world.unix)
    assert refused.value.code == "ride_code_authorisation_expired"
    for service in (here.city.codes.rides, here.city.codes.identities):
        with pytest.raises(TokenUnknown):
            service.issue(new_id("per"), here.card.token_id)
    world.report_loss(here.card)
    for service in (here.city.codes.rides, here.city.codes.identities):
        with pytest.raises(TokenSuspended):
            service.issue(world.person_id, here.card.token_id)


def test_exactly_what_was_agreed_to_is_released_and_nothing_else(here: Here) -> None:
    both = here.release(here.city.identity(here.phone, here.card))
    assert both.values == {"registered": True, "name": SECRET_NAME}
    one = here.release(here.city.identity(here.phone, here.card, claims=Claim.NAME_MASKED))
    assert one.values == {"name_masked": "欧***"}
    assert (one.purpose, one.claims) == ("library", ("name_masked",))
    notes = here.city.codes.identities.list(here.city.world.person_id, 50, None)
    assert [note.claims for note in notes.data] == [("registered", "name"), ("name_masked",)]
    assert all(note.values == {} for note in notes.data)


def test_notes_of_releases_come_in_pages(here: Here) -> None:
    ids = [here.release(here.city.identity(here.phone, here.card)).release_id for _ in range(3)]
    identities, person_id = here.city.codes.identities, here.city.world.person_id
    first = identities.list(person_id, 2, None)
    rest = identities.list(person_id, 2, first.next)
    assert [note.release_id for note in (*first.data, *rest.data)] == ids
    assert rest.next is None
    assert identities.list(new_id("per"), 2, None).data == []


def test_nothing_personal_is_in_the_code_or_kept(here: Here, databases: Databases) -> None:
    content = here.city.identity(here.phone, here.card)
    assert here.card.token_number not in content
    again = here.city.identity(here.phone, here.card)
    assert content[:60] != again[:60]  # the handle is another with each part
    here.release(content)
    with databases[Which.BUSINESS].engine.connect() as connection:
        for table in ("identity_release", "answer"):
            rows = connection.execute(text(f"SELECT * FROM {table}")).all()
            assert SECRET_NAME not in str(rows)


def test_a_code_is_used_once_and_a_lost_answer_may_be_asked_for_again(here: Here) -> None:
    content, request_id = here.city.identity(here.phone, here.card), new_id("idq")
    first = here.release(content, request_id)
    assert here.release(content, request_id) == first
    assert here.refusal(content) == "identity_code_used"  # another terminal, a photo
    here.city.register(operation(), merchant_id="mer_other")
    stolen = ReleaseIdentity("mer_other", "mcl_2", request_id, content)
    with pytest.raises(DomainError) as refused:
        here.city.codes.identities.release(stolen)
    assert refused.value.code == "identity_code_used"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (0, None),
        (-60, None),
        (-61, "identity_code_expired"),
        (30, None),
        (31, "identity_code_not_yet_valid"),
        (8 * 3600, "identity_code_clock_wrong"),
        (-8 * 3600, "identity_code_clock_wrong"),
        (-8 * 3600 - 60, "identity_code_clock_wrong"),
        (-8 * 3600 - 61, "identity_code_expired"),
    ],
)
def test_an_identity_code_is_good_for_a_minute(here: Here, seconds: int, code: str | None) -> None:
    at = here.city.world.unix + seconds
    assert here.refusal(here.city.identity(here.phone, here.card, at=at)) == code


def test_each_other_refusal_of_an_identity_code(here: Here) -> None:
    content = here.city.identity(here.phone, here.card)
    assert here.refusal("") == "identity_code_foreign"
    assert here.refusal("https://example.org") == "identity_code_foreign"
    assert here.refusal(content[:-1]) == "identity_code_malformed"
    changed = content[:-10] + ("A" if content[-10] != "A" else "B") + content[-9:]
    assert here.refusal(changed) == "identity_code_altered"
    wider = here.city.identity(here.phone, here.card, claims=Claim.NAME | Claim.PHONE_MASKED)
    assert here.refusal(wider) == "identity_claims_refused"
    other = here.city.identity(here.phone, here.card, purpose=Purpose.LODGING)
    assert here.refusal(other) == "identity_purpose_refused"
    stranger = here.city.identity(Phone(), here.card)
    assert here.refusal(stranger) == "identity_code_altered"
    assert here.refusal(content) is None  # no refusal used it up


def test_only_a_registered_verifier_learns_anything(here: Here) -> None:
    content = here.city.identity(here.phone, here.card)
    with pytest.raises(DomainError) as refused:
        here.city.codes.identities.release(
            ReleaseIdentity("mer_nobody", "mcl_9", new_id("idq"), content)
        )
    assert refused.value.code == "identity_verifier_unknown"
    assert here.refusal(content) is None


def test_a_revoked_token_releases_nothing(here: Here) -> None:
    world, contents = here.city.world, []
    for _ in range(2):
        contents.append(here.city.identity(here.phone, here.card))
    world.report_loss(here.card)
    assert here.refusal(contents[0]) == TokenSuspended.code
    world.devices.end(EndDevice(world.person_id, here.phone.device_id), operation())
    assert here.refusal(contents[1]) == TokenDeleted.code
    assert here.city.codes.identities.list(world.person_id, 50, None).data == []


def test_an_old_part_is_refused(here: Here) -> None:
    world, part_of = here.city.world, here.city.codes.identities.issue
    old = part_of(world.person_id, here.card.token_id)
    world.clock.advance(timedelta(hours=31))
    fresh_issue = here.city.codes.identities
    content = _with_part(here, old.content)
    with pytest.raises(DomainError) as refused:
        fresh_issue.release(ReleaseIdentity(MERCHANT, "mcl_1", new_id("idq"), content))
    assert refused.value.code == "identity_code_authorisation_expired"


def _with_part(here: Here, part: bytes) -> str:
    code = IdentityCode(
        part=IdentityPart.decode(part),
        purpose=Purpose.LIBRARY,
        claims=Claim.NAME,
        generated_at=here.city.world.unix,
        nonce=bytes(8),
    )
    return code.signed_by(lambda data: sign(here.phone.signing, data)).encode()


def test_a_verifier_checks_offline_with_the_issuers_keys(here: Here) -> None:
    keys = here.city.codes.identities.issuer_keys(MERCHANT)
    offline = IdentityCodeVerifier(
        {(one.index, Suite(keys.suite)): one.public_key for one in keys.issuer_keys},
        {Suite.AES_ES256: load_es256},
    )
    code = offline.verify(here.city.identity(here.phone, here.card), here.city.world.unix)
    assert (code.purpose, code.claims) == (Purpose.LIBRARY, Claim.NAME | Claim.REGISTERED)


def test_a_later_registration_takes_the_place_of_an_earlier_one(here: Here) -> None:
    here.city.register(operation(), claims=("name_masked",), purposes=("counter",))
    content = here.city.identity(here.phone, here.card, claims=Claim.NAME, purpose=Purpose.COUNTER)
    assert here.refusal(content) == "identity_claims_refused"


def test_every_refusal_of_the_byte_layer_has_words() -> None:
    codes = {value for name, value in vars(identity_code).items() if name.endswith("_CODE")}
    assert codes | {identity_code.CODE} == set(REFUSALS)
    assert all(one.code == code for code, one in REFUSALS.items())


@pytest.fixture
def http(here: Here, databases: Databases, keys: SoftwareKeys, clock: ManualClock) -> Any:
    tokens = AccessTokens(keys, clock)
    network = Network(
        "public",
        "test",
        (blueprint, internal_blueprint),
        BearerAuthenticator(tokens),
        keys,
        databases,
        (here.city.codes,),
    )
    app: Flask = make_app(network)

    def call(kind: CallerKind, method: str, path: str, **more: Any) -> Any:
        person = here.city.world.person_id if kind is CallerKind.CITIZEN else "mcl_1"
        token = tokens.issue(Caller(kind, person, frozenset(), {"merchant_id": MERCHANT}))
        headers = {"Authorization": f"Bearer {token}"}
        return app.test_client().open(path, method=method, headers=headers, **more)

    return call


def test_the_resources(here: Here, http: Any) -> None:
    """Goal: a day of codes over HTTP, with what was fetched really used."""
    card = f"/v1/me/cards/{here.card.token_id}"
    part = http(CallerKind.CITIZEN, "GET", f"{card}/ride-part")
    assert (part.status_code, set(part.json)) == (200, {"content", "authorised_until"})
    assert http(CallerKind.CITIZEN, "GET", f"{card}/identity-part").status_code == 200
    keys = http(CallerKind.TERMINAL, "GET", "/v1/terminal/ride-keys").json
    assert (keys["suite"], keys["validity_seconds_max"]) == (0x81, 30)
    assert [one["index"] for one in keys["ca_keys"]] == [1]
    assert http(CallerKind.MERCHANT, "GET", "/v1/merchant/identity-keys").json["suite"] == 1
    content, request_id = here.city.identity(here.phone, here.card), new_id("idq")
    path = f"/v1/merchant/identity-releases/{request_id}"
    told = http(CallerKind.MERCHANT, "PUT", path, json={"content": content})
    assert told.status_code == 200
    assert told.json["values"] == {"registered": True, "name": SECRET_NAME}
    assert http(CallerKind.MERCHANT, "PUT", path, json={"content": content}).json == told.json
    other = f"/v1/merchant/identity-releases/{new_id('idq')}"
    again = http(CallerKind.MERCHANT, "PUT", other, json={"content": content})
    assert (again.status_code, again.json["code"]) == (402, "identity_code_used")
    notes = http(CallerKind.CITIZEN, "GET", "/v1/me/identity-releases").json["data"]
    assert [note["claims"] for note in notes] == [["registered", "name"]]
    assert "values" not in notes[0]
