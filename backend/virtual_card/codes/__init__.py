"""Ride and identity codes: the issuer's part of them, and what an identity code releases."""

from backend.virtual_card.codes.identities import IdentityCodes, ReleaseIdentity
from backend.virtual_card.codes.model import IdentityRelease, IdentityVerifier, RideTerms
from backend.virtual_card.codes.rides import RideCodes
from backend.virtual_card.codes.service import Codes, open_codes
from backend.virtual_card.codes.verifiers import IdentityVerifiers, RegisterVerifier

__all__ = [
    "Codes",
    "IdentityCodes",
    "IdentityRelease",
    "IdentityVerifier",
    "IdentityVerifiers",
    "RegisterVerifier",
    "ReleaseIdentity",
    "RideCodes",
    "RideTerms",
    "open_codes",
]
