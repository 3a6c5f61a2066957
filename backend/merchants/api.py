"""Resources of merchants: activation, login, profile and codes (public); upkeep (internal)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask.views import MethodView
from flask_smorest import Blueprint

from backend.db import Operation
from backend.merchants import errors, schemas
from backend.merchants.activation import Activate, Activations
from backend.merchants.codes import MadeCode, MakeCode, MerchantCodeRead, MerchantCodes
from backend.merchants.logins import AccessGranted, Logins
from backend.merchants.model import Activated, Client, Merchant, Ordered, Shop
from backend.merchants.profiles import (
    ChooseProfile,
    ChosenProfile,
    TerminalProfile,
    TerminalProfiles,
)
from backend.merchants.service import (
    AddClient,
    AddMerchant,
    AddShop,
    AddTerminal,
    ChangeClient,
    Merchants,
)
from backend.web import (
    CallerKind,
    EmptyShape,
    Tagged,
    access,
    caller,
    command,
    conditional,
    refuses,
    service,
)

SCOPE = "merchants.write"
Body = Mapping[str, Any]

blueprint = Blueprint("merchants", __name__, description="Terminals and merchants' servers")
internal_blueprint = Blueprint(
    "merchants-upkeep", __name__, description="Merchants, shops, terminals"
)


@blueprint.route("/v1/activations")
class ActivationsResource(MethodView):
    @access(CallerKind.ANYONE)
    @blueprint.arguments(schemas.ActivationShape)
    @blueprint.response(201, schemas.ActivatedShape)
    @refuses(errors.ActivationCodeUnknown, errors.ActivationCodeUsed, errors.ActivationCodeExpired)
    def post(self, body: Body) -> Activated:
        """Activate a terminal or merchant server; the same code and key may be repeated."""
        return service(Activations).activate(Activate(**body))


@blueprint.route("/v1/token")
class TokenResource(MethodView):
    @access(CallerKind.ANYONE)
    @blueprint.arguments(schemas.TokenRequestShape, location="form")
    @blueprint.response(200, schemas.TokenShape)
    @refuses(errors.ClientUnknown, errors.AssertionInvalid, errors.TerminalNotActive)
    def post(self, body: Body) -> AccessGranted:
        """Log in with a signed client assertion."""
        return service(Logins).log_in(body["client_assertion"])


@blueprint.route("/v1/terminal/profile")
class ProfileResource(MethodView):
    @access(CallerKind.TERMINAL)
    @blueprint.response(200, schemas.TerminalProfileShape)
    @refuses(errors.TerminalUnknown, errors.TerminalNotActive, errors.TerminalProfileUnknown)
    def get(self) -> TerminalProfile:
        """What this terminal accepts."""
        return service(TerminalProfiles).get_profile(caller().id)


@blueprint.route("/v1/terminal/profile/signed")
class SignedProfileResource(MethodView):
    @access(CallerKind.TERMINAL)
    @conditional(blueprint, schemas.SignedProfileShape)
    @refuses(errors.TerminalUnknown, errors.TerminalNotActive, errors.TerminalProfileUnknown)
    def get(self) -> Tagged:
        """What this terminal accepts, signed, to be kept for when there is no network."""
        signed = service(TerminalProfiles).get_signed(caller().id)
        return Tagged(signed, signed.tag)


@blueprint.route("/v1/terminal/codes")
class TerminalCodesResource(MethodView):
    @access(CallerKind.TERMINAL)
    @command(blueprint, body=schemas.MakeCodeShape, answer=schemas.CodeShape)
    @refuses(errors.TerminalUnknown, errors.TerminalNotActive)
    def post(self, body: Body, operation: Operation) -> MadeCode:
        """Make a merchant code for one bill."""
        make = MakeCode(terminal_id=caller().id, **body)
        return service(MerchantCodes).make_for_terminal(make, operation)


@blueprint.route("/v1/merchant/shops/<string:shop_id>/code")
class CounterCodeResource(MethodView):
    @access(CallerKind.MERCHANT)
    @blueprint.response(200, schemas.CodeShape)
    @refuses(errors.ShopUnknown)
    def get(self, shop_id: str) -> MadeCode:
        """The static merchant code (收款码) to print for a shop's counter."""
        return service(MerchantCodes).counter_code(shop_id, caller().context["merchant_id"])


