"""A gate's decision about a ride code, offline, with codes used here remembered over a restart."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from card_protocol.code_keys import load_es256, load_sm2
from card_protocol.deny_list import DenyKind, DenyList
from card_protocol.errors import CodeRefused, MalformedBytes
from card_protocol.ride_certificate import RideSuite
from card_protocol.ride_verifier import (
    FULL_CODE,
    USED_MAX,
    RideAccepted,
    RideCodeVerifier,
    RideRules,
)
from card_protocol.terminal_profile import Means, RideAuthorities
from reader_bridge.faults import CodeFault, TerminalFault
from reader_bridge.offline.standing import standing_of
from reader_bridge.profile import SignedProfile

USED_FILE: Final = "ride_codes_used.db"
SUITES: Final = {RideSuite.ES256: load_es256, RideSuite.SM2: load_sm2}


class SqliteUsedCodes:
    """`ride_verifier.UsedCodes` in a small file of its own: each code once, also after a kill.

    A row lives while its code could still be shown, at most `used_max` of them. A loss of power may
    lose the last moment's rows: a code is good for seconds, a terminal starts in more.
    """

    def __init__(self, path: Path, used_max: int = USED_MAX) -> None:
        """Raises TerminalFault(state_unusable)."""
        self.used_max = used_max
        self._lock = threading.Lock()
        try:
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS used (card_number TEXT, generated_at INTEGER,"
                " ends_at INTEGER NOT NULL, PRIMARY KEY (card_number, generated_at)) WITHOUT ROWID"
            )
            self._database.execute("CREATE INDEX IF NOT EXISTS used_ends_at ON used (ends_at)")
            (self._count,) = self._database.execute("SELECT count(*) FROM used").fetchone()
        except sqlite3.Error as error:
            raise TerminalFault("state_unusable", reason=f"{path}: {error}") from None
        self._path = path

    def close(self) -> None:
        with self._lock, closing(self._database):
            self._count = 0

    def claim(self, key: tuple[str, int], ends_at: int, now: int) -> bool:
        """True the first time. Raises CodeRefused(ride_code_gate_full), TerminalFault."""
        with self._lock:
            try:
                return self._claimed(key, ends_at, now)
            except sqlite3.Error as error:
                raise TerminalFault("state_unusable", reason=f"{self._path}: {error}") from None

    def _claimed(self, key: tuple[str, int], ends_at: int, now: int) -> bool:
        is_known = "SELECT 1 FROM used WHERE card_number = ? AND generated_at = ?"
        if self._database.execute(is_known, key).fetchone() is not None:
            return False
        if self._count >= self.used_max:
            gone = self._database.execute("DELETE FROM used WHERE ends_at <= ?", (now,)).rowcount
            self._count -= gone
        if self._count >= self.used_max:
            raise CodeRefused(FULL_CODE, "more live codes than the gate can remember")
        self._database.execute("INSERT INTO used VALUES (?, ?, ?)", (*key, ends_at))
        self._count += 1
        return True


@dataclass(frozen=True, slots=True)
class _DeniedCards:
    """The deny list as a container of card numbers."""

    deny_list: DenyList

    def __contains__(self, card_number: object) -> bool:
        return self.deny_list.is_denied(DenyKind.TOKEN, str(card_number))


class RideGate:
    """Checks ride codes with what one profile and deny list say; made anew when either changes.

    Not for several threads at once.
    """

    def __init__(
        self,
        profile: SignedProfile | None,
        deny_list: DenyList | None,
        used: SqliteUsedCodes,
    ) -> None:
        """Raises MalformedBytes for an authority's key that is none."""
        self._profile, self._deny_list = profile, deny_list
        self._verifier: RideCodeVerifier | None = None
        if profile is not None and profile.ride_codes is not None and deny_list is not None:
            rules = _rules(profile.ride_codes)
            self._verifier = RideCodeVerifier(rules, used, _DeniedCards(deny_list))

    def check(self, code: bytes, now: int) -> RideAccepted:
        """Whose ride it is. Raises the first reason against it: CodeFault, or TerminalFault where
        no code is to blame."""
        standing = standing_of(self._profile, self._deny_list, now)
        if self._profile is None:
            raise TerminalFault("profile_missing")
        against = standing.refusal_of(self._profile, Means.RIDE_CODE)
        if against is not None:
            raise TerminalFault(against)
        if self._verifier is None:
            raise CodeFault("ride_code_not_accepted")
        try:
            return self._verifier.verify(code, now)
        except (CodeRefused, MalformedBytes) as refusal:
            raise CodeFault(refusal.code) from None


def _rules(authorities: RideAuthorities) -> RideRules:
    keys = authorities.ca_keys
    return RideRules(
        ca_keys={(index, authorities.suite): point for index, point in keys.items()},
        suites=SUITES,
        issuers=authorities.issuers,
        account_types=authorities.account_types,
        validity_seconds_max=authorities.validity_seconds_max,
    )
