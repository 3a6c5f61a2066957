"""Each kind of operation: the request it makes and what its answer changes. Sends nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from card_protocol.signatures import Suite
from sdk_mobile.cards import CardBox
from sdk_mobile.clock import SkewedClock
from sdk_mobile.errors import AnswerMalformed, NotReady
from sdk_mobile.ids import new_id
from sdk_mobile.keys import DeviceKeys, jwk
from sdk_mobile.models import Account, Device, Payment, PhoneCard, SealedKeys, TopUp
from sdk_mobile.operations import Document, Take, Taken
from sdk_mobile.proofs import make_sm2_part
from sdk_mobile.session import LOGIN_PATH, Sessions, read
from sdk_mobile.shapes import encode
from sdk_mobile.state import Kind, Operation, State

PRODUCT = "phone_card"


@dataclass(frozen=True, slots=True)
class _CardAnswer:
    """The member of a card's answer that is not kept with the card."""

    keys: SealedKeys | None = None


class Commands:
    """Builds operations from the state, and states from answers."""

    def __init__(
        self, sessions: Sessions, keys: DeviceKeys, box: CardBox, clock: SkewedClock
    ) -> None:
        self._sessions = sessions
        self._keys = keys
        self._box = box
        self._clock = clock

    def takes(self) -> Mapping[Kind, Take]:
        """What each kind's answer does; total but for refresh, which sessions take themselves."""
        return {
            Kind.LOG_IN: self._take_log_in,
            Kind.OPEN_WALLET: self._take_account,
            Kind.ENROL_DEVICE: self._take_device,
            Kind.ADD_SM2_KEY: self._take_device,
            Kind.PROVISION_CARD: self._take_card,
            Kind.REFILL_KEYS: self._take_keys,
            Kind.MOVE_CARD: self._take_card,
            Kind.CONFIRM_CARD: self._take_card,
            Kind.TOP_UP: self._take_top_up,
            Kind.PAY: self._take_payment,
            Kind.LOSS: self._take_card,
        }

    def log_in(self, phone: str, code: str, device_name: str) -> Callable[[State], Operation]:
        def make(state: State) -> Operation:
            challenge = state.challenge
            if challenge is None or challenge.phone != phone:
                raise NotReady("no_login_code", "ask for a one-time code first")
            body = {
                "challenge_id": challenge.challenge_id,
                "phone": phone,
                "code": code,
                "device_key": jwk(self._keys.signing_public_key()),
                "device_name": device_name,
            }
            jti = challenge.challenge_id
            return self._sessions.make_operation(Kind.LOG_IN, LOGIN_PATH, body, proof_jti=jti)

        return make

    def open_wallet(self, state: State) -> Operation:
        wallet_id = new_id("wal")
        body = {"wallet_id": wallet_id}
        return self._sessions.make_operation(
            Kind.OPEN_WALLET, "/v1/me/wallets", body, operation_id=wallet_id
        )

    def enrol_device(
        self, name: str, attestation: Mapping[str, str] | None = None
    ) -> Callable[[State], Operation]:
        def make(state: State) -> Operation:
            device_id = new_id("dev")
            body: dict[str, object] = {
                "device_id": device_id,
                "name": name,
                "signing_key": jwk(self._keys.signing_public_key()),
                "sealing_key": jwk(self._keys.sealing_public_key()),
            }
            if attestation is not None:
                body["attestation"] = attestation
            if Suite.SM4_SM2 in self._keys.suites:
                body["sm2"] = make_sm2_part(self._keys, device_id)
            return self._sessions.make_operation(
                Kind.ENROL_DEVICE,
                "/v1/me/devices",
                body,
                operation_id=device_id,
                proof_jti=device_id,
            )

        return make

    def add_sm2_key(self, state: State) -> Operation:
        device_id = device_of(state).device_id
        body = {"sm2": make_sm2_part(self._keys, device_id)}
        path = f"/v1/me/devices/{device_id}/sm2-key"
        return self._sessions.make_operation(Kind.ADD_SM2_KEY, path, body, proof_jti=device_id)

    def provision_card(self, state: State) -> Operation:
        account, device = account_of(state), device_of(state)
        token_id = new_id("tok")
        body = {
            "token_id": token_id,
            "device_id": device.device_id,
            "wallet_id": account.wallet_id,
            "product": PRODUCT,
        }
        return self._sessions.make_operation(
            Kind.PROVISION_CARD, "/v1/me/cards", body, operation_id=token_id
        )

    def move_card(self, old_token_id: str) -> Callable[[State], Operation]:
        def make(state: State) -> Operation:
            device = device_of(state)
            token_id = new_id("tok")
            body = {"new_token_id": token_id, "device_id": device.device_id}
            path = f"/v1/me/cards/{old_token_id}/moves"
            return self._sessions.make_operation(Kind.MOVE_CARD, path, body, operation_id=token_id)

        return make

    def confirm_card(self, state: State) -> Operation:
        token_id = card_of(state).token_id
        path = f"/v1/me/cards/{token_id}/confirmation"
        return self._sessions.make_operation(Kind.CONFIRM_CARD, path, {}, proof_jti=token_id)

    def is_stale(self, operation: Operation) -> bool:
        """Whether the card was tapped since a refill was written down: what it tells of the
        counter is not true any more, and the backend would take the phone for a copy."""
        if operation.kind != Kind.REFILL_KEYS:
            return False
        counter = self._box.find_counter()
        atc = 0 if counter is None else counter.atc
        return bool(json.loads(operation.body)["atc"] != atc)

    def refill_keys(self, state: State) -> Operation:
        token_id = card_of(state).token_id
        log = self._box.log(token_id)
        body = {
            "atc": self._box.counter(token_id).atc,
            "log": None if log is None else [encode(one) for one in log],
        }
        return self._sessions.make_operation(
            Kind.REFILL_KEYS, f"/v1/me/cards/{token_id}/keys", body
        )

    def top_up(self, amount_fen: int, bank_card: str) -> Callable[[State], Operation]:
        def make(state: State) -> Operation:
            topup_id = new_id("top")
            body = {
                "topup_id": topup_id,
                "wallet_id": account_of(state).wallet_id,
                "amount_fen": amount_fen,
                "bank_card": bank_card,
            }
            return self._sessions.make_operation(
                Kind.TOP_UP, "/v1/me/topups", body, operation_id=topup_id
            )

        return make

    def pay(self, merchant_code: str, amount_fen: int) -> Callable[[State], Operation]:
        def make(state: State) -> Operation:
            payment_id = new_id("pay")
            body = {
                "payment_id": payment_id,
                "wallet_id": account_of(state).wallet_id,
                "merchant_code": merchant_code,
                "amount_fen": amount_fen,
            }
            return self._sessions.make_operation(
                Kind.PAY, "/v1/me/payments", body, operation_id=payment_id
            )

        return make

    def loss(self, path: str) -> Operation:
        return self._sessions.make_operation(Kind.LOSS, path, {})

    def _take_log_in(self, state: State, operation: Operation, document: Document) -> Taken:
        after = self._sessions.take_tokens(state, document)
        stale = after.find_operation(Kind.REFRESH)
        after = after.without_operation(stale) if stale else after
        phone = state.challenge.phone if state.challenge else state.phone
        return replace(after, phone=phone, challenge=None), document.get("registered") is True

    def _take_account(self, state: State, operation: Operation, document: Document) -> Taken:
        account: Account = read(Account, document)
        return replace(state, account=account, account_as_of=self._clock.now()), account

    def _take_device(self, state: State, operation: Operation, document: Document) -> Taken:
        device: Device = read(Device, document)
        return replace(state, device=device), device

    def _take_card(self, state: State, operation: Operation, document: Document) -> Taken:
        """Keys are stored before the card is: a card in the state has its keys."""
        card: PhoneCard = read(PhoneCard, document)
        if state.card and state.card.token_id != card.token_id and state.card.state != "deleted":
            raise AnswerMalformed(f"the answer is about {card.token_id}")
        sealed = read(_CardAnswer, document).keys
        if sealed is not None:
            self._box.put_keys(card, sealed)
        card = replace(card, as_of=self._clock.now())
        return replace(state, card=card), card

    def _take_keys(self, state: State, operation: Operation, document: Document) -> Taken:
        card = card_of(state)
        self._box.put_keys(card, read(SealedKeys, document))
        self._box.forget_log(card.token_id, json.loads(operation.body)["atc"])
        return state, None

    def _take_top_up(self, state: State, operation: Operation, document: Document) -> Taken:
        top_up: TopUp = read(TopUp, document)
        _require_same(operation.operation_id, top_up.topup_id)
        return state.with_top_up(top_up), top_up

    def _take_payment(self, state: State, operation: Operation, document: Document) -> Taken:
        payment: Payment = read(Payment, document)
        _require_same(operation.operation_id, payment.payment_id)
        return with_balance(state, payment.balance_fen, self._clock.now()), payment


def with_balance(state: State, balance_fen: int | None, as_of: datetime) -> State:
    """The state with a balance told by the way; what is available is asked for on its own."""
    if state.account is None or balance_fen is None:
        return state
    account = replace(
        state.account,
        balance_fen=balance_fen,
        available_fen=min(state.account.available_fen, balance_fen),
    )
    return replace(state, account=account, account_as_of=as_of)


def account_of(state: State) -> Account:
    if state.account is None:
        raise NotReady("no_wallet", "open the wallet first")
    return state.account


def device_of(state: State) -> Device:
    if state.device is None:
        raise NotReady("no_device", "enrol this phone first")
    return state.device


def card_of(state: State) -> PhoneCard:
    if state.card is None:
        raise NotReady("no_card", "put a card on this phone first")
    return state.card


def _require_same(sent: str, answered: str) -> None:
    if sent != answered:
        raise AnswerMalformed(f"the answer is about {answered}, not {sent}")
