"""The web SDK against the real city over HTTP: the contract is the backend's own."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import text

from backend.db import Which
from backend.kernel import new_id
from backend.virtual_card.codes import RegisterVerifier
from backend.web import Caller, CallerKind
from card_protocol.code_keys import load_es256
from card_protocol.ride_code import RideSuite
from card_protocol.ride_verifier import MemoryUsedCodes, RideCodeVerifier, RideRules
from tests.docs.city import BANK_CARD, CITIZEN, City, running_city
from tests.sdk_mobile_web.browsing import Tab, find_file, headers_of
from tests.sdk_mobile_web.driving import PageRefused
from tests.simulation.money_world import operation

pytestmark = pytest.mark.browser

TOP_UP_FEN = 10_000


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with running_city(tmp_path_factory.mktemp("city") / "var") as running:
        yield running


@pytest.fixture
def phone(city: City, browser: Any) -> Tab:
    """A citizen's page on the city's own origin, with a card and 100 yuan."""
    context = browser.new_context()
    context.route(re.compile(r"/(app|sdk)/"), _answer_from_disk)
    tab = Tab.open(context, city.public)
    number, name, id_number = CITIZEN
    tab.call("requestLoginCode", number)
    code = re.search(r"\b\d{6}\b", city.message_to(number))
    assert code
    tab.call("logIn", number, code[0])
    tab.call("register", name, id_number)
    tab.call("openWallet")
    tab.call("enrolDevice", "browser")
    tab.call("provisionCard")
    top_up = tab.call("topUp", TOP_UP_FEN, BANK_CARD)
    city.parts.worker.deliver_due()
    assert tab.call("waitForTopUp", top_up["topup_id"], 10)["state"] == "succeeded"
    return tab


def _answer_from_disk(route: Any) -> None:
    file = find_file(urlsplit(route.request.url).path)
    assert file is not None, route.request.url
    route.fulfill(path=file, headers=headers_of(file))


def ask(city: City, caller: Caller, method: str, path: str, **more: Any) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {city.parts.tokens.issue(caller)}"}
    url = city.public + path
    answer: dict[str, Any] = httpx.request(
        method, url, headers=headers, trust_env=False, **more
    ).json()
    return answer


def unb64u(text: object) -> bytes:
    return base64.urlsafe_b64decode(f"{text}==")


def test_a_page_in_the_real_city(city: City, phone: Tab) -> None:
    """Goal: proofs, bodies and answers are what the real backend takes and tells."""
    balance = phone.call("balance")
    assert (balance["balanceFen"], balance["isFresh"]) == (TOP_UP_FEN, True)
    assert phone.call("history")["lines"][0]["amount_fen"] == TOP_UP_FEN
    assert phone.call("person")["registered"] is True
    ride_passes(city, phone)
    identity_passes(city, phone)
    loss_and_release(phone)
    with pytest.raises(PageRefused, match="Refused merchant_code_"):
        phone.call("payMerchantCode", "000201" + "0" * 40, 100)
    assert phone.call("openOperations") == []


def ride_passes(city: City, phone: Tab) -> None:
    keys = ask(city, Caller(CallerKind.TERMINAL, "trm_gate"), "GET", "/v1/terminal/ride-keys")
    suite = RideSuite(keys["suite"])
    rules = RideRules(
        ca_keys={(one["index"], suite): unb64u(one["public_key"]) for one in keys["ca_keys"]},
        suites={RideSuite.ES256: load_es256},
        issuers=frozenset({unb64u(keys["issuer_id"])}),
        account_types=frozenset(keys["account_types"]),
        validity_seconds_max=keys["validity_seconds_max"],
    )
    gate = RideCodeVerifier(rules, MemoryUsedCodes(), frozenset())
    assert phone.call("refreshRide")
    shown = bytes.fromhex(phone.call("ride")["content"])
    accepted = gate.verify(shown, int(city.parts.clock.now().timestamp()))
    assert accepted.part.card_number == phone.call("phoneCard")["token_number"]


def identity_passes(city: City, phone: Tab) -> None:
    """A library learns exactly the name, once; and a pay code is the card's."""
    question = text("SELECT merchant_id FROM merchant LIMIT 1")
    (row,) = city.parts.units.ask(Which.BUSINESS, question)
    register = RegisterVerifier(row.merchant_id, ("library",), ("name",), "stf_1")
    city.parts.codes.verifiers.register(register, operation())
    assert phone.call("refreshIdentity")
    content = phone.call("identity", "library", ["name"])["content"]
    library = Caller(CallerKind.MERCHANT, "mcl_1", context={"merchant_id": row.merchant_id})
    read_twice = [
        ask(
            city,
            library,
            "PUT",
            f"/v1/merchant/identity-releases/{new_id('idq')}",
            json={"content": content},
        )
        for _ in range(2)
    ]
    assert read_twice[0]["values"] == {"name": CITIZEN[1]}
    assert read_twice[1]["code"] == "identity_code_used"
    verify = city.parts.sales.verifier.verify_pay_code
    verified = verify(phone.call("payCode")["digits"], city.parts.clock.now())
    assert verified.token_id == phone.call("phoneCard")["token_id"]


def loss_and_release(phone: Tab) -> None:
    assert phone.call("reportLoss")["state"] == "suspended"
    assert phone.call("refreshCard")["state"] == "suspended"
    assert phone.call("release")["state"] == "active"
    assert len(phone.call("payCode")["digits"]) == 19
