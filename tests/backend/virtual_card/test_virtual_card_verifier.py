"""Taps and pay codes: what passes, and every reason why one does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from card_world import TRANSACTION, Phone, World, operation
from sqlalchemy import event

from backend.db import Which
from backend.kernel import DomainError
from backend.virtual_card import (
    CryptogramInvalid,
    EndDevice,
    KeyExpired,
    KeyUnknown,
    PayCodeAltered,
    PayCodeClockWrong,
    PayCodeExpired,
    PayCodeForeign,
    PayCodeMalformed,
    PayCodeNotYetValid,
    PayCodeUnknown,
    SignatureInvalid,
    SuiteRefused,
    TapMalformed,
    TokenDeleted,
    TokenSuspended,
    TokenUnknown,
)
from backend.virtual_card.model import number_with_check_digit
from card_protocol import pay_code
from card_protocol.emvco_consumer import Application, ConsumerCode
from card_protocol.mobile_card import GpoResponse, HolderCheck, IssuerApplicationData, Suite


def verify(world: World, tap: tuple[bytes, bytes]) -> Any:
    return world.verifier.verify_tap(*tap, world.clock.now())


# --- taps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("holder_check", list(HolderCheck))
def test_a_genuine_tap_says_whose_it_is(world: World, holder_check: HolderCheck) -> None:
    phone, card, keys = world.issued()
    proof = verify(world, phone.tap(card, keys, atc=258, holder_check=holder_check))
    assert proof.token_id == card.token_id
    assert proof.token_number == card.token_number
    assert (proof.wallet_id, proof.person_id) == (world.wallet_id, world.person_id)
    assert (proof.kind, proof.counter, proof.key_index) == ("tap", 258, 1)
    assert (proof.key_uses_max, proof.holder_check) == (20, holder_check)
    assert proof.transaction == TRANSACTION


def test_every_live_batch_is_accepted_and_verifying_writes_nothing(world: World) -> None:
    phone, card, first = world.issued()
    batches = [first, world.refill(card), world.refill(card)]
    statements: list[str] = []
    engine = world.units.databases[Which.BUSINESS].engine

    def note(_c: Any, _k: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement.split(maxsplit=1)[0])

    event.listen(engine, "before_cursor_execute", note)
    try:
        for keys in batches:
            assert verify(world, phone.tap(card, keys)).key_index == keys.key_index
            code = phone.pay_code(card, keys, world.unix)
            proof = world.verifier.verify_pay_code(code, world.clock.now())
            assert proof.key_index == keys.key_index
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert set(statements) <= {"SELECT", "BEGIN"}
    assert statements.count("SELECT") == 6 * len(batches)


def test_no_byte_of_the_purchase_can_be_altered(world: World) -> None:
    phone, card, keys = world.issued()
    pdol_data, answer = phone.tap(card, keys)
    for place in range(len(pdol_data)):
        changed = bytes(one ^ (at == place) for at, one in enumerate(pdol_data))
        with pytest.raises((CryptogramInvalid, TapMalformed)):
            verify(world, (changed, answer))


def test_altered_answers_are_refused(world: World) -> None:
    phone, card, keys = world.issued()
    pdol_data, answer = phone.tap(card, keys)
    tap = GpoResponse.decode(answer)
    flipped = bytes((tap.cryptogram[0] ^ 1, *tap.cryptogram[1:]))
    for changes in (
        {"atc": tap.atc + 1},
        {"cryptogram": flipped},
        {"cryptogram": bytes(8)},
        {"aip": b"\x00\x00"},
        {"iad": replace(tap.iad, holder_check=HolderCheck.BIOMETRIC)},
    ):
        with pytest.raises(CryptogramInvalid):
            verify(world, (pdol_data, replace(tap, **changes).encode()))


def test_another_devices_signature_is_refused(world: World) -> None:
    phone, card, keys = world.issued()
    thief = replace(phone, signing=Phone().signing)  # has the keys, not the device
    with pytest.raises(SignatureInvalid):
        verify(world, thief.tap(card, keys))
    with pytest.raises(SignatureInvalid):
        verify(world, phone.tap(card, keys, signature=bytes(64)))


def test_what_is_no_tap_is_malformed(world: World) -> None:
    phone, card, keys = world.issued()
    pdol_data, answer = phone.tap(card, keys)
    for broken in (
        (b"", answer),
        (pdol_data[:-1], answer),
        (pdol_data + b"\x00", answer),
        (b"\xff" * 42, answer),
        (pdol_data, b""),
        (pdol_data, answer[:-1]),
        (pdol_data, answer + b"\x00"),
        (pdol_data, b"\x77\x82\xff\xff"),
        phone.tap(card, keys, cryptogram_information=0x00),  # the card declined
        phone.tap(card, keys, cryptogram_information=0x40),
    ):
        with pytest.raises(TapMalformed):
            verify(world, broken)


def test_unknown_token_key_version_and_suite_are_told_apart(world: World) -> None:
    phone, card, keys = world.issued()
    stranger = number_with_check_digit("621234", "999999999999")
    with pytest.raises(TokenUnknown):
        verify(world, phone.tap(card, keys, token_number=stranger))
    for index in (0, 2, 2**32 - 1):
        iad = IssuerApplicationData(Suite.AES_ES256, 1, index, HolderCheck.NONE)
        with pytest.raises(KeyUnknown):
            verify(world, phone.tap(card, keys, iad=iad))
    iad = IssuerApplicationData(Suite.AES_ES256, 2, 1, HolderCheck.NONE)
    with pytest.raises(KeyUnknown):
        verify(world, phone.tap(card, keys, iad=iad))
    iad = IssuerApplicationData(Suite.SM4_SM2, 1, 1, HolderCheck.NONE)
    with pytest.raises(SuiteRefused):
        verify(world, phone.tap(card, keys, iad=iad))


def test_keys_end_by_time_and_by_being_replaced(world: World) -> None:
    phone, card, keys = world.issued()
    world.clock.advance(timedelta(hours=120) - timedelta(seconds=1))
    assert verify(world, phone.tap(card, keys)).key_index == 1
    world.clock.advance(timedelta(seconds=1))
    with pytest.raises(KeyExpired):
        verify(world, phone.tap(card, keys))
    batches = [world.refill(card) for _ in range(4)]
    with pytest.raises(KeyExpired):
        verify(world, phone.tap(card, batches[0]))
    for alive in batches[1:]:
        verify(world, phone.tap(card, alive))


def test_suspended_and_deleted_cards_do_not_pay(world: World) -> None:
    phone, card, keys = world.issued()
    tap, code = phone.tap(card, keys), phone.pay_code(card, keys, world.unix)
    for change, refusal in (
        (lambda: world.report_loss(card), TokenSuspended),
        (
            lambda: world.devices.end(EndDevice(world.person_id, phone.device_id), operation()),
            TokenDeleted,
        ),
    ):
        change()
        with pytest.raises(refusal):
            verify(world, tap)
        with pytest.raises(refusal):
            world.verifier.verify_pay_code(code, world.clock.now())
        with pytest.raises(CryptogramInvalid):  # who has no key learns no state
            verify(world, phone.tap(card, keys, cryptogram=bytes(8)))


# --- pay codes ------------------------------------------------------------------------------------


def code_refusal(world: World, content: str) -> type[DomainError] | None:
    try:
        world.verifier.verify_pay_code(content, world.clock.now())
    except DomainError as refusal:
        return type(refusal)
    return None


def test_a_pay_code_says_whose_it_is(world: World) -> None:
    phone, card, keys = world.issued()
    code = phone.pay_code(card, keys, world.unix)
    proof = world.verifier.verify_pay_code(code, world.clock.now())
    assert (proof.token_id, proof.wallet_id) == (card.token_id, world.wallet_id)
    assert (proof.kind, proof.counter) == ("pay_code", pay_code.step_at(world.unix))
    assert (proof.holder_check, proof.transaction) == (None, None)


@pytest.mark.parametrize(
    ("steps", "refusal"),
    [
        (0, None),
        (-1, None),
        (1, None),
        (-2, PayCodeExpired),
        (-120, PayCodeExpired),
        (-121, PayCodeAltered),
        (2, PayCodeNotYetValid),
        (120, PayCodeNotYetValid),
        (121, PayCodeAltered),
    ],
)
def test_a_code_is_good_for_three_steps_and_then_told_apart(
    world: World, steps: int, refusal: type[DomainError] | None
) -> None:
    phone, card, keys = world.issued()
    world.clock.advance(timedelta(hours=2))
    code = phone.pay_code(card, keys, world.unix + steps * pay_code.STEP_SECONDS)
    assert code_refusal(world, code) is refusal


@pytest.mark.parametrize(
    ("seconds", "refusal"),
    [
        (8 * 3600, PayCodeClockWrong),
        (-8 * 3600, PayCodeClockWrong),
        (8 * 3600 + 45, PayCodeClockWrong),
        (-8 * 3600 - 45, PayCodeClockWrong),
        (8 * 3600 + 120, PayCodeAltered),
        (-7 * 3600, PayCodeAltered),
    ],
)
def test_a_clock_wrong_by_eight_hours_is_its_own_refusal(
    world: World, seconds: int, refusal: type[DomainError]
) -> None:
    phone, card, keys = world.issued()
    world.clock.advance(timedelta(hours=9))
    assert code_refusal(world, phone.pay_code(card, keys, world.unix + seconds)) is refusal


def test_both_forms_of_a_pay_code_say_the_same(world: World) -> None:
    phone, card, keys = world.issued()
    code = pay_code.decode(phone.pay_code(card, keys, world.unix))
    now = world.clock.now()
    proofs = [
        world.verifier.verify_pay_code(form, now)
        for form in (code.encode(), code.encode_consumer())
    ]
    assert proofs[0] == proofs[1]  # the same (token, kind, counter): one use for both


def test_consumer_presented_codes_are_refused_like_the_digits(world: World) -> None:
    phone, card, keys = world.issued()
    code = pay_code.decode(phone.pay_code(card, keys, world.unix))
    foreign = ConsumerCode((Application(bytes.fromhex("A000000333010102"), ()),)).encode()
    assert code_refusal(world, foreign) is PayCodeForeign
    assert code_refusal(world, code.encode_consumer()[:-4]) is PayCodeMalformed
    other = replace(code, one_time=f"{(int(code.one_time) + 1) % 10**8:08d}")
    assert code_refusal(world, other.encode_consumer()) is PayCodeAltered
    world.clock.advance(timedelta(seconds=90))
    assert code_refusal(world, code.encode_consumer()) is PayCodeExpired


def test_the_step_claimed_is_the_codes_own(world: World) -> None:
    phone, card, keys = world.issued()
    for steps in (-1, 0, 1):
        at = world.unix + steps * pay_code.STEP_SECONDS
        proof = world.verifier.verify_pay_code(phone.pay_code(card, keys, at), world.clock.now())
        assert proof.counter == pay_code.step_at(at)


def test_codes_of_ended_keys_are_expired(world: World) -> None:
    phone, card, keys = world.issued()
    world.clock.advance(timedelta(hours=120))
    assert code_refusal(world, phone.pay_code(card, keys, world.unix)) is PayCodeExpired
    world.clock.advance(timedelta(hours=1))
    assert code_refusal(world, phone.pay_code(card, keys, world.unix)) is PayCodeAltered


def test_malformed_foreign_unknown_and_altered_codes(world: World) -> None:
    phone, card, keys = world.issued()
    code = phone.pay_code(card, keys, world.unix)
    wrong_check = code[:-1] + str((int(code[-1]) + 1) % 10)
    for broken in ("", "hello", code[:-1], code + "0", wrong_check, "９" * 19):
        assert code_refusal(world, broken) is PayCodeMalformed
    for foreign in ("134567890123456789", "281234567890123456", "6212345678901234567"):
        assert code_refusal(world, foreign) is PayCodeForeign
    digits = pay_code.decode(code)
    other_number = f"{(int(card.short_number) + 1) % 10**8:08d}"
    unknown = pay_code.encode(other_number, digits.one_time)
    assert code_refusal(world, unknown) is PayCodeUnknown
    altered = pay_code.encode(card.short_number, f"{(int(digits.one_time) + 1) % 10**8:08d}")
    assert code_refusal(world, altered) is PayCodeAltered


def test_one_cards_digits_do_not_pay_for_another(world: World) -> None:
    phone, card, keys = world.issued()
    second, other, _ = world.issued()
    assert second.device_id != phone.device_id
    mine = pay_code.decode(phone.pay_code(card, keys, world.unix))
    mixed = pay_code.encode(other.short_number, mine.one_time)
    assert code_refusal(world, mixed) is PayCodeAltered
