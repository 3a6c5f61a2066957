"""Sales refused because their SAM is another terminal's: kept in view until a person ends them.

Nothing moved: whose SAM it is may still upload the same proof, and is paid as if nobody had tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

import structlog
from sqlalchemy import select

from backend.db import Decide, Event, Operation, Rows, Units, Which
from backend.kernel import DomainError, Kind, Words
from backend.merchants import Merchants
from backend.payments import records as payment_records
from backend.payments.offline import records, tables
from backend.payments.offline.judging import Judge
from backend.payments.offline.model import (
    OfflineSale,
    OfflineTerms,
    PurseProof,
    SaleMalformed,
    Unreadable,
)
from backend.payments.offline.taking import Taking
from backend.wallet import Ledger

FOREIGN_SAM = "purse_sam_foreign"
"""Topic; payload: terminal_id, payment_id, sam_number."""

log = structlog.get_logger(__name__)

Read = Callable[[Mapping[str, Any]], OfflineSale | Unreadable]


class ForeignSaleUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "foreign_sale_unknown"
    title = Words(zh="没有此交易", en="No such sale")
    detail = Words(
        zh="没有因安全模块不符而被拒的此交易。", en="No such sale was refused for its SAM."
    )


class ForeignSaleDecided(DomainError):
    kind, code = Kind.CONFLICT, "foreign_sale_decided"
    title = Words(zh="交易已处理", en="Sale already decided")
    detail = Words(zh="该交易处于 {state}。", en="The sale is {state}.")


class ForeignState(Enum):
    OPEN = "open"
    PAID = "paid"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class ForeignSale:
    """One sale as staff sees it; amounts in fen."""

    payment_id: str
    terminal_id: str
    terminal_counter: int
    sam_number: str
    amount_fen: int
    seen_at: datetime
    state: ForeignState
    decided_by: str | None
    decided_at: datetime | None
    note: str | None


@dataclass(frozen=True, slots=True)
class DecideForeignSale:
    """The command: pay the merchant after all, or leave it refused."""

    payment_id: str
    staff_id: str
    note: str


@dataclass(frozen=True, slots=True)
class ForeignSales:
    """What staff sees and decides. `read`: an item as it was uploaded, once more."""

    units: Units
    ledger: Ledger
    merchants: Merchants
    judge: Judge
    read: Read
    terms: OfflineTerms = field(default_factory=OfflineTerms)

    def of_state(
        self, state: ForeignState, *, limit: int, after: str | None
    ) -> tuple[list[ForeignSale], str | None]:
        """Sales in a state by id, above the cursor; and the next cursor."""
        columns = tables.foreign_sam_sale.c
        query = select(tables.foreign_sam_sale).where(
            columns.state == state.value, columns.payment_id > (after or "")
        )
        query = query.order_by(columns.payment_id).limit(limit + 1)
        with self.units.read(Which.LEDGER) as work:
            found = [_sale_of(row) for row in work.execute(query).mappings()]
        page = found[:limit]
        return page, page[-1].payment_id if len(found) > limit else None

    def pay(self, command: DecideForeignSale, operation: Operation) -> ForeignSale:
        """Take the sale as if the SAM were this terminal's; its terminal hears no second word.

        Raises ForeignSaleUnknown, ForeignSaleDecided, TerminalUnknown, TerminalNotActive, and what
        speaks against a sale: PurseSaleSeen where the SAM's own terminal was quicker, SaleTooOld.
        """
        kept = self._get_kept(command.payment_id)
        sale, terminal_id = self.read(kept["content"]), kept["terminal_id"]
        if isinstance(sale, Unreadable):
            raise SaleMalformed(fields=sale.wrong_fields)
        facts = self.merchants.vouch_for_terminal(terminal_id)
        (judged,) = self.judge.judge(
            [sale], self.units.clock.now(), is_dry_run=operation.is_dry_run
        )

        def needs(rows: Rows) -> bool:
            _want_all(rows, sale, terminal_id)
            if not isinstance(judged, DomainError):
                self.taking.need(rows, judged, terminal_id)
            return False

        def decide(rows: Rows) -> ForeignSale:
            row = _get_open(rows, command.payment_id)
            if isinstance(judged, DomainError):
                raise judged
            taken = self.taking.take(rows, sale, judged, facts, is_sam_vouched=True)
            records.keep_payment(rows, sale.payment_id, taken, facts)
            return _end(rows, row, ForeignState.PAID, command)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def dismiss(self, command: DecideForeignSale, operation: Operation) -> ForeignSale:
        """Leave it refused. Raises ForeignSaleUnknown, ForeignSaleDecided."""
        self._get_kept(command.payment_id)

        def needs(rows: Rows) -> bool:
            payment_records.want_payment(rows, command.payment_id)
            want(rows, command.payment_id)
            return False

        def decide(rows: Rows) -> ForeignSale:
            row = _get_open(rows, command.payment_id)
            return _end(rows, row, ForeignState.DISMISSED, command)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    @property
    def taking(self) -> Taking:
        return Taking(self.ledger, self.terms)

    def _get_kept(self, payment_id: str) -> Mapping[str, Any]:
        """The upload behind a sale: never changes, so it may be read ahead."""
        with self.units.read(Which.LEDGER) as work:
            row = work.rows.find(tables.foreign_sam_sale, payment_id)
            kept = None
            if row is not None:
                kept = records.find_kept(work.rows, row["terminal_id"], row["terminal_counter"])
        if kept is None:
            raise ForeignSaleUnknown
        return kept


@dataclass(frozen=True, slots=True)
class SamAlarm:
    """Outbox: a line in the operator's log for each sale; `ForeignSales` shows them all."""

    def ring(self, event: Event) -> None:
        log.warning("purse_sam_foreign", **{str(name): one for name, one in event.payload.items()})


