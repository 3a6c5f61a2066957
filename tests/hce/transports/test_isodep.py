"""The frame machine against dialogues: every rule of ISO/IEC 14443-4, 7.5.4, that binds a card.

A dialogue is lines of hex: `>` the reader sends, `<` the card answers, `< -` it stays silent.
`<< n` is the card asking for n times the waiting time where its answer is due. The test's card
answers a command of two bytes with that many bytes (modulo 512)
00 01 02 …, any other with its own bytes.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hce.transports.isodep import COMMAND_BYTES_MAX, Command, Granted, IsoDepCard, Reply, State
from hce.transports.isodep_frames import Ats

# FSDI 0: 16 bytes with CRC, so 13 of information in a block, 12 beside a CID.
DIALOGUES = {
    "rats": "> E080 < 0578807002",
    "nothing before rats": "> 0200A4 < - > B2 < - > C2 < - > 26 < - > E08F < - > E080 < 0578807002",
    "the ats was lost: rats again": "> E080 < 0578807002 > E080 < 0578807002 > 020001 < 0200",
    "no rats once blocks were": "> E080 < 0578807002 > 020001 < 0200 > E080 < -",
    "pps of 106 kbit/s": "> E080 < 0578807002 > D01100 < D0 > 020001 < 0200",
    "pps without pps1": "> E080 < 0578807002 > D001 < D0",
    "pps with a cid": "> E083 < 0578807002 > D31100 < D3",
    "pps of another card": "> E083 < 0578807002 > D21100 < - > D31100 < -",
    "pps of 212 kbit/s": "> E080 < 0578807002 > D01105 < - > 020001 < 0200",
    "pps only once": "> E080 < 0578807002 > D001 < D0 > D001 < - > 020001 < 0200",
    "pps not after a block": "> E080 < 0578807002 > 020001 < 0200 > D001 < -",
    # C: the card begins with 1, so R(NAK)(1) finds nothing to send again, R(NAK)(0) is rule 12
    "rule C": "> E080 < 0578807002 > B3 < - > B2 < A3",
    "rule D: alternating": "> E080 < 0578807002 > 020001 < 0200 > 030001 < 0300 > 020001 < 0200",
    "rule D: whatever the number is": "> E080 < 0578807002 > 030001 < 0200 > 030001 < 0300",
    "rule E and 13: chaining goes on": (
        "> E000 < 0578807002 > 02001C < 12000102030405060708090A0B0C"
        " > A3 < 130D0E0F10111213141516171819 > A2 < 021A1B"
    ),
    "rule 11: R(ACK) with our number asks again in chaining": (
        "> E000 < 0578807002 > 02001C < 12000102030405060708090A0B0C"
        " > A2 < 12000102030405060708090A0B0C > A3 < 130D0E0F10111213141516171819"
        " > A3 < 130D0E0F10111213141516171819 > A2 < 021A1B"
    ),
    "rule 11: R(NAK) in chaining": (
        "> E000 < 0578807002 > 02000E < 12000102030405060708090A0B0C"
        " > B2 < 12000102030405060708090A0B0C > A3 < 030D > B3 < 030D"
    ),
    "rule 11: the answer was lost": (
        "> E080 < 0578807002 > 020002 < 020001 > B2 < 020001 > B2 < 020001"
    ),
    "rule 11: an acknowledgement was lost": (
        "> E080 < 0578807002 > 1200 < A2 > B2 < A2 > 0302 < 030001"
    ),
    "rule 12: the command was lost": "> E080 < 0578807002 > B2 < A3 > 020001 < 0200",
    "rule 12: a later command was lost": (
        "> E080 < 0578807002 > 020001 < 0200 > B3 < A2 > 030002 < 030001"
    ),
    "rule 12: presence": "> E080 < 0578807002 > 020001 < 0200 > B3 < A2 > B3 < A2 > 030001 < 0300",
    "rule 12 is not what rule 11 repeats": (
        "> E080 < 0578807002 > 020001 < 0200 > B3 < A2 > B2 < 0200 > 030001 < 0300"
    ),
    "an acknowledgement of nothing": "> E080 < 0578807002 > 020001 < 0200 > A3 < - > 030001 < 0300",
    "rule 2: a chained command": (
        "> E080 < 0578807002 > 1201 < A2 > 1302 < A3 > 120304 < A2 > 03 < 0301020304"
    ),
    "rule 2 with R(NAK) for a lost part": (
        "> E080 < 0578807002 > 1201 < A2 > B3 < A2 > 1302 < A3 > B3 < A3 > 0203 < 02010203"
    ),
    "rule 10: an empty block is answered by one": "> E080 < 0578807002 > 02 < 02 > 03 < 03",
    "a new command ends an answer in chaining": (
        "> E000 < 0578807002 > 02000E < 12000102030405060708090A0B0C > 030001 < 0300 > A2 < -"
    ),
    "and so does the first part of one": (
        "> E000 < 0578807002 > 02000E < 12000102030405060708090A0B0C > 1301 < A3 > A2 < - > B3 < A3"
    ),
    "rule 9: more time, granted": "> E080 < 0578807002 > 020001 << 10 < F20A > F20A < 0200",
    "rule 9: the request was lost": (
        "> E080 < 0578807002 > 020001 << 10 < F20A > B2 < F20A > F20A < 0200"
    ),
    "rule 9: twice": "> E080 < 0578807002 > 020001 << 10 < F20A > F20A << 59 < F23B > F23B < 0200",
    "rule 9 with a cid": "> E085 < 0578807002 > 0A050001 << 1 < FA0501 > FA0501 < 0A0500",
    "rule 3: another multiplier": (
        "> E080 < 0578807002 > 020001 << 10 < F20A > F20B < - > F20A < 0200"
    ),
    "rule 3: a block instead of the grant": (
        "> E080 < 0578807002 > 020001 << 10 < F20A > 030001 < - > F20A < 0200"
    ),
    "rule 3: a grant nobody asked for": "> E080 < 0578807002 > F20A < - > 020001 < 0200",
    "deselect instead of the grant": (
        "> E080 < 0578807002 > 020001 << 10 < F20A > C2 < C2 > F20A < -"
    ),
    "deselect, then silence": "> E080 < 0578807002 > C2 < C2 > C2 < - > 020001 < - > E080 < -",
    "deselect with a cid": "> E085 < 0578807002 > C2 < - > CA04 < - > CA05 < CA05",
    "deselect in a chained command": "> E080 < 0578807002 > 1201 < A2 > C2 < C2",
    "a cid: only ours": (
        "> E085 < 0578807002 > 0A040001 < - > 020001 < - > 0A050001 < 0A0500 > BA05 < 0A0500"
    ),
    "cid 0: with or without": "> E080 < 0578807002 > 0A000001 < 0A0000 > 030001 < 0300",
    "a cid takes its byte in chaining": (
        "> E001 < 0578807002 > 0A01000D < 1A01000102030405060708090A0B > AB01 < 0B010C"
    ),
    "a nad is not for us": "> E080 < 0578807002 > 06210001 < - > 020001 < 0200",
    "noise": "> E080 < 0578807002 > 00 < - > FF < - > 26 < - > 9320 < - > 020001 < 0200",
    "a frame longer than ours": "> E080 < 0578807002 > 02" + "00" * 254 + " < - > 020001 < 0200",
}


def computed(command: bytes) -> bytes:
    if len(command) == 2:
        return bytes(number & 0xFF for number in range(int.from_bytes(command) % 512))
    return command


class Desk:
    """A machine with its card: frames in hex in, frames in hex out, None for silence."""

    def __init__(self, ats: Ats | None = None) -> None:
        self.machine = IsoDepCard(ats)
        self.commands: list[bytes] = []

    def hear(self, frame: str, extend: int | None = None) -> str | None:
        step = self.machine.receive(bytes.fromhex(frame))
        if isinstance(step, Command):
            self.commands.append(step.apdu)
        if isinstance(step, (Command, Granted)):
            if extend is not None:
                return self.machine.extend(extend).hex().upper()
            return self.machine.answer(computed(self.commands[-1])).hex().upper()
        return step.frame.hex().upper() if isinstance(step, Reply) else None


def play(desk: Desk, dialogue: str) -> None:
    words = dialogue.split()
    assert len(words) % 2 == 0
    pairs = list(zip(words[::2], words[1::2], strict=True))
    for at, (mark, sent) in enumerate(pairs):
        if mark != ">":
            continue
        extends = pairs[at + 1][0] == "<<"
        expected = pairs[at + 1 + extends]
        assert expected[0] == "<", f"after {sent}: no answer written down"
        answer = desk.hear(sent, int(pairs[at + 1][1]) if extends else None)
        assert (answer or "-") == expected[1].upper(), f"after {sent}"


@pytest.mark.parametrize("dialogue", DIALOGUES.values(), ids=DIALOGUES)
def test_dialogues(dialogue: str) -> None:
    play(Desk(), dialogue)


def test_a_card_without_cid_hears_no_block_with_one() -> None:
    desk = Desk(Ats(is_cid_supported=False))
    play(desk, "> E085 < 0578807000 > 0A050001 < - > 0A000001 < - > 020001 < 0200")


def test_a_retransmission_runs_no_command_twice() -> None:
    """Goal: money. Whatever the reader asks for again, the card computed once."""
    desk = Desk()
    play(desk, "> E080 < 0578807002 > 020002 < 020001 > B2 < 020001 > B2 < 020001 > B3 < A2")
    assert desk.commands == [b"\x00\x02"]


def test_deselect_while_the_card_computes() -> None:
    machine = IsoDepCard()
    machine.receive(bytes.fromhex("E080"))
    assert machine.receive(bytes.fromhex("020001")) == Command(b"\x00\x01")
    assert machine.receive(bytes.fromhex("B2")) is None
    assert machine.receive(bytes.fromhex("030001")) is None
    assert machine.receive(bytes.fromhex("C2")) == Reply(b"\xc2")
    assert machine.state is State.HALTED


def test_the_longest_frame_is_taken_and_given() -> None:
    desk = Desk()
    play(desk, "> E080 < 0578807002")
    body = bytes(range(253))
    answer = desk.hear("02" + body.hex())
    assert answer == "02" + body.hex().upper()


def test_a_chain_without_end_takes_no_memory() -> None:
    desk = Desk()
    desk.hear("E080")
    part = "00" * 253
    for number in range(400):
        assert desk.hear(f"1{2 + number % 2}{part}") == ("A2", "A3")[number % 2]
    desk.hear("0200")
    assert [len(command) for command in desk.commands] == [COMMAND_BYTES_MAX + 1]


class HonestReader:
    """The reader's side: rules A, B, 4 to 7; loses what the dice say."""

    def __init__(self, desk: Desk, lost: list[bool], fsd: int) -> None:
        self.desk, self.lost, self.number, self.sent = desk, iter(lost), 0, 0
        code = {16: "0", 32: "2", 256: "8"}[fsd]
        assert desk.hear(f"E0{code}0") is not None

    def once(self, frame: str) -> str | None:
        """There and back; either way may be lost."""
        self.sent += 1
        assert self.sent < 2000, "recovery does not end"
        if next(self.lost, False):
            return None
        answer = self.desk.hear(frame)
        return None if next(self.lost, False) else answer

    def block(self, frame: str, again: str) -> str:
        """Rules 4 and 6: ask again until there is an answer."""
        answer = self.once(frame)
        while True:
            if answer is None:
                answer = self.once(again)
            elif answer == f"A{2 + (self.number ^ 1)}":  # rule 6: it never came
                answer = self.once(frame)
            else:
                return answer

    def transceive(self, command: bytes, part: int) -> bytes:
        parts = [command[at : at + part] for at in range(0, len(command), part)]
        for at, inf in enumerate(parts):
            more = at + 1 < len(parts)
            frame = f"{(0x12 if more else 0x02) | self.number:02X}{inf.hex().upper()}"
            answer = self.block(frame, f"B{2 + self.number}")
            if more:
                assert answer == f"A{2 + self.number}"
                self.number ^= 1  # rule B
        response = b""
        while True:
            block = bytes.fromhex(answer)
            assert block[0] & 0xEF == 0x02 | self.number
            response += block[1:]
            self.number ^= 1
            if not block[0] & 0x10:
                return response
            acknowledge = f"A{2 + self.number}"
            answer = self.once(acknowledge)
            while answer is None:  # rule 5
                answer = self.once(acknowledge)


@given(
    st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=6),
    st.lists(st.booleans(), max_size=60),
    st.sampled_from([16, 32, 256]),
    st.integers(1, 40),
)
def test_lost_frames_are_recovered_and_nothing_runs_twice(
    commands: list[bytes], lost: list[bool], fsd: int, part: int
) -> None:
    desk = Desk()
    reader = HonestReader(desk, lost, fsd)
    for command in commands:
        assert reader.transceive(command, part) == computed(command)
    assert desk.commands == commands


@given(st.lists(st.binary(max_size=12), max_size=30))
def test_any_frames_are_borne(frames: list[bytes]) -> None:
    desk = Desk()
    desk.hear("E080")
    for frame in frames:
        desk.hear(frame.hex())
    assert desk.machine.state in set(State)
