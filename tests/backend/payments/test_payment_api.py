"""The public network as tills and citizens meet it: every bad input gets its problem."""

from __future__ import annotations

from typing import Any

from backend.kernel import new_id
from backend.merchants import MakeCode
from backend.web import CallerKind
from tests.simulation.books import dump
from tests.simulation.money_world import operation
from tests.simulation.net import Net, problem

# --- other fields -------------------------------------------------------------------------------


def test_every_other_field_is_checked_too(net: Net) -> None:
    before = dump(net.parts.units)
    good_tap = net.sale()["proof"]
    cases: list[tuple[str, dict[str, Any]]] = [
        ("payment_id", {"payment_id": "pay_1"}),
        ("payment_id", {"payment_id": new_id("ref")}),
        ("payment_id", {"payment_id": None}),
        ("terminal_counter", {"terminal_counter": 0}),
        ("terminal_counter", {"terminal_counter": 2**53 + 1}),
        ("terminal_counter", {"terminal_counter": "1"}),
        ("capture", {"capture": "yes"}),
        ("capture", {"capture": None}),
        ("proof", {"proof": None}),
        ("proof.kind", {"proof": {"kind": "cash"}}),
        ("proof.kind", {"proof": {}}),
        ("proof.content", {"proof": {"kind": "pay_code"}}),
        ("proof.gpo_response", {"proof": {"kind": "tap", "pdol_data": "AA"}}),
        ("proof.pdol_data", {"proof": {**good_tap, "pdol_data": "A=="}}),
        ("proof.pdol_data", {"proof": {**good_tap, "pdol_data": "+/"}}),
        ("register_reference", {"register_reference": ""}),
        ("register_reference", {"register_reference": "x" * 65}),
        ("register_reference", {"register_reference": "a\nb"}),
        ("tip_fen", {"tip_fen": 1}),
    ]
    for field, change in cases:
        answer = net.call(net.terminal, "POST", "/v1/terminal/payments", net.sale(**change))
        assert field in problem(answer, 422, "fields_invalid")["errors"], change
    assert dump(net.parts.units) == before


def test_a_reason_is_plain_text(net: Net) -> None:
    paid = net.sell(100)["payment_id"]
    path = f"/v1/terminal/payments/{paid}/refunds"
    for reason in ("a\nb", "\u007f", "x" * 121, None, 5):
        body = {"refund_id": new_id("ref"), "amount_fen": 1, "reason": reason}
        answer = net.call(net.terminal, "POST", path, body)
        assert list(problem(answer, 422, "fields_invalid")["errors"]) == ["reason"]
    for reason in ("\u0000", "\ud800"):  # what no database keeps ends at the edge
        body = {"refund_id": new_id("ref"), "amount_fen": 1, "reason": reason}
        answer = net.call(net.terminal, "POST", path, body)
        assert answer.status_code in (400, 422), answer.text
        assert answer.content_type == "application/problem+json"
    body = {"refund_id": new_id("ref"), "amount_fen": 1, "reason": "商品损坏 😀"}
    assert net.call(net.terminal, "POST", path, body).status_code == 201


def test_a_path_with_no_id_in_it_is_no_fault_of_ours(net: Net) -> None:
    for payment_id in ["x", "pay_%01", "pay_" + "0" * 400, "%E6%94%AF", "%ff"]:
        before = dump(net.parts.units)
        path = f"/v1/terminal/payments/{payment_id}"
        problem(net.call(net.terminal, "GET", path), 404, "payment_unknown")
        problem(
            net.call(net.person, "GET", f"/v1/me/payments/{payment_id}"), 404, "payment_unknown"
        )
        problem(net.call(net.person, "GET", f"/v1/me/topups/{payment_id}"), 404, "topup_unknown")
        problem(net.call(net.terminal, "POST", f"{path}/reversal", {}), 422, "id_invalid")
        problem(net.call(net.terminal, "POST", f"{path}/void", {}), 404, "payment_unknown")
        problem(net.call(net.terminal, "POST", f"{path}/capture", {}), 404, "payment_unknown")
        refund = {"refund_id": new_id("ref"), "amount_fen": 1, "reason": ""}
        answer = net.call(net.terminal, "POST", f"{path}/refunds", refund)
        problem(answer, 404, "payment_unknown")
        assert dump(net.parts.units) == before


def test_a_bill_number_is_letters_and_digits(net: Net) -> None:
    for number in ["", "%0a", "a" * 26, "B 1", "%EF%BC%91"]:
        answer = net.call(net.terminal, "GET", f"/v1/terminal/payments?bill_number={number}")
        problem(answer, 422, "fields_invalid")


# --- safe retries -------------------------------------------------------------------------------


def test_a_lost_answer_is_heard_again_to_the_byte(net: Net) -> None:
    body = net.sale(500)
    first = net.call(net.terminal, "POST", "/v1/terminal/payments", body, key="till-1")
    assert first.status_code == 201
    assert "Idempotent-Replayed" not in first.headers
    before = dump(net.parts.units, but=())
    again = net.call(net.terminal, "POST", "/v1/terminal/payments", body, key="till-1")
    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert dump(net.parts.units, but=()) == before
    changed = {**body, "amount_fen": 501, "register_reference": "R"}
    answer = net.call(net.terminal, "POST", "/v1/terminal/payments", changed, key="till-1")
    conflict = problem(answer, 409, "idempotency_conflict")
    assert conflict["fields"] == "amount_fen, register_reference"
    assert dump(net.parts.units, but=()) == before


