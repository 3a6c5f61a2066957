"""The PC/SC daemon with the virtual reader, for tests and the story; knows nothing of cards.

vsmartcard's driver inside pcscd listens on port 35963: whoever connects there *is* the card, so
this module never connects to it, it only looks whether somebody listens. One virtual reader per
machine: two processes must not plug their cards into it at once, hence the lock.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

VPCD_PORT = 35963
SLOT_PORTS = (VPCD_PORT, VPCD_PORT + 1)
START_TIMEOUT_SECONDS = 10.0
STOP_TIMEOUT_SECONDS = 5.0
LINGER_TIMEOUT_SECONDS = 90.0  # a closed connection keeps its port for 60 s
LOCK_TIMEOUT_SECONDS = 300.0
POLL_SECONDS = 0.02

SOCKET = Path("/run/pcscd/pcscd.comm")
DRIVER_CONFIG = Path("/etc/reader.conf.d/vpcd")
# A name in the abstract namespace: the kernel frees it with its holder, whichever way that dies,
# and it is seen exactly as far as the port is (one network namespace), by every user.
LOCK_NAME = "\0city-card-virtual-reader"
# Children of the holder (the story, started by a test) share their parent's reader.
HOLDER_VARIABLE = "CITY_CARD_READER_HELD_BY"
TCP_LISTEN = "0A"


class PcscdUnavailable(RuntimeError):
    """The daemon cannot be had, or did not come up in time; the message says why."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A pcscd that answers, with the virtual reader's port open."""

    vpcd_port: int
    started_here: bool


def _executable() -> str | None:
    return shutil.which("pcscd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def is_running() -> bool:
    """Whether something accepts on pcscd's socket; systemd's does, and starts pcscd for it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(str(SOCKET)) == 0


def available() -> str | None:
    """None when `ensure_running` can work here, else the reason why it cannot."""
    missing = {
        "Linux": sys.platform == "linux",
        "pcscd": _executable() is not None,
        "the virtual reader's driver (vsmartcard-vpcd)": DRIVER_CONFIG.exists(),
        "pyscard in the environment": importlib.util.find_spec("smartcard") is not None,
    }
    for what, is_there in missing.items():
        if not is_there:
            return f"needs {what}"
    if not is_running() and os.geteuid() != 0:
        return "pcscd is not running, and only root may start it"
    return None


def _states(port: int) -> set[str]:
    """The states of all TCP sockets on a local port, told by the kernel without connecting."""
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.exists():
            continue
        for line in table.read_text(encoding="ascii").splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if int(local.rpartition(":")[2], 16) == port:
                found.add(state)
    return found


def is_listening(port: int) -> bool:
    """Whether a TCP socket listens on `port`."""
    return TCP_LISTEN in _states(port)


def _wait(until: Callable[[], bool], timeout_seconds: float) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while not until():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _is_held_for_us() -> bool:
    """Whether a living ancestor holds the reader and lent it to this process."""
    holder = os.environ.get(HOLDER_VARIABLE, "")
    return holder.isdecimal() and Path(f"/proc/{holder}").exists()


@contextmanager
def _reader_lock(timeout_seconds: float) -> Iterator[None]:
    if _is_held_for_us():
        yield
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as lock:

        def taken() -> bool:
            try:
                lock.bind(LOCK_NAME)
            except OSError:
                return False
            return True

        if not _wait(taken, timeout_seconds):
            raise PcscdUnavailable(
                f"another process kept the virtual reader for {timeout_seconds:.0f} s"
            )
        os.environ[HOLDER_VARIABLE] = str(os.getpid())
        try:
            yield
        finally:
            os.environ.pop(HOLDER_VARIABLE, None)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_TIMEOUT_SECONDS)


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode("utf-8", "replace")[-500:].strip() or "it said nothing"


@contextmanager
def _own_daemon() -> Iterator[None]:
    executable = _executable()
    if executable is None or os.geteuid() != 0:
        raise PcscdUnavailable(available() or "pcscd went away")
    # A daemon that is just leaving gives up its socket first and this port a moment later. The
    # port also lies where the kernel picks ports for outgoing connections: one of those may have
    # it, for a minute after it was closed, and the driver then cannot listen.
    if not _wait(lambda: not is_listening(VPCD_PORT), STOP_TIMEOUT_SECONDS):
        raise PcscdUnavailable(f"port {VPCD_PORT} is taken, and not by a pcscd that answers")
    if not _wait(lambda: not any(map(_states, SLOT_PORTS)), LINGER_TIMEOUT_SECONDS):
        raise PcscdUnavailable(f"a connection keeps a port of the virtual reader: {SLOT_PORTS}")
    SOCKET.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [executable, "--foreground"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            up_or_dead = _wait(
                lambda: process.poll() is not None or (is_running() and is_listening(VPCD_PORT)),
                START_TIMEOUT_SECONDS,
            )
            if process.poll() is not None or not up_or_dead:
                raise PcscdUnavailable(f"pcscd did not come up: {_last_words(log)}")
            yield
        finally:
            _stop(process)


@contextmanager
def ensure_running(lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS) -> Iterator[Daemon]:
    """A pcscd for the length of a `with`, and the virtual reader for this process alone.

    Uses the one that runs, else starts one (root only) and stops what it started. A process
    started inside the `with` may enter too: it shares its parent's reader.
    Raises PcscdUnavailable when there is none, when it does not come up, or when another process
    keeps the reader longer than `lock_timeout_seconds`.
    """
    reason = available()
    if reason is not None:
        raise PcscdUnavailable(reason)
    with ExitStack() as stack:
        stack.enter_context(_reader_lock(lock_timeout_seconds))
        started_here = not is_running()
        if started_here:
            stack.enter_context(_own_daemon())
        elif not _wait(lambda: is_listening(VPCD_PORT), START_TIMEOUT_SECONDS):
            raise PcscdUnavailable(f"pcscd runs, but no virtual reader listens on port {VPCD_PORT}")
        yield Daemon(vpcd_port=VPCD_PORT, started_here=started_here)
