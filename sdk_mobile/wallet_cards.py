"""The wallet's calls about this phone and its card. Knows no bytes on wires and no money."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from card_protocol.signatures import Suite
from hce.card import Card
from hce.ports import HolderChecker
from sdk_mobile.attesting import Attester
from sdk_mobile.cards import CardBox, NotingKeys
from sdk_mobile.client import Request
from sdk_mobile.clock import SkewedClock
from sdk_mobile.commands import Commands, card_of, device_of
from sdk_mobile.errors import NotReady, Offline, Refused
from sdk_mobile.keys import DeviceKeys
from sdk_mobile.models import CardChange, Device, PhoneCard
from sdk_mobile.operations import Operations
from sdk_mobile.phone_card import PhoneCardStore, make_card, no_holder_check
from sdk_mobile.session import Sessions, read
from sdk_mobile.shapes import b64u
from sdk_mobile.state import CARDS_MAX, Kind, StateDocument
from sdk_mobile.storage import Storage

CHANGES_MAX = 200
KEY_MISSING = "device_key_missing"


@dataclass(frozen=True, slots=True)
class _Nonce:
    nonce: bytes


@dataclass(frozen=True, slots=True)
class _Changes:
    data: tuple[CardChange, ...]


@dataclass(frozen=True, slots=True)
class _Cards:
    data: tuple[PhoneCard, ...]


class CardCalls:
    """The part of `Wallet` that is about phone and card; it raises what `Wallet` raises.

    `Refused` with code `step_up_required` asks for a one-time code: `answer_step_up`, then the
    same call again.
    """

    _storage: Storage
    _document: StateDocument
    _clock: SkewedClock
    _keys: DeviceKeys
    _sessions: Sessions
    _box: CardBox
    _commands: Commands
    _operations: Operations
    _attester: Attester | None
    _refilling: threading.Lock

    def enrol_device(self, name: str) -> Device:
        """Makes this phone known with its signing and its sealing key, and its platform's word."""
        device = self._document.read().device
        if device is not None:
            return device
        make = self._commands.enrol_device(name, self._ask_platform())
        return cast("Device", self._operations.perform(Kind.ENROL_DEVICE, make))

    def add_sm2_key(self) -> Device:
        """Makes this phone's SM2 key known, once: cards of the SM suite need it. A phone that has
        one enrols with it; this is for phones enrolled before. `provision_card` and `move_card`
        call it when the backend asks for the key.

        Raises NotReady: `no_device`, `suite_not_supported`.
        """
        device = device_of(self._document.read())
        if Suite.SM4_SM2 in device.suites:
            return device
        if Suite.SM4_SM2 not in self._keys.suites:
            raise NotReady("suite_not_supported", "this phone's keystore makes no SM2 key")
        make = self._commands.add_sm2_key
        return cast("Device", self._operations.perform(Kind.ADD_SM2_KEY, make))

    def _ask_platform(self) -> dict[str, str] | None:
        if self._attester is None:
            return None
        nonce = read(_Nonce, self._sessions.get("/v1/me/devices/attestation-nonce")).nonce
        statement = self._attester.attest(self._keys.signing_public_key(), nonce)
        if statement is None:
            return None
        return {"nonce": b64u(nonce), "statement": b64u(statement)}

    def provision_card(self) -> PhoneCard:
        """Puts a phone card on this phone: token, certificate, first limited-use keys."""
        card = self._document.read().card
        if card is None or card.state == "deleted":
            make = self._commands.provision_card
            card = self._with_its_key(lambda: self._operations.perform(Kind.PROVISION_CARD, make))
        if self._box.find_keys(card.token_id) is None:
            self.refill_keys_if_needed()
        return card

    def answer_step_up(self, step_up_id: str, code: str) -> None:
        """Gives the one-time code that a refusal asked for (its `data["step_up_id"]`).

        The same code again is the same request: a lost answer costs no try.
        """
        content = hashlib.sha256(f"{step_up_id} {code}".encode()).digest()
        path = f"/v1/me/step-ups/{step_up_id}/answers"
        key = b64u(content)[:40]
        self._sessions.ask(Request("POST", path, json.dumps({"code": code}), key))

    def cards(self) -> tuple[PhoneCard, ...]:
        """All phone cards of the person, on other phones too; offline the first CARDS_MAX of
        those last told, with their `as_of`."""
        limit = ("limit", str(CHANGES_MAX))
        try:
            found: _Cards = read(_Cards, self._sessions.get("/v1/me/cards", limit))
        except Offline:
            remembered = self._document.read().cards
            if not remembered:
                raise
            return remembered
        as_of = self._clock.now()
        cards = tuple(replace(one, as_of=as_of) for one in found.data)
        self._document.change(lambda state: replace(state, cards=cards[:CARDS_MAX]))
        return cards

    def move_card(self, old_token_id: str) -> PhoneCard:
        """Brings a card from another phone onto this one; that one's ends once this one lives.

        Call it again after a one-time code, and after a lost answer.
        """
        card = self._document.read().card
        if card is None or card.state == "deleted":
            path = f"/v1/me/cards/{old_token_id}/moves"
            make = self._commands.move_card(old_token_id)
            card = self._with_its_key(
                lambda: self._operations.perform(Kind.MOVE_CARD, make, lambda one: one.path == path)
            )
        return self.confirm_card() if card.state == "pending" else card

    def confirm_card(self) -> PhoneCard:
        """Says that this phone holds the card's keys. Raises NotReady `no_keys`."""
        card = self.phone_card()
        if self._box.find_keys(card.token_id) is None:
            raise NotReady("no_keys", "the card has no keys on this phone")
        make = self._commands.confirm_card
        return cast("PhoneCard", self._operations.perform(Kind.CONFIRM_CARD, make))

    def card_history(self) -> tuple[CardChange, ...]:
        """What became of this phone's card and why, oldest first."""
        path = f"/v1/me/cards/{self.phone_card().token_id}/history"
        limit = ("limit", str(CHANGES_MAX))
        changes: _Changes = read(_Changes, self._sessions.get(path, limit))
        return changes.data

    def phone_card(self) -> PhoneCard:
        """The card's description, as last told. Raises NotReady `no_card`."""
        return card_of(self._document.read())

    def refresh_card(self) -> PhoneCard:
        """Asks how the card stands: it may have been suspended or released elsewhere."""
        token_id = self.phone_card().token_id
        told: PhoneCard = read(PhoneCard, self._sessions.get(f"/v1/me/cards/{token_id}"))
        card = replace(told, as_of=self._clock.now())
        self._document.change(lambda state: replace(state, card=card))
        return card

    def refill_keys_if_needed(self) -> bool:
        """Fetches new limited-use keys below one third; True when it did. Call it when online."""
        with self._refilling:  # a second one waits, and finds that nothing is needed any more
            state = self._document.read()
            is_open = state.find_operation(Kind.REFILL_KEYS) is not None
            if not is_open and not self._box.needs_refill(card_of(state).token_id):
                return False
            self._operations.perform(Kind.REFILL_KEYS, self._commands.refill_keys)
            return True

    def report_loss(self) -> PhoneCard:
        """挂失: suspends the card at once."""
        return self._perform_loss("loss-report")

    def release(self) -> PhoneCard:
        """解挂: takes the loss report back."""
        return self._perform_loss("release")

    def card(self, holder_check: HolderChecker = no_holder_check) -> Card:
        """The card for taps: bytes in, bytes out. Each tap is counted in storage first.

        `holder_check` is asked at each tap how the phone made sure of its holder.
        """
        store = PhoneCardStore(self._storage, self._box, self._usable_card().token_id)
        noting = cast("DeviceKeys", NotingKeys(self._keys, self._box))
        return make_card(store, noting, self._clock, holder_check)

    def _usable_card(self) -> PhoneCard:
        card = self.phone_card()
        if card.state != "active":
            raise NotReady(f"card_{card.state}", "the card cannot pay now")
        return card

    def _with_its_key(self, ask: Callable[[], object]) -> PhoneCard:
        """The card `ask` brings. Where its suite needs a key that was not told yet, that comes
        first; a phone that cannot have one hears the refusal."""
        try:
            return cast("PhoneCard", ask())
        except Refused as refusal:
            if refusal.code != KEY_MISSING or Suite.SM4_SM2 not in self._keys.suites:
                raise
        self.add_sm2_key()
        return cast("PhoneCard", ask())

    def _perform_loss(self, wish: str) -> PhoneCard:
        path = f"/v1/me/cards/{self.phone_card().token_id}/{wish}"
        card = self._operations.perform(
            Kind.LOSS, lambda state: self._commands.loss(path), lambda one: one.path == path
        )
        return cast("PhoneCard", card)
