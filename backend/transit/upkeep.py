"""Walks through the deny list's sources, a page at a time; knows no schedule and sleeps nowhere."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from backend.transit.model import SWEEP_MAX
from backend.transit.service import DenyLists, SweepDenyList
from card_protocol.deny_list import DenyKind

log = structlog.get_logger(__name__)

KINDS = tuple(DenyKind)


@dataclass(slots=True)
class DenyListUpkeep:
    """The worker's own sweep. Its place is in memory: who starts anew compares again, and nothing
    is lost. Several workers may sweep at once; the list's head keeps them in a row."""

    lists: DenyLists
    page_max: int = SWEEP_MAX
    _kind: DenyKind = field(default=KINDS[0], init=False)
    _after: str = field(default="", init=False)
    _changed: int = field(default=0, init=False)
    _forgotten: int = field(default=0, init=False)

    def turn(self) -> bool:
        """Compare one page. True: that was the last one of the last source, all is compared."""
        swept = self.lists.upkeep(SweepDenyList(self._kind, self._after, self.page_max))
        self._changed += swept.changed
        self._forgotten += swept.forgotten
        self._after = swept.next or ""
        if swept.next is not None:
            return False
        log.info(
            "deny_list_swept",
            kind=self._kind.name.lower(),
            changed=self._changed,  # besides cards that ended: what no event had told
            forgotten=self._forgotten,
        )
        self._changed = self._forgotten = 0
        self._kind = KINDS[(KINDS.index(self._kind) + 1) % len(KINDS)]
        return self._kind is KINDS[0]
