"""The phone's card as `hce` wants it: its store on our storage, its signer on the phone's keys.

Knows nothing of the network; a tap works offline until the keys run out.
"""

from __future__ import annotations

from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import Certificate, HolderCheck, Suite
from hce.applets.mobile_card import MobileCardApplet
from hce.card import Card
from hce.errors import CardSuspended
from hce.ports import CardView, HolderChecker, LimitedUseKey
from hce.state import CardState
from sdk_mobile.cards import CardBox, CardKeys
from sdk_mobile.clock import SkewedClock
from sdk_mobile.commands import card_of
from sdk_mobile.errors import NotReady, StorageDamaged
from sdk_mobile.keys import DeviceKeys
from sdk_mobile.state import StateDocument
from sdk_mobile.storage import Storage


class PhoneCardStore:
    """`hce.ports.CardStore` for one card. Read anew each time: a refill, a loss report or a tap
    of another process is seen at once. The rules of counting are `hce.state`'s."""

    def __init__(self, storage: Storage, box: CardBox, token_id: str) -> None:
        self._storage = storage
        self._document = StateDocument(storage)
        self._box = box
        self._token_id = token_id

    def view(self) -> CardView:
        """Raises StorageDamaged; CardSuspended when another card took this one's place."""
        return self._state().view()

    def take_counter(self) -> tuple[int, LimitedUseKey]:
        """The next ATC, durably, and the key with what is left after this use.

        Raises CardSuspended, NoKeysLeft, CounterExhausted, and StorageFailed: nothing was counted.
        """
        with self._storage.exclusive():
            after = self._state().counted()
            assert after.key is not None  # `counted` spent one use of it
            self._box.advance(self._token_id, after.atc, after.key.index)
            return after.atc, after.key

    def _state(self) -> CardState:
        card = card_of(self._document.read())
        if card.token_id != self._token_id:
            raise CardSuspended
        keys = self._box.find_keys(self._token_id)
        counter = self._box.counter(self._token_id)
        try:
            return CardState(
                certificate=Certificate.decode(card.certificate),
                atc=counter.atc,
                key=_limited_use_key(keys, counter.uses_of(keys.key_index)) if keys else None,
                is_suspended=card.state != "active",
            )
        except MalformedBytes as error:  # also keys delivered for another suite than the card's
            raise StorageDamaged(self._storage.describe("state"), str(error)) from None


class PhoneSigner:
    """The phone's key of one suite, as the card wants it."""

    def __init__(self, keys: DeviceKeys, suite: Suite) -> None:
        """Raises NotReady: `suite_not_supported`."""
        if suite not in keys.suites:
            raise NotReady("suite_not_supported", "this phone cannot sign for its card")
        self._keys = keys
        self.suite = suite

    def sign(self, data: bytes) -> bytes:
        return self._keys.sign(data, self.suite)


def make_card(
    store: PhoneCardStore, keys: DeviceKeys, clock: SkewedClock, holder_check: HolderChecker
) -> Card:
    """The card a reader talks to: the mobile card alone (design A.1: no purse on a phone).

    Raises as `PhoneCardStore.view`; NotReady: `suite_not_supported`.
    """
    signer = PhoneSigner(keys, store.view().certificate.suite)
    applet = MobileCardApplet(
        store, signer, holder_check=holder_check, now=lambda: int(clock.now_seconds())
    )
    return Card((applet,))


def no_holder_check() -> HolderCheck:
    return HolderCheck.NONE


def _limited_use_key(keys: CardKeys, uses: int) -> LimitedUseKey:
    return LimitedUseKey(
        index=keys.key_index,
        version=keys.key_version,
        value=keys.limited_use_key,
        uses_left=max(0, keys.uses_max - uses),
        not_after=int(keys.not_after.timestamp()),
        suite=Suite(keys.suite),
    )
