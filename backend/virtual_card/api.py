"""Resources of devices and phone cards: for citizens, and for the service line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask.views import MethodView
from flask_smorest import Blueprint

from backend.db import Operation
from backend.virtual_card import errors, schemas
from backend.virtual_card.cards import Cards, ChangeCard, Provision, RefillKeys
from backend.virtual_card.devices import (
    AddSm2Key,
    AttestationGiven,
    Devices,
    EndDevice,
    EnrolDevice,
    Sm2Given,
)
from backend.virtual_card.life import Applied, ApplyEvent, ConfirmCard, MoveCard
from backend.virtual_card.model import (
    Actor,
    Card,
    Device,
    EventKind,
    HistoryLine,
    IssuedKeys,
)
from backend.virtual_card.states import ActorKind
from backend.virtual_card.step_up import AnswerStepUp, StepUp
from backend.virtual_card.watch import LoggedTap
from backend.web import (
    CallerKind,
    EmptyShape,
    Page,
    PageArguments,
    ProofInvalid,
    access,
    caller,
    command,
    refuses,
    service,
)

Body = Mapping[str, Any]

STAFF_SCOPE = "cards.write"

blueprint = Blueprint("virtual-card", __name__, description="Devices and phone cards")
internal_blueprint = Blueprint(
    "virtual-card-internal", __name__, description="Phone cards, for the service line"
)

CODE_ASKED = (errors.StepUpRequired, errors.StepUpTooOften)


@blueprint.route("/v1/me/devices")
class DevicesResource(MethodView):
    @access(CallerKind.CITIZEN)
    @command(blueprint, body=schemas.EnrolDeviceShape, answer=schemas.DeviceShape)
    @refuses(
        errors.DevicesTooMany,
        errors.NonceUnknown,
        errors.AttestationRequired,
        errors.AttestationInvalid,
        errors.AttestationUnavailable,
        ProofInvalid,
    )
    def post(self, body: Body, operation: Operation) -> Device:
        """Enrol a device with proof of its signing key, and its platform's word for it."""
        return service(Devices).enrol(_enrol_command(body), operation)

    @access(CallerKind.CITIZEN)
    @blueprint.arguments(PageArguments, location="query")
    @blueprint.response(200, schemas.DevicePage)
    def get(self, page: Body) -> Page[Device]:
        """List my devices."""
        return service(Devices).list(caller().id, page["limit"], page["after"])


