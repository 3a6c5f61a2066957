"""A person's phones: enrolled with proof of their signing key, ended for good."""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from sqlalchemy import Row, select, update

from backend.db import IdempotencyConflict, Operation, Units, Which, Work
from backend.kernel import DomainError, check_id
from backend.keys import KeyRef, Keys
from backend.virtual_card import tables
from backend.virtual_card.errors import (
    AttestationRequired,
    AttestationUnavailable,
    DeviceEnded,
    DeviceKeyExists,
    DevicesTooMany,
    NonceUnknown,
)
from backend.virtual_card.model import DEVICES_MAX, UNATTESTED, Actor, Cause, Device, DeviceFacts
from backend.virtual_card.ports import Attestation
from backend.virtual_card.rows import (
    change_token,
    device_of,
    get_device,
    hold_holder,
    locked_active_device,
    locked_tokens,
    select_device,
)
from backend.virtual_card.states import ActorKind, DeviceState, Reason, TokenEvent
from backend.web import Page, ProofInvalid, check_proof
from card_protocol import device_keys
from card_protocol.signatures import compressed_point, load_public_key

AUDIENCE = "/v1/me/devices"
NONCE_AGE_MAX = timedelta(minutes=10)
NONCE_RANDOM_BYTES = 16
NONCE_BYTES = 8 + NONCE_RANDOM_BYTES + 32


@dataclass(frozen=True, slots=True)
class AttestationGate:
    """Hands out nonces and has statements judged. A nonce is our own words, sealed by a MAC: it
    names person and moment, and nothing is stored. A statement shown twice says the same of the
    same key, so that a second showing gains nothing."""

    keys: Keys = field(repr=False)
    judge: Attestation
    is_required: bool = False  # whether a device needs a statement at all

    def make_nonce(self, person_id: str, now: datetime) -> bytes:
        """56 bytes: moment (seconds), random, MAC."""
        body = int(now.timestamp()).to_bytes(8) + secrets.token_bytes(NONCE_RANDOM_BYTES)
        return body + self._mac(person_id, body)

    def check(self, command: EnrolDevice, now: datetime) -> DeviceFacts:
        """Raises AttestationRequired, NonceUnknown, AttestationInvalid, AttestationUnavailable."""
        if command.attestation is None:
            if self.is_required:
                raise AttestationRequired
            return UNATTESTED
        nonce = command.attestation.nonce
        body, mac = nonce[:-32], nonce[-32:]
        if len(nonce) != NONCE_BYTES or not hmac.compare_digest(
            mac, self._mac(command.person_id, body)
        ):
            raise NonceUnknown
        age_seconds = int(now.timestamp()) - int.from_bytes(body[:8])
        if not 0 <= age_seconds <= NONCE_AGE_MAX.total_seconds():
            raise NonceUnknown
        point = compressed_point(command.signing_key)
        return self.judge.verify(command.attestation.statement, point, nonce, now)

    def _mac(self, person_id: str, body: bytes) -> bytes:
        parts = json.dumps(["attestation_nonce", person_id, body.hex()])
        return self.keys.mac(KeyRef.SECRETS, parts.encode())[:32]


@dataclass(frozen=True, slots=True)
class AttestationGiven:
    """What a phone's platform says, about a nonce of ours."""

    nonce: bytes
    statement: bytes


@dataclass(frozen=True, slots=True)
class Sm2Given:
    """A phone's SM2 key, and that key's own signature (card_protocol.device_keys)."""

    signing_key: bytes  # SEC1 compressed, 33 bytes
    proof: bytes  # r‖s, 64 bytes

    def check(self, device_id: str, signing_key: bytes) -> None:
        """Raises ProofInvalid unless the key says that it is this device's."""
        if not device_keys.is_proven(device_id, signing_key, self.signing_key, self.proof):
            raise ProofInvalid


@dataclass(frozen=True, slots=True)
class EnrolDevice:
    person_id: str
    device_id: str
    name: str
    signing_key: EllipticCurvePublicKey
    sealing_key: EllipticCurvePublicKey
    proof: str  # JWT by signing_key: aud AUDIENCE, jti = device_id
    attestation: AttestationGiven | None = None
    sm2: Sm2Given | None = None


@dataclass(frozen=True, slots=True)
class AddSm2Key:
    """An enrolled phone's SM2 key; the phone's P-256 key says that it is wanted."""

    person_id: str
    device_id: str
    sm2: Sm2Given
    proof: str  # JWT by the device's signing key: aud `add_audience`, jti = device_id


@dataclass(frozen=True, slots=True)
class EndDevice:
    person_id: str
    device_id: str


