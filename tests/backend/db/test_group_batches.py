"""Commands decided together on both engines: none harms its neighbours, each hears its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from db_world import (
    ON_POSTGRES,
    WHICH,
    Malformed,
    TooPoor,
    count,
    operation,
    probe,
    together,
)
from rows_world import DAYS, stored, thing
from sqlalchemy.exc import IntegrityError

from backend.db import AnsweredBefore, Databases, Decide, IdempotencyConflict, Rows, Units
from backend.db.group import Ticket, decide_in_order
from backend.db.operations import DryRun
from backend.kernel import ManualClock
from tests.support.statements import counting

pytestmark = pytest.mark.usefixtures("rows_tables", "probe_table")

TODAY = DAYS[0]


def add(name: str, **more: Any) -> Decide[str]:
    """Adds a row of its own and tells about it."""

    def needs(rows: Rows) -> bool:
        rows.want(thing, name, TODAY)
        return False

    def decide(rows: Rows) -> str:
        rows.add(thing, {"owner": name, "day": TODAY, "left_fen": 1, **more})
        rows.tell("added", name=name)
        return name

    return Decide(needs, decide)


def then(made: Decide[str], act: Callable[[Rows], Any], *, first: bool = False) -> Decide[Any]:
    """The same, and then `act`; `first`: already when it says what it needs."""

    def needs(rows: Rows) -> bool:
        if first:
            act(rows)
        return made.needs(rows)

    def decide(rows: Rows) -> Any:
        made.decide(rows)
        return act(rows)

    return Decide(needs, decide)


def refuse(error: Exception) -> Callable[[Rows], Any]:
    def act(_rows: Rows) -> Any:
        raise error

    return act


def collide(rows: Rows) -> str:
    """A row that is there already, as the database finds out at the end."""
    rows.add(probe, {"name": "taken", "value": 2})
    return "never"


def lack(rows: Rows) -> str:
    rows.add(probe, {"name": "without a value"})
    return "never"


GOOD = ("good 1", "good 2", "good 3")
BAD: dict[str, tuple[Callable[[str], Decide[Any]], type[Exception]]] = {
    "refusal": (lambda n: then(add(n), refuse(TooPoor(short_fen=1))), TooPoor),
    "refusal that does not last": (lambda n: then(add(n), refuse(Malformed())), Malformed),
    "bug": (lambda n: then(add(n), refuse(ZeroDivisionError())), ZeroDivisionError),
    "bug in needs": (
        lambda n: then(add(n), refuse(ZeroDivisionError()), first=True),
        ZeroDivisionError,
    ),
    "refusal in needs": (lambda n: then(add(n), refuse(TooPoor(short_fen=1)), first=True), TooPoor),
    "check broken at the end": (lambda n: add(n, left_fen=-1), IntegrityError),
    "key taken at the end": (lambda n: then(add(n), collide), Exception),
    "null at the end": (lambda n: then(add(n), lack), IntegrityError),
}


def settle(units: Units, *tickets: Ticket[Any]) -> list[Any]:
    """As the leader of a group does."""
    units._settle(WHICH, tickets)
    assert all(one.is_done for one in tickets)
    return [one.outcome for one in tickets]


@pytest.mark.parametrize("named", [True, False], ids=["with ids", "without"])
@pytest.mark.parametrize("fault", BAD)
def test_a_bad_command_harms_nobody_but_itself(units: Units, fault: str, named: bool) -> None:
    with units.write(WHICH) as work:
        work.rows.add(probe, {"name": "taken", "value": 1})
    make, error = BAD[fault]
    decisions = [add(GOOD[0]), make("bad 1"), add(GOOD[1]), make("bad 2"), add(GOOD[2])]
    tickets = [
        Ticket(one, operation(f"k{number}") if named else None)
        for number, one in enumerate(decisions)
    ]
    heard = settle(units, *tickets)
    assert [heard[0], heard[2], heard[4]] == list(GOOD)
    assert isinstance(heard[1], error)
    assert isinstance(heard[3], error)
    assert {owner for owner, _ in stored(units, thing)} == set(GOOD)
    assert count(units, "outbox") == 3
    refusals = 2 if error is TooPoor and "needs" not in fault else 0
    assert count(units, "answer") == (3 + refusals if named else 0)


@pytest.mark.parametrize("named", [True, False], ids=["with ids", "without"])
def test_a_refusal_that_is_returned_keeps_what_it_wrote(units: Units, named: bool) -> None:
    """Goal: a proof that was shown is used up, whatever the wallet says, in a group as alone."""
    refusal = then(add("kept"), lambda _: TooPoor(short_fen=1))
    made = operation("k") if named else None
    heard = settle(units, Ticket(add("before")), Ticket(refusal, made), Ticket(add("after")))
    assert isinstance(heard[1], TooPoor)
    assert {owner for owner, _ in stored(units, thing)} == {"before", "kept", "after"}
    with pytest.raises(TooPoor):
        units.decide(WHICH, then(add("kept too"), lambda _: TooPoor(short_fen=1)))
    assert ("kept too", TODAY) in stored(units, thing)


def test_commands_are_decided_in_the_order_they_came(units: Units) -> None:
    """Each sees what those before it changed, and nothing of those that were refused."""

    def raise_by_one(number: int) -> Decide[int]:
        def decide(rows: Rows) -> int:
            row = rows.find(thing, "counter", TODAY)
            assert row is not None
            rows.change(thing, ("counter", TODAY), left_fen=row["left_fen"] + 1)
            if number % 3 == 0:
                raise TooPoor(short_fen=number)
            return int(row["left_fen"])

        return Decide(lambda rows: rows.want(thing, "counter", TODAY) or False, decide)

    settle(units, Ticket(add("counter")))
    heard = settle(units, *[Ticket(raise_by_one(number)) for number in range(60)])
    assert [one for one in heard if isinstance(one, int)] == list(range(1, 41))
    assert stored(units, thing)["counter", TODAY]["left_fen"] == 41


def test_the_same_id_twice_in_a_batch_is_one_command(units: Units) -> None:
    first, again, other = operation("k", a=1), operation("k", a=1), operation("k", a=2)
    heard = settle(units, Ticket(add("a"), first), Ticket(add("b"), again), Ticket(add("c"), other))
    assert heard[0] == "a"
    assert isinstance(heard[1], AnsweredBefore)
    assert heard[1].answer == first.said
    assert isinstance(heard[2], IdempotencyConflict)
    assert {owner for owner, _ in stored(units, thing)} == {"a"}


def test_the_number_of_statements_does_not_grow_with_the_commands(
    units: Units, databases: Databases, clock: ManualClock
) -> None:
    sent: dict[int, int] = {}
    for size in (1, 10, 400):
        tickets = [
            Ticket(add(f"{size}/{number}"), operation(f"{size}/{number}")) for number in range(size)
        ]
        with counting(databases[WHICH].engine) as seen, units.write(WHICH) as work:
            heard = decide_in_order(work.rows, tickets, clock)
        sent[size] = len(seen)
        assert heard == [f"{size}/{number}" for number in range(size)]
    assert len(set(sent.values())) == 1, sent
    assert sent[1] <= 7  # locks; answers, things read; things, events, answers written
    assert count(units, "answer") == 411


def test_a_dry_run_in_a_batch_leaves_no_trace(units: Units) -> None:
    trial = operation("trial")
    trial.is_dry_run = True
    heard = settle(
        units, Ticket(add("a")), Ticket(add("b"), trial), Ticket(add("b"), operation("real"))
    )
    assert isinstance(heard[1], DryRun)
    assert heard[1].answer.body == '{"值": "b"}'
    assert heard[2] == "b"
    assert {owner for owner, _ in stored(units, thing)} == {"a", "b"}
    assert (count(units, "answer"), count(units, "outbox")) == (1, 2)


def test_the_worker_is_woken_once_a_batch(databases: Databases, clock: ManualClock) -> None:
    woken: list[int] = []
    units = Units(databases, clock, wake=lambda: woken.append(count(units, "outbox")))
    settle(units, *[Ticket(add(f"{number}")) for number in range(20)])
    assert woken == [20], "once, and after the commit"
    silent: Decide[str] = Decide(lambda rows: False, lambda rows: "nothing to tell")
    settle(units, Ticket(silent), Ticket(silent))
    assert woken == [20]


def test_many_decided_at_once_stand_or_fall_alone(units: Units) -> None:
    heard = units.decide_all(WHICH, [add("a"), BAD["bug"][0]("b"), add("c")])
    assert (heard[0], heard[2]) == ("a", "c")
    assert isinstance(heard[1], ZeroDivisionError)
    assert units.decide_all(WHICH, []) == []


@ON_POSTGRES
def test_a_command_that_collides_decides_again_and_sees_the_other(
    units: Units, databases: Databases, clock: ManualClock
) -> None:
    """Somebody else makes the same row at that moment: asked again, it finds it."""
    elsewhere = Units(databases, clock)
    tries: list[str] = []

    def decide(rows: Rows) -> str:
        tries.append("try")
        if rows.find(probe, "only") is not None:
            return "found"
        with elsewhere.write(WHICH) as work:
            work.rows.add(probe, {"name": "only", "value": 2})
        rows.add(probe, {"name": "only", "value": 1})
        return "made"

    collides: Decide[str] = Decide(lambda rows: False, decide)
    heard = settle(units, Ticket(add("a")), Ticket(collides, operation("k")), Ticket(add("b")))
    assert heard == ["a", "found", "b"]
    assert len(tries) == 2
    assert {owner for owner, _ in stored(units, thing)} == {"a", "b"}
    assert count(units, "outbox") == 2


def test_in_threads_each_hears_its_own_and_all_is_there(units: Units) -> None:
    def ask(index: int) -> list[Any]:
        heard: list[Any] = []
        for number in range(5):
            name = f"{index}/{number}"
            made = then(add(name), refuse(TooPoor(short_fen=index))) if number == 3 else add(name)
            try:
                heard.append(units.decide(WHICH, made, operation(name)))
            except TooPoor as refusal:
                heard.append(refusal.data["short_fen"])
        return heard

    heard = together(40, ask)
    assert heard == [
        [f"{index}/{number}" if number != 3 else index for number in range(5)]
        for index in range(40)
    ]
    assert len(stored(units, thing)) == 160
    assert (count(units, "answer"), count(units, "outbox")) == (200, 160)
