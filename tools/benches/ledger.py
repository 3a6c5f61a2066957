"""`python -m tools.benches.ledger [--long]`: postings without HTTP against pgbench.

One at a time from 16 clients, and in batches of 500; the long form also asks what a posting
costs among 10 000 and among 10 000 000 accounts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from backend.db import Which
from tools.benches import command, pgbench, subjects
from tools.benches.errors import BenchFailed
from tools.benches.orders import AMOUNT_FEN
from tools.benches.report import Report, Row, busy_share, publish
from tools.benches.rounds import Round, interleave, ranked, ratio, run_once
from tools.benches.server import Server, running_server

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = 16
BATCH = 500
ACCOUNTS_FEW, ACCOUNTS_MANY = 10_000, 10_000_000
SCALE_MANY = 100  # pgbench's own 10 000 000 accounts
DATABASE_MANY = "pgbench_many"
STOP_TIMEOUT_SECONDS = 10.0
POSTING, BATCHES = "posting, one at a time", f"posting, batches of {BATCH}"
PREPARED = "pgbench -M prepared"
FEW, MANY = "posting among 10^4", "posting among 10^7"
PGBENCH_MANY = f"pgbench, scale {SCALE_MANY}"
PGBENCH_FEW = f"pgbench, scale {pgbench.SCALE}"
LACKS = "TPC-B, 16 clients; three balances and a history line, no unique id, overdraft check"
NOTES = {
    "pgbench": LACKS,
    PREPARED: "the same with prepared statements; for comparison, in no ratio",
    POSTING: "16 clients; unique id, floor, two entries, two balances; found by id",
    BATCHES: "one batch at a time in each process; each operation stands or falls alone",
    PGBENCH_FEW: LACKS,
    FEW: "16 clients",
    PGBENCH_MANY: LACKS,
    MANY: "16 clients",
}


@dataclass(slots=True)
class Clients:
    """Processes of clients over one ledger, each told one line at a time."""

    processes: Sequence[subprocess.Popen[str]] = field(repr=False)
    url: str
    operations: int  # that must be in the journal by now
    paid_fen: int  # that payees must have by now

    def run(self, seconds: float, batch: int, accounts: int) -> Round:
        """One round of all of them together."""
        asked = json.dumps({"seconds": seconds, "batch": batch, "accounts": accounts})
        for process in self.processes:
            _tell(process, asked)
        for process in self.processes:
            _hear(process)
        for process in self.processes:
            _tell(process, "go")
        heard = [_hear(process) for process in self.processes]
        refused: dict[str, int] = {}
        for code, count in [pair for one in heard for pair in one["refused"].items()]:
            refused[code] = refused.get(code, 0) + count
        acknowledged = sum(one["acknowledged"] for one in heard)
        self.operations += acknowledged
        self.paid_fen += acknowledged * AMOUNT_FEN
        return Round(
            acknowledged=acknowledged,
            found=sum(one["found"] for one in heard),
            seconds=max(one["seconds"] for one in heard),
            refused=refused,
            times=ranked([duration for one in heard for duration in one["durations_ns"]]),
        )

    def check(self) -> None:
        """Raises BenchFailed when the books hold anything but what was acknowledged."""
        count = _count(self.url)
        if count != self.operations:
            raise BenchFailed(f"{self.operations} operations acknowledged, {count} in the journal")
        owed = subjects.sum_paid_fen(self.url)
        if owed != self.paid_fen:
            raise BenchFailed(f"{self.paid_fen} fen acknowledged, payees are owed {owed}")


@dataclass(frozen=True, slots=True)
class Posting:
    """The ledger as a subject; `batch` 1: one at a time."""

    name: str
    clients: Clients
    batch: int
    accounts: int

    def run(self, seconds: float) -> Round:
        return self.clients.run(seconds, self.batch, self.accounts)


def bench(form: command.Form) -> None:
    """Sets up, measures, reports. Raises BenchFailed."""
    busy_before = busy_share()
    began = time.monotonic()
    with running_server() as server:
        pgbench.prepare(server)
        url = _make_ledger(server, "ledger", ACCOUNTS_FEW)
        form.tell(f"set up in {time.monotonic() - began:.0f} s")
        seen = _measure_short(server, form, url)
        if form.is_long:
            seen |= _measure_growth(server, form, url)
        versions = {"postgresql": server.version}
    ratios = {
        "posting_pgbench": ratio(seen[POSTING], seen["pgbench"]),
        "batch_pgbench": ratio(seen[BATCHES], seen["pgbench"]),
    }
    if form.is_long:
        few, many = ratio(seen[FEW], seen[PGBENCH_FEW]), ratio(seen[MANY], seen[PGBENCH_MANY])
        ratios["cost_growth"] = few / many
    rows = [Row(name, seen[name], NOTES[name]) for name in NOTES if name in seen]
    seconds = time.monotonic() - began
    publish(Report("bench-ledger", form.name, rows, ratios, versions, seconds, busy_before))


def _measure_short(server: Server, form: command.Form, url: str) -> dict[str, list[Round]]:
    """Both ways of posting over pgbench, and pgbench with prepared statements once."""
    with _clients(url, form.processes) as clients:
        server.settle()
        seen = interleave(
            [
                pgbench.Pgbench(server),
                Posting(POSTING, clients, 1, ACCOUNTS_FEW),
                Posting(BATCHES, clients, BATCH, ACCOUNTS_FEW),
            ],
            form.seconds,
            form.rounds,
            form.tell_round,
        )
        clients.check()
    prepared = pgbench.Pgbench(server, protocol="prepared", name=PREPARED)
    return seen | {PREPARED: [run_once(prepared, form.seconds, form.tell_round)]}


def _measure_growth(server: Server, form: command.Form, url: str) -> dict[str, list[Round]]:
    """A posting among few and among many accounts, each over a pgbench of its size beside it.

    pgbench's scale is never below four times its clients, so its few are 6 400 000.
    """
    form.tell(f"making {ACCOUNTS_MANY} accounts")
    pgbench.prepare(server, SCALE_MANY, DATABASE_MANY)
    url_many = _make_ledger(server, "ledger_many", ACCOUNTS_MANY)
    with _clients(url, form.processes) as few, _clients(url_many, form.processes) as many:
        server.settle()
        seen = interleave(
            [
                pgbench.Pgbench(server, name=PGBENCH_FEW),
                Posting(FEW, few, 1, ACCOUNTS_FEW),
                pgbench.Pgbench(server, database=DATABASE_MANY, name=PGBENCH_MANY),
                Posting(MANY, many, 1, ACCOUNTS_MANY),
            ],
            form.seconds,
            form.rounds,
            form.tell_round,
        )
        many.check()
    return seen


def _make_ledger(server: Server, database: str, accounts: int) -> str:
    urls = {}
    for which in Which:
        name = f"{database}_{which.value}"
        server.create(name)
        urls[which] = server.url(name, sqlalchemy=True)
    subjects.migrate(urls)
    with closing(subjects.open_ledger(urls[Which.LEDGER], 1)) as ledger:
        ledger.open_accounts(accounts)
    server.vacuum(f"{database}_{Which.LEDGER.value}")
    return urls[Which.LEDGER]


def _count(url: str) -> int:
    with closing(subjects.open_ledger(url, 1)) as ledger:
        return ledger.count()


@contextmanager
def _clients(url: str, processes: int) -> Iterator[Clients]:
    """CLIENTS clients in that many processes; gone at the end. Raises BenchFailed."""
    if CLIENTS % processes:
        raise BenchFailed(f"{CLIENTS} clients cannot be shared out to {processes} processes")
    command_ = [sys.executable, "-m", "tools.benches.ledger_client", url]
    made: list[subprocess.Popen[str]] = []
    try:
        for _ in range(processes):
            made.append(
                subprocess.Popen(
                    [*command_, str(CLIENTS // processes)],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        for process in made:
            _hear(process)
        yield Clients(made, url, _count(url), subjects.sum_paid_fen(url))
    finally:
        for process in made:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_TIMEOUT_SECONDS)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _tell(process: subprocess.Popen[str], line: str) -> None:
    _pipe(process.stdin).write(f"{line}\n")
    _pipe(process.stdin).flush()


def _hear(process: subprocess.Popen[str]) -> dict[str, Any]:
    line = _pipe(process.stdout).readline()
    if not line:
        raise BenchFailed(f"a process of clients ended with {process.wait(STOP_TIMEOUT_SECONDS)}")
    heard: dict[str, Any] = json.loads(line)
    return heard


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


if __name__ == "__main__":
    raise SystemExit(command.run("tools.benches.ledger", __doc__, bench))
