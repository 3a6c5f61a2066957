"""`python -m backend COMMAND`: serves the city on this machine, and what its operator does."""

# Before anything opens a socket or makes a lock: one process serves with greenlets.
from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

from backend.app import Parts, VarDamaged, open_parts  # noqa: E402
from backend.config import ConfigInvalid, load_config  # noqa: E402
from backend.db.distribute import CannotDistribute, distribute  # noqa: E402
from backend.db.engines import DatabaseDamaged  # noqa: E402
from backend.db.grants import CannotGrant, grant_to  # noqa: E402
from backend.kernel import DomainError  # noqa: E402
from backend.keys import KeystoreDamaged, KeyUnavailable  # noqa: E402
from backend.keys import cli as keys_cli  # noqa: E402
from backend.keys.admin import KeyAdmin  # noqa: E402
from backend.keys.model import KeysRefused  # noqa: E402
from backend.serve import PortTaken, serve, work  # noqa: E402
from backend.wallet.ledger.beancount import export_beancount  # noqa: E402
from backend.wallet.ledger.export import ExportRefused, export_journal  # noqa: E402

EXIT_UNUSABLE = 2
UNUSABLE = (
    ConfigInvalid,
    DatabaseDamaged,
    KeystoreDamaged,
    VarDamaged,
    PortTaken,
    ExportRefused,
    CannotGrant,
    CannotDistribute,
    KeysRefused,
    KeyUnavailable,
)
KEEPER_ROLE = "operator"


def main() -> int:
    """Runs the command; what the operator must mend is one line and exit code 2."""
    arguments = _parser().parse_args()
    try:
        config = load_config()
        parts = open_parts(config, make=True)
        if arguments.command == "run":
            serve(config, parts, with_story=not arguments.no_story)
        else:
            parts.wallets.open_house()  # where `serve` never runs, nobody else opens it
            _run(arguments, parts)
    except UNUSABLE as error:
        print(f"city card: {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    except KeyboardInterrupt:
        return 0
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backend", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="public network, internal network and worker")
    run.add_argument("--no-story", action="store_true", help="do not play the story first")
    commands.add_parser("migrate", help="bring the databases to the newest revision")
    commands.add_parser("worker", help="deliver the outbox and seal the journal, without serving")
    journal = commands.add_parser("export-journal", help="write the journal, to be verified")
    journal.add_argument("folder", type=Path)
    books = commands.add_parser("export-beancount", help="write the journal for beancount")
    books.add_argument("file", type=Path)
    grant = commands.add_parser("grant", help="give a PostgreSQL role what serving needs")
    grant.add_argument("role")
    commands.add_parser("distribute", help="distribute the tables (Citus)")
    keys_cli.add_parser(commands)
    return parser


def _keys(arguments: argparse.Namespace, parts: Parts) -> None:
    def log_in(username: str, password: str, totp: str) -> None:
        try:
            session = parts.staff_accounts.log_in(username, password, totp)
        except DomainError as error:
            raise KeysRefused(f"{username}: {error.detail.en}") from None
        parts.staff_accounts.log_out(session.token)
        if KEEPER_ROLE not in session.roles:
            raise KeysRefused(f"{username} does not have the role {KEEPER_ROLE}")

    admin = KeyAdmin(parts.keys.vault, parts.clock)
    keys_cli.KeyCommands(admin, log_in).run(arguments)


def _run(arguments: argparse.Namespace, parts: Parts) -> None:
    command = arguments.command
    if command == "worker":
        work(parts)
    elif command == "keys":
        _keys(arguments, parts)
    elif command == "export-journal":
        made = export_journal(parts.units, parts.keys, arguments.folder)
        print(f"{made.postings} postings, {made.segments} segments in {made.folder}")
    elif command == "export-beancount":
        print(f"{export_beancount(parts.units, arguments.file)} operations in {arguments.file}")
    elif command == "grant":
        for granted in grant_to(parts.databases, arguments.role):
            print(granted)
    elif command == "distribute":
        for done in distribute(parts.databases):
            print(done)


if __name__ == "__main__":
    sys.exit(main())
