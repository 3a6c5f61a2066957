"""Every form of a command through scriptor, pcscd and the virtual reader; some by opensc-tool."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from card_protocol.mobile_card import Certificate, GpoResponse
from hce.transports.vpcd import VpcdPlug
from tests.hce.examples import KEY, Bench, bench, gpo, is_genuine
from tools.pcscd import Daemon

pytestmark = pytest.mark.pcsc
READER = "Virtual PCD 00 00"
ANSWERS = re.compile(r"^< ([0-9A-F \n]+) :", re.MULTILINE)
AID = "F0434954594341524401"

# What is sent, and how the answer ends. In this order: the session goes on from line to line.
FORMS = (
    ("SELECT, no Le", f"00A404000A{AID}", "9000"),
    ("SELECT, Le", f"00A404000A{AID}00", "9000"),
    ("SELECT, Le too small", f"00A404000A{AID}10", "613E"),
    ("GET RESPONSE, a part", "00C0000010", "612E"),
    ("GET RESPONSE, the rest", "00C000002E", "9000"),
    ("GET RESPONSE, nothing waits", "00C0000000", "6985"),
    ("SELECT, extended", f"00A4040000000A{AID}0000", "9000"),
    ("READ RECORD, short Le", "00B2010C10", "6CB2"),
    ("READ RECORD, right Le", "00B2010CB2", "9000"),
    ("READ RECORD, extended Le", "00B2010C000100", "9000"),
    ("READ RECORD, extended Le of 65536", "00B2010C000000", "9000"),
    ("GPO, extended, 300 bytes", "80A8000000012C" + "83" * 300, "6A80"),
    ("extended length of zero", "00B2010C00000000", "6700"),
    ("extended length that lies", "80A80000000200" + "83" * 300, "6700"),
    ("short length that lies", "80A80000FF8300", "6700"),
    ("a header and nothing", "80A80000", "6700"),
    ("command chaining (CLA 10)", f"10A404000A{AID}00", "6E00"),
    ("a logical channel (CLA 01)", "01B2010C00", "6E00"),
    ("secure messaging (CLA 0C)", "0CB2010C00", "6E00"),
    ("an instruction nobody has", "80FE000000", "6D00"),
    ("a file by its id", "00A40000023F00", "6A82"),
    ("nothing is selected now", "80A8000000", "6985"),
)


@pytest.fixture
def card() -> Bench:
    return bench(atc=0, key=KEY)


@pytest.fixture
def plugged(pcscd: Daemon, card: Bench) -> Iterator[VpcdPlug]:
    with VpcdPlug(card.card, port=pcscd.vpcd_port) as plug:
        yield plug


def scriptor(commands: list[str]) -> list[bytes]:
    text = "".join(" ".join(re.findall("..", command)) + "\n" for command in commands)
    done = subprocess.run(
        ["scriptor", "-r", READER],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [bytes.fromhex(answer) for answer in ANSWERS.findall(done.stdout)]


@pytest.mark.usefixtures("plugged")
def test_every_form_has_its_status_word(card: Bench) -> None:
    answers = scriptor([command for _, command, _ in FORMS])
    ends = {
        name: answer[-2:].hex().upper() for (name, _, _), answer in zip(FORMS, answers, strict=True)
    }
    assert ends == {name: end for name, _, end in FORMS}
    Certificate.decode(answers[9][:-2])
    assert card.tap().atc == 1  # none of these spent a counter


@pytest.mark.usefixtures("plugged")
def test_a_cryptogram_in_two_parts_spends_one_counter() -> None:
    """Goal: GET RESPONSE fetches what was computed; it computes nothing again."""
    begin = gpo()[:-1].hex().upper() + "10"
    answers = scriptor([f"00A404000A{AID}00", begin, "00C0000020", "00C0000000"])
    assert [answer[-2:].hex() for answer in answers] == ["9000", "617d", "615d", "9000"]
    answer = GpoResponse.decode(answers[2][:-2] + answers[3][:-2])
    assert answer.atc == 1
    assert is_genuine(answer)


@pytest.mark.usefixtures("plugged")
def test_opensc_tool_sends_and_prints() -> None:
    done = subprocess.run(
        ["opensc-tool", "-r", "0", "-s", f"00:A4:04:00:0A:{AID}:00", "-s", "00:B2:01:0C:00"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.count("SW1=0x90, SW2=0x00") == 2, done.stdout
