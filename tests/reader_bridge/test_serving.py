"""`serve` as a merchant starts it: a process of its own, asked over HTTP, ended by a signal."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from reader_bridge.acceptance.upkeep import TerminalStatus
from reader_bridge.forward import SenderStatus
from reader_bridge.journal import Backlog
from reader_bridge.offline import standing_of
from reader_bridge.serving import health_of
from reader_bridge.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 30
WAITING = Backlog(700, 2, 10, 0, 0)


@pytest.fixture
def served(terminal: Terminal, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    terminal.close()
    command = [sys.executable, "-m", "reader_bridge", "serve", "--state", str(folder)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--reader-name", "no reader has this name"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait(timeout=SECONDS)
        process.stdout.close()


def test_it_serves_the_page_and_ends_when_told(served, folder):
    process, link = served
    found = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/open\?link=\S+", link)
    assert found is not None, link
    token = (folder / "local_token").read_text().strip()
    assert token not in link
    with httpx.Client(base_url=found[1], timeout=SECONDS, trust_env=False) as api:
        assert api.get("/v1/status").status_code == 401
        page = api.get(link, follow_redirects=True)
        assert page.status_code == 200
        assert "text/html" in page.headers["content-type"]
        status = api.get("/v1/status", headers={"Authorization": f"Bearer {token}"})
        assert status.status_code == 200
        assert status.json()["kept_count"] == 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=SECONDS) == 0  # everything was closed, not cut


def test_ctrl_c_is_an_end_without_a_traceback(served):
    process, link = served
    assert link
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=SECONDS) == 0


def test_a_folder_that_was_never_activated_is_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "reader_bridge", "serve", "--state", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("not_activated: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("failure", "answered_at", "is_online"),
    [(None, None, None), (None, 5, True), ("refused", None, False), ("refused", 5, False)],
)
def test_the_page_hears_of_the_line(failure, answered_at, is_online):
    sender = SenderStatus(WAITING, failure, 0, answered_at, 0, 0, 0)
    status = TerminalStatus(standing_of(None, None, 0), 3, None, None, WAITING, sender, 42)
    health = health_of(status)
    assert health.profile_age_seconds == 42
    assert health.is_online is is_online
    assert (health.kept_count, health.kept_sum_fen, health.profile_version) == (2, 700, 3)
