"""`python -m tools.benches.payments [--long]`: payments over HTTP against their peers.

PostgreSQL, two gunicorn workers, the generator and the peers share this machine's cores.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.benches import city as cities
from tools.benches import command, pgbench
from tools.benches.city import City, Process
from tools.benches.http_subjects import Nothing, Paying, Repeating, Till
from tools.benches.report import Report, Row, busy_share, publish
from tools.benches.rounds import (
    Round,
    Subject,
    interleave,
    median_p99_ms,
    median_per_second,
    ratio,
    run_once,
)
from tools.benches.served import AUTHENTICATED_PATH
from tools.benches.server import Server, running_server, scratch_folder
from tools.benches.sqlite_raw import RawLoop

SERVED = "tools.benches.served"
CITIZENS, MERCHANTS = 2000, 100
UNIFORM, HOT, REPEATED = "payments, 100 shops", "payments, one shop", "repeated requests"
EMPTY, AUTHENTICATED = "empty handler", "empty, authenticated"
UNIFORM_HALF, HOT_HALF = "half load, 100 shops", "half load, one shop"
SQLITE, RAW = "SQLite default city", "raw sqlite3 loop"
PREPARED = "pgbench -M prepared"
NOTES = {
    "pgbench": "TPC-B, 16 clients; no unique id, idempotency, overdraft check, HTTP, caller, audit",
    PREPARED: "the same with prepared statements; for comparison, in no ratio",
    UNIFORM: "POST /v1/me/payments, 32 connections, 2 workers; found in the ledger by id",
    EMPTY: "bare Flask, same requests, same gunicorn; no manners, no database",
    HOT: "the same payments, all to one shop",
    REPEATED: "answered from the id; nothing is paid",
    AUTHENTICATED: "the public network's manners and the caller's token; no command",
    UNIFORM_HALF: "fixed rate, half of the throughput above; from the moment it was due",
    HOT_HALF: "the same rate to one shop",
    RAW: "FULL, one commit each; no HTTP, caller, idempotent answer, limits, audit, other clients",
    SQLITE: "`python -m backend run`, one process, three SQLite files",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """What runs, ready to be measured. `authenticated`: in the long form only."""

    server: Server
    till: Till
    public: Process
    bare: Process
    authenticated: Process | None
    sqlite_till: Till
    sqlite: Process
    raw: RawLoop


def bench(form: command.Form) -> None:
    """Sets up, measures, reports. Raises BenchFailed."""
    busy_before = busy_share()
    began = time.monotonic()
    with _stage(is_long=form.is_long) as stage:
        form.tell(f"set up in {time.monotonic() - began:.0f} s")
        seen = interleave(_postgres_subjects(stage), form.seconds, form.rounds, form.tell_round)
        seen |= _prepared(stage, form)
        stage.till.check()
        half = median_per_second(seen[UNIFORM]) / 2
        halves = _halves(stage, half)
        seen |= interleave(halves, form.seconds, form.rounds, form.tell_round)
        stage.till.check()
        seen |= interleave(_sqlite_subjects(stage), form.seconds, form.rounds, form.tell_round)
        stage.sqlite_till.check()
        versions = {"postgresql": stage.server.version}
    rows = [Row(name, seen[name], NOTES[name]) for name in NOTES if name in seen]
    seconds = time.monotonic() - began
    publish(
        Report("bench-payments", form.name, rows, _ratios(seen), versions, seconds, busy_before)
    )


def _ratios(seen: dict[str, list[Round]]) -> dict[str, float]:
    return {
        "http_pgbench": ratio(seen[UNIFORM], seen["pgbench"]),
        "http_empty": ratio(seen[UNIFORM], seen[EMPTY]),
        "hot_uniform": ratio(seen[HOT], seen[UNIFORM]),
        "hot_uniform_p99": median_p99_ms(seen[HOT_HALF]) / median_p99_ms(seen[UNIFORM_HALF]),
        "replay_first": ratio(seen[REPEATED], seen[UNIFORM]),
        "sqlite_http_raw": ratio(seen[SQLITE], seen[RAW]),
    }


def _postgres_subjects(stage: Stage) -> list[Subject]:
    codes = stage.till.city.codes
    made: list[Subject] = [
        pgbench.Pgbench(stage.server),
        Paying(UNIFORM, stage.public, stage.till, codes),
        Repeating(REPEATED, stage.public, stage.till),
        Nothing(EMPTY, stage.bare, stage.till.city),
        Paying(HOT, stage.public, stage.till, codes[:1]),
    ]
    if stage.authenticated is not None:
        made.append(
            Nothing(AUTHENTICATED, stage.authenticated, stage.till.city, AUTHENTICATED_PATH)
        )
    return made


def _prepared(stage: Stage, form: command.Form) -> dict[str, list[Round]]:
    prepared = pgbench.Pgbench(stage.server, protocol="prepared", name=PREPARED)
    return {PREPARED: [run_once(prepared, form.seconds, form.tell_round)]}


def _halves(stage: Stage, per_second: float) -> Sequence[Subject]:
    codes = stage.till.city.codes
    return [
        Paying(UNIFORM_HALF, stage.public, stage.till, codes, per_second),
        Paying(HOT_HALF, stage.public, stage.till, codes[:1], per_second),
    ]


def _sqlite_subjects(stage: Stage) -> Sequence[Subject]:
    till = stage.sqlite_till
    return [stage.raw, Paying(SQLITE, stage.sqlite, till, till.city.codes)]


@contextmanager
def _stage(*, is_long: bool) -> Iterator[Stage]:
    """Everything set up and answering; stopped and swept away at the end."""
    with ExitStack() as exits:
        server = exits.enter_context(running_server())
        folder = exits.enter_context(scratch_folder())
        pool = exits.enter_context(ThreadPoolExecutor(max_workers=1))
        prepared = pool.submit(pgbench.prepare, server)  # a program of its own: we go on
        city, sqlite_city = _make_cities(server, folder)
        public = exits.enter_context(cities.gunicorn(f"{SERVED}:public()", city, "public"))
        bare = exits.enter_context(cities.gunicorn(f"{SERVED}:bare()", city, "bare"))
        authenticated = None
        if is_long:
            app = f"{SERVED}:authenticated()"
            authenticated = exits.enter_context(cities.gunicorn(app, city, "authenticated"))
        sqlite = exits.enter_context(cities.sqlite_city(sqlite_city))
        raw = RawLoop(folder / "raw.db")
        raw.prepare()
        for one in filter(None, (public, bare, authenticated)):
            cities.wait_until_ready(one)
        prepared.result()
        server.settle()
        yield Stage(server, Till(city), public, bare, authenticated, Till(sqlite_city), sqlite, raw)


def _make_cities(server: Server, folder: Path) -> tuple[City, City]:
    """One on PostgreSQL, one as `make run` has it."""
    settings = cities.postgres_settings(server)
    return (
        cities.make_city(folder / "postgres" / "var", settings, CITIZENS, MERCHANTS),
        cities.make_city(folder / "sqlite" / "var", {}, CITIZENS, MERCHANTS),
    )


if __name__ == "__main__":
    raise SystemExit(command.run("tools.benches.payments", __doc__, bench))