def test_a_refusal_is_heard_again_and_in_the_callers_language(net: Net) -> None:
    said = {}
    for language in ("zh-CN", "en"):
        body = net.sale(10_001)
        args = (net.terminal, "POST", "/v1/terminal/payments", body)
        first = net.call(*args, key=f"r-{language}", language=language)
        said[language] = problem(first, 402, "insufficient_funds")
        again = net.call(*args, key=f"r-{language}", language=language)
        assert again.data == first.data
        assert again.headers["Idempotent-Replayed"] == "true"
    for body in said.values():
        assert (body["balance_fen"], body["short_by_fen"]) == (10_000, 1)
    assert said["zh-CN"]["title"] == "余额不足"
    assert "100.00" in said["zh-CN"]["detail"]
    assert said["en"]["title"] == "Insufficient funds"
    assert "0.01 yuan short" in said["en"]["detail"]


def test_a_command_without_a_fitting_key_is_not_carried_out(net: Net) -> None:
    for key in ["", "a b", "x" * 65, "钥"]:
        before = dump(net.parts.units)
        headers = {**net.terminal, "Accept-Language": "en"}
        if key.isascii():
            headers["Idempotency-Key"] = key
        answer = net.app.test_client().post(
            "/v1/terminal/payments", json=net.sale(500), headers=headers
        )
        problem(answer, 422, "idempotency_key_missing")
        assert dump(net.parts.units) == before


# --- who may --------------------------------------------------------------------------------------


def test_each_party_meets_only_its_own(net: Net) -> None:
    paid = net.sell(500)
    path = f"/v1/terminal/payments/{paid['payment_id']}"
    assert net.call(net.terminal, "GET", path).get_json() == paid
    mine = f"/v1/me/payments/{paid['payment_id']}"
    assert net.call(net.person, "GET", mine).get_json() == paid
    theirs = f"/v1/merchant/payments/{paid['payment_id']}"
    seen = net.call(net.server, "GET", theirs).get_json()
    assert "balance_fen" not in seen
    assert seen == {name: value for name, value in paid.items() if name != "balance_fen"}
    unknown = net.call(net.terminal, "GET", f"/v1/terminal/payments/{new_id('pay')}")
    other = net.at(net.world.terminal(net.till.shop_id))
    foreign = net.call(other, "GET", path)
    told = [
        {name: value for name, value in one.get_json().items() if name != "request_id"}
        for one in (unknown, foreign)
    ]
    assert told[0] == told[1]
    problem(net.call(other, "POST", f"{path}/reversal", {}), 404, "payment_unknown")
    somebody = net.bearer(CallerKind.CITIZEN, new_id("per"))
    problem(net.call(somebody, "GET", mine), 404, "payment_unknown")
    problem(net.call(net.person, "GET", path), 403, "access_denied")
    problem(net.call(net.terminal, "GET", theirs), 403, "access_denied")
    problem(net.call({}, "GET", path), 401, "token_missing")


def test_a_day_at_the_till(net: Net) -> None:
    """Goal: the whole life of payments over HTTP, and the statement at its end."""
    held = net.sell(800, capture=False)
    assert (held["state"], held["balance_fen"]) == ("authorised", 9_200)
    base = f"/v1/terminal/payments/{held['payment_id']}"
    done = net.call(net.terminal, "POST", f"{base}/capture", {"amount_fen": 300})
    assert (done.status_code, done.get_json()["captured_fen"]) == (200, 300)
    conflict = net.call(net.terminal, "POST", f"{base}/void", {})
    problem(conflict, 409, "payment_state_conflict")
    back = net.call(
        net.terminal,
        "POST",
        f"{base}/refunds",
        {"refund_id": new_id("ref"), "amount_fen": 100, "reason": "坏了"},
    )
    assert (back.status_code, back.get_json()["remaining_fen"]) == (201, 200)
    made = net.parts.merchant_codes.make_for_terminal(
        MakeCode(net.till.terminal_id, "B77", 250), operation()
    )
    link = {
        "payment_id": new_id("pay"),
        "wallet_id": net.citizen.wallet_id,
        "merchant_code": made.content,
        "amount_fen": 250,
    }
    assert net.call(net.person, "POST", "/v1/me/payments", link).status_code == 201
    bill = net.call(net.terminal, "GET", "/v1/terminal/payments?bill_number=B77").get_json()
    assert [one["payment_id"] for one in bill["data"]] == [link["payment_id"]]
    page = net.call(net.server, "GET", "/v1/merchant/statements/2026-11-23?limit=2").get_json()
    assert page["totals"] == {
        "payments_count": 2,
        "payments_fen": 550,
        "refunds_count": 1,
        "refunds_fen": 100,
        "net_fen": 450,
    }
    assert [one["amount_fen"] for one in page["data"]] == [250, -100]
    rest = net.call(
        net.server, "GET", f"/v1/merchant/statements/2026-11-23?limit=2&after={page['next']}"
    ).get_json()
    assert ([one["amount_fen"] for one in rest["data"]], rest["next"]) == ([300], None)
    for day in ("2026-13-01", "yesterday"):
        assert net.call(net.server, "GET", f"/v1/merchant/statements/{day}").status_code == 404
