"""`python -m backend keys`: in this process for its words, as a process for its doors."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyotp
import pytest
from keys_world import Files, plain_keys

from backend.app import open_parts
from backend.config import ConfigInvalid, load_config
from backend.keys import KeyRef, SoftwareKeys, cli
from backend.keys.admin import KeyAdmin
from backend.keys.handles import SoftwareWrap, software_handle
from backend.keys.model import KeysRefused

ROOT = Path(__file__).parents[3]
KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
PASSWORD, TOTP_STEP_SECONDS = "a long password", 30
STAFF = {
    "li": ("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", ["operator"]),
    "wang": ("KBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", ["operator"]),
    "zhao": ("LBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", ["auditor"]),
}

Ask = Callable[..., list[str]]


@pytest.fixture
def ask(admin: KeyAdmin) -> Ask:
    """Runs a command line with what would be typed; what it says."""

    def run(*words: str, typed: tuple[str, ...] = ()) -> list[str]:
        said: list[str] = []
        lines = iter(("password", "123456", *typed))
        parser = argparse.ArgumentParser(exit_on_error=False)
        cli.add_parser(parser.add_subparsers())
        commands = cli.KeyCommands(admin, _log_in, lambda _prompt: next(lines), said.append)
        commands.run(parser.parse_args(["keys", *words]))
        return said

    return run


def _log_in(who: str, password: str, code: str) -> None:
    if (password, code) != ("password", "123456"):
        raise KeysRefused(f"{who}: not right")


def test_the_list_shows_every_version_and_no_key(
    ask: Ask, admin: KeyAdmin, own: SoftwareKeys
) -> None:
    ask("rotate", "access-tokens", "--as", "li")
    ask("retire", "access-tokens", "1", "--as", "li", "--understood")
    ask("begin", "issuer-load/sm4", "--as", "li", "--parts", "2", "--check-value", "2677F4")
    said = ask("list")
    rows = {tuple(line.split()[:3]): line.split() for line in said[1:-1]}
    assert len(rows) == len(KeyRef) + 1
    assert rows["access-tokens", "es256", "1"][3] == "retired"
    assert rows["access-tokens", "es256", "2"][3] == "active"
    for version in admin.contents().versions:
        row = rows[version.ref.purpose, version.ref.algorithm, str(version.number)]
        assert version.check_value.upper() in row
    assert said[-1].startswith("issuer-load/sm4: awaits 2 parts; nobody; 2026-11-24 02:00 UTC")
    whole = "\n".join(said).lower()
    assert not [ref for ref, key in plain_keys(own).items() if key.hex() in whole]


def test_a_rotation_says_what_happens_next(ask: Ask) -> None:
    said = ask("rotate", "access-tokens", "--as", "li")
    assert said[0].startswith("access-tokens/es256/2 is active, key check value ")
    assert "within 1 s" in said[1]


def test_a_ceremony_at_the_command_line(ask: Ask, own: SoftwareKeys) -> None:
    first = bytes(range(16))
    second = bytes(a ^ b for a, b in zip(first, KEY, strict=True))
    values = [software_handle("sm4", one).check_value().hex() for one in (first, second)]
    key = "issuer-purchase/sm4"
    ask("begin", key, "--as", "li", "--parts", "2", "--check-value", "26 77 F4")
    said = ask(
        "component", key, "--as", "li", "--check-value", values[0], typed=(first.hex(" ", 2),)
    )
    assert said == ["issuer-purchase/sm4: 1 more, each from somebody else"]
    with pytest.raises(KeysRefused, match="the part is not hexadecimal") as refused:
        ask("component", key, "--as", "wang", "--check-value", values[1], typed=("zz" + KEY.hex(),))
    assert KEY.hex() not in str(refused.value)
    said = ask("component", key, "--as", "wang", "--check-value", values[1], typed=(second.hex(),))
    assert said[0] == "issuer-purchase/sm4/2 is announced, key check value 2677F4"
    assert plain_keys(own)[KeyRef.PURCHASE_SM4] == KEY
    told = ask("trail")
    assert [line.split()[1:3] for line in told] == [
        ["li", "ceremony-begin"],
        ["li", "ceremony-part"],
        ["wang", "ceremony-part"],
        ["wang", "ceremony-finish"],
    ]


def test_importing_a_wrapped_key_at_the_command_line(ask: Ask, own: SoftwareKeys) -> None:
    wrapped = SoftwareWrap(plain_keys(own)[KeyRef.TRANSPORT]).wrap(KEY).hex()
    words = ("import", "issuer-tac/sm4", "--as", "li", "--check-value", "2677F4")
    assert ask(*words, typed=(wrapped,)) == [
        "issuer-tac/sm4/2 is announced, key check value 2677F4"
    ]


@pytest.mark.parametrize("act", ["announce", "rotate", "abandon", "begin", "component", "import"])
def test_nothing_is_done_before_the_login(admin: KeyAdmin, act: str) -> None:
    def refuse(who: str, _password: str, _code: str) -> None:
        raise KeysRefused(f"{who}: not right")

    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers())
    more = ["--check-value", "00"] if act in ("begin", "component", "import") else []
    more += ["--parts", "2"] if act == "begin" else []
    arguments = parser.parse_args(["keys", act, "access-tokens", "--as", "mallory", *more])
    before = admin.contents()
    with pytest.raises(KeysRefused, match="mallory: not right"):
        cli.KeyCommands(admin, refuse, lambda _prompt: "x").run(arguments)
    assert admin.contents() == before


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("issuer-load", "has several algorithms, name one: issuer-load/3des, issuer-load/sm4"),
        ("nonsense", "no such key: nonsense"),
    ],
)
def test_keys_are_named_without_doubt(name: str, sentence: str) -> None:
    with pytest.raises(KeysRefused, match=sentence):
        cli.find_key(name)
    assert cli.find_key("pii-cipher") is KeyRef.PII_CIPHER
    assert cli.find_key("issuer-load/sm4") is KeyRef.LOAD_SM4


def test_there_is_no_command_that_exports() -> None:
    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers())
    keys = parser._subparsers._group_actions[0].choices["keys"]  # type: ignore[union-attr,index]
    acts = set(keys._subparsers._group_actions[0].choices)
    assert acts == {
        "list",
        "trail",
        "announce",
        "rotate",
        "retire",
        "begin",
        "component",
        "abandon",
        "import",
        "move-to-token",
    }


SETTINGS: dict[str, tuple[dict[str, str], str]] = {
    "half a token": ({"CITY_PKCS11_TOKEN": "city"}, "needs CITY_PKCS11_MODULE, CITY_PKCS11_PIN"),
    "no such module": (
        {
            "CITY_PKCS11_TOKEN": "city",
            "CITY_PKCS11_MODULE": "/nowhere.so",
            "CITY_PKCS11_PIN_FILE": "/dev/null",
        },
        "CITY_PKCS11_MODULE: /nowhere.so is missing",
    ),
    "no passphrase file": (
        {"CITY_KEYS_PASSPHRASE_FILE": "/nowhere"},
        "CITY_KEYS_PASSPHRASE_FILE: /nowhere: No such file",
    ),
    "empty passphrase": (
        {"CITY_KEYS_PASSPHRASE_FILE": "/dev/null"},
        "CITY_KEYS_PASSPHRASE_FILE: /dev/null holds nothing",
    ),
    "no such algorithm": ({"CITY_KEYS_IN_SOFTWARE": "sm4,sm9"}, "no such algorithm: sm9"),
    "sessions": (
        {
            "CITY_PKCS11_TOKEN": "city",
            "CITY_PKCS11_MODULE": __file__,
            "CITY_PKCS11_PIN_FILE": "/dev/null",
            "CITY_PKCS11_SESSIONS": "0",
        },
        "CITY_PKCS11_SESSIONS must be 1 to 64",
    ),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_a_wrong_setting_is_one_sentence(case: str) -> None:
    settings, sentence = SETTINGS[case]
    with pytest.raises(ConfigInvalid, match=sentence) as invalid:
        load_config(settings)
    assert str(invalid.value).startswith("configuration: ")


# --- as a process -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A city with three members of staff."""
    folder = tmp_path_factory.mktemp("city") / "var"
    parts = open_parts(load_config({"CITY_VAR": str(folder)}), make=True)
    for name, (totp_secret, roles) in STAFF.items():
        parts.staff_accounts.add(name, PASSWORD, totp_secret, roles)
    parts.databases.close()
    return folder


