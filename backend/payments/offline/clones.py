"""Two boxes with one disk: what gives them away, what is written down, and who is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import select

from backend.db import Event, Rows, Units, Which
from backend.merchants import TerminalUnknown
from backend.payments.offline import tables
from backend.payments.offline.model import OfflineSale, Upload

CLONED = "terminal_cloned"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CloneSign:
    """One counter, two sales. The second was refused; the first stands."""

    terminal_id: str
    terminal_counter: int
    first_payment_id: str
    payment_id: str
    amount_fen: int
    incarnation: str
    seen_at: datetime
    digest: str


@dataclass(frozen=True, slots=True)
class ReturnedIncarnation:
    """An opening of a journal that came back after a later one."""

    terminal_id: str
    incarnation: str
    returned_at: datetime
    returns: int


@dataclass(frozen=True, slots=True)
class CloneReport:
    """What speaks for a copied disk at one terminal; at most `LIST_MAX` lines of each."""

    terminal_id: str
    sales: list[CloneSign]
    incarnations: list[ReturnedIncarnation]


@dataclass(frozen=True, slots=True)
class UnreadItem:
    """An item that was no sale; `content` is cut."""

    terminal_id: str
    digest: str
    wrong_fields: str
    content: str
    seen_at: datetime


LIST_MAX = 200


@dataclass(frozen=True, slots=True)
class Oddities:
    """What staff sees."""

    units: Units

    def terminals(self, *, limit: int, after: str | None) -> tuple[list[str], str | None]:
        """Terminals with a sign, by id, above the cursor; and the next cursor."""
        sales, openings = tables.terminal_clone.c, tables.terminal_incarnation.c
        signed = select(sales.terminal_id).where(sales.terminal_id > (after or ""))
        back = select(openings.terminal_id).where(
            openings.returned_at.isnot(None), openings.terminal_id > (after or "")
        )
        both = signed.union(back).order_by("terminal_id").limit(limit + 1)
        with self.units.read(Which.LEDGER) as work:
            found = [str(one) for one in work.execute(both).scalars()]
        return found[:limit], found[limit - 1] if len(found) > limit else None

    def report(self, terminal_id: str) -> CloneReport:
        """The signs at one terminal, newest first. Raises TerminalUnknown where there are none."""
        sales, openings = tables.terminal_clone.c, tables.terminal_incarnation.c
        names = CloneSign.__slots__
        signs = select(*(sales[name] for name in names)).where(sales.terminal_id == terminal_id)
        back = select(*(openings[name] for name in ReturnedIncarnation.__slots__)).where(
            openings.terminal_id == terminal_id, openings.returned_at.isnot(None)
        )
        with self.units.read(Which.LEDGER) as work:
            told = work.execute(signs.order_by(sales.seen_at.desc()).limit(LIST_MAX)).mappings()
            found = [CloneSign(**row) for row in told]
            rows = work.execute(back.order_by(openings.returned_at.desc()).limit(LIST_MAX))
            returned = [ReturnedIncarnation(**row) for row in rows.mappings()]
        if not found and not returned:
            raise TerminalUnknown
        return CloneReport(terminal_id, found, returned)

    def unread(self, *, limit: int, after: str | None) -> tuple[list[UnreadItem], str | None]:
        """Items that were no sales, by digest, above the cursor; and the next cursor."""
        columns = tables.offline_unread.c
        query = select(tables.offline_unread).where(columns.digest > (after or ""))
        query = query.order_by(columns.digest).limit(limit + 1)
        with self.units.read(Which.LEDGER) as work:
            found = [UnreadItem(**row) for row in work.execute(query).mappings()]
        page = found[:limit]
        return page, page[-1].digest if len(found) > limit else None


@dataclass(frozen=True, slots=True)
class CloneAlarm:
    """Outbox: a line in the operator's log for each sign; `Oddities` shows them all."""

    def ring(self, event: Event) -> None:
        log.warning("terminal_cloned", **{str(name): one for name, one in event.payload.items()})


# --- rows -------------------------------------------------------------------------------------


def want_journal(rows: Rows, upload: Upload) -> None:
    rows.want(tables.terminal_journal, upload.terminal_id)
    rows.want(tables.terminal_incarnation, upload.terminal_id, upload.incarnation)


def note_incarnation(rows: Rows, upload: Upload) -> None:
    """Follow the terminal's openings. One that returns is written down and refuses nothing: a
    request of a box that was switched off meanwhile looks the same."""
    terminal_id, incarnation = upload.terminal_id, upload.incarnation
    journal = rows.find(tables.terminal_journal, terminal_id)
    known = rows.find(tables.terminal_incarnation, terminal_id, incarnation)
    if known is None:
        key = {"terminal_id": terminal_id, "incarnation": incarnation}
        first = {**key, "first_seen_at": rows.now, "returned_at": None, "returns": 0}
        rows.add(tables.terminal_incarnation, first)
        _set_journal(rows, terminal_id, incarnation, journal)
    elif journal is not None and journal["incarnation"] != incarnation:
        _note_return(rows, terminal_id, incarnation, known)


def note_clone(rows: Rows, upload: Upload, sale: OfflineSale, first_payment_id: str) -> None:
    """Write the second sale of a counter down, once, and tell."""
    key = (upload.terminal_id, sale.terminal_counter, sale.digest)
    if rows.find(tables.terminal_clone, *key) is not None:
        return
    row = {
        "terminal_id": upload.terminal_id,
        "terminal_counter": sale.terminal_counter,
        "digest": sale.digest,
        "first_payment_id": first_payment_id,
        "payment_id": sale.payment_id,
        "incarnation": upload.incarnation,
        "chain": sale.chain,
        "amount_fen": sale.amount_fen,
        "content": sale.content,
        "seen_at": rows.now,
    }
    rows.add(tables.terminal_clone, row)
    rows.tell(
        CLONED,
        terminal_id=upload.terminal_id,
        terminal_counter=sale.terminal_counter,
        payment_id=sale.payment_id,
    )


def _set_journal(
    rows: Rows, terminal_id: str, incarnation: str, journal: Mapping[str, Any] | None
) -> None:
    if journal is None:
        row = {"terminal_id": terminal_id, "incarnation": incarnation}
        rows.add(tables.terminal_journal, {**row, "uploaded_at": rows.now})
    else:
        new = {"incarnation": incarnation, "uploaded_at": rows.now}
        rows.change(tables.terminal_journal, (terminal_id,), **new)


def _note_return(rows: Rows, terminal_id: str, incarnation: str, known: Mapping[str, Any]) -> None:
    if known["returned_at"] is None:
        rows.tell(CLONED, terminal_id=terminal_id, incarnation=incarnation)
    new = {"returned_at": rows.now, "returns": known["returns"] + 1}
    rows.change(tables.terminal_incarnation, (terminal_id, incarnation), **new)