@blueprint.route("/v1/me/merchant-codes")
class ReadCodeResource(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.arguments(schemas.ReadCodeShape)
    @blueprint.response(200, schemas.CodeReadShape)
    @refuses(
        errors.MerchantCodeMalformed,
        errors.MerchantCodeForeign,
        errors.MerchantCodeAltered,
        errors.ShopUnknown,
    )
    def post(self, body: Body) -> MerchantCodeRead:
        """Read a merchant code before paying."""
        return service(MerchantCodes).read(body["content"])


@internal_blueprint.route("/v1/ops/merchants")
class MerchantsResource(MethodView):
    @access(CallerKind.STAFF, SCOPE)
    @command(internal_blueprint, body=schemas.AddMerchantShape, answer=schemas.MerchantShape)
    @refuses(errors.NumberTaken, errors.NumbersExhausted)
    def post(self, body: Body, operation: Operation) -> Merchant:
        """Add a merchant."""
        return service(Merchants).add_merchant(AddMerchant(**body), operation)


@internal_blueprint.route("/v1/ops/merchants/<string:merchant_id>/shops")
class ShopsResource(MethodView):
    @access(CallerKind.STAFF, SCOPE)
    @command(internal_blueprint, body=schemas.AddShopShape, answer=schemas.ShopShape)
    @refuses(errors.MerchantUnknown, errors.NumberTaken, errors.NumbersExhausted)
    def post(self, body: Body, operation: Operation, merchant_id: str) -> Shop:
        """Add a shop."""
        return service(Merchants).add_shop(AddShop(merchant_id=merchant_id, **body), operation)


@internal_blueprint.route("/v1/ops/shops/<string:shop_id>/terminals")
class TerminalsResource(MethodView):
    # No `command` where the answer holds an activation code: kept answers would hold it in plain.
    # The id in the body makes the repeat safe instead.
    @access(CallerKind.STAFF, SCOPE)
    @internal_blueprint.arguments(schemas.AddTerminalShape)
    @internal_blueprint.response(201, schemas.OrderedTerminalShape)
    @refuses(errors.ShopUnknown, errors.NumberTaken, errors.NumbersExhausted)
    def post(self, body: Body, shop_id: str) -> Ordered:
        """Add a terminal; the same terminal_id and content hears the same activation code."""
        return service(Merchants).add_terminal(AddTerminal(shop_id=shop_id, **body))


@internal_blueprint.route("/v1/ops/merchants/<string:merchant_id>/clients")
class ClientsResource(MethodView):
    @access(CallerKind.STAFF, SCOPE)
    @internal_blueprint.arguments(schemas.AddClientShape)
    @internal_blueprint.response(201, schemas.OrderedShape)
    @refuses(errors.MerchantUnknown)
    def post(self, body: Body, merchant_id: str) -> Ordered:
        """Add a merchant's server; the same client_id and content hears the same code."""
        return service(Merchants).add_client(AddClient(merchant_id=merchant_id, **body))


@internal_blueprint.route("/v1/ops/clients/<string:client_id>/activation-codes")
class ActivationCodesResource(MethodView):
    @access(CallerKind.STAFF, SCOPE)
    @internal_blueprint.arguments(EmptyShape)
    @internal_blueprint.response(201, schemas.OrderedShape)
    @refuses(errors.TerminalUnknown, errors.TerminalTransitionRefused)
    def post(self, body: Body, client_id: str) -> Ordered:
        """Issue a new activation code; unused earlier ones end."""
        return service(Merchants).issue_activation_code(client_id)


@internal_blueprint.route("/v1/ops/terminals/<string:terminal_id>/profile")
class ChosenProfileResource(MethodView):
    @access(CallerKind.STAFF, SCOPE)
    @command(
        internal_blueprint,
        body=schemas.ChooseProfileShape,
        answer=schemas.ChosenProfileShape,
        status=200,
    )
    @refuses(errors.TerminalUnknown, errors.TerminalProfileUnknown, errors.TerminalPlaceUnfit)
    def post(self, body: Body, operation: Operation, terminal_id: str) -> ChosenProfile:
        """Choose what a terminal is for and where it stands; it hears with its next profile."""
        choose = ChooseProfile(terminal_id, **body)
        return service(TerminalProfiles).choose(choose, operation)


@internal_blueprint.route("/v1/ops/clients/<string:client_id>/changes")
class ClientChangesResource(MethodView):
    @access(CallerKind.STAFF, SCOPE)
    @command(
        internal_blueprint,
        body=schemas.ChangeClientShape,
        answer=schemas.ClientShape,
        status=200,
    )
    @refuses(errors.TerminalUnknown, errors.TerminalTransitionRefused)
    def post(self, body: Body, operation: Operation, client_id: str) -> Client:
        """Suspend, resume or close a terminal or merchant server."""
        change = ChangeClient(client_id, schemas.CHANGES[body["event"]])
        return service(Merchants).change_client(change, operation)
