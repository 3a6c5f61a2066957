"""`python -m reader_bridge`: the terminal on the command line."""

from __future__ import annotations

import sys

from reader_bridge.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr))
