"""`python -m backend run|migrate|worker`: serves the city on this machine."""

# Before anything opens a socket or makes a lock: one process serves with greenlets.
from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402
import sys  # noqa: E402

from backend.app import VarDamaged, open_parts  # noqa: E402
from backend.config import ConfigInvalid, load_config  # noqa: E402
from backend.db.engines import DatabaseDamaged  # noqa: E402
from backend.keys import KeystoreDamaged  # noqa: E402
from backend.serve import PortTaken, serve, work  # noqa: E402

EXIT_UNUSABLE = 2


def main() -> int:
    """Runs the command; what the operator must mend is one line and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m backend", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="public network, internal network and worker")
    run.add_argument("--no-story", action="store_true", help="do not play the story first")
    commands.add_parser("migrate", help="bring the databases to the newest revision")
    commands.add_parser("worker", help="deliver the outbox, without serving")
    arguments = parser.parse_args()
    try:
        config = load_config()
        parts = open_parts(config, make=True)
        if arguments.command == "run":
            serve(config, parts, with_story=not arguments.no_story)
        else:
            parts.wallets.open_house()  # where `serve` never runs, nobody else opens it
            if arguments.command == "worker":
                work(parts)
    except (ConfigInvalid, DatabaseDamaged, KeystoreDamaged, VarDamaged, PortTaken) as error:
        print(f"city card: {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
