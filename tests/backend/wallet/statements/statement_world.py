"""Books written by hand: accounts, postings and entries as rows, at any moment a test wants."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, update

from backend.db import Units, Which
from backend.kernel import business_date, new_id
from backend.wallet.ledger import tables
from backend.wallet.tables import wallet, wallet_owner

BANK = "channel:bank"
EMPTY = {"debits_posted": 0, "credits_posted": 0, "debits_pending": 0, "credits_pending": 0}
SIDES = ("debit", "credit")


@dataclass(frozen=True, slots=True)
class Move:
    """Money into the wallet (positive) or out of it, between it and the bank's account."""

    wallet_id: str
    amount_fen: int
    at: datetime
    code: str = ""
    memo: str = ""
    operation_id: str = ""
    linked_to: str | None = None
    leg: int = 0


@dataclass
class Books:
    """The sums so far, and the hand that writes rows which agree with them."""

    units: Units
    sums: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: {**ZERO}))
    sides: dict[str, str] = field(default_factory=dict)

    def open_accounts(self, account_ids: list[str], side: str, kind: str) -> None:
        more = {"kind": kind, "side": side, "state": "open", "lines": 0, **EMPTY}
        self.sides.update(dict.fromkeys(account_ids, side))
        rows = [{"account_id": one, **more} for one in account_ids]
        with self.units.write(Which.LEDGER) as work:
            work.execute(insert(tables.account), rows)

    def open_wallet(self, person_id: str) -> str:
        """A wallet of a person, empty."""
        wallet_id = new_id("wal")
        owner = {"person_id": person_id, "wallet_id": wallet_id}
        with self.units.write(Which.LEDGER) as work:
            more = {"account_class": "registered", "opened_at": work.now}
            work.execute(insert(wallet).values({**owner, **more}))
            work.execute(insert(wallet_owner).values(owner))
        self.open_accounts([wallet_id], "credit", "wallet")
        return wallet_id

    def post(self, *moves: Move) -> list[str]:
        """Write the moves in this order; their operation ids."""
        postings: list[dict[str, Any]] = []
        entries: list[dict[str, Any]] = []
        for move in moves:
            posting = _posting(move)
            postings.append(posting)
            entries += [self._entry(posting, side) for side in SIDES]
        self._write(postings, entries)
        return [one["operation_id"] for one in postings]

    def pay_in(self, wallet_id: str, amounts_fen: Iterable[int], at: datetime) -> list[str]:
        """One move per amount, all at one moment."""
        return self.post(*(Move(wallet_id, one, at) for one in amounts_fen))

    def _entry(self, posting: dict[str, Any], side: str) -> dict[str, Any]:
        account_id = posting[side]
        sums = self.sums[account_id]
        sums[side] += posting["amount_fen"]
        sums["lines"] += 1
        own = self.sides[account_id]
        balance_fen = sums[own] - sums["credit" if own == "debit" else "debit"]
        return {
            "account_id": account_id,
            "line": sums["lines"],
            "side": side,
            "balance_fen": balance_fen,
            **{name: posting[name] for name in COPIED},
        }

    def _write(self, postings: list[dict[str, Any]], entries: list[dict[str, Any]]) -> None:
        with self.units.write(Which.LEDGER) as work:
            work.execute(insert(tables.posting), postings)
            work.execute(insert(tables.entry), entries)
            for account_id in {one["account_id"] for one in entries}:
                sums = self.sums[account_id]
                changed = {
                    "debits_posted": sums["debit"],
                    "credits_posted": sums["credit"],
                    "lines": sums["lines"],
                }
                account = tables.account
                work.execute(
                    update(account).where(account.c.account_id == account_id).values(changed)
                )


COPIED = ("operation_id", "leg", "code", "amount_fen", "posted_at")
ZERO = {"debit": 0, "credit": 0, "lines": 0}


def utc(text: str) -> datetime:
    """`2026-11-01T00:00:00+08:00` as a moment."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _posting(move: Move) -> dict[str, Any]:
    incoming = move.amount_fen > 0
    return {
        "operation_id": move.operation_id or new_id("top" if incoming else "pay"),
        "leg": move.leg,
        "debit": BANK if incoming else move.wallet_id,
        "credit": move.wallet_id if incoming else BANK,
        "amount_fen": abs(move.amount_fen),
        "code": move.code or ("top_up" if incoming else "payment"),
        "linked_to": move.linked_to,
        "memo": move.memo,
        "business_date": business_date(move.at),
        "posted_at": move.at,
        "segment": 1,
    }
