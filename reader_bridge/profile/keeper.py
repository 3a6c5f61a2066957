"""Keeps the newest genuine profile and the keys it is checked with; on the disk whole or not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from reader_bridge.client_key import write_private
from reader_bridge.faults import TerminalFault
from reader_bridge.profile.pins import Pins, jwks_of, pins_of
from reader_bridge.profile.signed import SignedProfile, open_profile

PROFILE_FILE: Final = "profile.json"
PATH: Final = "/v1/terminal/profile/signed"
FILE_BYTES_MAX: Final = 2 * 1024 * 1024

Ask = Callable[[str], Mapping[str, Any]]
"""GET a path of the backend: `BackendClient.get`. Raises Refused, Unreachable."""


class ProfileKeeper:
    """One terminal's profile. Keys are pinned at activation; a terminal activated before that was
    done pins what it hears first over its own signed-in, encrypted channel.

    A rotated key is believed because a profile signed by a pinned one announces it.
    """

    def __init__(self, folder: Path, terminal_id: str, ask: Ask) -> None:
        self._path = folder / PROFILE_FILE
        self._terminal_id = terminal_id
        self._ask = ask
        self._pins: Pins = {}
        self._profile: SignedProfile | None = None
        self._is_read = False

    def pin(self, jwks: object) -> None:
        """Believe these keys from now on, at activation. Raises TerminalFault."""
        self._save(_require_some(pins_of(jwks)), None)

    def find_kept(self) -> SignedProfile | None:
        """The profile on the disk, or None before the first one.

        Raises TerminalFault(state_damaged): the keys are lost with it, so a fitter pins anew.
        """
        self._read()
        return self._profile

    def pins(self) -> Pins:
        """Who may sign, also parts of the deny list. Raises TerminalFault(state_damaged)."""
        self._read()
        return self._pins

    def refresh(self) -> SignedProfile:
        """Fetch, check, keep. Raises Refused, Unreachable, TerminalFault; the kept one stays."""
        self._read()
        answer = self._ask(PATH)
        pins = self._pins or _require_some(pins_of(answer.get("keys")))
        document = answer.get("document")
        if not isinstance(document, str):
            raise TerminalFault("profile_malformed", reason="document")
        fresh = open_profile(document, pins, self._terminal_id)
        if self._profile is not None:
            fresh.require_not_before(self._profile)
        if self._profile is None or fresh.document != self._profile.document:
            # Who signed it is among those it names, or it could not be read again.
            open_profile(document, fresh.pins, self._terminal_id)
            self._save(fresh.pins, fresh)
        return fresh

    def pin_anew(self) -> SignedProfile:
        """Forget all keys and believe what the backend says now: a fitter's act, when every key
        known here was retired while the terminal was away. Raises as `refresh`."""
        before = self._pins, self._profile
        self._pins, self._profile, self._is_read = {}, None, True
        try:
            return self.refresh()
        except Exception:
            self._pins, self._profile = before
            raise

    def _save(self, pins: Pins, profile: SignedProfile | None) -> None:
        kept = {"keys": jwks_of(pins), "document": profile.document if profile else None}
        write_private(self._path, json.dumps(kept).encode())
        self._pins, self._profile, self._is_read = pins, profile, True

    def _read(self) -> None:
        """Once; what was kept is checked again, as if it came from the network."""
        if self._is_read:
            return
        try:
            with self._path.open("rb") as file:
                raw = file.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            self._is_read = True
            return
        except OSError as error:
            raise TerminalFault("state_unusable", reason=f"{self._path}: {error}") from None
        try:
            kept = json.loads(raw)
            pins, document = pins_of(kept["keys"]), kept["document"]
            profile = None
            if document is not None:
                profile = open_profile(document, pins, self._terminal_id)
        except (ValueError, KeyError, TypeError, RecursionError, TerminalFault):
            raise TerminalFault("state_damaged", file=str(self._path)) from None
        self._pins, self._profile, self._is_read = pins, profile, True


def _require_some(pins: Pins) -> Pins:
    if not pins:
        raise TerminalFault("profile_malformed", reason="no keys")
    return pins
