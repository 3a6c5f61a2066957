"""The command that a fitter runs before leaving: a check list, and 1 when a line fails."""

from __future__ import annotations

import argparse
import json
from typing import TextIO

from reader_bridge.cli.common import DONE, REFUSED, Commands, add_sam
from reader_bridge.cli.serve import add_attached
from reader_bridge.clock import Clock
from reader_bridge.local.server import PORT
from reader_bridge.selftest import Line, Plan, Verdict, run


def add_parser(commands: Commands) -> None:
    """self-test."""
    test = commands.add_parser("self-test", help="check this terminal, line by line; 1: not ready")
    test.add_argument("--card", action="store_true", help="wait for a card and read what it is")
    test.add_argument("--code", action="store_true", help="wait for a code at each scanner")
    test.add_argument("--json", action="store_true", help="one JSON document instead of lines")
    test.add_argument("--port", type=int, default=PORT, help="where serve will listen")
    add_attached(test)
    add_sam(test)
    test.set_defaults(command=_self_test)


def _self_test(arguments: argparse.Namespace, out: TextIO) -> int:
    lines: list[Line] = []
    for line in run(_plan_of(arguments), Clock()):
        lines.append(line)
        if not arguments.json:
            out.write(line.read(arguments.language) + "\n")
            out.flush()
    is_ready = all(line.verdict is not Verdict.FAIL for line in lines)
    if arguments.json:
        document = {"ok": is_ready, "lines": [line.to_document() for line in lines]}
        out.write(json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    return DONE if is_ready else REFUSED


def _plan_of(arguments: argparse.Namespace) -> Plan:
    return Plan(
        folder=arguments.state,
        language=arguments.language,
        port=arguments.port,
        has_pcsc=not arguments.no_pcsc,
        reader_name=arguments.reader_name,
        nfc=tuple(arguments.nfc),
        scanners=tuple(arguments.scanner),
        sam_folder=arguments.sam,
        sam_passphrase=arguments.sam_passphrase,
        wants_card=arguments.card,
        wants_code=arguments.code,
    )
