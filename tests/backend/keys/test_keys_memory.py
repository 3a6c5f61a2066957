"""Memory: what a process says of itself, what a dump of it holds, what greenlets wait for."""

from __future__ import annotations

import copy
import os
import pickle
import resource
import shutil
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from keys_world import Files, plain_keys
from softhsm import MODULE, PIN, make_token

from backend.keys import KeyRef, SoftwareKeys
from backend.keys.secret import Secret

LAB = Path(__file__).with_name("memory_lab.py")
ROOT = Path(__file__).parents[3]
TIMEOUT_SECONDS = 60
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")


def test_a_secret_prints_as_secret() -> None:
    secret = Secret(b"very secret key!")
    for text in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>20}",
        f"{secret!r}",
    ):
        assert text == "<secret>"
    assert f"{[secret]} {dict(key=secret)}" == "[<secret>] {'key': <secret>}"
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be copied"):
            take(secret)
    with pytest.raises(TypeError):
        hash(secret)
    assert not hasattr(secret, "__dict__")
    assert secret == Secret(b"very secret key!") != Secret(b"another")
    assert secret != b"very secret key!"


def test_a_traceback_with_variables_shows_no_key(own: SoftwareKeys) -> None:
    """Error trackers print the variables of each frame."""
    try:
        own.sign(KeyRef.ACCESS_TOKENS, object())  # type: ignore[arg-type]
    except TypeError as error:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        text = "".join(told.format())
    assert "keys = " not in text or "<SoftwareKeys" in text
    assert f"self = <SoftwareKeys {len(KeyRef)} keys>" in text
    for secret in plain_keys(own).values():
        assert secret.hex() not in text
        assert repr(secret) not in text


def _lab(
    *arguments: str | Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(LAB), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=True,
    )


@pytest.mark.parametrize(("how", "private"), [("keep", True), ("leave", False)])
def test_no_core_dump_is_written(tmp_path: Path, how: str, private: bool) -> None:
    """The unprotected process beside it leaves one, where this machine writes them at all."""

    _, most = resource.getrlimit(resource.RLIMIT_CORE)

    def allow() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (most, most))

    ended = subprocess.run(
        [sys.executable, str(LAB), "abort", how],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        preexec_fn=allow,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert ended.returncode < 0
    assert ended.stdout == f"{private}\n"
    cores = list(tmp_path.glob("core*"))
    is_plain = CORE_PATTERN.read_text().startswith("core")
    assert bool(cores) == (is_plain and bool(most) and not private)


@contextmanager
def _working(files: Files, environment: Mapping[str, str]) -> Iterator[int]:
    """A process that has worked with its keys and waits."""
    command = [sys.executable, str(LAB), "work", *map(str, files)]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        told = ""
        while told != "worked\n":
            told = process.stdout.readline()
            assert told, "the process ended"
        yield process.pid
    finally:
        process.communicate("\n", timeout=TIMEOUT_SECONDS)


def _dump(pid: int, folder: Path) -> bytes:
    subprocess.run(
        ["gcore", "-o", str(folder / "dump"), str(pid)],
        check=True,
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
    )
    return (folder / f"dump.{pid}").read_bytes()


def _raw(ref: KeyRef, secret: bytes) -> bytes:
    """The bytes that would give a key away."""
    if ref.algorithm != "es256":
        return secret[:32]
    private = serialization.load_der_private_key(secret, password=None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return private.private_numbers().private_value.to_bytes(32, "big")


@pytest.fixture
def token(tmp_path: Path) -> dict[str, str]:
    """The settings of a token of this test's own."""
    (tmp_path / "token").mkdir()
    (tmp_path / "pin").write_text(PIN)
    return {
        "SOFTHSM2_CONF": str(make_token(tmp_path / "token", "memory")),
        "CITY_PKCS11_MODULE": str(MODULE),
        "CITY_PKCS11_TOKEN": "memory",
        "CITY_PKCS11_PIN_FILE": str(tmp_path / "pin"),
        "CITY_KEYS_IN_SOFTWARE": "sm4,sm2",
    }


@pytest.mark.softhsm
@pytest.mark.skipif(
    shutil.which("gcore") is None or os.geteuid() != 0, reason="gcore of another process needs root"
)
def test_a_dump_of_a_process_with_a_token_holds_none_of_its_keys(
    files: Files, own: SoftwareKeys, token: dict[str, str], tmp_path: Path
) -> None:
    """The same search finds keys in a process that holds them in software: it can find."""
    keys = {ref: _raw(ref, secret) for ref, secret in plain_keys(own).items()}
    in_token = {ref: key for ref, key in keys.items() if ref.algorithm not in ("sm4", "sm2")}
    with _working(files, {}) as pid:
        software = _dump(pid, tmp_path)
    assert len([ref for ref, key in in_token.items() if key in software]) > 3
    assert int(_lab("move", *files, environment=token).stdout.split()[-1]) == len(in_token)
    with _working(files, token) as pid:
        beside = _dump(pid, tmp_path)
    assert [ref.name for ref, key in in_token.items() if key in beside] == []


@pytest.mark.softhsm
def test_greenlets_go_on_while_the_token_works(files: Files, token: dict[str, str]) -> None:
    _lab("move", *files, environment=token)
    answers, turns = map(int, _lab("greenlets", *files, environment=token).stdout.split()[-2:])
    assert answers == 50
    assert turns > 10


def test_a_token_holds_nothing_of_ours_in_the_clear(
    files: Files, own: SoftwareKeys, token: dict[str, str], tmp_path: Path
) -> None:
    """Nor does the store any more; what is left of it is names and check values."""
    keys = {ref: _raw(ref, secret) for ref, secret in plain_keys(own).items()}
    _lab("move", *files, environment=token)
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "kek"]
    assert len(left) > len(keys)
    for path in left:
        content = path.read_bytes()
        found = [ref.name for ref, key in keys.items() if key in content]
        assert found == [], path
