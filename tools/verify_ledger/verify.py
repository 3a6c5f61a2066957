"""Walks an export once, segment by segment: seal first, then the postings under it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.verify_ledger.accounts import Bad, Books, bad_posting
from tools.verify_ledger.forms import (
    ACCOUNTS,
    HEAD,
    LEAF_BYTES,
    POSTINGS,
    SEAL_BYTES_MAX,
    SEGMENTS,
    STRAYS,
    Account,
    Head,
    Malformed,
    Posting,
    Seal,
    lines_of,
    read_account,
    read_head,
    read_posting,
    read_seal,
    read_stray,
    shown,
)
from tools.verify_ledger.seals import FIRST_PREVIOUS_HASH, Keyring, leaf_of


@dataclass(frozen=True, slots=True)
class Report:
    """What was found good."""

    accounts: int
    postings: int
    segments: int
    unsealed: int
    newest_hash: bytes | None
    keys: str  # who vouches for the keys: "export" (itself), "head" (kept), "given"

    def __str__(self) -> str:
        """One line for people and programs."""
        newest = self.newest_hash.hex() if self.newest_hash else "none"
        return (
            f"ledger=ok postings={self.postings} segments={self.segments}"
            f" unsealed={self.unsealed} accounts={self.accounts} keys={self.keys} newest={newest}"
        )


def verify(
    folder: Path, kept: Head | None = None, keys: Sequence[Mapping[str, Any]] = ()
) -> Report:
    """Check an export; `kept` is a head kept from earlier, `keys` the JWKs that may have signed.

    Raises Bad for the first line that breaks a law, Malformed for what is no export.
    """
    head = read_head(folder / HEAD)
    trusted = keys or (kept.keys if kept is not None and kept.keys else head.keys)
    vouched = "given" if keys else ("head" if trusted is not head.keys else "export")
    walk = _Walk(folder, Keyring(trusted), kept, Books(_accounts(folder)))
    newest = walk.seals()
    walk.tail(newest, head.open_segment)
    walk.books.end()
    _check_no_strays(folder)
    report = Report(
        accounts=len(walk.books),
        postings=walk.postings,
        segments=0 if newest is None else newest.number,
        unsealed=walk.unsealed,
        newest_hash=None if newest is None else newest.segment_hash,
        keys=vouched,
    )
    _check_head(head, report, newest)
    _check_kept(kept, report)
    return report


def _accounts(folder: Path) -> Iterator[tuple[int, Account]]:
    for number, line in lines_of(folder / ACCOUNTS):
        yield number, _read(read_account, ACCOUNTS, number, line)


def _read(reader: Any, file: str, number: int, line: bytes) -> Any:
    try:
        return reader(line)
    except Malformed as error:
        raise Malformed(f"{file} line {number}: {error}") from None


@dataclass(slots=True)
class _Walk:
    """Where the walk is: one posting ahead, to see where a segment ends."""

    folder: Path
    keyring: Keyring
    kept: Head | None
    books: Books
    postings: int = 0
    unsealed: int = 0
    _lines: Iterator[tuple[int, bytes]] = field(init=False)
    _next: tuple[int, bytes, Posting] | None = None
    _operations: set[str] = field(default_factory=set)
    _before: Posting | None = None

    def __post_init__(self) -> None:
        self._lines = lines_of(self.folder / POSTINGS)
        self._advance()

    def _advance(self) -> None:
        number, line = next(self._lines, (0, b""))
        self._next = (number, line, _read(read_posting, POSTINGS, number, line)) if number else None

    def _segment(self, segment: int) -> Iterator[tuple[int, bytes, Posting]]:
        """The postings of a segment: a line that is of none expected here is Bad."""
        while self._next is not None and self._next[2].segment <= segment:
            if self._next[2].segment < segment:
                raise self._bad_here("of a segment that is over, or has no seal")
            yield self._next
            self.postings += 1
            self._advance()

    def seals(self) -> Seal | None:
        """Every seal with its postings; the newest. Raises Bad."""
        newest, number = None, 0
        for number, line in lines_of(self.folder / SEGMENTS, SEAL_BYTES_MAX):
            seal: Seal = _read(read_seal, SEGMENTS, number, line)
            previous = FIRST_PREVIOUS_HASH if newest is None else newest.segment_hash
            if fault := self.keyring.find_fault(seal, number, previous):
                raise Bad(SEGMENTS, number, fault, segment=seal.number)
            self._compare_with_kept(number, seal)
            self._sealed(seal)
            newest = seal._replace(leaves=b"")
        kept = self.kept.newest_segment if self.kept else None
        if kept is not None and kept.number > number:
            what = f"the chain is cut: segment {kept.number} of the head that was kept is missing"
            raise Bad(SEGMENTS, number + 1, what, segment=kept.number)
        return newest

    def _compare_with_kept(self, number: int, seal: Seal) -> None:
        kept = self.kept.newest_segment if self.kept else None
        if kept is None or kept.number != seal.number:
            return
        if kept.segment_hash != seal.segment_hash:
            what = "not the segment of the head that was kept: history was written anew"
            raise Bad(SEGMENTS, number, what, segment=seal.number)

    def _sealed(self, seal: Seal) -> None:
        at = 0
        for number, line, posting in self._segment(seal.number):
            leaf = leaf_of(line)
            if seal.leaves[at : at + LEAF_BYTES] != leaf:
                raise bad_posting(number, posting, self._explain(seal, at, leaf))
            self._check(number, posting)
            at += LEAF_BYTES
        if at < len(seal.leaves):
            missing = (len(seal.leaves) - at) // LEAF_BYTES
            what = f"{missing} sealed postings of segment {seal.number} are missing before here"
            raise self._bad_here(what)
        self.books.end_segment()

    def _bad_here(self, what: str) -> Bad:
        if self._next is None:
            return Bad(POSTINGS, self.postings + 1, what)
        return bad_posting(self._next[0], self._next[2], what)

    def _explain(self, seal: Seal, at: int, leaf: bytes) -> str:
        """Why a line is not what was sealed in its place, as far as the other lines tell."""
        sealed = [
            seal.leaves[start : start + LEAF_BYTES]
            for start in range(at, len(seal.leaves), LEAF_BYTES)
        ]
        found: set[bytes] = set()
        with suppress(Malformed, Bad):  # this line is told first, whatever comes after it
            self._advance()
            found.update(leaf_of(line) for _, line, _ in self._segment(seal.number))
        if leaf in sealed:
            return "sealed, but not in this place: a line before it was removed or moved"
        if not sealed or sealed[0] in found:
            return "not sealed: this line was put in"
        return "not what was sealed: this line was changed"

    def tail(self, newest: Seal | None, open_segment: int) -> None:
        """What is not sealed yet: in no order but its own, and counted. Raises Bad."""
        sealed, count = 0 if newest is None else newest.number, self.postings
        while self._next is not None:
            segment = self._next[2].segment
            if segment <= sealed or segment > open_segment:
                raise self._bad_here("of a segment that is over, or not open yet")
            for number, _, posting in self._segment(segment):
                self._check(number, posting)
            self.books.end_segment()
            sealed = segment
        self.unsealed = self.postings - count

    def _check(self, number: int, posting: Posting) -> None:
        """Order, ids and legs; then the accounts."""
        before, self._before = self._before, posting
        if before is not None and before.operation_id == posting.operation_id:
            if posting.segment != before.segment or posting.leg <= before.leg:
                raise bad_posting(number, posting, "the operation has this leg twice")
            if posting.leg != before.leg + 1:
                raise bad_posting(number, posting, f"leg {before.leg + 1} is missing")
        else:
            if posting.operation_id in self._operations:
                raise bad_posting(number, posting, "the operation is there twice")
            if posting.leg != 0:
                raise bad_posting(number, posting, "leg 0 is missing")
            if (
                before is not None
                and before.segment == posting.segment
                and posting.operation_id < before.operation_id
            ):
                raise bad_posting(number, posting, "not in the order of ids")
            self._operations.add(posting.operation_id)
        self.books.enter(number, posting)


def _check_no_strays(folder: Path) -> None:
    for number, line in lines_of(folder / STRAYS):
        stray = _read(read_stray, STRAYS, number, line)
        what = f"line {stray['line']} of {stray['account_id']} fits no posting"
        raise Bad(STRAYS, number, what, operation=stray["operation_id"])


def _check_head(head: Head, report: Report, newest: Seal | None) -> None:
    """The head is what others will keep: it must tell what the files tell."""
    told = {
        "accounts": (head.accounts, report.accounts),
        "postings": (head.postings, report.postings),
        "unsealed_postings": (head.unsealed_postings, report.unsealed),
        "newest_segment": (
            head.newest_segment and (head.newest_segment.number, head.newest_segment.segment_hash),
            newest and (newest.number, newest.segment_hash),
        ),
    }
    for name, (said, found) in told.items():
        if said != found:
            raise Bad(HEAD, 1, f"{name} is not that of the files")
    if head.open_segment <= report.segments:
        raise Bad(HEAD, 1, f"the open segment {shown(head.open_segment)} is sealed already")


def _check_kept(kept: Head | None, report: Report) -> None:
    """What was posted stays posted, sealed or not."""
    if kept is not None and report.postings < kept.postings:
        what = f"{kept.postings} postings when the head was kept, {report.postings} now"
        raise Bad(POSTINGS, report.postings + 1, what)
