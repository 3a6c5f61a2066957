"""Resources of devices and phone cards, for citizens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask.views import MethodView
from flask_smorest import Blueprint

from backend.db import Operation
from backend.virtual_card import errors, schemas
from backend.virtual_card.cards import Cards, ChangeCard, Provision, RefillKeys
from backend.virtual_card.devices import Devices, EndDevice, EnrolDevice
from backend.virtual_card.model import Card, Device, IssuedKeys
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

blueprint = Blueprint("virtual-card", __name__, description="Devices and phone cards")


@blueprint.route("/v1/me/devices")
class DevicesResource(MethodView):
    @access(CallerKind.CITIZEN)
    @command(blueprint, body=schemas.EnrolDeviceShape, answer=schemas.DeviceShape)
    @refuses(errors.DevicesTooMany, ProofInvalid)
    def post(self, body: Body, operation: Operation) -> Device:
        """Enrol a device with proof of its signing key."""
        return service(Devices).enrol(EnrolDevice(person_id=caller().id, **body), operation)

    @access(CallerKind.CITIZEN)
    @blueprint.arguments(PageArguments, location="query")
    @blueprint.response(200, schemas.DevicePage)
    def get(self, page: Body) -> Page[Device]:
        """List my devices."""
        return service(Devices).list(caller().id, page["limit"], page["after"])


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
        errors.TokenExists,
        errors.TokenNumbersExhausted,
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
    @refuses(errors.TokenUnknown, errors.TokenSuspended, errors.TokenDeleted)
    def post(self, body: Body, operation: Operation, token_id: str) -> IssuedKeys:
        """Fetch the next limited-use keys."""
        return service(Cards).refill(RefillKeys(caller().id, token_id, **body), operation)


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
    @refuses(errors.TokenUnknown, errors.TokenTransitionRefused)
    def post(self, body: Body, operation: Operation, token_id: str) -> Card:
        """Release a phone card from its loss report (解挂)."""
        return service(Cards).release(ChangeCard(caller().id, token_id), operation)
