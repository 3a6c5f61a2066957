"""Remembers genuine taps and stops a token whose taps contradict each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import select

from backend.db import Decide, Rows, Units, Which, Work
from backend.virtual_card import tables
from backend.virtual_card.errors import TokenCloned
from backend.virtual_card.life.notices import tell_holder
from backend.virtual_card.model import SYSTEM, Cause, VerifiedProof
from backend.virtual_card.rows import change_token, hold_holder, locked_token
from backend.virtual_card.states import RELEASED_BY, Reason, Release, TokenEvent, TokenState
from backend.virtual_card.watch.model import (
    LOG_MAX,
    Sign,
    TapMark,
    Watched,
    find_sign,
    find_tap_time,
)


@dataclass(frozen=True, slots=True)
class TapWatch:
    """Taps that arrive together are noted together (group commit): two statements, one commit."""

    units: Units

    def note(self, proof: VerifiedProof, cryptogram: bytes, now: datetime) -> None:
        """A genuine tap arrived; the same one may come as often as it likes.

        Raises TokenCloned when it contradicts what arrived before: the token is suspended by then,
        and its holder is going to hear of it.
        """
        assert proof.transaction is not None  # a tap has one
        tapped_at = find_tap_time(proof.transaction)
        mark = TapMark(proof.counter, proof.key_index, cryptogram, tapped_at, now)
        if self._note(proof.token_id, mark) is not None:
            self.suspend(proof.person_id, proof.token_id)
            raise TokenCloned

    def arrived(self, work: Work, token_id: str, last_atc: int) -> list[TapMark]:
        """What came in of a token above a counter, at most LOG_MAX, lowest first."""
        columns = tables.tap.c
        query = (
            select(tables.tap)
            .where(columns.token_id == token_id, columns.atc > last_atc)
            .order_by(columns.atc)
            .limit(LOG_MAX)
        )
        return [
            TapMark(row.atc, row.key_index, row.cryptogram, row.tapped_at, row.seen_at)
            for row in work.execute(query).all()
        ]

    def note_all(self, marks: Sequence[tuple[str, TapMark]]) -> list[Sign | None]:
        """Genuine taps of an upload, by token, in one transaction; the sign each gives, if any.

        Whoever calls suspends. Raises DatabaseUnavailable.
        """
        told = self.units.decide_all(
            Which.BUSINESS, [_noting(token_id, mark) for token_id, mark in marks]
        )
        for one in told:
            if isinstance(one, Exception):
                raise one
        return cast("list[Sign | None]", told)

    def _note(self, token_id: str, mark: TapMark) -> Sign | None:
        return self.units.decide(Which.BUSINESS, _noting(token_id, mark))

    def suspend(self, person_id: str, token_id: str) -> None:
        """Stop a token two devices count with, and tell its holder; once. Raises TokenUnknown."""
        with self.units.write(Which.BUSINESS) as work:
            hold_holder(work, person_id)
            row = locked_token(work, person_id, token_id)
            if row.state == TokenState.DELETED.value or _is_stopped_for_good(row):
                return
            reason = Reason.COUNTERS_CONFLICT
            state = change_token(work, row, TokenEvent.SUSPEND, Cause(reason, SYSTEM))
            tell_holder(work, person_id, token_id, reason, state.value)


def _noting(token_id: str, mark: TapMark) -> Decide[Sign | None]:
    """The sign it gives; a tap that gives one is not noted: the first word stands."""

    def needs(rows: Rows) -> bool:
        rows.want(tables.watch, token_id)
        rows.want(tables.tap, token_id, mark.slot)
        return False

    def decide(rows: Rows) -> Sign | None:
        watched = _watched(rows.find(tables.watch, token_id))
        kept = _mark(rows.find(tables.tap, token_id, mark.slot))
        earlier = kept if kept is not None and kept.atc == mark.atc else None
        sign = find_sign(mark, earlier, watched)
        if sign is None and earlier is None:
            _write_watch(rows, token_id, mark, watched)
            _write_tap(rows, token_id, mark, kept)
        return sign

    return Decide(needs, decide)


def _is_stopped_for_good(row: Any) -> bool:
    held = row.suspended_for
    return held is not None and RELEASED_BY[Reason(held)] is Release.NOBODY


def _watched(row: Mapping[str, Any] | None) -> Watched:
    if row is None:
        return Watched()
    return Watched(row["atc_highest"], row["live_atc"], row["live_at"])


def _mark(row: Mapping[str, Any] | None) -> TapMark | None:
    if row is None:
        return None
    names = ("atc", "key_index", "cryptogram", "tapped_at", "seen_at")
    return TapMark(*(row[name] for name in names))


def _write_watch(rows: Rows, token_id: str, mark: TapMark, watched: Watched) -> None:
    after = watched.with_tap(mark)
    values = {
        "atc_highest": after.atc_highest,
        "live_atc": after.live_atc,
        "live_at": after.live_at,
    }
    if watched.atc_highest == 0:
        rows.add(tables.watch, {"token_id": token_id, **values})
    elif after != watched:
        rows.change(tables.watch, (token_id,), **values)


def _write_tap(rows: Rows, token_id: str, mark: TapMark, kept: TapMark | None) -> None:
    """Into its slot, over what is too old to matter; never over what is newer."""
    if kept is not None and kept.atc > mark.atc:
        return
    values = {
        "atc": mark.atc,
        "key_index": mark.key_index,
        "cryptogram": mark.cryptogram,
        "tapped_at": mark.tapped_at,
        "seen_at": mark.seen_at,
    }
    if kept is None:
        rows.add(tables.tap, {"token_id": token_id, "slot": mark.slot, **values})
    else:
        rows.change(tables.tap, (token_id, mark.slot), **values)
