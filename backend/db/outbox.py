"""Delivers the outbox: at least once, in the order told, with bounded retries; then parks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import func, select, update

from backend.db.metadata import METADATA, Which
from backend.db.work import Units, Work
from backend.kernel import DomainError

log = structlog.get_logger(__name__)

BATCH_MAX = 50
LEASE_SECONDS = 60
ATTEMPTS_MAX = 12
IDLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as told inside the transaction that made it true."""

    event_id: str
    topic: str
    payload: Mapping[str, Any]
    created_at: datetime
    attempts: int


class AskAgain(Exception):
    """A consumer's wish: deliver the event once more after `seconds`; not counted as a failure."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds} s")
        self.seconds = seconds


Consumer = Callable[[Event], None]


@dataclass(slots=True)
class OutboxWorker:
    """Carries events to consumers, which must bear hearing the same event twice."""

    units: Units
    consumers: Mapping[str, Consumer]
    woken: threading.Event = field(default_factory=threading.Event)
    _stopping: bool = field(default=False, init=False)

    def run(self) -> None:
        """Deliver until `stop`; a failure of the database is logged and waited out."""
        while not self._stopping:
            self.woken.clear()
            try:
                delivered = self.deliver_due()
            except DomainError as error:
                log.warning("outbox_waits", code=error.code)
                delivered = 0
            except Exception:  # a worker that ends here would leave every event behind
                log.exception("outbox_fails")
                delivered = 0
            if not delivered:
                self.woken.wait(timeout=IDLE_SECONDS)

    def stop(self) -> None:
        self._stopping = True
        self.woken.set()

    def deliver_due(self) -> int:
        """Deliver what is due now, in all three databases; how many events were taken up."""
        return sum(self._deliver(which) for which in Which)

    def parked(self) -> int:
        """How many events gave up: each is a matter for the operator."""
        return sum(self._count_parked(which) for which in Which)

    def _deliver(self, which: Which) -> int:
        with self.units.read(which) as work:
            if not _due_ids(work, locked=False):
                return 0
        with self.units.write(which) as work:
            lease = work.now + timedelta(seconds=LEASE_SECONDS)
            events = _take_up(work, lease)
        for handed, event in enumerate(events):
            if self.units.clock.now() >= lease:  # slow consumers: the rest is anybody's again
                return handed
            self._hand_over(which, event, lease)
        return len(events)

    def _hand_over(self, which: Which, event: Event, lease: datetime) -> None:
        outbox = METADATA[which].tables["outbox"]
        changes = self._consume(event)
        with self.units.write(which) as work:
            stamp = {"delivered_at": work.now} if changes.get("failure", "") is None else {}
            if (seconds := changes.pop("again_seconds", None)) is not None:
                stamp["due_at"] = work.now + timedelta(seconds=seconds)
            # Only while the lease is ours: another worker may have taken the event meanwhile.
            ours = (outbox.c.event_id == event.event_id) & (outbox.c.due_at == lease)
            work.execute(update(outbox).where(ours).values(**changes, **stamp))

    def _consume(self, event: Event) -> dict[str, Any]:
        """Hand the event over; what its row becomes."""
        try:
            self.consumers[event.topic](event)
        except AskAgain as wish:
            return {"again_seconds": wish.seconds, "attempts": event.attempts}
        except Exception as error:  # whatever a consumer does, the others' events go on
            attempts = event.attempts + 1
            log.exception("outbox_failed", topic=event.topic, event_id=event.event_id)
            failed: dict[str, Any] = {"attempts": attempts, "failure": type(error).__name__}
            if attempts >= ATTEMPTS_MAX:
                return {**failed, "due_at": None}
            return {**failed, "again_seconds": min(2.0**attempts, 3600.0)}
        return {"due_at": None, "failure": None, "attempts": event.attempts + 1}

    def _count_parked(self, which: Which) -> int:
        outbox = METADATA[which].tables["outbox"]
        parked = select(func.count()).where(
            outbox.c.due_at.is_(None), outbox.c.delivered_at.is_(None)
        )
        with self.units.read(which) as work:
            return int(work.execute(parked).scalar_one())


def _due_ids(work: Work, *, locked: bool) -> list[str]:
    outbox = METADATA[work.which].tables["outbox"]
    due = (
        select(outbox.c.event_id)
        .where(outbox.c.due_at <= work.now)
        .order_by(outbox.c.due_at, outbox.c.event_id)
        .limit(BATCH_MAX)
    )
    # SQLite has one writer and knows no row locks; SQLAlchemy leaves the clause out there.
    query = due.with_for_update(skip_locked=True) if locked else due
    return list(work.execute(query).scalars())


def _take_up(work: Work, lease: datetime) -> list[Event]:
    """Lease what is due: another worker sees it again only when we die, or are too slow."""
    outbox = METADATA[work.which].tables["outbox"]
    ids = _due_ids(work, locked=True)
    rows = work.execute(
        update(outbox).where(outbox.c.event_id.in_(ids)).values(due_at=lease).returning(outbox)
    ).all()
    events = [
        Event(row.event_id, row.topic, row.payload, row.created_at, row.attempts) for row in rows
    ]
    return sorted(events, key=lambda event: event.event_id)
