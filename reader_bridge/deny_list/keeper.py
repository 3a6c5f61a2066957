"""Brings the deny list up to date: parts from the backend, each checked, until its head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from card_protocol.deny_list import (
    COUNT_CODE,
    GAP_CODE,
    DenyList,
    DenyPart,
    require_counts,
)
from card_protocol.errors import CodeRefused, MalformedBytes
from card_protocol.signed_document import decode_b64u
from reader_bridge.deny_list.store import DenyListStore
from reader_bridge.faults import TerminalFault

PATH: Final = "/v1/terminal/deny-list"
PARTS_MAX: Final = 1000  # of one refresh: a whole list of ENTRIES_MAX has 200
_NOT_OURS: Final = frozenset({GAP_CODE, COUNT_CODE})
NO_PROGRESS: Final = "deny_part_no_progress"

Ask = Callable[[str, Mapping[str, str]], Mapping[str, Any]]
"""GET a path with a query: `BackendClient.get`. Raises Refused, Unreachable."""


class DenyListKeeper:
    """One terminal's list; `keys` gives who may sign now, as `profile.deny_list_keys` has them.

    The list in use stays until a whole newer one is on the disk. Not for several threads at once.
    """

    def __init__(
        self, store: DenyListStore, ask: Ask, keys: Callable[[], dict[bytes, bytes]]
    ) -> None:
        self._store, self._ask, self._keys = store, ask, keys
        self._list: DenyList | None = None

    def find_kept(self) -> DenyList | None:
        """The list on the disk, or None before the first.

        Raises TerminalFault(deny_list_damaged): until `refresh` there is none.
        """
        if self._list is None:
            self._list = self._store.load(self._keys())
        return self._list

    def refresh(self) -> DenyList:
        """Fetch what changed; the whole list when there is none, it is damaged, or it is not the
        issuer's. Raises Refused, Unreachable, TerminalFault; the list in use stays then."""
        try:
            kept = self.find_kept() or DenyList()
        except TerminalFault as fault:
            if fault.code != "deny_list_damaged":
                raise
            kept = DenyList()
        try:
            return self._fetched(kept)
        except CodeRefused as refusal:
            if refusal.code not in _NOT_OURS or kept.version == 0:
                raise TerminalFault("deny_list_refused", reason=refusal.code) from None
        try:
            return self._fetched(DenyList(0, kept.as_of))
        except CodeRefused as refusal:
            raise TerminalFault("deny_list_refused", reason=refusal.code) from None

    def _fetched(self, kept: DenyList) -> DenyList:
        """Raises CodeRefused as `DenyList.require_follows` and `DenyPart.require_signed` do."""
        begun, building, is_changed = 0, kept, False
        for _ in range(PARTS_MAX):
            part = self._part(building.version, begun)
            building.require_follows(part)
            if part.since == 0:
                begun = part.head
            is_first = part.since == 0 and (building.version > 0 or self._list is None)
            if len(part.tokens) + len(part.purses) or part.upto != building.version or is_first:
                if not part.is_last and part.upto == part.since:
                    raise CodeRefused(NO_PROGRESS, "a part that leads nowhere")
                building, is_changed = self._store.write(building, part), True
            if part.is_last:
                return self._done(building, part, is_changed=is_changed)
        raise CodeRefused(NO_PROGRESS, "too many parts")

    def _done(self, building: DenyList, part: DenyPart, *, is_changed: bool) -> DenyList:
        if is_changed:
            self._store.take_over()
        else:  # as it was: its age is new, and the disk is spared
            require_counts(part, len(building.tokens), len(building.purses))
            self._store.seal(part)
        whole = DenyList(part.upto, part.issued_at, building.tokens, building.purses)
        self._list = whole
        return whole

    def _part(self, since: int, begun: int) -> DenyPart:
        answer = self._ask(PATH, {"since": str(since), "begun": str(begun)})
        try:
            part = DenyPart.decode(decode_b64u(str(answer.get("part"))))
        except MalformedBytes as error:
            raise TerminalFault("deny_list_refused", reason=error.code) from None
        part.require_signed(self._keys())
        return part
