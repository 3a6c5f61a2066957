"""Offline sales, loads and purses over HTTP, as terminals and two members of staff meet them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pyotp
import pytest
from flask import Flask
from offline_world import ISSUER_ID, PURSE, SAM, Box, Chip
from werkzeug.test import TestResponse

from backend.app import Parts, create_internal_app
from backend.kernel import ManualClock, new_id
from backend.keys import KeyRef, SessionMac, TacMac
from tests.simulation.net import Net, proof

PASSWORD, SECRET = "correct horse", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
UPLOADS, LOADS = "/v1/terminal/offline-sales", "/v1/terminal/loads"
REGISTER = {
    "purse_number": PURSE,
    "issuer_id": ISSUER_ID.upper(),
    "suite": 0,
    "key_version": 1,
    "product": "main_card",
}
keys_given = count(1)

Call = Callable[..., TestResponse]


@pytest.fixture(scope="module")
def staff(parts: Parts) -> Callable[[str], Call]:
    """A session of a new member of staff."""
    internal: Flask = create_internal_app(parts)

    def log_in(name: str) -> Call:
        parts.staff_accounts.add(name, PASSWORD, SECRET, ["operator"])
        client = internal.test_client()
        totp = pyotp.TOTP(SECRET).at(parts.clock.now())
        body = {"username": name, "password": PASSWORD, "totp": totp}
        csrf = client.post("/v1/ops/session", json=body).get_json()["csrf_token"]

        def call(method: str, path: str, body: Any = None) -> TestResponse:
            headers = {"X-CSRF-Token": csrf, "Accept-Language": "en"}
            headers["Idempotency-Key"] = f"ops-{next(keys_given)}"
            return client.open(path, method=method, json=body, headers=headers)

        return call

    return log_in


@pytest.fixture(scope="module")
def li(staff: Callable[[str], Call]) -> Call:
    call = staff("offline-li")
    assert call("POST", "/v1/ops/purses", REGISTER).status_code == 201
    changes = f"/v1/ops/purses/{PURSE}/changes"
    done = call("POST", changes, {"event": "activate", "reason": "handed out"})
    assert done.get_json()["state"] == "active"
    return call


def box_of(net: Net) -> Box:
    assert isinstance(net.parts.clock, ManualClock)
    return Box(net.till, net.parts.clock)


def purse_proof(net: Net, chip: Chip, fen: int) -> dict[str, Any]:
    """A purchase whose TAC is by the city's own keys."""
    proof = chip.pay(fen)
    told = bytes.fromhex(f"{fen:08x}06{SAM}{proof['terminal_serial']}{proof['transaction_time']}")
    how = TacMac((bytes.fromhex(PURSE)[-8:],))
    return {**proof, "tac": net.parts.keys.derive_and_mac(KeyRef.TAC_3DES, how, told, 1).hex()}


def test_an_upload_and_its_answers(net: Net, li: Call) -> None:
    """Goal: one result a sale in order; the same key hears the same bytes, another key too."""
    box = box_of(net)
    chip = Chip(box.clock)
    items: list[Any] = [box.tap(net.citizen, 100), {"payment_id": 1}, box.tap(net.citizen, 99_999)]
    items.append(box.keep(250, purse_proof(net, chip, 250)))
    body = {"incarnation": box.incarnation, "sales": items}
    answer = net.call(net.terminal, "POST", UPLOADS, body, key="upload-1")
    assert answer.status_code == 200, answer.text
    results = answer.get_json()["results"]
    assert [one["state"] for one in results] == ["captured", "refused", "refused", "captured"]
    assert [one["code"] for one in results] == [
        None,
        "sale_malformed",
        "insufficient_funds",
        None,
    ]
    assert results[3]["balance_fen"] == 9_750
    assert "yuan short" in results[2]["detail"]
    again = net.call(net.terminal, "POST", UPLOADS, body, key="upload-1")
    assert (again.data, again.headers["Idempotent-Replayed"]) == (answer.data, "true")
    other = net.call(net.terminal, "POST", UPLOADS, body, key="upload-2", language="zh")
    assert [one["state"] for one in other.get_json()["results"]] == [
        one["state"] for one in results
    ]
    assert "元" in other.get_json()["results"][2]["detail"]
    figures = li("GET", f"/v1/ops/purses/{PURSE}/figures").get_json()
    assert (figures["chip_fen"], figures["book_fen"]) == (9_750, -250)
    day = net.call(net.server, "GET", "/v1/merchant/statements/2026-11-23").get_json()
    named = {one["reference"]: one for one in day["data"]}
    line = named[items[3]["payment_id"]]
    assert (line["code"], line["terminal_number"]) == ("epurse_purchase", net.till.terminal_number)
    assert day["totals"]["net_fen"] == 350
    reversal = f"/v1/terminal/payments/{items[3]['payment_id']}/reversal"
    assert net.call(net.terminal, "POST", reversal, {}).status_code == 404  # value left a chip
    unread = li("GET", "/v1/ops/unread-sales").get_json()["data"]
    assert [one["terminal_id"] for one in unread] == [net.till.terminal_id]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"incarnation": "x", "sales": [{}]},
        {"incarnation": "00" * 8, "sales": []},
        {"incarnation": "00" * 8, "sales": [None] * 101},
        {"incarnation": "00" * 8, "sales": {}},
        {"incarnation": "00" * 8, "sales": [{}], "more": 1},
    ],
)
def test_an_upload_that_is_none_is_refused_as_a_whole(net: Net, body: Any) -> None:
    assert net.call(net.terminal, "POST", UPLOADS, body).status_code == 422


