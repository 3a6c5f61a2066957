"""`python -m tools.verify_ledger DIR [--head FILE] [--key JWK]`: proves an exported journal.

The last line says `ledger=ok …` (exit 0), or `ledger=bad …` naming the first bad line (exit 1), or
`ledger=unreadable …` for files that are no export (exit 2).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.verify_ledger.accounts import Bad
from tools.verify_ledger.forms import Malformed, read_head, read_jwk, shown
from tools.verify_ledger.verify import verify

EXIT_BAD, EXIT_UNREADABLE = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Check and tell."""
    parser = argparse.ArgumentParser(prog="python -m tools.verify_ledger", description=__doc__)
    parser.add_argument("folder", type=Path, help="what export-journal wrote")
    parser.add_argument("--head", type=Path, help="a head.json that somebody else has kept")
    parser.add_argument(
        "--key",
        type=Path,
        action="append",
        default=[],
        help="file with the JWK of a key that may have signed; again for each older key",
    )
    chosen = parser.parse_args(arguments)
    try:
        kept = None if chosen.head is None else read_head(chosen.head)
        report = verify(chosen.folder, kept, [read_jwk(path) for path in chosen.key])
    except Bad as bad:
        print(bad)
        return EXIT_BAD
    except Malformed as error:
        print(f'ledger=unreadable what="{shown(error)}"')
        return EXIT_UNREADABLE
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
