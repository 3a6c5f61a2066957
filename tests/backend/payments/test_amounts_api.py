"""What is no amount: in every amount field a problem for its sender, never a fault of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from backend.kernel import AMOUNT_MAX_FEN, new_id
from tests.simulation.books import dump
from tests.simulation.money_world import BANK_CARD
from tests.simulation.net import Net, problem

VALUES: list[Any] = [
    *(0, -1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30),
    *(1.0, 1.5, 1.005, 1e15, 0.1),
    *("1", "1.005", "", " 1", "１２", "1元", "NaN", "1e2", "9" * 400),
    *(True, False, None, [], [1], {}, {"amount_fen": 1}),
]
LITERALS = [
    *("1e309", "-1e309", "1e2", "1E2", "1.0", "1.005", "1e-400", "100.0000000000000000000001"),
    *("NaN", "Infinity", "-Infinity", "nan", "inf", "-0", "-0.0", "+1", "01", "0x10", "1_000"),
    *(
        "１００",
        "1００",
        "٣",
        "一百",
        "9" * 4_299,
        "9" * 4_301,
        "0." + "9" * 5_000,
        "1" + "0" * 310,
    ),
]
MILLION_DIGITS = "9" * 1_000_000


class Field(NamedTuple):
    """A request with an amount in it: who sends it, where, and the body around it."""

    who: dict[str, str]
    path: str
    body: dict[str, Any]
    may_be_absent: bool = False


def fields(net: Net, paid: str, held: str, link: str) -> Iterator[Field]:
    """Every amount a client may send, in a body that is right but for it."""
    till, me = "/v1/terminal/payments", "/v1/me"
    mine = {"wallet_id": net.citizen.wallet_id}
    yield Field(net.terminal, till, net.sale(500))
    yield Field(net.terminal, till, net.sale(500, capture=False))
    yield Field(net.terminal, f"{till}/{held}/capture", {}, may_be_absent=True)
    refund = {"refund_id": new_id("ref"), "reason": ""}
    yield Field(net.terminal, f"{till}/{paid}/refunds", refund)
    yield Field(net.server, f"/v1/merchant/payments/{paid}/refunds", refund)
    code = {**mine, "payment_id": new_id("pay"), "merchant_code": link}
    yield Field(net.person, f"{me}/payments", code)
    topup = {**mine, "topup_id": new_id("top"), "bank_card": BANK_CARD}
    yield Field(net.person, f"{me}/topups", topup)
    bill = {"bill_number": "B9"}
    yield Field(net.terminal, "/v1/terminal/codes", bill, may_be_absent=True)


@pytest.fixture
def asked(net: Net) -> list[Field]:
    paid = net.sell(100)["payment_id"]
    held = net.sell(100, capture=False)["payment_id"]
    link = net.world.codes.make_for_shop(net.till.shop_id).content
    return list(fields(net, paid, held, link))


def test_the_bodies_around_the_amount_are_right(net: Net, asked: list[Field]) -> None:
    """With a real amount each of them is accepted: it is the amount that is refused below."""
    for one in asked:
        fen = 1 if "refund_id" in one.body else 100
        answer = net.call(one.who, "POST", one.path, {**one.body, "amount_fen": fen})
        ok = answer.status_code < 300
        tap_is_for_another = answer.get_json().get("code") == "tap_mismatch"
        assert ok or tap_is_for_another, (one.path, answer.text)


def test_what_is_no_amount_is_named_and_changes_nothing(net: Net, asked: list[Field]) -> None:
    before = dump(net.parts.units)
    for value in VALUES:
        for one in asked:
            if value is None and one.may_be_absent:
                continue
            answer = net.call(one.who, "POST", one.path, {**one.body, "amount_fen": value})
            said = problem(answer, 422, "fields_invalid")
            assert list(said["errors"]) == ["amount_fen"], (one.path, value)
    assert dump(net.parts.units) == before


def raw(net: Net, one: Field, literal: str) -> Any:
    """The body with this text in the amount's place, whatever JSON says to it."""
    body = json.dumps({**one.body, "amount_fen": 0}, ensure_ascii=False)
    assert body.count('"amount_fen": 0') == 1
    sent = body.replace('"amount_fen": 0', f'"amount_fen": {literal}').encode()
    return net.call(one.who, "POST", one.path, raw=sent)


def test_no_way_to_write_a_number_gets_through(net: Net, asked: list[Field]) -> None:
    before = dump(net.parts.units)
    for literal in LITERALS:
        for one in asked:
            answer = raw(net, one, literal)
            said = answer.get_json()
            about = (one.path, literal[:40], answer.text[:200])
            assert answer.content_type == "application/problem+json", about
            assert said["code"] in ("body_malformed", "fields_invalid"), about
            assert answer.status_code in (400, 422), about
    assert dump(net.parts.units) == before


def test_a_million_digits_are_refused_before_they_are_counted(net: Net, asked: list[Field]) -> None:
    before = dump(net.parts.units)
    for one in asked:
        for literal in (MILLION_DIGITS, f'"{MILLION_DIGITS}"', f"-{MILLION_DIGITS}"):
            answer = raw(net, one, literal)
            assert answer.status_code in (400, 413, 422), (one.path, answer.text[:200])
            assert answer.content_type == "application/problem+json"
            assert len(answer.data) < 2_000, "the problem does not repeat them"
    assert dump(net.parts.units) == before


def test_the_largest_amount_is_an_amount(net: Net, asked: list[Field]) -> None:
    """Goal: the form's edge is where amounts end, not before: here the wallet says no."""
    for one in asked:
        answer = net.call(one.who, "POST", one.path, {**one.body, "amount_fen": AMOUNT_MAX_FEN})
        assert answer.get_json().get("code") != "fields_invalid", one.path
        assert answer.status_code in (201, 402, 409), answer.text
