"""Keeps the deny list in step with its sources, and tells terminals what changed, signed."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, delete, select, update

from backend.db import Event, Operation, Units, Which, Work
from backend.keys import KeyRef, Keys, key_thumbprint
from backend.transit import tables
from backend.transit.model import (
    DENY_PART_CHANGES_MAX,
    KEEP_RELEASED,
    SWEEP_MAX,
    DenyHead,
    DenySource,
    Standing,
    Swept,
    is_wanted,
)
from card_protocol.deny_list import Changes, DenyKind, DenyPart, number_value

HEAD_NAME = "city"


@dataclass(frozen=True, slots=True)
class SignedPart:
    """What changed after `since`; `upto` is where to go on, up to `head`."""

    part: bytes
    since: int
    upto: int
    head: int
    tag: str


@dataclass(frozen=True, slots=True)
class SweepDenyList:
    """Compare the list with a page of one source, and forget what was released long ago."""

    kind: DenyKind
    after: str
    limit: int


@dataclass(frozen=True, slots=True)
class DenyLists:
    """`sources`: each kind of number and who knows it."""

    units: Units
    keys: Keys = field(repr=False)
    sources: Mapping[DenyKind, DenySource]
    part_changes_max: int = DENY_PART_CHANGES_MAX

    def hear_token(self, event: Event) -> None:
        """Consumer of the topic that a token changed; the event's content does not matter, only
        what the token is now: hearing twice, or late, does no harm."""
        self._follow(DenyKind.TOKEN, event.payload["token_id"])

    def hear_purse(self, event: Event) -> None:
        """Consumer of the topic that a purse changed; as with tokens, twice or late is no harm."""
        self._follow(DenyKind.PURSE, event.payload["purse_number"])

    def version(self) -> int:
        heads = tables.deny_head
        found = self.units.ask(Which.BUSINESS, select(heads.c.version))
        return int(found[0].version) if found else 0

    def part(self, since: int, begun: int = 0) -> SignedPart:
        """What a terminal at version `since` has to learn; bounded, so ask again until the head.

        Begins at 0 for who is before what is still known, or ahead of it: after a backup was
        brought back the terminals hear the whole list.
        """
        with self.units.read(Which.BUSINESS) as work:
            head = _head_of(work.one(select(tables.deny_head)))
            start = head.starts(since, begun)
            rows = _changes_after(work, start, self.part_changes_max)
            now = int(work.now.timestamp())
        upto = rows[-1].version if len(rows) == self.part_changes_max else head.version
        version = self.keys.active_version(KeyRef.TERMINAL_PROFILE)
        key_name = key_thumbprint(self.keys.public_key(KeyRef.TERMINAL_PROFILE, version))
        part = DenyPart(
            key_name=base64.urlsafe_b64decode(key_name + "="),
            since=start,
            upto=upto,
            head=head.version,
            issued_at=now,
            tokens_total=head.tokens_total,
            purses_total=head.purses_total,
            tokens=_changes_of(rows, DenyKind.TOKEN),
            purses=_changes_of(rows, DenyKind.PURSE),
        ).signed_by(lambda body: self.keys.sign(KeyRef.TERMINAL_PROFILE, body, version))
        named = f"{start}/{upto}/{head.version}/{key_name}"
        tag = hashlib.sha256(named.encode()).hexdigest()[:32]
        return SignedPart(part.encode(), start, upto, head.version, tag)

    def sweep(self, command: SweepDenyList, operation: Operation) -> Swept:
        """One page of the upkeep: what events should have done already, and what has ended."""
        return self.units.once(Which.BUSINESS, operation, lambda work: self._sweep(work, command))

    def upkeep(self, command: SweepDenyList) -> Swept:
        """The same for the worker, which repeats it anyway: no answer is kept."""
        with self.units.write(Which.BUSINESS) as work:
            return self._sweep(work, command)

    def _follow(self, kind: DenyKind, source_id: str) -> None:
        with self.units.write(Which.BUSINESS) as work:
            head = _locked_head(work)
            # Read only now: whatever changes it afterwards is told afterwards, and waits for us.
            standing = self.sources[kind].find(work, source_id)
            if standing is None:
                return
            is_known = standing.number in _denied_of(work, kind, (standing,))
            _write_head(work, head, _settle(work, head, kind, standing, is_known=is_known))

    def _sweep(self, work: Work, command: SweepDenyList) -> Swept:
        limit = min(command.limit, SWEEP_MAX)
        before = head = _locked_head(work)
        source = self.sources.get(command.kind)
        page = source.page(work, command.after, limit) if source else ()
        known = _denied_of(work, command.kind, page)
        for standing in page:
            is_known = standing.number in known
            head = _settle(work, head, command.kind, standing, is_known=is_known)
        forgotten, floor = _forget(work, limit, head.floor)
        changed = head.version - before.version
        head = DenyHead(head.version, floor, head.tokens_total, head.purses_total)
        _write_head(work, before, head)
        is_end = len(page) < limit
        return Swept(changed, forgotten, None if is_end else page[-1].source_id)


def _denied_of(work: Work, kind: DenyKind, page: Sequence[Standing]) -> frozenset[str]:
    """Which of these numbers the list names now: one question for the whole page."""
    rows = tables.deny_entry
    numbers = [one.number for one in page]
    query = select(rows.c.number).where(rows.c.number.in_(numbers), rows.c.kind == int(kind))
    return frozenset(work.execute(query.where(rows.c.is_denied)).scalars())


def _settle(
    work: Work, head: DenyHead, kind: DenyKind, standing: Standing, *, is_known: bool
) -> DenyHead:
    """The head after the list says of this number what its source says; `is_known`: it is on it."""
    rows = tables.deny_entry
    wanted = is_wanted(standing, work.now)
    if wanted == is_known:
        return head
    number_value(kind, standing.number)  # a number that no terminal could read is a bug here
    head = head.changed(kind, 1 if wanted else -1)
    values = {
        "is_denied": wanted,
        "version": head.version,
        "changed_at": work.now,
        "ends_at": standing.ends_at,
    }
    whose = {"number": standing.number, "kind": int(kind)}
    insert = work.upsert_into(rows).values(**whose, **values)
    work.execute(insert.on_conflict_do_update(index_elements=["number", "kind"], set_=values))
    return head


def _forget(work: Work, limit: int, floor: int) -> tuple[int, int]:
    """Delete the oldest releases that every terminal has heard; how many, and the new floor."""
    rows = tables.deny_entry
    old = (
        select(rows.c.version)
        .where(rows.c.is_denied.is_(False), rows.c.changed_at < work.now - KEEP_RELEASED)
        .order_by(rows.c.version)
        .limit(limit)
    )
    versions = list(work.execute(old).scalars())
    if not versions:
        return 0, floor
    work.execute(delete(rows).where(rows.c.version.in_(versions)))
    return len(versions), max(floor, versions[-1])


def _changes_after(work: Work, since: int, limit: int) -> list[Row[Any]]:
    rows = tables.deny_entry
    query = select(rows.c.number, rows.c.kind, rows.c.is_denied, rows.c.version)
    found = work.execute(query.where(rows.c.version > since).order_by(rows.c.version).limit(limit))
    return list(found)


def _changes_of(rows: Iterable[Row[Any]], kind: DenyKind) -> Changes:
    numbers: dict[bool, list[int]] = {True: [], False: []}
    for row in rows:
        if row.kind == int(kind):
            numbers[row.is_denied].append(number_value(kind, row.number))
    return Changes(tuple(sorted(numbers[True])), tuple(sorted(numbers[False])))


def _locked_head(work: Work) -> DenyHead:
    """The head, held until the work ends; made when there is none."""
    heads = tables.deny_head
    first = {"name": HEAD_NAME, "version": 0, "floor": 0, "tokens_total": 0, "purses_total": 0}
    work.insert_new(heads, first)
    return _head_of(work.one(select(heads).with_for_update()))


def _head_of(row: Row[Any] | None) -> DenyHead:
    if row is None:
        return DenyHead()
    return DenyHead(row.version, row.floor, row.tokens_total, row.purses_total)


def _write_head(work: Work, before: DenyHead, head: DenyHead) -> None:
    if head != before:
        values = {name: getattr(head, name) for name in DenyHead.__dataclass_fields__}
        work.execute(
            update(tables.deny_head).where(tables.deny_head.c.name == HEAD_NAME).values(**values)
        )
