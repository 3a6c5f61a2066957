"""SAM, cards, scanners and TLS in the self-test, against what really answers."""

from __future__ import annotations

import datetime
import io
import ipaddress
import json
import os
import socket
import ssl
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from reader_bridge.acceptance.knowledge import Known
from reader_bridge.attached import scanner_of
from reader_bridge.cli import main
from reader_bridge.client_key import load_identity, save_identity
from reader_bridge.local.server import LocalServer
from reader_bridge.readers.loopback import LoopbackReader
from reader_bridge.readers.nfc import NfcReader
from reader_bridge.sam import sealed
from reader_bridge.sam.sealed import SamKeys
from reader_bridge.sam.setup import create
from reader_bridge.selftest import Verdict, devices
from tests.reader_bridge.acceptance.world import PurseCard
from tests.reader_bridge.local.conftest import shop  # noqa: F401 - a fixture
from tests.reader_bridge.readers.code_samples import FOREIGN_MERCHANT, IDENTITY, PAY
from tests.reader_bridge.sam.examples import KEYS, TERMINAL

WORDS = b"correct horse"
MASTERS = tuple(key for key in KEYS if key.levels)


# --- TLS ---


def self_signed() -> tuple[bytes, bytes]:
    """A certificate that nobody vouches for, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    begin = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=36_500))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return made.public_bytes(serialization.Encoding.PEM), pem


@contextmanager
def impostor(folder: Path) -> Iterator[str]:
    """A TLS server that no authority vouches for; takes one caller."""
    certificate, key = self_signed()
    (folder / "c.pem").write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "c.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        refused: list[str] = []

        def serve() -> None:
            caller, _ = listener.accept()
            caller.settimeout(20)
            try:
                with context.wrap_socket(caller, server_side=True) as secure:
                    secure.recv(1)
            except OSError as error:
                refused.append(type(error).__name__)
            finally:
                caller.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(20)
        assert refused  # the terminal went away before it said anything


def test_a_certificate_that_nobody_vouches_for(ready, look, tmp_path):
    with impostor(tmp_path) as url:
        save_identity(ready, replace(load_identity(ready), url=url))
        lines = look()
    assert lines["backend"].code == "tls_refused"
    assert "self-signed certificate" in lines["backend"].said.en
    assert lines["login"].verdict is Verdict.SKIP  # the key signs nothing for an impostor


# --- SAM ---


@pytest.fixture
def sam_folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(sealed, "SCRYPT_R", 1)  # the real cost is 0.1 s a time
    folder = tmp_path / "sam"
    folder.mkdir(mode=0o700)
    create(folder, SamKeys(TERMINAL, 1, MASTERS), WORDS)
    (folder / "passphrase").write_bytes(WORDS)
    (folder / "passphrase").chmod(0o600)
    return folder


def test_a_sam_says_its_terminal_number(ready, look, sam_folder):
    line = look(sam_folder=sam_folder)["sam"]
    assert line.verdict is Verdict.OK
    assert line.said.en.startswith("terminal 001122334455, key 1")
    shown = json.dumps(line.to_document())
    assert WORDS.decode() not in shown
    assert not any(key.value.hex() in shown.lower() for key in KEYS)


@pytest.mark.parametrize(
    ("words", "code"), [(WORDS, "sam_keys_exposed"), (b"wrong", "sam_passphrase_wrong")]
)
def test_a_sam_that_does_not_open(look, sam_folder, words, code):
    (sam_folder / "passphrase").write_bytes(words)
    (sam_folder / "passphrase").chmod(0o644 if words == WORDS else 0o600)
    assert look(sam_folder=sam_folder)["sam"].code == code


# --- cards ---


def reader_with(transmit=None) -> LoopbackReader:
    return LoopbackReader(transmit, name="counter")


def test_a_card_says_which_application_answers(stall):
    known = stall.terminal.refresh()
    line = devices.check_card([reader_with(), reader_with(PurseCard().shown())], known, lambda: 0.0)
    assert line.verdict is Verdict.OK
    assert line.said.en.startswith("counter: MOT_T_EP, ")
    assert devices.check_card([reader_with(PurseCard().shown())], Known(), lambda: 0.0).said.en == (
        "counter: a card is there"
    )


def test_a_card_that_is_none_of_ours_and_no_card(stall):
    known = stall.terminal.refresh()
    foreign = reader_with(lambda command: b"\x6a\x82")
    assert devices.check_card([foreign], known, lambda: 0.0).code == "application_missing"
    ticks, pauses = count(step=0.5), []
    line = devices.check_card([reader_with()], known, lambda: next(ticks), pauses.append)
    assert line.code == "no_card"
    assert len(pauses) == devices.HOLD_SECONDS / 0.5 - 1


def test_a_card_is_not_waited_for_where_no_reader_works():
    gone = NfcReader("usb:ffff:ffff")
    for readers in ([], [gone]):
        line = devices.check_card(readers, Known(), lambda: 0.0, pytest.fail)
        assert line.code == "reader_missing"


# --- scanners ---


@pytest.fixture
def line() -> Iterator[tuple[str, int]]:
    """The name of a serial line, and the scanner's end of it."""
    other, own = os.openpty()
    tty.setraw(own)
    yield f"serial:{os.ttyname(own)}", other
    os.close(own)
    os.close(other)


