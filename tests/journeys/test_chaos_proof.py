"""The proof behind `make chaos` must be able to fail: each lie in the books is found."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from backend.app import create_public_app, open_parts
from backend.config import load_config
from tools.benches.city import ANY_PORT
from tools.chaos.dice import dice_for
from tools.chaos.errors import ChaosFailed
from tools.chaos.notebook import Notebook
from tools.chaos.proof import prove
from tools.chaos.town import Town, Wish, make_town
from tools.chaos.wire import Heard
from tools.story.instance import environment

SEED = 20261123
PAYMENTS = 6


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Town, Notebook]:
    """A town with some payments, a refund and a refusal, and what its callers were told."""
    var = tmp_path_factory.mktemp("proof") / "var"
    town, notebook, dice = make_town(var, {}, 3, 1), Notebook(), dice_for(SEED)
    parts = open_parts(load_config(environment(var, ANY_PORT, ANY_PORT)))
    try:
        client = create_public_app(parts).test_client()
        wishes = [town.pay(dice, amount_fen=100) for _ in range(PAYMENTS)]
        wishes += [town.refund(dice, wishes[0]), town.pay(dice, amount_fen=60_000)]
        for wish in wishes:
            notebook.want(wish)
            _ask(client, wish, notebook)
    finally:
        parts.databases.close()
    return town, notebook


def _ask(client: object, wish: Wish, notebook: Notebook) -> None:
    head, _, body = wish.request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    answer = client.post(first.split()[1], data=body, headers=headers)  # type: ignore[attr-defined]
    assert notebook.hear(wish, Heard(answer.status_code, answer.data))


def test_honest_books_pass(paid: tuple[Town, Notebook]) -> None:
    town, notebook = paid
    assert sorted(one.status for one in notebook.told.values()) == [201] * (PAYMENTS + 1) + [402]
    prove(town, notebook)


LIES = {
    "a payment is lost": (
        "DELETE FROM entry WHERE operation_id = :id",
        "DELETE FROM posting WHERE operation_id = :id",
    ),
    "half a posting": ("DELETE FROM entry WHERE operation_id = :id AND side = 'credit'",),
    "a payment twice": (
        "INSERT INTO payment SELECT 'pay_twice', state, amount_fen, captured_fen, refunded_fen,"
        " method, merchant_id, merchant_name, shop_id, shop_name, terminal_id, terminal_number,"
        " wallet_id, person_id, token_number_masked, balance_fen, business_date, created_at,"
        " bill_number, register_reference FROM payment WHERE payment_id = :id",
    ),
    "a payment without its state": ("UPDATE payment SET captured_fen = 0 WHERE payment_id = :id",),
    "another amount": ("UPDATE posting SET amount_fen = amount_fen + 1 WHERE operation_id = :id",),
    "a fen too many": (
        "UPDATE account SET credits_posted = credits_posted + 1 WHERE account_id ="
        " (SELECT wallet_id FROM payment WHERE payment_id = :id)",
    ),
    "another answer kept": ("UPDATE answer SET body = body || ' ' WHERE key = :id",),
    "no answer kept": ("DELETE FROM answer WHERE key = :id",),
}


@pytest.mark.parametrize("lie", LIES)
def test_every_lie_is_found(paid: tuple[Town, Notebook], tmp_path: Path, lie: str) -> None:
    town, notebook = paid
    told_lies = _copy(town, tmp_path)
    with closing(sqlite3.connect(told_lies.city.var / "ledger.db")) as database, database:
        for (name,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            database.execute(f'DROP TRIGGER "{name}"')  # they would refuse most lies
        changed = 0
        for statement in LIES[lie]:
            changed += database.execute(statement, {"id": notebook.made[1].payment_id}).rowcount
        assert changed > 0
    with pytest.raises((ChaosFailed, AssertionError)):
        prove(told_lies, notebook)


def test_another_second_answer_is_found(paid: tuple[Town, Notebook]) -> None:
    _, notebook = paid
    wish = notebook.made[0]
    with pytest.raises(ChaosFailed, match="two answers"):
        notebook.hear(wish, Heard(201, b"{}"))


@pytest.mark.parametrize(("status", "body"), [(500, b"{}"), (503, b"{}"), (422, b"{}"), (429, b"")])
def test_what_may_never_be_answered(status: int, body: bytes, paid: tuple[Town, Notebook]) -> None:
    """Also a 503 without its stable code."""
    town, _ = paid
    with pytest.raises(ChaosFailed, match=str(status)):
        Notebook().hear(town.pay(dice_for(SEED)), Heard(status, body))


def test_an_operation_without_an_answer_is_found(paid: tuple[Town, Notebook]) -> None:
    town, notebook = paid
    more = Notebook(dict(notebook.wishes), dict(notebook.told), list(notebook.made))
    more.want(town.pay(dice_for(SEED, "more")))
    with pytest.raises(ChaosFailed, match="without an answer"):
        prove(town, more)


def _copy(town: Town, folder: Path) -> Town:
    var = Path(shutil.copytree(town.city.var, folder / "var"))
    return replace(town, city=replace(town.city, var=var))
