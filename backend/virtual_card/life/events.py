"""One command for whatever happens to a person, a phone or a card; its id decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, func, insert, select, update

from backend.db import IdempotencyConflict, Operation, Units, Which, Work
from backend.kernel import check_id
from backend.virtual_card import tables
from backend.virtual_card.errors import EventsTooMany
from backend.virtual_card.life.model import (
    ENDS_DEVICES,
    EVENTS_MAX,
    POLICY,
    Action,
    Applied,
    ApplyEvent,
    Effect,
)
from backend.virtual_card.life.moves import announce_move
from backend.virtual_card.life.notices import tell_holder
from backend.virtual_card.model import Actor, CardKind, EventKind
from backend.virtual_card.rows import (
    change_token,
    get_active_device,
    get_device,
    hold_holder,
    locked_tokens,
    note_kept,
)
from backend.virtual_card.states import DeviceState, TokenEvent, TokenState


@dataclass(frozen=True, slots=True)
class Events:
    """Policy is `life.model.POLICY`; here it only takes effect."""

    units: Units

    def apply(self, command: ApplyEvent, operation: Operation) -> Applied:
        """Do what the policy says to each token the event means; told again, answer the same.

        Raises IdInvalid, EventMalformed, DeviceUnknown, DeviceEnded, EventsTooMany, and
        IdempotencyConflict for the same event id with another content.
        """
        check_id(command.event_id, "cev")
        command.check()
        return self.units.once(Which.BUSINESS, operation, lambda work: _apply(work, command))


def _apply(work: Work, command: ApplyEvent) -> Applied:
    hold_holder(work, command.person_id)
    if (before := _find_event(work, command)) is not None:
        return _answered(before, command)
    _check_room(work, command.person_id)
    _check_devices(work, command)
    _lock_devices(work, command)
    rows = locked_tokens(work, command.person_id, *_meant(command))
    # After this line nothing may refuse.
    effects = tuple(_act(work, command, row) for row in rows)
    if command.kind in ENDS_DEVICES:
        _end_devices(work, command.person_id)
    _record(work, command, effects)
    return Applied(command.event_id, command.kind, effects)


def _act(work: Work, command: ApplyEvent, row: Row[Any]) -> Effect:
    action = POLICY[command.kind, CardKind(row.card_kind)]
    if action is Action.KEEP:
        return _keep(work, command, row)
    event = TokenEvent.DELETE if action is Action.DELETE else TokenEvent.SUSPEND
    state = change_token(work, row, event, command.cause)
    tell_holder(work, command.person_id, row.token_id, command.reason, state.value)
    return Effect(row.token_id, action, state)


def _keep(work: Work, command: ApplyEvent, row: Row[Any]) -> Effect:
    """The token stays; where the event names a new card or device, it is linked to that."""
    values = {}
    if command.kind is EventKind.LOST_PLASTIC and command.new_card_id is not None:
        values["card_id"] = command.new_card_id
    note_kept(work, row, command.cause, **values)
    is_moving = command.kind is EventKind.NEW_PHONE and row.state != TokenState.PENDING.value
    if is_moving and announce_move(work, row, str(command.new_device_id)):
        tell_holder(work, command.person_id, row.token_id, command.reason, row.state)
    return Effect(row.token_id, Action.KEEP, TokenState(row.state))


def _meant(command: ApplyEvent) -> list[ColumnElement[bool]]:
    """Which of the person's tokens."""
    columns = tables.token.c
    meant: list[ColumnElement[bool]] = []
    if command.device_id is not None:
        meant.append(columns.device_id == command.device_id)
    if command.card_id is not None:  # a token whose card nobody knows may be this one's
        meant.append((columns.card_id == command.card_id) | columns.card_id.is_(None))
    return meant


def _check_devices(work: Work, command: ApplyEvent) -> None:
    """Raises DeviceUnknown, DeviceEnded."""
    if command.device_id is not None:
        get_device(work, command.person_id, command.device_id)
    if command.new_device_id is not None:
        get_active_device(work, command.person_id, command.new_device_id)


def _lock_devices(work: Work, command: ApplyEvent) -> None:
    """Whoever ends a device meanwhile, or makes a token on it, is waited for."""
    columns = tables.device.c
    mine = select(columns.device_id).where(columns.person_id == command.person_id)
    work.execute(mine.order_by(columns.device_id).with_for_update()).all()


def _end_devices(work: Work, person_id: str) -> None:
    columns = tables.device.c
    work.execute(
        update(tables.device)
        .where(columns.person_id == person_id, columns.state == DeviceState.ACTIVE.value)
        .values(state=DeviceState.ENDED.value, slot=None, ended_at=work.now)
    )


def _find_event(work: Work, command: ApplyEvent) -> Row[Any] | None:
    columns = tables.event.c
    return work.one(
        select(tables.event).where(
            columns.person_id == command.person_id, columns.event_id == command.event_id
        )
    )


def _answered(row: Row[Any], command: ApplyEvent) -> Applied:
    asked = command.content()
    differing = sorted(name for name in asked if row.content.get(name) != asked[name])
    if differing:
        raise IdempotencyConflict(fields=", ".join(differing))
    effects = tuple(
        Effect(one["token_id"], Action(one["action"]), TokenState(one["state"]))
        for one in row.effects
    )
    return Applied(row.event_id, EventKind(row.kind), effects)


def _check_room(work: Work, person_id: str) -> None:
    """Raises EventsTooMany."""
    columns = tables.event.c
    counted = select(func.count()).select_from(tables.event)
    if work.execute(counted.where(columns.person_id == person_id)).scalar_one() >= EVENTS_MAX:
        raise EventsTooMany


def _record(work: Work, command: ApplyEvent, effects: Sequence[Effect]) -> None:
    by: Actor = command.by
    row = {
        "person_id": command.person_id,
        "event_id": command.event_id,
        "kind": command.kind.value,
        "content": command.content(),
        "effects": [
            {"token_id": one.token_id, "action": one.action.value, "state": one.state.value}
            for one in effects
        ],
        "by_kind": by.kind.value,
        "by_id": by.id,
        "at": work.now,
    }
    work.execute(insert(tables.event), row)
