"""A city of its own for a while: fresh databases in a temporary folder, free ports, one process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tools import pcscd

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.05
LOG_CHARACTERS = 2000
PORT_TRIES_MAX = 3
_KEPT = frozenset({"CITY_CONFIG", pcscd.HOLDER_VARIABLE})


class InstanceFailed(Exception):
    """The server did not come up; the message has its last words."""


@dataclass(slots=True)
class Instance:
    """`python -m backend run` on ports and a var/ of its own; may be killed and started again."""

    var: Path
    public_port: int
    internal_port: int
    settings: Mapping[str, str] = field(default_factory=dict)  # CITY_* beyond folder and ports
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def public(self) -> str:
        return f"http://127.0.0.1:{self.public_port}"

    @property
    def internal(self) -> str:
        return f"http://127.0.0.1:{self.internal_port}"

    @property
    def vendor_key(self) -> Path:
        """With it a phone attests itself; there once the server is ready."""
        return self.var / "sandbox_vendor.pem"

    @property
    def log(self) -> Path:
        return self.var.parent / f"{self.var.name}-server.log"

    def start(self) -> float:
        """Returns once both networks are ready; the seconds it took. Raises InstanceFailed."""
        began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "backend", "run", "--no-story"],
                cwd=ROOT,
                env=environment(self.var, self.public_port, self.internal_port)
                | dict(self.settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        while not (is_ready(self.public) and is_ready(self.internal)):
            if self.process.poll() is not None:
                raise InstanceFailed(f"exit code {self.process.returncode}: {self._last_words()}")
            if time.monotonic() - began > START_TIMEOUT_SECONDS:
                self.stop()
                raise InstanceFailed(f"not ready in time: {self._last_words()}")
            time.sleep(POLL_SECONDS)
        return time.monotonic() - began

    def kill(self) -> None:
        """`kill -9`: no handler runs, nothing is flushed."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(STOP_TIMEOUT_SECONDS)

    def stop(self) -> None:
        """An orderly end, or a hard one when that takes too long."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_TIMEOUT_SECONDS)

    def _last_words(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:].strip()


@contextmanager
def fresh_instance(**settings: str) -> Iterator[Instance]:
    """A running instance with nothing but demo data. Raises InstanceFailed."""
    with tempfile.TemporaryDirectory(prefix="city-story-") as folder:
        instance = _start_on_free_ports(Path(folder), settings)
        try:
            yield instance
        finally:
            instance.kill()  # nothing of it is kept: an orderly end would only take longer


def environment(var: Path, public_port: int, internal_port: int) -> dict[str, str]:
    """This process's environment: the same city, but neither its databases nor its ports."""
    kept = {name: value for name, value in os.environ.items() if _is_kept(name)}
    ports = {"CITY_PUBLIC_PORT": str(public_port), "CITY_INTERNAL_PORT": str(internal_port)}
    return kept | ports | {"CITY_VAR": str(var)}


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_ready(url: str) -> bool:
    """Whether the server there says that it can work."""
    try:
        return httpx.get(f"{url}/readyz", timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _is_kept(name: str) -> bool:
    return not name.startswith("CITY_") or name in _KEPT


def _start_on_free_ports(folder: Path, settings: Mapping[str, str]) -> Instance:
    """Between looking for a port and listening on it another process may take it: look again."""
    for attempt in range(1, PORT_TRIES_MAX + 1):
        instance = Instance(folder / "var", free_port(), free_port(), settings)
        try:
            instance.start()
        except InstanceFailed as failure:
            if "cannot be used" not in str(failure) or attempt == PORT_TRIES_MAX:
                raise
        else:
            return instance
    raise AssertionError("unreachable")
