"""Runs of `simulate` in this process; the cards are processes of their own."""

from __future__ import annotations

import io
from pathlib import Path

from reader_bridge.cli import main

MOBILE_SELECT = "> 00A404000AF0434954594341524401"


def simulate(state: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, output, errors."""
    out, err = io.StringIO(), io.StringIO()
    code = main(["simulate", *words, "--language", "en", "--state", str(state)], out, err)
    return code, out.getvalue(), err.getvalue()


def comparable(recording: str) -> str:
    """A phone's keys are new in every run: of its answers only length and status word stay."""
    lines, is_phone = [], False
    for line in recording.splitlines():
        if line.startswith("tap"):
            is_phone = False
        is_phone = is_phone or line.startswith(MOBILE_SELECT)
        body = line.split(" ")[1] if line.startswith("<") else ""
        if is_phone and body:
            lines.append(f"< {len(body) // 2 - 2} bytes and {body[-4:]}")
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"
