"""Runs as a process of its own, patched by gevent as the server is; prints what it saw as JSON.

Usage: greenlet_lab.py EXPERIMENT URLS HOLDER, where URLS is a JSON object of the three databases
and HOLDER the command line of the process that holds the write lock.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402 - after the patching, as everything below
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from contextlib import suppress  # noqa: E402
from datetime import UTC, datetime  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
import greenlet  # noqa: E402
from db_world import WHICH, TooPoor, names, operation, probe, put, raw_connection  # noqa: E402
from gevent.event import Event  # noqa: E402
from gevent.lock import BoundedSemaphore  # noqa: E402
from sqlalchemy import event, func, select  # noqa: E402

from backend.db import (  # noqa: E402
    DatabaseUnavailable,
    Units,
    Which,
    Work,
    open_databases,
)
from backend.db import work as work_module  # noqa: E402
from backend.kernel import SystemClock, new_id  # noqa: E402
from backend.keys import KeyRef, SoftwareKeys  # noqa: E402

GREENLETS = 400
TICK_SECONDS = 0.001
ROUNDS_MAX = 4
STILL_SECONDS = 30
START = datetime(2026, 11, 23, tzinfo=UTC)


class Lab:
    """Units on the given databases, a way to see every write transaction, another process."""

    def __init__(self, urls: dict[str, str], holder: list[str]) -> None:
        self.databases = open_databases({which: urls[which.value] for which in Which})
        self.units = Units(self.databases, SystemClock())
        self.holder = holder
        self.connections: list[Any] = []
        self.begun: dict[int, str] = {}
        if self.databases[WHICH].is_sqlite:
            event.listen(self.databases[WHICH].engine, "connect", self._watch)

    def _watch(self, connection: Any, _record: Any) -> None:
        self.connections.append(connection)
        connection.set_trace_callback(lambda sql: self._note(connection, sql))

    def _note(self, connection: Any, sql: str) -> None:
        if sql.startswith("BEGIN"):
            self.begun[id(connection)] = sql

    def is_writing(self) -> bool:
        """Asks SQLite itself: is a connection inside a transaction begun IMMEDIATE?"""
        return any(
            connection.in_transaction and self.begun.get(id(connection)) == "BEGIN IMMEDIATE"
            for connection in self.connections
        )

    def hold_lock(self, seconds: float) -> subprocess.Popen[str]:
        """Another process takes the write lock; returns once it has it."""
        file = str(self.databases[WHICH].engine.url.database)
        process = subprocess.Popen(
            [*self.holder, file, str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    def state(self) -> dict[str, Any]:
        """What a killed greenlet must not have left behind."""
        database = self.databases[WHICH]
        return {
            "names": names(self.units),
            "writer_free": database.writer is None or not database.writer.locked(),
            "checked_out": database.engine.pool.checkedout(),  # type: ignore[attr-defined]
            "running": len(self.units.running._keys),
            "next_write": self._next_write(),
        }

    def _next_write(self) -> str:
        with gevent.Timeout(STILL_SECONDS), self.units.write(WHICH) as work:
            count = work.execute(select(func.count()).select_from(probe)).scalar_one()
            put(work, f"next {count} {new_id('evt')}")
        return "done"


def _count_switches(lab: Lab, act: Callable[[], None]) -> dict[str, int]:
    """Every switch between greenlets while `act` runs, and those inside a write transaction."""
    seen = {"all": 0, "while_writing": 0}

    def trace(what: str, _greenlets: object) -> None:
        if what in ("switch", "throw"):
            seen["all"] += 1
            seen["while_writing"] += lab.is_writing()

    greenlet.settrace(trace)
    try:
        act()
    finally:
        greenlet.settrace(None)
    return seen


def switches(lab: Lab) -> dict[str, Any]:
    """Hundreds of concurrent writes with what real commands do inside."""
    folder = Path(str(lab.databases[WHICH].engine.url.database)).parent
    keys = SoftwareKeys.make(folder / "store", folder / "kek")

    def decide(work: Work, index: int) -> str:
        name = f"p{index}"
        sealed = keys.encrypt(KeyRef.PII_CIPHER, name.encode(), b"probe.name")
        keys.mac(KeyRef.PII_INDEX, sealed)
        keys.derive(KeyRef.TOKEN_MASTER, sealed, 16)
        keys.sign(KeyRef.ACCESS_TOKENS, sealed)
        put(work, name, index)
        work.tell("put", name=name, sealed=sealed.hex())
        work.execute(select(probe).where(probe.c.name == name)).all()
        if index % 5 == 0:
            raise TooPoor(short_fen=index)
        return name

    def one(index: int) -> None:
        with suppress(TooPoor):
            lab.units.once(WHICH, operation(f"k{index}"), lambda work: decide(work, index))
        with lab.units.read(WHICH) as work:
            work.execute(select(probe).limit(3)).all()
        with lab.units.write(WHICH) as work:
            put(work, f"w{index}", index)

    def all_at_once() -> None:
        gevent.joinall([gevent.spawn(one, index) for index in range(GREENLETS)], raise_error=True)

    seen = _count_switches(lab, all_at_once)
    return {**seen, "rows": len(names(lab.units)), "control": _control(lab)}


def _control(lab: Lab) -> dict[str, int]:
    """The detector detects: a block that sleeps inside its transaction is seen."""

    def careless() -> None:
        with lab.units.write(WHICH) as work:
            put(work, "careless")
            gevent.sleep(0)

    def run() -> None:
        gevent.joinall([gevent.spawn(careless)], raise_error=True)

    return _count_switches(lab, run)


def hub(lab: Lab) -> dict[str, Any]:
    """The longest the hub stood still while another process wrote for a second.

    The machine may stop this process for a moment, so the best of some rounds counts: a hub that
    is really blocked stands still in each of them.
    """
    rounds = []
    for number in range(ROUNDS_MAX):
        rounds.append(_hub_round(lab, number))
        if rounds[-1]["worst_gap"] <= 0.05:
            break
    return {"rounds": rounds, "names": names(lab.units)}


def _hub_round(lab: Lab, number: int) -> dict[str, Any]:
    gaps: list[float] = []
    stop = Event()

    def tick() -> None:
        last = time.perf_counter()
        while not stop.is_set():
            gevent.sleep(TICK_SECONDS)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    def write(index: int) -> float:
        began = time.perf_counter()
        with lab.units.write(WHICH) as work:
            put(work, f"r{number}w{index}")
        return time.perf_counter() - began

    process = lab.hold_lock(1.0)
    ticker = gevent.spawn(tick)
    writers = [gevent.spawn(write, index) for index in range(20)]
    readers = [gevent.spawn(names, lab.units) for _ in range(20)]
    gevent.joinall([*writers, *readers], raise_error=True, timeout=STILL_SECONDS)
    stop.set()
    ticker.join()
    process.communicate("", timeout=STILL_SECONDS)
    waited = [writer.value for writer in writers]
    return {"worst_gap": max(gaps), "ticks": len(gaps), "waited": min(waited)}


def killed_waiting(lab: Lab) -> dict[str, Any]:
    """Killed while another process holds the lock: one at the front, some in the line behind."""
    process = lab.hold_lock(STILL_SECONDS)
    entered: list[int] = []

    def write(index: int) -> None:
        with lab.units.write(WHICH) as work:
            entered.append(index)
            put(work, f"never {index}")

    def ask(index: int) -> None:
        def decide(work: Work) -> str:
            entered.append(index)
            return "never"

        lab.units.once(WHICH, operation(f"k{index}"), decide)

    victims = [gevent.spawn(write if index % 2 else ask, index) for index in range(6)]
    gevent.sleep(0.05)
    was_waiting = lab.databases[WHICH].writer.locked()  # type: ignore[union-attr]
    gevent.killall(victims, block=True, timeout=STILL_SECONDS)
    dead = all(victim.dead for victim in victims)
    process.communicate("go\n", timeout=STILL_SECONDS)
    return {**lab.state(), "entered": entered, "dead": dead, "was_waiting": was_waiting}


def killed_inside(lab: Lab) -> dict[str, Any]:
    """Killed inside the transaction, at a switch the block itself makes."""
    seen: dict[str, Any] = {}
    inside = Event()

    def write() -> None:
        with lab.units.write(WHICH) as work:
            seen["connection"] = raw_connection(work)
            put(work, "half")
            work.tell("half")
            inside.set()
            gevent.sleep(STILL_SECONDS)

    def ask() -> None:
        def decide(work: Work) -> str:
            seen["connection"] = raw_connection(work)
            put(work, "half")
            inside.set()
            gevent.sleep(STILL_SECONDS)
            return "never"

        lab.units.once(WHICH, operation("killed"), decide)

    def read() -> None:
        with lab.units.read(WHICH) as work:
            seen["connection"] = raw_connection(work)
            work.execute(select(probe)).all()
            inside.set()
            gevent.sleep(STILL_SECONDS)

    results = {}
    for act in (write, ask, read):
        inside.clear()
        victim = gevent.spawn(act)
        assert inside.wait(STILL_SECONDS)
        tainted = seen.pop("connection")
        victim.kill(block=True, timeout=STILL_SECONDS)
        reused = _is_used_again(lab, tainted)
        results[act.__name__] = {**lab.state(), "dead": victim.dead, "reused": reused}
    again = lab.units.once(WHICH, operation("killed"), lambda work: "now")
    return {"results": results, "again": again}


def _is_used_again(lab: Lab, tainted: object) -> bool:
    """Whether any of more connections than the pool holds is the one the dead had."""
    free = BoundedSemaphore(1)
    found = []

    def look() -> None:
        with lab.units.read(WHICH) as work, free:
            found.append(raw_connection(work) is tainted)
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(look) for _ in range(15)], raise_error=True)
    return any(found)


def timed_out(lab: Lab) -> dict[str, Any]:
    """A gevent.Timeout raised inside the block is one more way to die."""
    raised = False
    try:
        with gevent.Timeout(0.02), lab.units.write(WHICH) as work:
            put(work, "half")
            gevent.sleep(STILL_SECONDS)
    except gevent.Timeout:
        raised = True
    return {**lab.state(), "raised": raised}


def given_up(lab: Lab) -> dict[str, Any]:
    """Another process never lets go: each of many gets its refusal within the bound, none hangs."""
    process = lab.hold_lock(2 * STILL_SECONDS)
    work_module.WAIT_SECONDS_MAX = 2

    def write(index: int) -> str:
        try:
            with lab.units.write(WHICH) as work:
                put(work, f"never {index}")
        except DatabaseUnavailable:
            return "unavailable"
        return "written"

    began = time.perf_counter()
    writers = [gevent.spawn(write, index) for index in range(30)]
    gevent.joinall(writers, raise_error=True, timeout=2 * STILL_SECONDS)
    seconds = time.perf_counter() - began
    process.communicate("go\n", timeout=STILL_SECONDS)
    return {**lab.state(), "outcomes": [one.value for one in writers], "seconds": seconds}


EXPERIMENTS = (switches, hub, killed_waiting, killed_inside, timed_out, given_up)

if __name__ == "__main__":
    wanted, urls, holder = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
    (experiment,) = [one for one in EXPERIMENTS if one.__name__ == wanted]
    print(json.dumps(experiment(Lab(urls, holder))))  # noqa: T201 - the answer to the test
