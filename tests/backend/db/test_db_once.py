"""Safe retries: one id, one effect, one answer, whoever asks, however often, at whatever moment."""

# ruff: noqa: PT012 - what a block does before it is left by an error is the subject here

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import pytest
from db_world import (
    ON_POSTGRES,
    PATIENCE_SECONDS,
    WHICH,
    Malformed,
    TooPoor,
    count,
    names,
    operation,
    probe,
    put,
    together,
)
from sqlalchemy import select

from backend.db import AnsweredBefore, Databases, IdempotencyConflict, Units, Work
from backend.db import work as work_module
from backend.db.operations import ConcurrentChange, OperationRunning
from backend.db.work import COLLISION_PAUSE_SECONDS, COLLISIONS_MAX
from backend.kernel import DomainError, ManualClock

pytestmark = pytest.mark.usefixtures("probe_table")


def _put(name: str) -> object:
    def decide(work: Work) -> str:
        put(work, name)
        work.tell("put", name=name)
        return name

    return decide


def _refuse(work: Work) -> str:
    put(work, "half-done")
    work.tell("half-done")
    raise TooPoor(short_fen=7)


def test_the_first_answer_is_said_again_to_the_byte(units: Units) -> None:
    first = operation(amount=5)
    assert units.once(WHICH, first, _put("a")) == "a"
    with pytest.raises(AnsweredBefore) as again:
        units.once(WHICH, operation(amount=5), lambda work: pytest.fail("decided twice"))
    assert again.value.answer == first.said
    assert again.value.answer.body == '{"值": "a"}'
    assert again.value.answer.status == 201
    assert (names(units), count(units, "outbox")) == (["a"], 1)


def test_a_refusal_is_an_answer_too_and_its_writes_are_gone(units: Units) -> None:
    first = operation(amount=5)
    with pytest.raises(TooPoor):
        units.once(WHICH, first, _refuse)
    assert (names(units), count(units, "outbox"), count(units, "answer")) == ([], 0, 1)
    with pytest.raises(AnsweredBefore) as again:
        units.once(WHICH, operation(amount=5), _put("now rich"))
    assert again.value.answer == first.said
    assert json.loads(again.value.answer.body) == {"code": "test_too_poor", "short_fen": 7}
    assert names(units) == []


def test_a_refusal_that_is_no_verdict_may_be_asked_again(units: Units) -> None:
    def malformed(work: Work) -> str:
        put(work, "half-done")
        raise Malformed

    with pytest.raises(Malformed):
        units.once(WHICH, operation(), malformed)
    assert (names(units), count(units, "answer")) == ([], 0)
    assert units.once(WHICH, operation(), _put("a")) == "a"


@pytest.mark.parametrize("error", [RuntimeError("bug"), KeyboardInterrupt(), SystemExit()])
def test_a_crash_keeps_nothing(units: Units, error: BaseException) -> None:
    def crash(work: Work) -> str:
        put(work, "half-done")
        raise error

    with pytest.raises(type(error)):
        units.once(WHICH, operation(), crash)
    assert (names(units), count(units, "answer")) == ([], 0)
    assert units.once(WHICH, operation(), _put("a")) == "a"


def test_an_answer_that_cannot_be_written_down_keeps_nothing(units: Units) -> None:
    unspeakable = operation()
    unspeakable.render = lambda outcome: json.loads("{")
    with pytest.raises(json.JSONDecodeError):
        units.once(WHICH, unspeakable, _put("a"))
    assert (names(units), count(units, "answer")) == ([], 0)


@pytest.mark.parametrize(
    ("later", "fields"),
    [
        ({"amount": 6, "wallet": "w"}, "amount"),
        ({"amount": 6, "wallet": "v"}, "amount, wallet"),
        ({"amount": 5}, "wallet"),
        ({"amount": 5, "wallet": "w", "extra": 1}, "extra"),
        ({}, "amount, wallet"),
    ],
)
@pytest.mark.parametrize("refused", [False, True], ids=["done", "refused"])
def test_other_content_under_the_id_is_a_conflict_naming_the_fields(
    units: Units, later: dict[str, object], fields: str, refused: bool
) -> None:
    first = operation(amount=5, wallet="w")
    if refused:
        with pytest.raises(TooPoor):
            units.once(WHICH, first, _refuse)
    else:
        units.once(WHICH, first, _put("a"))
    with pytest.raises(IdempotencyConflict) as conflict:
        units.once(WHICH, operation(**later), _put("b"))
    assert conflict.value.data == {"fields": fields}
    assert "b" not in names(units)
    with pytest.raises(AnsweredBefore):
        units.once(WHICH, operation(amount=5, wallet="w"), _put("b"))


def test_ids_of_other_callers_and_commands_are_other_ids(units: Units) -> None:
    for index, scope in enumerate(("citizen:per_1:A", "citizen:per_2:A", "citizen:per_1:B")):
        assert units.once(WHICH, operation(scope=scope), _put(str(index))) == str(index)
    assert len(names(units)) == 3


def test_while_it_runs_the_second_is_told_to_wait(units: Units) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(work: Work) -> str:
        entered.set()
        assert go_on.wait(PATIENCE_SECONDS)
        put(work, "a")
        return "a"

    runner = threading.Thread(target=units.once, args=(WHICH, operation(), slow))
    runner.start()
    try:
        assert entered.wait(PATIENCE_SECONDS)
        with pytest.raises(OperationRunning) as refusal:
            units.once(WHICH, operation(), _put("b"))
        assert refusal.value.retryable
        assert refusal.value.data == {"retry_after_seconds": 1}
    finally:
        go_on.set()
        runner.join(PATIENCE_SECONDS)
    with pytest.raises(AnsweredBefore):
        units.once(WHICH, operation(), _put("b"))
    assert names(units) == ["a"]


