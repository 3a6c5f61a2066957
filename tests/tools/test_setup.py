"""scripts/setup, on a machine made of stand-ins: nothing is installed, nothing is asked outside."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STAMPED = {
    "runtime": ["requirements.txt"],
    "dev": ["requirements-dev.txt", "requirements.txt"],
    "pcsc": ["requirements-pcsc.txt"],
}
ALL_INSTALLED = """#!/bin/bash
for word in "$@"; do case "$word" in -*|*{*) ;; *) printf '%s:installed ' "$word" ;; esac; done
"""
NONE_INSTALLED = "#!/bin/bash\nexit 1\n"


class Machine:
    """A clone with an environment that is ready, and a PATH with stand-ins in front."""

    def __init__(self, root: Path) -> None:
        self.clone, self.stand_ins = root / "clone", root / "bin"
        (self.clone / "scripts").mkdir(parents=True)
        (self.clone / ".venv" / "bin").mkdir(parents=True)
        self.stand_ins.mkdir()
        shutil.copy(ROOT / "scripts" / "setup", self.clone / "scripts" / "setup")
        for path in ROOT.glob("requirements*.txt"):
            shutil.copy(path, self.clone)
        (self.clone / ".venv" / "bin" / "python").symlink_to(sys.executable)
        self.stamp()
        self.stand_in("id", "#!/bin/bash\necho 1000\n")
        self.stand_in("sudo", "#!/bin/bash\nexit 1\n")
        self.stand_in("apt-get", '#!/bin/bash\necho "apt-get $*" >>"$APT_LOG"\n')
        self.stand_in("dpkg-query", ALL_INSTALLED)

    def stamp(self) -> None:
        for name, files in STAMPED.items():
            wishes = b"".join((self.clone / file).read_bytes() for file in files)
            stamp = self.clone / ".venv" / f".stamp-{name}"
            stamp.write_text(hashlib.sha256(wishes).hexdigest()[:32] + "\n")

    def stand_in(self, name: str, script: str) -> None:
        path = self.stand_ins / name
        path.write_text(script)
        path.chmod(0o755)

    def setup(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(self.clone / "scripts" / "setup"), *arguments],
            env={"PATH": f"{self.stand_ins}:/usr/bin:/bin", "APT_LOG": str(self.apt_log)},
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def apt_log(self) -> Path:
        return self.clone / "apt.log"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("arguments", [(), ("--dev",)])
def test_nothing_to_do_says_nothing(machine: Machine, arguments: tuple[str, ...]) -> None:
    done = machine.setup(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not machine.apt_log.exists()


def test_without_rights_it_names_what_is_lost_and_goes_on(machine: Machine) -> None:
    machine.stand_in("dpkg-query", NONE_INSTALLED)
    done = machine.setup("--dev")
    assert done.returncode == 0
    loud = [line for line in done.stderr.splitlines() if line.startswith("setup: SKIPPED: ")]
    assert len(loud) == 2
    assert "PC/SC" in loud[0]
    assert "vsmartcard-vpcd" in loud[0]
    assert "browser" in loud[1]
    assert not machine.apt_log.exists()


def test_with_rights_it_installs_what_is_missing(machine: Machine) -> None:
    machine.stand_in("dpkg-query", NONE_INSTALLED)
    machine.stand_in("id", "#!/bin/bash\necho 0\n")
    done = machine.setup()
    assert (done.returncode, done.stderr) == (0, "")
    update, install = machine.apt_log.read_text().splitlines()
    assert update.endswith(" update")
    assert "install -y --no-install-recommends pcscd vsmartcard-vpcd" in install
    assert "chromium" not in install


def test_password_less_sudo_counts_as_rights(machine: Machine) -> None:
    machine.stand_in("dpkg-query", NONE_INSTALLED)
    machine.stand_in("sudo", '#!/bin/bash\nshift\nexec "$@"\n')
    assert machine.setup().returncode == 0
    assert "install -y" in machine.apt_log.read_text()


def test_a_package_manager_that_refuses_is_not_the_end(machine: Machine) -> None:
    machine.stand_in("dpkg-query", NONE_INSTALLED)
    machine.stand_in("id", "#!/bin/bash\necho 0\n")
    machine.stand_in("apt-get", "#!/bin/bash\nexit 100\n")
    done = machine.setup()
    assert done.returncode == 0
    assert "SKIPPED" in done.stderr
    assert "refused" in done.stderr


def test_changed_wishes_are_noticed(machine: Machine) -> None:
    """Goal: the stamp is of the content; here pip is asked, and is absent."""
    machine.stand_in("python", '#!/bin/bash\n[ "$1" = -c ] || exit 1\n')
    (machine.clone / ".venv" / "bin" / "python").unlink()
    (machine.clone / ".venv" / "bin" / "python").symlink_to(machine.stand_ins / "python")
    (machine.clone / "requirements.txt").write_text("flask==0\n")
    done = machine.setup()
    assert done.returncode == 2
    assert "requirements.txt could not be installed" in done.stderr


def test_an_unknown_argument(machine: Machine) -> None:
    assert machine.setup("--help-me").returncode == 2
