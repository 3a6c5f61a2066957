"""The queue of a group commit: who leads, who waits, who is told what; no database here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from db_world import PATIENCE_SECONDS, TooPoor, together

from backend.db import DatabaseUnavailable, Decide
from backend.db import group as group_module
from backend.db.group import GroupCommit, Ticket


class Killed(BaseException):
    """As gevent's GreenletExit: no Exception."""


def ticket(name: str) -> Ticket[str]:
    made: Ticket[str] = Ticket(Decide(lambda rows: False, lambda rows: name))
    return made


def name_of(one: Ticket[Any]) -> str:
    return str(one.decision.decide(None))  # type: ignore[arg-type]


@dataclass
class Desk:
    """Settles batches and remembers them; stands still while `gate` is closed."""

    batches: list[list[str]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    fault: Callable[[list[str]], None] = lambda names: None

    def settle(self, tickets: Sequence[Ticket[Any]]) -> None:
        names = [name_of(one) for one in tickets]
        self.batches.append(names)
        self.entered.set()
        assert self.gate.wait(PATIENCE_SECONDS)
        self.fault(names)
        for one, name in zip(tickets, names, strict=True):
            one.finish(TooPoor(short_fen=1) if "refused" in name else f"answer to {name}")


@dataclass
class Client:
    """One thread that asks; what it heard."""

    thread: threading.Thread
    heard: list[Any] = field(default_factory=list)

    def join(self) -> Any:
        self.thread.join(PATIENCE_SECONDS)
        assert not self.thread.is_alive()
        return self.heard[0]


def ask(group: GroupCommit, name: str) -> Client:
    heard: list[Any] = []

    def run() -> None:
        try:
            heard.append(group.run(ticket(name)))
        except BaseException as error:  # the test looks at it
            heard.append(error)

    client = Client(threading.Thread(target=run), heard)
    client.thread.start()
    return client


@contextmanager
def waiting(
    desk: Desk, group: GroupCommit, names: Sequence[str], leader: str = "first"
) -> Iterator[list[Client]]:
    """`leader` stands at the desk, the others wait behind it in this order; then the gate opens."""
    clients = [ask(group, leader)]
    assert desk.entered.wait(PATIENCE_SECONDS)
    for number, name in enumerate(names, start=1):
        clients.append(ask(group, name))
        _until(lambda number=number: len(group._queue) == number)
    yield clients
    desk.gate.set()
    for one in clients:
        one.join()


def _until(is_so: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(20_000):
        if is_so():
            return
        done.wait(0.001)
    raise AssertionError("it never came to that")


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def group(desk: Desk) -> GroupCommit:
    return GroupCommit(desk.settle)


def test_who_waits_is_led_by_the_first_of_them_in_order_of_arrival(
    desk: Desk, group: GroupCommit
) -> None:
    names = [f"n{number}" for number in range(9)]
    with waiting(desk, group, names) as clients:
        pass
    assert desk.batches == [["first"], names]
    assert [one.heard for one in clients] == [[f"answer to {n}"] for n in ["first", *names]]
    assert (group._leaders, len(group._queue)) == (0, 0)


def test_a_batch_is_bounded(desk: Desk) -> None:
    group = GroupCommit(desk.settle, batch_max=4)
    with waiting(desk, group, [f"n{number}" for number in range(9)]):
        pass
    assert [len(one) for one in desk.batches] == [1, 4, 4, 1]
    assert [name for batch in desk.batches for name in batch] == [
        "first",
        *(f"n{number}" for number in range(9)),
    ]


def test_a_refusal_is_heard_by_its_own_client_alone(desk: Desk, group: GroupCommit) -> None:
    with waiting(desk, group, ["a", "refused", "b"]) as clients:
        pass
    assert [type(one.heard[0]) for one in clients] == [str, str, TooPoor, str]


@pytest.mark.parametrize("error", [RuntimeError("bug"), Killed(), KeyboardInterrupt()])
def test_a_leader_that_dies_leaves_nobody_hanging(
    desk: Desk, group: GroupCommit, error: BaseException
) -> None:
    """Whoever it had in hand may ask again; whoever came later is led by the next."""

    def die(names: list[str]) -> None:
        if "a" in names:
            raise error

    desk.fault = die
    group.batch_max = 3
    with waiting(desk, group, ["a", "b", "c", "later", "latest"]) as clients:
        pass
    heard = [one.heard[0] for one in clients]
    assert heard[0] == "answer to first"
    assert heard[1] is error
    assert [type(one) for one in heard[2:4]] == [DatabaseUnavailable] * 2
    assert heard[4:] == ["answer to later", "answer to latest"]
    assert (group._leaders, len(group._queue)) == (0, 0)


def test_a_queue_is_bounded_and_the_surplus_is_told_at_once(
    desk: Desk, group: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_module, "QUEUE_MAX", 3)
    with waiting(desk, group, ["a", "b", "c"]) as clients:
        with pytest.raises(DatabaseUnavailable) as refusal:
            group.run(ticket("too many"))
        assert refusal.value.retryable
    assert desk.batches == [["first"], ["a", "b", "c"]]
    assert all(isinstance(one.heard[0], str) for one in clients)


def test_who_waited_too_long_is_told_so_and_never_decided(
    desk: Desk, group: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with waiting(desk, group, ["a"]) as clients:
        monkeypatch.setattr(group_module, "WAIT_SECONDS_MAX", 0.05)
        with pytest.raises(DatabaseUnavailable):
            group.run(ticket("impatient"))
        monkeypatch.setattr(group_module, "WAIT_SECONDS_MAX", PATIENCE_SECONDS)
    assert desk.batches == [["first"], ["a"]]
    assert clients[1].heard == ["answer to a"]


def test_who_is_in_hand_already_waits_for_the_word(
    desk: Desk, group: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: after a long wait in the queue nobody is told "later" while he is being served."""
    second_gate = threading.Event()
    is_taken = GroupCommit._is_taken
    monkeypatch.setattr(group_module, "WAIT_SECONDS_MAX", 0.3)

    def patient(self: GroupCommit, one: Ticket[Any]) -> bool:
        monkeypatch.setattr(group_module, "WAIT_SECONDS_MAX", PATIENCE_SECONDS)
        _until(lambda: one not in self._queue)
        second_gate.set()
        return is_taken(self, one)

    def slow(names: list[str]) -> None:
        if "b" in names:
            assert second_gate.wait(PATIENCE_SECONDS), "b never asked what became of it"

    monkeypatch.setattr(GroupCommit, "_is_taken", patient)
    desk.fault = slow
    with waiting(desk, group, ["a", "b"]) as clients:
        desk.gate.set()
    assert [one.heard for one in clients[1:]] == [["answer to a"], ["answer to b"]]


def test_two_lanes_serve_two_batches_at_once(desk: Desk) -> None:
    group = GroupCommit(desk.settle, lanes=2)
    clients = [ask(group, "left"), ask(group, "right")]
    _until(lambda: len(desk.batches) == 2)
    desk.gate.set()
    assert sorted(one.join() for one in clients) == ["answer to left", "answer to right"]
    assert group._leaders == 0


def test_hundreds_of_threads_each_hear_their_own_answer(desk: Desk, group: GroupCommit) -> None:
    desk.gate.set()
    heard = together(100, lambda index: [group.run(ticket(f"{index}/{n}")) for n in range(20)])
    assert heard == [[f"answer to {index}/{n}" for n in range(20)] for index in range(100)]
    assert sum(len(one) for one in desk.batches) == 2_000
    assert (group._leaders, len(group._queue)) == (0, 0)