@ON_POSTGRES
def test_another_process_is_told_to_wait_as_well(
    databases: Databases, units: Units, clock: ManualClock
) -> None:
    """A second `Units` knows nothing of the first, as in another process: the database decides."""
    elsewhere = Units(databases, clock)

    def slow(work: Work) -> str:
        with pytest.raises(OperationRunning):
            elsewhere.once(WHICH, operation(), _put("b"))
        assert elsewhere.once(WHICH, operation(key="key-2"), _put("c")) == "c"
        put(work, "a")
        return "a"

    assert units.once(WHICH, operation(), slow) == "a"
    with pytest.raises(AnsweredBefore):
        elsewhere.once(WHICH, operation(), _put("b"))
    assert names(units) == ["a", "c"]


def test_fifty_at_once_have_one_effect_and_one_answer(units: Units) -> None:
    results = together(50, lambda index: _ask(units, _put(f"by {index}")))
    done = [one for one in results if isinstance(one, str)]
    assert len(done) == 1
    assert names(units) == done
    assert count(units, "outbox") == count(units, "answer") == 1
    others = [one for one in results if not isinstance(one, str)]
    assert all(isinstance(one, AnsweredBefore | OperationRunning) for one in others), others
    bodies = {one.answer.body for one in others if isinstance(one, AnsweredBefore)}
    assert bodies <= {json.dumps({"值": done[0]}, ensure_ascii=False)}


def test_fifty_processes_at_once_have_one_effect(databases: Databases, clock: ManualClock) -> None:
    """As above, each with a `Units` of its own."""
    many = [Units(databases, clock) for _ in range(50)]
    results = together(50, lambda index: _ask(many[index], _put(f"by {index}")))
    done = [one for one in results if isinstance(one, str)]
    assert names(many[0]) == done
    assert len(done) == 1
    allowed = AnsweredBefore | OperationRunning
    assert all(isinstance(one, allowed) for one in results if not isinstance(one, str)), results


def _ask(units: Units, decide: object) -> object:
    return units.once(WHICH, operation(amount=5), decide)  # type: ignore[arg-type]


@ON_POSTGRES
def test_two_that_make_the_same_row_the_second_decides_again(units: Units) -> None:
    """Different operations, one unique name: the loser decides anew and sees the winner's row."""
    both_wrote = threading.Barrier(2)
    tries: list[str] = []

    def decide(work: Work) -> str:
        tries.append("try")
        if "only one" in work.execute(select(probe.c.name)).scalars().all():
            return "found"
        both_wrote.wait(PATIENCE_SECONDS)
        put(work, "only one")
        return "made"

    results = together(2, lambda index: units.once(WHICH, operation(key=f"k{index}"), decide))
    assert sorted(results) == ["found", "made"]
    assert len(tries) == 3
    assert (names(units), count(units, "answer")) == (["only one"], 2)


@ON_POSTGRES
def test_who_collides_every_time_is_asked_to_come_again(
    units: Units, databases: Databases, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tries are bounded; nothing is kept, the id is free for the next one."""
    pauses: list[float] = []
    monkeypatch.setattr(work_module, "time", SimpleNamespace(sleep=pauses.append))
    elsewhere = Units(databases, clock)
    tries: list[int] = []

    def decide(work: Work) -> str:
        work.execute(select(probe)).all()
        tries.append(len(tries))
        with elsewhere.write(WHICH) as other:
            put(other, f"made elsewhere {tries[-1]}")
        put(work, "half-done")
        put(work, f"made elsewhere {tries[-1]}")
        return "never"

    with pytest.raises(ConcurrentChange) as refusal:
        units.once(WHICH, operation(), decide)
    assert refusal.value.retryable
    assert not refusal.value.is_lasting
    assert len(tries) == COLLISIONS_MAX + 1
    assert len(pauses) == COLLISIONS_MAX
    assert max(pauses) <= COLLISION_PAUSE_SECONDS
    assert "half-done" not in names(units)
    assert count(units, "answer") == 0
    assert units.once(WHICH, operation(), _put("a")) == "a"


def test_a_broken_rule_of_the_database_is_a_bug_and_not_asked_again(units: Units) -> None:
    def breaks_a_rule(work: Work) -> str:
        put(work, "a", None)  # type: ignore[arg-type]
        return "never"

    with pytest.raises(Exception, match="value") as bug:
        units.once(WHICH, operation(), breaks_a_rule)
    assert not isinstance(bug.value, DomainError)
    assert count(units, "answer") == 0


def test_who_told_something_wakes_the_worker_after_the_commit(
    databases: Databases, clock: ManualClock
) -> None:
    seen: list[int] = []
    units = Units(databases, clock, wake=lambda: seen.append(count(units, "outbox")))
    units.once(WHICH, operation(), _put("a"))
    with units.write(WHICH) as work:
        put(work, "silent")
    with pytest.raises(TooPoor):
        units.once(WHICH, operation(key="refused"), _refuse)
    with pytest.raises(RuntimeError), units.write(WHICH) as work:
        work.tell("lost")
        raise RuntimeError
    assert seen[0] == 1
    assert len(seen) <= 2  # a refusal may wake the worker for nothing; a bug or silence does not
