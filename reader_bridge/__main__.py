"""`python -m reader_bridge`, or `reader-bridge` where it was installed: the command line."""

from __future__ import annotations

import sys

from reader_bridge.cli import PROGRAM, main


def run(program: str = "reader-bridge") -> int:
    """What the installed script calls."""
    return main(sys.argv[1:], sys.stdout, sys.stderr, program)


if __name__ == "__main__":
    sys.exit(run(PROGRAM))
