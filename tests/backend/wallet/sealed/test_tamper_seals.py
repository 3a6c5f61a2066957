"""As the owner of the database cut the tail, write history anew, change seals: it is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from plain_books import BANK, Books, as_owner
from sqlalchemy import Connection, text
from tampering import CHANGE_ALL, Ask, run

from backend.db import Databases
from backend.keys import SoftwareKeys
from backend.wallet.ledger.lines import hash_segment
from backend.wallet.ledger.sealing import Sealer


def cut_tail(owner: Connection) -> None:
    """Back to the end of segment 2, accounts and seals and all, as if the rest had never been."""
    for statement in (
        "DELETE FROM entry WHERE EXISTS (SELECT 1 FROM posting p WHERE p.operation_id ="
        " entry.operation_id AND p.segment > 2)",
        "DELETE FROM posting WHERE segment > 2",
        "DELETE FROM segment WHERE number > 2",
        "UPDATE open_segment SET number = 3",
        "UPDATE account SET lines = (SELECT count(*) FROM entry e WHERE e.account_id ="
        " account.account_id),"
        " debits_posted = (SELECT coalesce(sum(amount_fen), 0) FROM entry e WHERE e.account_id ="
        " account.account_id AND side = 'debit'),"
        " credits_posted = (SELECT coalesce(sum(amount_fen), 0) FROM entry e WHERE e.account_id ="
        " account.account_id AND side = 'credit')",
    ):
        owner.execute(text(statement))


def test_a_cut_tail_is_found_by_who_kept_the_head(
    history: Books, databases: Databases, ask: Ask
) -> None:
    kept = ask("kept").folder / "head.json"
    with as_owner(databases) as owner:
        cut_tail(owner)
    assert ask("alone").exit_code == 0  # the books are right, only shorter: nothing to see
    said = ask("asked", "--head", str(kept))
    assert said.exit_code == 1
    assert said.said.startswith("ledger=bad file=segments.jsonl line=3 segment=3 ")
    assert "the chain is cut" in said.said


def test_an_unsealed_tail_that_was_cut_is_found_by_who_kept_the_head(
    books: Books, databases: Databases, sealer: Sealer, ask: Ask
) -> None:
    books.post("top_1", (BANK, "wal_a", 5_000))
    sealer.seal()
    books.post("top_2", (BANK, "wal_a", 5_000))
    kept = ask("kept").folder / "head.json"
    with as_owner(databases) as owner:
        owner.execute(text("UPDATE posting SET segment = 3 WHERE operation_id = 'top_2'"))
        cut_tail(owner)
        owner.execute(text("UPDATE open_segment SET number = 2"))
    assert ask("alone").exit_code == 0
    said = ask("asked", "--head", str(kept))
    assert (said.exit_code, "2 postings when the head was kept, 1 now" in said.said) == (1, True)


@pytest.fixture
def other_keys(tmp_path: Path) -> SoftwareKeys:
    return SoftwareKeys.make(tmp_path / "other" / "keystore.json", tmp_path / "other" / "kek")


def test_a_seal_signed_by_another_key_is_named(
    history: Books, databases: Databases, other_keys: SoftwareKeys, ask: Ask
) -> None:
    with as_owner(databases) as owner:
        owner.execute(text("DELETE FROM segment WHERE number = 3"))
    Sealer(history.units, other_keys).seal()
    said = ask("books")
    assert said.exit_code == 1
    assert said.said.startswith("ledger=bad file=segments.jsonl line=3 segment=3 ")
    assert "signed by a key that is not trusted" in said.said


def test_another_key_under_the_right_name_is_named(
    history: Books, databases: Databases, other_keys: SoftwareKeys, ask: Ask
) -> None:
    with as_owner(databases) as owner:
        name = owner.execute(text("SELECT key_id FROM segment WHERE number = 2")).scalar()
        owner.execute(text("DELETE FROM segment WHERE number = 3"))
    Sealer(history.units, other_keys).seal()
    with as_owner(databases) as owner:
        owner.execute(text("UPDATE segment SET key_id = :name"), {"name": name})
    said = ask("books")
    assert said.said.startswith("ledger=bad file=segments.jsonl line=3 segment=3 ")
    assert "its signature is wrong" in said.said


def test_history_written_anew_is_found_by_who_kept_the_head(
    history: Books, databases: Databases, other_keys: SoftwareKeys, ask: Ask
) -> None:
    """Goal: even who owns database, key and exporter cannot talk round a head kept elsewhere."""
    kept = ask("kept").folder / "head.json"
    with as_owner(databases) as owner:
        for statement in (*CHANGE_ALL, "DELETE FROM segment"):
            owner.execute(text(statement))
    Sealer(history.units, other_keys).seal()
    assert ask("alone", signed_by=other_keys).exit_code == 0
    said = ask("asked", "--head", str(kept), signed_by=other_keys)
    assert said.said.startswith("ledger=bad file=segments.jsonl line=1 segment=1 ")
    assert "key that is not trusted" in said.said


def test_history_written_anew_with_the_right_key_is_found_too(
    history: Books, databases: Databases, sealer: Sealer, ask: Ask
) -> None:
    kept = ask("kept").folder / "head.json"
    with as_owner(databases) as owner:
        for statement in (*CHANGE_ALL, "DELETE FROM segment"):
            owner.execute(text(statement))
    sealer.seal()
    assert ask("alone").exit_code == 0
    said = ask("asked", "--head", str(kept))
    assert said.said.startswith("ledger=bad file=segments.jsonl line=3 segment=3 ")
    assert "history was written anew" in said.said


@pytest.mark.parametrize(
    ("statement", "line", "what"),
    [
        ("DELETE FROM segment WHERE number = 2", 2, "segment 2 is missing"),
        ("UPDATE segment SET postings = 6 WHERE number = 2", 2, "another number of leaves"),
        (
            "UPDATE segment SET leaves = (SELECT leaves FROM segment s WHERE s.number = 1)"
            " WHERE number = 2",
            *(2, "its hash is not that of its content"),
        ),
        (
            "UPDATE segment SET previous_hash = segment_hash WHERE number = 2",
            *(2, "does not follow the segment before it"),
        ),
        (
            "UPDATE segment SET signature = (SELECT signature FROM segment s WHERE s.number = 1)"
            " WHERE number = 2",
            *(2, "its signature is wrong"),
        ),
    ],
)
def test_a_changed_seal_is_named(
    history: Books, databases: Databases, ask: Ask, *, statement: str, line: int, what: str
) -> None:
    run(databases, statement)
    said = ask("books")
    assert said.exit_code == 1
    assert said.said.startswith(f"ledger=bad file=segments.jsonl line={line} segment=")
    assert what in said.said


def test_the_postings_of_a_whole_segment_are_missed(
    history: Books, databases: Databases, ask: Ask
) -> None:
    run(
        databases,
        "DELETE FROM entry WHERE operation_id IN"
        " (SELECT operation_id FROM posting WHERE segment = 2)",
        "DELETE FROM posting WHERE segment = 2",
    )
    said = ask("books")
    assert "7 sealed postings of segment 2 are missing before here" in said.said
    assert said.line[1] == 3


def test_a_seal_over_other_leaves_needs_the_key(
    history: Books, databases: Databases, ask: Ask
) -> None:
    """Goal: who changes a line and all hashes after it is still without a signature."""
    with as_owner(databases) as owner:
        leaves, previous = owner.execute(
            text("SELECT leaves, previous_hash FROM segment WHERE number = 3")
        ).one()
        forged = bytes(16) + leaves[16:]
        owner.execute(
            text("UPDATE segment SET leaves = :leaves, segment_hash = :hash WHERE number = 3"),
            {"leaves": forged, "hash": hash_segment(3, previous, forged)},
        )
    assert "its signature is wrong" in ask("books").said
