"""The register's calls over real HTTP: sell, ask, cancel, refund, balance, events."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from card_protocol.terminal_profile import Mode
from reader_bridge import Outcome, Receipt
from reader_bridge.local.events import STREAMS_MAX
from reader_bridge.till import Post, Stage
from tests.reader_bridge.till.support import (
    HEADING,
    SOON_SECONDS,
    Pause,
    deny,
    loaded,
    torn,
    wait_for,
    wait_for_stage,
    wants,
)

SALE = {"reference": "R1", "amount_fen": 1250}
PROBLEM_MEMBERS = {
    "type",
    "title",
    "status",
    "code",
    "detail",
    "errors",
    "request_id",
    "retryable",
    "article",
}


def problem(answer, status, code):
    assert (answer.status_code, answer.json().get("code")) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) >= PROBLEM_MEMBERS
    return answer.json()


def pay(shop, http, kit):
    assert http.post("/v1/sales", json=SALE).status_code == 201
    shop.counter.insert(kit.card().transmit)
    return http.get("/v1/sales/R1", params={"wait_seconds": 10}).json()


def test_a_sale_from_the_register(shop, http, kit, backend):
    started = http.post("/v1/sales", json={**SALE, "full_fare_fen": 1500})
    assert (started.status_code, started.headers["location"]) == (201, "/v1/sales/R1")
    assert started.json()["state"] == "open"
    shop.counter.insert(kit.card().transmit)
    told = http.get("/v1/sales/R1", params={"wait_seconds": 10}).json()
    assert (told["state"], told["full_fare_fen"]) == ("paid", 1500)
    assert told["receipt"]["balance_fen"] == 18_750
    assert "余额:187.50 元" in told["receipt"]["text"]["zh"]
    again = http.post("/v1/sales", json=SALE)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json()["receipt"]["payment_id"] == told["receipt"]["payment_id"]
    differs = problem(
        http.post("/v1/sales", json={**SALE, "amount_fen": 9}), 409, "reference_used_differently"
    )
    assert differs["field"] == "amount"
    assert [line["reference"] for line in http.get("/v1/sales").json()["data"]] == ["R1"]
    assert backend.charges() == [1250]


def test_many_registers_ask_at_once_and_one_sale_is_made(shop, kit, backend):
    def start(_):
        with shop.client() as client:
            return client.post("/v1/sales", json=SALE).json()["state"]

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(start, range(8))) == {"open"}
    shop.counter.insert(kit.card().transmit)
    wait_for_stage(shop.till, Stage.DONE)
    assert backend.charges() == [1250]


def test_the_screen_tells_which_card(shop, http, kit):
    pay(shop, http, kit)
    screen = http.get("/v1/screen").json()
    assert (screen["stage"], screen["signal"], screen["balance_fen"]) == ("done", "ok", 18_750)
    assert screen["card"]["reader"] == "counter"
    assert screen["card"]["aid"].startswith("A0") or len(screen["card"]["aid"]) >= 10
    assert {"select_application", "backend"} <= {step["name"] for step in screen["card"]["steps"]}


def test_busy_and_cancelled(shop, http):
    http.post("/v1/sales", json=SALE)
    busy = problem(http.post("/v1/sales", json={**SALE, "reference": "R2"}), 409, "till_busy")
    assert (busy["reference"], busy["retryable"]) == ("R1", True)
    assert http.post("/v1/sales/R1/cancellation").json()["state"] == "cancelled"
    assert http.post("/v1/sales/R1/cancellation").json()["state"] == "cancelled"
    problem(http.post("/v1/sales/R9/cancellation"), 404, "sale_unknown")
    assert http.post("/v1/sales", json={**SALE, "reference": "R2"}).status_code == 201


def test_a_cancel_that_comes_too_late(shop, http, kit):
    gpo = bytes.fromhex("80A8000002830000")
    pause = Pause(before=lambda channel: channel.transmit(gpo))
    shop.acceptor.accidents.append(pause)
    http.post("/v1/sales", json=SALE)
    shop.counter.insert(kit.card().transmit)
    assert pause.reached.wait(SOON_SECONDS)
    late = http.post("/v1/sales/R1/cancellation", headers={"Accept-Language": "en"})
    assert "charged already" in problem(late, 409, "cancel_too_late")["detail"]
    pause.go_on.set()
    assert http.get("/v1/sales/R1", params={"wait_seconds": 10}).json()["state"] == "paid"


def test_refund_and_reversal(shop, http, kit):
    pay(shop, http, kit)
    body = {"refund_reference": "F1", "amount_fen": 250}
    first = http.post("/v1/sales/R1/refunds", json=body)
    assert (first.status_code, first.json()["outcome"]) == (201, "posted")
    again = http.post("/v1/sales/R1/refunds", json=body)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json()["refund_id"] == first.json()["refund_id"]
    problem(http.post("/v1/sales/R7/refunds", json=body), 404, "sale_unknown")
    reversed_sale = http.post("/v1/sales/R1/reversal")
    assert reversed_sale.status_code == 200
    assert reversed_sale.json()["state"] == "reversed"


def test_a_refund_of_nothing(shop, http):
    http.post("/v1/sales", json=SALE)
    shop.counter.insert(lambda command: b"\x6a\x82")
    refused = http.get("/v1/sales/R1", params={"wait_seconds": 10}).json()
    assert (refused["state"], refused["code"]) == ("refused", "card_foreign")
    assert refused["message"]["zh"] == "不是本市市民卡"
    body = {"refund_reference": "F1", "amount_fen": 250}
    problem(http.post("/v1/sales/R1/refunds", json=body), 404, "sale_unknown")


def test_a_balance(shop, http):
    def told(order, channel):
        return Receipt(HEADING, Outcome.CAPTURED, 0, order.reference)

    shop.acceptor.accidents.append(told)
    started = http.post("/v1/balance", json={})
    assert started.status_code == 201
    shop.counter.insert(lambda command: b"\x6a\x82")
    told_again = http.get(started.headers["location"], params={"wait_seconds": 10}).json()
    assert (told_again["kind"], told_again["state"]) == ("balance", "read")
    assert told_again["receipt"]["balance_fen"] == "unknown"


def test_the_status(shop, http):
    status = http.get("/v1/status").json()
    assert (status["network"], status["kept_count"]) == ("online", 0)
    assert status["profile_age_seconds"] is None
    assert status["shop_name"] == "老街面馆"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "body_malformed"),
        (b'{"reference":"R1"}', 422, "fields_invalid"),
        (b'{"reference":"R/1","amount_fen":1}', 422, "fields_invalid"),
        (b'{"reference":"R1","amount_fen":1.5}', 422, "fields_invalid"),
        (b'{"reference":"R1","amount_fen":true}', 422, "fields_invalid"),
        (b'{"reference":"R1","amount_fen":"1"}', 422, "fields_invalid"),
        (b'{"reference":"R1","amount_fen":0}', 422, "fields_invalid"),
        (b'{"reference":"R1","amount_fen":2147483648}', 422, "fields_invalid"),
        (b'{"reference":"R1","amount_fen":1,"tip_fen":1}', 422, "fields_invalid"),
        (b'{"reference":"R1","amount_fen":2,"full_fare_fen":1}', 422, "full_fare_malformed"),
        (b"x" * 16_385, 413, "body_too_large"),
    ],
)
def test_wrong_bodies(http, body, status, code):
    kind = {"Content-Type": "application/json"}
    told = problem(http.post("/v1/sales", content=body, headers=kind), status, code)
    assert bool(told["errors"]) == (code == "fields_invalid")
    assert http.get("/v1/screen").json()["stage"] == "idle"


def test_wrong_addresses_and_methods(http):
    problem(http.get("/v1/nothing"), 404, "not_found")
    problem(http.delete("/v1/sales"), 405, "method_not_allowed")
    problem(http.get("/v1/sales/none"), 404, "sale_unknown")
    problem(http.get("/v1/sales/none?wait_seconds=31"), 422, "fields_invalid")


def test_a_bug_says_nothing(shop, http, monkeypatch):
    def fail() -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(shop.till, "screen", fail)
    told = http.get("/v1/screen", headers={"X-Request-Id": "register-1"})
    assert problem(told, 500, "internal_error")["request_id"] == "register-1"
    assert "secret" not in told.text
    assert told.headers["x-content-type-options"] == "nosniff"


def events_of(lines, count):
    """(id, screen) of the first `count` events."""
    found, version = [], None
    for line in lines:
        if line.startswith("id: "):
            version = int(line[4:])
        if line.startswith("data: "):
            found.append((version, json.loads(line[6:])))
        if len(found) == count:
            return found
    raise AssertionError("the stream ended")


def test_events_tell_every_change_and_go_on_where_they_were(shop, http):
    with http.stream("GET", "/v1/events") as stream:
        lines = stream.iter_lines()
        (first, screen), *_ = events_of(lines, 1)
        assert screen["stage"] == "idle"
        with shop.client() as register:
            register.post("/v1/sales", json=SALE)
        (second, screen), *_ = events_of(lines, 1)
        assert (second > first, screen["stage"]) == (True, "waiting")
    with http.stream("GET", "/v1/events", headers={"Last-Event-ID": str(second)}) as stream:
        lines = stream.iter_lines()
        assert ": still here" in (next(lines) for _ in range(6))  # nothing new: a heartbeat
        with shop.client() as register:
            register.post("/v1/sales/R1/cancellation")
        (third, screen), *_ = events_of(lines, 1)
        assert (third > second, screen["code"]) == (True, "cancelled")
    with http.stream("GET", "/v1/events", headers={"Last-Event-ID": "999999"}) as stream:
        assert events_of(stream.iter_lines(), 1)[0][0] == third  # ids of an earlier run


def test_streams_are_few_and_end_with_the_server(shop):
    clients = [shop.client() for _ in range(STREAMS_MAX + 1)]
    opened = []
    for client in clients[:-1]:
        stream = client.send(client.build_request("GET", "/v1/events"), stream=True)
        assert stream.status_code == 200
        events_of(stream.iter_lines(), 1)
        opened.append(stream)
    problem(clients[-1].get("/v1/events"), 503, "streams_full")
    shop.server.stop()
    for stream in opened:
        stream.close()
    for client in clients:
        client.close()


def test_a_torn_sale_set_aside_is_not_called_cancelled(shop, http):
    shop.acceptor.accidents.append(torn)
    http.post("/v1/sales", json=SALE)
    shop.counter.insert(lambda command: b"\x6a\x82")
    wait_for_stage(shop.till, Stage.AGAIN)
    told = http.post("/v1/sales/R1/cancellation").json()
    assert (told["state"], told["code"]) == ("unknown", "torn_left")


def test_the_document_knows_every_route(http):
    document = http.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    operations = {
        (path, verb): operation
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    }
    assert {path for path, _ in operations} == {
        "/v1/sales",
        "/v1/sales/{reference}",
        "/v1/sales/{reference}/cancellation",
        "/v1/sales/{reference}/refunds",
        "/v1/sales/{reference}/reversal",
        "/v1/loads",
        "/v1/loads/{reference}",
        "/v1/loads/{reference}/cancellation",
        "/v1/loads/{reference}/pin",
        "/v1/balance",
        "/v1/screen",
        "/v1/events",
        "/v1/status",
        "/v1/page-links",
    }
    for operation in operations.values():
        assert operation["description"]
        assert operation["security"]
        assert "401" in operation["responses"]
    assert "Problem" in document["components"]["schemas"]


def test_a_load_over_http(http, shop, caplog):
    """Goal: started once, asked for its PIN, loaded; and the PIN is in no answer and no log."""
    shop.acceptor.accidents += [wants("load_pin_wanted"), loaded]
    wish = {"reference": "L1", "amount_fen": 2_000, "funding": "cash"}
    started = http.post("/v1/loads", json=wish)
    assert (started.status_code, started.headers["Location"]) == (201, "/v1/loads/L1")
    assert (started.json()["kind"], started.json()["code"]) == ("load", "show_purse")
    early = http.post("/v1/loads/L1/pin", json={"pin": "918273"})
    assert (early.status_code, early.json()["code"]) == (409, "pin_not_wanted")
    shop.counter.insert(deny)
    wait_for(shop.till, lambda screen: screen.code == "load_pin_wanted")
    for bad in ("12", "12a4", "1234567890123"):
        refused = http.post("/v1/loads/L1/pin", json={"pin": bad})
        assert (refused.status_code, refused.json()["code"]) == (422, "fields_invalid")
        assert bad not in refused.text.replace("{4,12}", "")
    taken = http.post("/v1/loads/L1/pin", json={"pin": "918273"})
    assert (taken.status_code, taken.json()["code"]) == (200, "pin_taken")
    assert http.post("/v1/loads/nobody/pin", json={"pin": "918273"}).status_code == 404
    shop.counter.remove()
    shop.counter.insert(deny)
    ended = http.get("/v1/loads/L1", params={"wait_seconds": 10}).json()
    assert (ended["state"], ended["receipt"]["balance_fen"]) == ("loaded", 3_250)
    assert ended["receipt"]["load"] == {
        "load_id": "lod_1",
        "funding": "cash",
        "stage": "confirmed",
        "balance_before_fen": 1_250,
    }
    again = http.post("/v1/loads", json=wish)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    other = http.post("/v1/loads", json={**wish, "funding": "wallet"})
    assert (other.status_code, other.json()["field"]) == (409, "funding")
    assert http.post("/v1/loads/L1/cancellation").status_code == 409
    assert "918273" not in taken.text + caplog.text + str(ended)


def test_the_status_says_what_kind_of_place_it_is(http, shop):
    shop.acceptor.stands_at = Post(Mode.GATE, 300, "exit", (1_000,))
    assert http.get("/v1/status").json()["post"] == {
        "mode": "gate",
        "is_standing": True,
        "fare_fen": 300,
        "direction": "exit",
        "load_amounts_fen": [1_000],
    }
