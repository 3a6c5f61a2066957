"""An employer's batch of top-ups: filled in parts, checked whole, approved by another, posted.

Posted by the worker in sets; a line stands or falls alone, and once, whatever crashes between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from backend.db import Decide, Event, Operation, Rows, Units, Which, Work
from backend.db.outbox import AskAgain
from backend.kernel import ANY_AMOUNT, AmountRange, business_date
from backend.wallet.ledger import Ledger
from backend.wallet.model import FourEyesNeeded
from backend.wallet.tables import wallet
from backend.wallet.topups.batch_lines import PostLine
from backend.wallet.topups.batch_model import (
    LINES_MAX,
    PART_MAX,
    Batch,
    BatchEvent,
    BatchExists,
    BatchInvalid,
    BatchState,
    BatchUnknown,
    Fault,
    Line,
    LineResult,
    OpenBatch,
    advance,
    faults_of_whole,
    read_lines,
)
from backend.wallet.topups.tables import topup_batch, topup_line

APPROVED = "topup_batch_approved"
SET_MAX = 500
SETS_PER_DELIVERY = 4
"""So many sets in one delivery: well within the outbox's lease."""


class BatchStuck(Exception):
    """Lines could not be decided, and nobody refused them: asked again, then parked."""


@dataclass(frozen=True, slots=True)
class Batches:
    """Each method is one command or one question of staff; `post` is the worker's."""

    units: Units
    ledger: Ledger
    amounts: AmountRange = ANY_AMOUNT

    # --- uploading --------------------------------------------------------------------------------

    def open(self, command: OpenBatch, operation: Operation) -> Batch:
        """Announce a batch. Raises BatchInvalid (too many lines), BatchExists."""

        def decide(rows: Rows) -> Batch:
            if not 0 < command.lines <= LINES_MAX:
                raise BatchInvalid([Fault(0, "lines", "out_of_range")])
            if command.total_fen <= 0:
                raise BatchInvalid([Fault(0, "total_fen", "out_of_range")])
            if (known := rows.find(topup_batch, command.batch_id)) is not None:
                return _same(known, command)
            row = {
                "batch_id": command.batch_id,
                "employer": command.employer,
                "state": BatchState.DRAFT.value,
                "lines": command.lines,
                "total_fen": command.total_fen,
                "uploaded_by": command.staff,
                "created_at": rows.now,
                **dict.fromkeys(("decided_by", "decided_at", "done_at")),
            }
            rows.add(topup_batch, row)
            return _batch(row, {})

        return self._decide(command.batch_id, decide, operation)

    def fill(
        self, batch_id: str, first: int, raw: list[object], staff: str, operation: Operation
    ) -> Batch:
        """Put lines `first`, `first` + 1, … into a draft, in the place of what was there.

        Raises BatchUnknown, FourEyesNeeded, BatchStateConflict; BatchInvalid with every fault of
        the part: then nothing of it is kept.
        """

        def needs(rows: Rows) -> bool:
            rows.want(topup_batch, batch_id)
            for number in range(first, first + min(len(raw), PART_MAX)):
                rows.want(topup_line, batch_id, number)
            return False

        def decide(rows: Rows) -> Batch:
            row = _get(rows, batch_id)
            _check_uploader(row, staff)
            advance(BatchState(row["state"]), BatchEvent.FILL)
            if not raw or len(raw) > PART_MAX or not 0 < first <= LINES_MAX:
                raise BatchInvalid([Fault(0, "lines", "out_of_range")])
            for line in read_lines(first, raw):
                _put(rows, batch_id, line)
            return _batch(row, {})

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def submit(self, batch_id: str, staff: str, operation: Operation) -> Batch:
        """Check the whole and hand it to somebody else.

        Raises BatchUnknown, FourEyesNeeded, BatchStateConflict; BatchInvalid with every line's
        faults: the batch stays a draft, and lines may be sent anew.
        """

        def decide(rows: Rows) -> Batch:
            row = _get(rows, batch_id)
            _check_uploader(row, staff)
            state = advance(BatchState(row["state"]), BatchEvent.SUBMIT)
            faults = self._faults(rows, row)
            if faults:
                raise BatchInvalid(faults)
            rows.change(topup_batch, (batch_id,), state=state.value)
            waiting = {"waiting": (row["lines"], row["total_fen"])}
            return _batch({**row, "state": state.value}, waiting)

        return self._decide(batch_id, decide, operation)

    # --- deciding ---------------------------------------------------------------------------------

    def approve(self, batch_id: str, staff: str, operation: Operation) -> Batch:
        """Let it be posted. Raises BatchUnknown, FourEyesNeeded, BatchStateConflict."""

        def decide(rows: Rows) -> Batch:
            row = _get(rows, batch_id)
            if row["uploaded_by"] == staff:
                raise FourEyesNeeded
            decided = self._say(rows, row, BatchEvent.APPROVE, staff)
            rows.tell(APPROVED, batch_id=batch_id)
            return decided

        return self._decide(batch_id, decide, operation)

    def reject(self, batch_id: str, staff: str, operation: Operation) -> Batch:
        """Throw it away, whoever asks. Raises BatchUnknown, BatchStateConflict."""

        def decide(rows: Rows) -> Batch:
            row = _get(rows, batch_id)
            return self._say(rows, row, BatchEvent.REJECT, staff)

        return self._decide(batch_id, decide, operation)

    # --- the worker's -----------------------------------------------------------------------------

    def post(self, event: Event) -> None:
        """Outbox: post what waits, set by set; goes on where it was left.

        Raises AskAgain while lines are left, BatchStuck when some cannot be decided.
        """
        batch_id = str(event.payload["batch_id"])
        after, stuck = 0, 0
        for _ in range(SETS_PER_DELIVERY):
            numbers = self._waiting(batch_id, after)
            if not numbers:
                break
            lines = [PostLine(self.ledger, batch_id, number) for number in numbers]
            outcomes = self.units.decide_all(Which.LEDGER, lines)
            stuck += sum(isinstance(one, Exception) for one in outcomes)
            after = numbers[-1]
        if stuck:
            raise BatchStuck(f"{batch_id}: {stuck} lines")
        if self._waiting(batch_id, 0):
            raise AskAgain(0.0)
        self._finish(batch_id)

    # --- questions --------------------------------------------------------------------------------

    def get(self, batch_id: str) -> Batch:
        """The batch and how far it is. Raises BatchUnknown."""
        with self.units.read(Which.LEDGER) as work:
            return _batch(_get(work.rows, batch_id), _sums(work, batch_id))

    def lines(
        self, batch_id: str, *, limit: int, after: str | None
    ) -> tuple[list[LineResult], str | None]:
        """Lines in order, above the cursor `after`; and the next cursor. Raises BatchUnknown."""
        above = int(after) if after and after.isdecimal() and len(after) < 9 else 0
        line = topup_line.c
        query = (
            select(topup_line)
            .where(line.batch_id == batch_id, line.number > above)
            .order_by(line.number)
            .limit(limit + 1)
        )
        with self.units.read(Which.LEDGER) as work:
            _get(work.rows, batch_id)
            found = work.execute(query).all()
        results = [
            LineResult(
                one.number, one.wallet_id, one.amount_fen, one.reference, one.state, one.code
            )
            for one in found[:limit]
        ]
        return results, str(results[-1].number) if len(found) > limit else None

    # --- inside -----------------------------------------------------------------------------------

    def _decide(
        self, batch_id: str, decide: Callable[[Rows], Batch], operation: Operation
    ) -> Batch:
        def needs(rows: Rows) -> bool:
            rows.want(topup_batch, batch_id)
            return False

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def _faults(self, rows: Rows, row: Mapping[str, Any]) -> list[Fault]:
        mine = topup_line.c.batch_id == row["batch_id"]
        lines = [
            Line(one["number"], one["wallet_id"], one["amount_fen"], one["reference"])
            for one in rows.find_where(topup_line, mine, LINES_MAX + PART_MAX)
        ]
        for line in lines:
            rows.want(wallet, line.wallet_id)
        rows.load()
        known = {one.wallet_id for one in lines if rows.find(wallet, one.wallet_id) is not None}
        return faults_of_whole(
            lines,
            announced=row["lines"],
            total_fen=row["total_fen"],
            known_wallets=frozenset(known),
            amounts=self.amounts,
        )

    @staticmethod
    def _say(rows: Rows, row: Mapping[str, Any], event: BatchEvent, staff: str) -> Batch:
        state = advance(BatchState(row["state"]), event)
        by = None if row["uploaded_by"] == staff else staff
        said = {"state": state.value, "decided_by": by, "decided_at": rows.now}
        rows.change(topup_batch, (row["batch_id"],), **said)
        return _batch({**row, **said}, {})

    def _waiting(self, batch_id: str, after: int) -> list[int]:
        line = topup_line.c
        query = (
            select(line.number)
            .where(line.batch_id == batch_id, line.number > after, line.state == "waiting")
            .order_by(line.number)
            .limit(SET_MAX)
        )
        with self.units.read(Which.LEDGER) as work:
            row = work.rows.find(topup_batch, batch_id)
            if row is None or row["state"] != BatchState.APPROVED.value:
                return []
            return list(work.execute(query).scalars())

    def _finish(self, batch_id: str) -> None:
        with self.units.read(Which.LEDGER) as work:
            sums = _sums(work, batch_id)

        def needs(rows: Rows) -> bool:
            rows.want(topup_batch, batch_id)
            return False

        def decide(rows: Rows) -> None:
            row = rows.find(topup_batch, batch_id)
            if row is None or row["state"] != BatchState.APPROVED.value:
                return
            state = advance(BatchState(row["state"]), BatchEvent.FINISH)
            (posted, posted_fen), (refused, refused_fen) = sums["posted"], sums["refused"]
            rows.change(
                topup_batch,
                (batch_id,),
                state=state.value,
                posted=posted,
                posted_fen=posted_fen,
                refused=refused,
                refused_fen=refused_fen,
                done_at=rows.now,
                done_on=business_date(rows.now),
            )

        self.units.decide(Which.LEDGER, Decide(needs, decide))


