"""The later life over HTTP: a registered person, the real bank sandbox, two members of staff."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pyotp
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from backend.app import Parts, create_internal_app, create_public_app, open_parts
from backend.config import load_config
from backend.db import Which
from backend.demo import load_demo
from backend.identity import PersonUnknown, Register
from backend.identity.persons import Persons
from backend.identity.vault import Vault
from backend.kernel import ManualClock, new_id
from backend.wallet import OpenWallet
from backend.wallet.topups import RequestTopUp
from backend.web import Caller, CallerKind
from tests.simulation.books import audit, dump
from tests.simulation.money_world import BANK_CARD, operation
from tests.simulation.net import problem

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
SECRET, PASSWORD = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "correct horse battery"
NAME, ID_NUMBER = "林晓岚", "999901198804120243"
keys_given = count(1)


@dataclass(frozen=True)
class City:
    """Both networks of one city, and its citizen with 200 元 in a wallet of 100 days."""

    parts: Parts
    public: FlaskClient
    internal: FlaskClient
    person_id: str
    wallet_id: str

    def me(
        self, method: str, path: str, body: Any = None, person: str | None = None
    ) -> TestResponse:
        token = self.parts.tokens.issue(Caller(CallerKind.CITIZEN, person or self.person_id))
        return _ask(self.public, method, path, body, {"Authorization": f"Bearer {token}"})

    def ops(self, who: str, method: str, path: str, body: Any = None) -> TestResponse:
        code = pyotp.TOTP(SECRET).at(self.parts.clock.now())
        session = self.parts.staff_accounts.log_in(who, PASSWORD, code)
        assert isinstance(self.parts.clock, ManualClock)
        self.parts.clock.advance(timedelta(seconds=30))  # a code opens one session
        self.internal.set_cookie("staff", session.token)
        return _ask(self.internal, method, path, body, {"X-CSRF-Token": session.csrf_token})


def _ask(
    client: FlaskClient, method: str, path: str, body: Any, headers: dict[str, str]
) -> TestResponse:
    headers = {**headers, "Content-Type": "application/json", "Accept-Language": "en"}
    if method == "POST":
        headers["Idempotency-Key"] = f"life-{next(keys_given)}"
    data = None if body is None else json.dumps(body)
    return client.open(path, method=method, headers=headers, data=data)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    config = load_config({"CITY_VAR": str(tmp_path_factory.mktemp("var"))})
    clock = ManualClock(START)
    parts = open_parts(config, make=True, clock=clock)
    parts.wallets.open_house()
    load_demo(config, parts)
    with parts.units.write(Which.IDENTITY) as work:
        person_id = Persons(Vault(parts.keys)).make(work, "13800000001")
    parts.people.register(Register(person_id, NAME, ID_NUMBER))
    wallet_id = new_id("wal")
    parts.wallets.open(OpenWallet(person_id, wallet_id), operation())
    order = RequestTopUp(person_id, new_id("top"), wallet_id, 20_000, BANK_CARD)
    parts.topups.request(order, operation())
    parts.worker.deliver_due()
    clock.advance(timedelta(days=100))
    for who, role in (("wang", "operator"), ("zhao", "operator"), ("sun", "auditor")):
        parts.staff_accounts.add(who, PASSWORD, SECRET, [role])
    public, internal = create_public_app(parts), create_internal_app(parts)
    yield City(parts, public.test_client(), internal.test_client(), person_id, wallet_id)
    audit(parts.units)
    parts.databases.close()


def balance(city: City) -> int:
    return int(city.me("GET", f"/v1/me/wallets/{city.wallet_id}").get_json()["available_fen"])


def test_a_redemption_in_the_persons_own_name(city: City) -> None:
    body = {
        "redemption_id": new_id("red"),
        "wallet_id": city.wallet_id,
        "amount_fen": 5_000,
        "bank_card": BANK_CARD,
    }
    before = balance(city)
    answer = city.me("POST", "/v1/me/redemptions", body)
    assert (answer.status_code, answer.get_json()["state"]) == (202, "processing")
    assert BANK_CARD not in answer.text
    assert balance(city) == before - 5_000
    assert city.parts.people.get_name(city.person_id) == NAME
    city.parts.worker.deliver_due()
    path = f"/v1/me/redemptions/{body['redemption_id']}"
    found = city.me("GET", path).get_json()
    assert (found["state"], found["kind"], found["amount_fen"]) == (
        "succeeded",
        "redemption",
        5_000,
    )
    problem(city.me("GET", path, person=new_id("per")), 404, "redemption_unknown")
    path, days = "/v1/ops/custody/payout-reconciliations", ("2026-11-23", "2027-03-03")
    topped_up, paid_out = ({"business_date": day} for day in days)
    # Custody cannot show less than nothing: what came in is booked before what went out.
    problem(city.ops("wang", "POST", path, paid_out), 402, "insufficient_funds")
    city.ops("wang", "POST", "/v1/ops/custody/reconciliations", topped_up)
    match = city.ops("wang", "POST", path, paid_out)
    assert (match.status_code, match.get_json()["amount_fen"]) == (201, 5_000)
    assert city.ops("sun", "GET", "/v1/ops/ledger/proof").get_json()["custody_equals_owed"]


def test_nobody_is_paid_who_is_not_registered(city: City) -> None:
    with city.parts.units.write(Which.IDENTITY) as work:
        nameless = Persons(Vault(city.parts.keys)).make(work, "13800000002")
    for person_id in (nameless, new_id("per")):
        with pytest.raises(PersonUnknown):
            city.parts.people.get_name(person_id)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("amount_fen", [0, -1, 2**31, 2**53, 2**63, "100", 1.0, True, None, "１００", [1]]),
        ("bank_card", ["", "1" * 15, "1" * 20, "６" * 16, None, 6217000010001234567]),
        ("redemption_id", ["", "red_x", "wal_01h455vb4pex5vsknk084sn02q", None, 1, "x" * 400]),
        ("wallet_id", ["", "wal_", "red_01h455vb4pex5vsknk084sn02q", None, {}]),
    ],
)
def test_bad_fields_are_named_and_change_nothing(city: City, field: str, values: list[Any]) -> None:
    good = {
        "redemption_id": new_id("red"),
        "wallet_id": city.wallet_id,
        "amount_fen": 100,
        "bank_card": BANK_CARD,
    }
    before = dump(city.parts.units)
    for value in values:
        answer = city.me("POST", "/v1/me/redemptions", {**good, field: value})
        assert list(problem(answer, 422, "fields_invalid")["errors"]) == [field], value
    missing = {name: value for name, value in good.items() if name != field}
    problem(city.me("POST", "/v1/me/redemptions", missing), 422, "fields_invalid")
    assert dump(city.parts.units) == before


@pytest.mark.parametrize("name", ["x", "wal_x", "%27", "wal_" + "9" * 300, "钱"])
def test_strange_names_in_paths_are_unknown(city: City, name: str) -> None:
    closing = {"redemption_id": new_id("red"), "bank_card": BANK_CARD}
    assert city.me("POST", f"/v1/me/wallets/{name}/closing", closing).status_code == 404
    assert city.me("GET", f"/v1/me/redemptions/{name}").status_code == 404
    reason = {"reason": "x"}
    asked = [
        city.ops("wang", "POST", f"/v1/ops/wallets/{name}/freezes", reason),
        city.ops("wang", "GET", f"/v1/ops/wallets/{name}/changes"),
        city.ops("wang", "GET", f"/v1/ops/suspense-cases/{name}"),
        city.ops("wang", "POST", f"/v1/ops/corrections/{name}/approvals", {}),
        city.ops(
            "wang",
            "POST",
            f"/v1/ops/ride-debts/{name}/write-offs",
            {"write_off_id": new_id("wof"), **reason},
        ),
        city.ops(
            "wang",
            "POST",
            f"/v1/ops/suspense-cases/{name}/payouts",
            {"redemption_id": new_id("red"), "bank_card": BANK_CARD},
        ),
    ]
    assert [one.status_code for one in asked] == [404] * len(asked)


def test_staff_freezes_with_a_reason_and_the_auditor_only_reads(city: City) -> None:
    path = f"/v1/ops/wallets/{city.wallet_id}"
    problem(city.ops("sun", "POST", f"{path}/freezes", {"reason": "x"}), 403, "access_denied")
    for reason in ("", "x" * 101, "a\nb", None, 1):
        answer = city.ops("wang", "POST", f"{path}/freezes", {"reason": reason})
        problem(answer, 422, "fields_invalid")
    frozen = city.ops("wang", "POST", f"{path}/freezes", {"reason": "court, file 12"})
    assert (frozen.status_code, frozen.get_json()["state"]) == (200, "frozen")
    shown = city.me("GET", f"/v1/me/wallets/{city.wallet_id}").get_json()
    assert shown["state"] == "frozen"
    again = city.ops("zhao", "POST", f"{path}/freezes", {"reason": "y"})
    problem(again, 409, "wallet_transition_refused")
    assert city.ops("zhao", "POST", f"{path}/unfreezes", {"reason": "ended"}).status_code == 200
    page = city.ops("sun", "GET", f"{path}/changes?limit=1").get_json()
    assert [(one["event"], one["reason"]) for one in page["data"]] == [("unfreeze", "ended")]
    assert page["next"] == "2"


def test_a_correction_needs_two_people(city: City) -> None:
    order = RequestTopUp(city.person_id, new_id("top"), city.wallet_id, 700, BANK_CARD)
    city.parts.topups.request(order, operation())
    city.parts.worker.deliver_due()
    before = balance(city)
    body = {
        "correction_id": new_id("cor"),
        "operation_id": order.topup_id,
        "reason": "wrong wallet",
    }
    asked = city.ops("wang", "POST", "/v1/ops/corrections", body)
    assert (asked.status_code, asked.get_json()["state"]) == (201, "asked")
    listed = city.ops("sun", "GET", "/v1/ops/corrections").get_json()["data"]
    assert [one["correction_id"] for one in listed] == [body["correction_id"]]
    path = f"/v1/ops/corrections/{body['correction_id']}"
    problem(city.ops("wang", "POST", f"{path}/approvals", {}), 403, "four_eyes_needed")
    problem(city.ops("sun", "POST", f"{path}/approvals", {}), 403, "access_denied")
    assert balance(city) == before
    done = city.ops("zhao", "POST", f"{path}/approvals", {})
    assert (done.status_code, done.get_json()["state"]) == (200, "approved")
    assert balance(city) == before - 700
    problem(city.ops("wang", "POST", f"{path}/rejections", {}), 409, "correction_decided")


def test_either_wallet_or_card_pays_a_case(city: City) -> None:
    path = f"/v1/ops/suspense-cases/{new_id('cas')}/payouts"
    good = {"redemption_id": new_id("red")}
    for more in ({}, {"wallet_id": city.wallet_id, "bank_card": BANK_CARD}):
        problem(city.ops("wang", "POST", path, {**good, **more}), 422, "fields_invalid")
    answer = city.ops("wang", "POST", path, {**good, "bank_card": BANK_CARD})
    problem(answer, 404, "suspense_case_unknown")
    for query in ("state=x", "limit=0", "limit=201", "limit=x"):
        assert city.ops("wang", "GET", f"/v1/ops/suspense-cases?{query}").status_code == 422
    assert city.ops("wang", "GET", "/v1/ops/ride-debts?after=x").get_json() == {
        "data": [],
        "next": None,
    }


def test_the_wallet_closes_over_http(city: City) -> None:
    path = f"/v1/me/wallets/{city.wallet_id}/closing"
    missing = city.me("POST", path, {"redemption_id": new_id("red")})
    problem(missing, 422, "bank_card_needed")
    stranger = {"redemption_id": new_id("red"), "bank_card": BANK_CARD}
    problem(city.me("POST", path, stranger, person=new_id("per")), 404, "wallet_unknown")
    answer = city.me("POST", path, {"redemption_id": new_id("red"), "bank_card": BANK_CARD})
    assert (answer.status_code, answer.get_json()["state"]) == (202, "closing")
    shown = city.me("GET", f"/v1/me/wallets/{city.wallet_id}").get_json()
    assert shown["state"] == "closing"
    city.parts.worker.deliver_due()
    shown = city.me("GET", f"/v1/me/wallets/{city.wallet_id}").get_json()
    assert (shown["state"], shown["balance_fen"]) == ("closed", 0)
    assert city.me("GET", "/v1/me/wallets").get_json()["data"] == []
