"""A SAM in software, for pilots and trials: keys from a sealed file, or the published test keys."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from card_protocol.epurse.sam import (
    MISMATCHES_MAX,
    SERIAL_MAX,
    SamKey,
    SamSession,
    SamTally,
    find_key,
    open_session,
)
from card_protocol.epurse.transactions import TERMINAL_SERIAL_BYTES
from card_protocol.errors import MalformedBytes
from reader_bridge.faults import CardFault, SamFault
from reader_bridge.sam.port import SamOffer, SamRequest, Verified
from reader_bridge.sam.sealed import SamKeys, published_keys, read_keys
from reader_bridge.sam.tally import TallyFile

_log = logging.getLogger(__name__)
# A guess at a MAC2 is right once in 2^32. So many in a row are no accident, and no prankster with
# one false card stops a bus with fewer.
MISMATCHES_ALLOWED: Final = 1_000


class Tally(Protocol):
    """Where serials are counted."""

    def view(self) -> SamTally: ...

    def put(self, tally: SamTally) -> None:
        """Durable when it returns."""

    def close(self) -> None:
        """May be called again."""


class SoftwareSam:
    """Keys stay in this object; it prints none. `mismatches_allowed` 0: never locks."""

    def __init__(
        self,
        keys: SamKeys,
        tally: Tally,
        *,
        is_test: bool = False,
        mismatches_allowed: int = MISMATCHES_ALLOWED,
    ) -> None:
        """Raises SamFault(sam_state_unusable) for the tally of another SAM, ValueError."""
        if not 0 <= mismatches_allowed <= MISMATCHES_MAX:
            raise ValueError("mismatches_allowed is a whole number up to 65535")
        if tally.view().terminal != keys.terminal:
            raise SamFault("sam_state_unusable", reason="the tally is another SAM's")
        self._keys, self._tally = keys, tally
        self._is_test, self._mismatches_allowed = is_test, mismatches_allowed
        self._session: SamSession | None = None
        if is_test:
            _log.warning("TEST KEYS: this SAM's keys are published; no purchase here is money")

    @classmethod
    def open(
        cls,
        key_file: Path,
        tally_file: Path,
        passphrase: bytes,
        *,
        mismatches_allowed: int = MISMATCHES_ALLOWED,
    ) -> SoftwareSam:
        """From disk. Raises SamFault."""
        keys = read_keys(key_file, passphrase)
        tally = TallyFile(tally_file)
        try:
            return cls(keys, tally, mismatches_allowed=mismatches_allowed)
        except BaseException:
            tally.close()
            raise

    @classmethod
    def with_test_keys(cls, terminal: bytes, tally: Tally) -> SoftwareSam:
        """With masters anybody can read in a standard; says so loudly, and `is_test` is True."""
        return cls(published_keys(terminal), tally, is_test=True)

    def __repr__(self) -> str:
        return "SoftwareSam(<secret>)"

    @property
    def is_test(self) -> bool:
        return self._is_test

    def read_terminal_number(self) -> bytes:
        return self._keys.terminal

    def key_index(self) -> int:
        return self._keys.key_index

    def last_serial(self) -> int:
        """How many purchases were begun so far."""
        return self._tally.view().serial

    def begin_purchase(self, request: SamRequest) -> SamOffer:
        self._session = None
        self._require_unlocked()
        key, tally = self._key(request), self._tally.view()
        if tally.serial == SERIAL_MAX:
            raise SamFault("sam_counter_spent")
        serial = tally.serial + 1
        offer, session = self._open(key, request, serial.to_bytes(TERMINAL_SERIAL_BYTES))
        self._tally.put(replace(tally, serial=serial))  # before MAC1 leaves
        self._session = session
        return offer

    def finish_purchase(self, mac2: bytes) -> Verified:
        session, self._session = self._session, None
        if session is None:
            raise SamFault("sam_session_gone")
        return self._judge(session, mac2)

    def prove_purchase(self, request: SamRequest, offer: SamOffer, mac2: bytes) -> Verified:
        """Computed anew: only what this SAM once offered itself is judged."""
        self._session = None
        if int.from_bytes(offer.terminal_serial) > self._tally.view().serial:
            raise SamFault("sam_session_gone")
        again, session = self._open(self._key(request), request, offer.terminal_serial)
        if again != offer:
            raise SamFault("sam_session_gone")
        return self._judge(session, mac2)

    def close(self) -> None:
        """Gives the tally back."""
        self._session = None
        self._tally.close()

    def _judge(self, session: SamSession, mac2: bytes) -> Verified:
        self._require_unlocked()
        tally = self._tally.view()
        if not session.is_answered_by(mac2):
            mismatches = min(tally.mismatches + 1, MISMATCHES_MAX)
            self._tally.put(replace(tally, mismatches=mismatches))
            raise CardFault("card_false_mac")
        if tally.mismatches:
            self._tally.put(replace(tally, mismatches=0))
        return Verified(session.terminal_serial)

    def _open(
        self, key: SamKey, request: SamRequest, terminal_serial: bytes
    ) -> tuple[SamOffer, SamSession]:
        try:
            return open_session(key, request, self._keys.terminal, terminal_serial)
        except MalformedBytes:
            raise SamFault("sam_failed", status="6A80") from None  # as a SAM in a slot says it

    def _key(self, request: SamRequest) -> SamKey:
        key = find_key(self._keys.keys, request)
        if key is None:
            raise CardFault("card_key_unknown")
        return key

    def _require_unlocked(self) -> None:
        if 0 < self._mismatches_allowed <= self._tally.view().mismatches:
            raise SamFault("sam_locked")
