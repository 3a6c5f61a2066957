"""How much this terminal may decide by itself, by the age of its profile and deny list. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from card_protocol.deny_list import DenyList
from card_protocol.terminal_profile import Means
from reader_bridge.profile import SignedProfile

CLOCK_SECONDS: Final = 300  # a profile from further in the future means our clock is behind


class Level(IntEnum):
    """From nothing to everything."""

    ENDED = 0  # nothing offline
    NARROWED = 1  # what `when_expired` names
    FULL = 2


@dataclass(frozen=True, slots=True)
class Standing:
    """`code` says why it is less than FULL: a code of TerminalFault, for no card is to blame."""

    level: Level
    code: str | None = None

    def refusal_of(self, profile: SignedProfile, means: Means) -> str | None:
        """The code that speaks against this means now, or None."""
        is_named = means in profile.terms.when_expired.accepts
        if self.level is Level.FULL or (self.level is Level.NARROWED and is_named):
            return None
        return self.code


def standing_of(profile: SignedProfile | None, deny_list: DenyList | None, now: int) -> Standing:
    """The worse of the two ages, at unix second `now`."""
    if profile is None:
        return Standing(Level.ENDED, "profile_missing")
    if now + CLOCK_SECONDS < profile.issued_at:
        return Standing(Level.ENDED, "terminal_clock_wrong")
    if deny_list is None or not deny_list.as_of:
        return Standing(Level.ENDED, "deny_list_missing")
    terms = profile.terms
    until = {
        "profile_expired": profile.expires_at,
        "deny_list_too_old": deny_list.as_of + terms.deny_list_age_max_seconds,
    }
    code = min(until, key=until.__getitem__)  # the one that runs out first
    late_seconds = now - until[code]
    if late_seconds <= 0:
        return Standing(Level.FULL)
    level = Level.NARROWED if late_seconds <= terms.when_expired.grace_seconds else Level.ENDED
    return Standing(level, code)
