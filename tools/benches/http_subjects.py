"""Payments over HTTP as subjects of a round: sent, counted, and looked up in the books."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.benches import subjects
from tools.benches.city import PATH, City, Payments, Process, Repeated
from tools.benches.errors import BenchFailed
from tools.benches.http_load import Expected, Requests, Seen, closed_loop, open_loop
from tools.benches.rounds import Round, ranked

REQUESTS_PER_SECOND_MAX = 15_000
REPLAYED = b"idempotent-replayed: true"


@dataclass(slots=True)
class Till:
    """What was acknowledged in one city so far: each payment of it is 1 fen, once."""

    city: City
    paid: int = 0
    last: tuple[Payments, Sequence[int]] | None = None  # the newest round, to be repeated

    @property
    def ledger_url(self) -> str:
        return self.city.ledger_url

    def check(self) -> None:
        """Raises BenchFailed when merchants were not paid exactly what was acknowledged."""
        owed = subjects.sum_paid_fen(self.ledger_url)
        if owed != self.paid:
            raise BenchFailed(f"{self.paid} fen acknowledged, merchants are owed {owed}")


@dataclass(frozen=True, slots=True)
class Paying:
    """First-time payments to `codes`; `per_second`: at that rate (None: as fast as answered)."""

    name: str
    server: Process
    till: Till
    codes: Sequence[str] = field(repr=False)
    per_second: float | None = None

    def run(self, seconds: float) -> Round:
        requests = Payments(self.till.city, self.codes, _enough(seconds, self.per_second))
        seen = _load(self.server, requests, seconds, self.per_second, Expected())
        ids = [requests.ids[number] for number in seen.good]
        found = subjects.count_payments(self.till.ledger_url, ids)
        self.till.paid += len(ids)
        self.till.last = (requests, seen.good)
        return _round(seen, found)


@dataclass(frozen=True, slots=True)
class Repeating:
    """The requests of the newest round again: each is answered from its id, nothing is paid."""

    name: str
    server: Process
    till: Till

    def run(self, seconds: float) -> Round:
        if self.till.last is None:
            raise BenchFailed("there is nothing to repeat yet")
        repeated = Repeated(*self.till.last)
        seen = _load(self.server, repeated, seconds, None, Expected(in_head=REPLAYED))
        self.till.check()
        return _round(seen, len(seen.good))


@dataclass(frozen=True, slots=True)
class Nothing:
    """The same requests to a handler that does nothing: there is nothing to find afterwards."""

    name: str
    server: Process
    city: City
    path: str = PATH

    def run(self, seconds: float) -> Round:
        requests = Payments(self.city, self.city.codes, _enough(seconds, None), path=self.path)
        seen = _load(self.server, requests, seconds, None, Expected(status=204))
        return _round(seen, len(seen.good))


def _enough(seconds: float, per_second: float | None) -> int:
    return int(seconds * (per_second or REQUESTS_PER_SECOND_MAX)) + 1


def _load(
    server: Process,
    requests: Requests,
    seconds: float,
    per_second: float | None,
    expected: Expected,
) -> Seen:
    if per_second is None:
        return closed_loop(
            server.port, requests, seconds, workers=server.workers, expected=expected
        )
    return open_loop(
        server.port, requests, seconds, per_second, workers=server.workers, expected=expected
    )


def _round(seen: Seen, found: int) -> Round:
    return Round(
        acknowledged=len(seen.good),
        found=found,
        seconds=seen.seconds,
        refused=dict(seen.refused),
        late_ms_max=seen.late_ns_max / 1e6,
        times=ranked(seen.durations_ns),
    )
