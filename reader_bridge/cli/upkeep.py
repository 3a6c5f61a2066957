"""Commands about what waits: its figures, uploading it now, torn sales that no card decides."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TextIO

from reader_bridge.acceptance.torn import end_torn, torn_reports
from reader_bridge.cli.common import CANNOT, DONE, UNKNOWN, Commands, open_terminal
from reader_bridge.clock import Clock
from reader_bridge.forward import StepKind
from reader_bridge.terminal import Terminal


def _forward(arguments: argparse.Namespace, out: TextIO) -> int:
    """Uploads what waits, once; profile and deny list first."""
    with open_terminal(arguments) as terminal:
        step = terminal.forward()
        out.write(_status_line(terminal))
    if step.kind is StepKind.FAILED:
        out.write(f"{step.code}\n")
        return CANNOT
    return UNKNOWN if step.is_left else DONE


def _status(arguments: argparse.Namespace, out: TextIO) -> int:
    with open_terminal(arguments) as terminal:
        out.write(_status_line(terminal))
        for entry in terminal.journal.torn():
            receipt = terminal.ask_again(entry.draft.reference)
            out.write(receipt.in_short(arguments.language) + "\n")
    return DONE


def _torn(arguments: argparse.Namespace, out: TextIO) -> int:
    """A line of JSON each, as the operator asks for it; or ends one that was decided."""
    with open_terminal(arguments) as terminal:
        if arguments.end is not None:
            end_torn(terminal.journal, arguments.end, int(Clock().unix_now()))
        for report in torn_reports(terminal.journal, terminal.identity.client_id):
            out.write(json.dumps(asdict(report)) + "\n")
    return DONE


def _status_line(terminal: Terminal) -> str:
    """One line for scripts: `name=figure …`."""
    status = terminal.status()
    backlog = status.backlog
    figures = {
        "offline": status.standing.level.name.lower(),
        "reason": status.standing.code or status.damage or "none",
        "profile": status.profile_version,
        "deny_list": status.deny_list_version,
        "waiting": backlog.count,
        "waiting_fen": backlog.sum_fen,
        "torn": backlog.torn_count,
        "aside": backlog.aside_count,
    }
    return " ".join(f"{name}={value}" for name, value in figures.items()) + "\n"


def add_parser(commands: Commands) -> None:
    """forward, status, torn."""
    forward = commands.add_parser("forward", help="upload offline sales, refresh what is known")
    forward.set_defaults(command=_forward)
    status = commands.add_parser("status", help="what may be sold offline, and what waits")
    status.set_defaults(command=_status)
    torn = commands.add_parser("torn", help="torn purse sales, as the operator asks for them")
    torn.add_argument("--end", metavar="REFERENCE", help="the operator has decided this one")
    torn.set_defaults(command=_torn)
