"""Offline sales, loads and purses over HTTP, as terminals and two members of staff meet them."""

from __future__ import annotations

import json
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
from backend.web.bodies import BODY_MAX_BYTES
from reader_bridge.forward import UPLOAD_BYTES_MAX
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


def purse_proof(net: Net, chip: Chip, fen: int, sam: str = SAM) -> dict[str, Any]:
    """A purchase whose TAC is by the city's own keys."""
    proof = chip.pay(fen)
    told = bytes.fromhex(f"{fen:08x}06{sam}{proof['terminal_serial']}{proof['transaction_time']}")
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


def test_a_foreign_sam_over_http(net: Net, li: Call) -> None:
    """Goal: staff says where a SAM sits, sees who else uploads for it, and ends that."""
    here = f"/v1/ops/terminals/{net.till.terminal_id}/sams"
    elsewhere = net.world.terminal(net.world.shop(net.world.merchant()))
    sam = "00FEDCBA9876"
    there = f"/v1/ops/terminals/{elsewhere.terminal_id}/sams"
    assert li("GET", there).get_json()["code"] == "sam_unknown"
    bound = li("POST", there, {"sam_number": sam})
    assert (bound.status_code, bound.get_json()["sam_number"]) == (201, sam.lower())
    assert li("GET", f"/v1/ops/sams/{sam}").get_json() == bound.get_json()
    for wrong in ("00FEDC", "00FEDCBA987G"):
        assert li("POST", here, {"sam_number": wrong}).status_code == 422

    box = box_of(net)
    box.counter = 500
    proof = purse_proof(net, Chip(box.clock, sam=sam.lower()), 150, sam.lower())
    body = {"incarnation": box.incarnation, "sales": [box.keep(150, proof)]}
    (told,) = net.call(net.terminal, "POST", UPLOADS, body).get_json()["results"]
    assert (told["code"], "another terminal" in told["detail"]) == ("purse_sam_foreign", True)
    (sale,) = li("GET", "/v1/ops/foreign-sam-sales").get_json()["data"]
    assert (sale["sam_number"], sale["amount_fen"], sale["state"]) == (sam.lower(), 150, "open")
    ends = f"/v1/ops/foreign-sam-sales/{sale['payment_id']}"
    paid = li("POST", f"{ends}/payments", {"note": "moved on Monday"})
    assert (paid.status_code, paid.get_json()["state"]) == (200, "paid")
    assert li("POST", f"{ends}/dismissals", {"note": "no"}).get_json()["code"] == (
        "foreign_sale_decided"
    )
    paid_ones = li("GET", "/v1/ops/foreign-sam-sales?state=paid").get_json()["data"]
    assert [one["note"] for one in paid_ones] == ["moved on Monday"]


def test_a_lost_outcome_over_http(net: Net, li: Call, staff: Callable[[str], Call]) -> None:
    losses = "/v1/ops/purse-losses"
    report = {
        "loss_id": new_id("los"),
        "terminal_id": net.till.terminal_id,
        "purse_number": PURSE,
        "reference": "R17",
        "purchase_counter": 900,
        "balance_before_fen": 1_000,
        "amount_fen": 300,
    }
    opened = li("POST", losses, report)
    assert (opened.status_code, opened.get_json()["verdict"]) == (201, "undecided")
    mine = f"{losses}/{report['loss_id']}"
    refund = {"note": "the holder has a receipt", "wallet_id": net.citizen.wallet_id}
    alone = li("POST", f"{mine}/refunds", refund)
    assert (alone.status_code, alone.get_json()["code"]) == (403, "purse_loss_four_eyes_needed")
    wang = staff("offline-wang")
    assert wang("POST", f"{mine}/refunds", refund).get_json()["state"] == "refunded"
    for act in ("payments", "dismissals"):
        again = wang("POST", f"{mine}/{act}", {"note": "twice"})
        assert (again.status_code, again.get_json()["code"]) == (409, "purse_loss_decided")
    assert li("GET", mine).get_json()["decided_by"] == wang("GET", mine).get_json()["decided_by"]
    listed = li("GET", f"{losses}?state=refunded").get_json()["data"]
    assert [one["loss_id"] for one in listed] == [report["loss_id"]]
    nobody = li("GET", f"{losses}/{new_id('los')}")
    assert (nobody.status_code, nobody.get_json()["code"]) == (404, "purse_loss_unknown")


def test_loads_that_hang_over_http(net: Net, li: Call) -> None:
    for one in li("GET", "/v1/ops/loads?state=begun").get_json()["data"]:
        assert "mac2" not in one
        early = li("POST", f"/v1/ops/loads/{one['load_id']}/returns", {"note": "gone"})
        assert (early.status_code, early.get_json()["code"]) == (402, "load_not_stuck")
    unknown = li("POST", f"/v1/ops/loads/{new_id('lod')}/returns", {"note": "gone"})
    assert unknown.get_json()["code"] == "load_unknown"


def test_a_terminals_fullest_request_fits(net: Net) -> None:
    """Goal: the largest purse sales a terminal makes, cut as it cuts them, are taken; what is
    longer than a body may be is refused as a whole, before anything is read."""
    box = box_of(net)
    sam = "00aaaaaaaaaa"
    chip = Chip(box.clock, counter=700, sam=sam)
    large = ["ab" * 256] * 20
    box.counter = 600
    sales: list[Any] = []
    while len(json.dumps(sales)) < UPLOAD_BYTES_MAX:
        proof = purse_proof(net, chip, 1, sam)
        sales.append(box.keep(1, {**proof, "records": large}))
    fits = {"incarnation": box.incarnation, "sales": sales[:-1]}
    assert len(sales) - 1 == 5
    answer = net.call(net.terminal, "POST", UPLOADS, fits)
    assert [one["code"] for one in answer.get_json()["results"]] == [None] * 5
    assert len(json.dumps(fits)) < UPLOAD_BYTES_MAX < BODY_MAX_BYTES
    too_long = {"incarnation": box.incarnation, "sales": [*sales, *sales]}
    assert net.call(net.terminal, "POST", UPLOADS, too_long).status_code == 413
