"""The signed profile, checked as a document for this very terminal; knows no disk, no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from card_protocol.errors import CodeRefused, MalformedBytes
from card_protocol.place import TerminalPlace, place_of
from card_protocol.signed_document import KEY_CODE, open_document
from card_protocol.terminal_profile import (
    DOCUMENT_KIND,
    FORMAT,
    VALID_SECONDS_MAX,
    ProfileTerms,
    RideAuthorities,
    ride_authorities_of,
    terms_of,
)
from reader_bridge.faults import TerminalFault
from reader_bridge.kernels.mobile_card import IssuerKeys
from reader_bridge.profile.facts import Profile, profile_of
from reader_bridge.profile.pins import Pins, pins_of


@dataclass(frozen=True, slots=True)
class SignedProfile:
    """A profile somebody vouched for from `issued_at` to `expires_at` (unix seconds)."""

    facts: Profile
    terms: ProfileTerms
    ride_codes: RideAuthorities | None
    deny_list_version: int  # of the issuer, when this was signed
    issued_at: int
    expires_at: int
    pins: Pins = field(repr=False)  # who may sign the next one
    document: str = field(repr=False)
    place: TerminalPlace = field(default_factory=TerminalPlace)  # zeros from an older backend

    @property
    def issuer_keys(self) -> IssuerKeys:
        return self.facts.issuer_keys

    @property
    def version(self) -> int:
        return self.facts.version

    def require_not_before(self, kept: SignedProfile) -> None:
        """Raises TerminalFault(profile_older) when `kept` is the newer one: old bytes played again.

        Signed later but of a lower version: the backend came back from a backup. That is believed
        once the kept profile has run out, so a mistaken backend cannot undo a change at once.
        """
        is_replay = self.issued_at < kept.issued_at
        is_lower = self.version < kept.version and self.issued_at <= kept.expires_at
        if is_replay or is_lower:
            raise TerminalFault("profile_older", version=self.version, kept=kept.version)


def open_profile(document: str, pins: Pins, terminal_id: str) -> SignedProfile:
    """Raises TerminalFault(profile_key_unknown, _altered, _foreign, _malformed)."""
    try:
        claims = open_document(DOCUMENT_KIND, document, pins)
        return _profile_of(claims, document, terminal_id)
    except CodeRefused as refusal:
        is_unknown = refusal.code == KEY_CODE
        code = "profile_key_unknown" if is_unknown else "profile_altered"
        raise TerminalFault(code) from None
    except MalformedBytes as error:
        raise TerminalFault("profile_malformed", reason=error.reason) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TerminalFault("profile_malformed", reason=type(error).__name__) from None


def _profile_of(claims: Mapping[str, Any], document: str, terminal_id: str) -> SignedProfile:
    if claims["format"] != FORMAT:
        raise ValueError("unknown format")
    profile = claims["profile"]
    facts = profile_of(profile)
    if claims["sub"] != terminal_id or facts.terminal_id != terminal_id:
        raise TerminalFault("profile_foreign", terminal_id=str(claims["sub"])[:64])
    issued_at, expires_at = _moment(claims["iat"]), _moment(claims["exp"])
    if not 0 < expires_at - issued_at <= VALID_SECONDS_MAX:
        raise ValueError("iat and exp are not in order")
    rides = profile["ride_codes"]
    return SignedProfile(
        facts=facts,
        terms=terms_of(profile["terms"]),
        ride_codes=None if rides is None else ride_authorities_of(rides),
        deny_list_version=_moment(profile["deny_list_version"]),
        issued_at=issued_at,
        expires_at=expires_at,
        pins=pins_of(claims["keys"]),
        document=document,
        place=TerminalPlace() if profile.get("place") is None else place_of(profile["place"]),
    )


def _moment(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("a whole number is expected")
    return value
