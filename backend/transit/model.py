"""The deny list as facts: whose numbers it holds and how versions rise; knows no rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from card_protocol.deny_list import DenyKind

DENY_PART_CHANGES_MAX = 20_000  # of one answer: 160 kB
SWEEP_MAX = 1_000  # rows looked at by one sweep
KEEP_RELEASED = timedelta(days=35)  # longer than any terminal may be away and go on from its list
GRACE = timedelta(days=1)  # a number stays this much longer than its certificate


class Standing(Protocol):
    """One number of a source, as it is now."""

    @property
    def source_id(self) -> str: ...  # in its own domain
    @property
    def number(self) -> str: ...
    @property
    def is_denied(self) -> bool: ...
    @property
    def ends_at(self) -> datetime | None: ...


class DenySource(Protocol):
    """A domain whose numbers may be denied; read inside the list's own transaction."""

    def find(self, work: Any, source_id: str) -> Standing | None:
        """The number behind the source's own id."""

    def page(self, work: Any, after: str, limit: int) -> Sequence[Standing]:
        """All numbers in the stable order of the source's ids, from the one after `after`."""


@dataclass(frozen=True, slots=True)
class DenyHead:
    """`version` rises with every change. Before `floor` what was released is forgotten."""

    version: int = 0
    floor: int = 0
    tokens_total: int = 0
    purses_total: int = 0

    def starts(self, since: int, begun: int) -> int:
        """Where an answer for a terminal at version `since` begins: 0 is the whole list.

        `begun`: the head when the terminal began its list anew, while it is still fetching it. What
        was released since then is not forgotten yet, so it may go on.
        """
        return since if self.floor <= max(since, begun) and since <= self.version else 0

    def changed(self, kind: DenyKind, by: int) -> DenyHead:
        """One version later, with one number more (1) or less (-1), or as many (0)."""
        tokens, purses = (by, 0) if kind is DenyKind.TOKEN else (0, by)
        return DenyHead(
            self.version + 1,
            self.floor,
            self.tokens_total + tokens,
            self.purses_total + purses,
        )


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did; `next` None: the source's end."""

    changed: int
    forgotten: int
    next: str | None


def is_wanted(standing: Standing, now: datetime) -> bool:
    """Whether the list names this number: denied, and its certificate may still be shown."""
    has_ended = standing.ends_at is not None and standing.ends_at + GRACE < now
    return standing.is_denied and not has_ended