def test_a_scanner_that_opens_and_one_that_is_not_there(ready, look, line):
    assert look(scanners=(scanner_of(line[0]),))["scanner"].verdict is Verdict.OK
    assert look(scanners=(scanner_of("serial:/dev/none"),))["scanner"].code == "scanner_failed"


@pytest.mark.parametrize(
    ("code", "kind", "wrong"),
    [(PAY, "pay", None), (IDENTITY, "identity", None), (FOREIGN_MERCHANT, "foreign", "no_code")],
)
def test_the_kind_of_a_code_is_told_and_not_the_code(line, code, kind, wrong):
    name, other = line
    spec = scanner_of(name)

    class Late:
        """The code comes once the scanner is open: what came before is not heard."""

        name = spec.place

        def __init__(self) -> None:
            self._scanner = spec.open()
            assert self._scanner.read(0.01) is None

        def read(self, timeout_seconds: float) -> bytes | None:
            os.write(other, code + b"\r")
            return self._scanner.read(timeout_seconds)

        def close(self) -> None:
            self._scanner.close()

    class Spec:
        def open(self) -> Late:
            return Late()

    told = devices.check_code(Spec())  # type: ignore[arg-type]
    assert (told.code, kind in told.said.en) == (wrong, True)
    assert code.decode("latin-1") not in told.said.zh


def test_no_code_within_the_time(line, monkeypatch):
    monkeypatch.setattr(devices, "HOLD_SECONDS", 0.05)
    assert devices.check_code(scanner_of(line[0])).code == "no_code"


# --- the port, and the command ---


def test_a_port_where_serve_runs_already(shop):  # noqa: F811
    assert isinstance(shop.server, LocalServer)
    line = devices.check_port(shop.server.port)
    assert (line.verdict, "serve runs already" in line.said.en) == (Verdict.OK, True)


def run(folder: Path, *words: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    wanted = ("self-test", "--no-pcsc", "--port", "0", "--state", folder, *words)
    return main([str(word) for word in wanted], out, err), out.getvalue(), err.getvalue()


def test_the_command_ends_with_1_when_a_line_fails(ready, clock, monkeypatch):
    monkeypatch.setattr("reader_bridge.cli.selftest.Clock", lambda: clock)
    code, out, err = run(ready, "--language", "en")
    assert (code, err) == (0, "")
    assert out.count("\n") == 11
    assert all(line.startswith("OK   ") for line in out.splitlines())
    code, out, _ = run(ready, "--json", "--nfc", "usb:ffff:ffff")
    told = json.loads(out)
    assert (code, told["ok"]) == (1, False)
    (failed,) = [line for line in told["lines"] if line["verdict"] == "FAIL"]
    assert failed["name"] == "nfc"
    assert failed["code"] == "reader_missing"
    assert failed["advice"]["zh-CN"]
