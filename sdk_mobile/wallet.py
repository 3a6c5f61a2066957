"""The wallet an app talks to: everything a citizen does with the phone. Knows no bytes on wires."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast

import httpx

from card_protocol import emvco
from card_protocol.errors import MalformedBytes
from sdk_mobile.attesting import Attester
from sdk_mobile.cards import CardBox
from sdk_mobile.client import Client, Language, Request
from sdk_mobile.clock import SkewedClock, phone_seconds
from sdk_mobile.commands import Commands, account_of
from sdk_mobile.errors import CodeUnreadable, LoginLocked, NotReady, Offline, Refused
from sdk_mobile.history import fetch_lines
from sdk_mobile.identity_code import IdentityCodes
from sdk_mobile.ids import new_idempotency_key
from sdk_mobile.keys import DeviceKeys, SoftwareDeviceKeys
from sdk_mobile.models import (
    Account,
    Balance,
    History,
    LoginCode,
    MerchantCodeView,
    PayCodeView,
    Payment,
    Person,
    TopUp,
)
from sdk_mobile.operations import Operations, Resumed
from sdk_mobile.pictures import PictureKind, picture
from sdk_mobile.ride_code import RideCodes
from sdk_mobile.session import Sessions, read
from sdk_mobile.state import Challenge, Kind, Operation, State, StateDocument
from sdk_mobile.storage import Storage
from sdk_mobile.wallet_upkeep import UpkeepCalls

ASK_AGAIN_MIN_SECONDS = 0.2
ASK_AGAIN_MAX_SECONDS = 30.0
WRONG_CODE, LOCKED = "login_code_wrong", "login_locked"
CODE_LIFE_MAX = timedelta(minutes=10)  # of a code an older app asked for, whose end it did not note


@dataclass(frozen=True, slots=True)
class _Accounts:
    data: tuple[Account, ...]


class Wallet(UpkeepCalls):
    """One citizen's wallet and card on one phone. All of it survives a restart.

    Every method that moves or makes something stores its ids before it sends. It raises `Refused`
    (the backend said no), `Offline` (nothing was done), `SignedOut`, or `OutcomeUnknown`: then
    `resume()` sends the same bytes again and learns the first answer, also after a crash.

    Threads may share a wallet, and processes a storage. One payment and one top-up is under way at
    a time: who begins a second meanwhile hears OutcomeUnknown, with the id of the first.
    """

    def __init__(
        self,
        base_url: str,
        storage: Storage,
        *,
        keys: DeviceKeys | None = None,
        language: Language = "zh-CN",
        http: httpx.Client | None = None,
        clock: Callable[[], float] = phone_seconds,
        sleep: Callable[[float], None] = time.sleep,
        attester: Attester | None = None,
    ) -> None:
        """`keys` is the phone's keystore; without one, keys are kept in `storage`.
        `attester` is the phone's platform; without one nobody vouches for the keys.

        Raises StorageDamaged, and ValueError when `base_url` has no TLS and is not this machine.
        """
        self._storage = storage
        self._document = StateDocument(storage)
        state = self._document.read()
        self._clock = SkewedClock(clock, state.clock_skew_seconds, state.clock_read_seconds)
        self._sleep = sleep
        self._keys = keys or SoftwareDeviceKeys(storage)
        self._client = Client(
            base_url,
            language=language,
            http=http,
            on_backend_time=self._learn_time,
            sleep=sleep,
        )
        self._sessions = Sessions(self._document, self._client, self._keys, self._clock)
        self._box = CardBox(storage, self._keys, self._clock)
        self._commands = Commands(self._sessions, self._keys, self._box, self._clock)
        parts = (storage, self._sessions, self._keys, self._clock, self._usable_card)
        self.ride, self.identity = RideCodes(*parts), IdentityCodes(*parts)
        self._operations = Operations(
            self._document, self._sessions, self._commands.takes(), self._commands.is_stale
        )
        self._attester = attester
        self._refilling, self._starting = threading.Lock(), threading.Lock()
        self._refiller = None

    def close(self) -> None:
        """Ends the refilling thread and closes connections; what is stored stays. Twice is once."""
        self._stop_refilling()
        self._client.close()

    def __enter__(self) -> Wallet:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Who the citizen is

    def request_login_code(self, phone: str) -> LoginCode:
        """Has a one-time code sent to `phone` (11 digits) by SMS."""
        self._require_phone(phone)
        body = json.dumps({"phone": phone})
        request = Request("POST", "/v1/login/codes", body, new_idempotency_key())
        sent: LoginCode = read(LoginCode, self._sessions.ask_without_token(request))
        challenge = Challenge(sent.challenge_id, phone, sent.expires_at, sent.resend_at)
        self._document.change(lambda state: replace(state, challenge=challenge))
        return sent

    def log_in(self, phone: str, code: str, device_name: str = "phone") -> bool:
        """Begins a session bound to this phone's key. True when the person is registered.

        Raises LoginLocked after too many wrong codes.
        """
        self._require_phone(phone)

        def is_meant(operation: Operation) -> bool:
            body = json.loads(operation.body)
            return (body["phone"], body["code"]) == (phone, code)

        make = self._commands.log_in(phone, code, device_name)
        try:
            return cast("bool", self._operations.perform(Kind.LOG_IN, make, is_meant))
        except Refused as refusal:
            locked = self._locked(refusal)
            if locked is None:
                raise
            raise locked from refusal

    def register(self, name: str, id_number: str) -> Person:
        """Matches the person with the city's base records.

        The number is not stored on the phone: after a lost answer (Offline) call it again.
        """
        body = json.dumps({"name": name, "id_number": id_number}, ensure_ascii=False)
        request = Request("PUT", "/v1/me/registration", body, new_idempotency_key())
        return self._remember_person(read(Person, self._sessions.ask(request).document))

    def person(self) -> Person:
        """Who is logged in; offline the remembered answer, when there is one."""
        try:
            return self._remember_person(read(Person, self._sessions.get("/v1/me")))
        except Offline:
            remembered = self._document.read().person
            if remembered is None:
                raise
            return remembered

    # Wallet, phone, card

    def open_wallet(self) -> Account:
        """Opens the wallet, or takes up the one the person already has."""
        state = self._document.read()
        if state.account is not None:
            return state.account
        if state.find_operation(Kind.OPEN_WALLET) is None:
            mine = [one for one in self._ask_accounts() if one.state != "closed"]
            if mine:
                return self._remember_account(mine[0])
        return cast(
            "Account", self._operations.perform(Kind.OPEN_WALLET, self._commands.open_wallet)
        )

    # Money

    def top_up(self, amount_fen: int, bank_card: str) -> TopUp:
        """充值 from a bank card (16 to 19 digits). Often `processing` at first: wait for it."""
        _require_amount(amount_fen)
        make = self._commands.top_up(amount_fen, bank_card)
        return cast("TopUp", self._operations.perform(Kind.TOP_UP, make))

    def top_up_status(self, topup_id: str) -> TopUp:
        """Asks how a top-up stands."""
        top_up: TopUp = read(TopUp, self._sessions.get(f"/v1/me/topups/{topup_id}"))
        self._document.change(lambda state: state.with_top_up(top_up))
        return top_up

    def wait_for_top_up(self, topup_id: str, timeout_seconds: float = 60.0) -> TopUp:
        """Asks as the backend says until it is settled or the time is over.

        Returns the last answer, which may still be `processing`. Raises Offline when the network
        is away at the end.
        """
        left_seconds = timeout_seconds
        while True:
            before = self._clock.phone_seconds()
            try:
                top_up = self.top_up_status(topup_id)
                if top_up.is_settled or left_seconds <= 0:
                    return top_up
                wait_seconds = self._ask_again_seconds(top_up)
            except Offline:
                if left_seconds <= 0:
                    raise
                wait_seconds = ASK_AGAIN_MIN_SECONDS
            wait_seconds = min(wait_seconds, left_seconds)
            self._sleep(wait_seconds)
            # A request that fails takes its time too; a clock set back must not give it back.
            spent_seconds = self._clock.phone_seconds() - before
            left_seconds -= max(spent_seconds, wait_seconds, ASK_AGAIN_MIN_SECONDS)

    def unsettled_top_ups(self) -> tuple[TopUp, ...]:
        """Top-ups last heard of as `processing`, oldest first."""
        return tuple(one for one in self._document.read().top_ups if not one.is_settled)

    def balance(self) -> Balance:
        """The wallet's balance; offline the last known, with its time."""
        state = self._document.read()
        wallet_id = account_of(state).wallet_id
        is_fresh = True
        try:
            mine = (one for one in self._ask_accounts() if one.wallet_id == wallet_id)
            found = next(mine, None)
            if found is None:
                raise NotReady("no_wallet", "the backend does not know this wallet")
            self._remember_account(found)
        except Offline:
            is_fresh = False
        state = self._document.read()
        account = account_of(state)
        assert state.account_as_of is not None
        return Balance(account.balance_fen, account.available_fen, state.account_as_of, is_fresh)

    def history(self) -> History:
        """The statement, newest first, at most 500 lines; offline the remembered one."""
        wallet_id = account_of(self._document.read()).wallet_id
        remembered = self._document.read_history()
        known = remembered.lines if remembered else ()
        try:
            lines = fetch_lines(self._sessions, wallet_id, known)
        except Offline:
            if remembered is None:
                raise
            return replace(remembered, is_fresh=False)
        history = History(lines, self._clock.now(), is_fresh=True)
        self._document.write_history(history)
        return history

    # Paying

    def pay_code(self) -> PayCodeView:
        """付款码, made without the network. Raises NotReady, of which ClockWrong."""
        shown = self._box.pay_code(self._usable_card())
        self._nudge_refiller()
        return shown

    def pay_code_picture(self, kind: PictureKind = "qr") -> bytes:
        """The pay code as a PNG: a QR code, or the bars (Code 128) older scanners read."""
        return picture(self.pay_code().digits, kind)

    def read_merchant_code(self, content: str) -> MerchantCodeView:
        """收款码: who would be paid. Offline only what the code itself says, `is_checked` False.

        Raises CodeUnreadable before anything is sent.
        """
        code = _merchant_code(content)
        body = json.dumps({"content": content}, ensure_ascii=False)
        request = Request("POST", "/v1/me/merchant-codes", body, new_idempotency_key())
        try:
            view: MerchantCodeView = read(MerchantCodeView, self._sessions.ask(request).document)
        except Offline:
            name = code.merchant_name_zh or code.merchant_name
            return MerchantCodeView(name, None, None, code.amount_fen, code.bill_number, False)
        return replace(view, is_checked=True)

    def pay_merchant_code(self, content: str, amount_fen: int) -> Payment:
        """Pays a scanned merchant code. Raises CodeUnreadable before anything is sent."""
        _require_amount(amount_fen)
        _merchant_code(content)
        make = self._commands.pay(content, amount_fen)
        return cast("Payment", self._operations.perform(Kind.PAY, make))

    def payment(self, payment_id: str) -> Payment:
        """Asks how a payment stands."""
        found: Payment = read(Payment, self._sessions.get(f"/v1/me/payments/{payment_id}"))
        return found

    # After a lost answer

    def open_operations(self) -> tuple[Operation, ...]:
        """Operations whose outcome is not known yet."""
        return self._operations.open_operations()

    def resume(self) -> tuple[Resumed, ...]:
        """Learns the outcome of stored operations; call it at each start and when online again."""
        return self._operations.resume()

    def _ask_accounts(self) -> tuple[Account, ...]:
        accounts: _Accounts = read(_Accounts, self._sessions.get("/v1/me/wallets"))
        return accounts.data

    def _remember_account(self, account: Account) -> Account:
        as_of = self._clock.now()
        self._document.change(lambda state: replace(state, account=account, account_as_of=as_of))
        return account

    def _remember_person(self, told: Person) -> Person:
        person = replace(told, as_of=self._clock.now())
        self._document.change(lambda state: replace(state, person=person))
        return person

    def _require_phone(self, phone: str) -> None:
        owner = self._document.read().phone
        if owner not in (None, phone):
            raise NotReady("other_person", "this state belongs to another phone number")

    def _locked(self, refusal: Refused) -> LoginLocked | None:
        """The refusal that says until when, for one that means that the code is void."""
        challenge = self._document.read().challenge
        is_last_try = refusal.code == WRONG_CODE and refusal.data.get("tries_left") == 0
        if challenge is None or not (is_last_try or refusal.code == LOCKED):
            return None
        seconds = refusal.data.get("retry_after_seconds")
        if type(seconds) is int:
            until = self._clock.now() + timedelta(seconds=seconds)
        else:
            until = challenge.expires_at or self._clock.now() + CODE_LIFE_MAX
        return LoginLocked(refusal.problem, until, challenge.resend_at)

    def _ask_again_seconds(self, top_up: TopUp) -> float:
        if top_up.ask_again_at is None:
            return 1.0
        left: timedelta = top_up.ask_again_at - self._clock.now()
        return min(max(left.total_seconds(), ASK_AGAIN_MIN_SECONDS), ASK_AGAIN_MAX_SECONDS)

    def _learn_time(self, backend_seconds: float) -> None:
        if self._clock.learn(backend_seconds):
            skew_seconds, read_seconds = self._clock.skew_seconds, self._clock.read_seconds

            def keep(state: State) -> State:
                return replace(
                    state, clock_skew_seconds=skew_seconds, clock_read_seconds=read_seconds
                )

            self._document.change(keep)


def _require_amount(amount_fen: int) -> None:
    if type(amount_fen) is not int or amount_fen <= 0:
        raise ValueError("an amount is a whole number of fen, above zero")


def _merchant_code(content: str) -> emvco.MerchantCode:
    try:
        return emvco.MerchantCode.decode(content)
    except MalformedBytes as error:
        raise CodeUnreadable(error.code, str(error)) from None
