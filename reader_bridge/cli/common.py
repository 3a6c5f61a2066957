"""What every command shares: exit codes, the folder's terminal and SAM, options, receipts."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, TextIO, TypeAlias

from reader_bridge.faults import LANGUAGES
from reader_bridge.receipt import Outcome, Receipt
from reader_bridge.sam.port import Sam
from reader_bridge.sam.sealed import read_passphrase
from reader_bridge.sam.setup import open_sam
from reader_bridge.terminal import Terminal

DONE, REFUSED, CANNOT, UNKNOWN = 0, 1, 2, 3
EXIT_CODES: Final[Mapping[Outcome, int]] = {
    Outcome.CAPTURED: DONE,
    Outcome.POSTED: DONE,
    Outcome.REVERSED: DONE,
    Outcome.REFUSED: REFUSED,
    Outcome.UNKNOWN: UNKNOWN,
    Outcome.ACCEPTED: DONE,
    Outcome.INTENDED: UNKNOWN,
    Outcome.DROPPED: REFUSED,
    Outcome.TOLD: DONE,
    Outcome.PASSED: DONE,
    Outcome.HELD: REFUSED,
    Outcome.LOADED: DONE,
    Outcome.RETURNED: REFUSED,
}
Command = Callable[[argparse.Namespace, TextIO], int]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


@contextmanager
def sam_of(arguments: argparse.Namespace) -> Iterator[Sam | None]:
    """The software SAM of a folder, where one was named. Raises SamFault."""
    if arguments.sam is None:
        yield None
        return
    passphrase = read_passphrase(arguments.sam_passphrase or arguments.sam / "passphrase")
    with closing(open_sam(arguments.sam, passphrase)) as sam:
        yield sam


def open_terminal(arguments: argparse.Namespace, sam: Sam | None = None) -> Terminal:
    return Terminal.open(
        arguments.state,
        language=arguments.language,
        sam=sam,
        is_offline_first=True if getattr(arguments, "offline_first", False) else None,
    )


def print_receipt(receipt: Receipt, arguments: argparse.Namespace, out: TextIO) -> int:
    out.write(receipt.text(arguments.language) + "\n")
    if arguments.times and receipt.steps:
        out.write(receipt.times() + "\n")
    return EXIT_CODES[receipt.outcome]


def add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--language", choices=LANGUAGES, default=argparse.SUPPRESS)
    parser.add_argument(
        "--times", action="store_true", default=argparse.SUPPRESS, help="milliseconds per step"
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=argparse.SUPPRESS,
        help="folder of key and journal (default: $READER_BRIDGE_STATE or var/terminal)",
    )


def add_sam(command: argparse.ArgumentParser) -> None:
    command.add_argument("--sam", type=Path, metavar="FOLDER", help="a software SAM: e-purses pay")
    command.add_argument(
        "--sam-passphrase", type=Path, metavar="FILE", help="mode 0600 (default: FOLDER/passphrase)"
    )
