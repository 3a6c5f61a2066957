"""The ride code on the phone: prepared once a day, then made without the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from card_protocol import ride_code
from card_protocol.ride_code import IssuerPart
from sdk_mobile.clock import SkewedClock
from sdk_mobile.code_parts import CodeParts
from sdk_mobile.keys import DeviceKeys, compressed
from sdk_mobile.models import PhoneCard
from sdk_mobile.pictures import picture
from sdk_mobile.session import Sessions
from sdk_mobile.storage import Storage


@dataclass(frozen=True, slots=True)
class RideCodeView:
    """乘车码: the bytes of a QR code, good once, until `valid_until` by this phone's clock."""

    content: bytes = field(repr=False)
    valid_until: datetime


class RideCodes:
    """`card` gives the card that may ride now, or raises NotReady."""

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
            "ride",
            key_in=lambda content: IssuerPart.decode(content).user_public_key,
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

    def show(self) -> RideCodeView:
        """A fresh code. Raises NotReady: `no_card`, `card_…`, `no_part`, `part_expired`."""
        part = self._parts.get(self._card())
        now = int(self._clock.now_seconds())
        content = ride_code.show(part, now, self._keys.sign)
        ends_at = now + ride_code.VALIDITY_SECONDS - self._clock.skew_seconds
        return RideCodeView(content, datetime.fromtimestamp(ends_at, UTC))

    def show_picture(self) -> bytes:
        """A fresh code as a PNG."""
        return picture(self.show().content, "qr")
