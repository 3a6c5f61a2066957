"""What is attached beside PC/SC: how it is written, and that it comes, goes and comes back."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tty
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import httpx
import pytest
import qrcode

from reader_bridge.attached import (
    ATTACHED_MAX,
    ScannerKind,
    ScannerSpec,
    attached,
    nfc_path_of,
    scanner_of,
)
from reader_bridge.cli import main
from reader_bridge.faults import ReaderFault
from reader_bridge.readers.events import CodeRead, Pace, ReaderGone, ReaderJoined, ReaderSet
from reader_bridge.readers.keyboard import EVENT, KEYS, KeyboardScanner
from reader_bridge.readers.picture_file import OLD_SECONDS, PictureFile
from reader_bridge.readers.scanner import CameraScanner
from tests.hce.transports.test_nfcpy import CARD_MODULE, PATIENT_FWI, free_port
from tests.reader_bridge.readers.code_samples import CONSUMER, IDENTITY, PAY

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 30
PACE = Pace(look_seconds=0.02, held_look_seconds=0.02, pause_seconds=0.01, pause_seconds_max=0.05)
SHIFT, CAPS, ENTER = 42, 58, 28
DOWN, UP, HELD = 1, 0, 2


# --- as a fitter writes it ---


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("keyboard:/dev/input/event3", (ScannerKind.KEYBOARD, "/dev/input/event3", 9600)),
        ("keyboard:-", (ScannerKind.KEYBOARD, "-", 9600)),
        ("serial:/dev/ttyACM0", (ScannerKind.SERIAL, "/dev/ttyACM0", 9600)),
        ("serial:/dev/ttyACM0@115200", (ScannerKind.SERIAL, "/dev/ttyACM0", 115_200)),
        ("camera:/run/camera/a.jpg", (ScannerKind.CAMERA, "/run/camera/a.jpg", 9600)),
    ],
)
def test_scanners_as_they_are_written(text, spec):
    assert scanner_of(text) == ScannerSpec(*spec)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "serial",
        "serial:",
        "usb:/dev/x",
        "serial:-",
        "camera:-",
        "serial:/dev/x@7",
        "serial:a@b",
    ],
)
def test_what_is_no_scanner(text, capsys):
    with pytest.raises(ValueError, match=r"."):
        scanner_of(text)
    with pytest.raises(SystemExit) as stopped:
        main(["serve", "--scanner", text], io.StringIO(), io.StringIO())
    assert stopped.value.code == 2
    assert "--scanner" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["usb", "usb:072f:2200", "usb:001:023", "tty:USB0:pn532", "tty:AMA0", "udp:127.0.0.1:1"]
)
def test_paths_of_nfcpy(text):
    assert nfc_path_of(text) == text


@pytest.mark.parametrize("text", ["", "pcsc", "usb:xyz", "tty:../x", "tty", "udp:a b:1", "usb\n"])
def test_what_is_no_path_of_nfcpy(text):
    with pytest.raises(ValueError, match=r"."):
        nfc_path_of(text)


def test_one_device_twice_or_too_many(capsys):
    twice = [scanner_of("serial:/dev/a"), scanner_of("keyboard:/dev/a")]
    with pytest.raises(ValueError, match="twice"):
        attached([], twice, [])
    many = [scanner_of(f"serial:/dev/{number}") for number in range(ATTACHED_MAX + 1)]
    with pytest.raises(ValueError, match="at most"):
        attached([], many, [])
    with pytest.raises(SystemExit):
        main(["serve", "--nfc", "usb", "--nfc", "usb"], io.StringIO(), io.StringIO())
    assert "one device is named twice" in capsys.readouterr().err


# --- a keyboard's events ---


def key(code: int, value: int = DOWN) -> bytes:
    return EVENT.pack(0, 0, 1, code, value) + EVENT.pack(0, 0, 0, 0, 0)


def typed(text: str) -> bytes:
    """As a scanner types it: Shift down and up around what needs it."""
    codes = {shown: (code, at) for code, both in KEYS.items() for at, shown in enumerate(both)}
    events = b""
    for letter in text:
        code, is_shifted = codes[letter]
        pressed = key(code) + key(code, UP)
        events += key(SHIFT) + pressed + key(SHIFT, UP) if is_shifted else pressed
    return events


@pytest.fixture
def keyboard(tmp_path: Path) -> Iterator[tuple[KeyboardScanner, int]]:
    """A scanner at a pipe, and the end where the kernel would write."""
    place = tmp_path / "event0"
    os.mkfifo(place)
    scanner = KeyboardScanner(str(place))
    assert scanner.name == str(place)
    writer = os.open(place, os.O_RDWR)
    try:
        assert scanner.read(0.01) is None  # opened
        yield scanner, writer
    finally:
        scanner.close()
        scanner.close()
        os.close(writer)


def test_every_key_types_what_a_us_keyboard_does(keyboard):
    scanner, writer = keyboard
    plain = "".join(sorted({both[0] for both in KEYS.values()} - {"\r", "\t", " "}))
    shown = "".join(sorted({both[1] for both in KEYS.values()} - {"\r", "\t", " "}))
    for text in (plain, shown):
        os.write(writer, typed(text + "\r"))
        assert scanner.read(1.0) == text.encode()


def test_codes_repeats_locks_and_lost_events(keyboard):
    scanner, writer = keyboard
    os.write(writer, typed(PAY.decode() + "\r"))
    assert scanner.read(1.0) == PAY
    os.write(writer, typed(IDENTITY.decode() + "\r"))
    assert scanner.read(1.0) == IDENTITY
    os.write(writer, key(2) + key(2, HELD) * 5 + key(2, UP) + key(ENTER))
    assert scanner.read(1.0) == b"1"  # held is not typed again
    os.write(writer, key(CAPS) + typed("ab1\r") + key(CAPS))
    assert scanner.read(1.0) == b"AB1"
    dropped = EVENT.pack(0, 0, 0, 3, 0)
    os.write(writer, typed("12") + dropped + typed("34\r") + typed(CONSUMER.decode() + "\r"))
    assert scanner.read(1.0) == CONSUMER  # half a code is none


def test_half_an_event_and_a_closed_pipe(keyboard):
    scanner, writer = keyboard
    os.write(writer, EVENT.pack(0, 0, 1, 2, 1)[:-1])
    with pytest.raises(ReaderFault, match="scanner_failed"):
        scanner.read(1.0)
    os.write(writer, typed("7\r"))
    assert scanner.read(1.0) == b"7"  # opened anew


def test_a_device_that_cannot_be_grabbed_is_not_used():
    with pytest.raises(ReaderFault, match="scanner_failed"):
        KeyboardScanner("/dev/null").read(0.1)  # a character device that knows no EVIOCGRAB


# --- a camera's file ---


def picture(content: bytes) -> bytes:
    file = io.BytesIO()
    qrcode.make(content.decode()).save(file)
    return file.getvalue()


def put(place: Path, content: bytes) -> None:
    beside = place.with_suffix(".new")
    beside.write_bytes(content)
    beside.replace(place)


def test_each_new_picture_is_looked_at_once(tmp_path):
    place, ticks = tmp_path / "a.png", count(step=0.1)
    put(place, picture(CONSUMER))
    file = PictureFile(place, elapsed=lambda: next(ticks), sleep=lambda seconds: None)
    scanner = CameraScanner(file.take, elapsed=lambda: next(ticks))
    assert scanner.read(1.0) is None  # lay there before: old
    put(place, picture(PAY))
    assert scanner.read(1.0) == PAY
    assert file.take(0.0) is None


def test_a_camera_that_stands_still_and_one_that_is_not_there(tmp_path):
    place, now = tmp_path / "a.png", [0.0]
    file = PictureFile(place, elapsed=lambda: now[0], sleep=lambda seconds: None)
    with pytest.raises(ReaderFault, match="scanner_failed"):
        CameraScanner(file.take).read(0.1)
    put(place, b"first")
    assert file.take(0.0) is None
    now[0] += OLD_SECONDS + 1
    with pytest.raises(OSError, match="no new picture"):
        file.take(0.0)
    put(place, b"second")
    assert file.take(0.0) == b"second"


# --- events ---


def test_a_scanner_that_is_pulled_out_is_told_and_comes_back(tmp_path):
    place = tmp_path / "event0"
    spec = scanner_of(f"keyboard:{place}")
    with ReaderSet(scanners=attached([], [spec], []).scanners, pace=PACE) as readers:
        gone = readers.next_event(SECONDS)
        assert isinstance(gone, ReaderGone)
        assert gone.fault.code == "scanner_failed"
        os.mkfifo(place)
        writer = os.open(place, os.O_RDWR)
        try:
            assert readers.next_event(SECONDS) == ReaderJoined(str(place))
            os.write(writer, typed(PAY.decode() + "\r"))
            assert readers.next_event(SECONDS) == CodeRead(str(place), PAY)
            os.write(writer, b"broken")  # as a device that went away in the middle
            assert isinstance(readers.next_event(SECONDS), ReaderGone)
            assert readers.next_event(SECONDS) == ReaderJoined(str(place))
        finally:
            os.close(writer)


# --- through `serve` ---


@contextmanager
def served(folder: Path, *options: str) -> Iterator[httpx.Client]:
    """The local API of a process with these options, asked by its register."""
    command = [sys.executable, "-m", "reader_bridge", "serve", "--state", str(folder)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--no-pcsc", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().partition("/open?")[0]
        token = (folder / "local_token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=url, headers=headers, timeout=SECONDS, trust_env=False) as api:
            yield api
    finally:
        process.kill()
        process.wait(timeout=SECONDS)
        process.stdout.close()


def sold(api: httpx.Client, reference: str) -> dict[str, object]:
    return dict(api.get(f"/v1/sales/{reference}", params={"wait_seconds": 20}).json())


def test_serve_sells_by_a_scanner_at_a_serial_line(terminal, folder, backend):
    terminal.close()
    other, own = os.openpty()
    with ExitStack() as stack:
        stack.callback(os.close, own)
        stack.callback(os.close, other)
        tty.setraw(own)
        api = stack.enter_context(served(folder, "--scanner", f"serial:{os.ttyname(own)}"))
        for reference, code, state in (("R1", PAY, "paid"), ("R2", IDENTITY, "refused")):
            sale = {"reference": reference, "amount_fen": 1250}
            assert api.post("/v1/sales", json=sale).status_code == 201
            os.write(other, code + b"\r\n")
            told = sold(api, reference)
            assert told["state"] == state, told
        assert "identity_code_not_accepted" in str(told)
    assert backend.charges() == [1250]


@contextmanager
def card_at(port: int) -> Iterator[None]:
    """A phone card in another process, held to nfcpy's udp field."""
    process = subprocess.Popen(
        [sys.executable, "-m", CARD_MODULE, str(port), str(PATIENT_FWI)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)


def test_serve_takes_cards_at_a_reader_of_nfcpy(terminal, folder):
    """Sale first, card second: one that lies there before has to be lifted once (ADR 28)."""
    terminal.close()
    port = free_port()
    with served(folder, "--nfc", f"udp:127.0.0.1:{port}") as api:
        sale = {"reference": "R1", "amount_fen": 1}
        assert api.post("/v1/sales", json=sale).status_code == 201
        with card_at(port):
            told = sold(api, "R1")
        screen = api.get("/v1/screen").json()
    assert (told["state"], told["code"]) == ("refused", "certificate_not_genuine"), told
    assert screen["card"]["reader"] == f"udp:127.0.0.1:{port}"
