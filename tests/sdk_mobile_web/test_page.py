"""The web SDK against the tests' backend: whole flows, bad networks, codes the verifiers take."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import jwt
import pytest

from card_protocol import pay_code
from card_protocol.code_keys import load_es256
from card_protocol.identity_code import Claim, IdentityCodeVerifier, Purpose
from card_protocol.ride_certificate import RideSuite
from card_protocol.ride_verifier import MemoryUsedCodes, RideCodeVerifier, RideRules
from card_protocol.signatures import Suite, compressed_point
from tests.sdk_mobile.fake_backend import BANK_CARD, CODE, PHONE, Refusal, Reply, Seen
from tests.sdk_mobile.fake_issuer import b64u
from tests.sdk_mobile.fake_server import Fault, ServedBackend, serving
from tests.sdk_mobile_web.driving import Page, PageRefused, Wallet, page
from tools.openapi_types import vectors

START = 1_795_400_000
MERCHANT_CODE = (
    "00020101021126520020F04349545943415244010104S0010216001122334455667752045812"
    "5303156540512.505802CN5916LAO WANG NOODLES6008YINCHENG62220106BILL420708T0000001"
    "64200002ZH0104老王面馆0202银城6304375C"
)
ISSUER_POINT = compressed_point(vectors.ISSUER.public_key())


@dataclass
class Clock:
    """The backend's time; it stands until moved."""

    seconds: float = START

    def __call__(self) -> float:
        return self.seconds


@dataclass
class CodesBackend(ServedBackend):
    """The fake backend, with parts for ride and identity codes."""

    foreign_part: bool = False
    cards_are_sm: bool = False
    parts_given: Counter[str] = field(default_factory=Counter)

    def _cards(self, seen: Seen, body: dict[str, Any], rest: list[str]) -> Reply:
        if not rest and self.cards_are_sm:
            raise Refusal(409, "device_key_missing", suite=2)
        if rest[1:] not in (["ride-part"], ["identity-part"]):
            return super()._cards(seen, body, rest)
        self.parts_given[rest[1]] += 1
        signing = self.devices[self.cards[rest[0]]["device_id"]]["signing"]
        point = ISSUER_POINT if self.foreign_part else compressed_point(signing)
        until = int(self.clock()) + 30 * 3600
        make = vectors.ride_part if rest[1] == "ride-part" else vectors.identity_part
        moment = self.stamp(30 * 3600)
        return 200, {"content": b64u(make(point, until)), "authorised_until": moment}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backend(clock: Clock) -> Iterator[CodesBackend]:
    with serving(CodesBackend(clock=clock)) as running:
        assert isinstance(running, CodesBackend)
        yield running


@pytest.fixture
def phone(backend: CodesBackend) -> Iterator[Page]:
    with page(backend.url, START) as opened:
        yield opened


@pytest.fixture
def ready(phone: Page) -> Page:
    set_up(phone)
    return phone


def set_up(phone: Wallet) -> None:
    """Registered, wallet open, enrolled, card on it, 200 yuan in the wallet."""
    phone.call("requestLoginCode", PHONE)
    phone.call("logIn", PHONE, CODE)
    phone.call("register", "张三", "110101199003070000")
    phone.call("openWallet")
    phone.call("enrolDevice", "browser")
    phone.call("provisionCard")
    phone.call("topUp", 20_000, BANK_CARD)


def gate() -> RideCodeVerifier:
    rules = RideRules(
        ca_keys={(1, RideSuite.ES256): ISSUER_POINT},
        suites={RideSuite.ES256: load_es256},
        issuers=frozenset({bytes(4)}),
        account_types=frozenset({1}),
    )
    return RideCodeVerifier(rules, MemoryUsedCodes(), frozenset())


def library() -> IdentityCodeVerifier:
    return IdentityCodeVerifier({(1, Suite.AES_ES256): ISSUER_POINT}, {Suite.AES_ES256: load_es256})


def live_keys(backend: CodesBackend) -> list[pay_code.PayCodeKey]:
    (made,) = backend.batches.values()
    return [pay_code.PayCodeKey.of(one.pay_code_key) for one in made]


