"""圈存 against a chip in software: paid once, written or returned, never both."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from load_bench import ask, begin, credit, wanted
from offline_world import PURSE, Box, Offline, join_offline

from backend.cards import PurseEvent, PurseMismatch, PurseNotActive, PurseUnknown
from backend.db import Units
from backend.kernel import DomainError, ManualClock
from backend.keys import SoftwareKeys
from backend.payments.purses.loads import Loads
from backend.payments.purses.model import (
    BeginLoad,
    Cash,
    Evidence,
    Init,
    LoadExists,
    LoadingAgentOnly,
    LoadMacInvalid,
    LoadNotProved,
    LoadTacInvalid,
    LoadUnknown,
    LoadView,
)
from backend.payments.purses.settling import CONTRADICTED
from backend.payments.purses.states import LoadState, LoadStateConflict
from backend.virtual_card import AtcSeen
from backend.wallet import CeilingExceeded, InsufficientFunds
from card_protocol.epurse.suites import DES3, SM4_SUITE
from card_protocol.epurse.transactions import Load, load_session_key
from tests.hce.epurse_bench import MONEY_KEY, TERMINAL, Refusal, bench
from tests.simulation.money_world import Citizen, operation


@pytest.fixture
def offline(units: Units, keys: SoftwareKeys, clock: ManualClock, tmp_path: Path) -> Offline:
    made = join_offline(units, keys, clock, tmp_path)
    made.register()
    return made


@pytest.fixture
def box(offline: Offline) -> Box:
    return offline.box()


@pytest.fixture
def citizen(offline: Offline) -> Citizen:
    return offline.world.citizen(10_000)


@pytest.mark.parametrize("suite", [DES3, SM4_SUITE], ids=["3des", "sm4"])
def test_a_load_reaches_the_chip(
    units: Units, keys: SoftwareKeys, clock: ManualClock, tmp_path: Path, suite: Any
) -> None:
    """Goal: card and host agree on every MAC; the money is in one place at every moment."""
    offline = join_offline(units, keys, clock, tmp_path)
    offline.register(suite=suite.algorithm)
    box, citizen, chip = offline.box(), offline.world.citizen(10_000), bench(suite)
    load = begin(offline, box, citizen, chip, 3_000)
    assert offline.world.balance(citizen) == (7_000, 7_000)
    assert offline.balance_fen(f"load:{load.load_id}") == 3_000
    figures = offline.books.figures(PURSE)
    assert (figures.chip_fen, figures.book_fen, figures.in_transit_fen) == (5_000, 0, 3_000)
    tac = credit(chip, load)
    done = offline.loads.written(box.facts.terminal_id, load.load_id, tac, operation())
    assert (done.state, done.told_by, done.mac2) == (LoadState.WRITTEN, "tac", None)
    again = offline.loads.written(box.facts.terminal_id, load.load_id, tac, operation())
    assert again == done
    figures = offline.books.figures(PURSE)
    assert (figures.chip_fen, figures.book_fen, figures.in_transit_fen) == (8_000, 3_000, 0)
    assert chip.state.balance_fen == 8_000


def test_the_same_id_is_the_same_load(offline: Offline, box: Box, citizen: Citizen) -> None:
    chip = bench()
    command = wanted(box, ask(chip, 500), 500, citizen.card.tap(box.facts, 500))
    first = offline.loads.begin(command, operation())
    assert offline.loads.begin(command, operation()) == first
    assert offline.world.balance(citizen) == (9_500, 9_500)
    with pytest.raises(LoadExists):
        offline.loads.begin(replace(command, amount_fen=501), operation())
    other = wanted(box, ask(chip, 500), 500, command.source)
    with pytest.raises(AtcSeen):
        offline.loads.begin(other, operation())


def test_torn_before_the_chip_worked_the_money_comes_back(
    offline: Offline, box: Box, citizen: Citizen
) -> None:
    chip = bench()
    load = begin(offline, box, citizen, chip, 500)
    chip.restart()
    chip.select()
    evidence = Evidence(700, TERMINAL, ask(chip, 700))
    told = offline.loads.returned(box.facts.terminal_id, load.load_id, evidence, operation())
    assert (told.state, told.told_by) == (LoadState.RETURNED, "same_counter")
    assert offline.world.balance(citizen) == (10_000, 10_000)
    assert offline.balance_fen(f"load:{load.load_id}") == 0
    again = offline.loads.returned(box.facts.terminal_id, load.load_id, evidence, operation())
    assert again == told
    with pytest.raises(Refusal):  # the session of the old MAC2 is gone
        credit(chip, load)


def test_torn_after_the_chip_worked_it_is_written(
    offline: Offline, box: Box, citizen: Citizen
) -> None:
    chip = bench()
    load = begin(offline, box, citizen, chip, 500)
    credit(chip, load)  # and the answer is lost
    chip.restart()
    chip.select()
    evidence = Evidence(700, TERMINAL, ask(chip, 700))
    told = offline.loads.returned(box.facts.terminal_id, load.load_id, evidence, operation())
    assert (told.state, told.told_by) == (LoadState.WRITTEN, "next_counter")
    assert offline.world.balance(citizen) == (9_500, 9_500)
    assert offline.balance_fen(f"epurse:{PURSE}") == 500


@pytest.mark.parametrize("is_written", [False, True])
def test_the_next_load_settles_the_one_before(
    offline: Offline, box: Box, citizen: Citizen, is_written: bool
) -> None:
    """Goal: nobody has to ask: at any terminal, the chip's own counter tells."""
    chip = bench()
    first = begin(offline, box, citizen, chip, 500)
    if is_written:
        credit(chip, first)
    elsewhere = offline.box()
    second = begin(offline, elsewhere, citizen, chip, 700)
    known = offline.loads.get(box.facts.terminal_id, first.load_id)
    assert known.state is (LoadState.WRITTEN if is_written else LoadState.RETURNED)
    assert offline.world.balance(citizen)[0] == (8_800 if is_written else 9_300)
    tac = credit(chip, second)
    offline.loads.written(elsewhere.facts.terminal_id, second.load_id, tac, operation())
    assert offline.books.figures(PURSE).book_fen == (1_200 if is_written else 700)


