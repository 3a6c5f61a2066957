"""Cards of both suites side by side: issued, refilled, moved, and mixed up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from card_world import VENDOR, Phone, World, operation
from codes_world import CodesWorld
from suites_world import add, change_over, enrolled, issued

from backend.kernel import DomainError
from backend.keys import ISSUER_KEYS, KeyRef, SoftwareKeys
from backend.virtual_card import (
    Card,
    ConfirmCard,
    CryptogramInvalid,
    DeviceKeyMissing,
    IssuedKeys,
    MoveCard,
    PayCodeAltered,
    SignatureInvalid,
    StepUpRequired,
    SuiteRefused,
    TokenSuspended,
)
from card_protocol.code_keys import load_es256
from card_protocol.mobile_card import (
    Certificate,
    GpoResponse,
    HolderCheck,
    IssuerApplicationData,
    Suite,
    compute_cryptogram,
    cryptogram_input,
    sign,
    verify_certificate,
)
from card_protocol.ride_code import RideSuite
from card_protocol.ride_verifier import MemoryUsedCodes, RideCodeVerifier, RideRules

BOTH = pytest.mark.parametrize("suite", list(Suite), ids=lambda one: one.name)


# The card


@BOTH
def test_a_card_of_each_suite_from_issue_to_loss(world: World, suite: Suite) -> None:
    phone, card, keys = issued(world, suite)
    certificate = Certificate.decode(card.certificate)
    assert (certificate.suite, card.suite, keys.suite) == (suite, suite, suite)
    assert world.keys.active_version(ISSUER_KEYS[suite]) == certificate.issuer_key_index
    for one in Suite:
        point = world.keys.public_point(ISSUER_KEYS[one])
        assert verify_certificate(certificate, point) is (one is suite)
    proof = world.verifier.verify_tap(*phone.tap(card, keys), world.clock.now())
    assert (proof.counter, proof.token_number) == (1, card.token_number)
    more = world.refill(card, atc=1)
    assert (more.key_index, more.suite) == (2, suite)
    assert phone.open(card, more) != phone.open(card, keys)
    second = world.verifier.verify_tap(*phone.tap(card, more, atc=2), world.clock.now())
    assert (second.counter, second.key_index) == (2, 2)
    shown = phone.pay_code(card, more, world.unix)
    paid = world.verifier.verify_pay_code(shown, world.clock.now())
    assert (paid.token_id, paid.kind) == (card.token_id, "pay_code")
    world.report_loss(card)
    with pytest.raises(TokenSuspended):
        world.verifier.verify_tap(*phone.tap(card, more, atc=3), world.clock.now())


def test_a_phone_without_the_key_is_told_which_it_needs(world: World) -> None:
    """Goal: told before anything is decided or taken; once the key is there the wish is good."""
    change_over(world)
    phone = enrolled(world, sm2=None)
    wish = world.provision_command(phone)
    with pytest.raises(DeviceKeyMissing) as refused:
        world.cards.provision(wish, operation())
    assert refused.value.data == {"suite": "sm4_sm2"}
    add(world, phone)
    card = world.cards.provision(wish, operation())
    assert (card.suite, card.token_id) == (Suite.SM4_SM2, wish.token_id)


def test_nobody_is_sent_a_code_for_a_card_the_phone_cannot_carry(world: World) -> None:
    """Goal: a phone without a witness, which a code would be asked of, hears of its key first."""
    change_over(world)
    enrolled(world)
    phone = enrolled(world, sm2=None, attestation=None)
    with pytest.raises(DeviceKeyMissing):
        world.provision(phone)
    add(world, phone)
    with pytest.raises(StepUpRequired):
        world.provision(phone)


def test_change_over_leaves_old_cards_as_they_are(world: World) -> None:
    """Goal: cards of before go on in their suite, refills too; new ones are of the new suite."""
    phone, old, keys = issued(world, Suite.AES_ES256)
    change_over(world)
    assert world.cards.get(world.person_id, old.token_id).certificate == old.certificate
    more = world.refill(old)
    assert (more.suite, more.key_version) == (Suite.AES_ES256, keys.key_version)
    proof = world.verifier.verify_tap(*phone.tap(old, more), world.clock.now())
    assert proof.key_index == 2
    again = world.cards.provision(
        world.provision_command(phone, token_id=old.token_id), operation()
    )
    assert again.keys is not None
    assert (again.suite, again.keys.suite) == (Suite.AES_ES256, Suite.AES_ES256)


class Watched:
    """The keys, and which of them were asked for their version."""

    def __init__(self, keys: SoftwareKeys) -> None:
        self._keys = keys
        self.asked: list[KeyRef] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._keys, name)

    def active_version(self, ref: KeyRef) -> int:
        self.asked.append(ref)
        return self._keys.active_version(ref)


def test_change_over_asks_the_old_suites_master_for_its_version(world: World) -> None:
    """Goal: with masters of different versions a refill names its own suite's."""
    _, old, _ = issued(world, Suite.AES_ES256)
    watched = Watched(world.keys)
    world.keys = cast(Any, watched)
    change_over(world)
    world.refill(old)
    assert watched.asked == [KeyRef.TOKEN_MASTER]