def test_a_day_with_a_page(ready: Page, backend: CodesBackend, clock: Clock) -> None:
    assert ready.call("balance")["balanceFen"] == 20_000
    paid = ready.call("payMerchantCode", MERCHANT_CODE, 1_250)
    assert paid["state"] == "captured"
    assert ready.call("payment", paid["payment_id"]) == paid
    assert [one["amount_fen"] for one in ready.call("history")["lines"]] == [-1_250, 20_000]
    assert ready.call("person")["name_masked"] == "*三"
    assert ready.call("reportLoss")["state"] == "suspended"
    with pytest.raises(PageRefused, match="card_suspended"):
        ready.call("payCode")
    assert ready.call("release")["state"] == "active"
    assert max(backend.done.values()) == 1
    ready.call("reload")
    clock.seconds += backend.access_seconds + 1
    ready.call("clock", clock.seconds)
    assert ready.call("balance")["balanceFen"] == 18_750
    assert backend.done["refresh"] == 1


def test_nothing_a_script_can_read_is_a_key(ready: Page) -> None:
    """Goal: keys in the store are handles; the card's keys are not among its bytes."""
    documents = ready.call("documents")
    assert documents["card_keys"]["payCodeKey"] == {}
    assert documents["device_keys"]["signing"]["privateKey"] == {}
    assert "limitedUseKey" not in json.dumps(documents)


def test_proofs_are_by_the_enrolled_key(ready: Page, backend: CodesBackend) -> None:
    proof = ready.call("proof", "/v1/x", "jti_1", START)
    (device,) = backend.devices.values()
    options: Any = {"verify_iat": False}
    claims = jwt.decode(
        proof, device["signing"], algorithms=["ES256"], audience="/v1/x", options=options
    )
    assert claims == {"aud": "/v1/x", "jti": "jti_1", "iat": START}


def test_codes_of_half_an_hour_offline_are_taken_once(ready: Page, backend: CodesBackend) -> None:
    assert ready.call("refreshRide")
    assert ready.call("refreshIdentity")
    assert not ready.call("refreshRide")
    ready.call("online", False)
    seen = len(backend.seen)
    at_gate, at_desk, keys = gate(), library(), live_keys(backend)
    for seconds in range(START, START + 1_800, 30):
        ready.call("clock", seconds)
        shown = ready.call("payCode")
        number, one_time = pay_code.read(shown["digits"])
        assert pay_code.match(one_time, keys, seconds) == (0, seconds // 30)
        assert pay_code.read(shown["consumerPresented"]) == (number, one_time)
        ride = bytes.fromhex(ready.call("ride")["content"])
        assert at_gate.verify(ride, seconds).generated_at == seconds
        with pytest.raises(Exception, match="ride_code_used"):
            at_gate.verify(ride, seconds)
        told = ready.call("identity", "library", ["name", "registered"])
        code = at_desk.verify(told["content"], seconds)
        assert (code.purpose, code.claims) == (Purpose.LIBRARY, Claim.REGISTERED | Claim.NAME)
    with pytest.raises(PageRefused, match="offline"):
        ready.call("payMerchantCode", MERCHANT_CODE, 100)
    assert ready.call("openOperations") == []
    assert ready.call("balance")["isFresh"] is False
    assert len(backend.seen) == seen


def test_what_is_out_of_date_says_so(ready: Page, backend: CodesBackend) -> None:
    with pytest.raises(PageRefused, match="no_part"):
        ready.call("ride")
    ready.call("refreshRide")
    ready.call("online", False)
    ready.call("clock", START + 30 * 3600)
    with pytest.raises(PageRefused, match="part_expired"):
        ready.call("ride")
    ready.call("clock", START + backend.keys_seconds + 1)
    with pytest.raises(PageRefused, match="keys_expired"):
        ready.call("payCode")


def test_a_part_for_another_key_is_not_kept(ready: Page, backend: CodesBackend) -> None:
    backend.foreign_part = True
    with pytest.raises(PageRefused, match="answer_malformed"):
        ready.call("refreshRide")
    assert "ride_part" not in ready.call("documents")


def test_cards_of_the_sm_suite_are_not_for_browsers(phone: Page, backend: CodesBackend) -> None:
    backend.cards_are_sm = True
    with pytest.raises(PageRefused, match="NotReady suite_not_supported"):
        set_up(phone)
    assert phone.call("openOperations") == []


def test_keys_sealed_to_another_phone(phone: Page, backend: CodesBackend) -> None:
    backend.seal_foreign = True
    with pytest.raises(PageRefused, match="keys_unreadable"):
        set_up(phone)


def test_keys_are_refilled_below_a_third_of_their_time(
    ready: Page, backend: CodesBackend, clock: Clock
) -> None:
    assert ready.call("refillKeysIfNeeded") is False
    clock.seconds += backend.keys_seconds * 2 / 3 + 60
    ready.call("clock", clock.seconds)
    assert ready.call("refillKeysIfNeeded") is True
    bodies = [json.loads(one.body) for one in backend.seen if one.path.endswith("/keys")]
    assert bodies == [{"atc": 0, "log": []}]
    digits = ready.call("payCode")["digits"]
    live = live_keys(backend)[1:]
    assert pay_code.match(digits[10:18], live, int(clock.seconds))[0] == 0


def test_a_clock_8_hours_off_is_learnt(backend: CodesBackend) -> None:
    with page(backend.url, START - 8 * 3600) as phone:
        set_up(phone)
        digits = phone.call("payCode")["digits"]
        assert pay_code.match(digits[10:18], live_keys(backend), START)[0] == 0
        phone.call("reload")
        phone.call("online", False)
        assert phone.call("payCode")["digits"] == digits


def test_damage_says_so_and_loses_no_money(ready: Page, backend: CodesBackend) -> None:
    ready.call("damage", "state", {"form": 9})
    with pytest.raises(PageRefused, match="storage_damaged"):
        ready.call("balance")
    ready.call("forget")
    ready.call("reload")
    ready.call("requestLoginCode", PHONE)
    ready.call("logIn", PHONE, CODE)
    ready.call("openWallet")
    assert ready.call("balance")["balanceFen"] == 20_000


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER, Fault.HALF_ANSWER, Fault.ERROR_AFTER])
def test_a_lost_answer_is_learnt_after_a_reload(
    ready: Page, backend: CodesBackend, fault: Fault
) -> None:
    backend.fault = lambda method, path: fault if path == "/v1/me/payments" else None
    with pytest.raises(PageRefused, match="OutcomeUnknown"):
        ready.call("payMerchantCode", MERCHANT_CODE, 100)
    with pytest.raises(PageRefused, match="OutcomeUnknown"):
        ready.call("payMerchantCode", MERCHANT_CODE, 100)  # a second is not begun
    backend.fault = lambda method, path: None
    ready.call("reload")
    (resumed,) = ready.call("resume")
    assert resumed["result"]["amount_fen"] == 100
    assert backend.done[resumed["operationId"]] == 1
    assert backend.balance_fen == 19_900
    assert ready.call("openOperations") == []


