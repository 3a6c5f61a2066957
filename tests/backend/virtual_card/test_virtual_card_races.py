"""Commands about one person at the same moment: one after the other, whichever comes first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any

from card_world import STAFF, Phone, World, operation
from sqlalchemy import func, select
from suites_world import add

from backend.db import Units, Which
from backend.kernel import DomainError, new_id
from backend.virtual_card import (
    ApplyEvent,
    Card,
    ConfirmCard,
    Device,
    EventKind,
    MoveCard,
    RefillKeys,
    StepUpRequired,
    TapVerifier,
    TapWatch,
    TokenCloned,
    TokenState,
    tables,
)

ROUNDS = 6
MINUTE = timedelta(minutes=1)


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each heard: a value, or the refusal's code."""
    barrier = Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        barrier.wait(timeout=10)
        try:
            return act()
        except DomainError as refusal:
            return refusal.code

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def attested(world: World) -> Phone:
    phone = Phone()
    world.enrol_attested(phone)
    return phone


def live_cards(world: World) -> list[Card]:
    cards = world.cards.list(world.person_id, 100, None).data
    return [one for one in cards if one.state is not TokenState.DELETED]


def test_a_cards_limit_holds_on_two_phones_at_once(world: World) -> None:
    world.with_figures(tokens_per_card_max=3)
    phones = [attested(world) for _ in range(5)]
    commands = [world.provision_command(phone) for phone in phones]
    heard = at_once(*(lambda one=one: world.cards.provision(one, operation()) for one in commands))
    assert sorted(one for one in heard if isinstance(one, str)) == ["provisioning_declined"] * 2
    assert len(live_cards(world)) == 3


def test_no_card_survives_a_death_that_comes_during_provisioning(world: World) -> None:
    """Goal: also on a phone that the event could not have seen."""
    for _ in range(ROUNDS):
        world.person_id = new_id("per")
        world.registered.add(world.person_id)
        world.wallets.add((world.person_id, world.wallet_id))
        phone = attested(world)
        command = world.provision_command(phone)
        event = ApplyEvent(new_id("cev"), EventKind.DEATH, world.person_id, by=STAFF)
        made, applied = at_once(
            lambda command=command: world.cards.provision(command, operation()),
            lambda event=event: world.cards.events.apply(event, operation()),
        )
        assert live_cards(world) == []
        if isinstance(made, Card):
            assert [one.token_id for one in applied.effects] == [made.token_id]
        else:
            assert made in ("device_ended", "provisioning_declined")


def test_a_refill_during_a_suspension_is_before_or_after_it(world: World) -> None:
    phone, card, _ = world.issued()
    for round_ in range(ROUNDS):
        before = key_index(world, card)
        refill = RefillKeys(world.person_id, card.token_id, 0)
        event = ApplyEvent(
            new_id("cev"),
            EventKind.LOST_PHONE,
            world.person_id,
            by=STAFF,
            device_id=phone.device_id,
        )
        issued, _ = at_once(
            lambda refill=refill: world.cards.refill(refill, operation()),
            lambda event=event: world.cards.events.apply(event, operation()),
        )
        got_keys = not isinstance(issued, str)
        assert got_keys or issued == "token_suspended"
        assert key_index(world, card) == before + got_keys
        assert world.state(card) == "suspended", round_
        world.cards.release_by_staff(card.token_id, "stf_1", operation())
    numbers = [one.number for one in world.history(card)]
    assert numbers == list(range(1, 2 * ROUNDS + 2))


def test_one_event_told_five_times_at_once_happens_once(world: World) -> None:
    phone, card, _ = world.issued()
    event = ApplyEvent(
        new_id("cev"),
        EventKind.LOST_PHONE,
        world.person_id,
        by=STAFF,
        device_id=phone.device_id,
    )
    heard = at_once(*(lambda: world.cards.events.apply(event, operation()) for _ in range(5)))
    assert all(one == heard[0] for one in heard)
    assert len(world.history(card)) == 2


