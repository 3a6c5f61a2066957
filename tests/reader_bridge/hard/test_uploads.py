"""Uploads cut, doubled, out of order, and from two boxes with one disk, to the real backend."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reader_bridge import Outcome
from reader_bridge.forward.wire import UPLOAD_PATH, upload_of
from reader_bridge.journal import EntryState
from sdk_mobile import Wallet
from tests.reader_bridge.hard.wire import CUTS, bad_wire
from tests.reader_bridge.hard.world import NOWHERE, Box, Plastic, Town, card_of
from tests.simulation.books import audit

SALES = int(os.environ.get("CITY_UPLOADS", "24"))
ROUNDS_MAX = 40
FEN = 10


@pytest.fixture(scope="module")
def rider(town: Town) -> Iterator[Wallet]:
    with town.phone(0, 400_000) as phone:
        phone.ride.refresh_if_needed()
        yield phone


@pytest.fixture
def plastic(town: Town) -> Plastic:
    return town.plastic(90_000)


@pytest.fixture
def shop(town: Town, tmp_path: Path) -> Iterator[Box]:
    with town.box(tmp_path / "shop", "shop") as box:
        box.wire(NOWHERE)
        yield box


def sell(town: Town, box: Box, rider: Wallet, plastic: Plastic, count: int) -> list[str]:
    """So many sales of FEN taken without a network, by phone and purse; their references."""
    references = []
    for number in range(count):
        town.forward(3)
        card = plastic.shown() if number % 3 == 2 else card_of(rider)
        receipt = box.tap(card, FEN)
        assert receipt.outcome is Outcome.ACCEPTED, receipt.refusal
        references.append(receipt.register_reference)
    return references


class Books:
    """What a rider, a purse and the merchants had, and what they have now."""

    def __init__(self, town: Town, rider: Wallet, plastic: Plastic) -> None:
        self.town, self.rider, self.plastic = town, rider, plastic
        self.before = self._now()

    def moved(self) -> tuple[int, int, int]:
        """From the wallet, from the purse's float, to the merchants: in fen."""
        wallet, purse, merchants = (
            after - before for after, before in zip(self._now(), self.before, strict=True)
        )
        return -wallet, -purse, merchants

    def _now(self) -> tuple[int, int, int]:
        floats = self.town.kinds().get("epurse_float", 0)
        return self.rider.balance().balance_fen, floats, self.town.paid_fen()


@pytest.mark.parametrize("seed", range(3))
def test_uploads_cut_anywhere_charge_once(town, shop, rider, plastic, seed):
    """Goal: half a request, an answer lost after the commit, half an answer: nothing is doubled."""
    books, dice = Books(town, rider, plastic), random.Random(seed)
    references = sell(town, shop, rider, plastic, SALES)
    with bad_wire(town.url) as wire:
        shop.wire(wire.url)
        wire.bring(CUTS)
        wire.bring(dice.choices((*CUTS, "calm"), k=12))
        for _ in range(ROUNDS_MAX):
            town.forward(60)
            shop.terminal.forward()
            if not shop.waiting():
                break
        assert set(CUTS) <= set(wire.seen)
        shop.wire(NOWHERE)
    assert {shop.terminal.ask_again(one).outcome for one in references} == {Outcome.CAPTURED}
    purse = SALES // 3 * FEN
    assert books.moved() == (SALES * FEN - purse, purse, SALES * FEN)
    audit(town.parts.units)


def test_out_of_order_and_again_and_again(town, shop, rider, plastic):
    """Goal: any parts in any order, overlapping, with another key: the first answers stand."""
    books, dice = Books(town, rider, plastic), random.Random(7)
    references = sell(town, shop, rider, plastic, SALES)
    entries = list(shop.terminal.journal.to_upload(10_000))
    shop.wire(town.url)
    told: dict[str, tuple] = {}
    for attempt in range(12):
        dice.shuffle(entries)
        part = entries[: dice.randrange(1, len(entries) + 1)] if attempt < 11 else entries
        body = upload_of(shop.terminal.journal.incarnation(), part)
        answer = shop.terminal.client.post(UPLOAD_PATH, body, f"off_order_{id(shop)}_{attempt}")
        names = [one["payment_id"] for one in answer["results"]]
        assert names == [one.draft.entry_id for one in part]
        for one in answer["results"]:
            word = (one["state"], one["code"], one["balance_fen"])
            assert told.setdefault(one["payment_id"], word) == word
    assert {state for state, *_ in told.values()} == {"captured"}
    shop.terminal.forward()
    assert {shop.terminal.ask_again(one).outcome for one in references} == {Outcome.CAPTURED}
    purse = SALES // 3 * FEN
    assert books.moved() == (SALES * FEN - purse, purse, SALES * FEN)


def cloned(town: Town, box: Box, folder: Path) -> Path:
    """The disk of a box that is switched off, copied."""
    box.terminal.close()
    shutil.copytree(box.folder, folder)
    return folder


@pytest.mark.parametrize("together", [False, True], ids=["one after the other", "at once"])
def test_two_boxes_with_one_disk(town, tmp_path, rider, together):
    """Goal: what both have is paid once, of what each sold alone one counter stands, and it is
    told: to the box, and to staff."""
    plastic = town.plastic(90_000)
    books = Books(town, rider, plastic)
    with town.box(tmp_path / "first", "shop") as box:
        box.wire(NOWHERE)
        common = sell(town, box, rider, plastic, 6)
        copy = cloned(town, box, tmp_path / "second")
    with town.opened(tmp_path / "first") as first, town.opened(copy) as second:
        alone = []
        for one in (first, second):
            one.wire(NOWHERE)
            alone.append(sell(town, one, rider, plastic, 2))  # two by phone
            one.wire(town.url)
        if together:
            with ThreadPoolExecutor(2) as threads:
                list(threads.map(lambda one: one.terminal.forward(), (first, second)))
        for one in (first, second, first, second):
            one.terminal.forward()
            assert one.waiting() == []
        for one in (first, second):
            assert {one.terminal.ask_again(name).outcome for name in common} == {Outcome.CAPTURED}
        codes = [
            [_code(one, name) for name in names]
            for one, names in zip((first, second), alone, strict=True)
        ]
        assert sorted(codes, key=str) == [["terminal_cloned"] * 2, [None] * 2]
        if not together:
            assert codes[0] == [None] * 2
        report = town.parts.oddities.report(first.terminal.identity.client_id)
    losers = alone[codes.index(["terminal_cloned"] * 2)]
    assert len(report.sales) == len(losers)
    assert {one.amount_fen for one in report.sales} == {FEN}
    assert books.moved() == (6 * FEN, 2 * FEN, 8 * FEN)
    audit(town.parts.units)


def _code(box: Box, reference: str) -> str | None:
    told = box.terminal.ask_again(reference)
    entry = box.terminal.journal.last_result(reference)
    assert entry is not None
    assert entry.state in {EntryState.CAPTURED, EntryState.REFUSED}
    return None if told.refusal is None else told.refusal.code
