"""What the operator must mend before the city can start: one line, exit code 2, no traceback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tools.story.instance import ROOT, environment, free_port

TIMEOUT_SECONDS = 60
DATABASES = ("identity", "business", "ledger")


def run(var: Path, command: str = "run", **settings: str) -> subprocess.CompletedProcess[str]:
    """`python -m backend` on free ports, as it ends by itself."""
    arguments = [command, "--no-story"] if command == "run" else [command]
    return subprocess.run(
        [sys.executable, "-m", "backend", *arguments],
        cwd=ROOT,
        env=environment(var, free_port(), free_port()) | settings,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def require_one_line(ended: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 2 and one line that names what is wrong."""
    said = ended.stdout + ended.stderr
    assert ended.returncode == 2, said
    assert "Traceback" not in said
    assert len(ended.stderr.splitlines()) == 1, said
    assert ended.stderr.startswith("city card: ")
    for word in words:
        assert word in ended.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole var/, made by the command for it."""
    var = tmp_path_factory.mktemp("made") / "var"
    ended = run(var, "migrate")
    assert ended.returncode == 0, ended.stderr
    assert {path.name for path in var.iterdir()} >= {f"{name}.db" for name in DATABASES}
    return var


@pytest.fixture
def var(made: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(made, tmp_path / "var"))


def remove(name: str) -> Callable[[Path], None]:
    return lambda var: (var / name).unlink()


def fill_with_garbage(name: str) -> Callable[[Path], None]:
    def damage(var: Path) -> None:
        _without_log(var, name)
        (var / name).write_bytes(b"\x00garbage\xff" * 4096)

    return damage


def cut_in_half(name: str) -> Callable[[Path], None]:
    def damage(var: Path) -> None:
        _without_log(var, name)
        os.truncate(var / name, (var / name).stat().st_size // 2)

    return damage


def swap_kek(var: Path) -> None:
    (var / "keys" / "kek").write_bytes(bytes(32))


def _without_log(var: Path, name: str) -> None:
    """The write-ahead log could still mend the file."""
    for ending in ("-wal", "-shm"):
        (var / f"{name}{ending}").unlink(missing_ok=True)


DAMAGES: Mapping[str, tuple[Callable[[Path], None], str]] = {
    "no ledger": (remove("ledger.db"), "ledger.db missing"),
    "garbage ledger": (fill_with_garbage("ledger.db"), "database ledger"),
    "half a business database": (cut_in_half("business.db"), "database business"),
    "no keystore": (remove("keys/keystore.json"), "keystore.json missing"),
    "no kek": (remove("keys/kek"), "kek missing"),
    "another kek": (swap_kek, "does not open with"),
    "garbage keystore": (fill_with_garbage("keys/keystore.json"), "does not open with"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_var(var: Path, name: str) -> None:
    """Refused, and nothing made anew in the place of what is lost."""
    damage, words = DAMAGES[name]
    damage(var)
    before = _files(var)
    require_one_line(run(var), words)
    assert _files(var) == before


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


@pytest.mark.parametrize("name", ["CITY_PUBLIC_PORT", "CITY_INTERNAL_PORT"])
def test_port_in_use(var: Path, taken_port: int, name: str) -> None:
    require_one_line(run(var, **{name: str(taken_port)}), str(taken_port))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "city.toml is missing"),
        ("[city\n", "city.toml cannot be read"),
    ],
)
def test_city_toml(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "city.toml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    var = tmp_path / "var"
    require_one_line(run(var, CITY_CONFIG=str(path)), words)
    assert not var.exists()


def test_port_that_is_none(tmp_path: Path) -> None:
    ended = run(tmp_path / "var", CITY_PUBLIC_PORT="eighty")
    require_one_line(ended, "CITY_PUBLIC_PORT", "eighty")


def _files(var: Path) -> set[str]:
    """Names under var/, without what SQLite keeps beside an open database."""
    names = {str(path.relative_to(var)) for path in var.rglob("*") if path.is_file()}
    return {name for name in names if not name.endswith(("-wal", "-shm", ".log"))}