def want(rows: Rows, payment_id: str) -> None:
    rows.want(tables.foreign_sam_sale, payment_id)


def note(rows: Rows, sale: OfflineSale, terminal_id: str) -> None:
    """Write the refused sale down for a person, and tell."""
    assert isinstance(sale.proof, PurseProof)
    sam_number = sale.proof.sam[0]
    row = {
        "payment_id": sale.payment_id,
        "terminal_id": terminal_id,
        "terminal_counter": sale.terminal_counter,
        "sam_number": sam_number,
        "amount_fen": sale.amount_fen,
        "seen_at": rows.now,
        "state": ForeignState.OPEN.value,
        "decided_by": None,
        "decided_at": None,
        "note": None,
    }
    rows.add(tables.foreign_sam_sale, row)
    rows.tell(
        FOREIGN_SAM, terminal_id=terminal_id, payment_id=sale.payment_id, sam_number=sam_number
    )


def _want_all(rows: Rows, sale: OfflineSale, terminal_id: str) -> None:
    payment_records.want_payment(rows, sale.payment_id)
    payment_records.want_terminal_sale(rows, terminal_id, sale.terminal_counter)
    rows.want(tables.offline_payment, sale.payment_id)
    want(rows, sale.payment_id)


def _get_open(rows: Rows, payment_id: str) -> Mapping[str, Any]:
    payment_records.find_payment(rows, payment_id)  # held first: it guards the row
    row = rows.find(tables.foreign_sam_sale, payment_id)
    if row is None:
        raise ForeignSaleUnknown
    if row["state"] != ForeignState.OPEN.value:
        raise ForeignSaleDecided(state=row["state"])
    return row


def _end(
    rows: Rows, row: Mapping[str, Any], state: ForeignState, command: DecideForeignSale
) -> ForeignSale:
    new = {
        "state": state.value,
        "decided_by": command.staff_id,
        "decided_at": rows.now,
        "note": command.note,
    }
    rows.change(tables.foreign_sam_sale, (row["payment_id"],), **new)
    return _sale_of({**row, **new})


def _sale_of(row: Mapping[Any, Any]) -> ForeignSale:
    return ForeignSale(**{**row, "state": ForeignState(row["state"])})
