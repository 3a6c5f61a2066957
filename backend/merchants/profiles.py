"""What a terminal is told to accept: its own facts and the city's configuration."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from backend.keys import KeyRef, Keys
from backend.merchants.model import Acceptance, AcceptedApplication, TerminalFacts
from backend.merchants.service import Merchants

CURRENCY = 156  # ISO 4217: CNY


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """Checks token certificates that name this index."""

    index: int
    public_key: EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class TerminalProfile:
    profile_version: int
    terminal: TerminalFacts
    applications: tuple[AcceptedApplication, ...]
    issuer_keys: tuple[IssuerKey, ...]
    online_timeout_seconds: int
    currency: int = CURRENCY


@dataclass(frozen=True, slots=True)
class TerminalProfiles:
    merchants: Merchants
    keys: Keys
    acceptance: Acceptance

    def get_profile(self, terminal_id: str) -> TerminalProfile:
        """Raises TerminalUnknown, TerminalNotActive."""
        return TerminalProfile(
            profile_version=self.acceptance.profile_version,
            terminal=self.merchants.vouch_for_terminal(terminal_id),
            applications=self.acceptance.applications,
            issuer_keys=tuple(
                IssuerKey(version, key)
                for version, key in self.keys.public_keys(KeyRef.ISSUER_SIGNING).items()
            ),
            online_timeout_seconds=self.acceptance.online_timeout_seconds,
        )
