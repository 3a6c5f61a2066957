"""The registry of purses: who may change what, how a purse stood at a moment, what it computes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import cast

import pytest
from sqlalchemy import select

from backend.cards import (
    PURSE_CHANGED,
    ChangePurse,
    LoadSeed,
    Purse,
    PurseEvent,
    PurseExists,
    PurseFourEyesNeeded,
    PurseKey,
    PurseKeyUnknown,
    PurseMacs,
    Purses,
    PurseStandings,
    PurseState,
    PurseTransitionRefused,
    PurseUnknown,
    RegisterPurse,
)
from backend.cards.model import PurseChange, find_stopped_since
from backend.cards.states import FLOW, advance
from backend.db import Units, Which, business_metadata
from backend.kernel import ManualClock
from backend.keys import KeyRef, Keys, SoftwareKeys
from backend.keys.blocks import SoftwareBlock
from backend.keys.derivations import Derivation, SessionMac, TacMac
from backend.keys.purse import purse_mac
from card_protocol.epurse.transactions import Load, Purchase, TransactionKind
from tests.simulation.money_world import operation

NUMBER, ISSUER = "03105170070104791381", "01011000ffffffff"
REGISTER = RegisterPurse(NUMBER, ISSUER, 0, 1, "main_card", "stf_a")
T0 = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def purses(units: Units) -> Purses:
    return Purses(units)


def change(purses: Purses, event: PurseEvent, staff: str = "stf_a") -> Purse:
    return purses.change(ChangePurse(NUMBER, event, "because", staff), operation())


@pytest.mark.parametrize(("state", "event"), list(product(PurseState, PurseEvent)))
def test_every_pair_is_decided(state: PurseState, event: PurseEvent) -> None:
    if (state, event) in FLOW:
        assert advance(state, event) is FLOW[state, event]
    else:
        with pytest.raises(PurseTransitionRefused):
            advance(state, event)


def test_a_purse_is_registered_once(purses: Purses) -> None:
    made = purses.register(REGISTER, operation())
    assert (made.state, made.issuer_id) == (PurseState.MADE, ISSUER)
    assert purses.register(REGISTER, operation()) == made
    other = RegisterPurse(NUMBER, ISSUER, 4, 1, "main_card", "stf_a")
    with pytest.raises(PurseExists, match="purse_exists"):
        purses.register(other, operation())
    with pytest.raises(PurseUnknown):
        purses.get("0" * 20)
    assert purses.find_all(("x", "0" * 20)) == {}


def test_closing_takes_two(purses: Purses, clock: ManualClock) -> None:
    """Goal: who stops a purse cannot make that final alone."""
    purses.register(REGISTER, operation())
    change(purses, PurseEvent.ACTIVATE)
    change(purses, PurseEvent.SUSPEND)
    with pytest.raises(PurseFourEyesNeeded):
        change(purses, PurseEvent.CLOSE)
    assert change(purses, PurseEvent.CLOSE, "stf_b").state is PurseState.CLOSED
    with pytest.raises(PurseTransitionRefused):
        change(purses, PurseEvent.RELEASE, "stf_b")


def test_what_deny_lists_are_told(purses: Purses, units: Units) -> None:
    """Goal: each change into or out of a stop is told, and nothing else is."""
    outbox = business_metadata.tables["outbox"]

    def told() -> int:
        rows = units.ask(Which.BUSINESS, select(outbox.c.payload, outbox.c.topic))
        assert all(tuple(one) == ({"purse_number": NUMBER}, PURSE_CHANGED) for one in rows)
        return len(rows)

    def is_denied() -> bool:
        with units.read(Which.BUSINESS) as work:
            standing = PurseStandings().find(work, NUMBER)
        assert standing is not None
        assert standing.number == NUMBER
        return standing.is_denied

    purses.register(REGISTER, operation())
    change(purses, PurseEvent.ACTIVATE)
    assert (told(), is_denied()) == (0, False)
    change(purses, PurseEvent.SUSPEND)
    assert (told(), is_denied()) == (1, True)
    change(purses, PurseEvent.RELEASE)
    assert (told(), is_denied()) == (2, False)
    change(purses, PurseEvent.SUSPEND)
    change(purses, PurseEvent.CLOSE, "stf_b")
    assert (told(), is_denied()) == (4, True)


def test_purses_are_paged_by_number(purses: Purses, units: Units) -> None:
    numbers = [f"{place:020d}" for place in range(5)]
    for one in reversed(numbers):
        purses.register(replace(REGISTER, purse_number=one), operation())
    with units.read(Which.BUSINESS) as work:
        standings, after, seen = PurseStandings(), "", []
        while page := standings.page(work, after, 2):
            seen += [one.source_id for one in page]
            after = page[-1].source_id
        assert standings.find(work, NUMBER) is None
    assert seen == numbers


def test_how_a_purse_stood_at_a_moment() -> None:
    states = (
        PurseState.MADE,
        PurseState.ACTIVE,
        PurseState.SUSPENDED,
        PurseState.ACTIVE,
        PurseState.SUSPENDED,
        PurseState.CLOSED,
    )
    lines = [PurseChange(one, T0 + timedelta(hours=n)) for n, one in enumerate(states)]
    asked = [find_stopped_since(lines, T0 + timedelta(hours=n, minutes=1)) for n in range(6)]
    second, fourth = T0 + timedelta(hours=2), T0 + timedelta(hours=4)
    assert asked == [None, None, second, None, fourth, fourth]
    assert find_stopped_since(lines, T0 - timedelta(hours=1)) is None


# --- what the issuer's host computes: published worked examples (design B.1.13) -------------------


class CardKeys:
    """A key service that begins with the card's own key."""

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm

    def derive_and_mac(
        self, ref: KeyRef, how: Derivation, data: bytes, version: int | None = None
    ) -> bytes:
        assert isinstance(how, SessionMac | TacMac)
        assert how.factors == (bytes.fromhex(NUMBER)[-8:],)
        assert (ref.algorithm, version) == (self.algorithm, 1)
        card_key = {"issuer-load": MONEY_KEY, "issuer-tac": TAC_KEY}[ref.purpose]
        return purse_mac(_Diversified(card_key), self.algorithm, how, data)