def test_a_dry_run_leaves_no_trace(net: Net) -> None:
    box = box_of(net)
    item = box.tap(net.citizen, 100)
    body = {"incarnation": box.incarnation, "sales": [item]}
    who = {**net.terminal, "Dry-Run": "true"}
    told = net.call(who, "POST", UPLOADS, body).get_json()["results"]
    assert [one["state"] for one in told] == ["captured"]
    assert net.world.balance(net.citizen) == (10_000, 10_000)
    same_counter = {**box.keep(100, item["proof"]), "terminal_counter": item["terminal_counter"]}
    body = {"incarnation": box.incarnation, "sales": [same_counter]}
    told = net.call(net.terminal, "POST", UPLOADS, body).get_json()["results"]
    assert [one["code"] for one in told] == [None]


def test_staff_sees_a_copied_terminal(net: Net, li: Call) -> None:
    box = box_of(net)
    copy = box.clone()
    for one in (box, copy):
        body = {"incarnation": one.incarnation, "sales": [one.tap(net.citizen, 100)]}
        net.call(net.terminal, "POST", UPLOADS, body)
    listed = li("GET", "/v1/ops/cloned-terminals").get_json()["data"]
    assert {"terminal_id": net.till.terminal_id} in listed
    path = f"/v1/ops/cloned-terminals/{net.till.terminal_id}"
    report = li("GET", path).get_json()
    assert [one["amount_fen"] for one in report["sales"]] == [100]
    assert li("GET", "/v1/ops/cloned-terminals/trm_x").status_code == 404
    assert net.parts.worker.deliver_due() >= 1
    assert net.parts.worker.parked() == 0


def test_a_load_over_http(net: Net, li: Call) -> None:
    """Goal: a stranger's words, then refusals that a terminal can understand."""
    init = {
        "old_balance_fen": 0,
        "load_counter": 0,
        "key_version": 1,
        "suite": 0,
        "random": "11223344",
        "mac1": "00000000",
    }
    body = {
        "load_id": new_id("lod"),
        "purse_number": PURSE,
        "issuer_id": ISSUER_ID,
        "amount_fen": 500,
        "terminal_number": SAM,
        "source": {"kind": "cash"},
        "init": init,
    }
    answer = net.call(net.terminal, "POST", LOADS, body)
    assert (answer.status_code, answer.get_json()["code"]) == (402, "load_mac_invalid")
    assert (
        net.call(net.terminal, "POST", LOADS, {**body, "source": {"kind": "wallet"}}).status_code
        == 422
    )
    path = f"{LOADS}/{body['load_id']}"
    assert net.call(net.terminal, "GET", path).status_code == 404
    assert net.call(net.terminal, "POST", f"{path}/written", {"tac": "00000000"}).status_code == 404
    evidence = {"amount_fen": 500, "terminal_number": SAM, "init": init}
    returned = net.call(net.terminal, "POST", f"{path}/returned", {"evidence": evidence})
    assert returned.get_json()["code"] == "load_unknown"
    state = net.call(net.terminal, "GET", f"/v1/terminal/purses/{PURSE}").get_json()
    assert state == {"purse_number": PURSE, "state": "active"}


def test_a_wallet_loads_a_chip_over_http(net: Net, li: Call) -> None:
    """Goal: MAC1, MAC2 and TAC under the city's own keys, byte for byte; the wallet pays."""
    factors, fen = (bytes.fromhex(PURSE)[-8:],), 700

    def mac(text: str) -> str:
        how = SessionMac(factors, bytes.fromhex("a1b2c3d400008000"))
        data = bytes.fromhex(text)
        return net.parts.keys.derive_and_mac(KeyRef.LOAD_3DES, how, data, 1).hex()

    tap = net.citizen.card.tap(net.till, fen)
    init = {"old_balance_fen": 300, "load_counter": 0, "key_version": 1, "suite": "3des"}
    body = {
        "load_id": new_id("lod"),
        "purse_number": PURSE,
        "issuer_id": ISSUER_ID,
        "amount_fen": fen,
        "terminal_number": SAM,
        "source": {"kind": "wallet", "proof": proof(tap)},
        "init": {**init, "random": "a1b2c3d4", "mac1": mac(f"{300:08x}{fen:08x}02{SAM}")},
    }
    answer = net.call(net.terminal, "POST", LOADS, body)
    assert answer.status_code == 201, answer.text
    load = answer.get_json()
    assert load["mac2"] == mac(f"{fen:08x}02{SAM}{load['transaction_time']}")
    assert net.world.balance(net.citizen) == (9_300, 9_300)
    path = f"{LOADS}/{body['load_id']}"
    told = bytes.fromhex(f"{1_000:08x}0000{fen:08x}02{SAM}{load['transaction_time']}")
    tac = net.parts.keys.derive_and_mac(KeyRef.TAC_3DES, TacMac(factors), told, 1).hex()
    written = net.call(net.terminal, "POST", f"{path}/written", {"tac": tac}).get_json()
    assert (written["state"], written["told_by"]) == ("written", "tac")
    assert net.call(net.terminal, "GET", path).get_json() == written
    other = net.world.terminal(net.world.shop(net.world.merchant()))
    assert net.call(net.at(other), "GET", path).status_code == 404


def test_a_case_over_http(net: Net, li: Call) -> None:
    cases = li("GET", "/v1/ops/purse-cases").get_json()
    assert cases == {"data": [], "next": None}
    for act in ("payments", "dismissals"):
        answer = li("POST", f"/v1/ops/purse-cases/{new_id('cas')}/{act}", {"note": "who knows"})
        assert answer.get_json()["code"] == "purse_case_unknown"
