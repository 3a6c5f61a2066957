"""Closes segments of the journal and seals them: hashed, chained, signed. Never in the hot path.

What a seal covers: docs/protocol/journal-export.md; why so: docs/adr/0010-sealed-segments.md
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import func, select

from backend.db import Units, Which, Work
from backend.keys import KeyRef, Keys, key_thumbprint
from backend.wallet.ledger.lines import (
    FIRST_PREVIOUS_HASH,
    LEAF_BYTES,
    Line,
    bytes_of,
    hash_segment,
    leaf_of,
    lines_of,
)
from backend.wallet.ledger.model import LedgerBroken
from backend.wallet.ledger.segments import FIRST_SEGMENT, open_number, turn_segment
from backend.wallet.ledger.tables import segment

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Seal:
    """A segment that can no longer change unseen."""

    number: int
    postings: int
    segment_hash: bytes
    sealed_at: datetime


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals what was posted so far. Any number of processes may call it at any time."""

    units: Units
    keys: Keys

    def seal(self) -> Seal | None:
        """Close the open segment and seal every closed one, in order; the last sealed here.

        None: there was nothing new, or somebody else sealed it. What a crash left closed and
        unsealed is sealed first. Raises LedgerBroken for a posting whose entries do not fit it
        (nothing is sealed over it), DatabaseUnavailable when writers keep the segment too long.
        """
        with self.units.write(Which.LEDGER) as work:
            turn_segment(work)
        last = None
        for number in self._closed():
            last = self._seal_one(number) or last
        return last

    def _closed(self) -> Iterator[int]:
        """The numbers closed and not yet sealed, as they stand now."""
        with self.units.read(Which.LEDGER) as work:
            newest = work.execute(select(func.max(segment.c.number))).scalar_one()
            first = FIRST_SEGMENT if newest is None else newest + 1
            return iter(range(first, open_number(work)))

    def _seal_one(self, number: int) -> Seal | None:
        """Read in one work, sign in none, write in another: a seal is long, a write is short."""
        with self.units.read(Which.LEDGER) as work:
            previous_hash = _previous_hash(work, number)
            leaves = _leaves(work, number)
        made = hash_segment(number, previous_hash, leaves)
        version = self.keys.active_version(KeyRef.LEDGER_SEAL)
        signature = self.keys.sign(KeyRef.LEDGER_SEAL, made, version)
        key_id = key_thumbprint(self.keys.public_key(KeyRef.LEDGER_SEAL, version))
        row: dict[str, Any] = {
            "number": number,
            "postings": len(leaves) // LEAF_BYTES,
            "leaves": leaves,
            "previous_hash": previous_hash,
            "segment_hash": made,
            "key_id": key_id,
            "signature": signature,
        }
        with self.units.write(Which.LEDGER) as work:
            if not work.insert_new(segment, {**row, "sealed_at": work.now}):
                _compare_with_theirs(work, number, made)
                return None
            seal = Seal(number, row["postings"], made, work.now)
        log.info("segment_sealed", number=number, postings=seal.postings)
        return seal


def _previous_hash(work: Work, number: int) -> bytes:
    if number == FIRST_SEGMENT:
        return FIRST_PREVIOUS_HASH
    before = select(segment.c.segment_hash).where(segment.c.number == number - 1)
    return bytes(work.execute(before).scalar_one())


def _leaves(work: Work, number: int) -> bytes:
    """16 bytes a posting: the only thing of a segment that is in memory as a whole."""
    leaves = bytearray()
    before: tuple[str, int] | None = None
    with closing(lines_of(work, number)) as lines:
        for line in lines:
            if line.key == before or not _is_whole(line):
                raise LedgerBroken(f"entries of {line.key[0]} leg {line.key[1]} do not fit it")
            before = line.key
            leaves += leaf_of(bytes_of(line))
    if not leaves:
        raise LedgerBroken(f"segment {number} was closed with postings and has none")
    return bytes(leaves)


def _is_whole(line: Line) -> bool:
    if line.debit is None or line.credit is None:
        return False
    return bool(line.debit.amount_fen == line.credit.amount_fen == line.posting.amount_fen)


def _compare_with_theirs(work: Work, number: int, made: bytes) -> None:
    """Somebody else sealed it meanwhile; two seals of one segment must say the same."""
    theirs = select(segment.c.segment_hash).where(segment.c.number == number)
    if bytes(work.execute(theirs).scalar_one()) != made:
        raise LedgerBroken(f"segment {number} was sealed otherwise a moment ago")
