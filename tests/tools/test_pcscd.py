"""The daemon and its lock: one virtual reader, one user."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from tools import pcscd as tool

pytestmark = pytest.mark.pcsc
ENTER = (
    "from tools import pcscd\n"
    "try:\n"
    "    with pcscd.ensure_running(lock_timeout_seconds=0.2) as daemon:\n"
    "        print(daemon.started_here)\n"
    "except pcscd.PcscdUnavailable as refusal: print('refused:', refusal)\n"
)


def enter_in_child(environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", ENTER], env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_it_runs_with_two_virtual_slots(pcscd: tool.Daemon) -> None:
    from smartcard.System import readers  # noqa: PLC0415 - only where pcscd runs

    assert tool.is_running()
    assert pcscd.vpcd_port == tool.VPCD_PORT
    assert [str(reader) for reader in readers() if "Virtual PCD" in str(reader)]


def test_a_child_shares_its_parents_reader(pcscd: tool.Daemon) -> None:
    assert os.environ[tool.HOLDER_VARIABLE]
    assert enter_in_child(dict(os.environ)) == "False"


def test_a_stranger_waits_and_is_refused(pcscd: tool.Daemon) -> None:
    stranger = {key: value for key, value in os.environ.items() if key != tool.HOLDER_VARIABLE}
    assert enter_in_child(stranger).startswith("refused: another process kept")


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_listeners_are_seen_without_connecting(pcscd: tool.Daemon, family: int) -> None:
    loopback = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}[socket.AddressFamily(family)]
    with socket.create_server((loopback, 0), family=family) as server:
        port = server.getsockname()[1]
        assert tool.is_listening(port)
    assert not tool.is_listening(port)


def test_a_port_taken_by_another_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: not half a minute of waiting for a daemon that cannot open its reader."""
    if os.geteuid() != 0:
        pytest.skip("only root starts pcscd")
    monkeypatch.delenv(tool.HOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(tool, "LOCK_NAME", "\0city-card-test-of-a-taken-port")
    monkeypatch.setattr(tool, "STOP_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(tool, "is_running", lambda: False)
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(tool, "VPCD_PORT", other.getsockname()[1])
        with pytest.raises(tool.PcscdUnavailable, match="taken"), tool.ensure_running():
            pytest.fail("it entered")


def test_a_connection_on_the_readers_port_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: the kernel may give the port to any outgoing connection; the driver cannot share it."""
    if os.geteuid() != 0:
        pytest.skip("only root starts pcscd")
    monkeypatch.delenv(tool.HOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(tool, "LOCK_NAME", "\0city-card-test-of-a-kept-port")
    monkeypatch.setattr(tool, "LINGER_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(tool, "is_running", lambda: False)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        kept = client.getsockname()[1]
        monkeypatch.setattr(tool, "VPCD_PORT", kept)
        monkeypatch.setattr(tool, "SLOT_PORTS", (kept,))
        with pytest.raises(tool.PcscdUnavailable, match="keeps a port"), tool.ensure_running():
            pytest.fail("it entered")
