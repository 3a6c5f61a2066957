"""A process of clients of the ledger, as greenlets; told over its standard input what to do.

One line of JSON in, one out: {"seconds": …, "batch": 1 or operations in each, "accounts": n}.
Knows nothing of HTTP and of the peers.
"""

# Before anything opens a socket or makes a lock: the clients are greenlets.
from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections import Counter  # noqa: E402
from dataclasses import dataclass, field  # noqa: E402

import gevent  # noqa: E402

from backend.kernel import DomainError, garbage  # noqa: E402
from tools.benches.orders import make_orders  # noqa: E402
from tools.benches.subjects import (  # noqa: E402
    LedgerSubject,
    Order,
    count_operations,
    open_ledger,
)

ORDERS_PER_SECOND_MAX = 40_000
NANOSECONDS = 1_000_000_000


@dataclass(slots=True)
class Heard:
    """What the clients of this process were told in one round."""

    posted: list[str] = field(default_factory=list)
    durations_ns: list[int] = field(default_factory=list)  # of a posting, or of a whole batch
    refused: Counter[str] = field(default_factory=Counter)


def run_round(
    ledger: LedgerSubject, clients: int, orders: list[Order], seconds: float, batch: int
) -> tuple[Heard, float]:
    """All clients at work for a while, each with its own orders; and the seconds they took."""
    heard = Heard()
    garbage.settle()  # as a server does; and the orders are no cost of the ledger
    began = time.perf_counter_ns()
    until = began + int(seconds * NANOSECONDS)
    shares = [orders[number::clients] for number in range(clients)]
    work = [gevent.spawn(_client, ledger, share, until, batch, heard) for share in shares]
    gevent.joinall(work, raise_error=True)
    took = (time.perf_counter_ns() - began) / NANOSECONDS
    gc.unfreeze()
    return heard, took


def _client(
    ledger: LedgerSubject, orders: list[Order], until_ns: int, batch: int, heard: Heard
) -> None:
    for at in range(0, len(orders), batch):
        now = time.perf_counter_ns()
        if now >= until_ns:
            return
        if batch == 1:
            _post(ledger, orders[at], heard)
        else:
            _post_batch(ledger, orders[at : at + batch], heard)
        heard.durations_ns.append(time.perf_counter_ns() - now)


def _post(ledger: LedgerSubject, order: Order, heard: Heard) -> None:
    try:
        ledger.post(*order)
    except DomainError as refusal:
        heard.refused[refusal.code] += 1
    else:
        heard.posted.append(order[0])


def _post_batch(ledger: LedgerSubject, orders: list[Order], heard: Heard) -> None:
    try:
        stands = ledger.post_batch(orders)
    except DomainError as refusal:
        heard.refused[refusal.code] += len(orders)
        return
    for order, is_posted in zip(orders, stands, strict=True):
        if is_posted:
            heard.posted.append(order[0])
        else:
            heard.refused["refused_in_batch"] += 1


def main() -> int:
    """Serves rounds until its input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("clients", type=int)
    chosen = parser.parse_args()
    ledger = open_ledger(chosen.url, chosen.clients)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        seconds, batch = asked["seconds"], asked["batch"]
        # A batch keeps the database busy by itself: one at a time in each process.
        clients = chosen.clients if batch == 1 else 1
        orders = make_orders(int(seconds * ORDERS_PER_SECOND_MAX), asked["accounts"])
        print(json.dumps({"prepared": len(orders)}), flush=True)
        sys.stdin.readline()  # all processes begin together
        heard, took = run_round(ledger, clients, orders, seconds, batch)
        told = {
            "acknowledged": len(heard.posted),
            "found": count_operations(chosen.url, heard.posted),
            "seconds": took,
            "refused": heard.refused,
            "durations_ns": heard.durations_ns,
        }
        print(json.dumps(told), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
