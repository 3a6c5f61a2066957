"""Reads rows of this domain as its facts, and writes a token's change with its history."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, Select, delete, insert, select, update

from backend.db import Work
from backend.virtual_card import tables
from backend.virtual_card.errors import DeviceUnknown, TokenUnknown
from backend.virtual_card.model import Card, Device, IssuedKeys, KeyTerms
from backend.virtual_card.states import DeviceState, Reason, TokenEvent, TokenState, advance


def device_of(row: Row[Any]) -> Device:
    return Device(
        row.device_id,
        row.person_id,
        row.name,
        row.signing_key,
        row.sealing_key,
        DeviceState(row.state),
        row.enrolled_at,
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
    )


def terms_of(row: Row[Any]) -> KeyTerms:
    return KeyTerms(row.key_index, row.key_version, row.uses_max, row.not_before, row.not_after)


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


def _device(work: Work, query: Select[Any]) -> Device:
    row = work.one(query)
    if row is None:
        raise DeviceUnknown
    return device_of(row)


def locked_token(work: Work, person_id: str, token_id: str) -> Row[Any]:
    """This person's token, held until the work ends. Raises TokenUnknown."""
    rows = tables.token
    row = work.one(select(rows).where(rows.c.token_id == token_id).with_for_update())
    if row is None or row.person_id != person_id:
        raise TokenUnknown
    return row


def change_token(work: Work, row: Row[Any], event: TokenEvent, reason: Reason) -> None:
    """Advance a locked token and write its history. Raises TokenTransitionRefused."""
    state = advance(TokenState(row.state), event)
    rows = tables.token
    work.execute(
        update(rows)
        .where(rows.c.token_id == row.token_id)
        .values(state=state.value, changes=row.changes + 1)
    )
    write_history(work, row.token_id, row.changes + 1, before=row.state, after=state, reason=reason)
    if state is TokenState.DELETED:
        places = tables.place.c
        work.execute(
            delete(tables.place).where(
                places.person_id == row.person_id,
                places.device_id == row.device_id,
                places.product == row.product,
            )
        )


def write_history(
    work: Work, token_id: str, number: int, *, before: str | None, after: TokenState, reason: Reason
) -> None:
    values = {
        "token_id": token_id,
        "number": number,
        "before": before,
        "after": after.value,
        "reason": reason.value,
        "at": work.now,
    }
    work.execute(insert(tables.token_history), values)
