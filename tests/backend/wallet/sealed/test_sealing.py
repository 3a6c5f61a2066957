"""Segments turn, are sealed in order, and a crash or a second sealer leaves no gap."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from plain_books import BANK, SHOP, Books, as_owner
from sqlalchemy import delete, insert, select, text, update

from backend.db import Databases, DatabaseUnavailable, Units, Which
from backend.keys import KeyRef, SoftwareKeys, key_thumbprint
from backend.wallet.ledger import lines, segments
from backend.wallet.ledger.lines import (
    FIRST_PREVIOUS_HASH,
    bytes_of,
    hash_segment,
    leaf_of,
    lines_of,
)
from backend.wallet.ledger.model import LedgerBroken
from backend.wallet.ledger.sealing import Sealer
from backend.wallet.ledger.tables import entry, posting, segment
from tests.docs import pages


def sealed(units: Units) -> list[Any]:
    with units.read(Which.LEDGER) as work:
        return list(work.execute(select(segment).order_by(segment.c.number)).all())


def open_number(units: Units) -> int:
    with units.read(Which.LEDGER) as work:
        return segments.open_number(work)


def top_up(books: Books, *operation_ids: str) -> None:
    for operation_id in operation_ids:
        books.post(operation_id, (BANK, "wal_a", 1_000))


def test_nothing_new_is_neither_turned_nor_sealed(books: Books, sealer: Sealer) -> None:
    assert sealer.seal() is None
    assert open_number(books.units) == 1
    top_up(books, "top_1")
    assert sealer.seal() is not None
    assert sealer.seal() is None
    assert (open_number(books.units), len(sealed(books.units))) == (2, 1)


def test_a_line_is_what_the_document_says(books: Books) -> None:
    """Goal: the bytes are a protocol; a change of any is a new form, not a repair."""
    books.post("top_1", (BANK, "wal_a", 1_000))
    books.post("pay_1", ("wal_a", SHOP, 250), linked_to="top_1")
    with books.units.read(Which.LEDGER) as work:
        lines = [bytes_of(line) for line in lines_of(work, 1)]
    assert [line.decode() for line in lines] == [
        '["posting/1",1,"pay_1",0,"wal_a",2,750,"payable:mer_a:2026-11-23",1,250,250,'
        '"payment","top_1","早餐店 \\"Döner\\"\\t","2026-11-23","2026-11-23T02:00:00.000000Z"]',
        '["posting/1",1,"top_1",0,"channel:bank",1,1000,"wal_a",1,1000,1000,'
        '"top_up",null,"早餐店 \\"Döner\\"\\t","2026-11-23","2026-11-23T02:00:00.000000Z"]',
    ]
    assert leaf_of(lines[0]) == hashlib.sha256(lines[0]).digest()[:16]


def test_a_seal_is_chained_and_signed(books: Books, sealer: Sealer, keys: SoftwareKeys) -> None:
    for number in (1, 2, 3):
        top_up(books, f"top_{number}", f"top_{number}b")
        seal = sealer.seal()
        assert seal is not None
        assert (seal.number, seal.postings) == (number, 2)
    public = keys.public_key(KeyRef.LEDGER_SEAL)
    previous = bytes(32)
    for row in sealed(books.units):
        counts = row.number.to_bytes(8, "big") + (2).to_bytes(8, "big")
        expected = hashlib.sha256(b"segment/1" + counts + previous + row.leaves).digest()
        assert (row.previous_hash, row.segment_hash) == (previous, expected)
        assert (row.postings, row.key_id) == (2, key_thumbprint(public))
        r, s = (int.from_bytes(row.signature[at : at + 32], "big") for at in (0, 32))
        public.verify(encode_dss_signature(r, s), expected, ec.ECDSA(hashes.SHA256()))
        previous = expected


def test_order_is_that_of_bytes(books: Books, sealer: Sealer) -> None:
    """Goal: no locale of a database decides what is hashed first."""
    names = ["B", "a", "a_1", "a-1", "a/1", "A", "ä", "z", "一", "😀", "aB", "ab"]
    top_up(books, *names)
    with books.units.read(Which.LEDGER) as work:
        lines = list(lines_of(work, 1))
    assert [line.key[0] for line in lines] == sorted(names, key=str.encode)
    sealer.seal()
    (row,) = sealed(books.units)
    assert row.leaves == b"".join(leaf_of(bytes_of(one)) for one in lines)


def test_what_a_crash_left_closed_is_sealed_in_order(
    books: Books, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_arguments: object) -> None:
        raise KeyboardInterrupt

    for number in (1, 2):
        top_up(books, f"top_{number}")
        with monkeypatch.context() as patch:
            patch.setattr(Sealer, "_seal_one", dies)
            with pytest.raises(KeyboardInterrupt):
                sealer.seal()
    assert (open_number(books.units), sealed(books.units)) == (3, [])
    top_up(books, "top_3")
    seal = sealer.seal()
    assert seal is not None
    assert seal.number == 3
    assert [row.number for row in sealed(books.units)] == [1, 2, 3]


def test_the_runbook_sees_a_sealer_that_stands_still(
    books: Books, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (query,) = pages.blocks("runbooks/prove-the-ledger.md", "sql")

    def seen() -> tuple[object, ...]:
        with books.units.read(Which.LEDGER) as work:
            return tuple(work.execute(text(query)).one())

    assert seen() == (0, None, None)
    top_up(books, "top_1")
    sealer.seal()
    top_up(books, "top_2", "top_3")
    assert seen() == (2, 1, 2)
    monkeypatch.setattr(Sealer, "_closed", lambda self: iter(()))
    sealer.seal()
    assert seen() == (2, 1, 3)


def test_a_long_segment_gives_others_their_turn(
    books: Books, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: in the one process of the default, sealing does not hold up who serves."""
    turns: list[float] = []
    monkeypatch.setattr(lines.time, "sleep", turns.append)
    books.post_many([(f"top_{number}", [(BANK, "wal_a", 1)]) for number in range(350)])
    turns.clear()
    sealer.seal()
    assert turns == [0, 0, 0]


