"""The peer: pgbench's own TPC-B script on the same server; knows nothing of ours.

It has no unique id, no idempotency, no overdraft check, no second entry.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from tools.benches.errors import BenchFailed
from tools.benches.rounds import Round, Times
from tools.benches.server import SUPERUSER, Server, run_program

DATABASE = "pgbench"
CLIENTS, THREADS = 16, 2
SCALE = 4 * CLIENTS
"""TPC-B updates one of `scale` branches: fewer would measure waiting for a branch."""

_PATTERNS = {
    "processed": re.compile(r"^number of transactions actually processed: (\d+)", re.M),
    "failed": re.compile(r"^number of failed transactions: (\d+)", re.M),
    "tps": re.compile(r"^tps = ([0-9.]+) \(without initial connection time\)", re.M),
    "latency_ms": re.compile(r"^latency average = ([0-9.]+) ms", re.M),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What pgbench prints at its end."""

    processed: int
    failed: int
    tps: float
    latency_ms: float


def parse(text: str) -> Outcome:
    """Reads pgbench's report. Raises BenchFailed when a figure is not in it."""
    values: dict[str, float] = {}
    for name, pattern in _PATTERNS.items():
        if (found := pattern.search(text)) is None:
            raise BenchFailed(f"pgbench says nothing of {name}: {text.strip()[-500:]}")
        values[name] = float(found[1])
    return Outcome(
        int(values["processed"]), int(values["failed"]), values["tps"], values["latency_ms"]
    )


def prepare(server: Server, scale: int = SCALE, database: str = DATABASE) -> None:
    """Makes pgbench's tables in a new database: 100 000 accounts for each unit of scale."""
    server.create(database)
    where = ["-h", str(server.socket_directory), "-U", SUPERUSER]
    run_program("pgbench", [*where, "-i", "-q", "-s", str(scale), database])


@dataclass(frozen=True, slots=True)
class Pgbench:
    """pgbench as a subject. `protocol`: "simple" (its default) or "prepared"."""

    server: Server
    protocol: str = "simple"
    database: str = DATABASE
    name: str = "pgbench"

    def run(self, seconds: float) -> Round:
        """One run of whole seconds, rounded up; pgbench empties its history before it begins."""
        where = ["-h", str(self.server.socket_directory), "-U", SUPERUSER]
        clients = ["-c", str(CLIENTS), "-j", str(THREADS), "-M", self.protocol]
        for_seconds = ["-T", str(math.ceil(seconds))]
        said = parse(run_program("pgbench", [*where, *clients, *for_seconds, self.database]))
        return Round(
            acknowledged=said.processed,
            found=self.server.ask(self.database, "SELECT count(*) FROM pgbench_history"),
            seconds=said.processed / said.tps,
            refused={"failed": said.failed} if said.failed else {},
            times=Times(mean_ms=said.latency_ms),
        )
