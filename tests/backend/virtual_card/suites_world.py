"""What tests of suites share: a city that changes over, phones with and without an SM2 key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from card_world import ISSUER, PHONE_CARD, Phone, World, operation

from backend.virtual_card import AddSm2Key, Card, Device, IssuedKeys, IssuerProfile
from backend.virtual_card.devices import add_audience
from card_protocol.mobile_card import Suite

SM_CARD = replace(PHONE_CARD, suite=Suite.SM4_SM2)
SM_ISSUER = IssuerProfile(products={"phone_card": SM_CARD}, token_prefix="621234")


def change_over(world: World, suite: Suite = Suite.SM4_SM2) -> None:
    """The city issues its phone card in another suite from now on."""
    world.cards = world.cards_with(SM_ISSUER if suite is Suite.SM4_SM2 else ISSUER)


def enrolled(world: World, **changes: Any) -> Phone:
    """An attested phone with its SM2 key told."""
    phone = Phone()
    given = {"attestation": world.attestation(phone), "sm2": phone.sm2_given()}
    world.enrol(phone, **{**given, **changes})
    return phone


def issued(world: World, suite: Suite) -> tuple[Phone, Card, IssuedKeys]:
    change_over(world, suite)
    phone = enrolled(world)
    card = world.provision(phone)
    assert card.keys is not None
    return phone, card, card.keys


def add(world: World, phone: Phone, **changes: Any) -> Device:
    path = add_audience(phone.device_id)
    proof = phone.proof(world.clock, aud=path)
    command = AddSm2Key(world.person_id, phone.device_id, phone.sm2_given(), proof)
    return world.devices.add_sm2_key(replace(command, **changes), operation())
