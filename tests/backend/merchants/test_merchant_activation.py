"""Activation: a short code turns a box into a terminal, once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from merchant_world import World, ordered_code
from sqlalchemy import select

from backend.db import Units, Which
from backend.kernel import new_id
from backend.merchants import (
    Activate,
    ActivationCodeExpired,
    ActivationCodeUnknown,
    ActivationCodeUsed,
    AddClient,
    AssertionInvalid,
    ChangeClient,
    ClientKind,
    Event,
    State,
    TerminalNotActive,
    TerminalTransitionRefused,
    TerminalUnknown,
    tables,
)


def new_key() -> ec.EllipticCurvePublicKey:
    return ec.generate_private_key(ec.SECP256R1()).public_key()


def test_a_terminal_is_activated_and_hears_who_it_is(world: World) -> None:
    terminal_id, code = ordered_code(world)
    told = world.activations.activate(Activate(code.lower().replace("-", ""), new_key(), "till"))
    facts = world.merchants.vouch_for_terminal(terminal_id)
    assert told.client_id == facts.terminal_id == terminal_id
    assert told.kind is ClientKind.TERMINAL
    assert (told.merchant_name, told.shop_name) == ("城东超市", "一号店")
    assert told.terminal_number == facts.terminal_number
    assert len(facts.terminal_number) == 8
    assert told.merchant_number == facts.merchant_number
    assert world.merchants.get_client(terminal_id).state is State.ACTIVE


def test_a_merchant_server_has_no_shop(world: World) -> None:
    client_id = new_id("mcl")
    ordered = world.merchants.add_client(AddClient(client_id, world.merchant_id, "web"))
    told = world.activations.activate(Activate(ordered.activation_code, new_key(), "web"))
    assert told.kind is ClientKind.MERCHANT
    assert (told.shop_id, told.shop_name, told.terminal_number) == (None, None, None)
    assert told.merchant_id == world.merchant_id
    with pytest.raises(TerminalUnknown):  # a server is no terminal
        world.merchants.vouch_for_terminal(client_id)


def test_same_code_same_key_same_answer_other_key_is_refused(world: World) -> None:
    _, code = ordered_code(world)
    key = new_key()
    first = world.activations.activate(Activate(code, key, "till"))
    world.clock.advance(timedelta(days=3))  # the repeat may come late
    assert world.activations.activate(Activate(code, key, "till")) == first
    with pytest.raises(ActivationCodeUsed):
        world.activations.activate(Activate(code, new_key(), "till"))


def test_of_two_devices_with_one_code_one_gets_in(world: World) -> None:
    _, code = ordered_code(world)

    def attempt(key: ec.EllipticCurvePublicKey) -> str:
        try:
            return world.activations.activate(Activate(code, key, "till")).client_id
        except ActivationCodeUsed:
            return "used"

    with ThreadPoolExecutor(4) as pool:
        heard = list(pool.map(attempt, [new_key() for _ in range(4)]))
    assert heard.count("used") == 3


def test_unknown_expired_and_replaced_codes_are_refused(world: World) -> None:
    with pytest.raises(ActivationCodeUnknown):
        world.activations.activate(Activate("2222-2222", new_key(), "till"))
    terminal_id, code = ordered_code(world)
    world.clock.advance(timedelta(hours=23, minutes=59))
    fresh = world.merchants.issue_activation_code(terminal_id).activation_code
    assert fresh != code
    with pytest.raises(ActivationCodeExpired):
        world.activations.activate(Activate(code, new_key(), "till"))
    world.clock.advance(timedelta(hours=24))
    with pytest.raises(ActivationCodeExpired):
        world.activations.activate(Activate(fresh, new_key(), "till"))
    assert world.merchants.get_client(terminal_id).state is State.ORDERED


def test_a_broken_till_is_replaced_with_a_new_code(world: World) -> None:
    terminal_id, old = world.terminal()
    code = world.merchants.issue_activation_code(terminal_id).activation_code
    new = world.activated(code)
    assert world.logins.log_in(world.assertion(terminal_id, new)).scope == "terminal"
    with pytest.raises(AssertionInvalid):
        world.logins.log_in(world.assertion(terminal_id, old))


def test_suspended_and_closed_terminals_are_not_activated(world: World) -> None:
    terminal_id, _ = world.terminal()
    code = world.merchants.issue_activation_code(terminal_id).activation_code
    world.merchants.change_client(ChangeClient(terminal_id, Event.SUSPEND))
    with pytest.raises(TerminalTransitionRefused):
        world.activations.activate(Activate(code, new_key(), "till"))
    with pytest.raises(TerminalTransitionRefused):
        world.merchants.issue_activation_code(terminal_id)
    with pytest.raises(TerminalNotActive) as refused:
        world.merchants.vouch_for_terminal(terminal_id)
    assert refused.value.data == {"state": "suspended"}
    world.merchants.change_client(ChangeClient(terminal_id, Event.RESUME))
    assert world.merchants.vouch_for_terminal(terminal_id).terminal_id == terminal_id


def test_no_row_anywhere_holds_an_activation_code(world: World, units: Units) -> None:
    _, code = ordered_code(world)
    with units.read(Which.BUSINESS) as work:
        for name in ("activation_code", "answer", "outbox", "merchant_client"):
            rows = work.execute(select(tables.merchant.metadata.tables[name])).all()
            assert code not in str(rows)
            assert code.replace("-", "") not in str(rows)