@blueprint.route("/v1/me/devices/attestation-nonce")
class AttestationNonceResource(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.response(200, schemas.AttestationNonceShape)
    @refuses(errors.AttestationUnavailable)
    def get(self) -> Mapping[str, bytes]:
        """A fresh nonce for one attestation."""
        return {"nonce": service(Devices).nonce(caller().id)}


@blueprint.route("/v1/me/devices/<string:device_id>/sm2-key")
class DeviceSm2KeyResource(MethodView):
    @access(CallerKind.CITIZEN)
    @command(blueprint, body=schemas.AddSm2KeyShape, answer=schemas.DeviceShape, status=200)
    @refuses(errors.DeviceUnknown, errors.DeviceEnded, errors.DeviceKeyExists, ProofInvalid)
    def post(self, body: Body, operation: Operation, device_id: str) -> Device:
        """Make a device's SM2 key known, for cards of the SM suite; once."""
        asked = AddSm2Key(caller().id, device_id, Sm2Given(**body["sm2"]), body["proof"])
        return service(Devices).add_sm2_key(asked, operation)


@blueprint.route("/v1/me/devices/<string:device_id>/end")
class DeviceEndResource(MethodView):
    @access(CallerKind.CITIZEN)
    @command(blueprint, body=EmptyShape, answer=schemas.DeviceShape, status=200)
    @refuses(errors.DeviceUnknown, errors.DeviceEnded)
    def post(self, body: Body, operation: Operation, device_id: str) -> Device:
        """End a device; its cards are deleted."""
        return service(Devices).end(EndDevice(caller().id, device_id), operation)


@blueprint.route("/v1/me/cards")
class CardsResource(MethodView):
    @access(CallerKind.CITIZEN)
    @command(blueprint, body=schemas.ProvisionShape, answer=schemas.CardShape)
    @refuses(
        errors.PersonNotRegistered,
        errors.ProductUnknown,
        errors.DeviceUnknown,
        errors.DeviceEnded,
        errors.DeviceKeyMissing,
        errors.TokenExists,
        errors.TokenNumbersExhausted,
        errors.ProvisioningDeclined,
        *CODE_ASKED,
    )
    def post(self, body: Body, operation: Operation) -> Card:
        """Provision a phone card onto a device."""
        return service(Cards).provision(Provision(person_id=caller().id, **body), operation)

    @access(CallerKind.CITIZEN)
    @blueprint.arguments(PageArguments, location="query")
    @blueprint.response(200, schemas.CardPage)
    def get(self, page: Body) -> Page[Card]:
        """List my phone cards."""
        return service(Cards).list(caller().id, page["limit"], page["after"])


@blueprint.route("/v1/me/cards/<string:token_id>")
class CardResource(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.response(200, schemas.CardShape)
    @refuses(errors.TokenUnknown)
    def get(self, token_id: str) -> Card:
        """One of my phone cards."""
        return service(Cards).get(caller().id, token_id)


@blueprint.route("/v1/me/cards/<string:token_id>/keys")
class CardKeysResource(MethodView):
    @access(CallerKind.CITIZEN)
    @command(blueprint, body=schemas.RefillShape, answer=schemas.KeysShape)
    @refuses(
        errors.TokenUnknown,
        errors.TokenPending,
        errors.TokenSuspended,
        errors.TokenDeleted,
        *CODE_ASKED,
    )
    def post(self, body: Body, operation: Operation, token_id: str) -> IssuedKeys:
        """Fetch the next limited-use keys; the log of taps is compared with what arrived."""
        log = None if body["log"] is None else tuple(LoggedTap(**one) for one in body["log"])
        asked = RefillKeys(caller().id, token_id, body["atc"], log)
        return service(Cards).refill(asked, operation)


@blueprint.route("/v1/me/cards/<string:token_id>/moves")
class CardMovesResource(MethodView):
    @access(CallerKind.CITIZEN)
    @command(blueprint, body=schemas.MoveCardShape, answer=schemas.CardShape)
    @refuses(
        errors.TokenUnknown,
        errors.DeviceUnknown,
        errors.DeviceEnded,
        errors.DeviceKeyMissing,
        errors.MoveRefused,
        errors.MoveOpen,
        errors.TokenExists,
        errors.ProductUnknown,
        errors.TokenNumbersExhausted,
        errors.ProvisioningDeclined,
        *CODE_ASKED,
    )
    def post(self, body: Body, operation: Operation, token_id: str) -> Card:
        """Move a card to a new phone: a pending successor there, until it is confirmed."""
        asked = MoveCard(caller().id, token_id, **body)
        return service(Cards).moves.move(asked, operation)


@blueprint.route("/v1/me/cards/<string:token_id>/confirmation")
class CardConfirmationResource(MethodView):
    @access(CallerKind.CITIZEN)
    @command(blueprint, body=schemas.ConfirmCardShape, answer=schemas.CardShape, status=200)
    @refuses(errors.TokenUnknown, errors.TokenTransitionRefused, ProofInvalid)
    def post(self, body: Body, operation: Operation, token_id: str) -> Card:
        """The new phone can use the card: it becomes active, the old phone's ends."""
        asked = ConfirmCard(caller().id, token_id, **body)
        return service(Cards).moves.confirm(asked, operation)


@blueprint.route("/v1/me/cards/<string:token_id>/history")
class CardHistoryResource(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.arguments(PageArguments, location="query")
    @blueprint.response(200, schemas.HistoryPage)
    @refuses(errors.TokenUnknown)
    def get(self, page: Body, token_id: str) -> Page[HistoryLine]:
        """What became of a card and why, oldest first."""
        return service(Cards).history(caller().id, token_id, page["limit"], page["after"])


@blueprint.route("/v1/me/card-events")
class CardEventsResource(MethodView):
    @access(CallerKind.CITIZEN)
    @command(blueprint, body=schemas.MyCardEventShape, answer=schemas.CardEventAppliedShape)
    @refuses(errors.EventMalformed, errors.EventsTooMany, errors.DeviceUnknown, errors.DeviceEnded)
    def post(self, body: Body, operation: Operation) -> Applied:
        """Report a lost card, a lost phone, a new phone or a new SIM."""
        who = caller().id
        by = Actor(ActorKind.CITIZEN, who)
        return service(Cards).events.apply(_event(body, person_id=who, by=by), operation)


@blueprint.route("/v1/me/step-ups/<string:step_up_id>/answers")
class StepUpAnswersResource(MethodView):
    @access(CallerKind.CITIZEN)
    @command(blueprint, body=schemas.StepUpAnswerShape, answer=schemas.StepUpShape, status=200)
    @refuses(errors.StepUpUnknown, errors.StepUpEnded, errors.StepUpCodeWrong)
    def post(self, body: Body, operation: Operation, step_up_id: str) -> StepUp:
        """Give the one-time code; then ask again for what was refused."""
        asked = AnswerStepUp(caller().id, step_up_id, body["code"])
        return service(Cards).step_ups.answer(asked, operation)


@blueprint.route("/v1/me/cards/<string:token_id>/loss-report")
class LossReportResource(MethodView):
    @access(CallerKind.CITIZEN)
    @command(blueprint, body=EmptyShape, answer=schemas.CardShape, status=200)
    @refuses(errors.TokenUnknown, errors.TokenTransitionRefused)
    def post(self, body: Body, operation: Operation, token_id: str) -> Card:
        """Report a phone card lost (挂失): it stops paying at once."""
        return service(Cards).report_loss(ChangeCard(caller().id, token_id), operation)


@blueprint.route("/v1/me/cards/<string:token_id>/release")
class ReleaseResource(MethodView):
    @access(CallerKind.CITIZEN)
    @command(blueprint, body=EmptyShape, answer=schemas.CardShape, status=200)
    @refuses(errors.TokenUnknown, errors.TokenTransitionRefused, errors.ReleaseRefused, *CODE_ASKED)
    def post(self, body: Body, operation: Operation, token_id: str) -> Card:
        """Release a phone card from its loss report (解挂)."""
        return service(Cards).release(ChangeCard(caller().id, token_id), operation)


@internal_blueprint.route("/v1/ops/card-events")
class StaffCardEventsResource(MethodView):
    @access(CallerKind.STAFF, STAFF_SCOPE)
    @command(internal_blueprint, body=schemas.CardEventShape, answer=schemas.CardEventAppliedShape)
    @refuses(errors.EventMalformed, errors.EventsTooMany, errors.DeviceUnknown, errors.DeviceEnded)
    def post(self, body: Body, operation: Operation) -> Applied:
        """Tell what happened to a person, a phone or a card; the policy decides what follows."""
        by = Actor(ActorKind.STAFF, caller().id)
        asked = _event(body, person_id=body["person_id"], by=by)
        return service(Cards).events.apply(asked, operation)


@internal_blueprint.route("/v1/ops/cards/<string:token_id>")
class StaffCardResource(MethodView):
    @access(CallerKind.STAFF, STAFF_SCOPE)
    @internal_blueprint.response(200, schemas.CardShape)
    @refuses(errors.TokenUnknown)
    def get(self, token_id: str) -> Card:
        """A citizen's phone card."""
        return service(Cards).get(None, token_id)


@internal_blueprint.route("/v1/ops/cards/<string:token_id>/history")
class StaffCardHistoryResource(MethodView):
    @access(CallerKind.STAFF, STAFF_SCOPE)
    @internal_blueprint.arguments(PageArguments, location="query")
    @internal_blueprint.response(200, schemas.StaffHistoryPage)
    @refuses(errors.TokenUnknown)
    def get(self, page: Body, token_id: str) -> Page[HistoryLine]:
        """What became of a citizen's card, why, and by whom."""
        return service(Cards).history(None, token_id, page["limit"], page["after"])


@internal_blueprint.route("/v1/ops/cards/<string:token_id>/release")
class StaffReleaseResource(MethodView):
    @access(CallerKind.STAFF, STAFF_SCOPE)
    @command(internal_blueprint, body=EmptyShape, answer=schemas.CardShape, status=200)
    @refuses(errors.TokenUnknown, errors.TokenTransitionRefused, errors.ReleaseRefused)
    def post(self, body: Body, operation: Operation, token_id: str) -> Card:
        """Release a suspended card after its holder was made sure of."""
        return service(Cards).release_by_staff(token_id, caller().id, operation)


def _enrol_command(body: Body) -> EnrolDevice:
    given = body["attestation"]
    attestation = None if given is None else AttestationGiven(**given)
    sm2 = None if body["sm2"] is None else Sm2Given(**body["sm2"])
    parts = {"attestation": attestation, "sm2": sm2}
    return EnrolDevice(person_id=caller().id, **{**body, **parts})


def _event(body: Body, *, person_id: str, by: Actor) -> ApplyEvent:
    return ApplyEvent(**{**body, "kind": EventKind(body["kind"]), "person_id": person_id, "by": by})
