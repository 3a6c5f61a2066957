"""`python -m hce inspect` through a real pcscd, with plastic cards of both families in it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hce.transports.vpcd import VpcdPlug
from tests.hce.inspect.plastic import PlasticCard, city_union, nothing, t_union
from tests.hce.inspect.test_inspect import CITY_UNION_PAGE, T_UNION_PAGE
from tools.pcscd import Daemon

pytestmark = pytest.mark.pcsc
ROOT = Path(__file__).resolve().parents[3]
READER = "Virtual PCD 00 00"


def inspect(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hce", "inspect", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


@pytest.mark.parametrize(
    ("make", "language", "expected"),
    [(t_union, "en", T_UNION_PAGE), (city_union, "zh", CITY_UNION_PAGE)],
    ids=["t_union", "city_union"],
)
def test_a_plastic_card(
    pcscd: Daemon, make: Callable[[], PlasticCard], language: str, expected: str
) -> None:
    with VpcdPlug(make(), port=pcscd.vpcd_port):
        done = inspect("--lang", language, "--reader", "virtual")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == expected.replace("Reader 0", READER) + "\n"


def test_a_foreign_card_and_malformed_answers(pcscd: Daemon) -> None:
    class Broken(PlasticCard):
        def transmit(self, command: bytes) -> bytes:
            return bytes.fromhex("6F11840E9000")

    for card in (nothing(), Broken({})):
        with VpcdPlug(card, port=pcscd.vpcd_port):
            done = inspect("--lang", "en")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"reader: {READER}\n")


@pytest.mark.usefixtures("pcscd")
def test_no_card_and_no_reader_are_one_line() -> None:
    done = inspect("--lang", "en", "--wait-seconds", "0.2", "--reader", "Virtual PCD 00 01")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "hce: Virtual PCD 00 01: no card came in 0 s\n"
    done = inspect("--lang", "en", "--reader", "Nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("hce: no such reader: Nowhere; there is: ")
