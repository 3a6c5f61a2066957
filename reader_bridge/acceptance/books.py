"""The mode book of the profile in use: made once for each profile. Asks no card."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from card_protocol.epurse.transactions import TERMINAL_BYTES
from card_protocol.errors import MalformedBytes
from card_protocol.place import TerminalPlace
from card_protocol.terminal_profile import ProfileTerms
from reader_bridge.acceptance.knowledge import Known
from reader_bridge.faults import TerminalFault
from reader_bridge.modes import ModeBook, Place
from reader_bridge.profile import SignedProfile
from reader_bridge.sam.port import Sam

NOBODY: Final = bytes(TERMINAL_BYTES)  # without a SAM no record is ever written


@dataclass(slots=True)
class Books:
    """One terminal's."""

    sam: Sam | None
    _made: tuple[SignedProfile | None, bytes, ModeBook] | None = field(default=None, init=False)

    def of(self, known: Known) -> ModeBook:
        """Raises TerminalFault(place_unfit) where profile and place contradict each other, and
        SamFault where a fare needs the SAM's number and it does not tell."""
        profile = known.profile
        has_fare = profile is not None and profile.terms.fare is not None
        terminal = NOBODY if self.sam is None or not has_fare else self.sam.read_terminal_number()
        made = self._made
        if made is None or made[0] is not profile or made[1] != terminal:
            made = self._made = profile, terminal, _made_of(profile, terminal)
        return made[2]


def _made_of(profile: SignedProfile | None, terminal: bytes) -> ModeBook:
    terms = ProfileTerms() if profile is None else profile.terms
    place = TerminalPlace() if profile is None else profile.place
    try:
        return ModeBook(terms, terms.rules, Place.at(place, terminal))
    except MalformedBytes as error:
        raise TerminalFault("place_unfit", reason=error.reason) from None
