"""What the tests of tampering share: a hand on the rows, and the checker's last word."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plain_books import as_owner
from sqlalchemy import text

from backend.db import Databases


@dataclass(frozen=True)
class Evidence:
    """The checker's last word, and what it was shown."""

    exit_code: int
    said: str
    folder: Path

    @property
    def line(self) -> list[object]:
        """The line that is named, as the file has it."""
        number = int(self.said.split("line=")[1].split()[0])
        lines = (self.folder / "postings.jsonl").read_text("utf-8").splitlines()
        return list(json.loads(lines[number - 1]))


Ask = Callable[..., Evidence]


def run(databases: Databases, *statements: str) -> None:
    with as_owner(databases) as owner:
        for statement in statements:
            changed = owner.execute(text(statement))
            assert changed.rowcount, f"changed nothing: {statement}"


CHANGE_ALL = (  # 5 fen more to the shop from wal_a in pay_22, and all balances with it
    "UPDATE posting SET amount_fen = amount_fen + 5 WHERE operation_id = 'pay_22'",
    "UPDATE entry SET amount_fen = amount_fen + 5 WHERE operation_id = 'pay_22'",
    "UPDATE entry SET balance_fen = balance_fen - 5 WHERE account_id = 'wal_a' AND line >="
    " (SELECT line FROM entry e WHERE e.operation_id = 'pay_22' AND e.account_id = 'wal_a')",
    "UPDATE entry SET balance_fen = balance_fen + 5 WHERE account_id LIKE 'payable:%' AND line >="
    " (SELECT line FROM entry e WHERE e.operation_id = 'pay_22' AND e.account_id LIKE 'payable:%')",
    "UPDATE account SET debits_posted = debits_posted + 5 WHERE account_id = 'wal_a'",
    "UPDATE account SET credits_posted = credits_posted + 5 WHERE account_id LIKE 'payable:%'",
)
