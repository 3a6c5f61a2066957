"""A day with codes: fetched over HTTP, shown offline, read by a gate, a till and a library."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import zxingcpp
from PIL import Image
from sqlalchemy import text

from backend.db import Which
from backend.kernel import new_id
from backend.virtual_card.codes import RegisterVerifier
from backend.web import Caller, CallerKind
from card_protocol import pay_code
from card_protocol.code_keys import load_es256
from card_protocol.ride_code import RideSuite
from card_protocol.ride_verifier import MemoryUsedCodes, RideCodeVerifier, RideRules
from sdk_mobile import Wallet
from sdk_mobile.__main__ import main
from tests.docs.city import CITIZEN, City, running_city
from tests.simulation.money_world import operation

SECOND_CITIZEN = ("13800000002", "周致远", "999901197509231317")


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with running_city(tmp_path_factory.mktemp("city") / "var") as running:
        yield running


@pytest.fixture(scope="module")
def phone(city: City) -> Iterator[Wallet]:
    with city.make_phone(10_000) as made:
        yield made


def ask(city: City, caller: Caller, method: str, path: str, **more: Any) -> httpx.Response:
    token = city.parts.tokens.issue(caller)
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.request(method, city.public + path, headers=headers, trust_env=False, **more)


def unb64u(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_ride(city: City, phone: Wallet) -> None:
    """Goal: what a gate is told over HTTP opens for what the phone was told over HTTP."""
    told = ask(
        city, Caller(CallerKind.TERMINAL, "trm_gate"), "GET", "/v1/terminal/ride-keys"
    ).json()
    rules = RideRules(
        ca_keys={
            (one["index"], RideSuite(told["suite"])): unb64u(one["public_key"])
            for one in told["ca_keys"]
        },
        suites={RideSuite.ES256: load_es256},
        issuers=frozenset({unb64u(told["issuer_id"])}),
        account_types=frozenset(told["account_types"]),
        validity_seconds_max=told["validity_seconds_max"],
    )
    gate = RideCodeVerifier(rules, MemoryUsedCodes(), frozenset())
    assert phone.ride.refresh_if_needed()
    now = int(city.parts.clock.now().timestamp())
    accepted = gate.verify(phone.ride.show().content, now)
    assert accepted.part.card_number == phone.phone_card().token_number


def test_an_identity_read_at_the_library(city: City, phone: Wallet) -> None:
    merchant_id = some_merchant(city)
    register = RegisterVerifier(merchant_id, ("library",), ("name", "phone_masked"), "stf_1")
    city.parts.codes.verifiers.register(register, operation())
    phone.identity.refresh_if_needed()
    shown = phone.identity.show("library", ["name"])
    library = Caller(CallerKind.MERCHANT, "mcl_1", context={"merchant_id": merchant_id})
    path = f"/v1/merchant/identity-releases/{new_id('idq')}"
    told = ask(city, library, "PUT", path, json={"content": shown.content})
    assert (told.status_code, told.json()["values"]) == (200, {"name": CITIZEN[1]})
    other = f"/v1/merchant/identity-releases/{new_id('idq')}"
    again = ask(city, library, "PUT", other, json={"content": shown.content})
    assert again.json()["code"] == "identity_code_used"


def test_a_lost_phone_shows_nothing_that_counts(city: City, phone: Wallet) -> None:
    """Goal: codes made before the loss report are refused after it."""
    phone.identity.refresh_if_needed()
    shown = phone.identity.show("library", ["name"])
    digits = phone.pay_code().digits
    phone.report_loss()
    try:
        library = Caller(CallerKind.MERCHANT, "mcl_1", context={"merchant_id": some_merchant(city)})
        path = f"/v1/merchant/identity-releases/{new_id('idq')}"
        told = ask(city, library, "PUT", path, json={"content": shown.content})
        assert told.json()["code"] == "token_suspended"
        verify = city.parts.sales.verifier.verify_pay_code
        for form in (digits, pay_code.decode(digits).encode_consumer()):
            with pytest.raises(Exception, match="token_suspended"):
                verify(form, city.parts.clock.now())
    finally:
        phone.release()


def test_the_command_line_draws_them(
    city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: somebody without an app tries every code; later ones without the network."""
    number, name, id_number = SECOND_CITIZEN

    def run(*words: str, url: str = city.public) -> tuple[int, str]:
        status = main(["--state", str(tmp_path / "phone"), "--url", url, *words])
        return status, capsys.readouterr().out

    def code_sent(_prompt: str) -> str:
        found = re.search(r"\b\d{6}\b", city.message_to(number))
        assert found
        return found[0]

    monkeypatch.setattr("builtins.input", code_sent)
    for words in (("login", number), ("register", name, id_number), ("card",)):
        assert run(*words)[0] == 0
    pictures = {
        "ride": ("ride-code", str(tmp_path / "ride.png")),
        "identity": (
            *("identity-code", "venue", "registered", "name"),
            *("--picture", str(tmp_path / "identity.png")),
        ),
        "emvco": ("pay-code", "--kind", "emvco", "--picture", str(tmp_path / "emvco.png")),
    }
    for url in (city.public, "http://127.0.0.1:1"):
        for name_, words in pictures.items():
            status, out = run(*words, url=url)
            assert (status, " until " in out) == (0, True)
            with Image.open(tmp_path / f"{name_}.png") as image:
                (found,) = zxingcpp.read_barcodes(image)
            assert found.bytes
    assert found.text == pay_code.decode(out[:19]).encode_consumer()


def some_merchant(city: City) -> str:
    """Some merchant of the demo city."""
    question = text("SELECT merchant_id FROM merchant LIMIT 1")
    (row,) = city.parts.units.ask(Which.BUSINESS, question)
    return str(row.merchant_id)