class _Diversified(SoftwareBlock):
    """Stands for a master whose card key is given."""

    def __init__(self, key: bytes) -> None:
        self._given = key

    def encrypt_blocks(self, blocks: bytes) -> bytes:
        return self._given


MONEY_KEY = bytes.fromhex("11223344556677888877665544332211")
TAC_KEY = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
SAM = bytes.fromhex("001122334455")


@pytest.mark.parametrize(
    ("suite", "algorithm", "tac"), [(0, "3des", "B3A0D49C"), (4, "sm4", "30DF7104")]
)
def test_a_purchases_tac(suite: int, algorithm: str, tac: str) -> None:
    macs = PurseMacs(cast("Keys", CardKeys(algorithm)))
    purchase = Purchase(
        4096, SAM, bytes.fromhex("00000001"), bytes.fromhex("20120229135100"), TransactionKind(6)
    )
    key = PurseKey(NUMBER, ISSUER, suite, 1)
    assert macs.is_purchase_genuine(key, purchase, bytes.fromhex(tac))
    assert not macs.is_purchase_genuine(key, purchase, bytes(4))


@pytest.mark.parametrize(
    ("suite", "algorithm", "mac1", "mac2"),
    [(0, "3des", "A5638AA0", "FDD12AF1"), (4, "sm4", "AE274668", "F83FF331")],
)
def test_a_loads_macs(suite: int, algorithm: str, mac1: str, mac2: str) -> None:
    macs = PurseMacs(cast("Keys", CardKeys(algorithm)))
    load = Load(4096, SAM, bytes.fromhex("20111221214822"))
    key, seed = PurseKey(NUMBER, ISSUER, suite, 1), LoadSeed(bytes.fromhex("11223344"), 0)
    assert macs.is_load_asked(key, load, seed, 0, bytes.fromhex(mac1))
    assert not macs.is_load_asked(key, load, seed, 1, bytes.fromhex(mac1))
    assert macs.load_mac2(key, load, seed).hex().upper() == mac2


def test_a_loads_tac() -> None:
    macs = PurseMacs(cast("Keys", CardKeys("3des")))
    load = Load(4096, SAM, bytes.fromhex("20111221214822"))
    key = PurseKey(NUMBER, ISSUER, 0, 1)
    assert macs.is_load_written(key, load, 4096, 0, bytes.fromhex("422E9358"))
    assert not macs.is_load_written(key, load, 4096, 1, bytes.fromhex("422E9358"))


def test_a_key_nobody_has_is_a_refusal(keys: SoftwareKeys) -> None:
    purchase = Purchase(1, SAM, bytes(4), bytes(7))
    for key in (PurseKey(NUMBER, ISSUER, 0, 200), PurseKey(NUMBER, ISSUER, 9, 1)):
        with pytest.raises(PurseKeyUnknown):
            PurseMacs(keys).is_purchase_genuine(key, purchase, bytes(4))
    two_levels = PurseMacs(keys, levels=2)
    assert not two_levels.is_purchase_genuine(PurseKey(NUMBER, ISSUER, 0, 1), purchase, bytes(4))
