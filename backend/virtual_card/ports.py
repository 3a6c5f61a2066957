"""What the outside must offer to the virtual card: who vouches for a device, who knows a holder."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from backend.virtual_card.model import DeviceFacts


class Attestation(Protocol):
    """Judges a platform's signed statement about a device's signing key.

    The sandbox's is `backend.virtual_card.sandbox`; Android Key Attestation and Apple's App
    Attest stand behind the same port.
    """

    def verify(
        self, statement: bytes, signing_key: bytes, nonce: bytes, now: datetime
    ) -> DeviceFacts:
        """What the statement says, when it is genuine, about this key and for this nonce.

        `signing_key`: SEC1 compressed point, 33 bytes. Raises AttestationInvalid (its `reason`
        is the judge's own code), AttestationUnavailable.
        """


class Holders(Protocol):
    """What another database knows of a person; asked before our transaction begins."""

    def find_phone(self, person_id: str) -> str | None:
        """The phone number messages go to."""

    def find_phone_since(self, person_id: str) -> datetime | None:
        """Since when the person has this phone number here; None when nobody knows."""
