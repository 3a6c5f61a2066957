"""`python -m hce`: one clear line and exit 2 for what cannot be (with pcscd: test_pcsc)."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hce.card_file import CardRecord
from hce.inspect.text import masked
from hce.state import CardState
from hce.store import FileCardStore
from tests.hce.examples import CERTIFICATE

ROOT = Path(__file__).resolve().parents[2]


def hce(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hce", *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


def test_new_makes_a_card_and_never_over_another(tmp_path: Path) -> None:
    done = hce(tmp_path, "new", "--card", "cards/a.json", "--lang", "en")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(
        r"card 9156\d\d\*{9}\d{4} is in cards/a\.json; a demonstration card with its own "
        r"issuer key\n",
        done.stdout,
    )
    made = FileCardStore(tmp_path / "cards" / "a.json").record()
    number = made.state.certificate.token_number
    assert masked(number) in done.stdout
    assert number not in done.stdout
    again = hce(tmp_path, "new", "--card", "cards/a.json", "--lang", "en")
    assert again.returncode == 2
    assert again.stderr == "hce: cards/a.json: a card is there already\n"
    assert FileCardStore(tmp_path / "cards" / "a.json").record() == made


def test_no_pcscd_is_one_line_and_the_demonstration_card_is_kept(
    tmp_path: Path, closed_port: str
) -> None:
    kept = tmp_path / "var" / "hce" / "demo-card.json"
    for _ in range(2):
        done = hce(tmp_path, "plug", "--lang", "en", "--port", closed_port)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"hce: 127.0.0.1:{closed_port}: no virtual reader (Connection refused). "
            "Is pcscd running with vsmartcard-vpcd?\n"
        )
        card = kept.read_bytes()
    assert kept.read_bytes() == card


BAD_CARDS = {
    "missing": (None, "hce: card.json: no such file\n"),
    "cut short": (b'{"format"', "hce: card.json: damaged card file (not JSON, or cut short)\n"),
    "key elsewhere": (
        CardRecord(CardState(CERTIFICATE)).encode(),
        "hce: card.json: carries no signing key: it is in a keystore\n",
    ),
}


@pytest.mark.parametrize(("body", "line"), BAD_CARDS.values(), ids=BAD_CARDS)
def test_a_card_file_that_cannot_be_plugged(
    tmp_path: Path, closed_port: str, body: bytes | None, line: str
) -> None:
    if body is not None:
        (tmp_path / "card.json").write_bytes(body)
    done = hce(tmp_path, "plug", "--card", "card.json", "--lang", "en", "--port", closed_port)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("plug", "--port", "0"),
        ("plug", "--port", "x"),
        ("new",),
        ("fly",),
        ("inspect", "--lang", "fr"),
        ("inspect", "--wait-seconds", "-1"),
        ("listen", "--port", "5"),
        ("plug", "--slot", "2"),
        ("plug", "--slot", "1", "--port", "5"),
        ("new", "--card", "a", "--suite", "sm4"),
        ("new", "--card", "a", "--profile", "sim"),
        ("new", "--card", "a", "--balance", "1"),
        ("new", "--card", "a", "--purse", "--suite", "sm"),
        ("new", "--card", "a", "--purse", "--balance", "1.234"),
        ("new", "--card", "a", "--purse", "--balance", "-1"),
        ("new", "--card", "a", "--purse", "--profile", "gold"),
    ],
)
def test_wrong_arguments_show_the_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = hce(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m hce")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
