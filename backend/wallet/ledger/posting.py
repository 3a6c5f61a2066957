"""Posting by the operation's own id: the same again hears the same, other content is told apart."""

from __future__ import annotations

from dataclasses import dataclass

from backend.db import Rows
from backend.kernel import DomainError, Kind, Words
from backend.wallet.ledger import tables
from backend.wallet.ledger.ledger import Ledger
from backend.wallet.ledger.model import Transfer

COMPARED = ("code", "linked_to", "memo")


class OperationConflict(DomainError):
    kind, code = Kind.CONFLICT, "operation_conflict"
    title = Words(zh="同一编号内容不同", en="Same id, other content")
    detail = Words(
        zh="此编号已用于另一笔记账，不同的内容：{fields}。",
        en="This id was posted with another content; what differs: {fields}.",
    )


@dataclass(frozen=True, slots=True)
class Posted:
    """What was posted: the id, and whether it was there before."""

    operation_id: str
    is_repeated: bool


@dataclass(frozen=True, slots=True)
class Post:
    """A decision for `Units.decide`: post one transfer, once.

    Raises OperationConflict, and what `Ledger.post` refuses.
    """

    ledger: Ledger
    transfer: Transfer

    def needs(self, rows: Rows) -> bool:
        self.ledger.need_transfer(rows, self.transfer)
        return False

    def decide(self, rows: Rows) -> Posted:
        transfer = self.transfer
        if self.ledger.is_posted(rows, transfer.operation_id):
            self._compare(rows)
            return Posted(transfer.operation_id, is_repeated=True)
        self.ledger.post(rows, transfer)
        return Posted(transfer.operation_id, is_repeated=False)

    def _compare(self, rows: Rows) -> None:
        """Leg by leg, and that there is no further one. Raises OperationConflict."""
        transfer = self.transfer
        differing = set()
        for number, leg in enumerate(transfer.legs):
            row = rows.find(tables.posting, transfer.operation_id, number)
            if row is None:
                differing.add("legs")
                continue
            differing |= {name for name in COMPARED if row[name] != getattr(transfer, name)}
            if (row["debit"], row["credit"]) != (leg.debit, leg.credit):
                differing.add("accounts")
            if row["amount_fen"] != leg.amount_fen:
                differing.add("amount_fen")
        if rows.find(tables.posting, transfer.operation_id, len(transfer.legs)) is not None:
            differing.add("legs")
        if differing:
            raise OperationConflict(fields=", ".join(sorted(differing)))
