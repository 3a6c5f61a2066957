"""A person's phones: enrolled with proof of their signing key, ended for good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from sqlalchemy import Row, select, update

from backend.db import IdempotencyConflict, Operation, Units, Which, Work
from backend.kernel import check_id
from backend.virtual_card import tables
from backend.virtual_card.errors import DeviceEnded, DevicesTooMany
from backend.virtual_card.model import DEVICES_MAX, Device
from backend.virtual_card.rows import (
    change_token,
    device_of,
    get_device,
    locked_device,
    select_device,
)
from backend.virtual_card.states import DeviceState, Reason, TokenEvent, TokenState
from backend.web import Page, ProofInvalid, check_proof
from card_protocol.signatures import compressed_point

AUDIENCE = "/v1/me/devices"


@dataclass(frozen=True, slots=True)
class EnrolDevice:
    person_id: str
    device_id: str
    name: str
    signing_key: EllipticCurvePublicKey
    sealing_key: EllipticCurvePublicKey
    proof: str  # JWT by signing_key: aud AUDIENCE, jti = device_id


@dataclass(frozen=True, slots=True)
class EndDevice:
    person_id: str
    device_id: str


@dataclass(frozen=True, slots=True)
class Devices:
    """Each method is one command or one read; a device id means one content for ever."""

    units: Units

    def enrol(self, command: EnrolDevice, operation: Operation) -> Device:
        """Raises IdInvalid, ProofInvalid, DevicesTooMany, DeviceEnded, IdempotencyConflict."""
        check_id(command.device_id, "dev")
        return self.units.once(Which.BUSINESS, operation, lambda work: _enrol(work, command))

    def end(self, command: EndDevice, operation: Operation) -> Device:
        """End a device and delete its tokens. Raises DeviceUnknown, DeviceEnded."""
        return self.units.once(Which.BUSINESS, operation, lambda work: _end(work, command))

    def get(self, person_id: str, device_id: str) -> Device:
        """Raises DeviceUnknown."""
        with self.units.read(Which.BUSINESS) as work:
            return get_device(work, person_id, device_id)

    def list(self, person_id: str, limit: int, after: str | None) -> Page[Device]:
        """By id, which is the order of enrolment; ended ones too."""
        columns = tables.device.c
        query = select(tables.device).where(columns.person_id == person_id)
        if after is not None:
            query = query.where(columns.device_id > after)
        with self.units.read(Which.BUSINESS) as work:
            rows = work.execute(query.order_by(columns.device_id).limit(limit + 1)).all()
        found = [device_of(row) for row in rows[:limit]]
        return Page(found, found[-1].device_id if len(rows) > limit else None)


def _enrol(work: Work, command: EnrolDevice) -> Device:
    claims = check_proof(command.proof, command.signing_key, audience=AUDIENCE, now=work.now)
    if claims["jti"] != command.device_id:
        raise ProofInvalid
    row = {
        "person_id": command.person_id,
        "device_id": command.device_id,
        "name": command.name,
        "signing_key": compressed_point(command.signing_key),
        "sealing_key": compressed_point(command.sealing_key),
    }
    find = select_device(command.person_id, command.device_id)
    if (existing := work.one(find)) is None:
        _insert(work, row)
        existing = work.connection.execute(find).one()
    return _same(existing, row)


def _insert(work: Work, row: dict[str, Any]) -> None:
    """Take the first free slot; a slot or id taken meanwhile by another request is passed over."""
    columns = tables.device.c
    taken = select(columns.slot).where(
        columns.person_id == row["person_id"], columns.slot.is_not(None)
    )
    used = set(work.execute(taken).scalars())
    fresh = {**row, "state": DeviceState.ACTIVE.value, "enrolled_at": work.now}
    find = select_device(row["person_id"], row["device_id"])
    for slot in (one for one in range(1, DEVICES_MAX + 1) if one not in used):
        if work.insert_new(tables.device, {**fresh, "slot": slot}) or work.one(find):
            return
    raise DevicesTooMany(devices_max=DEVICES_MAX)


def _same(existing: Row[Any], asked: dict[str, Any]) -> Device:
    differing = sorted(name for name in asked if existing._mapping[name] != asked[name])
    if differing:
        raise IdempotencyConflict(fields=", ".join(differing))
    if existing.state == DeviceState.ENDED.value:
        raise DeviceEnded
    return device_of(existing)


def _end(work: Work, command: EndDevice) -> Device:
    device = locked_device(work, command.person_id, command.device_id)
    if device.state is DeviceState.ENDED:
        raise DeviceEnded
    rows, columns = tables.token, tables.device.c
    tokens = work.execute(
        select(rows)
        .where(
            rows.c.person_id == command.person_id,
            rows.c.device_id == command.device_id,
            rows.c.state != TokenState.DELETED.value,
        )
        .order_by(rows.c.token_id)
        .with_for_update()
    ).all()
    # After this line nothing may refuse.
    for token in tokens:
        change_token(work, token, TokenEvent.DELETE, Reason.DEVICE_ENDED)
    work.execute(
        update(tables.device)
        .where(columns.person_id == command.person_id, columns.device_id == command.device_id)
        .values(state=DeviceState.ENDED.value, slot=None, ended_at=work.now)
    )
    return device_of(
        work.connection.execute(select_device(command.person_id, command.device_id)).one()
    )