def _typed(who: str, *, password: str = PASSWORD, step: int = 0) -> str:
    moment = datetime.now(UTC).timestamp() + step * TOTP_STEP_SECONDS
    return f"{password}\n{pyotp.TOTP(STAFF[who][0]).at(int(moment))}\n"


def _command(var: Path, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backend", "keys", *words],
        cwd=ROOT,
        env={**os.environ, "CITY_VAR": str(var)},
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_staff_rotate_with_their_own_login(var: Path) -> None:
    done = _command(var, "rotate", "access-tokens", "--as", "li", typed=_typed("li"))
    assert done.returncode == 0, done.stderr
    assert "access-tokens/es256/2 is active" in done.stdout
    assert PASSWORD not in done.stdout + done.stderr
    told = _command(var, "trail")
    assert "li  rotate  access-tokens/es256/2" in told.stdout


@pytest.mark.parametrize(
    ("who", "typed", "sentence"),
    [
        ("wang", lambda: _typed("wang", password="guessed"), "Name, password or one-time code"),
        ("nobody", lambda: "x\ny\n", "Name, password or one-time code"),
        ("zhao", lambda: _typed("zhao"), "zhao does not have the role operator"),
    ],
)
def test_who_may_not_is_told_in_one_line(
    var: Path, who: str, typed: Callable[[], str], sentence: str
) -> None:
    before = (var / "keys" / "keystore.json").read_bytes()
    refused = _command(var, "rotate", "pii-cipher", "--as", who, typed=typed())
    assert refused.returncode == 2
    assert sentence in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert (var / "keys" / "keystore.json").read_bytes() == before


def test_a_process_with_keys_keeps_its_memory_private(var: Path) -> None:
    code = (
        "from backend.app import open_parts; from backend.config import load_config;"
        "from backend.keys.process import is_memory_private;"
        "before = is_memory_private(); open_parts(load_config());"
        "print(before, is_memory_private())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "CITY_VAR": str(var)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout.split()[-2:] == ["False", "True"]


def test_no_file_of_a_city_holds_a_key_in_the_clear(var: Path, files: Files) -> None:
    keys = SoftwareKeys.open(var / "keys" / "keystore.json", var / "keys" / "kek")
    secrets = [key for ref, key in plain_keys(keys).items()]
    forms = [form for key in secrets for form in (key, key.hex().encode())]
    read = [path for path in var.rglob("*") if path.is_file() and path.name != "kek"]
    assert {path.suffix for path in read} >= {".db", ".json"}  # and the trail, once there is one
    assert [path.name for path in read for form in forms if form in path.read_bytes()] == []