def test_many_sealers_leave_one_chain_without_gap(books: Books, keys: SoftwareKeys) -> None:
    sealers = [Sealer(books.units, keys) for _ in range(4)]
    barrier = threading.Barrier(4)
    won = []

    def seal(sealer: Sealer) -> None:
        barrier.wait(timeout=30)
        won.append(sealer.seal())

    with ThreadPoolExecutor(4) as pool:
        for number in range(1, 9):
            top_up(books, f"top_{number}", f"top_{number}b")
            list(pool.map(seal, sealers))
    rows = sealed(books.units)
    assert [(row.number, row.postings) for row in rows] == [(number, 2) for number in range(1, 9)]
    assert sorted(seal.number for seal in won if seal) == list(range(1, 9))
    previous = bytes(32)
    for row in rows:
        assert row.segment_hash == hash_segment(row.number, previous, row.leaves)
        previous = row.segment_hash


def test_nobody_posts_into_a_closed_segment(books: Books, sealer: Sealer) -> None:
    """Goal: writers and sealers at once: every posting is in the segment its row names."""
    units, stop = books.units, threading.Event()

    def write(writer: int) -> int:
        made = 0
        while not stop.is_set():
            with units.write(Which.LEDGER) as work:
                number = segments.hold_open_segment(work.rows)
                row = _plain_row(f"op_{writer}_{made:05d}", work.now, number)
                work.execute(insert(posting), row)
                work.execute(insert(entry), _entries_of(row, made * 3 + writer + 1))
            made += 1
        return made

    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(write, number) for number in range(3)]
        while len(sealed(units)) < 12:
            sealer.seal()
        stop.set()
        made = sum(writer.result(timeout=30) for writer in writers)
    sealer.seal()
    with units.read(Which.LEDGER) as work:
        for row in sealed(units):
            lines = [leaf_of(bytes_of(one)) for one in lines_of(work, row.number)]
            assert b"".join(lines) == row.leaves
    assert sum(row.postings for row in sealed(units)) == made >= 12