def test_a_chip_that_has_what_was_returned_is_told_and_moves_nothing(
    offline: Offline, box: Box, citizen: Citizen
) -> None:
    """Goal: an INITIALIZE kept aside before CREDIT lies about it; the chip's TAC gives it away."""
    chip = bench()
    aside = ask(chip, 700)
    load = begin(offline, box, citizen, chip, 500)
    tac = credit(chip, load)
    evidence = Evidence(700, TERMINAL, aside)
    offline.loads.returned(box.facts.terminal_id, load.load_id, evidence, operation())
    for _ in range(2):
        with pytest.raises(LoadStateConflict):
            offline.loads.written(box.facts.terminal_id, load.load_id, tac, operation())
    assert offline.loads.get(box.facts.terminal_id, load.load_id).is_contradicted
    assert offline.told(CONTRADICTED) == 1
    assert offline.world.balance(citizen) == (10_000, 10_000)
    assert offline.balance_fen(f"epurse:{PURSE}") == 0


def test_a_counter_nobody_here_knows_of_stops_loads(
    offline: Offline, box: Box, citizen: Citizen
) -> None:
    chip = bench()
    aside = ask(chip, 700)
    load = begin(offline, box, citizen, chip, 500)
    credit(chip, load)
    evidence = Evidence(700, TERMINAL, aside)
    offline.loads.returned(box.facts.terminal_id, load.load_id, evidence, operation())
    with pytest.raises(LoadNotProved):
        begin(offline, box, citizen, chip, 900)
    assert offline.told(CONTRADICTED) == 1
    assert offline.world.balance(citizen) == (10_000, 10_000)


