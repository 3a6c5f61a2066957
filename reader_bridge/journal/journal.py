"""The journal itself: what may be written when. Knows no network, no card and no clock."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from reader_bridge.journal import rows
from reader_bridge.journal.database import Database
from reader_bridge.journal.forget import forget_settled
from reader_bridge.journal.fresh import BodyOf, Fresh, require_body
from reader_bridge.journal.model import (
    ANSWERED,
    Atc,
    Backlog,
    Conclusion,
    Draft,
    Entry,
    EntryKind,
    EntryState,
    SetAside,
    TransitionRefused,
    Usage,
    Verdict,
    require_flow,
)

PENDING_MAX: Final = 100  # one round of recovery; the next round takes the next ones
SWEEP_SPARE_SECONDS: Final = 30 * 86_400  # a token's counter outlives the token by this much
SWEEP_MAX: Final = 1000  # cards forgotten in one transaction


class Journal:
    """One SQLite file (WAL, synchronous=FULL); several processes may share it.

    Every method that writes has written to the disk when it returns. Times are unix seconds of
    the wall clock; order comes from counters and links, never from times. Raises
    TerminalFault(state_damaged) when the file is no journal, and TerminalFault(state_unusable)
    from any method when the disk or the lock fails: then nothing is written.
    """

    def __init__(
        self, path: Path, random_bytes: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._database = Database(path, random_bytes(8).hex())

    @property
    def database(self) -> Database:
        """The file, for tables of others beside the journal's own."""
        return self._database

    def close(self) -> None:
        self._database.close()

    def store(
        self,
        draft: Draft,
        body_of: BodyOf,
        at: int,
        *,
        card_key: str | None = None,
        atc: Atc | None = None,
    ) -> tuple[Entry, bool]:
        """The entry, on the disk, to be sent now; and whether it is new.

        A reference that is known gives the first entry back, whatever the draft says; `body_of`
        makes the request from the counter that this entry gets and is called for a new one only.
        With `card_key` the entry can be accepted offline later; `atc` is remembered, not judged.
        """

        fresh = Fresh(draft, EntryState.STORED, card_key, body_of, at, atc)
        return self._database.write(fresh.write)

    def intend(
        self, draft: Draft, card_key: str, body_of: BodyOf, at: int, *, atc: Atc | None = None
    ) -> tuple[Entry, bool]:
        """On the disk before a command leaves that may take money off the card; and if it is new.

        Not new means: the command must not leave; the entry says how this reference stands.
        Raises TerminalFault(sale_unfinished) while another sale of this card is torn,
        TerminalFault(journal_full), CardFault(tap_seen).
        """
        rows.require_card_key(card_key)
        fresh = Fresh(draft, EntryState.INTENDED, card_key, body_of, at, atc)
        return self._database.write_offline(fresh.write)

    def accept_new(
        self, draft: Draft, card_key: str, body_of: BodyOf, at: int, *, atc: Atc | None = None
    ) -> tuple[Entry, bool]:
        """A sale taken offline, on the disk in one sync; and whether it is new. Then: green.

        Raises TerminalFault(journal_full), CardFault(tap_seen): nothing is written, no green.
        """
        rows.require_card_key(card_key)
        fresh = Fresh(draft, EntryState.ACCEPTED, card_key, body_of, at, atc)
        return self._database.write_offline(fresh.write)

    def accept(self, entry_id: str, body: bytes, at: int) -> Entry:
        """An intended (or unanswered) sale was taken after all; `body` is what to upload.

        Twice with the same body is once. Written also on a full disk, from the reserve. Raises
        KeyError, TransitionRefused, ValueError for a sale stored without its card.
        """
        require_body(body)

        def act(database: sqlite3.Connection) -> Entry:
            entry = rows.get_by_id(database, entry_id)
            if entry.link is not None and entry.body == body:
                return entry
            require_flow(entry_id, entry.state, EntryState.ACCEPTED)
            rows.require_card_key(entry.card_key)
            link, chain = rows.take_link(database, body)
            (last_at,) = database.execute("SELECT last_at FROM book").fetchone()
            database.execute("UPDATE book SET last_at = ?", (at,))
            database.execute(
                "UPDATE entry SET state = 'accepted', body = ?, accepted_at = ?, link = ?,"
                " chain = ?, clock_suspect = max(clock_suspect, ?) WHERE entry_id = ?",
                (body, at, link, chain, at < last_at, entry_id),
            )
            return rows.get_by_id(database, entry_id)

        return self._database.write_result(act)

    def drop(self, entry_id: str, at: int) -> Entry:
        """Proved not taken. Twice is once. Raises KeyError, TransitionRefused."""

        def act(database: sqlite3.Connection) -> Entry:
            entry = rows.get_by_id(database, entry_id)
            if entry.state is EntryState.DROPPED:
                return entry
            require_flow(entry_id, entry.state, EntryState.DROPPED)
            database.execute(
                "UPDATE entry SET state = 'dropped', answered_at = ? WHERE entry_id = ?",
                (at, entry_id),
            )
            return rows.get_by_id(database, entry_id)

        return self._database.write_result(act)

    def settle(
        self,
        entry_id: str,
        state: EntryState,
        answer: Mapping[str, Any],
        at: int,
        steps: tuple[tuple[str, float], ...] = (),
    ) -> Entry:
        """Write an outcome down. The same outcome twice is once; steps of the first stay.

        Raises TransitionRefused for a change that FLOW does not know, KeyError.
        """

        def act(database: sqlite3.Connection) -> Entry:
            entry = rows.get_by_id(database, entry_id)
            if entry.state is state:
                return entry
            if state not in ANSWERED:
                raise TransitionRefused(f"{entry_id}: {state.value} is no outcome")
            require_flow(entry_id, entry.state, state)
            timed = replace(entry, steps=steps or entry.steps)
            rows.write_answer(database, timed, state, answer, at)
            return rows.get_by_id(database, entry_id)

        return self._database.write_result(act)

    def conclude(self, verdicts: Sequence[Verdict], at: int) -> Conclusion:
        """The backend's words about uploaded sales, in one sync. The first word about a sale stays.

        A verdict about a sale that is not here, or was never accepted, changes nothing.
        """

        def act(database: sqlite3.Connection) -> Conclusion:
            counts = {EntryState.CAPTURED: 0, EntryState.REFUSED: 0}
            contradicted = []
            for verdict in verdicts:
                entry = rows.find_by_id(database, verdict.payment_id)
                if entry is None or entry.link is None:
                    continue
                if entry.state is EntryState.ACCEPTED:
                    rows.write_answer(database, entry, verdict.state, verdict.answer, at)
                    counts[verdict.state] += 1
                elif entry.state is not verdict.state:
                    contradicted.append(verdict.payment_id)
            captured, refused = counts.values()
            return Conclusion(captured, refused, tuple(contradicted))

        return self._database.write_result(act)

    def set_aside(self, entry_id: str, reason: SetAside) -> None:
        """An accepted sale that the backend cannot read: kept, and no longer offered for upload."""
        text = json.dumps({"code": reason.code, "detail": reason.detail}, ensure_ascii=False)
        self._database.write_result(
            lambda database: database.execute(
                "UPDATE entry SET aside = ? WHERE entry_id = ? AND state = 'accepted'",
                (text, entry_id),
            )
        )

    def bring_back(self) -> int:
        """Offer all that was set aside once more; how many that are."""
        return self._database.write_result(
            lambda database: (
                database.execute("UPDATE entry SET aside = NULL WHERE aside IS NOT NULL").rowcount
            )
        )

    def find(self, kind: EntryKind, reference: str) -> Entry | None:
        """The entry that holds this reference; one that was dropped holds it no longer."""
        found = self._database.read(
            "SELECT * FROM entry WHERE kind = ? AND reference = ? AND state <> 'dropped'",
            (kind.value, reference),
        )
        return rows.entry_of(found[0]) if found else None

    def last_result(self, register_reference: str) -> Entry | None:
        """The sale that this number of the cash register made, or None."""
        return self.find(EntryKind.SALE, register_reference)

    def pending(self) -> tuple[Entry, ...]:
        """Entries sent with an outcome not known here, oldest first, at most PENDING_MAX."""
        return self._entries("state = 'stored' ORDER BY terminal_counter LIMIT ?", PENDING_MAX)

    def find_open(self, card_key: str) -> Entry | None:
        """The torn sale of this card: intended, and neither proved taken nor proved not taken."""
        found = self._entries("state = 'intended' AND card_key = ? LIMIT 1", card_key)
        return found[0] if found else None

    def torn(self) -> tuple[Entry, ...]:
        """Intended sales whose card did not come back, oldest first, at most PENDING_MAX."""
        return self._entries("state = 'intended' ORDER BY terminal_counter LIMIT ?", PENDING_MAX)

    def to_upload(self, limit: int, after_link: int = 0) -> tuple[Entry, ...]:
        """Accepted sales without the backend's word, in order of acceptance."""
        where = "state = 'accepted' AND aside IS NULL AND link > ? ORDER BY link LIMIT ?"
        return self._entries(where, after_link, limit)

    def links(self, limit: int, after_link: int = 0) -> tuple[Entry, ...]:
        """Everything accepted offline that is still kept, in order. Link 1 follows GENESIS, each
        other one its predecessor's chain; of what was forgotten the backend has the chain."""
        return self._entries("link > ? ORDER BY link LIMIT ?", after_link, limit)

    def aside(self) -> tuple[Entry, ...]:
        """Sales that the backend could not read, oldest first, at most PENDING_MAX."""
        return self._entries("aside IS NOT NULL ORDER BY link LIMIT ?", PENDING_MAX)

    def usage(self, card_key: str, now: int) -> Usage:
        """For the offline decision; a few look-ups, whatever the number of entries."""
        ((card_fen, card_count, last_atc),) = self._database.read(
            "SELECT coalesce(sum(amount_fen), 0), count(*),"
            " (SELECT last_atc FROM card WHERE card_key = ?1) FROM entry"
            " WHERE card_key = ?1 AND state = 'accepted' AND aside IS NULL",
            (card_key,),
        )
        return Usage(*self._open_sums(now), card_fen, card_count, last_atc)

    def find_last_sale_at(self, card_key: str, entries_max: int) -> int | None:
        """When this card last paid here (unix seconds), among the newest entries; None where it
        is not there. Refused, reversed and dropped sales took nothing, torn ones nobody knows."""
        ((last_at,),) = self._database.read(
            "SELECT max(stored_at) FROM entry WHERE terminal_counter >"
            " (SELECT last_counter FROM book) - ? AND card_key = ? AND kind = 'sale'"
            " AND state IN ('stored', 'accepted', 'captured')",
            (entries_max, card_key),
        )
        return None if last_at is None else int(last_at)

    def backlog(self, now: int) -> Backlog:
        """For a page or a log line, not for a tap."""
        ((torn, aside),) = self._database.read(
            "SELECT (SELECT count(*) FROM entry WHERE state = 'intended'),"
            " (SELECT count(*) FROM entry WHERE aside IS NOT NULL)"
        )
        return Backlog(*self._open_sums(now), torn, aside)

    def _open_sums(self, now: int) -> tuple[int, int, int | None]:
        """Fen, number and oldest moment of what waits for upload."""
        ((sum_fen, count, first_at),) = self._database.read(
            "SELECT open_sum_fen, open_count, (SELECT accepted_at FROM entry"
            " WHERE state = 'accepted' AND aside IS NULL ORDER BY link LIMIT 1) FROM book"
        )
        return sum_fen, count, None if first_at is None else min(first_at, now)

    def incarnation(self) -> str:
        """16 hex digits, made anew at each opening of the file: of the latest, by any process."""
        return str(
            self._database.read("SELECT incarnation FROM opening ORDER BY number DESC LIMIT 1")[0][
                0
            ]
        )

    def can_take_offline(self) -> bool:
        """Whether room for results is held, so that one more offline sale can be finished."""
        return self._database.reserve.hold()

    def tidy(self, confirmed_now: int) -> int:
        """Forget counters of tokens long expired (how many), and shorten the log.

        `confirmed_now` must be a time that somebody else vouched for: a clock that is years ahead
        would forget counters that are needed.
        """
        before = confirmed_now - SWEEP_SPARE_SECONDS
        swept = self._database.write(
            lambda database: (
                database.execute(
                    "DELETE FROM card WHERE card_key IN"
                    " (SELECT card_key FROM card WHERE expires_at < ? LIMIT ?)",
                    (before, SWEEP_MAX),
                ).rowcount
            )
        )
        self._database.checkpoint()
        return swept

    def forget(self, confirmed_now: int) -> int:
        """Delete entries settled long ago, at most a few at a time; how many.

        Never one that is not settled, and none while a register may still name it. Call it now
        and then, with a time that somebody else vouched for.
        """
        return self._database.write(lambda database: forget_settled(database, confirmed_now))

    def _entries(self, where: str, *values: object) -> tuple[Entry, ...]:
        found = self._database.read(f"SELECT * FROM entry WHERE {where}", values)  # noqa: S608
        return tuple(rows.entry_of(row) for row in found)
