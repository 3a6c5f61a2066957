"""What the ledger bench posts: random wallets pay random payees; knows not how it is posted."""

from __future__ import annotations

import random

from tools.benches.ids import make_ids
from tools.benches.subjects import PAYEES, Order, payee, wallet

AMOUNT_FEN = 1


def make_orders(count: int, accounts: int, seed: int | None = None) -> list[Order]:
    """Fresh operations: a random wallet of `accounts` pays 1 fen to a random payee."""
    draw = random.Random(seed).randrange  # noqa: S311 - a choice, no secret
    return [
        (one, wallet(draw(accounts)), payee(draw(PAYEES)), AMOUNT_FEN)
        for one in make_ids("pay", count)
    ]
