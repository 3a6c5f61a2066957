"""Taps written down and played again: whole taps byte by byte, and recordings that are none."""

from __future__ import annotations

import logging
import random

import pytest

from reader_bridge.faults import CardFault, ReaderFault, RecordingFault
from reader_bridge.readers.loopback import LoopbackReader
from reader_bridge.readers.recording import (
    FIRST_LINE,
    RECORDING_CHARACTERS_MAX,
    Asked,
    Exchanged,
    Left,
    RecordingReader,
    Tap,
    masked,
    parse,
)
from reader_bridge.readers.replay import ReplayReader
from tests.reader_bridge.readers.tap_scripts import FOLDER, SCRIPTS, record, shown


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_whole_tap_byte_by_byte(name):
    """`python -m tests.reader_bridge.readers.tap_scripts` writes them anew."""
    assert record(SCRIPTS[name])[0] == (FOLDER / f"{name}.tap").read_text(encoding="utf-8")


def test_every_transcript_has_its_script():
    assert {path.stem for path in FOLDER.iterdir()} == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_recording_is_as_good_as_the_card(name):
    """The kernels send the recorded bytes, and come to the same end."""
    text = (FOLDER / f"{name}.tap").read_text(encoding="utf-8")
    reader = ReplayReader(parse(text))
    assert SCRIPTS[name].play(reader) == record(SCRIPTS[name])[1]
    reader.require_played()


def test_what_is_recorded():
    lines: list[str] = []
    inner = LoopbackReader(lambda command: command[:1] + b"\x90\x00")
    ticks = iter(range(100))
    reader = RecordingReader(inner, lines.append, elapsed=lambda: next(ticks) / 1000)
    assert reader.name == "loopback"
    channel = shown(reader)
    assert channel.transmit(b"\x00\xa4\x04\x00") == b"\x00\x90\x00"
    assert channel.is_present()
    assert not channel.wait_for_removal(0.0)
    inner.remove()
    with pytest.raises(ReaderFault):
        channel.transmit(b"\x00\xb0")
    assert not channel.is_present()
    assert channel.wait_for_removal(0.0)
    channel.close()
    assert reader.wait_for_card(0.0) is None
    reader.close()
    assert lines == [
        FIRST_LINE,
        "tap loopback",
        "> 00A40400",
        "< 009000 1.000",
        "? 1",
        "> 00B0",
        "! reader card_removed 1.000",
        "? 0",
        "left",
        "close",
    ]
    (tap,) = parse("\n".join(lines))
    assert tap.steps[1:2] == (Asked(5, True),)
    assert tap.steps[-1] == Left(9)


