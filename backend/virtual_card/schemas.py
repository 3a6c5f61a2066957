"""Wire shapes of devices and phone cards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from marshmallow import fields, validate

from backend.virtual_card.life.model import TOLD_BY_HOLDER, Action
from backend.virtual_card.model import ATC_MAX, Attested, CardKind, EventKind, OsIntegrity
from backend.virtual_card.states import ActorKind, Reason, TokenState
from backend.virtual_card.step_up.model import Purpose, StepUpState
from backend.virtual_card.watch.model import LOG_MAX
from backend.web import B64u, EcKey, Moment, Shape, Sm2Key, StrictInteger, TypeIdField, page_schema

Pick = Callable[[Any], Enum | None]


def _word(kind: type[Enum], pick: Pick, text: str = "") -> fields.Field[Any]:
    """A word of a list, in answers."""
    metadata: dict[str, Any] = {"type": "string", "enum": [one.value for one in kind]}
    if text:
        metadata["description"] = text

    def show(one: Any) -> str | None:
        found = pick(one)
        return None if found is None else str(found.value)

    return fields.Function(show, metadata=metadata)


class AttestationShape(Shape):
    """A platform's statement about the signing key."""

    nonce = B64u(required=True, metadata={"description": "from attestation-nonce, 10 minutes old"})
    statement = B64u(required=True, metadata={"description": "as the platform made it"})


class AttestationNonceShape(Shape):
    nonce = B64u(attribute="nonce", metadata={"description": "56 bytes"})


class Sm2GivenShape(Shape):
    """A phone's SM2 key, for cards of the SM suite."""

    signing_key = Sm2Key(required=True, metadata={"description": "JWK EC, crv SM2"})
    proof = B64u(
        required=True,
        validate=validate.Length(equal=64),
        metadata={"description": "r‖s by this very key: docs/protocol/mobile-card.md, 5"},
    )


class EnrolDeviceShape(Shape):
    device_id = TypeIdField("dev", required=True)
    name = fields.String(
        required=True, validate=validate.Length(min=1, max=60), metadata={"example": "Pixel 9"}
    )
    signing_key = EcKey(required=True, metadata={"description": "JWK EC P-256"})
    sealing_key = EcKey(required=True, metadata={"description": "JWK EC P-256, for HPKE"})
    proof = fields.String(
        required=True,
        validate=validate.Length(max=4096),
        metadata={
            "description": "JWT, ES256 by signing_key: aud /v1/me/devices, jti = device_id, iat"
        },
    )
    attestation = fields.Nested(AttestationShape, load_default=None, allow_none=True)
    sm2 = fields.Nested(Sm2GivenShape, load_default=None, allow_none=True)


class AddSm2KeyShape(Shape):
    sm2 = fields.Nested(Sm2GivenShape, required=True)
    proof = fields.String(
        required=True,
        validate=validate.Length(max=4096),
        metadata={"description": "JWT, ES256 by the device: aud = this path, jti = device_id, iat"},
    )


class DeviceShape(Shape):
    device_id = TypeIdField("dev")
    name = fields.String()
    state = fields.Function(
        lambda one: one.state.value, metadata={"type": "string", "enum": ["active", "ended"]}
    )
    enrolled_at = Moment()
    attested = _word(Attested, lambda one: one.facts.attested, "how its keys are protected")
    os_integrity = _word(OsIntegrity, lambda one: one.facts.os_integrity)
    suites = fields.List(
        fields.Integer(), metadata={"description": "of the cards it can carry; 2 needs an SM2 key"}
    )


class ProvisionShape(Shape):
    token_id = TypeIdField("tok", required=True)
    device_id = TypeIdField("dev", required=True)
    wallet_id = TypeIdField("wal", required=True)
    product = fields.String(
        required=True,
        validate=validate.Length(min=1, max=16),
        metadata={"example": "phone_card"},
    )


class KeysShape(Shape):
    """A limited-use key batch, sealed to the device."""

    key_index = fields.Integer()
    key_version = fields.Integer()
    suite = fields.Function(
        lambda one: int(one.suite),
        metadata={"type": "integer", "description": "1: AES-128 and ES256; 2: SM4 and SM2"},
    )
    sealed = B64u(metadata={"description": "HPKE (RFC 9180): enc ‖ ciphertext"})
    uses_max = fields.Integer()
    not_before = Moment()
    not_after = Moment()


