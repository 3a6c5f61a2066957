"""A card as a process: whoever dials is one; what does not come, or does not answer, is told."""

from __future__ import annotations

import sys

import pytest

from reader_bridge.faults import ReaderFault
from reader_bridge.simulator import plugged
from reader_bridge.simulator.card_specs import CardRefused, CardSpec, Kind
from reader_bridge.simulator.deck import Deck
from reader_bridge.simulator.plugged import PluggedCard

# A card of another maker: answers every command with its own bytes and 9000. The first command
# "dead" is never answered; "gone" ends the process.
ECHO = """
import socket, sys
line = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
while head := line.recv(2):
    body = line.recv(int.from_bytes(head))
    if body == b"gone":
        break
    if len(body) > 1 and body != b"dead":
        line.sendall((len(body) + 2).to_bytes(2) + body + bytes.fromhex("9000"))
"""


def command(program: str) -> tuple[str, ...]:
    return (sys.executable, "-c", program, "{port}")


@pytest.fixture
def card(tmp_path):
    made = PluggedCard("echo", command(ECHO), tmp_path / "log")
    yield made
    made.close()


def test_it_answers_and_is_powered_again(card):
    assert card.transmit(b"\0\xa4\4\0") == b"\0\xa4\4\0\x90\0"
    card.power_on()
    assert card.transmit(b"abc") == b"abc\x90\0"
    assert card.is_alive


def test_one_that_hangs_up_was_removed(card):
    with pytest.raises(ReaderFault, match="card_removed"):
        card.transmit(b"gone")
    assert not card.is_alive
    with pytest.raises(ReaderFault, match="card_removed"):
        card.transmit(b"abc")


def test_one_that_says_nothing_is_mute_and_not_believed_later(tmp_path, monkeypatch):
    monkeypatch.setattr(plugged, "ANSWER_SECONDS", 0.2)
    card = PluggedCard("echo", command(ECHO), tmp_path / "log")
    try:
        with pytest.raises(ReaderFault, match="card_mute"):
            card.transmit(b"dead")
        assert not card.is_alive
    finally:
        card.close()


def test_one_that_never_dials_says_why(tmp_path):
    with pytest.raises(CardRefused, match="'shy' did not come: no ink"):
        PluggedCard("shy", command("import sys; sys.exit('no ink')"), tmp_path / "log")
    with pytest.raises(CardRefused, match="No such file"):
        PluggedCard("shy", ("./no-such-program", "{port}"), tmp_path / "log")


@pytest.fixture
def deck(tmp_path):
    def make(spec: CardSpec) -> Deck:
        made.append(Deck(tmp_path / "cards", tmp_path / "none", {"card": spec}, {}))
        return made[-1]

    made: list[Deck] = []
    yield make
    for one in made:
        one.close()


def test_a_program_that_died_is_started_again(deck):
    own = deck(CardSpec(Kind.PROGRAM, command=command(ECHO)))
    with pytest.raises(ReaderFault):
        own.shown("card")(b"gone")
    assert own.shown("card")(b"abc") == b"abc\x90\0"


def test_a_phone_without_its_issuer_is_not_made(deck):
    with pytest.raises(CardRefused, match=r"card 'card': hce: .*none"):
        deck(CardSpec(Kind.PHONE)).shown("card")


def test_a_recording_is_played_over_and_over(deck, tmp_path):
    tape = tmp_path / "a.tap"
    tape.write_text("recording 1\ntap x\n> 00A4\n< 9000 0.000\ntap x\n> 00A4\n< 6A82 0.000\n")
    own = deck(CardSpec(Kind.RECORDING, file=tape))
    answers = [own.shown("card")(b"\0\xa4").hex() for _ in range(4)]
    assert answers == ["9000", "6a82", "9000", "6a82"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "No such file"), ("record", "first line"), ("recording 1\n", "holds no tap")],
)
def test_a_recording_that_is_none(text, reason, deck, tmp_path):
    tape = tmp_path / "a.tap"
    if text is not None:
        tape.write_text(text)
    with pytest.raises(CardRefused, match=reason):
        deck(CardSpec(Kind.RECORDING, file=tape)).shown("card")