def _plain_row(operation_id: str, now: Any, number: int) -> dict[str, Any]:
    return {
        "operation_id": operation_id,
        "leg": 0,
        "debit": BANK,
        "credit": "wal_a",
        "amount_fen": 1,
        "code": "top_up",
        "memo": "",
        "business_date": now.date(),
        "posted_at": now,
        "segment": number,
    }


def _entries_of(row: dict[str, Any], line: int) -> list[dict[str, Any]]:
    names = ("operation_id", "leg", "amount_fen", "code", "posted_at")
    shared = {**{name: row[name] for name in names}, "line": line, "balance_fen": 0}
    return [{**shared, "account_id": row[side], "side": side} for side in ("debit", "credit")]


@pytest.mark.postgres
@pytest.mark.parametrize("databases", ["postgres"], indirect=True)
def test_a_writer_that_takes_long_is_waited_for_then_left_alone(
    books: Books, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite the writer's own lock is the hold."""
    monkeypatch.setattr(segments, "TURN_WAIT_SECONDS", 0.2)
    top_up(books, "top_1")
    with books.units.write(Which.LEDGER) as work:
        assert segments.hold_open_segment(work.rows) == 1
        with pytest.raises(DatabaseUnavailable):
            sealer.seal()
        assert open_number(books.units) == 1
    seal = sealer.seal()
    assert seal is not None
    assert seal.number == 1


BREAKS = {
    "an entry is gone": delete(entry).where(entry.c.side == "debit"),
    "an entry says another amount": update(entry)
    .where(entry.c.side == "credit")
    .values(amount_fen=999),
    "the posting says another amount": update(posting).values(amount_fen=999),
    "an entry is of another time": text("UPDATE entry SET posted_at = '2026-11-22 00:00:00+00:00'"),
    "two entries for one side": text(
        "INSERT INTO entry SELECT account_id, line + 1, operation_id, leg, side, amount_fen,"
        " balance_fen, code, posted_at FROM entry WHERE side = 'credit'"
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_nothing_is_sealed_over_a_broken_posting(
    books: Books, sealer: Sealer, databases: Databases, name: str
) -> None:
    top_up(books, "top_1")
    with as_owner(databases) as owner:
        owner.execute(BREAKS[name])
    for _ in range(2):  # and again: it waits for somebody to look
        with pytest.raises(LedgerBroken, match="top_1 leg 0"):
            sealer.seal()
    assert sealed(books.units) == []


def test_seals_that_differ_are_a_scandal(
    books: Books, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: a second sealer that read something else does not pass over it."""
    top_up(books, "top_1")
    sealer.seal()
    monkeypatch.setattr(Sealer, "_closed", lambda self: iter([1]))
    assert sealer.seal() is None  # the same content: the first seal stands
    monkeypatch.setattr("backend.wallet.ledger.sealing._leaves", lambda work, number: bytes(16))
    with pytest.raises(LedgerBroken):
        sealer.seal()


def test_texts_are_escaped_as_rfc_8785_says(books: Books) -> None:
    """RFC 8785, 3.2.2.2: short escapes, \\u00xx in lower case, all else as it is."""
    memo = '\b\f\n\r\t"\\/\x01\x1f\x7f\u2028€'
    books.post("top_1", (BANK, "wal_a", 1), memo=memo)
    with books.units.read(Which.LEDGER) as work:
        (line,) = [bytes_of(line) for line in lines_of(work, 1)]
    assert b'"\\b\\f\\n\\r\\t\\"\\\\/\\u0001\\u001f\x7f\xe2\x80\xa8\xe2\x82\xac"' in line
    assert json.loads(line)[13] == memo


def test_the_document_s_example_is_ours() -> None:
    page = pages.text_of("protocol/journal-export.md")
    blocks = dict(re.findall(r"^```text (\w+)\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    leaves = [leaf_of(line.encode()) for line in blocks["Lines"].splitlines()]
    assert [leaf.hex() for leaf in leaves] == blocks["Leaves"].splitlines()
    made = hash_segment(1, FIRST_PREVIOUS_HASH, b"".join(leaves))
    assert made.hex() == blocks["Hash"].strip()