@dataclass(frozen=True, slots=True)
class Devices:
    """Each method is one command or one read; a device id means one content for ever."""

    units: Units
    gate: AttestationGate | None = None  # without one every device is unattested

    def nonce(self, person_id: str) -> bytes:
        """For one statement, within NONCE_AGE_MAX. Raises AttestationUnavailable."""
        if self.gate is None:
            raise AttestationUnavailable
        return self.gate.make_nonce(person_id, self.units.clock.now())

    def enrol(self, command: EnrolDevice, operation: Operation) -> Device:
        """A device, with what is vouched for. A statement that does not hold enrols nothing.

        Raises IdInvalid, ProofInvalid, AttestationRequired, NonceUnknown, AttestationInvalid,
        AttestationUnavailable, DevicesTooMany, DeviceEnded, IdempotencyConflict.
        """
        check_id(command.device_id, "dev")
        facts = self._judge(command)
        return self.units.once(Which.BUSINESS, operation, lambda work: _enrol(work, command, facts))

    def add_sm2_key(self, command: AddSm2Key, operation: Operation) -> Device:
        """A device's SM2 key, once; the same key again is heard of again.

        Raises DeviceUnknown, DeviceEnded, ProofInvalid, DeviceKeyExists.
        """
        return self.units.once(Which.BUSINESS, operation, lambda work: _add_sm2_key(work, command))

    def _judge(self, command: EnrolDevice) -> DeviceFacts | DomainError:
        """Asked before our transaction begins: a judge may be far away. A refusal is handed on:
        who asks a second time about an enrolled device has an old nonce and hears the first answer.
        """
        if self.gate is None:
            return UNATTESTED if command.attestation is None else AttestationUnavailable()
        try:
            return self.gate.check(command, self.units.clock.now())
        except DomainError as refusal:
            return refusal

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


def _enrol(work: Work, command: EnrolDevice, facts: DeviceFacts | DomainError) -> Device:
    claims = check_proof(command.proof, command.signing_key, audience=AUDIENCE, now=work.now)
    if claims["jti"] != command.device_id:
        raise ProofInvalid
    row: dict[str, Any] = {
        "person_id": command.person_id,
        "device_id": command.device_id,
        "name": command.name,
        "signing_key": compressed_point(command.signing_key),
        "sealing_key": compressed_point(command.sealing_key),
    }
    if command.sm2 is not None:  # left out it says nothing: the key may have been added since
        command.sm2.check(command.device_id, row["signing_key"])
        row["sm2_key"] = command.sm2.signing_key
    find = select_device(command.person_id, command.device_id)
    if (existing := work.one(find)) is None:
        if isinstance(facts, DomainError):
            raise facts
        _insert(work, {**row, **_facts_row(facts)})
        existing = work.connection.execute(find).one()
    return _same(existing, row)


def add_audience(device_id: str) -> str:
    """Whom the proof beside a further key speaks to: the very path it is sent to."""
    return f"{AUDIENCE}/{device_id}/sm2-key"


def _add_sm2_key(work: Work, command: AddSm2Key) -> Device:
    hold_holder(work, command.person_id)
    device = locked_active_device(work, command.person_id, command.device_id)
    key = load_public_key(device.signing_key)
    audience = add_audience(command.device_id)
    claims = check_proof(command.proof, key, audience=audience, now=work.now)
    if claims["jti"] != command.device_id:
        raise ProofInvalid
    command.sm2.check(command.device_id, device.signing_key)
    if device.sm2_key not in (None, command.sm2.signing_key):
        raise DeviceKeyExists
    columns = tables.device.c
    work.execute(
        update(tables.device)
        .where(columns.person_id == command.person_id, columns.device_id == command.device_id)
        .values(sm2_key=command.sm2.signing_key)
    )
    return replace(device, sm2_key=command.sm2.signing_key)


def _facts_row(facts: DeviceFacts) -> dict[str, Any]:
    return {
        "attested": facts.attested.value,
        "os_integrity": facts.os_integrity.value,
        "model": facts.model,
    }


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
    hold_holder(work, command.person_id)
    locked_active_device(work, command.person_id, command.device_id)
    rows, columns = tables.token.c, tables.device.c
    tokens = locked_tokens(work, command.person_id, rows.device_id == command.device_id)
    # After this line nothing may refuse.
    cause = Cause(Reason.DEVICE_ENDED, Actor(ActorKind.CITIZEN, command.person_id))
    for token in tokens:
        change_token(work, token, TokenEvent.DELETE, cause)
    work.execute(
        update(tables.device)
        .where(columns.person_id == command.person_id, columns.device_id == command.device_id)
        .values(state=DeviceState.ENDED.value, slot=None, ended_at=work.now)
    )
    return device_of(
        work.connection.execute(select_device(command.person_id, command.device_id)).one()
    )
