"""What database tests share: a table of their own, an operation, a refusal. No rules here."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select

from backend.db import METADATA, Databases, Operation, Units, Which, Work
from backend.db.operations import Answer
from backend.kernel import DomainError, Kind, Words

WHICH = Which.BUSINESS
PATIENCE_SECONDS = 20.0

ON_SQLITE = pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
ON_POSTGRES = pytest.mark.parametrize(
    "databases", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)

probe = Table(
    "probe",
    MetaData(),
    Column("name", String(64), primary_key=True),
    Column("value", Integer, nullable=False),
)


class TooPoor(DomainError):
    kind, code = Kind.REFUSED, "test_too_poor"
    title = Words(zh="不够", en="Too poor")
    detail = Words(zh="差 {short_fen}", en="short by {short_fen}")


class Malformed(DomainError):
    kind, code = Kind.INVALID, "test_malformed"
    title = Words(zh="错", en="Malformed")
    detail = Words(zh="错", en="malformed")


def put(work: Work, name: str, value: int = 1) -> None:
    work.execute(insert(probe), {"name": name, "value": value})


def names(units: Units) -> list[str]:
    with units.read(WHICH) as work:
        return list(work.execute(select(probe.c.name).order_by(probe.c.name)).scalars())


def count(units: Units, table: str) -> int:
    with units.read(WHICH) as work:
        rows = select(func.count()).select_from(METADATA[WHICH].tables[table])
        return int(work.execute(rows).scalar_one())


def render(outcome: Any) -> Answer:
    if isinstance(outcome, DomainError):
        return Answer(402, json.dumps({"code": outcome.code, **outcome.data}, ensure_ascii=False))
    return Answer(201, json.dumps({"值": outcome}, ensure_ascii=False))


def operation(key: str = "key-1", scope: str = "citizen:per_1:Open.post", **content: object) -> Any:
    digests = {
        name: hashlib.sha256(repr(value).encode()).hexdigest()[:24]
        for name, value in content.items()
    }
    return Operation(scope=scope, key=key, content=digests, render=render)


def raw_connection(work: Work) -> object:
    """The driver's connection under a unit of work: its identity tells whether it is used again."""
    return work.connection.connection.driver_connection


def together(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Run `act(0..count-1)` in threads released at one moment; results or exceptions, in order."""
    gate = threading.Barrier(count)
    results: list[Any] = [None] * count

    def run(index: int) -> None:
        gate.wait(PATIENCE_SECONDS)
        try:
            results[index] = act(index)
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert not any(thread.is_alive() for thread in threads)
    return results


def urls_of(databases: Databases) -> dict[str, str]:
    return {
        which.value: databases[which].engine.url.render_as_string(hide_password=False)
        for which in Which
    }