FAULTS = [
    ReaderFault("reader_failed", reason='USB 断开 "gone"'),
    ReaderFault("card_mute"),
    CardFault("card_never_done"),
    CardFault("card_declined", status="6985"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.code)
def test_faults_are_recorded_and_raised_again(fault):
    class Broken:
        name = "broken"

        def transmit(self, command: bytes) -> bytes:
            raise fault

    lines: list[str] = []
    inner = LoopbackReader()
    inner.wait_for_card = lambda seconds: Broken()  # type: ignore[assignment, method-assign, return-value]
    with pytest.raises(type(fault)):
        shown(RecordingReader(inner, lines.append)).transmit(b"\x00")
    played = ReplayReader(parse("\n".join(lines)))
    with pytest.raises(type(fault)) as caught:
        shown(played).transmit(b"\x00")
    assert (caught.value.code, caught.value.data) == (fault.code, fault.data)
    assert caught.value.text("zh-CN") == fault.text("zh-CN")


PINS = {
    "VERIFY": ("0020000003123456", "0020000003xxxxxx"),
    "VERIFY, secured": ("0420000003123456", "0420000003xxxxxx"),
    "CHANGE PIN": ("805E010005123456FF12", "805E010005xxxxxxxxxx"),
    "CHANGE REFERENCE DATA": ("002400000412345678", "0024000004xxxxxxxx"),
    "VERIFY, asked for tries left": ("0020000000", "0020000000"),
    "DEBIT is no PIN": ("805401000F" + "00" * 15 + "08", "805401000F" + "00" * 15 + "08"),
}


@pytest.mark.parametrize(("command", "told"), PINS.values(), ids=PINS)
def test_a_pin_is_never_written_down(command, told):
    assert masked(bytes.fromhex(command)) == told
    lines: list[str] = []
    reader = RecordingReader(LoopbackReader(lambda _: b"\x90\x00"), lines.append)
    shown(reader).transmit(bytes.fromhex(command))
    assert lines[2] == f"> {told}"
    replayed = ReplayReader(parse("\n".join(lines)))
    assert shown(replayed).transmit(bytes.fromhex(command)) == b"\x90\x00"


def test_a_full_disk_ends_the_recording_and_not_the_tap(caplog):
    lines: list[str] = []

    def write(line: str) -> None:
        if len(lines) == 3:
            raise OSError("no space left")
        lines.append(line)

    channel = shown(RecordingReader(LoopbackReader(lambda _: b"\x90\x00"), write))
    with caplog.at_level(logging.WARNING):
        assert [channel.transmit(b"\x00") for _ in range(3)] == [b"\x90\x00"] * 3
    assert lines == [FIRST_LINE, "tap loopback", "> 00"]
    assert [one.message for one in caplog.records] == ["the recording ends here: no space left"]


TWO = f"""{FIRST_LINE}

# a remark
tap A
> 00A40400
< 9000 0.100
? 1
> 00B0950000
< AA9000 12.5
left
close
tap B
> 00
! reader card_removed 3.100
"""


def test_what_is_read():
    first, second = parse(TWO)
    assert (first.line, first.reader_name) == (4, "A")
    assert first.steps[2] == Exchanged(8, "00B0950000", b"\xaa\x90\x00", 12.5)
    assert (second.reader_name, len(second.steps)) == ("B", 1)


def test_a_command_that_differs_names_the_line():
    channel = shown(ReplayReader(parse(TWO)))
    channel.transmit(bytes.fromhex("00A40400"))
    with pytest.raises(RecordingFault) as caught:
        channel.transmit(bytes.fromhex("00B0960000"))
    assert caught.value.text("en") == (
        "Line 8 of the recording has 00B0950000, but came 00B0960000"
    )
    channel = shown(ReplayReader(parse(TWO)))
    with pytest.raises(RecordingFault, match="Line 5"):
        channel.transmit(bytes.fromhex("00A404"))


def test_a_command_after_the_end_names_the_line():
    text = f"{FIRST_LINE}\ntap A\n> 00\n< 9000 1.0"
    channel = shown(ReplayReader(parse(text)))
    channel.transmit(b"\x00")
    with pytest.raises(RecordingFault, match="recording_over: The recording ends at line 3"):
        channel.transmit(b"\x00")


def test_presence_as_recorded():
    reader = ReplayReader(parse(TWO))
    channel = shown(reader)
    assert channel.is_present()
    channel.transmit(bytes.fromhex("00A40400"))
    assert channel.is_present()  # line 7
    channel.transmit(bytes.fromhex("00B0950000"))
    assert not channel.is_present()
    assert channel.wait_for_removal(60.0)
    with pytest.raises(ReaderFault, match="card_removed"):
        channel.transmit(b"\x00")
    channel.close()
    with pytest.raises(ReaderFault, match="card_removed"):
        channel.transmit(b"\x00")
    with pytest.raises(RecordingFault, match="Line 12"):
        reader.require_played()
    assert reader.wait_for_card(0.0) is not None
    with pytest.raises(RecordingFault, match="Line 13"):
        reader.require_played()
    assert reader.wait_for_card(0.0) is None
    reader.close()


def test_answers_take_the_time_the_card_took():
    pauses: list[float] = []
    channel = shown(ReplayReader(parse(TWO), pause=pauses.append))
    channel.transmit(bytes.fromhex("00A40400"))
    channel.transmit(bytes.fromhex("00B0950000"))
    assert pauses == [0.0001, 0.0125]


MALFORMED = {
    "nothing": ("", 0),
    "another first line": ("recording 2\n", 1),
    "a command outside a tap": (f"{FIRST_LINE}\n> 00", 2),
    "an answer without a command": (f"{FIRST_LINE}\ntap A\n< 9000 1.0", 3),
    "two commands": (f"{FIRST_LINE}\ntap A\n> 00\n> 00", 4),
    "a command without an answer": (f"{FIRST_LINE}\ntap A\n> 00", 3),
    "a tap in mid-command": (f"{FIRST_LINE}\ntap A\n> 00\ntap B", 4),
    "lower case": (f"{FIRST_LINE}\ntap A\n> 0a\n< 9000 1.0", 3),
    "half a byte": (f"{FIRST_LINE}\ntap A\n> 000\n< 9000 1.0", 3),
    "a masked answer": (f"{FIRST_LINE}\ntap A\n> 00\n< xx9000 1.0", 4),
    "no milliseconds": (f"{FIRST_LINE}\ntap A\n> 00\n< 9000", 4),
    "milliseconds without end": (f"{FIRST_LINE}\ntap A\n> 00\n< 9000 1.{'0' * 50}", 4),
    "no such kind of fault": (f"{FIRST_LINE}\ntap A\n> 00\n! terminal x 1.0", 4),
    "no such fault": (f"{FIRST_LINE}\ntap A\n> 00\n! reader no_such 1.0", 4),
    "a fault without its data": (f"{FIRST_LINE}\ntap A\n> 00\n! reader reader_failed 1.0", 4),
    "data that is no JSON": (f"{FIRST_LINE}\ntap A\n> 00\n! card card_declined 1.0 {{", 4),
    "deep data": (f"{FIRST_LINE}\ntap A\n> 00\n! card card_declined 1.0 {'[' * 100_000}", 4),
    "presence maybe": (f"{FIRST_LINE}\ntap A\n? 2", 3),
    "an unknown line": (f"{FIRST_LINE}\ntap A\nhello", 3),
    "left with a word": (f"{FIRST_LINE}\ntap A\nleft early", 3),
}


@pytest.mark.parametrize(("text", "line"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_recording(text, line):
    with pytest.raises(RecordingFault, match="recording_malformed") as caught:
        parse(text)
    assert caught.value.data["line"] == line


def test_a_recording_that_is_too_large():
    with pytest.raises(RecordingFault, match="recording_too_large"):
        parse(FIRST_LINE + "\n" * RECORDING_CHARACTERS_MAX)


def test_random_recordings_are_read_or_refused():
    chance, lines = random.Random(3), TWO.splitlines()
    outcomes = set()
    for _ in range(1000):
        mixed = [chance.choice(lines) for _ in range(chance.randint(0, 12))]
        try:
            taps = parse("\n".join([FIRST_LINE, *mixed]))
            assert all(isinstance(tap, Tap) for tap in taps)
            outcomes.add("read")
        except RecordingFault as fault:
            outcomes.add(fault.code)
    assert outcomes == {"read", "recording_malformed"}
