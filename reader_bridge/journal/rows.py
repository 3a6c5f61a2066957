"""Entries as rows and back: the only place that names the columns. Decides nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from reader_bridge.journal.model import (
    CARD_KEY_CHARACTERS_MAX,
    Atc,
    Draft,
    Entry,
    EntryKind,
    EntryState,
    SetAside,
    next_chain,
)


def entry_of(row: sqlite3.Row) -> Entry:
    draft = Draft(
        kind=EntryKind(row["kind"]),
        entry_id=row["entry_id"],
        reference=row["reference"],
        payment_id=row["payment_id"],
        amount_fen=row["amount_fen"],
        method=row["method"],
        application=row["application"],
    )
    return Entry(
        draft=draft,
        terminal_counter=row["terminal_counter"],
        body=bytes(row["body"]),
        state=EntryState(row["state"]),
        answer=None if row["answer"] is None else json.loads(row["answer"]),
        stored_at=row["stored_at"],
        steps=tuple((name, milliseconds) for name, milliseconds in json.loads(row["steps"])),
        card_key=row["card_key"],
        accepted_at=row["accepted_at"],
        link=row["link"],
        chain=None if row["chain"] is None else bytes(row["chain"]),
        clock_suspect=bool(row["clock_suspect"]),
        aside=None if row["aside"] is None else SetAside(**json.loads(row["aside"])),
    )


def find_by_id(database: sqlite3.Connection, entry_id: str) -> Entry | None:
    row = database.execute("SELECT * FROM entry WHERE entry_id = ?", (entry_id,)).fetchone()
    return None if row is None else entry_of(row)


def get_by_id(database: sqlite3.Connection, entry_id: str) -> Entry:
    """Raises KeyError."""
    entry = find_by_id(database, entry_id)
    if entry is None:
        raise KeyError(entry_id)
    return entry


def find_by_reference(
    database: sqlite3.Connection, kind: EntryKind, reference: str
) -> Entry | None:
    """A dropped entry does not hold its reference any more."""
    row = database.execute(
        "SELECT * FROM entry WHERE kind = ? AND reference = ? AND state <> 'dropped'",
        (kind.value, reference),
    ).fetchone()
    return None if row is None else entry_of(row)


def find_torn(database: sqlite3.Connection, card_key: str) -> Entry | None:
    row = database.execute(
        "SELECT * FROM entry WHERE card_key = ? AND state = 'intended'", (card_key,)
    ).fetchone()
    return None if row is None else entry_of(row)


def take_counter(database: sqlite3.Connection, at: int) -> tuple[int, bool]:
    """The next terminal counter; and whether the wall clock ran backwards since the last one."""
    last, last_at = database.execute("SELECT last_counter, last_at FROM book").fetchone()
    database.execute("UPDATE book SET last_counter = ?, last_at = ?", (last + 1, at))
    return last + 1, at < last_at


def take_link(database: sqlite3.Connection, body: bytes) -> tuple[int, bytes]:
    """The next place in the chain of accepted sales, and the chain up to it."""
    last, chain = database.execute("SELECT last_link, chain FROM book").fetchone()
    grown = next_chain(chain, body)
    database.execute("UPDATE book SET last_link = ?, chain = ?", (last + 1, grown))
    return last + 1, grown


def insert(database: sqlite3.Connection, entry: Entry) -> None:
    draft = entry.draft
    _insert(
        database,
        {
            "entry_id": draft.entry_id,
            "kind": draft.kind.value,
            "reference": draft.reference,
            "payment_id": draft.payment_id,
            "amount_fen": draft.amount_fen,
            "method": draft.method,
            "application": draft.application,
            "terminal_counter": entry.terminal_counter,
            "body": entry.body,
            "state": entry.state.value,
            "stored_at": entry.stored_at,
            "card_key": entry.card_key,
            "accepted_at": entry.accepted_at,
            "link": entry.link,
            "chain": entry.chain,
            "clock_suspect": entry.clock_suspect,
        },
    )


def _insert(database: sqlite3.Connection, values: Mapping[str, Any]) -> None:
    places = ", ".join("?" * len(values))
    database.execute(
        f"INSERT INTO entry ({', '.join(values)}) VALUES ({places})",  # noqa: S608
        tuple(values.values()),
    )


def write_answer(
    database: sqlite3.Connection,
    entry: Entry,
    state: EntryState,
    answer: Mapping[str, Any],
    at: int,
) -> None:
    """The entry's new state, with the answer that made it; its steps as the entry now has them."""
    database.execute(
        "UPDATE entry SET state = ?, answer = ?, answered_at = ?, steps = ?, aside = NULL"
        " WHERE entry_id = ?",
        (
            state.value,
            json.dumps(dict(answer), ensure_ascii=False),
            at,
            json.dumps(entry.steps),
            entry.draft.entry_id,
        ),
    )


def remember_card(database: sqlite3.Connection, card_key: str | None, atc: Atc | None) -> bool:
    """False when this terminal saw that counter, or a higher one, of this card before."""
    if atc is None:
        return True
    if card_key is None:
        raise ValueError("a card's counter belongs to a card")
    return bool(
        database.execute(
            "INSERT INTO card (card_key, last_atc, expires_at) VALUES (?, ?, ?)"
            " ON CONFLICT (card_key) DO UPDATE SET last_atc = excluded.last_atc,"
            " expires_at = max(expires_at, excluded.expires_at)"
            " WHERE excluded.last_atc > last_atc",
            (card_key, atc.value, atc.expires_at),
        ).rowcount
    )


def require_card_key(card_key: str | None) -> None:
    """Raises ValueError: a bug, since the kernels make these keys."""
    if not card_key or len(card_key) > CARD_KEY_CHARACTERS_MAX:
        raise ValueError(f"a card's key has 1 to {CARD_KEY_CHARACTERS_MAX} characters")