class CardShape(Shape):
    token_id = TypeIdField("tok")
    token_number = fields.String(metadata={"description": "19 digits, Luhn"})
    short_number = fields.String(metadata={"description": "8 digits, in pay codes"})
    state = _word(TokenState, lambda one: one.state)
    product = fields.String(metadata={"example": "phone_card"})
    label = fields.String(metadata={"example": "CITY CARD"})
    certificate = B64u(metadata={"description": "the record a terminal reads"})
    wallet_id = TypeIdField("wal")
    device_id = TypeIdField("dev")
    suite = fields.Function(
        lambda one: int(one.suite),
        metadata={"type": "integer", "description": "1: AES-128 and ES256; 2: SM4 and SM2"},
    )
    card_kind = _word(CardKind, lambda one: one.card_kind, "the kind of card it stands for")
    suspended_for = _word(Reason, lambda one: one.suspended_for, "while suspended, why; else null")
    keys = fields.Nested(KeysShape, allow_none=True)


class LoggedTapShape(Shape):
    """One counter the phone gave out."""

    atc = StrictInteger(required=True, validate=validate.Range(min=1, max=ATC_MAX))
    key_index = StrictInteger(required=True, validate=validate.Range(min=0, max=2**32 - 1))
    cryptogram = B64u(
        load_default=None,
        allow_none=True,
        validate=validate.Length(equal=8),
        metadata={"description": "9F26, 8 bytes; null when the tap broke off before it"},
    )


class RefillShape(Shape):
    atc = StrictInteger(
        required=True,
        validate=validate.Range(min=0, max=ATC_MAX),
        metadata={"description": "where the card's counter stands"},
    )
    log = fields.List(
        fields.Nested(LoggedTapShape),
        load_default=None,
        allow_none=True,
        validate=validate.Length(max=LOG_MAX),
        metadata={"description": "counters given out since the last refill; null: none is kept"},
    )


class MoveCardShape(Shape):
    new_token_id = TypeIdField("tok", required=True)
    device_id = TypeIdField("dev", required=True)  # the new phone


class ConfirmCardShape(Shape):
    proof = fields.String(
        required=True,
        validate=validate.Length(max=4096),
        metadata={"description": "JWT, ES256 by the device: aud = this path, jti = token_id, iat"},
    )


class StepUpAnswerShape(Shape):
    code = fields.String(required=True, validate=validate.Regexp(r"[0-9]{6}\Z"))


class StepUpShape(Shape):
    step_up_id = TypeIdField("stu")
    purpose = _word(Purpose, lambda one: one.purpose)
    subject = fields.String(metadata={"description": "the device or token it was asked for"})
    state = _word(StepUpState, lambda one: one.state)
    expires_at = Moment()


def _event_kinds(kinds: Iterable[EventKind]) -> validate.OneOf:
    return validate.OneOf(sorted(one.value for one in kinds))


class MyCardEventShape(Shape):
    """What a citizen may say of himself."""

    event_id = TypeIdField("cev", required=True)
    kind = fields.String(required=True, validate=_event_kinds(TOLD_BY_HOLDER))
    device_id = TypeIdField("dev", load_default=None, allow_none=True)
    new_device_id = TypeIdField("dev", load_default=None, allow_none=True)


class CardEventShape(MyCardEventShape):
    """What staff and departments may say."""

    person_id = TypeIdField("per", required=True)
    kind = fields.String(required=True, validate=_event_kinds(EventKind))
    card_id = fields.String(load_default=None, allow_none=True, validate=validate.Length(1, 64))
    new_card_id = fields.String(load_default=None, allow_none=True, validate=validate.Length(1, 64))


class CardEventEffectShape(Shape):
    token_id = TypeIdField("tok")
    action = _word(Action, lambda one: one.action)
    state = _word(TokenState, lambda one: one.state)


class CardEventAppliedShape(Shape):
    event_id = TypeIdField("cev")
    kind = _word(EventKind, lambda one: one.kind)
    effects = fields.List(fields.Nested(CardEventEffectShape))


class CardChangeShape(Shape):
    """One change of a card; `by` is who asked for it."""

    number = fields.Integer()
    before = _word(TokenState, lambda one: one.before, "null on the first line")
    after = _word(TokenState, lambda one: one.after)
    reason = _word(Reason, lambda one: one.cause.reason)
    at = Moment()
    by = _word(ActorKind, lambda one: one.cause.by.kind)
    event_id = fields.Function(
        lambda one: one.cause.event_id,
        metadata={"type": "string", "description": "the card event that asked for it, or null"},
    )


class StaffCardChangeShape(CardChangeShape):
    by_id = fields.Function(
        lambda one: one.cause.by.id, metadata={"type": "string", "description": "who exactly"}
    )


DevicePage = page_schema(DeviceShape)
CardPage = page_schema(CardShape)
HistoryPage = page_schema(CardChangeShape)
StaffHistoryPage = page_schema(StaffCardChangeShape)
