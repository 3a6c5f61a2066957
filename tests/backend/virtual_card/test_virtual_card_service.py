"""Enrolling, provisioning, refilling, loss report and release, on both database engines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from card_world import ISSUER, PHONE_CARD, Phone, World, operation
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from backend.db import AnsweredBefore, IdempotencyConflict, Which
from backend.db.operations import ConcurrentChange
from backend.kernel import new_id
from backend.kernel.ids import IdInvalid
from backend.keys import KeyRef
from backend.virtual_card import (
    Card,
    ChangeCard,
    DeviceEnded,
    DeviceState,
    DevicesTooMany,
    DeviceUnknown,
    EndDevice,
    IssuerProfile,
    PersonNotRegistered,
    ProductUnknown,
    RefillKeys,
    TokenDeleted,
    TokenExists,
    TokenNumbersExhausted,
    TokenState,
    TokenSuspended,
    TokenTransitionRefused,
    TokenUnknown,
    tables,
)
from backend.wallet import WalletUnknown
from backend.web import ProofInvalid
from card_protocol.mobile_card import (
    Certificate,
    compressed_point,
    is_luhn_valid,
    verify_certificate,
)

# --- devices --------------------------------------------------------------------------------------


def test_a_device_is_enrolled_and_found(world: World) -> None:
    phone = Phone()
    device = world.enrol(phone, name="Pixel")
    assert device == world.devices.get(world.person_id, phone.device_id)
    assert (device.name, device.state) == ("Pixel", DeviceState.ACTIVE)
    assert device.signing_key == compressed_point(phone.signing.public_key())
    with pytest.raises(DeviceUnknown):
        world.devices.get(new_id("per"), phone.device_id)


@pytest.mark.parametrize(
    "changes",
    [{"jti": "dev_other"}, {"aud": "/v1/login/sessions"}, {"iat_in": -301}, {"iat_in": 301}],
    ids=str,
)
def test_only_the_keys_owner_enrols_it(world: World, changes: dict[str, Any]) -> None:
    phone, thief = Phone(), Phone()
    claims = {
        name.removesuffix("_in"): world.unix + value if name.endswith("_in") else value
        for name, value in changes.items()
    }
    with pytest.raises(ProofInvalid):
        world.enrol(phone, proof=phone.proof(world.clock, **claims))
    with pytest.raises(ProofInvalid):
        world.enrol(phone, proof=thief.proof(world.clock, jti=phone.device_id))
    with pytest.raises(ProofInvalid):
        world.enrol(phone, proof="x")
    with pytest.raises(DeviceUnknown):
        world.devices.get(world.person_id, phone.device_id)


def test_one_device_id_has_one_content(world: World) -> None:
    phone = Phone()
    first = world.enrol(phone)
    assert world.enrol(phone) == first
    with pytest.raises(IdempotencyConflict) as refused:
        world.enrol(phone, name="other", sealing_key=Phone().sealing.public_key())
    assert refused.value.data == {"fields": "name, sealing_key"}
    with pytest.raises(IdInvalid):
        world.enrol(phone, device_id="phone-1")


def test_five_devices_a_person_and_ending_one_makes_room(world: World) -> None:
    phones = [Phone() for _ in range(6)]
    for phone in phones[:5]:
        world.enrol(phone)
    with pytest.raises(DevicesTooMany):
        world.enrol(phones[5])
    world.enrol(phones[5], person_id=new_id("per"))  # another person's are not counted
    world.devices.end(EndDevice(world.person_id, phones[2].device_id), operation())
    assert world.enrol(phones[5]).state is DeviceState.ACTIVE
    page = world.devices.list(world.person_id, 4, None)
    rest = world.devices.list(world.person_id, 4, page.next)
    assert (len(page.data), len(rest.data), rest.next) == (4, 2, None)
    assert {one.device_id for one in page.data + rest.data} == {one.device_id for one in phones}


def test_devices_enrolled_at_once_are_never_more_than_five(world: World) -> None:
    commands = [world.enrol_command(Phone()) for _ in range(8)]

    def attempt(index: int) -> bool:
        try:
            world.devices.enrol(commands[index], operation())
        except DevicesTooMany:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 5


def test_ending_a_device_deletes_its_cards_for_good(world: World) -> None:
    phone, card, _ = world.issued()
    world.report_loss(card)
    ended = world.devices.end(EndDevice(world.person_id, phone.device_id), operation())
    assert ended.state is DeviceState.ENDED
    assert world.cards.get(world.person_id, card.token_id).state is TokenState.DELETED
    with pytest.raises(DeviceEnded):
        world.devices.end(EndDevice(world.person_id, phone.device_id), operation())
    with pytest.raises(DeviceEnded):
        world.enrol(phone)
    with pytest.raises(DeviceEnded):
        world.provision(phone)
    with pytest.raises(TokenDeleted):
        world.refill(card)
    with pytest.raises(TokenTransitionRefused):
        world.release(card)
    with pytest.raises(DeviceUnknown):
        world.devices.end(EndDevice(new_id("per"), phone.device_id), operation())


# --- provisioning ---------------------------------------------------------------------------------


def test_a_card_has_numbers_certificate_and_keys(world: World) -> None:
    phone, card, keys = world.issued()
    assert len(card.token_number) == 19
    assert is_luhn_valid(card.token_number)
    assert card.token_number.startswith("621234")
    assert len(card.short_number) == 8
    assert (card.state, card.label) == (TokenState.ACTIVE, "CITY CARD")
    certificate = Certificate.decode(card.certificate)
    issuer_key = compressed_point(world.keys.public_key(KeyRef.ISSUER_SIGNING))
    assert verify_certificate(certificate, issuer_key)
    assert certificate.token_number == card.token_number
    assert certificate.device_public_key == compressed_point(phone.signing.public_key())
    assert certificate.is_valid_at(world.unix)
    assert not certificate.is_valid_at(world.unix + 366 * 86400)
    limits = (certificate.offline_sale_max_fen, certificate.offline_sum_max_fen)
    assert limits == (PHONE_CARD.offline_sale_max_fen, PHONE_CARD.offline_sum_max_fen)
    assert certificate.status_index == int(card.short_number)
    assert (keys.key_index, keys.key_version, keys.uses_max, keys.suite) == (1, 1, 20, 1)
    assert keys.not_after - keys.not_before == timedelta(hours=120)
    batch = phone.open(card, keys)
    context = b"luk|" + card.token_number.encode() + b"|1"
    assert batch.limited_use_key == world.keys.derive(KeyRef.TOKEN_MASTER, context, 16)
    context = b"pay|" + card.token_number.encode() + b"|1"
    assert batch.pay_code_key == world.keys.derive(KeyRef.TOKEN_MASTER, context, 32)


def test_no_row_holds_a_key(world: World) -> None:
    phone, card, keys = world.issued()
    batch = phone.open(card, keys)
    with world.units.read(Which.BUSINESS) as work:
        for table in tables.token.metadata.tables.values():
            for row in work.execute(select(table)).all():
                for secret in (batch.limited_use_key, batch.pay_code_key):
                    assert secret not in row
                    assert secret.hex() not in str(row)


def test_who_may_not_have_a_card_gets_none(world: World) -> None:
    phone = Phone()
    world.enrol(phone)
    stranger = new_id("per")
    with pytest.raises(PersonNotRegistered):
        world.provision(phone, person_id=stranger)
    with pytest.raises(WalletUnknown):
        world.provision(phone, wallet_id=new_id("wal"))
    world.registered.add(stranger)
    world.wallets.add((stranger, world.wallet_id))
    with pytest.raises(DeviceUnknown):
        world.provision(phone, person_id=stranger)
    with pytest.raises(DeviceUnknown):
        world.provision(Phone())
    with pytest.raises(ProductUnknown):
        world.provision(phone, product="gold_card")
    assert world.cards.list(world.person_id, 10, None).data == []


def test_one_card_per_device_and_product(world: World) -> None:
    phone, card, _ = world.issued()
    with pytest.raises(TokenExists) as refused:
        world.provision(phone)
    assert refused.value.data == {"token_id": card.token_id}
    assert world.provision(phone, product="transit_card").keys.uses_max == 5  # type: ignore[union-attr]
    second = Phone()
    world.enrol_attested(second)
    world.provision(second)
    page = world.cards.list(world.person_id, 2, None)
    rest = world.cards.list(world.person_id, 2, page.next)
    assert (len(page.data), len(rest.data), rest.next) == (2, 1, None)
    assert all(one.keys is None for one in page.data + rest.data)
    assert world.cards.list(new_id("per"), 10, None).data == []


def test_the_token_id_decides(world: World) -> None:
    phone = Phone()
    world.enrol(phone)
    command = world.provision_command(phone)
    first = world.cards.provision(command, operation("p-1"))
    with pytest.raises(AnsweredBefore):
        world.cards.provision(command, operation("p-1"))
    world.registered.clear()  # what was answered stays so
    again = world.cards.provision(command, operation("p-2"))
    assert again.token_number == first.token_number
    assert first.keys is not None
    assert again.keys is not None
    assert phone.open(again, again.keys) == phone.open(first, first.keys)
    with pytest.raises(IdempotencyConflict) as refused:
        world.provision(phone, token_id=command.token_id, wallet_id=new_id("wal"))
    assert refused.value.data == {"fields": "wallet_id"}
    with pytest.raises(IdempotencyConflict) as refused:
        world.provision(phone, token_id=command.token_id, person_id=new_id("per"))
    assert refused.value.data == {"fields": "token_id"}
    world.report_loss(first)
    assert world.cards.provision(command, operation()).keys is None  # no keys while suspended


def test_cards_asked_for_at_once_are_one(world: World) -> None:
    phone = Phone()
    world.enrol(phone)
    commands = [world.provision_command(phone) for _ in range(4)]

    def attempt(index: int) -> Card | None:
        try:
            return world.cards.provision(commands[index], operation())
        except TokenExists:
            return None

    with ThreadPoolExecutor(4) as pool:
        assert len([one for one in pool.map(attempt, range(4)) if one]) == 1


def test_a_number_that_is_taken_is_drawn_again(world: World) -> None:
    first_card = ["000000000001", "00000001"]
    second_card = ["000000000001"] * 3 + ["000000000002"] + ["00000001"] * 32
    draws = iter(first_card + second_card)
    cards = world.cards_with(ISSUER, draw=lambda _: next(draws))
    phone, second = Phone(), Phone()
    world.enrol_attested(phone)
    world.enrol_attested(second)
    first = cards.provision(world.provision_command(phone), operation())
    assert first.token_number.startswith("621234000000000001")
    with pytest.raises(TokenNumbersExhausted):
        cards.provision(world.provision_command(second), operation())
    assert world.provision(second).token_number != first.token_number  # nothing half-done stayed


# --- keys -----------------------------------------------------------------------------------------


def test_refills_rise_and_at_most_three_batches_live(world: World) -> None:
    phone, card, first = world.issued()
    issued = [first, *(world.refill(card, atc=15 * index) for index in (1, 2, 3))]
    assert [one.key_index for one in issued] == [1, 2, 3, 4]
    assert len({phone.open(card, one).limited_use_key for one in issued}) == 4
    assert len({phone.open(card, one).pay_code_key for one in issued}) == 4
    with world.units.read(Which.BUSINESS) as work:
        rows = work.execute(select(tables.key_batch).order_by(tables.key_batch.c.key_index)).all()
    assert [row.not_after > world.clock.now() for row in rows] == [False, True, True, True]
    assert [row.atc_reported for row in rows] == [0, 15, 30, 45]


def test_no_keys_while_suspended_and_again_after_release(world: World) -> None:
    _, card, _ = world.issued()
    assert world.report_loss(card).state is TokenState.SUSPENDED
    with pytest.raises(TokenSuspended):
        world.refill(card)
    assert world.release(card).state is TokenState.ACTIVE
    assert world.refill(card).key_index == 2


def test_only_the_holder_refills_reports_and_releases(world: World) -> None:
    _, card, _ = world.issued()
    stranger = new_id("per")
    for act in (
        lambda: world.cards.refill(RefillKeys(stranger, card.token_id, 0), operation()),
        lambda: world.cards.report_loss(ChangeCard(stranger, card.token_id), operation()),
        lambda: world.cards.release(ChangeCard(stranger, card.token_id), operation()),
        lambda: world.cards.get(stranger, card.token_id),
        lambda: world.cards.get(world.person_id, new_id("tok")),
        lambda: world.cards.refill(RefillKeys(world.person_id, new_id("tok"), 0), operation()),
    ):
        with pytest.raises(TokenUnknown):
            act()
    assert world.cards.get(world.person_id, card.token_id).state is TokenState.ACTIVE


def test_every_change_is_in_the_history_with_its_reason(world: World) -> None:
    phone, card, _ = world.issued()
    world.report_loss(card)
    with pytest.raises(TokenTransitionRefused):
        world.report_loss(card)
    world.release(card)
    with pytest.raises(TokenTransitionRefused):
        world.release(card)
    world.devices.end(EndDevice(world.person_id, phone.device_id), operation())
    history = tables.token_history
    with world.units.read(Which.BUSINESS) as work:
        rows = work.execute(select(history).order_by(history.c.number)).all()
    assert [(row.before, row.after, row.reason) for row in rows] == [
        (None, "active", "provisioned"),
        ("active", "suspended", "holder_reported_loss"),
        ("suspended", "active", "holder_released"),
        ("active", "deleted", "device_ended"),
    ]


def test_a_product_no_longer_sold_gets_no_more_keys(world: World) -> None:
    _, card, _ = world.issued()
    world.cards = world.cards_with(IssuerProfile(products={}))
    with pytest.raises(ProductUnknown):
        world.refill(card)
    assert world.cards.get(world.person_id, card.token_id).label == "CITY CARD"


# --- the database says it again -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("token", {"state": "lost"}),
        ("token", {"state": "suspended"}),
        ("token", {"suspended_for": "death"}),
        ("token", {"card_kind": "gold"}),
        ("device", {"attested": "yes"}),
        ("token_decision", {"outcome": "maybe"}),
        ("token", {"token_number": "1"}),
        ("token", {"key_index": 0}),
        ("device", {"slot": 6}),
        ("device", {"slot": None}),
        ("device", {"state": "ended"}),
        ("token_key_batch", {"uses_max": 0}),
        ("token_key_batch", {"atc_reported": 65536}),
        ("token_history", {"before": "active"}),
    ],
    ids=str,
)
def test_rows_outside_the_rules_are_refused(
    world: World, name: str, changes: dict[str, Any]
) -> None:
    world.issued()
    table = tables.token.metadata.tables[name]
    with pytest.raises(IntegrityError), world.units.write(Which.BUSINESS) as work:
        work.execute(update(table).values(**changes))


def test_a_slot_is_held_by_one_device(world: World) -> None:
    world.issued()
    with world.units.read(Which.BUSINESS) as work:
        row = work.execute(select(tables.device)).one()._asdict()
    second = {**row, "device_id": new_id("dev")}
    refusals = (IntegrityError, ConcurrentChange)
    with pytest.raises(refusals), world.units.write(Which.BUSINESS) as work:
        work.execute(insert(tables.device), second)