def move(world: World, card: Card, to: Phone) -> Card:
    """As the new phone asks for it: once, then with the code."""
    command = MoveCard(
        world.person_id, card.token_id, world.provision_command(to).token_id, to.device_id
    )
    with pytest.raises(StepUpRequired) as asked:
        world.cards.moves.move(command, operation())
    world.give_code(asked.value)
    moved = world.cards.moves.move(command, operation())
    proof = to.confirmation(moved.token_id, world.clock)
    confirmed = world.cards.moves.confirm(
        ConfirmCard(world.person_id, moved.token_id, proof), operation()
    )
    assert world.state(card) == "deleted"
    return replace(confirmed, keys=moved.keys)


@pytest.mark.parametrize("before", list(Suite), ids=lambda one: one.name)
@pytest.mark.parametrize("after", list(Suite), ids=lambda one: one.name)
def test_a_moved_card_is_of_the_suite_its_product_has_by_then(
    world: World, before: Suite, after: Suite
) -> None:
    _, old, _ = issued(world, before)
    change_over(world, after)
    phone = enrolled(world)
    card = move(world, old, phone)
    assert card.keys is not None
    assert (card.state.value, card.suite, card.keys.suite) == ("active", after, after)
    world.verifier.verify_tap(*phone.tap(card, card.keys), world.clock.now())


def test_a_card_does_not_move_to_a_phone_that_cannot_sign_for_it(world: World) -> None:
    _, old, keys = issued(world, Suite.SM4_SM2)
    target = enrolled(world, sm2=None)
    command = MoveCard(
        world.person_id, old.token_id, world.provision_command(target).token_id, target.device_id
    )
    with pytest.raises(DeviceKeyMissing):
        world.cards.moves.move(command, operation())
    assert world.state(old) == "active"
    assert world.refill(old).key_index == keys.key_index + 1
    add(world, target)
    assert move(world, old, target).suite is Suite.SM4_SM2


# What is mixed up


def in_suite(suite: Suite, by: Callable[[Phone], Any]) -> Callable[..., tuple[bytes, bytes]]:
    """A tap that says it is of `suite`, signed by whatever key `by` gives."""

    def make(world: World, phone: Phone, card: Card, keys: IssuedKeys) -> tuple[bytes, bytes]:
        pdol_data, body = phone.tap(card, keys)
        tap = GpoResponse.decode(body)
        iad = IssuerApplicationData(suite, keys.key_version, keys.key_index, HolderCheck.NONE)
        data = cryptogram_input(pdol_data, tap.aip, tap.atc, iad.encode())
        cryptogram = compute_cryptogram(suite, phone.open(card, keys).limited_use_key, data)
        signature = sign(by(phone), data + cryptogram)
        return pdol_data, replace(tap, iad=iad, cryptogram=cryptogram, signature=signature).encode()

    return make


def other_cipher(world: World, phone: Phone, card: Card, keys: IssuedKeys) -> tuple[bytes, bytes]:
    """The right suite told, the cryptogram made with the other suite's cipher."""
    pdol_data, body = phone.tap(card, keys)
    tap = GpoResponse.decode(body)
    other = next(one for one in Suite if one is not keys.suite)
    data = cryptogram_input(pdol_data, tap.aip, tap.atc, tap.iad.encode())
    cryptogram = compute_cryptogram(other, phone.open(card, keys).limited_use_key, data)
    signature = sign(phone.tap_key(keys.suite), data + cryptogram)
    return pdol_data, replace(tap, cryptogram=cryptogram, signature=signature).encode()


