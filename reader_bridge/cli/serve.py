"""The command that runs the local API and the page."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TextIO, TypeVar

from reader_bridge.attached import Attached, attached, nfc_path_of, scanner_of
from reader_bridge.cli.common import DONE, Commands, add_sam, open_terminal, sam_of
from reader_bridge.local.server import PORT, LocalServer
from reader_bridge.readers.pcsc import PcscPlugs
from reader_bridge.serving import serve_terminal

T = TypeVar("T")


def add_parser(commands: Commands) -> None:
    """serve."""
    serve = commands.add_parser("serve", help="the local API and the page for a cash register")
    serve.add_argument("--port", type=int, default=PORT, help="of 127.0.0.1; 0: any free one")
    add_attached(serve)
    add_sam(serve)
    serve.set_defaults(command=_serve, refuse=serve.error)


def add_attached(command: argparse.ArgumentParser) -> None:
    """Options that say which readers and scanners there are."""
    command.add_argument("--reader-name", help="part of a PC/SC reader's name")
    command.add_argument("--no-pcsc", action="store_true", help="no PC/SC readers here")
    command.add_argument(
        "--scanner",
        action="append",
        default=[],
        type=_of(scanner_of),
        metavar="KIND:PLACE",
        help="keyboard:/dev/input/by-id/…, serial:/dev/serial/by-id/…[@9600], camera:PICTURE;"
        " may be given several times",
    )
    command.add_argument(
        "--nfc",
        action="append",
        default=[],
        type=_of(nfc_path_of),
        metavar="PATH",
        help="a reader of nfcpy: usb, usb:072f:2200, tty:USB0:pn532, udp:127.0.0.1:54321",
    )


def attached_of(arguments: argparse.Namespace) -> Attached:
    """What the options name. Raises ValueError."""
    plugs = [] if arguments.no_pcsc else [PcscPlugs(arguments.reader_name)]
    return attached(plugs, arguments.scanner, arguments.nfc)


def _of(read: Callable[[str], T]) -> Callable[[str], T]:
    """`read` for argparse, which shows the words of its own exception only."""

    def convert(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def _serve(arguments: argparse.Namespace, out: TextIO) -> int:
    def on_ready(server: LocalServer) -> None:
        out.write(f"{server.page_url()}\n")
        out.flush()

    try:
        watched = attached_of(arguments)
    except ValueError as error:
        arguments.refuse(str(error))  # argparse's own way: one line, and 2
    with sam_of(arguments) as sam, open_terminal(arguments, sam) as terminal:
        serve_terminal(
            terminal, arguments.state, port=arguments.port, attached=watched, on_ready=on_ready
        )
    return DONE
