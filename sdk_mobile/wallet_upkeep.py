"""The wallet's calls about itself: what is stored, how old it is, keys refilled by the way.

Knows no bytes on wires and no money.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sdk_mobile.clock import WRONG_SECONDS
from sdk_mobile.commands import card_of
from sdk_mobile.errors import SdkError
from sdk_mobile.identity_code import IdentityCodes
from sdk_mobile.models import ClockView, OfflineView
from sdk_mobile.recovery import Recovered, recover
from sdk_mobile.refill import Refiller
from sdk_mobile.ride_code import RideCodes
from sdk_mobile.storage import Storage
from sdk_mobile.wallet_cards import CardCalls


class Dated(Protocol):
    """An answer that says when the backend gave it."""

    @property
    def as_of(self) -> datetime | None: ...


class UpkeepCalls(CardCalls):
    """The part of `Wallet` that keeps it able to work offline; it raises what `Wallet` raises."""

    _refiller: Refiller | None
    _starting: threading.Lock
    ride: RideCodes
    identity: IdentityCodes

    @staticmethod
    def re_enrol(storage: Storage) -> Recovered:
        """The way out of StorageDamaged: puts what is damaged aside and begins anew what cannot be
        trusted without it. No money is lost: it is at the backend. Close wallets on this storage
        first and make a new one after it; `Recovered` says what is to be done then.

        Does nothing when nothing is damaged. Raises StorageFailed.
        """
        return recover(storage)

    def age_of(self, answer: Dated) -> timedelta | None:
        """How long ago the backend said so, by its own clock; None when that was not written down.

        For Balance, History, Person and PhoneCard.
        """
        if answer.as_of is None:
            return None
        return max(timedelta(0), self._clock.now() - answer.as_of)

    def clock_view(self) -> ClockView:
        """How the phone's clock stands; show it when `is_wrong`."""
        read_seconds = self._clock.read_seconds
        skew_seconds = self._clock.skew_seconds
        read_at = (
            None
            if read_seconds is None
            else datetime.fromtimestamp(read_seconds + skew_seconds, UTC)
        )
        return ClockView(skew_seconds, read_at, abs(skew_seconds) > WRONG_SECONDS)

    def offline_view(self) -> OfflineView:
        """How long this phone can go on without the network. Raises NotReady `no_card`."""
        card = card_of(self._document.read())
        keys = self._box.find_keys(card.token_id)
        is_valid = keys is not None and keys.is_valid_at(self._clock.now())
        return OfflineView(
            taps_left=self._box.uses_left(card.token_id),
            keys_until=keys.not_after if keys is not None and is_valid else None,
            ride_until=self.ride.find_until(card),
            identity_until=self.identity.find_until(card),
            is_refill_due=self._box.needs_refill(card.token_id),
        )

    def start_refilling(self) -> None:
        """Keeps keys and the ride code's part fresh from now on, in a thread of its own: looks
        now, after each tap and after each pay code. `close()` ends it. Twice is once."""
        with self._starting:
            if self._refiller is None:
                self._refiller = Refiller(self._refill_all)
                self._box.tell_counted(self._refiller.nudge)
        self._refiller.nudge()

    @property
    def last_refill_error(self) -> SdkError | None:
        """Why the thread could not refill the last time; None when it could."""
        return None if self._refiller is None else self._refiller.last_error

    def _stop_refilling(self) -> None:
        with self._starting:
            refiller, self._refiller = self._refiller, None
        if refiller is not None:
            self._box.tell_counted(None)
            refiller.close()

    def _nudge_refiller(self) -> None:
        refiller = self._refiller
        if refiller is not None:
            refiller.nudge()

    def _refill_all(self) -> None:
        card = self._document.read().card
        if card is None or card.state != "active":
            return  # nothing to refill yet: the next nudge looks again
        self.refill_keys_if_needed()
        self.ride.refresh_if_needed()
