"""An employer's batch: checked whole, approved by another, each line once, whatever crashes."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from backend.db import Event, Which
from backend.db.outbox import AskAgain
from backend.kernel import AmountRange, new_id
from backend.wallet.ledger import AccountState
from backend.wallet.model import FourEyesNeeded
from backend.wallet.topups import batches as batches_module
from backend.wallet.topups.batch_lines import PostLine
from backend.wallet.topups.batch_model import (
    FLOW,
    LINES_MAX,
    PART_MAX,
    BatchEvent,
    BatchExists,
    BatchInvalid,
    BatchState,
    BatchStateConflict,
    BatchUnknown,
    OpenBatch,
    advance,
    read_lines,
)
from tests.backend.wallet.topup_world import Channels, join_channels
from tests.simulation.books import dump
from tests.simulation.money_world import Citizen, World, operation


@pytest.fixture
def channels(world: World) -> Channels:
    return join_channels(world)


def raw(citizens: list[Citizen], fen: int = 1_500) -> list[Any]:
    return [
        {"wallet_id": one.wallet_id, "amount_fen": fen, "reference": f"{number:04d}"}
        for number, one in enumerate(citizens, start=1)
    ]


def opened(channels: Channels, lines: int, total_fen: int, staff: str = "li") -> str:
    batch_id = new_id("bat")
    wanted = OpenBatch(batch_id, "教育局", lines, total_fen, staff)
    assert channels.batches.open(wanted, operation()).state is BatchState.DRAFT
    return batch_id


def submitted(channels: Channels, lines: list[Any], total_fen: int | None = None) -> str:
    total = sum(one["amount_fen"] for one in lines) if total_fen is None else total_fen
    batch_id = opened(channels, len(lines), total)
    for at in range(0, len(lines), PART_MAX):
        part = lines[at : at + PART_MAX]
        channels.batches.fill(batch_id, at + 1, part, "li", operation())
    channels.batches.submit(batch_id, "li", operation())
    return batch_id


def approve(channels: Channels, batch_id: str) -> None:
    channels.batches.approve(batch_id, "wang", operation())


def faults(refusal: pytest.ExceptionInfo[BatchInvalid]) -> list[tuple[int, str, str]]:
    listed: Any = refusal.value.data["faults"]
    return [(one["line"], one["field"], one["fault"]) for one in listed]


@pytest.mark.parametrize(("state", "event"), list(product(BatchState, BatchEvent)))
def test_every_pair_is_decided(state: BatchState, event: BatchEvent) -> None:
    if (state, event) in FLOW:
        assert advance(state, event) is FLOW[state, event]
    else:
        with pytest.raises(BatchStateConflict):
            advance(state, event)


# --- uploading ------------------------------------------------------------------------------------


def test_every_fault_of_a_part_is_listed_with_its_line() -> None:
    good = {"wallet_id": new_id("wal"), "amount_fen": 100, "reference": "1"}
    bad: list[Any] = [
        good,
        "text",
        {**good, "wallet_id": new_id("top")},
        {**good, "amount_fen": 0},
        {**good, "amount_fen": True},
        {**good, "amount_fen": "100"},
        {**good, "amount_fen": 1.0},
        {**good, "amount_fen": 2**31},
        {**good, "reference": ""},
        {**good, "reference": "x" * 65},
        {**good, "reference": "\n"},
        {"wallet_id": good["wallet_id"]},
        {**good, "more": 1},
        {"wallet_id": None, "amount_fen": -1, "reference": 7},
    ]
    with pytest.raises(BatchInvalid) as refusal:
        read_lines(101, bad)
    assert faults(refusal) == [
        (102, "line", "not_an_object"),
        (103, "wallet_id", "invalid"),
        *((number, "amount_fen", "invalid") for number in range(104, 109)),
        *((number, "reference", "invalid") for number in range(109, 112)),
        (112, "amount_fen", "missing"),
        (112, "reference", "missing"),
        (113, "line", "unknown_field"),
        *((114, name, "invalid") for name in ("wallet_id", "amount_fen", "reference")),
    ]


def test_a_part_with_a_fault_is_not_kept(channels: Channels) -> None:
    citizen = channels.world.citizen()
    batch_id = opened(channels, 2, 3_000)
    before = dump(channels.world.units)
    with pytest.raises(BatchInvalid):
        channels.batches.fill(batch_id, 1, [*raw([citizen]), {}], "li", operation())
    assert dump(channels.world.units) == before


def test_the_whole_is_checked_and_every_lines_fault_is_listed(channels: Channels) -> None:
    """Goal: nothing is posted before everything is right; lines may be sent anew."""
    world = channels.world
    limited = Channels(
        world,
        channels.automatic,
        channels.counters,
        batches_module.Batches(world.units, world.ledger, AmountRange(100, 2_000)),
        channels.matching,
        channels.worker,
    )
    one, two = world.citizen(), world.citizen()
    stranger = {"wallet_id": new_id("wal"), "amount_fen": 1_500, "reference": "0001"}
    lines = [*raw([one]), stranger, *raw([two], 2_001)]
    lines[2]["reference"] = "0003"
    batch_id = opened(limited, 4, 5_000)
    limited.batches.fill(batch_id, 1, lines, "li", operation())
    limited.batches.fill(batch_id, 6, raw([two]), "li", operation())
    before = dump(world.units)
    with pytest.raises(BatchInvalid) as refusal:
        limited.batches.submit(batch_id, "li", operation())
    assert faults(refusal) == [
        (0, "total_fen", "differs"),
        (2, "reference", "repeated"),
        (2, "wallet_id", "unknown"),
        (3, "amount_fen", "out_of_range"),
        (4, "line", "missing"),
        (6, "line", "not_announced"),
        (6, "reference", "repeated"),
    ]
    assert dump(world.units) == before
    assert limited.batches.get(batch_id).state is BatchState.DRAFT


def test_a_draft_may_be_mended(channels: Channels) -> None:
    citizen = channels.world.citizen()
    batch_id = opened(channels, 1, 1_500)
    channels.batches.fill(batch_id, 1, raw([citizen], 1_400), "li", operation())
    with pytest.raises(BatchInvalid):
        channels.batches.submit(batch_id, "li", operation())
    channels.batches.fill(batch_id, 1, raw([citizen]), "li", operation())
    assert channels.batches.submit(batch_id, "li", operation()).waiting == 1


def test_what_cannot_be_announced(channels: Channels) -> None:
    batch_id = opened(channels, 1, 100)
    same = OpenBatch(batch_id, "教育局", 1, 100, "li")
    assert channels.batches.open(same, operation()).batch_id == batch_id
    with pytest.raises(BatchExists):
        channels.batches.open(OpenBatch(batch_id, "教育局", 1, 200, "li"), operation())
    for lines, total_fen in ((0, 1), (LINES_MAX + 1, 1), (1, 0), (1, -1)):
        with pytest.raises(BatchInvalid):
            channels.batches.open(
                OpenBatch(new_id("bat"), "x", lines, total_fen, "li"), operation()
            )
    with pytest.raises(BatchInvalid):
        channels.batches.fill(batch_id, 1, raw([]) + [{}] * (PART_MAX + 1), "li", operation())


# --- four eyes ------------------------------------------------------------------------------------


def test_two_persons_are_needed(channels: Channels) -> None:
    citizen = channels.world.citizen()
    batch_id = submitted(channels, raw([citizen]))
    before = dump(channels.world.units)
    with pytest.raises(FourEyesNeeded):
        channels.batches.approve(batch_id, "li", operation())
    with pytest.raises(FourEyesNeeded):
        channels.batches.fill(batch_id, 1, raw([citizen], 9), "wang", operation())
    with pytest.raises(BatchStateConflict):  # what was approved is what was checked
        channels.batches.fill(batch_id, 1, raw([citizen], 9), "li", operation())
    with pytest.raises(BatchUnknown):
        channels.batches.approve(new_id("bat"), "wang", operation())
    assert dump(channels.world.units) == before
    approve(channels, batch_id)
    with pytest.raises(BatchStateConflict):
        channels.batches.reject(batch_id, "wang", operation())


def test_what_is_rejected_is_never_posted(channels: Channels) -> None:
    citizen = channels.world.citizen()
    batch_id = submitted(channels, raw([citizen]))
    channels.batches.reject(batch_id, "li", operation())
    with pytest.raises(BatchStateConflict):
        approve(channels, batch_id)
    channels.batches.post(Event("e", "t", {"batch_id": batch_id}, channels.world.clock.now(), 0))
    assert channels.world.balance(citizen) == (0, 0)


# --- posting --------------------------------------------------------------------------------------


def test_each_line_stands_or_falls_alone(channels: Channels) -> None:
    world = channels.world
    good, full, closed, rider = (world.citizen(fen) for fen in (0, 499_000, 0, 0))
    channels.owe(rider, 400)
    lines = raw([good, full, closed, rider])
    batch_id = submitted(channels, lines)
    world.set_state(closed.wallet_id, AccountState.CLOSED)
    approve(channels, batch_id)
    assert channels.batches.get(batch_id).waiting == 4
    channels.work()
    done = channels.batches.get(batch_id)
    assert done.state is BatchState.DONE
    assert (done.posted, done.posted_fen, done.refused, done.refused_fen) == (2, 3_000, 2, 3_000)
    found, after = channels.batches.lines(batch_id, limit=3, after=None)
    rest, end = channels.batches.lines(batch_id, limit=3, after=after)
    assert [(one.number, one.state, one.code) for one in (*found, *rest)] == [
        (1, "posted", None),
        (2, "refused", "ceiling_exceeded"),
        (3, "refused", "wallet_closed"),
        (4, "posted", None),
    ]
    assert end is None
    assert [world.balance(one)[0] for one in (good, full, rider)] == [1_500, 499_000, 1_100]
    assert channels.debt_fen(rider) == 0


def test_it_goes_on_where_it_was_left(channels: Channels, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: the worker dies between sets and inside one; no line is posted twice or left out."""
    monkeypatch.setattr(batches_module, "SET_MAX", 2)
    monkeypatch.setattr(batches_module, "SETS_PER_DELIVERY", 2)
    citizens = [channels.world.citizen() for _ in range(7)]
    batch_id = submitted(channels, raw(citizens))
    approve(channels, batch_id)
    event = Event("e", "t", {"batch_id": batch_id}, channels.world.clock.now(), 0)
    with pytest.raises(AskAgain):
        channels.batches.post(event)
    assert (channels.batches.get(batch_id).posted, channels.batches.get(batch_id).waiting) == (4, 3)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PostLine, "decide", killed)
        with pytest.raises(KeyboardInterrupt):
            channels.batches.post(event)
    assert channels.batches.get(batch_id).posted == 4
    for _ in range(3):
        channels.batches.post(event)
    assert channels.batches.get(batch_id).state is BatchState.DONE
    assert [channels.world.balance(one)[0] for one in citizens] == [1_500] * 7


