"""The runbooks: their queries find what they say, their commands do it, on this very code."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from backend.app import open_parts
from backend.config import ROOT, load_config
from backend.db import METADATA, Databases, Which, open_databases
from backend.db.migrate import upgrade
from backend.db.outbox import ATTEMPTS_MAX
from backend.identity.sms import SmsFailed
from backend.kernel import business_date
from tests.docs import pages
from tests.docs.city import City
from tests.support import postgres
from tools.story.staff import Staff, StaffRefused

PARKED, CUSTODY, LOST = (
    f"runbooks/{name}.md" for name in ("parked-events", "custody-differs", "lost-terminal")
)
FAILS_TWICE = "13800009002"
TOP_UP_FEN = 7_000
PLACES = {PARKED: tuple(Which), CUSTODY: (Which.LEDGER,), LOST: (Which.BUSINESS,)}


@pytest.fixture(scope="module")
def staff(city: City) -> Iterator[Staff]:
    member = city.parts.config.city["demo_staff"][0]
    with Staff(city.internal) as logged_in:
        logged_in.log_in(member["username"], member["password"], member["totp_secret"])
        yield logged_in


def run_sql(databases: Databases, which: Which, block: str) -> list[dict[str, Any]]:
    """The rows of a query, or none after a change."""
    with databases[which].engine.begin() as connection:
        result = connection.execute(text(block))
        return [dict(row) for row in result.mappings()] if result.returns_rows else []


def told(page: str) -> list[tuple[str, dict[str, Any]]]:
    """(path, body) of each `tell` on a page."""
    found = re.findall(r"^ *tell (\S+) '(.*)'$", pages.text_of(page), re.MULTILINE)
    assert found
    return [(path, json.loads(body)) for path, body in found]


def test_parked_events_go_round_again(city: City) -> None:
    """Goal: an event given up is seen, sent again by the runbook's own statement, and delivered."""
    overview, parked, again = pages.blocks(PARKED, "sql")
    databases, which = city.parts.databases, Which.IDENTITY
    body = {"phone": FAILS_TWICE}
    asked = httpx.post(f"{city.public}/v1/login/codes", json=body, trust_env=False).json()
    with pytest.raises(SmsFailed):  # the first of its two failures
        city.parts.sms.send(asked["challenge_id"], FAILS_TWICE, "")
    outbox = METADATA[which].tables["outbox"]
    with databases[which].engine.begin() as connection:
        connection.execute(outbox.update().values(attempts=ATTEMPTS_MAX - 1))
    (waiting,) = run_sql(databases, which, overview)
    assert (waiting["state"], waiting["topic"]) == ("waiting", "login_code_requested")
    city.parts.worker.deliver_due()
    (row,) = run_sql(databases, which, parked)
    assert (row["failure"], row["attempts"]) == ("SmsFailed", ATTEMPTS_MAX)
    assert [one["state"] for one in run_sql(databases, which, overview)] == ["parked"]
    run_sql(databases, which, again)
    assert len(city.message_to(FAILS_TWICE)) > 0
    assert run_sql(databases, which, overview) == []
    assert str(ATTEMPTS_MAX) in pages.text_of(PARKED)


def test_every_topic_is_in_the_table(city: City) -> None:
    named = {row[0].strip("`") for row in pages.table_rows(PARKED, "`topic`")}
    assert named == set(city.parts.worker.consumers)


def test_custody_is_matched(city: City, staff: Staff) -> None:
    """Goal: case A: a top-up not yet on the statement is seen, booked, and the proof holds."""
    city.make_phone(TOP_UP_FEN).close()
    databases = city.parts.databases
    waiting, under_way, damaged = pages.blocks(CUSTODY, "sql")
    proof = staff.get("/v1/ops/ledger/proof")
    assert proof["balanced"]
    assert not proof["custody_equals_owed"]
    expected_fen = proof["custody_fen"] + proof["channel_receivable_fen"]
    assert expected_fen == proof["owed_fen"] == proof["bank_reported_fen"]
    assert [row["amount_fen"] for row in run_sql(databases, Which.LEDGER, waiting)] == [TOP_UP_FEN]
    ((path, body),) = told(CUSTODY)
    today = business_date(city.parts.clock.now())
    for day in (today - timedelta(days=1), today):  # midnight may have passed meanwhile
        staff.post(path, {name: day.isoformat() for name in body})
    assert staff.get("/v1/ops/ledger/proof")["custody_equals_owed"]
    for query in (waiting, under_way, damaged):
        assert run_sql(databases, Which.LEDGER, query) == []


