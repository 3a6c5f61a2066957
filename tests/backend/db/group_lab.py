"""The group commit under gevent, in a process of its own; see `greenlet_lab.py` for the usage."""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402 - after the patching, as everything below
import sys  # noqa: E402
from contextlib import suppress  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from db_world import WHICH, TooPoor, names, operation, probe  # noqa: E402
from gevent.event import Event  # noqa: E402
from greenlet_lab import GREENLETS, STILL_SECONDS, Lab, _count_switches  # noqa: E402
from sqlalchemy import event  # noqa: E402

from backend.db import Decide, Rows  # noqa: E402
from backend.kernel import DomainError  # noqa: E402


class Desk:
    """Commands that add a row each; one of them may stand still while it decides."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.inside = Event()
        self.group = lab.units._groups[WHICH]

    def ask(self, name: str, gate: Event | None = None) -> Any:
        """With a gate it stands still while it decides, until the gate opens."""

        def decide(rows: Rows) -> str:
            rows.add(probe, {"name": name, "value": 1})
            if gate is not None:
                self.inside.set()
                gate.wait(STILL_SECONDS)
            if "refused" in name:
                raise TooPoor(short_fen=1)
            return f"did {name}"

        def run() -> str:
            made: Decide[str] = Decide(lambda rows: False, decide)
            try:
                return self.lab.units.decide(WHICH, made, operation(name))
            except DomainError as refusal:
                return refusal.code

        return gevent.spawn(run)

    def line_up(self, *asked: tuple[str, Event | None]) -> list[Any]:
        """Everybody waits in the queue, in this order."""
        waiting = []
        for name, gate in asked:
            waiting.append(self.ask(name, gate))
            with gevent.Timeout(STILL_SECONDS):
                while len(self.group._queue) < len(waiting):
                    gevent.sleep(0)
        return waiting

    def state(self) -> dict[str, Any]:
        left = {"leaders": self.group._leaders, "queue": len(self.group._queue)}
        return {**self.lab.state(), **left}


def _heard(clients: list[Any]) -> list[Any]:
    gevent.joinall(clients, timeout=STILL_SECONDS)
    return [
        one.value if isinstance(one.value, str) else type(one.value).__name__ for one in clients
    ]


def killed(lab: Lab) -> dict[str, Any]:
    """The leader is killed inside its transaction, and one who waits: the queue goes on."""
    desk, gate = Desk(lab), Event()
    leader = desk.ask("leader", gate)
    assert desk.inside.wait(STILL_SECONDS)
    waiting = desk.line_up(*[(f"w{number}", None) for number in range(5)])
    waiting[1].kill(block=True, timeout=STILL_SECONDS)
    leader.kill(block=True, timeout=STILL_SECONDS)
    heard = _heard(waiting)
    return {"heard": heard, "leader": leader.dead, "written": names(lab.units), **desk.state()}


def killed_at_the_door(lab: Lab) -> dict[str, Any]:
    """Killed when it may lead and has not begun: it is not decided, the next one leads."""
    desk = Desk(lab)
    leaders: list[int] = []
    leader = desk.ask("leader")

    def strike() -> None:
        leaders.append(desk.group._leaders)
        leader.throw(gevent.GreenletExit)

    # Before its second turn: a kill would come after it.
    gevent.get_hub().loop.run_callback(strike)
    gevent.joinall([leader], timeout=STILL_SECONDS)
    heard = _heard([desk.ask("next")])
    stood = leaders == [1] and leader.dead
    return {"stood": stood, "heard": heard, "written": names(lab.units), **desk.state()}


def killed_with_others(lab: Lab) -> dict[str, Any]:
    """The leader is killed while it decides for others: they are told to ask again, and may."""
    desk, gate = Desk(lab), Event()
    first = desk.ask("first", gate)
    assert desk.inside.wait(STILL_SECONDS)
    batch = desk.line_up(("a", None), ("b", Event()), ("c", None))
    desk.inside.clear()
    gate.set()
    assert first.get(timeout=STILL_SECONDS) == "did first"
    assert desk.inside.wait(STILL_SECONDS)
    late = desk.line_up(("late", None))
    batch[0].kill(block=True, timeout=STILL_SECONDS)
    heard = _heard([*batch, *late])
    written = names(lab.units)
    again = _heard([desk.ask(name) for name in ("a", "b", "c")])
    return {"heard": heard, "written": written, "again": again, **desk.state()}


def timed_out_waiting(lab: Lab) -> dict[str, Any]:
    """A gevent.Timeout raised for one who waits takes it out of the line."""
    desk, gate = Desk(lab), Event()
    leader = desk.ask("leader", gate)
    assert desk.inside.wait(STILL_SECONDS)
    (waiting,) = desk.line_up(("waiting", None))

    def impatient() -> str:
        never: Decide[str] = Decide(lambda rows: False, lambda rows: "never")
        with suppress(gevent.Timeout), gevent.Timeout(0.05):
            return lab.units.decide(WHICH, never)
        return "timed out"

    heard = _heard([gevent.spawn(impatient)])
    gate.set()
    heard += _heard([leader, waiting])
    return {"heard": heard, "written": names(lab.units), **desk.state()}


def batches(lab: Lab) -> dict[str, Any]:
    """Hundreds at once: few transactions, no switch inside one, each hears its own answer."""
    desk = Desk(lab)
    begun: list[int] = []
    event.listen(lab.databases[WHICH].engine, "commit", lambda _: begun.append(1))
    asked = [f"refused {n}" if n % 5 == 0 else f"n{n}" for n in range(GREENLETS)]
    heard: list[Any] = []
    seen = _count_switches(lab, lambda: heard.extend(_heard([desk.ask(name) for name in asked])))
    wanted = [f"did {one}" if one.startswith("n") else "test_too_poor" for one in asked]
    rows = len(names(lab.units))
    return {"commits": len(begun), "right": heard == wanted, "rows": rows, **seen, **desk.state()}


EXPERIMENTS = (killed, killed_at_the_door, killed_with_others, timed_out_waiting, batches)

if __name__ == "__main__":
    wanted_name, urls, holder = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
    (experiment,) = [one for one in EXPERIMENTS if one.__name__ == wanted_name]
    print(json.dumps(experiment(Lab(urls, holder))))  # noqa: T201 - the answer to the test
