"""What must be true when everybody has gone home: the books against what clients were told."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import select

from backend.db import METADATA, Units, Which, Work, open_databases
from backend.kernel import SystemClock
from backend.payments import tables as payment_tables
from backend.wallet.ledger import tables
from tests.simulation import books
from tools.benches.city import City
from tools.chaos.errors import ChaosFailed
from tools.chaos.notebook import MADE, Notebook
from tools.chaos.town import Town

OPENING = "top_up"


def prove(town: Town, notebook: Notebook) -> None:
    """Raises ChaosFailed (or the auditor's AssertionError) for the first promise broken.

    Every operation has a final answer; each acknowledged one is in the books once, with its
    amount, and no other is; every wallet is where the answers put it; the answer that is kept
    is the one that was given, to the byte; the books are whole.
    """
    if left := notebook.unanswered():
        raise ChaosFailed(f"{len(left)} operations without an answer, {left[0]} among them")
    with _units(town.city) as units:
        books.audit(units)
        with units.read(Which.LEDGER) as work:
            _prove_postings(work, notebook)
            _prove_payments(work, notebook)
            _prove_wallets(work, town, notebook)
            _prove_answers(work, notebook)


@contextmanager
def _units(city: City) -> Iterator[Units]:
    urls = {
        which: city.settings.get(
            f"CITY_{which.name}_DATABASE", f"sqlite:///{city.var / which.value}.db"
        )
        for which in Which
    }
    databases = open_databases(urls)
    try:
        yield Units(databases, SystemClock())
    finally:
        databases.close()


def _prove_postings(work: Work, notebook: Notebook) -> None:
    posting = tables.posting.c
    legs = select(posting.operation_id, posting.leg, posting.amount_fen)
    rows = work.execute(legs.where(posting.code != OPENING)).all()
    found = {(row.operation_id, row.leg): row.amount_fen for row in rows}
    wanted = {(wish.operation_id, 0): wish.amount_fen for wish in notebook.acknowledged()}
    _same("postings", found, wanted)


def _prove_payments(work: Work, notebook: Notebook) -> None:
    """Rows beside the journal tell the same story: nothing is half there."""
    payment, refund = payment_tables.payment.c, payment_tables.refund.c
    rows = work.execute(
        select(payment.payment_id, payment.captured_fen, payment.refunded_fen)
    ).all()
    found = {row.payment_id: (row.captured_fen, row.refunded_fen) for row in rows}
    paid, back = {}, {}
    for wish in notebook.acknowledged():
        if wish.is_payment:
            paid[wish.payment_id] = wish.amount_fen
        else:
            back[wish.operation_id] = wish
    refunded = dict.fromkeys(paid, 0)
    for wish in back.values():
        refunded[wish.payment_id] += wish.amount_fen
    _same("payments", found, {name: (paid[name], refunded[name]) for name in paid})
    refunds = work.execute(select(refund.refund_id, refund.amount_fen)).all()
    _same(
        "refunds", dict(map(tuple, refunds)), {name: one.amount_fen for name, one in back.items()}
    )


def _prove_wallets(work: Work, town: Town, notebook: Notebook) -> None:
    account = tables.account.c
    balance = (account.credits_posted - account.debits_posted).label("balance_fen")
    rows = work.execute(select(account.account_id, balance)).all()
    found = {row.account_id: row.balance_fen for row in rows}
    changes = notebook.changes_fen()
    for citizen in town.city.citizens:
        name = citizen.wallet_id
        wanted = town.opening_fen + changes.get(name, 0)
        if found[name] != wanted:
            raise ChaosFailed(f"{name} has {found[name]} fen, its answers make {wanted}")


def _prove_answers(work: Work, notebook: Notebook) -> None:
    answer = METADATA[Which.LEDGER].tables["answer"].c
    rows = work.execute(select(answer.key, answer.status, answer.body)).all()
    found = {row.key: (row.status, _digest(row.body)) for row in rows}
    _same("kept answers", found, {k: (one.status, one.digest) for k, one in notebook.told.items()})
    if len(rows) != len(found):
        raise ChaosFailed("an id has two answers kept")
    if not any(one.status == MADE for one in notebook.told.values()):
        raise ChaosFailed("nothing was acknowledged at all")


def _digest(body: str) -> bytes:
    return hashlib.sha256(body.encode()).digest()


def _same(what: str, found: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> None:
    """Equal, or the first difference by name."""
    if found == wanted:
        return
    for name in sorted({*found, *wanted}, key=str):
        if found.get(name) != wanted.get(name):
            raise ChaosFailed(
                f"{what}: {name} is {found.get(name)} in the books, {wanted.get(name)} was told"
            )
