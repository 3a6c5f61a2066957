"""The services of ride and identity codes, joined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backend.db import Units
from backend.keys import Keys
from backend.virtual_card.codes.identities import IdentityCodes, People
from backend.virtual_card.codes.model import RideTerms
from backend.virtual_card.codes.rides import RideCodes
from backend.virtual_card.codes.verifiers import IdentityVerifiers


@dataclass(frozen=True, slots=True)
class Codes:
    """What the resources ask: rides, identities, and who may read the latter."""

    rides: RideCodes
    identities: IdentityCodes
    verifiers: IdentityVerifiers


def open_codes(
    units: Units,
    keys: Keys,
    people: People,
    require_merchant: Callable[[str], object],
    terms: RideTerms | None = None,
) -> Codes:
    """`require_merchant` raises MerchantUnknown."""
    verifiers = IdentityVerifiers(units, require_merchant)
    return Codes(
        RideCodes(units, keys, terms or RideTerms()),
        IdentityCodes(units, keys, verifiers, people),
        verifiers,
    )
