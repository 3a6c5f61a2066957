"""The identity code on the phone: what its holder agrees to is signed here, without the network."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from card_protocol import identity_code
from card_protocol.identity_code import Claim, IdentityCode, IdentityPart, Purpose
from sdk_mobile.clock import SkewedClock
from sdk_mobile.code_parts import CodeParts
from sdk_mobile.keys import DeviceKeys, compressed
from sdk_mobile.models import PhoneCard
from sdk_mobile.pictures import picture
from sdk_mobile.session import Sessions
from sdk_mobile.storage import Storage

PURPOSES = tuple(one.name.lower() for one in Purpose)
CLAIMS = tuple(str(one.name).lower() for one in Claim)


@dataclass(frozen=True, slots=True)
class IdentityCodeView:
    """身份码: what is asked and agreed to, good once, until `valid_until` by this phone's clock."""

    content: str = field(repr=False)
    purpose: str
    claims: tuple[str, ...]
    valid_until: datetime


class IdentityCodes:
    """`card` gives the card that stands for its holder now, or raises NotReady."""

    def __init__(
        self,
        storage: Storage,
        sessions: Sessions,
        keys: DeviceKeys,
        clock: SkewedClock,
        card: Callable[[], PhoneCard],
    ) -> None:
        self._keys, self._clock, self._card = keys, clock, card
        self._parts = CodeParts(
            "identity",
            key_in=lambda content: IdentityPart.decode(content).user_public_key,
            own_key=lambda: compressed(keys.signing_public_key()),
            storage=storage,
            sessions=sessions,
            clock=clock,
        )

    def refresh_if_needed(self) -> bool:
        """Fetches the issuer's part once a day; True when it did. Call it when online."""
        return self._parts.refresh_if_needed(self._card())

    def find_until(self, card: PhoneCard) -> datetime | None:
        """Until when codes of this card can be made offline; None when they cannot now."""
        return self._parts.find_until(card)

    def show(self, purpose: str, claims: Iterable[str]) -> IdentityCodeView:
        """A fresh code for one of PURPOSES that lets exactly these of CLAIMS be learnt.

        Raises ValueError for another purpose or claim, or none; NotReady as `RideCodes.show`.
        """
        named = sorted(set(claims), key=CLAIMS.index)
        if purpose not in PURPOSES or not named:
            raise ValueError("a purpose and at least one claim")
        agreed = Claim(0)
        for name in named:
            agreed |= Claim[name.upper()]
        now = int(self._clock.now_seconds())
        code = IdentityCode(
            part=IdentityPart.decode(self._parts.get(self._card())),
            purpose=Purpose[purpose.upper()],
            claims=agreed,
            generated_at=now,
            nonce=secrets.token_bytes(identity_code.NONCE_BYTES),
        ).signed_by(self._keys.sign)
        ends_at = now + identity_code.VALIDITY_SECONDS - self._clock.skew_seconds
        until = datetime.fromtimestamp(ends_at, UTC)
        return IdentityCodeView(code.encode(), purpose, tuple(named), until)

    def show_picture(self, purpose: str, claims: Iterable[str]) -> bytes:
        """A fresh code as a PNG."""
        return picture(self.show(purpose, claims).content, "qr")
