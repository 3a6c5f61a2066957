"""Events, moves to a new phone, suspensions and their end, on both database engines."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import pytest
from card_world import STAFF, Phone, World, operation

from backend.db import IdempotencyConflict
from backend.kernel import new_id
from backend.virtual_card import (
    CARD_NOTICE,
    MOVE_DUE,
    Action,
    ActorKind,
    Card,
    CardKind,
    ChangeCard,
    ConfirmCard,
    DeviceEnded,
    DeviceUnknown,
    EndDevice,
    EventKind,
    EventMalformed,
    MoveCard,
    MoveOpen,
    MoveRefused,
    ProvisioningDeclined,
    Reason,
    ReleaseRefused,
    StepUpRequired,
    TokenPending,
    TokenState,
    TokenTransitionRefused,
    TokenUnknown,
)
from backend.virtual_card.life.model import MOVE_BOUND, POLICY
from backend.web import ProofInvalid

PRODUCT_OF = {
    CardKind.MAIN: "main_on_phone",
    CardKind.SECONDARY: "second_on_phone",
    CardKind.MOBILE: "phone_card",
}
STATE_AFTER = {
    Action.SUSPEND: TokenState.SUSPENDED,
    Action.KEEP: TokenState.ACTIVE,
    Action.DELETE: TokenState.DELETED,
}


def attested_phone(world: World) -> Phone:
    phone = Phone()
    world.enrol_attested(phone)
    return phone


# --- events ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "card_kind"), list(product(EventKind, CardKind)))
def test_what_the_policy_says_is_what_happens(
    world: World, kind: EventKind, card_kind: CardKind
) -> None:
    phone, other = attested_phone(world), attested_phone(world)
    card = world.provision(phone, product=PRODUCT_OF[card_kind])
    applied = world.happens(kind, device_id=phone.device_id, new_device_id=other.device_id)
    action = POLICY[kind, card_kind]
    (effect,) = applied.effects
    assert (effect.token_id, effect.action) == (card.token_id, action)
    assert world.cards.get(world.person_id, card.token_id).state is STATE_AFTER[action]
    last = world.history(card)[-1]
    assert (last.cause.reason, last.cause.event_id) == (Reason(kind.value), applied.event_id)
    assert (last.cause.by, last.at) == (STAFF, world.clock.now())
    assert (last.before, last.after) == (TokenState.ACTIVE, STATE_AFTER[action])
    is_told = action is not Action.KEEP or kind is EventKind.NEW_PHONE
    assert bool(world.told(CARD_NOTICE)) is (is_told and kind is not EventKind.DEATH)
    assert bool(world.told(MOVE_DUE)) is (kind is EventKind.NEW_PHONE)


def test_an_event_told_again_changes_nothing(world: World) -> None:
    phone, card, _ = world.issued()
    event_id = new_id("cev")
    first = world.happens(EventKind.LOST_PHONE, event_id=event_id, device_id=phone.device_id)
    lines = world.history(card)
    again = world.happens(EventKind.LOST_PHONE, event_id=event_id, device_id=phone.device_id)
    assert again == first
    assert world.history(card) == lines
    assert len(world.told(CARD_NOTICE)) == 1
    with pytest.raises(IdempotencyConflict) as refused:
        world.happens(EventKind.SIM_CHANGE, event_id=event_id)
    assert refused.value.data == {"fields": "device_id, kind"}


def test_an_event_means_one_device_or_all(world: World) -> None:
    phone, card, _ = world.issued()
    _, other, _ = world.issued()
    world.happens(EventKind.LOST_PHONE, device_id=phone.device_id)
    assert (world.state(card), world.state(other)) == ("suspended", "active")
    assert len(world.happens(EventKind.SIM_CHANGE).effects) == 2
    assert (world.state(card), world.state(other)) == ("suspended", "suspended")


def test_a_replaced_plastic_card_is_the_tokens_card_from_then_on(world: World) -> None:
    phone = attested_phone(world)
    main = world.provision(phone, product="main_on_phone", card_id="crd_1")
    second = world.provision(phone, product="second_on_phone", card_id="crd_2")
    applied = world.happens(EventKind.LOST_PLASTIC, card_id="crd_1", new_card_id="crd_3")
    assert [one.token_id for one in applied.effects] == [main.token_id]
    applied = world.happens(EventKind.LOST_PLASTIC, card_id="crd_1")
    assert applied.effects == ()
    applied = world.happens(EventKind.LOST_PLASTIC, card_id="crd_3")
    assert [one.token_id for one in applied.effects] == [main.token_id]
    assert world.state(second) == "active"


def test_events_about_strange_devices_are_refused(world: World) -> None:
    phone = attested_phone(world)
    with pytest.raises(DeviceUnknown):
        world.happens(EventKind.LOST_PHONE, device_id=new_id("dev"))
    with pytest.raises(EventMalformed):
        world.happens(EventKind.LOST_PHONE)
    ended = attested_phone(world)
    world.devices.end(EndDevice(world.person_id, ended.device_id), operation())
    more = {"device_id": phone.device_id, "new_device_id": ended.device_id}
    with pytest.raises(DeviceEnded):
        world.happens(EventKind.NEW_PHONE, **more)


def test_a_lost_phone_gets_no_other_card(world: World) -> None:
    phone, _, _ = world.issued()
    world.happens(EventKind.LOST_PHONE, device_id=phone.device_id)
    world.clock.advance(timedelta(days=30))
    with pytest.raises(ProvisioningDeclined) as refused:
        world.provision(phone, product="transit_card")
    assert refused.value.data == {"reasons": ["device_lost"]}


def test_after_a_death_nobody_gets_a_card(world: World) -> None:
    phone, card, _ = world.issued()
    world.happens(EventKind.DEATH)
    assert world.state(card) == "deleted"
    with pytest.raises(DeviceEnded):
        world.provision(phone)
    with pytest.raises(ProvisioningDeclined) as refused:
        world.provision(attested_phone(world))
    assert refused.value.data == {"reasons": ["holder_deceased"]}


# --- the end of a suspension ----------------------------------------------------------------------


def release(world: World, card: Card) -> Card:
    return world.cards.release(ChangeCard(world.person_id, card.token_id), operation())


def test_a_holder_ends_some_suspensions_with_a_code(world: World) -> None:
    _, card, _ = world.issued()
    world.happens(EventKind.SIM_CHANGE)
    assert world.cards.get(world.person_id, card.token_id).suspended_for is Reason.SIM_CHANGE
    with pytest.raises(StepUpRequired) as refused:
        release(world, card)
    assert world.state(card) == "suspended"
    world.give_code(refused.value)
    released = release(world, card)
    assert (released.state, released.suspended_for) == (TokenState.ACTIVE, None)


def test_staff_ends_what_the_holder_may_not(world: World) -> None:
    phone = attested_phone(world)
    card = world.provision(phone, product="main_on_phone")
    world.happens(EventKind.MOVED_AWAY)
    world.happens(EventKind.SIM_CHANGE)  # the graver reason stands
    with pytest.raises(ReleaseRefused) as refused:
        release(world, card)
    assert refused.value.data == {"reason": "moved_away"}
    world.cards.release_by_staff(card.token_id, "stf_9", operation())
    line = world.history(card)[-1]
    assert (line.cause.reason, line.cause.by.id) == (Reason.STAFF_RELEASED, "stf_9")
    with pytest.raises(TokenTransitionRefused):
        world.cards.release_by_staff(card.token_id, "stf_9", operation())
    with pytest.raises(TokenUnknown):
        world.cards.release_by_staff(new_id("tok"), "stf_9", operation())


def test_a_history_is_read_in_pages_by_its_holder_and_by_staff(world: World) -> None:
    _, card, _ = world.issued()
    for _ in range(2):
        world.report_loss(card)
        world.release(card)
    page = world.cards.history(world.person_id, card.token_id, 3, None)
    rest = world.cards.history(None, card.token_id, 3, page.next)
    assert [one.number for one in page.data + rest.data] == [1, 2, 3, 4, 5]
    assert rest.next is None
    assert {one.cause.by.kind for one in page.data} == {ActorKind.CITIZEN}
    assert world.cards.history(None, card.token_id, 9, "x").data == page.data + rest.data
    with pytest.raises(TokenUnknown):
        world.cards.history(new_id("per"), card.token_id, 3, None)


# --- moves ----------------------------------------------------------------------------------------


def move(world: World, card: Card, phone: Phone, new_token_id: str | None = None) -> Card:
    """The move, with the code it takes."""
    new = new_token_id or new_id("tok")
    asked = MoveCard(world.person_id, card.token_id, new, phone.device_id)
    with pytest.raises(StepUpRequired) as refused:
        world.cards.moves.move(asked, operation())
    assert "move" in refused.value.data["reasons"]
    world.give_code(refused.value)
    return world.cards.moves.move(asked, operation())


def confirm(world: World, card: Card, phone: Phone) -> Card:
    proof = phone.confirmation(card.token_id, world.clock)
    asked = ConfirmCard(world.person_id, card.token_id, proof)
    return world.cards.moves.confirm(asked, operation())


def test_a_card_moves_and_the_old_one_ends_when_the_new_one_lives(world: World) -> None:
    old_phone, card, keys = world.issued()
    new_phone = attested_phone(world)
    made = move(world, card, new_phone)
    assert (made.state, made.wallet_id) == (TokenState.PENDING, card.wallet_id)
    assert made.keys is not None
    assert made.token_number != card.token_number
    new_phone.open(made, made.keys)
    now = world.clock.now()
    with pytest.raises(TokenPending):
        world.verifier.verify_tap(*new_phone.tap(made, made.keys), now)
    with pytest.raises(TokenPending):
        world.refill(made)
    assert world.verifier.verify_tap(*old_phone.tap(card, keys), now).token_id == card.token_id
    confirmed = confirm(world, made, new_phone)
    assert confirmed.state is TokenState.ACTIVE
    assert confirm(world, made, new_phone) == confirmed
    assert world.verifier.verify_tap(*new_phone.tap(made, made.keys), now).token_id == made.token_id
    assert world.state(card) == "deleted"
    assert world.history(card)[-1].cause.reason is Reason.MOVED_ON
    world.clock.advance(MOVE_BOUND)
    world.deliver()
    assert world.state(made) == "active"


def test_only_the_new_phone_confirms(world: World) -> None:
    old_phone, card, _ = world.issued()
    new_phone = attested_phone(world)
    made = move(world, card, new_phone)
    for proof in (
        old_phone.confirmation(made.token_id, world.clock),
        new_phone.confirmation(card.token_id, world.clock),
        new_phone.proof(world.clock, jti=made.token_id),
        new_phone.proof(
            world.clock, aud=f"/v1/me/cards/{made.token_id}/confirmation", jti=card.token_id
        ),
        "x",
    ):
        with pytest.raises(ProofInvalid):
            world.cards.moves.confirm(
                ConfirmCard(world.person_id, made.token_id, proof), operation()
            )
    with pytest.raises(TokenUnknown):
        world.cards.moves.confirm(ConfirmCard(new_id("per"), made.token_id, "x"), operation())
    assert (world.state(made), world.state(card)) == ("pending", "active")


def test_a_move_that_is_not_confirmed_ends_the_old_card_after_its_bound(world: World) -> None:
    _, card, _ = world.issued()
    new_phone = attested_phone(world)
    made = move(world, card, new_phone)
    world.clock.advance(MOVE_BOUND - timedelta(seconds=1))
    world.deliver()
    assert world.state(card) == "active"
    world.clock.advance(timedelta(seconds=1))
    world.deliver()
    assert world.state(card) == "deleted"
    assert world.history(card)[-1].cause.reason is Reason.MOVE_OVERDUE
    (event, *_) = world.told(MOVE_DUE)
    world.cards.moves.end_overdue(event)  # heard twice
    assert confirm(world, made, new_phone).state is TokenState.ACTIVE


def test_the_same_move_hears_the_same_card_and_another_one_waits(world: World) -> None:
    _, card, _ = world.issued()
    new_phone, third = attested_phone(world), attested_phone(world)
    made = move(world, card, new_phone)
    again = world.cards.moves.move(
        MoveCard(world.person_id, card.token_id, made.token_id, new_phone.device_id), operation()
    )
    assert again.keys is not None
    assert made.keys is not None
    assert new_phone.open(again, again.keys) == new_phone.open(made, made.keys)
    asked = MoveCard(world.person_id, card.token_id, made.token_id, third.device_id)
    with pytest.raises(IdempotencyConflict):
        world.cards.moves.move(asked, operation())
    asked = MoveCard(world.person_id, card.token_id, new_id("tok"), third.device_id)
    with pytest.raises(MoveOpen):
        world.cards.moves.move(asked, operation())


def test_a_successor_whose_phone_is_gone_gives_way_to_another(world: World) -> None:
    _, card, _ = world.issued()
    new_phone, third = attested_phone(world), attested_phone(world)
    made = move(world, card, new_phone)
    world.devices.end(EndDevice(world.person_id, new_phone.device_id), operation())
    assert world.state(made) == "deleted"
    world.clock.advance(timedelta(hours=1))
    final = move(world, card, third)
    world.clock.advance(MOVE_BOUND - timedelta(hours=1))
    world.deliver()  # the first move's bound: it is not this one's
    assert world.state(card) == "active"
    assert confirm(world, final, third).state is TokenState.ACTIVE


def test_a_lost_phones_card_moves_and_a_dead_ones_does_not(world: World) -> None:
    phone, card, _ = world.issued()
    new_phone = attested_phone(world)
    world.happens(EventKind.LOST_PHONE, device_id=phone.device_id)
    made = move(world, card, new_phone)
    confirm(world, made, new_phone)
    assert world.state(card) == "deleted"
    with pytest.raises(MoveRefused):
        world.cards.moves.move(
            MoveCard(world.person_id, card.token_id, new_id("tok"), new_phone.device_id),
            operation(),
        )
    with pytest.raises(MoveRefused):
        world.cards.moves.move(
            MoveCard(world.person_id, made.token_id, new_id("tok"), new_phone.device_id),
            operation(),
        )


def test_an_announced_move_waits_for_its_phone_and_lapses(world: World) -> None:
    phone, card, _ = world.issued()
    new_phone, third = attested_phone(world), attested_phone(world)
    devices = {"device_id": phone.device_id, "new_device_id": new_phone.device_id}
    world.happens(EventKind.NEW_PHONE, **devices)
    asked = MoveCard(world.person_id, card.token_id, new_id("tok"), third.device_id)
    with pytest.raises(MoveOpen):
        world.cards.moves.move(asked, operation())
    world.clock.advance(MOVE_BOUND)
    world.deliver()
    assert world.state(card) == "active"
    made = move(world, card, third)
    assert confirm(world, made, third).state is TokenState.ACTIVE


def test_messages_reach_the_holder_once_in_both_languages(world: World) -> None:
    phone, _, _ = world.issued()
    world.happens(EventKind.LOST_PHONE, device_id=phone.device_id)
    world.deliver()
    ((message_id, number, text),) = world.sms.sent
    assert number == "13800000001"
    assert "已暂停" in text
    assert "suspended" in text
    (event,) = world.told(CARD_NOTICE)
    assert event.event_id == message_id
    world.sms.phones.clear()
    world.messages.deliver_notice(event)  # nobody to tell: no fault
    assert len(world.sms.sent) == 1
