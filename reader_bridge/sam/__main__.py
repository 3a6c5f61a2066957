"""`python -m reader_bridge.sam create|check FOLDER`: a fitter makes or tries a software SAM."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from card_protocol.errors import MalformedBytes
from reader_bridge.faults import SamFault
from reader_bridge.sam.sealed import SamKeys, read_passphrase
from reader_bridge.sam.setup import create, open_sam, read_masters


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reader_bridge.sam", description=__doc__)
    parser.add_argument("command", choices=("create", "check"))
    parser.add_argument("folder", type=Path)
    secret = parser.add_mutually_exclusive_group(required=True)
    secret.add_argument("--passphrase-file", type=Path, help="mode 0600")
    secret.add_argument("--passphrase-fd", type=int, help="an open file descriptor")
    parser.add_argument("--terminal", default="", help="create: 12 hex digits")
    parser.add_argument("--key-index", type=int, default=1, help="create: what INITIALIZE names")
    parser.add_argument("--masters", type=Path, help="create: text file of masters, mode 0600")
    return parser


def main(arguments: Sequence[str], out: TextIO, err: TextIO) -> int:
    """0 done, 1 refused (one line says why), 2 wrong call."""
    parser = _parser()
    called = parser.parse_args(arguments)
    source = called.passphrase_fd if called.passphrase_file is None else called.passphrase_file
    if called.command == "create" and called.masters is None:
        parser.error("create needs --masters")
    try:
        passphrase = read_passphrase(source)
        if called.command == "create":
            masters = read_masters(called.masters)
            terminal = bytes.fromhex(called.terminal)
            create(called.folder, SamKeys(terminal, called.key_index, masters), passphrase)
        sam = open_sam(called.folder, passphrase)
    except SamFault as fault:
        print(fault.text("zh-CN"), file=err)
        print(fault.text("en"), file=err)
        return 1
    except (ValueError, MalformedBytes):
        print("--terminal 12 hex digits, --key-index 0..255, 1..32 masters", file=err)
        return 1
    print(f"terminal {sam.read_terminal_number().hex().upper()}", file=out)
    print(f"key index {sam.key_index()}, last serial {sam.last_serial()}", file=out)
    sam.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], sys.stdout, sys.stderr))
