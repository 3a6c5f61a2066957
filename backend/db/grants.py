"""What the application's role may do with each table: no more than its code does.

The owner of the databases migrates them; the role that serves requests is another, which may
never change or delete what was posted or sealed, nor hand out rights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text

from backend.db.engines import Database, Databases
from backend.db.metadata import METADATA, Which

READ = ("SELECT",)
APPEND = ("SELECT", "INSERT")
CHANGE = ("SELECT", "INSERT", "UPDATE")
REMOVE = ("SELECT", "INSERT", "UPDATE", "DELETE")

APPENDED = frozenset({"posting", "entry", "segment", "token_history", "token_decision"})
"""Tables whose rows are never changed."""

SWEPT = frozenset(
    {
        "login_challenge",  # a phone number is kept no longer than its codes are of any use
        "staff_role",  # roles are set anew
        "staff_session",  # ended, or idle too long
        "client_assertion",  # what could not be shown again
        "token_place",  # a deleted token gives its place back
        "paid_bill",  # a payment taken back frees its bill
        "wallet_owner",  # who closed a wallet may open another
        "automatic_topup",  # a standing order is ended
        "deny_entry",  # a number released long ago, or whose card has ended
        "match_total",  # a day's match is made again
    }
)
"""Tables whose rows code deletes, and when."""

REVISIONS = "alembic_version"


class CannotGrant(Exception):
    """The role cannot be given rights that bind it: told to the operator, in one line."""


@dataclass(frozen=True, slots=True)
class Granted:
    """One database's part; `tables` is 0 where there is nothing to grant (SQLite)."""

    which: Which
    tables: int

    def __str__(self) -> str:
        """One line for the operator."""
        if not self.tables:
            return f"{self.which.value}: SQLite knows no roles: whoever reads the file may all"
        return f"{self.which.value}: {self.tables} tables granted"


def rights(which: Which) -> Mapping[str, tuple[str, ...]]:
    """What the application may do with each table of a database, by the table's name."""
    granted: dict[str, tuple[str, ...]] = {REVISIONS: READ}
    for name in METADATA[which].tables:
        granted[name] = APPEND if name in APPENDED else REMOVE if name in SWEPT else CHANGE
    return granted


def grant_to(databases: Databases, role: str) -> list[Granted]:
    """Give `role` exactly these rights in all three databases, and take every other.

    To be run by the owner after each migration. Raises CannotGrant, naming the database, for a
    role that does not exist, or whom no right binds: a superuser, or the owner of a table.
    """
    return [_grant(databases[which], role) for which in Which]


def _grant(database: Database, role: str) -> Granted:
    if database.is_sqlite:
        return Granted(database.which, 0)
    with database.engine.begin() as connection:
        _check_role(connection, database.which, role)
        quote = connection.dialect.identifier_preparer.quote_identifier
        name = quote(role)
        catalog = quote(str(connection.execute(text("SELECT current_database()")).scalar_one()))
        statements = [
            f"GRANT CONNECT ON DATABASE {catalog} TO {name}",
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
            f"REVOKE ALL ON SCHEMA public FROM {name}",
            f"GRANT USAGE ON SCHEMA public TO {name}",
            f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, {name}",
        ]
        granted = rights(database.which)
        for table, actions in granted.items():
            statements.append(f"GRANT {', '.join(actions)} ON {quote(table)} TO {name}")
        for statement in statements:
            connection.exec_driver_sql(statement)
    return Granted(database.which, len(granted))


def _check_role(connection: Connection, which: Which, role: str) -> None:
    values = {"role": role}
    is_superuser = connection.execute(
        text("SELECT rolsuper FROM pg_roles WHERE rolname = :role"), values
    ).scalar()
    if is_superuser is None:
        raise CannotGrant(f"grant: database {which.value} knows no role {role!r}")
    owns = connection.execute(
        text(
            "SELECT 1 FROM pg_tables WHERE schemaname = 'public'"
            " AND pg_has_role(:role, tableowner, 'MEMBER')"
        ),
        values,
    ).first()
    if is_superuser or owns is not None:
        raise CannotGrant(
            f"grant: in database {which.value} {role!r} owns the tables: no right binds it"
        )