def test_a_line_decided_twice_is_posted_once(channels: Channels) -> None:
    world, citizen = channels.world, channels.world.citizen()
    batch_id = submitted(channels, raw([citizen]))
    lines = [PostLine(world.ledger, batch_id, 1)] * 2
    assert world.units.decide_all(Which.LEDGER, lines) == ["not_approved"] * 2
    approve(channels, batch_id)
    for _ in range(2):
        assert world.units.decide_all(Which.LEDGER, lines) == ["posted"] * 2
    assert world.balance(citizen) == (1_500, 1_500)


def test_a_bug_in_one_line_leaves_the_others(
    channels: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    citizens = [channels.world.citizen() for _ in range(3)]
    batch_id = submitted(channels, raw(citizens))
    approve(channels, batch_id)
    real = PostLine.decide

    def spoilt(self: PostLine, rows: Any) -> str:
        if self.number == 2:
            raise RuntimeError("a bug")
        return real(self, rows)

    event = Event("e", "t", {"batch_id": batch_id}, channels.world.clock.now(), 0)
    with monkeypatch.context() as patch:
        patch.setattr(PostLine, "decide", spoilt)
        with pytest.raises(batches_module.BatchStuck):
            channels.batches.post(event)
    found = channels.batches.get(batch_id)
    assert (found.state, found.posted, found.waiting) == (BatchState.APPROVED, 2, 1)
    channels.batches.post(event)
    assert channels.batches.get(batch_id).state is BatchState.DONE


def test_a_large_batch_is_posted_in_sets(channels: Channels) -> None:
    """Goal: 1 200 lines: more than two sets, filled in three parts; every fen arrives."""
    citizens = [channels.world.citizen() for _ in range(3)]
    lines = [
        {**one, "reference": f"{number:05d}"}
        for number, one in enumerate(raw(citizens * 400, 7), start=1)
    ]
    batch_id = submitted(channels, lines)
    approve(channels, batch_id)
    channels.work()
    done = channels.batches.get(batch_id)
    assert (done.state, done.posted, done.posted_fen) == (BatchState.DONE, 1_200, 8_400)
    assert [channels.world.balance(one)[0] for one in citizens] == [2_800] * 3
