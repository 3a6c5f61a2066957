"""Reads rows of this domain as its facts, and writes a token's change with its history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, delete, insert, select, update

from backend.db import Work
from backend.virtual_card import tables
from backend.virtual_card.denials import DENIED, TOKEN_CHANGED
from backend.virtual_card.errors import DeviceEnded, DeviceUnknown, TokenUnknown
from backend.virtual_card.model import (
    Actor,
    Attested,
    Card,
    CardKind,
    Cause,
    Device,
    DeviceFacts,
    HistoryLine,
    IssuedKeys,
    KeyTerms,
    OsIntegrity,
)
from backend.virtual_card.states import (
    ActorKind,
    DeviceState,
    Reason,
    TokenEvent,
    TokenState,
    advance,
    graver,
)
from card_protocol.mobile_card import Suite


def device_of(row: Row[Any]) -> Device:
    return Device(
        row.device_id,
        row.person_id,
        row.name,
        row.signing_key,
        row.sealing_key,
        DeviceState(row.state),
        row.enrolled_at,
        DeviceFacts(Attested(row.attested), OsIntegrity(row.os_integrity), row.model),
        row.sm2_key,
    )


def card_of(row: Row[Any], keys: IssuedKeys | None = None) -> Card:
    return Card(
        token_id=row.token_id,
        token_number=row.token_number,
        short_number=row.short_number,
        state=TokenState(row.state),
        product=row.product,
        label=row.label,
        certificate=row.certificate,
        wallet_id=row.wallet_id,
        device_id=row.device_id,
        keys=keys,
        suite=Suite(row.suite),
        card_kind=CardKind(row.card_kind),
        suspended_for=Reason(row.suspended_for) if row.suspended_for else None,
    )


def history_line_of(row: Row[Any]) -> HistoryLine:
    return HistoryLine(
        number=row.number,
        before=TokenState(row.before) if row.before else None,
        after=TokenState(row.after),
        cause=Cause(Reason(row.reason), Actor(ActorKind(row.by_kind), row.by_id), row.event_id),
        at=row.at,
    )


def terms_of(row: Row[Any]) -> KeyTerms:
    return KeyTerms(row.key_index, row.key_version, row.uses_max, row.not_before, row.not_after)


def hold_holder(work: Work, person_id: str) -> None:
    """Whoever else decides about this person's cards waits until this work ends.

    Locks go holder first, then device, then its tokens.
    """
    touch = work.upsert_into(tables.holder).values(person_id=person_id, touched_at=work.now)
    work.execute(
        touch.on_conflict_do_update(index_elements=["person_id"], set_={"touched_at": work.now})
    )


def select_device(person_id: str, device_id: str) -> Select[Any]:
    columns = tables.device.c
    return select(tables.device).where(
        columns.person_id == person_id, columns.device_id == device_id
    )


def get_device(work: Work, person_id: str, device_id: str) -> Device:
    """This person's device. Raises DeviceUnknown."""
    return _device(work, select_device(person_id, device_id))


def locked_device(work: Work, person_id: str, device_id: str) -> Device:
    """The same, held until the work ends. Locks go device first, then its tokens."""
    return _device(work, select_device(person_id, device_id).with_for_update())


def get_active_device(work: Work, person_id: str, device_id: str) -> Device:
    """Raises DeviceUnknown, DeviceEnded."""
    return _require_active(get_device(work, person_id, device_id))


def locked_active_device(work: Work, person_id: str, device_id: str) -> Device:
    """The same, held until the work ends."""
    return _require_active(locked_device(work, person_id, device_id))


def _require_active(device: Device) -> Device:
    if device.state is DeviceState.ENDED:
        raise DeviceEnded
    return device


def _device(work: Work, query: Select[Any]) -> Device:
    row = work.one(query)
    if row is None:
        raise DeviceUnknown
    return device_of(row)


def locked_token(work: Work, person_id: str | None, token_id: str) -> Row[Any]:
    """This person's token (None: anybody's), held until the work ends. Raises TokenUnknown."""
    rows = tables.token
    row = work.one(select(rows).where(rows.c.token_id == token_id).with_for_update())
    if row is None or person_id not in (None, row.person_id):
        raise TokenUnknown
    return row


def locked_tokens(work: Work, person_id: str, *more: ColumnElement[bool]) -> Sequence[Row[Any]]:
    """This person's tokens that are not deleted, by id, held until the work ends."""
    rows = tables.token
    query = select(rows).where(
        rows.c.person_id == person_id, rows.c.state != TokenState.DELETED.value, *more
    )
    return work.execute(query.order_by(rows.c.token_id).with_for_update()).all()


def change_token(work: Work, row: Row[Any], event: TokenEvent, cause: Cause) -> TokenState:
    """Advance a locked token and write its history. Raises TokenTransitionRefused."""
    state = advance(TokenState(row.state), event)
    held = Reason(row.suspended_for) if row.suspended_for else None
    is_suspended = state is TokenState.SUSPENDED
    rows = tables.token
    work.execute(
        update(rows)
        .where(rows.c.token_id == row.token_id)
        .values(
            state=state.value,
            suspended_for=graver(held, cause.reason).value if is_suspended else None,
            changes=row.changes + 1,
        )
    )
    _note(work, row, state, cause)
    if {state, TokenState(row.state)} & DENIED:
        work.tell(TOKEN_CHANGED, token_id=row.token_id)
    if state is TokenState.DELETED:
        _free_place(work, row)
    return state


def note_kept(work: Work, row: Row[Any], cause: Cause, **values: Any) -> None:
    """A locked token stays as it is though something happened: with `values`, and on record."""
    rows = tables.token
    work.execute(
        update(rows)
        .where(rows.c.token_id == row.token_id)
        .values(changes=row.changes + 1, **values)
    )
    _note(work, row, TokenState(row.state), cause)


def _note(work: Work, row: Row[Any], after: TokenState, cause: Cause) -> None:
    line = HistoryLine(row.changes + 1, TokenState(row.state), after, cause, work.now)
    write_history(work, row.token_id, line)


def write_history(work: Work, token_id: str, line: HistoryLine) -> None:
    values = {
        "token_id": token_id,
        "number": line.number,
        "before": line.before.value if line.before else None,
        "after": line.after.value,
        "reason": line.cause.reason.value,
        "at": line.at,
        "by_kind": line.cause.by.kind.value,
        "by_id": line.cause.by.id,
        "event_id": line.cause.event_id,
    }
    work.execute(insert(tables.token_history), values)


def _free_place(work: Work, row: Row[Any]) -> None:
    places = tables.place.c
    work.execute(
        delete(tables.place).where(
            places.person_id == row.person_id,
            places.device_id == row.device_id,
            places.product == row.product,
        )
    )
