"""What this terminal knows without asking: signed profile and deny list, kept fresh.

A tap reads one frozen pair; a refresh puts another in its place when all of it was checked.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from card_protocol.deny_list import DenyList
from card_protocol.terminal_profile import Mode
from reader_bridge.deny_list import DenyListKeeper, DenyListStore
from reader_bridge.faults import TerminalFault
from reader_bridge.profile import ProfileKeeper, SignedProfile, deny_list_keys

_DAMAGED: Final = frozenset({"state_damaged", "deny_list_damaged"})
_log = logging.getLogger(__name__)


class Asker(Protocol):
    """The part of the backend client that a refresh needs. Raises Refused, Unreachable."""

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Known:
    """What one tap is decided with."""

    profile: SignedProfile | None = None
    deny_list: DenyList | None = None

    @property
    def mode(self) -> Mode:
        return Mode.SHOP if self.profile is None else self.profile.terms.mode

    @property
    def sells_offline(self) -> bool:
        """Whether this terminal may ever take a card without the backend."""
        return self.profile is not None and self.profile.terms.offline.sale_max_fen > 0


class Knowledge:
    """One terminal's; `now` may be read by any thread, `refresh` waits for another refresh."""

    def __init__(self, folder: Path, terminal_id: str) -> None:
        """Reads what is kept; what is damaged counts as missing until `refresh`.

        Raises TerminalFault(state_unusable).
        """
        self._lock = threading.Lock()
        self._asker: Asker | None = None
        self._profiles = ProfileKeeper(folder, terminal_id, self._get)
        self._deny_lists = DenyListKeeper(DenyListStore(folder), self._ask, self._keys)
        self._known = Known()
        self.damage: str | None = None  # code of what could not be read
        try:
            self._known = Known(self._profiles.find_kept())
            self._known = replace(self._known, deny_list=self._deny_lists.find_kept())
        except TerminalFault as fault:
            if fault.code not in _DAMAGED:
                raise
            self.damage = fault.code
            _log.warning("kept profile or deny list cannot be read: %s", fault.code)

    @property
    def now(self) -> Known:
        return self._known

    def refresh(self, asker: Asker) -> Known:
        """Profile first, for it says who may sign the deny list; each is used once it is checked.

        Raises Refused, Unreachable, TerminalFault; what was known stays then.
        """
        with self._lock:
            self._asker = asker
            try:
                self._known = replace(self._known, profile=self._profiles.refresh())
                self._known = replace(self._known, deny_list=self._deny_lists.refresh())
            finally:
                self._asker = None
            self.damage = None
            return self._known

    def _get(self, path: str) -> Mapping[str, Any]:
        return self._ask(path, None)

    def _ask(self, path: str, params: Mapping[str, str] | None) -> Mapping[str, Any]:
        if self._asker is None:
            raise RuntimeError("only a refresh asks")
        return self._asker.get(path) if params is None else self._asker.get(path, params)

    def _keys(self) -> dict[bytes, bytes]:
        return deny_list_keys(self._profiles.pins())
