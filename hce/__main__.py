"""`python -m hce`: plugs a card into pcscd, holds one to an NFC reader, makes one, reads any."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from card_protocol.mobile_card import HolderCheck
from hce.applets.mobile_card import MobileCardApplet
from hce.card import Card
from hce.demonstration import make_demonstration, renew_key_if_needed
from hce.errors import CardAbsent, CardFileExists, CardFileProblem, ReaderUnreachable
from hce.inspect import Language, lines_of, survey_card
from hce.inspect.commands import TooTalkative
from hce.inspect.pcsc import card_in_reader
from hce.store import FileCardStore
from hce.transports.vpcd import HOST, PORT, VpcdPlug

WAIT_SECONDS, WAIT_SECONDS_MAX = 10.0, 600.0
UDP_READER = "udp:127.0.0.1:54321"  # nfcpy's simulated field: another process is the reader
DEMONSTRATION_PATH = Path("var/hce/demo-card.json")
EXIT_OK, EXIT_UNUSABLE = 0, 2


def now_seconds() -> int:
    return int(time.time())


def masked(token_number: str) -> str:
    """First six and last four digits."""
    return token_number[:6] + "*" * (len(token_number) - 10) + token_number[-4:]


def open_card(store: FileCardStore) -> Card:
    """A program on a desk checks no holder. Raises CardFileProblem."""
    applet = MobileCardApplet(
        store, store.signer(), holder_check=lambda: HolderCheck.NONE, now=now_seconds
    )
    return Card([applet])


def plug(path: Path | None, host: str, port: int) -> int:
    """Keeps the card in the reader until stopped. Raises CardFileProblem, ReaderUnreachable."""
    store = FileCardStore(path or DEMONSTRATION_PATH)
    if path is None:
        _make_unless_there(DEMONSTRATION_PATH)
    renew_key_if_needed(store, now_seconds())
    record, card = store.record(), open_card(store)
    with VpcdPlug(card, host, port) as reader:
        told = f"card {masked(record.state.certificate.token_number)} is in {_slot(host, port)}"
        if record.issuer_public_key is not None:
            told += f"; a demonstration card with its own issuer key, kept in {store.path}"
        print(f"{told}; Ctrl-C takes it out", flush=True)
        reader.wait()
    return EXIT_OK


def listen(path: Path | None, reader: str) -> int:
    """Holds the card to an NFC reader until stopped. Raises CardFileProblem, ReaderUnreachable."""
    from hce.transports.nfcpy_listener import NfcpyListener  # noqa: PLC0415 - half a second

    store = FileCardStore(path or DEMONSTRATION_PATH)
    if path is None:
        _make_unless_there(DEMONSTRATION_PATH)
    renew_key_if_needed(store, now_seconds())
    number = masked(store.record().state.certificate.token_number)
    with NfcpyListener(open_card(store), reader) as field:
        print(f"card {number} waits for a reader at {reader}; Ctrl-C takes it away", flush=True)
        field.run()
    return EXIT_OK


def inspect(reader: str | None, language: Language, wait_seconds: float, personal: bool) -> int:
    """Reads the card in a PC/SC reader. Raises ReaderUnreachable, CardAbsent, TooTalkative."""
    with card_in_reader(reader, wait_seconds) as card:
        report = survey_card(card, card.atr)
    for line in lines_of(report, card.reader, language, show_personal=personal):
        print(line)
    return EXIT_OK


def new(path: Path) -> int:
    """Makes a demonstration card. Raises CardFileProblem."""
    record = make_demonstration(now_seconds())
    FileCardStore.create(path, record)
    number = masked(record.state.certificate.token_number)
    print(f"card {number} is in {path}; a demonstration card with its own issuer key")
    return EXIT_OK


def _make_unless_there(path: Path) -> None:
    if path.exists():
        return
    try:
        FileCardStore.create(path, make_demonstration(now_seconds()))
    except CardFileExists:
        return  # made meanwhile by another process: that one is as good


def _slot(host: str, port: int) -> str:
    if 0 <= port - PORT <= 1:  # vpcd opens one port a slot, two of them
        return f"slot {port - PORT} of the virtual reader at {host}:{port}"
    return f"the virtual reader at {host}:{port}"


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65_535:
        raise ValueError
    return number


def _wait(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= WAIT_SECONDS_MAX:
        raise ValueError
    return seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hce", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    plugging = commands.add_parser("plug", help="plug a card into a running pcscd")
    plugging.add_argument("--card", type=Path, help="card file (default: a demonstration card)")
    plugging.add_argument("--host", default=HOST, help="where pcscd's virtual reader listens")
    plugging.add_argument("--port", type=_port, default=PORT, help=f"slot 0: {PORT}, 1: {PORT + 1}")
    listening = commands.add_parser("listen", help="hold a card to an NFC reader (nfcpy)")
    listening.add_argument("--card", type=Path, help="card file (default: a demonstration card)")
    listening.add_argument(
        "--reader", default=UDP_READER, help=f"usb, tty:USB0:pn532, … (default: {UDP_READER})"
    )
    _add_inspecting(commands.add_parser("inspect", help="read any card in a PC/SC reader 读卡"))
    making = commands.add_parser("new", help="make a demonstration card file")
    making.add_argument("--card", type=Path, required=True, help="the file to make")
    return parser


def _add_inspecting(inspecting: argparse.ArgumentParser) -> None:
    inspecting.add_argument("--reader", help="part of its name (default: the first)")
    inspecting.add_argument(
        "--lang", type=Language, default=Language.ZH, metavar="{zh,en}", help="default: zh"
    )
    inspecting.add_argument(
        "--wait-seconds", type=_wait, default=WAIT_SECONDS, help=f"for a card ({WAIT_SECONDS})"
    )
    inspecting.add_argument(
        "--show-personal", action="store_true", help="names, numbers and places too 显示个人信息"
    )


def _stop(signal_number: int, frame: FrameType | None) -> None:
    del signal_number, frame
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 cannot (one line on stderr says why)."""
    chosen = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    try:
        if chosen.command == "new":
            return new(chosen.card)
        if chosen.command == "inspect":
            return inspect(chosen.reader, chosen.lang, chosen.wait_seconds, chosen.show_personal)
        if chosen.command == "listen":
            return listen(chosen.card, chosen.reader)
        return plug(chosen.card, chosen.host, chosen.port)
    except KeyboardInterrupt:
        return EXIT_OK
    except ReaderUnreachable as error:
        hint = ". Is pcscd running with vsmartcard-vpcd?" if chosen.command == "plug" else ""
        print(f"hce: {error}{hint}", file=sys.stderr)
    except (CardFileProblem, CardAbsent, TooTalkative) as error:
        print(f"hce: {error}", file=sys.stderr)
    return EXIT_UNUSABLE


if __name__ == "__main__":
    sys.exit(main())
