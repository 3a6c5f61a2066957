"""gunicorn as gunicorn.conf.py sets it up: two processes, our own HTTP server, a swift end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from backend.app import open_parts
from backend.config import ROOT, load_config
from tools.story.instance import environment, free_port, is_ready

WAIT_SECONDS = 60.0
STOP_SECONDS = 20.0  # less than graceful_timeout: nobody waited for idle connections
POLL_SECONDS = 0.1
CODE_REQUEST = {"phone": "13900000001"}


@pytest.fixture
def city(tmp_path: Path) -> dict[str, str]:
    """The environment of a city that was made and is served by nobody yet."""
    settings = environment(tmp_path / "var", free_port(), free_port())
    open_parts(load_config(settings), make=True).databases.close()
    return settings


@contextmanager
def served(settings: Mapping[str, str], log: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The public network; what was said is shown when something fails."""
    address = f"127.0.0.1:{settings['CITY_PUBLIC_PORT']}"
    command = [sys.executable, "-m", "gunicorn", "--bind", address, "wsgi:public"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=settings, stdout=out, stderr=out)
    try:
        yield f"http://{address}", process
    except BaseException as error:
        error.add_note(log.read_text("utf-8", "replace")[-4000:])
        raise
    finally:
        process.kill()
        process.wait(WAIT_SECONDS)


def _workers(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()


def test_two_processes_serve_and_stop_at_once(city: dict[str, str], tmp_path: Path) -> None:
    with served(city, tmp_path / "log") as (url, process):
        deadline = time.monotonic() + WAIT_SECONDS
        while not is_ready(url):
            assert process.poll() is None
            assert time.monotonic() < deadline, "not in time"
            time.sleep(POLL_SECONDS)  # sleep: another process tells us nothing
        with httpx.Client(base_url=url, trust_env=False, timeout=WAIT_SECONDS) as client:
            first = client.post("/v1/login/codes", json=CODE_REQUEST)
            again = client.post("/v1/login/codes", json=CODE_REQUEST)
            assert (first.status_code, again.status_code) == (202, 429), first.text
            assert client.get("/v1/me/wallets").status_code == 401
            assert "RateLimit-Remaining" in first.headers
            assert len(_workers(process.pid)) == 2
            # The client's connection is still open, and no reason to wait.
            process.terminate()
            assert process.wait(STOP_SECONDS) == 0


@pytest.mark.parametrize("workers", ["0", "257", "２"])
def test_a_wrong_number_of_processes_is_refused(city: dict[str, str], workers: str) -> None:
    command = [sys.executable, "-m", "gunicorn", "--check-config", "wsgi:public"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**city, "CITY_WORKERS": workers},
        capture_output=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert done.returncode != 0
    assert b"CITY_WORKERS must be 1 to 256" in done.stderr
