"""A terminal on the command line: one command a run; knows only the facade.

Exit codes: 0 done, 1 refused, 2 cannot work (state, backend, reader, SAM, wrong call), 3 unknown
(also a torn card: the same command with the same card finishes it).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

from reader_bridge.backend_client import Refused, Unreachable
from reader_bridge.cli import cards, fitting, loads, merchant_codes, sales, selftest, serve, upkeep
from reader_bridge.cli.common import CANNOT, REFUSED, UNKNOWN, Command, add_common
from reader_bridge.extras import words_of
from reader_bridge.faults import CardFault, CodeFault, Fault
from reader_bridge.simulator import command as simulator

# Every command is registered here: a module whose `add_parser(commands)` adds one or more.
GROUPS: Final = (
    sales,
    cards,
    loads,
    merchant_codes,
    fitting,
    selftest,
    serve,
    upkeep,
    simulator,
)
PROGRAM: Final = "python -m reader_bridge"
_TORN: Final = frozenset({"debit_unknown", "credit_unknown", "sale_unfinished"})


def main(argv: Sequence[str], out: TextIO, err: TextIO, program: str = PROGRAM) -> int:
    """Run one command; every failure a person can act upon is one line on `err`."""
    arguments = parser(program).parse_args(argv)
    command: Command = arguments.command
    try:
        return command(arguments, out)
    except (CardFault, CodeFault) as fault:
        err.write(f"{fault.code}: {fault.text(arguments.language)}\n")
        return REFUSED
    except Fault as fault:
        err.write(f"{fault.code}: {words_of(fault, arguments.language)}\n")
        return UNKNOWN if fault.code in _TORN else CANNOT
    except Refused as refusal:
        err.write(f"{refusal.code}: {refusal.detail}\n")
        return REFUSED
    except Unreachable as failure:
        words = "后台无应答" if arguments.language == "zh-CN" else "no answer from the backend"
        err.write(f"backend_unreachable: {words} ({failure.reason})\n")
        return CANNOT


def parser(program: str = PROGRAM) -> argparse.ArgumentParser:
    """All commands with their options."""
    made = argparse.ArgumentParser(
        prog=program,
        description="A merchant's terminal. Exit: 0 done, 1 refused, 2 cannot work, 3 unknown.",
    )
    made.set_defaults(
        language="zh-CN",
        times=False,
        state=Path(os.environ.get("READER_BRIDGE_STATE", "var/terminal")),
    )
    add_common(made)
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    for group in GROUPS:
        group.add_parser(commands)
    for command in commands.choices.values():
        add_common(command)  # the same options behind the command, where people type them
    return made