def test_damaged_account_is_found(city: City) -> None:
    """Goal: case C names the account whose sums are not those of its lines."""
    damaged = pages.blocks(CUSTODY, "sql")[2]
    account = METADATA[Which.LEDGER].tables["account"]
    more = {"debits_posted": account.c.debits_posted + 1}
    with city.parts.databases[Which.LEDGER].engine.connect() as connection:
        connection.execute(
            account.update().where(account.c.account_id == "custody:main").values(more)
        )
        (row,) = connection.execute(text(damaged)).mappings()
        connection.rollback()
    assert row["account_id"] == "custody:main"


def test_lost_terminal(city: City, staff: Staff) -> None:
    """Goal: suspended, it sells nothing, though its token lives; another takes its place."""
    merchants = tomllib.loads((ROOT / "data/demo/merchants.toml").read_text("utf-8"))["merchants"]
    shop = merchants[0]["shops"][0]
    terminal_id = shop["terminals"][0]["terminal_id"]
    ordered = city.parts.shops.issue_activation_code(terminal_id)
    names: dict[str, Any] = {"url": city.public, "activation_code": ordered.activation_code}
    activate_and_log_in = pages.blocks("merchant-developer.md", "python")[:2]
    exec(compile("\n".join(activate_and_log_in), "merchant-developer.md", "exec"), names)
    (query,) = pages.blocks(LOST, "sql")
    rows = {row["client_id"]: row for row in run_sql(city.parts.databases, Which.BUSINESS, query)}
    assert (rows[terminal_id]["state"], rows[terminal_id]["name"]) == ("active", shop["name"]["zh"])
    suspend, order = told(LOST)
    with closing(names["http"]) as http:
        http.headers["Authorization"] = f"Bearer {names['token']}"
        assert ask_code(http).status_code == 201
        assert staff.post(suspend[0].replace("trm_…", terminal_id), suspend[1])["state"] == (
            "suspended"
        )
        refused = ask_code(http)
        assert (refused.status_code, refused.json()["code"]) == (403, "terminal_not_active")
        unseen = http.get("/v1/terminal/payments/pay_01h455vb4pex5vsknk084sn02q")
        assert unseen.json()["code"] == "payment_unknown"  # the token still reads
        with pytest.raises(httpx.HTTPStatusError):
            names["log_in"](terminal_id, names["key"])
    events = set(re.findall(r'"event": "(\w+)"', pages.text_of(LOST)))
    assert events == {"suspend", "resume", "close"}
    for event in ("resume", "close"):
        staff.post(suspend[0].replace("trm_…", terminal_id), {"event": event})
    with pytest.raises(StaffRefused):
        staff.post(suspend[0].replace("trm_…", terminal_id), {"event": "resume"})
    fresh = {**order[1], "terminal_id": "trm_01h455vb4pex5vsknk084sn02q"}
    made = staff.post(order[0].replace("shp_…", shop["shop_id"]), fresh)
    assert re.fullmatch(r"\w{4}-\w{4}", made["activation_code"])


def ask_code(http: httpx.Client) -> httpx.Response:
    """A command of a terminal that sells nothing."""
    body = {"bill_number": "B1", "amount_fen": 100}
    headers = {"Idempotency-Key": uuid4().hex}
    return http.post("/v1/terminal/codes", json=body, headers=headers)


def test_lost_keys_are_told_before_anything_is_made(city: City) -> None:
    """Goal: restore.md's first check: what is missing is named, nothing is made in its place."""
    copy = city.parts.config.var.parent / "without-keys"
    copy.mkdir()
    (copy / "ledger.db").write_bytes((city.parts.config.var / "ledger.db").read_bytes())
    with pytest.raises(Exception, match="missing beside what is left"):
        open_parts(load_config({"CITY_VAR": str(copy)}), make=True)
    assert [path.name for path in copy.iterdir()] == ["ledger.db"]


@pytest.mark.postgres
def test_queries_run_on_postgres(postgres_server: postgres.Server, worker_name: str) -> None:
    names = {which: f"{worker_name}_runbooks_{which.value}" for which in Which}
    urls = {
        which: postgres_server.create(name).replace("postgresql://", "postgresql+psycopg://", 1)
        for which, name in names.items()
    }
    databases = open_databases(urls)
    try:
        upgrade(databases)
        for page, places in PLACES.items():
            for block in pages.blocks(page, "sql"):
                for which in places:
                    assert run_sql(databases, which, block) == []
    finally:
        databases.close()
        for name in names.values():
            postgres_server.drop(name)
