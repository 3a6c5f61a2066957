"""One gevent process: public network, internal network, worker; then the story, once."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import gevent
import httpx
import structlog
from gevent.event import Event
from gevent.pool import Pool

from backend.app import Parts, create_internal_app, create_public_app
from backend.config import ROOT, Config
from backend.demo import load_demo
from backend.kernel import DomainError, garbage
from backend.transit import DenyListUpkeep
from backend.wallet.ledger.model import LedgerBroken
from backend.web.logs import set_up_logs
from backend.web.server import Server

log = structlog.get_logger(__name__)

GREENLETS_MAX = 1000
SEAL_PAUSE_SECONDS = 60.0
SWEEP_PAUSE_SECONDS = 2.0  # after a page of 1 000: 10^6 numbers take some 35 minutes
SWEEP_REST_SECONDS = 600.0  # after all of them
BANK_TICK_SECONDS = 0.2
BANK_PAUSE_SECONDS = 5.0  # after a notice was not taken
STORY_TIMEOUT_SECONDS = 300
NOTICE_TIMEOUT_SECONDS = 5.0


class PortTaken(Exception):
    """Somebody else listens there: told to the operator in one line."""


@dataclass(frozen=True, slots=True)
class Servers:
    """The two networks, listening."""

    public: Server
    internal: Server

    def start(self) -> None:
        """Accept: who connected before has waited, and is answered by a city that is all there."""
        for server in (self.public, self.internal):
            server.start()

    def stop(self) -> None:
        for server in (self.public, self.internal):
            server.stop(timeout=2)


def serve(config: Config, parts: Parts, *, with_story: bool) -> None:
    """Serve until interrupted. Raises PortTaken."""
    set_up_logs(config.var / "log" / "city.log")
    servers = _listen(config, parts)
    parts.wallets.open_house()
    load_demo(config, parts)
    garbage.settle()
    servers.start()
    gevent.spawn(parts.worker.run)
    gevent.spawn(_seal_by_and_by, parts)
    gevent.spawn(_sweep_by_and_by, DenyListUpkeep(parts.deny_lists))
    gevent.spawn(_run_sandbox_bank, parts, config)
    if with_story and not config.story_path.exists():
        _play_story(config)
    print(_welcome(config), flush=True)
    _wait_for_signal()
    parts.worker.stop()
    servers.stop()


def work(parts: Parts) -> None:
    """Deliver the outbox until interrupted; for installations with several processes."""
    set_up_logs(None)
    gevent.spawn(_run_sandbox_bank, parts, parts.config)
    gevent.spawn(_seal_by_and_by, parts)
    gevent.spawn(_sweep_by_and_by, DenyListUpkeep(parts.deny_lists))
    gevent.spawn(parts.worker.run)
    _wait_for_signal()
    parts.worker.stop()


def _seal_by_and_by(parts: Parts) -> None:
    """Close and seal the journal's open segment every minute, if anything was posted."""
    while True:
        gevent.sleep(SEAL_PAUSE_SECONDS)
        try:
            while seal := parts.sealer.seal():
                log.info("segment_sealed", number=seal.number, postings=seal.postings)
        except DomainError as refusal:  # writers held the segment too long: next time
            log.warning("seal_waits", code=refusal.code)
        except LedgerBroken:  # nothing is sealed over a broken book; the operator must look
            log.exception("seal_refused")


def _sweep_by_and_by(upkeep: DenyListUpkeep) -> None:
    """Compare the deny list with its sources: what no event told, and what has ended."""
    is_whole = False
    while True:
        gevent.sleep(SWEEP_REST_SECONDS if is_whole else SWEEP_PAUSE_SECONDS)
        is_whole = False
        try:
            is_whole = upkeep.turn()
        except DomainError as refusal:  # the database is busy: the same page again
            log.warning("deny_sweep_waits", code=refusal.code)
        except Exception:  # a sweep that ends here would leave lost cards acceptable
            log.exception("deny_sweep_fails")
            is_whole = True


def _wait_for_signal() -> None:
    """Until Ctrl-C or a service manager's TERM."""
    stopping = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, stopping.set)
    stopping.wait()


def _listen(config: Config, parts: Parts) -> Servers:
    pool = Pool(GREENLETS_MAX)
    made = []
    for app, port in (
        (create_public_app(parts), config.public_port),
        (create_internal_app(parts), config.internal_port),
    ):
        server = Server(("127.0.0.1", port), app, log=None, spawn=pool)
        try:
            server.init_socket()
        except OSError as error:
            raise PortTaken(f"port {port} cannot be used: {error.strerror}") from None
        made.append(server)
    return Servers(*made)


def _run_sandbox_bank(parts: Parts, config: Config) -> None:
    """The sandbox bank's own life: it decides late orders and sends its notices over HTTP."""
    url = f"{config.public_url}/v1/bank/notices"
    with httpx.Client(timeout=NOTICE_TIMEOUT_SECONDS) as client:
        while True:
            refused: list[str] = []
            try:
                parts.bank.tick(partial(_send_notice, client, url, refused))
            except sqlite3.Error as error:  # its book is busy or its disk full: it comes back
                refused.append(type(error).__name__)
            if refused:
                log.warning("bank_notices_not_taken", count=len(refused), last=refused[-1])
            gevent.sleep(BANK_PAUSE_SECONDS if refused else BANK_TICK_SECONDS)


def _send_notice(
    client: httpx.Client, url: str, refused: list[str], body: bytes, headers: Mapping[str, str]
) -> bool:
    """Whether the receiver took the notice; why it did not is added to `refused`."""
    typed = {"Content-Type": "application/json", **headers}
    try:
        answer = client.post(url, content=body, headers=typed)
    except httpx.HTTPError as error:
        refused.append(type(error).__name__)
        return False
    if not answer.is_success:
        refused.append(str(answer.status_code))
    return answer.is_success


def _play_story(config: Config) -> None:
    print("First start: the story is played against this server.", flush=True)
    command = [
        sys.executable,
        "-m",
        "tools.story",
        "--public",
        config.public_url,
        "--internal",
        config.internal_url,
        "--vendor-key",
        str(config.vendor_key_path),
        "--result",
        str(config.story_path),
    ]
    try:
        subprocess.run(command, cwd=ROOT, timeout=STORY_TIMEOUT_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        print("The story did not end in time; the server runs on.", flush=True)


def _welcome(config: Config) -> str:
    city = config.city["city"]["name"]
    lines = [
        f"{city['zh']} · {city['en']}",
        f"  public network    {config.public_url}/        API {config.public_url}/docs",
        f"  internal network  {config.internal_url}/        API {config.internal_url}/docs",
        f"  databases, keys, logs under {config.var}",
    ]
    for member in config.city.get("demo_staff", []):
        lines.append(
            f"  demo staff login  {member['username']} / {member['password']}"
            f" / TOTP secret {member['totp_secret']}"
        )
    lines.append("  demo citizen      phone 13800000001; its codes are in the SMS sandbox")
    return "\n".join(lines)
