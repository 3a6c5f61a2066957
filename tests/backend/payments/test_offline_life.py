"""Uploads in any order, cut, doubled, by copies: each sale is charged once, the sum is zero."""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from offline_world import PURSE, Chip, Offline, join_offline
from sqlalchemy import event

from backend.db import Databases, Units, Which, open_databases
from backend.kernel import ManualClock
from backend.keys import SoftwareKeys
from backend.payments.offline.model import SaleState, Told
from tests.simulation.books import audit
from tests.support.databases import sqlite_urls

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
THREADS = 6
WHO = st.integers(0, 1)


class OfflineLife(RuleBasedStateMachine):
    """Goal: a merchant is paid what terminals captured, each sale once, whoever sends it."""

    template: Path
    keys: SoftwareKeys

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="offline-"))
        shutil.copytree(self.template, self.folder / "db")
        self.clock = ManualClock(START)
        self.databases = open_databases(sqlite_urls(self.folder / "db"))
        units = Units(self.databases, self.clock)
        self.offline = join_offline(units, self.keys, self.clock, self.folder, uses_max=10_000)
        self.offline.register()
        self.box = self.offline.box()
        self.boxes = [self.box]
        self.chip = Chip(self.clock, balance_fen=1_000_000)
        self.citizens = [self.offline.world.citizen(fen) for fen in (6_000, 500)]
        self.kept: list[tuple[int, dict[str, Any]]] = []  # (box, item)
        self.heard: dict[tuple[int, str], Told] = {}
        self.fen: dict[str, int] = {}

    def keep(self, number: int, item: dict[str, Any]) -> None:
        self.kept.append((number, item))
        self.fen[item["payment_id"]] = item["amount_fen"]

    @rule(who=WHO, fen=st.integers(1, 3_000), number=st.integers(0, 1))
    def tap(self, who: int, fen: int, number: int) -> None:
        self.clock.advance(timedelta(seconds=7))
        at = number % len(self.boxes)
        self.keep(at, self.boxes[at].tap(self.citizens[who], fen))

    @rule(fen=st.integers(1, 3_000))
    def purse(self, fen: int) -> None:
        self.clock.advance(timedelta(seconds=7))
        self.keep(0, self.box.keep(fen, self.chip.pay(fen)))

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def same_proof_again(self, data: st.DataObject) -> None:
        number, item = data.draw(st.sampled_from(self.kept))
        box = self.boxes[number]
        self.keep(number, box.keep(item["amount_fen"], item["proof"]))

    @precondition(lambda self: len(self.boxes) == 1)
    @rule()
    def copy_the_disk(self) -> None:
        self.boxes.append(self.box.clone())

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def upload(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.boxes) - 1))
        mine = [item for at, item in self.kept if at == number]
        if not mine:
            return
        some = data.draw(st.lists(st.sampled_from(mine), min_size=1, max_size=8))
        told = self.offline.upload(self.boxes[number], *some)
        assert [one.payment_id for one in told] == [one["payment_id"] for one in some]
        for one in told:
            assert self.heard.setdefault((number, str(one.payment_id)), one) == one

    @property
    def captured(self) -> dict[str, int]:
        return {
            payment_id: self.fen[payment_id]
            for (_, payment_id), one in self.heard.items()
            if one.state is SaleState.CAPTURED
        }

    @invariant()
    def the_merchant_is_paid_what_was_captured(self) -> None:
        merchant_id = self.box.facts.merchant_id
        assert self.offline.world.payable_fen(merchant_id) == sum(self.captured.values())

    @invariant()
    def nobody_gave_more_than_their_sales(self) -> None:
        """Goal: wallets, debts, the issuer and the float together gave it, and none fell below."""
        given = self.offline.loss_fen - self.offline.balance_fen(f"epurse:{PURSE}")
        for citizen, began_with in zip(self.citizens, (6_000, 500), strict=True):
            balance_fen, _ = self.offline.world.balance(citizen)
            assert balance_fen >= 0
            given += began_with - balance_fen + self.offline.debt_fen(citizen)
        assert given == sum(self.captured.values())

    def teardown(self) -> None:
        try:
            audit(self.offline.world.units)
        finally:
            self.databases.close()
            shutil.rmtree(self.folder)


def test_uploads_in_any_order(sqlite_template: Path, keys: SoftwareKeys) -> None:
    class Life(OfflineLife):
        template = sqlite_template

    Life.keys = keys
    run_state_machine_as_test(Life, settings=settings(max_examples=10, stateful_step_count=20))


# --- at once ------------------------------------------------------------------------------------


@pytest.fixture
def offline(units: Units, keys: SoftwareKeys, clock: ManualClock, tmp_path: Path) -> Offline:
    made = join_offline(units, keys, clock, tmp_path)
    made.register()
    return made


def test_the_same_sales_sent_by_many_at_once_are_charged_once(
    offline: Offline, clock: ManualClock
) -> None:
    """Goal: a terminal, its copy and another terminal race with the same sales; both engines."""
    box, other = offline.box(), offline.box()
    chip, citizen = Chip(clock), offline.world.citizen(10_000)
    items = [box.tap(citizen, 100) for _ in range(5)]
    items += [box.keep(50, chip.pay(50)) for _ in range(5)]
    start = Barrier(THREADS)

    def send(number: int) -> list[Told]:
        start.wait(timeout=30)
        order = items if number % 2 else items[::-1]
        told = offline.upload(other if number == 0 else box, *order)
        return sorted(told, key=lambda one: str(one.payment_id))

    with ThreadPoolExecutor(THREADS) as pool:
        heard = list(pool.map(send, range(THREADS), timeout=120))
    captured = {one.payment_id for told in heard for one in told if one.state.value == "captured"}
    assert all(told == heard[1] for told in heard[2:])
    purses = {one["payment_id"] for one in items[5:]}
    assert len(captured & purses) == 5
    assert len(captured) == 10
    assert offline.world.balance(citizen) == (9_500, 9_500)
    assert offline.balance_fen(f"epurse:{PURSE}") == -250


@pytest.mark.parametrize("which", [Which.LEDGER, Which.BUSINESS])
def test_the_number_of_statements_does_not_grow_with_the_sales(
    offline: Offline, databases: Databases, clock: ManualClock, which: Which
) -> None:
    """Goal: bounded per upload, not per sale."""
    box, chip = offline.box(), Chip(clock, balance_fen=100_000)
    citizens = [offline.world.citizen(10_000) for _ in range(2)]
    offline.upload(box, *[box.tap(one, 10) for one in citizens], box.keep(5, chip.pay(5)))
    sent = []
    for size in (2, 12):
        items = [box.tap(citizens[number % 2], 10) for number in range(size)]
        items += [box.keep(5, chip.pay(5)) for _ in range(size)]
        statements: list[str] = []

        def note(*told: Any, into: list[str] = statements) -> None:
            into.append(told[2])

        engine = databases[which].engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            told = offline.upload(box, *items)
        finally:
            event.remove(engine, "before_cursor_execute", note)
        assert {one.code for one in told} == {None}
        sent.append(len(statements))
    assert sent[0] == sent[1] > 0