def test_false_words_of_a_chip_are_refused(offline: Offline, box: Box, citizen: Citizen) -> None:
    chip = bench()
    init = ask(chip, 500)
    tap = citizen.card.tap(box.facts, 500)
    lies: list[tuple[type[Exception], dict[str, Any]]] = [
        (LoadMacInvalid, {"init": replace(init, mac1=bytes(4))}),
        (LoadMacInvalid, {"init": replace(init, old_balance_fen=1)}),
        (LoadMacInvalid, {"init": replace(init, load_counter=9)}),
        (LoadMacInvalid, {"sam_number": bytes(6)}),
        (PurseMismatch, {"init": replace(init, suite=4)}),
        (PurseUnknown, {"purse_number": "0" * 20}),
    ]
    for refusal, lie in lies:
        with pytest.raises(refusal):
            offline.loads.begin(wanted(box, init, 500, tap, **lie), operation())
    load = offline.loads.begin(wanted(box, init, 500, tap), operation())
    with pytest.raises(LoadTacInvalid):
        offline.loads.written(box.facts.terminal_id, load.load_id, bytes(4), operation())
    false = Evidence(500, TERMINAL, replace(init, mac1=bytes(4)))
    with pytest.raises(LoadMacInvalid):
        offline.loads.returned(box.facts.terminal_id, load.load_id, false, operation())
    with pytest.raises(LoadUnknown):
        offline.loads.get(offline.box().facts.terminal_id, load.load_id)
    assert offline.loads.get(box.facts.terminal_id, load.load_id).state is LoadState.BEGUN


def test_a_stopped_purse_takes_no_load(offline: Offline, box: Box, citizen: Citizen) -> None:
    offline.change(PurseEvent.SUSPEND)
    with pytest.raises(PurseNotActive):
        begin(offline, box, citizen, bench(), 500)
    assert offline.world.balance(citizen) == (10_000, 10_000)


def test_an_empty_wallet_and_a_full_purse_refuse(
    offline: Offline, box: Box, citizen: Citizen
) -> None:
    with pytest.raises(InsufficientFunds):
        begin(offline, box, citizen, bench(), 10_001)
    random = bytes.fromhex("01020304")  # a chip with higher limits than the city's
    session_key = load_session_key(DES3, MONEY_KEY, random, 3)
    mac1 = Load(500, TERMINAL).mac1(DES3, session_key, 99_600)
    init = Init(99_600, 3, 1, DES3.algorithm, random, mac1)
    with pytest.raises(CeilingExceeded):  # 1 000 元 on a card without a name
        offline.loads.begin(wanted(box, init, 500, citizen.card.tap(box.facts, 500)), operation())
    assert offline.world.balance(citizen) == (10_000, 10_000)


def test_cash_is_taken_by_loading_agents_alone(
    offline: Offline, box: Box, clock: ManualClock
) -> None:
    chip = bench()
    with pytest.raises(LoadingAgentOnly):
        offline.loads.begin(wanted(box, ask(chip, 500), 500, Cash()), operation())
    loads: Loads = replace(offline.loads, agents=frozenset({box.facts.merchant_id}))
    load = loads.begin(wanted(box, ask(chip, 500), 500, Cash()), operation())
    assert offline.hot_fen("channel:counter_cash") == 500
    chip.restart()
    chip.select()
    clock.advance(timedelta(minutes=1))
    evidence = Evidence(500, TERMINAL, ask(chip, 500))
    loads.returned(box.facts.terminal_id, load.load_id, evidence, operation())
    assert offline.hot_fen("channel:counter_cash") == 0


def test_one_chip_asked_for_by_many_at_once_is_loaded_once(
    offline: Offline, box: Box, citizen: Citizen
) -> None:
    """Goal: at every moment at most one load of a chip is under way, and none is lost."""
    chip = bench()
    tills = [offline.box() for _ in range(4)]
    inits = [ask(chip, 500) for _ in tills]  # the last one is the chip's session
    commands = [
        wanted(till, init, 500, citizen.card.tap(till.facts, 500))
        for till, init in zip(tills, inits, strict=True)
    ]
    with ThreadPoolExecutor(len(commands)) as pool:
        loads = list(pool.map(lambda one: begin_again(offline, one), commands, timeout=60))
    known = [
        offline.loads.get(till.facts.terminal_id, load.load_id).state
        for till, load in zip(tills, loads, strict=True)
    ]
    assert sorted(one.value for one in known) == ["begun", "returned", "returned", "returned"]
    assert offline.world.balance(citizen) == (9_500, 9_500)
    assert offline.books.figures(PURSE).in_transit_fen == 500


def begin_again(offline: Offline, command: BeginLoad) -> LoadView:
    """As a terminal does: a refusal that may pass is asked again."""
    for _ in range(20):
        try:
            return offline.loads.begin(command, operation())
        except DomainError as refusal:
            if refusal.code != "concurrent_change":
                raise
    raise AssertionError("busy for twenty times")
