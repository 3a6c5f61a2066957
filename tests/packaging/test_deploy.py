"""The files of deploy/: what they name exists, and the unit is as shut as it says."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import nfc.clf.device
import pytest

from reader_bridge.cli import parser
from reader_bridge.local.server import PORT
from tests.packaging.closure import ROOT

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "city-terminal.service"
DROP_IN = DEPLOY / "systemd" / "city-terminal.service.d" / "sam.conf"
PROGRAM = "/opt/city-card/bin/reader-bridge"
EXPOSURE_MAX = 25  # tenths, as `systemd-analyze security` counts: 0 shut, 100 open
SECONDS = 60
Unit = dict[str, dict[str, list[str]]]


def read_unit(path: Path) -> Unit:
    """Sections of keys of all their values, as systemd.syntax(7) has them."""
    unit: Unit = {}
    section: dict[str, list[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        head = re.fullmatch(r"\[([A-Za-z]+)\]", line)
        if head:
            section = unit.setdefault(head[1], defaultdict(list))
            continue
        key, equals, value = line.partition("=")
        assert equals, line
        assert re.fullmatch(r"[A-Za-z]+", key), line
        section[key].append(value)
    return unit


def words_of(command: str) -> list[str]:
    """Arguments with what systemd fills in: specifiers, and options of the environment file."""
    command = command.replace("%S", "/var/lib").replace("%d", "/run/credentials/x")
    program, *words = shlex.split(command)
    assert program == PROGRAM
    assert words.pop() == "$OPTIONS"
    return words


@pytest.mark.parametrize("path", [UNIT, DROP_IN], ids=["unit", "drop-in"])
def test_the_unit_starts_a_command_that_exists(path):
    command = [one for one in read_unit(path)["Service"]["ExecStart"] if one][-1]
    arguments = parser().parse_args([*words_of(command), "--scanner", "serial:/dev/city-scanner"])
    assert arguments.port == PORT
    assert (arguments.sam is not None) == (path == DROP_IN)


def test_the_unit_is_shut():
    service = read_unit(UNIT)["Service"]
    wanted = {
        "ProtectSystem": ["strict"],
        "NoNewPrivileges": ["yes"],
        "MemoryDenyWriteExecute": ["yes"],
        "CapabilityBoundingSet": [""],
        "DevicePolicy": ["closed"],
        "StateDirectory": ["city-terminal"],
        "StateDirectoryMode": ["0700"],
        "UMask": ["0077"],
        "SocketBindDeny": ["any"],
        "SocketBindAllow": [f"ipv4:tcp:{PORT}"],
        "LimitCORE": ["0"],
    }
    assert {key: service[key] for key in wanted} == wanted
    assert set(service["RestrictAddressFamilies"][0].split()) == {
        *("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK")
    }
    assert "WatchdogSec" not in service  # nothing sends a keep-alive
    assert service["Environment"] == ["READER_BRIDGE_STATE=%S/city-terminal"]


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="NOT TESTED: no systemd-analyze here"
)
def test_systemd_takes_the_unit_and_finds_it_shut(tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text("utf-8").replace(PROGRAM, sys.executable), "utf-8")
    analyze = ["systemd-analyze", "--man=no", "--recursive-errors=no", "verify", str(unit)]
    done = subprocess.run(analyze, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    security = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}"]
    done = subprocess.run(
        [*security, str(unit)], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout.splitlines()[-1:]


def test_one_user_owns_it_all():
    service = read_unit(UNIT)["Service"]
    (user,) = service["User"]
    assert service["Group"] == [user]
    sysusers = (DEPLOY / "sysusers.d" / "city-terminal.conf").read_text("utf-8")
    assert re.search(rf"^u {user} - ", sysusers, re.MULTILINE)
    polkit = (DEPLOY / "polkit" / "60-city-terminal.rules").read_text("utf-8")
    assert f'subject.user === "{user}"' in polkit
    for line in udev_lines():
        assert f'GROUP="{user}"' in line


def udev_lines() -> list[str]:
    text = (DEPLOY / "udev" / "60-city-terminal.rules").read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_udev_rules_have_the_form_of_udev():
    part = r'[A-Z]+(?:\{[A-Za-z_]+\})?(?:==|!=|\+=|=)"[^"]*"'
    for line in udev_lines():
        assert re.fullmatch(rf"{part}(?:, {part})+", line), line
        assert 'MODE="0660"' in line  # never for all


def test_udev_names_the_readers_that_nfcpy_knows():
    pattern = r'idVendor\}=="([0-9a-f]{4})", ATTR\{idProduct\}=="([0-9a-f]{4})"'
    named = {(int(a, 16), int(b, 16)) for a, b in re.findall(pattern, "\n".join(udev_lines()))}
    assert named == set(nfc.clf.device.usb_device_map)


def test_kernel_drivers_are_kept_away():
    lines = (DEPLOY / "modprobe.d" / "city-terminal.conf").read_text("utf-8").splitlines()
    modules = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"blacklist [a-z0-9_]+", line) for line in modules)
    assert "blacklist pn533_usb" in modules
