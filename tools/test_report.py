"""Reads the report of a test run and refuses one that skipped what CI must not skip (`.ci/run`)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

# Marker -> must at least one such test have run? There is no portal without a browser test, but
# the card and the ledger are what this project is for.
GUARDED = {"pcsc": True, "postgres": True, "softhsm": True, "browser": False}


def complaints(report: dict[str, dict[str, int]]) -> list[str]:
    """What is wrong with a run, one sentence each; empty when CI may pass.

    `report` has "ran" and "skipped", each marker -> number of tests.
    """
    found = []
    for marker, must_run in GUARDED.items():
        skipped = report["skipped"].get(marker, 0)
        if skipped:
            found.append(f"{skipped} test(s) marked {marker} were skipped: install what they need")
        elif must_run and not report["ran"].get(marker, 0):
            found.append(f"no test marked {marker} ran: the suite lost them")
    return found


def main(path: Path) -> int:
    """Prints the complaints; 1 when there are any, 2 when there is no report."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        print(f"test-report: {path} is missing: the test run did not end", file=sys.stderr)
        return 2
    found = complaints(report)
    for complaint in found:
        print(f"test-report: {complaint}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
