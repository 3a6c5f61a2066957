"""Under gevent, in a process patched as the server is: no switch inside, no blocked hub, no corpse.

The tests' own process is not patched; `greenlet_lab.py` and `group_lab.py` run the product's code
and report.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from db_world import ON_SQLITE, urls_of

from backend.db import Databases, Which

pytestmark = pytest.mark.usefixtures("probe_table")

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
LIMIT_SECONDS = 90


def _run(experiment: str, databases: Databases, lab: str = "greenlet_lab.py") -> Any:
    holder = json.dumps([sys.executable, str(HERE / "lock_holder.py")])
    urls = json.dumps(urls_of(databases))
    result = subprocess.run(
        [sys.executable, "-W", "error", str(HERE / lab), experiment, urls, holder],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def _left_nothing(state: dict[str, Any]) -> None:
    assert not [name for name in state["names"] if not name.startswith("next ")]
    assert state["writer_free"]
    assert state["checked_out"] == 0
    assert state["running"] == 0
    assert state["next_write"] == "done"


@ON_SQLITE
def test_no_greenlet_switches_while_a_write_transaction_is_open(databases: Databases) -> None:
    seen = _run("switches", databases)
    assert seen["while_writing"] == 0
    assert seen["all"] > 400, "the greenlets did take turns"
    assert seen["rows"] == 400 * 2 - 80
    assert seen["control"]["while_writing"] > 0, "the detector sees nothing"


@ON_SQLITE
def test_the_hub_runs_on_while_another_process_writes(databases: Databases) -> None:
    seen = _run("hub", databases)
    best = min(seen["rounds"], key=lambda one: one["worst_gap"])
    # SQLite waiting in C would stop the hub for as long as the lock is held, a whole second; what
    # other processes on the machine take from us stays well below.
    assert best["worst_gap"] <= 0.25, seen["rounds"]
    assert best["ticks"] > 50
    assert best["waited"] > 0.3, "the writers did have to wait"
    assert len(seen["names"]) == 20 * len(seen["rounds"])


@ON_SQLITE
def test_killed_while_waiting_for_the_lock(databases: Databases) -> None:
    seen = _run("killed_waiting", databases)
    assert seen["dead"]
    assert seen["was_waiting"]
    assert seen["entered"] == []
    _left_nothing(seen)


def test_killed_inside_a_transaction(databases: Databases) -> None:
    seen = _run("killed_inside", databases)
    for state in seen["results"].values():
        assert state["dead"]
        assert not state["reused"]
        _left_nothing(state)
    assert seen["again"] == "now", "no answer was kept, the id is free"


def test_a_timeout_inside_a_transaction(databases: Databases) -> None:
    seen = _run("timed_out", databases)
    assert seen["raised"]
    _left_nothing(seen)


@ON_SQLITE
def test_a_lock_that_is_never_let_go_refuses_everybody_in_time(databases: Databases) -> None:
    seen = _run("given_up", databases)
    assert seen["outcomes"] == ["unavailable"] * 30
    assert seen["seconds"] < 15
    _left_nothing(seen)


# --- commands decided together --------------------------------------------------------------------

GROUP = "group_lab.py"


def _group_is_free(seen: dict[str, Any]) -> None:
    assert (seen["leaders"], seen["queue"]) == (0, 0)
    assert seen["writer_free"]
    assert (seen["checked_out"], seen["running"]) == (0, 0)
    assert seen["next_write"] == "done"


def test_the_queue_goes_on_when_its_leader_and_one_who_waits_are_killed(
    databases: Databases,
) -> None:
    seen = _run("killed", databases, GROUP)
    assert seen["leader"]
    assert seen["heard"] == ["did w0", "GreenletExit", "did w2", "did w3", "did w4"]
    assert seen["written"] == ["w0", "w2", "w3", "w4"]
    _group_is_free(seen)


def test_a_leader_killed_before_it_begins_leaves_its_place(databases: Databases) -> None:
    seen = _run("killed_at_the_door", databases, GROUP)
    assert seen["stood"]
    assert (seen["heard"], seen["written"]) == (["did next"], ["next"])
    _group_is_free(seen)


def test_a_leader_killed_while_it_decides_for_others_writes_nothing(databases: Databases) -> None:
    seen = _run("killed_with_others", databases, GROUP)
    unavailable = "database_unavailable"
    assert seen["heard"] == ["GreenletExit", unavailable, unavailable, "did late"]
    assert seen["written"] == ["first", "late"]
    assert seen["again"] == ["did a", "did b", "did c"], "their ids are free"
    _group_is_free(seen)


def test_who_gives_up_waiting_is_not_decided(databases: Databases) -> None:
    seen = _run("timed_out_waiting", databases, GROUP)
    assert seen["heard"] == ["timed out", "did leader", "did waiting"]
    _group_is_free(seen)


def test_hundreds_of_greenlets_share_a_few_transactions(databases: Databases) -> None:
    seen = _run("batches", databases, GROUP)
    assert seen["right"]
    assert seen["rows"] == 320
    assert 1 <= seen["commits"] <= 40, "they were decided together"
    if databases[Which.BUSINESS].is_sqlite:
        assert seen["while_writing"] == 0
    _group_is_free(seen)