Mixed = Callable[[World, Phone, Card, IssuedKeys], tuple[bytes, bytes]]
MIXED: dict[str, tuple[Suite, Mixed, type[DomainError]]] = {
    "SM card says ES256, signs ES256": (
        Suite.SM4_SM2,
        in_suite(Suite.AES_ES256, lambda phone: phone.signing),
        SuiteRefused,
    ),
    "ES256 card says SM, signs SM2": (
        Suite.AES_ES256,
        in_suite(Suite.SM4_SM2, lambda phone: phone.sm2),
        SuiteRefused,
    ),
    "SM card, signed by the phone's P-256 key": (
        Suite.SM4_SM2,
        in_suite(Suite.SM4_SM2, lambda phone: phone.signing),
        SignatureInvalid,
    ),
    "ES256 card, signed by the phone's SM2 key": (
        Suite.AES_ES256,
        in_suite(Suite.AES_ES256, lambda phone: phone.sm2),
        SignatureInvalid,
    ),
    "SM card, signed by another SM2 key": (
        Suite.SM4_SM2,
        in_suite(Suite.SM4_SM2, lambda _: Phone().sm2),
        SignatureInvalid,
    ),
    "SM card, AES cryptogram": (Suite.SM4_SM2, other_cipher, CryptogramInvalid),
    "ES256 card, SM4 cryptogram": (Suite.AES_ES256, other_cipher, CryptogramInvalid),
}


@pytest.mark.parametrize(("suite", "make", "refusal"), MIXED.values(), ids=MIXED)
def test_suites_mixed_in_a_tap_are_refused(
    world: World, suite: Suite, make: Mixed, refusal: type[DomainError]
) -> None:
    phone, card, keys = issued(world, suite)
    with pytest.raises(refusal):
        world.verifier.verify_tap(*make(world, phone, card, keys), world.clock.now())
    world.verifier.verify_tap(*phone.tap(card, keys), world.clock.now())  # the genuine one passes


def test_keys_of_the_other_suites_master_make_no_pay_code(world: World) -> None:
    """Goal: one number and index, two masters, two keys."""
    _, card, keys = issued(world, Suite.SM4_SM2)
    context = b"|".join((b"pay", card.token_number.encode(), b"1"))
    stray = world.keys.derive(KeyRef.TOKEN_MASTER, context, 32, keys.key_version)

    class Stray(Phone):
        def open(self, card: Card, keys: IssuedKeys) -> Any:
            return type("Batch", (), {"pay_code_key": stray})

    shown = Stray().pay_code(card, keys, world.unix)
    with pytest.raises(PayCodeAltered):
        world.verifier.verify_pay_code(shown, world.clock.now())


# Codes


@BOTH
def test_ride_and_identity_codes_are_es256_on_cards_of_both_suites(
    world: World, suite: Suite
) -> None:
    phone, card, _ = issued(world, suite)
    city = CodesWorld(world)
    city.register(operation())
    told = city.codes.rides.gate_keys()
    rules = RideRules(
        ca_keys={(one.index, told.suite): one.public_key for one in told.ca_keys},
        suites={RideSuite.ES256: load_es256},
        issuers=frozenset({told.issuer_id}),
        account_types=frozenset(told.account_types),
        validity_seconds_max=told.validity_seconds_max,
    )
    gate = RideCodeVerifier(rules, MemoryUsedCodes(), frozenset())
    accepted = gate.verify(city.ride(phone, card), world.unix)
    assert accepted.part.card_number == card.token_number
    released = city.release(city.identity(phone, card))
    assert set(released.values) == {"name", "registered"}


def test_vendor_and_key_of_attestation_stay_on_p256(world: World) -> None:
    """Goal: what a platform vouches for is the phone's P-256 key, also with an SM2 key beside."""
    phone = enrolled(world)
    facts = world.devices.get(world.person_id, phone.device_id).facts
    assert facts.attested.value == "hardware"
    nonce = world.devices.nonce(world.person_id)
    other = Phone()
    given = replace(
        world.attestation(other),
        nonce=nonce,
        statement=VENDOR.attest(other.sm2.public_key, nonce, world.clock.now()),
    )
    with pytest.raises(DomainError, match="attestation_invalid"):
        world.enrol(other, attestation=given, sm2=other.sm2_given())