def test_two_phones_that_want_one_card_at_once_get_one_successor(world: World) -> None:
    _, card, _ = world.issued()
    phones = [attested(world), attested(world)]
    moves = [
        MoveCard(world.person_id, card.token_id, new_id("tok"), one.device_id) for one in phones
    ]
    for move in moves:
        with_code(world, move)
        world.clock.advance(MINUTE)
    heard = at_once(*(lambda one=one: world.cards.moves.move(one, operation()) for one in moves))
    assert [one for one in heard if isinstance(one, str)] == ["move_open"]
    (made,) = [one for one in heard if isinstance(one, Card)]
    phone = next(one for one in phones if one.device_id == made.device_id)
    confirmation = ConfirmCard(
        world.person_id, made.token_id, phone.confirmation(made.token_id, world.clock)
    )
    heard = at_once(
        *(lambda: world.cards.moves.confirm(confirmation, operation()) for _ in range(3))
    )
    assert all(one.state is TokenState.ACTIVE for one in heard)
    assert [one.token_id for one in live_cards(world)] == [made.token_id]


def test_two_copies_at_two_terminals_at_once_are_caught(world: World) -> None:
    phone, card, keys = world.issued()
    pdol_data = phone.tap(card, keys, atc=1)[0]
    other = pdol_data[:1] + b"\x01" + pdol_data[2:]
    taps = [phone.tap(card, keys, atc=1, pdol_data=one) for one in (pdol_data, other)]
    now = world.clock.now()
    units = Units(world.units.databases, world.clock)  # as another process: a group of its own
    watchers = (world.watcher, TapVerifier(units, world.keys, TapWatch(units)))
    heard = at_once(
        *(
            lambda who=who, one=one: who.verify_tap(*one, now)
            for who, one in zip(watchers, taps, strict=True)
        )
    )
    codes = [one for one in heard if isinstance(one, str)]
    assert codes in ([TokenCloned.code], ["token_suspended"])
    assert world.state(card) == "suspended"
    with world.units.read(Which.BUSINESS) as work:
        assert work.execute(select(func.count()).select_from(tables.tap)).scalar_one() == 1


def key_index(world: World, card: Card) -> int:
    columns = tables.token.c
    with world.units.read(Which.BUSINESS) as work:
        query = select(columns.key_index).where(columns.token_id == card.token_id)
        return int(work.execute(query).scalar_one())


def with_code(world: World, move: MoveCard) -> None:
    try:
        world.cards.moves.move(move, operation())
    except StepUpRequired as refusal:
        world.give_code(refusal)


def test_taps_of_one_card_at_two_processes_are_all_remembered(world: World) -> None:
    """Goal: no tap overwrites what another one raised the highest counter to."""
    phone, card, keys = world.issued()
    units = Units(world.units.databases, world.clock)
    watchers = (world.watcher, TapVerifier(units, world.keys, TapWatch(units)))
    now = world.clock.now()
    taps = [phone.tap(card, keys, atc=atc) for atc in range(1, 17)]

    def half(which: int) -> None:
        for tap in taps[which::2]:
            watchers[which].verify_tap(*tap, now)

    at_once(lambda: half(0), lambda: half(1))
    with world.units.read(Which.BUSINESS) as work:
        assert work.execute(select(func.count()).select_from(tables.tap)).scalar_one() == 16
        (row,) = work.execute(select(tables.watch)).all()
    assert row.atc_highest == 16


def test_of_two_sm2_keys_told_at_once_one_is_the_phones(world: World) -> None:
    for _ in range(ROUNDS):
        world.person_id = new_id("per")
        phone = attested(world)
        phones = [phone, replace(phone, sm2=Phone().sm2)]
        heard = at_once(*(lambda one=one: add(world, one) for one in phones))
        (device,) = [one for one in heard if isinstance(one, Device)]
        assert [one for one in heard if one is not device] == ["device_key_exists"]
        assert world.devices.get(world.person_id, phone.device_id) == device