def _sums(work: Work, batch_id: str) -> dict[str, tuple[int, int]]:
    """state -> (lines, fen)"""
    line = topup_line.c
    query = (
        select(line.state, func.count(), func.sum(line.amount_fen))
        .where(line.batch_id == batch_id)
        .group_by(line.state)
    )
    found = {state: (int(lines), int(fen)) for state, lines, fen in map(tuple, work.execute(query))}
    return {state: found.get(state, (0, 0)) for state in ("waiting", "posted", "refused")}


def _get(rows: Rows, batch_id: str) -> Mapping[str, Any]:
    row = rows.find(topup_batch, batch_id)
    if row is None:
        raise BatchUnknown
    return row


def _check_uploader(row: Mapping[str, Any], staff: str) -> None:
    if row["uploaded_by"] != staff:
        raise FourEyesNeeded


def _put(rows: Rows, batch_id: str, line: Line) -> None:
    values = {
        "wallet_id": line.wallet_id,
        "amount_fen": line.amount_fen,
        "reference": line.reference,
    }
    if rows.find(topup_line, batch_id, line.number) is None:
        names = {"batch_id": batch_id, "number": line.number, "state": "waiting"}
        rows.add(topup_line, {**names, **values})
    else:
        rows.change(topup_line, (batch_id, line.number), **values)


def _same(row: Mapping[str, Any], command: OpenBatch) -> Batch:
    known = tuple(row[name] for name in ("employer", "lines", "total_fen", "uploaded_by"))
    if known != (command.employer, command.lines, command.total_fen, command.staff):
        raise BatchExists
    return _batch(row, {})


def _batch(row: Mapping[str, Any], sums: Mapping[str, tuple[int, int]]) -> Batch:
    (posted, posted_fen), (refused, refused_fen) = (
        sums.get(state, (0, 0)) for state in ("posted", "refused")
    )
    return Batch(
        batch_id=row["batch_id"],
        employer=row["employer"],
        state=BatchState(row["state"]),
        lines=row["lines"],
        total_fen=row["total_fen"],
        waiting=sums.get("waiting", (0, 0))[0],
        posted=posted,
        posted_fen=posted_fen,
        refused=refused,
        refused_fen=refused_fen,
        uploaded_by=row["uploaded_by"],
        decided_by=row["decided_by"],
        created_at=row["created_at"],
        decided_at=row["decided_at"],
        done_at=row["done_at"],
    )
