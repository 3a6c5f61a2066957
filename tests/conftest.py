"""What every test gets: a closed network, a seeded Hypothesis, PC/SC, PostgreSQL, a browser, and
the account of what was skipped. Knows nothing of the product; databases with our tables are
made in tests/backend/conftest.py.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import network, postgres
from tools import pcscd as pcscd_tool

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "var" / "test-report.json"
SYSTEM_MARKERS = ("pcsc", "postgres", "softhsm", "browser")
pytest_plugins = ("pytester",)
RUN_DIRECTORY = pytest.StashKey[Path]()
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# One seed in CI and in two runs of the same code: a red test is red again. `HYPOTHESIS_PROFILE=
# search` looks in new places each time. Deadlines measure the machine, not the code.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "search", deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


# --- one directory per run, shared by its workers ----------------------------------------------


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """The controller makes the run's directory; workers are told where it is."""
    if _is_worker(config):
        config.stash[RUN_DIRECTORY] = Path(config.workerinput["run_directory"])  # type: ignore[attr-defined]
    else:
        config.stash[RUN_DIRECTORY] = Path(tempfile.mkdtemp(prefix="city-"))
        config.pluginmanager.register(Account(), "account-of-skips")


def pytest_unconfigure(config: pytest.Config) -> None:
    """The controller, last to leave, stops the database server and sweeps."""
    if not _is_worker(config) and RUN_DIRECTORY in config.stash:
        postgres.stop(config.stash[RUN_DIRECTORY])
        shutil.rmtree(config.stash[RUN_DIRECTORY], ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # xdist's WorkerController: no public type
    """Hands the run's directory to a worker."""
    node.workerinput["run_directory"] = str(node.config.stash[RUN_DIRECTORY])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """There is one virtual reader: tests that use it go to one worker, in order.

    Whoever asks for the token of SoftHSM is marked for the account.
    """
    for item in items:
        if item.get_closest_marker("pcsc") is not None:
            item.add_marker(pytest.mark.xdist_group("pcsc"))
        if "softhsm" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.softhsm)


# --- the account of what ran and what was skipped ----------------------------------------------


class Account:
    """Counts tests per system marker; tells loudly, and to CI, what was skipped."""

    def __init__(self) -> None:
        self.ran: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called in the controller for each phase of each test."""
        for marker in SYSTEM_MARKERS:
            if marker not in report.keywords:
                continue
            if report.skipped:
                self.skipped[marker] += 1
                self.reasons[marker] = _skip_reason(report)
            elif report.when == "call":
                self.ran[marker] += 1

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Writes what `.ci/run` reads."""
        REPORT.parent.mkdir(exist_ok=True)
        figures = {"ran": self.ran, "skipped": self.skipped}
        REPORT.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One loud line for each part of the system that is missing."""
        for marker, count in self.skipped.items():
            line = f"SKIPPED {count} {marker} test(s): {self.reasons[marker]}"
            terminalreporter.write_line(line, red=True, bold=True)


def _skip_reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(report.longrepr)


# --- fixtures ------------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def _closed_network() -> Iterator[None]:
    with network.closed():
        yield


@pytest.fixture(autouse=True)
def _no_call_outside() -> Iterator[None]:
    """A call refused in a thread or swallowed on the way still fails the test that made it."""
    network.take_refused()
    yield
    refused = network.take_refused()
    if refused:
        pytest.fail(f"the network is closed to tests, yet this one tried: {', '.join(refused)}")


@pytest.fixture(scope="session")
def pcscd() -> Iterator[pcscd_tool.Daemon]:
    """A running pcscd whose virtual reader is this process's own; tests carry @pytest.mark.pcsc."""
    reason = pcscd_tool.available()
    if reason is not None:
        pytest.skip(reason)
    with pcscd_tool.ensure_running() as daemon:
        yield daemon


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> postgres.Server:
    """The run's PostgreSQL 18, started by whoever asks first; tests carry @pytest.mark.postgres."""
    try:
        return postgres.start(pytestconfig.stash[RUN_DIRECTORY])
    except postgres.Unavailable as unavailable:
        pytest.skip(str(unavailable))


@pytest.fixture(scope="session")
def worker_name(request: pytest.FixtureRequest) -> str:
    """`gw0`, `gw1`, … under xdist, else `main`: for names that must not collide between workers."""
    workerinput = getattr(request.config, "workerinput", None)
    return str(workerinput["workerid"]) if workerinput else "main"


@pytest.fixture(scope="session")
def postgres_url(postgres_server: postgres.Server, worker_name: str) -> Iterator[str]:
    """URL of an empty database of this worker's own (`postgresql://…`)."""
    with postgres_server.database(f"{worker_name}_scratch") as url:
        yield url


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of Debian's Chromium; tests carry @pytest.mark.browser."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("needs Chromium (Debian: chromium)")
    return path


@pytest.fixture
def browser(chromium: str) -> Iterator[Any]:
    """A headless playwright Browser, one a test: playwright holds an event loop while open."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS))
        yield opened
        opened.close()
