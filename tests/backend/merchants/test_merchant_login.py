"""Signed log-in of terminals and servers (RFC 7523)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from merchant_world import World, ordered_code
from sqlalchemy import func, select

from backend.db import Units, Which
from backend.kernel import new_id
from backend.merchants import (
    AssertionInvalid,
    ChangeClient,
    ClientUnknown,
    Event,
    TerminalNotActive,
    tables,
)
from backend.web import CallerKind


def test_terminal_and_server_get_tokens_with_their_context(world: World) -> None:
    terminal_id, key = world.terminal()
    granted = world.logins.log_in(world.assertion(terminal_id, key))
    caller = world.tokens.check(granted.access_token)
    assert (caller.kind, caller.id) == (CallerKind.TERMINAL, terminal_id)
    assert caller.scopes == frozenset({"terminal"})
    assert caller.context["merchant_id"] == world.merchant_id
    assert caller.context["shop_id"] == world.shop_id
    assert len(caller.context["terminal_number"]) == 8
    assert granted.expires_in == 600
    assert granted.access_token not in repr(granted)
    client_id, server_key = world.client()
    caller = world.tokens.check(
        world.logins.log_in(world.assertion(client_id, server_key)).access_token
    )
    assert (caller.kind, caller.scopes) == (CallerKind.MERCHANT, frozenset({"merchant"}))
    assert caller.context == {"merchant_id": world.merchant_id}


def now_and(world: World, seconds: int) -> int:
    return int(world.clock.now().timestamp()) + seconds


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "/v1/elsewhere"},
        {"aud": None},
        {"iss": "trm_other"},
        {"iss": None},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"exp": None},
        {"iat": None},
        {"iat_in": -301, "exp_in": -1},
        {"iat_in": 301, "exp_in": 400},
        {"iat_in": -100, "exp_in": 0},
        {"exp_in": 301},
        {"exp_in": 0},
    ],
    ids=str,
)
def test_assertions_that_do_not_fit_are_refused(world: World, changes: dict[str, Any]) -> None:
    terminal_id, key = world.terminal()
    claims = {
        name.removesuffix("_in"): now_and(world, value) if name.endswith("_in") else value
        for name, value in changes.items()
    }
    with pytest.raises(AssertionInvalid):
        world.logins.log_in(world.assertion(terminal_id, key, **claims))


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "e30.e30.", "x" * 5000, "é"])
def test_what_is_no_jwt_is_refused(world: World, text: str) -> None:
    with pytest.raises(AssertionInvalid):
        world.logins.log_in(text)


def test_an_assertion_works_once_within_its_life(world: World, units: Units) -> None:
    terminal_id, key = world.terminal()
    assertion = world.assertion(terminal_id, key, jti="once")
    world.logins.log_in(assertion)
    with pytest.raises(AssertionInvalid):
        world.logins.log_in(assertion)
    other_id, other_key = world.terminal()
    world.logins.log_in(world.assertion(other_id, other_key, jti="once"))  # theirs is another
    world.clock.advance(timedelta(seconds=301))
    with pytest.raises(AssertionInvalid):
        world.logins.log_in(assertion)
    world.logins.log_in(world.assertion(terminal_id, key, jti="once"))
    with units.read(Which.BUSINESS) as work:
        count = select(func.count()).where(tables.assertion.c.client_id == terminal_id)
        assert work.execute(count).scalar_one() == 1  # what is over is forgotten


def test_one_assertion_shown_twice_at_once_is_granted_once(world: World) -> None:
    terminal_id, key = world.terminal()
    assertion = world.assertion(terminal_id, key)

    def attempt(_: int) -> bool:
        try:
            world.logins.log_in(assertion)
        except AssertionInvalid:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(4))) == 1


def test_unknown_not_activated_foreign_and_suspended_callers_are_refused(world: World) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(ClientUnknown):
        world.logins.log_in(world.assertion(new_id("trm"), key))
    waiting, _ = ordered_code(world)
    with pytest.raises(ClientUnknown):
        world.logins.log_in(world.assertion(waiting, key))
    terminal_id, own = world.terminal()
    with pytest.raises(AssertionInvalid):
        world.logins.log_in(world.assertion(terminal_id, key))
    for event in (Event.SUSPEND, Event.CLOSE):
        world.merchants.change_client(ChangeClient(terminal_id, event))
        with pytest.raises(TerminalNotActive):
            world.logins.log_in(world.assertion(terminal_id, own))
        with pytest.raises(AssertionInvalid):  # only its own key learns the state
            world.logins.log_in(world.assertion(terminal_id, key))