def test_a_hostile_network_doubles_and_loses_nothing(ready: Page, backend: CodesBackend) -> None:
    """Goal: 400 payments over a network that loses a third of all; each is done once."""
    chance = Random(6)
    faults = [*Fault, *[None] * 16]
    backend.fault = lambda method, path: chance.choice(faults)
    known: set[str] = set()
    heard: set[str] = set()
    for _ in range(400):
        try:
            known.add(ready.call("payMerchantCode", MERCHANT_CODE, 10)["payment_id"])
        except PageRefused as refusal:
            heard.add(refusal.code)
            with suppress(PageRefused):
                known |= payments_in(ready.call("resume"))
    backend.fault = lambda method, path: None
    ready.call("reload")
    known |= payments_in(ready.call("resume"))
    done = {one for one in backend.done if one.startswith("pay_")}
    assert known == done
    assert all(backend.done[one] == 1 for one in done)
    assert backend.balance_fen == 20_000 - 10 * len(done)
    assert ready.call("balance")["balanceFen"] == backend.balance_fen
    assert len(done) > 300
    assert "outcome_unknown" in heard
    assert heard <= {"outcome_unknown", "offline", "rate_limited"}


def payments_in(resumed: list[dict[str, Any]]) -> set[str]:
    return {one["operationId"] for one in resumed if one["kind"] == "pay" and one["result"]}


def test_a_refused_top_up_is_over(ready: Page) -> None:
    with pytest.raises(PageRefused) as refused:
        ready.call("topUp", 500_001, BANK_CARD)
    assert (refused.value.name, refused.value.code) == ("Refused", "ceiling")
    assert refused.value.data == {"ceiling_fen": 500_000}
    assert ready.call("openOperations") == []


def test_a_session_ended_elsewhere(ready: Page, backend: CodesBackend) -> None:
    backend.ended |= backend.live_sessions()
    with pytest.raises(PageRefused, match="signed_out"):
        ready.call("balance")


def test_another_person_is_not_let_in(ready: Page) -> None:
    with pytest.raises(PageRefused, match="other_person"):
        ready.call("requestLoginCode", "13900000002")


def test_a_wrong_code_then_the_right_one(phone: Page) -> None:
    phone.call("requestLoginCode", PHONE)
    with pytest.raises(PageRefused, match="code_wrong"):
        phone.call("logIn", PHONE, "000000")
    assert phone.call("logIn", PHONE, CODE) is False
