"""The bank's notices: ours fail closed, and a second word changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from backend.kernel import new_id
from backend.wallet.bank import NoticeRefused, notice_headers
from tests.simulation.books import dump
from tests.simulation.money_world import BANK_CARD, Citizen, World

LATE = 101


@pytest.fixture
def citizen(world: World) -> Citizen:
    return world.citizen()


def later(world: World, seconds: float) -> None:
    world.clock.advance(timedelta(seconds=seconds))


def signed(world: World, body: bytes) -> dict[str, str]:
    return notice_headers("ntc_1", world.clock.now(), body, world.bank.mac)


def notice_body(order_id: str, state: str = "paid", **changes: Any) -> bytes:
    values = {
        "order_id": order_id,
        "state": state,
        "reference": "bnk_1",
        "reason": None,
        "amount_fen": LATE,
        "card_end": BANK_CARD[-4:],
    }
    return json.dumps({**values, **changes}).encode()


def _spoil_signature(headers: dict[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    return {**headers, "webhook-signature": "v1," + "A" * 43 + "="}, body


SPOILT: list[Callable[[dict[str, str], bytes], tuple[dict[str, str], bytes]]] = [
    lambda headers, body: ({}, body),
    lambda headers, body: (
        {name: value for name, value in headers.items() if name != "webhook-signature"},
        body,
    ),
    lambda headers, body: ({**headers, "webhook-signature": ""}, body),
    lambda headers, body: ({**headers, "webhook-signature": "v1,"}, body),
    lambda headers, body: ({**headers, "webhook-signature": "v1,签名"}, body),
    _spoil_signature,
    lambda headers, body: ({**headers, "webhook-id": "ntc_2"}, body),
    lambda headers, body: ({**headers, "webhook-timestamp": "1"}, body),
    lambda headers, body: ({**headers, "webhook-timestamp": "now"}, body),
    lambda headers, body: (headers, body + b" "),
    lambda headers, body: (headers, body.replace(b"paid", b"Paid")),
    lambda headers, body: (headers, b""),
]


def test_a_notice_without_a_fitting_signature_changes_nothing(
    world: World, citizen: Citizen
) -> None:
    asked = world.request_topup(citizen, LATE)
    body = notice_body(asked.topup_id)
    before = dump(world.units)
    for spoil in SPOILT:
        with pytest.raises(NoticeRefused):
            world.topups.receive_notice(*spoil(signed(world, body), body))
    assert dump(world.units) == before
    assert world.balance(citizen) == (0, 0)
    world.topups.receive_notice(signed(world, body), body)  # the unspoilt one is good
    assert world.balance(citizen) == (LATE, LATE)


def test_a_notice_is_good_for_five_minutes(world: World, citizen: Citizen) -> None:
    body = notice_body(world.request_topup(citizen, LATE).topup_id)
    headers = signed(world, body)
    before = dump(world.units)
    later(world, 301)
    with pytest.raises(NoticeRefused):
        world.topups.receive_notice(headers, body)
    world.clock.advance(timedelta(seconds=-602))
    with pytest.raises(NoticeRefused):
        world.topups.receive_notice(headers, body)
    assert dump(world.units) == before
    world.clock.advance(timedelta(seconds=2))
    world.topups.receive_notice(headers, body)
    assert world.balance(citizen) == (LATE, LATE)


def test_two_signatures_are_compared_both(world: World, citizen: Citizen) -> None:
    """Goal: while the bank rotates its secret it signs with the old and the new one."""
    body = notice_body(world.request_topup(citizen, LATE).topup_id)
    headers = signed(world, body)
    headers["webhook-signature"] = f"v1,{'A' * 43}= {headers['webhook-signature']}"
    world.topups.receive_notice(headers, body)
    assert world.balance(citizen) == (LATE, LATE)


BAD_BODIES = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"\xff",
    b'{"order_id":',
    b"[" * 20_000,
    notice_body("top_1"),
    notice_body("wal_01h455vb4pex5vsknk084sn02q"),
    notice_body("\u0000"),
    notice_body("top_01h455vb4pex5vsknk084sn02q", "stolen"),
    notice_body("top_01h455vb4pex5vsknk084sn02q", reference={"a": 1}),
    notice_body("top_01h455vb4pex5vsknk084sn02q", reference="x" * 65),
    notice_body("top_01h455vb4pex5vsknk084sn02q", reason="x" * 41),
    notice_body("top_01h455vb4pex5vsknk084sn02q", reason="\u0000"),
    notice_body("top_01h455vb4pex5vsknk084sn02q", amount_fen=None),
    notice_body("top_01h455vb4pex5vsknk084sn02q", amount_fen="101"),
    notice_body("top_01h455vb4pex5vsknk084sn02q", amount_fen=101.0),
    notice_body("top_01h455vb4pex5vsknk084sn02q", amount_fen=0),
    notice_body("top_01h455vb4pex5vsknk084sn02q", card_end=None),
    notice_body("top_01h455vb4pex5vsknk084sn02q", card_end="12345"),
    notice_body("top_01h455vb4pex5vsknk084sn02q", booked_on="today"),
]


def test_a_signed_notice_of_another_form_is_refused(world: World) -> None:
    before = dump(world.units)
    for body in BAD_BODIES:
        with pytest.raises(NoticeRefused):
            world.topups.receive_notice(signed(world, body), body)
    assert dump(world.units) == before


@pytest.mark.parametrize("state", ["paid", "declined", "processing", "unknown"])
def test_a_notice_for_an_order_nobody_made_changes_nothing(world: World, state: str) -> None:
    before = dump(world.units)
    body = notice_body(new_id("top"), state)
    world.topups.receive_notice(signed(world, body), body)
    assert dump(world.units) == before


@pytest.mark.parametrize("state", ["processing", "unknown"])
def test_a_notice_that_says_nothing_settles_nothing(
    world: World, citizen: Citizen, state: str
) -> None:
    asked = world.request_topup(citizen, LATE)
    before = dump(world.units)
    body = notice_body(asked.topup_id, state)
    world.topups.receive_notice(signed(world, body), body)
    assert dump(world.units) == before


@pytest.mark.parametrize(
    ("first", "second"), [("paid", "declined"), ("declined", "paid"), ("paid", "paid")]
)
def test_a_second_word_of_the_bank_changes_nothing(
    world: World, citizen: Citizen, first: str, second: str
) -> None:
    asked = world.request_topup(citizen, LATE)
    bodies = [notice_body(asked.topup_id, first), notice_body(asked.topup_id, second)]
    world.topups.receive_notice(signed(world, bodies[0]), bodies[0])
    but = ("answer", "match_case", "match_day")  # a contradiction is a case: test_topup_cases.py
    before = dump(world.units, but=but)
    world.topups.receive_notice(signed(world, bodies[1]), bodies[1])
    assert dump(world.units, but=but) == before
    credited = LATE if first == "paid" else 0
    assert world.balance(citizen) == (credited, credited)
