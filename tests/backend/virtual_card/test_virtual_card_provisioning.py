"""Attested devices, one-time codes and decisions on record, on both database engines."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from card_world import ISSUER, Phone, World, operation
from sqlalchemy import select

from backend.db import AnsweredBefore, Which
from backend.identity import SmsFailed
from backend.kernel import new_id
from backend.virtual_card import (
    AnswerStepUp,
    AttestationGiven,
    AttestationInvalid,
    AttestationRequired,
    AttestationUnavailable,
    Attested,
    Card,
    DeviceFacts,
    Devices,
    DeviceUnknown,
    NonceUnknown,
    OsIntegrity,
    ProvisioningDeclined,
    StepUpCodeWrong,
    StepUpEnded,
    StepUpRequired,
    StepUpTooOften,
    StepUpUnknown,
    TokenState,
    tables,
)

# --- attestation ----------------------------------------------------------------------------------


def test_a_device_keeps_what_is_vouched_for(world: World) -> None:
    vouched, other = Phone(), Phone()
    device = world.enrol_attested(vouched, model="Pixel 9", key_protection="strongbox")
    facts = DeviceFacts(Attested.HARDWARE, OsIntegrity.VERIFIED, "Pixel 9")
    assert device.facts == facts
    assert world.devices.get(world.person_id, vouched.device_id).facts == facts
    assert world.enrol(other).facts == DeviceFacts()


def test_a_statement_that_does_not_hold_enrols_nothing(world: World) -> None:
    phone, thief = Phone(), Phone()
    given = world.attestation(phone)
    far = world.attestation(phone, model="sandbox-unreachable")
    cases: list[tuple[type[Exception], dict[str, Any]]] = [
        (AttestationInvalid, {"attestation": world.attestation(thief)}),
        (AttestationInvalid, {"attestation": world.attestation(phone, model="sandbox-revoked")}),
        (NonceUnknown, {"attestation": AttestationGiven(bytes(56), given.statement)}),
        (NonceUnknown, {"attestation": AttestationGiven(b"", given.statement)}),
        (
            AttestationUnavailable,
            {"attestation": far},
        ),
    ]
    for refusal, changes in cases:
        with pytest.raises(refusal):
            world.enrol(phone, **changes)
    world.clock.advance(timedelta(minutes=11))
    with pytest.raises(NonceUnknown):
        world.enrol(phone, attestation=given, proof=phone.proof(world.clock))
    with pytest.raises(DeviceUnknown):
        world.devices.get(world.person_id, phone.device_id)


def test_a_nonce_is_one_persons(world: World) -> None:
    phone, stranger = Phone(), new_id("per")
    given = world.attestation(phone)
    with pytest.raises(NonceUnknown):
        world.enrol(phone, person_id=stranger, attestation=given)
    assert world.enrol(phone, attestation=given).facts.attested is Attested.HARDWARE


def test_a_city_without_a_judge_takes_no_statement(world: World) -> None:
    given = world.attestation(Phone())
    world.devices = Devices(world.units)
    with pytest.raises(AttestationUnavailable):
        world.devices.nonce(world.person_id)
    with pytest.raises(AttestationUnavailable):
        world.enrol(Phone(), attestation=given)


def test_a_city_may_insist_on_a_statement(world: World) -> None:
    assert world.devices.gate is not None
    world.devices = Devices(world.units, replace(world.devices.gate, is_required=True))
    phone, bare = Phone(), Phone()
    with pytest.raises(AttestationRequired):
        world.enrol(bare)
    assert world.enrol_attested(phone).facts.attested is Attested.HARDWARE
    with pytest.raises(DeviceUnknown):
        world.devices.get(world.person_id, bare.device_id)


def test_an_enrolled_device_is_not_judged_again(world: World) -> None:
    """A phone that lost the answer asks again with a nonce that is too old by then; a city that
    begins to insist leaves the phones it has."""
    phone, bare = Phone(), Phone()
    given = world.attestation(phone)
    sent = operation()
    first = world.devices.enrol(world.enrol_command(phone, attestation=given), sent)
    world.enrol(bare)
    world.clock.advance(timedelta(minutes=11))
    late = world.enrol_command(phone, attestation=given)
    with pytest.raises(AnsweredBefore):
        world.devices.enrol(late, sent)
    assert world.devices.enrol(late, operation()) == first
    assert world.devices.gate is not None
    world.devices = Devices(world.units, replace(world.devices.gate, is_required=True))
    assert world.enrol(bare).facts == DeviceFacts()


# --- decisions and one-time codes -----------------------------------------------------------------


def refused_for_a_code(world: World, phone: Phone) -> StepUpRequired:
    with pytest.raises(StepUpRequired) as refused:
        world.provision(phone)
    return refused.value


def second_phone(world: World) -> Phone:
    """A phone nobody vouches for, of a person who has a card elsewhere."""
    world.issued()
    phone = Phone()
    world.enrol(phone)
    return phone


def decisions(world: World) -> list[tuple[str, list[str]]]:
    columns = tables.decision.c
    with world.units.read(Which.BUSINESS) as work:
        rows = work.execute(select(tables.decision).order_by(columns.decision_id)).all()
    assert all(row.facts["attested"] for row in rows)
    return [(row.outcome, row.reasons) for row in rows]


def test_a_code_opens_the_way_once(world: World) -> None:
    phone = second_phone(world)
    refusal = refused_for_a_code(world, phone)
    assert refusal.data["reasons"] == ["device_unattested"]
    assert world.cards.list(world.person_id, 10, None).next is None
    world.give_code(refusal)
    third = Phone()
    world.enrol(third)
    with pytest.raises(StepUpTooOften):  # the code is for another phone
        world.provision(third)
    card = world.provision(phone)
    assert card.keys is not None
    world.clock.advance(timedelta(minutes=1))
    refused_for_a_code(world, third)  # the code was for that phone, and is used up
    assert decisions(world) == [
        ("approve", []),
        ("step_up", ["device_unattested"]),
        ("approve", ["device_unattested"]),
        ("step_up", ["device_unattested"]),
    ]


def test_the_code_is_in_the_sms_and_nowhere_else(world: World) -> None:
    refusal = refused_for_a_code(world, second_phone(world))
    assert world.deliver() == 1
    ((message_id, phone_number, text),) = world.sms.sent
    assert (message_id, phone_number) == (refusal.data["step_up_id"], "13800000001")
    code = next(word for word in text.split() if word[:6].isdecimal())[:6]
    with world.units.read(Which.BUSINESS) as work:
        for table in tables.token.metadata.tables.values():
            for row in work.execute(select(table)).all():
                assert code not in {str(value) for value in row}
                assert "code': '" + code not in str(row)


def test_a_message_that_was_not_taken_is_sent_later_and_a_dead_code_never(world: World) -> None:
    phone = second_phone(world)
    refused_for_a_code(world, phone)
    world.sms.faults.append(SmsFailed(retryable=True))
    world.deliver()
    assert world.sms.sent == []
    world.clock.advance(timedelta(seconds=2))
    world.deliver()
    assert len(world.sms.sent) == 1
    world.clock.advance(timedelta(seconds=60))
    refused_for_a_code(world, phone)
    world.clock.advance(timedelta(minutes=5))
    world.deliver()
    assert len(world.sms.sent) == 1


def test_asking_again_at_once_is_the_same_code_and_then_has_a_limit(world: World) -> None:
    phone = second_phone(world)
    first = refused_for_a_code(world, phone)
    assert refused_for_a_code(world, phone).data["step_up_id"] == first.data["step_up_id"]
    for _ in range(4):
        world.clock.advance(timedelta(seconds=60))
        last = refused_for_a_code(world, phone)
    assert last.data["step_up_id"] != first.data["step_up_id"]
    world.clock.advance(timedelta(minutes=6))
    with pytest.raises(StepUpTooOften) as refused:
        world.provision(phone)
    assert refused.value.data["retry_after_seconds"] > 0
    world.deliver()
    assert len({message_id for message_id, _, _ in world.sms.sent}) <= 5


def test_wrong_codes_are_counted_and_lock(world: World) -> None:
    refusal = refused_for_a_code(world, second_phone(world))
    for left in (4, 3, 2, 1, 0):
        with pytest.raises(StepUpCodeWrong) as refused:
            world.give_code(refusal, "99999x")
        assert refused.value.data == {"tries_left": left}
    with pytest.raises(StepUpEnded):
        world.give_code(refusal)


def test_codes_end_and_belong_to_one_person(world: World) -> None:
    refusal = refused_for_a_code(world, second_phone(world))
    stranger = AnswerStepUp(new_id("per"), str(refusal.data["step_up_id"]), "000000")
    with pytest.raises(StepUpUnknown):
        world.cards.step_ups.answer(stranger, operation())
    world.deliver()
    world.clock.advance(timedelta(minutes=5))
    with pytest.raises(StepUpEnded):
        world.give_code(refusal)


def test_a_given_code_waits_a_quarter_of_an_hour(world: World) -> None:
    phone = second_phone(world)
    world.give_code(refused_for_a_code(world, phone))
    world.clock.advance(timedelta(minutes=15))
    refused_for_a_code(world, phone)


def test_a_refusal_is_said_again_under_its_id(world: World) -> None:
    phone = second_phone(world)
    command = world.provision_command(phone)
    with pytest.raises(StepUpRequired):
        world.cards.provision(command, operation("p-1"))
    with pytest.raises(AnsweredBefore):
        world.cards.provision(command, operation("p-1"))
    assert len(decisions(world)) == 2


def test_broken_phones_and_full_cards_are_declined_with_the_reason(world: World) -> None:
    rooted = Phone()
    world.enrol_attested(rooted, os_integrity="broken")
    with pytest.raises(ProvisioningDeclined) as refused:
        world.provision(rooted)
    assert refused.value.data == {"reasons": ["os_integrity_broken"]}
    world.with_figures(tokens_per_card_max=2)
    world.issued()
    world.issued()
    third = Phone()
    world.enrol_attested(third)
    with pytest.raises(ProvisioningDeclined) as refused:
        world.provision(third)
    assert refused.value.data == {"reasons": ["tokens_per_card"]}
    assert [outcome for outcome, _ in decisions(world)] == [
        "decline", "approve", "approve", "decline",
    ]  # fmt: skip


def test_a_recent_loss_and_a_young_number_ask_for_a_code(world: World) -> None:
    _, card, _ = world.issued()
    world.report_loss(card)
    world.release(card)
    world.sms.since[world.person_id] = world.clock.now() - timedelta(hours=1)
    phone = Phone()
    world.enrol_attested(phone)
    assert refused_for_a_code(world, phone).data["reasons"] == ["recent_loss", "phone_number_young"]
    world.clock.advance(timedelta(days=8))
    assert world.provision(phone).state is TokenState.ACTIVE


def test_several_cards_and_devices_each_with_its_kind_and_suite(world: World) -> None:
    phone, card, _ = world.issued()
    main = world.provision(phone, product="main_on_phone")
    second, other, _ = world.issued()
    cards: list[Card] = world.cards.list(world.person_id, 10, None).data
    assert {one.token_id for one in cards} == {card.token_id, main.token_id, other.token_id}
    assert {one.device_id for one in cards} == {phone.device_id, second.device_id}
    assert sorted(one.card_kind.value for one in cards) == ["main", "mobile", "mobile"]
    assert {int(one.suite) for one in cards} == {1}
    assert ISSUER.products["main_on_phone"].kind is main.card_kind
