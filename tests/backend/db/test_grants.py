"""The application's role may do what its code does, and nothing else: asked table by table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from backend.db import METADATA, Databases, Units, Which, open_databases
from backend.db.grants import (
    APPENDED,
    REVISIONS,
    SWEPT,
    CannotGrant,
    grant_to,
    rights,
)
from backend.kernel import ManualClock
from backend.keys import SoftwareKeys
from backend.wallet.ledger.sealing import Sealer
from backend.wallet.ledger.tables import APPEND_ONLY
from tools.revision import import_tables

import_tables()
BACKEND = Path(__file__).resolve().parents[3] / "backend"
INSUFFICIENT_PRIVILEGE = "42501"
# Asked without touching a row: PostgreSQL looks at rights before it looks for rows.
ASK = {
    "SELECT": "SELECT * FROM {table} WHERE false",
    "INSERT": "INSERT INTO {table} SELECT * FROM {table} WHERE false",
    "UPDATE": "UPDATE {table} SET {column} = {column} WHERE false",
    "DELETE": "DELETE FROM {table} WHERE false",
    "TRUNCATE": "TRUNCATE {table}",
    "TRIGGER": "ALTER TABLE {table} DISABLE TRIGGER USER",
    "DROP": "DROP TABLE {table}",
}
REMOVED = {"paid_bill", "wallet_owner", "automatic_topup", "match_total"}
# Where rows are deleted, and whose: a new place belongs here and in SWEPT.
DELETING = {
    "identity/challenges.py": {"login_challenge"},
    "staff/service.py": {"staff_session", "staff_role"},
    # Rows.remove: what it is called for
    "db/row_sets_postgres.py": REMOVED,
    "db/row_sets_sqlite.py": REMOVED,
    "merchants/logins.py": {"client_assertion"},
    "virtual_card/rows.py": {"token_place"},
    "transit/service.py": {"deny_entry"},
}


@pytest.fixture
def role(postgres_databases: Databases, worker_name: str) -> Iterator[str]:
    """A role that may log in and nothing else, with a name that needs quoting."""
    name = f"City-App {worker_name}"
    engines = [postgres_databases[which].engine for which in Which]
    with engines[0].begin() as connection:
        connection.execute(text(f'CREATE ROLE "{name}" LOGIN'))
    yield name
    for engine in engines:
        with engine.begin() as connection:
            connection.execute(text(f'DROP OWNED BY "{name}"'))
    with engines[0].begin() as connection:
        connection.execute(text(f'DROP ROLE "{name}"'))


def _refused(connection: Connection, statement: str) -> bool:
    """Whether a right is missing; any other error is the test's own."""
    savepoint = connection.begin_nested()
    try:
        connection.execute(text(statement))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != INSUFFICIENT_PRIVILEGE:
            raise
        return True
    finally:
        savepoint.rollback()
    return False


@pytest.mark.postgres
@pytest.mark.parametrize("which", list(Which))
def test_every_right_of_every_table(postgres_databases: Databases, role: str, which: Which) -> None:
    for _ in range(2):  # granting again changes nothing
        grant_to(postgres_databases, role)
        allowed = set()
        with postgres_databases[which].engine.connect() as connection:
            connection.execute(text(f'SET LOCAL ROLE "{role}"'))
            for name in rights(which):
                table = METADATA[which].tables.get(name)
                column = "version_num" if table is None else f'"{next(iter(table.columns)).name}"'
                for action, statement in ASK.items():
                    if not _refused(connection, statement.format(table=f'"{name}"', column=column)):
                        allowed.add((name, action))
            connection.rollback()
        assert allowed == {
            (name, action) for name, actions in rights(which).items() for action in actions
        }


@pytest.mark.postgres
@pytest.mark.parametrize("databases", ["postgres"], indirect=True)
def test_the_application_posts_and_seals_with_these_rights(
    databases: Databases, role: str, clock: ManualClock, keys: SoftwareKeys
) -> None:
    grant_to(databases, role)
    urls = {
        which: databases[which].engine.url.set(username=role).render_as_string(hide_password=False)
        for which in Which
    }
    ours = open_databases(urls)
    try:
        units = Units(ours, clock)
        with units.write(Which.LEDGER) as work:
            work.execute(
                text(
                    "INSERT INTO posting VALUES ('top_1', 0, 'a', 'b', 5, 'c', NULL, '',"
                    " '2026-11-23', now(), 1)"
                )
            )
            for side, name in (("debit", "a"), ("credit", "b")):
                work.execute(
                    text(
                        "INSERT INTO entry VALUES (:name, 1, 'top_1', 0, :side, 5, 5, 'c', now())"
                    ),
                    {"name": name, "side": side},
                )
        assert Sealer(units, keys).seal() is not None
        for statement in ("UPDATE segment SET number = 2", "DELETE FROM posting", "TRUNCATE entry"):
            with ours[Which.LEDGER].engine.connect() as connection:
                assert _refused(connection, statement)
    finally:
        ours.close()


@pytest.mark.postgres
def test_a_role_that_no_right_binds_is_refused(
    postgres_databases: Databases, role: str, worker_name: str
) -> None:
    with pytest.raises(CannotGrant, match="knows no role 'nobody'"):
        grant_to(postgres_databases, "nobody")
    with pytest.raises(CannotGrant, match="owns the tables"):
        grant_to(postgres_databases, "postgres")
    owner = f"owner_{worker_name}"
    engine = postgres_databases[Which.LEDGER].engine
    with engine.connect() as connection:
        connection.execute(text(f'CREATE ROLE {owner}; GRANT {owner} TO "{role}"'))
        connection.execute(text(f"ALTER TABLE posting OWNER TO {owner}"))
        connection.commit()
    try:
        with pytest.raises(CannotGrant, match=r"database ledger .* owns the tables"):
            grant_to(postgres_databases, role)
    finally:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE posting OWNER TO postgres"))
            connection.execute(text(f"DROP OWNED BY {owner}; DROP ROLE {owner}"))


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_sqlite_says_that_it_knows_no_roles(databases: Databases) -> None:
    said = [str(one) for one in grant_to(databases, "city_app")]
    assert said[2] == "ledger: SQLite knows no roles: whoever reads the file may all"


def test_the_journal_is_appended_only() -> None:
    everything = {name for which in Which for name in METADATA[which].tables} | {REVISIONS}
    assert {table.name for table in APPEND_ONLY} <= APPENDED
    assert not APPENDED & SWEPT
    assert everything >= APPENDED | SWEPT


def test_what_code_deletes_is_granted_and_nothing_more() -> None:
    """Goal: a new DELETE is seen here before it is refused in the field."""
    deletes = re.compile(r"\bdelete\(\w|\.delete\(\)(?!:)|\"DELETE FROM (?!failure|message)")
    found = {
        str(path.relative_to(BACKEND))
        for path in BACKEND.rglob("*.py")
        if deletes.search(path.read_text("utf-8")) and "migrations" not in path.parts
    }
    # Views of the verb DELETE, and the sandbox bank's own book.
    others = {"staff/api.py", "wallet/topups/api.py", "wallet/bank/sandbox.py"}
    assert found - others == set(DELETING)
    assert set().union(*DELETING.values()) == SWEPT
