"""Resources of ride and identity codes: citizens, gates, verifiers (public); staff (internal)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask.views import MethodView
from flask_smorest import Blueprint

from backend.db import Operation
from backend.merchants import MerchantUnknown
from backend.virtual_card import errors as card_errors
from backend.virtual_card.codes import errors, schemas
from backend.virtual_card.codes.identities import REFUSALS, ReleaseIdentity
from backend.virtual_card.codes.model import (
    IdentityKeys,
    IdentityRelease,
    IdentityVerifier,
    RideKeys,
    SignedPart,
)
from backend.virtual_card.codes.service import Codes
from backend.virtual_card.codes.verifiers import RegisterVerifier
from backend.web import (
    CallerKind,
    Page,
    PageArguments,
    access,
    caller,
    command,
    refuses,
    service,
)

SCOPE = "merchants.write"
Body = Mapping[str, Any]

blueprint = Blueprint("codes", __name__, description="Ride and identity codes")
internal_blueprint = Blueprint("codes-upkeep", __name__, description="Verifiers of identity codes")


@blueprint.route("/v1/me/cards/<string:token_id>/ride-part")
class RidePartResource(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.response(200, schemas.SignedPartShape)
    @refuses(card_errors.TokenUnknown, card_errors.TokenSuspended, card_errors.TokenDeleted)
    def get(self, token_id: str) -> SignedPart:
        """The issuer's part of my ride codes, for a day."""
        return service(Codes).rides.issue(caller().id, token_id)


@blueprint.route("/v1/me/cards/<string:token_id>/identity-part")
class IdentityPartResource(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.response(200, schemas.SignedPartShape)
    @refuses(card_errors.TokenUnknown, card_errors.TokenSuspended, card_errors.TokenDeleted)
    def get(self, token_id: str) -> SignedPart:
        """The issuer's part of my identity codes, for a day."""
        return service(Codes).identities.issue(caller().id, token_id)


@blueprint.route("/v1/me/identity-releases")
class MyReleasesResource(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.arguments(PageArguments, location="query")
    @blueprint.response(200, schemas.ReleaseNotePage)
    def get(self, page: Body) -> Page[IdentityRelease]:
        """Who learnt what of me by an identity code."""
        return service(Codes).identities.list(caller().id, page["limit"], page["after"])


@blueprint.route("/v1/terminal/ride-keys")
class RideKeysResource(MethodView):
    @access(CallerKind.TERMINAL)
    @blueprint.response(200, schemas.RideKeysShape)
    def get(self) -> RideKeys:
        """What a gate needs to check ride codes offline."""
        return service(Codes).rides.gate_keys()


@blueprint.route("/v1/merchant/identity-keys")
class IdentityKeysResource(MethodView):
    @access(CallerKind.MERCHANT)
    @blueprint.response(200, schemas.IdentityKeysShape)
    @refuses(errors.IdentityVerifierUnknown)
    def get(self) -> IdentityKeys:
        """What a registered verifier needs to check identity codes offline."""
        return service(Codes).identities.issuer_keys(caller().context["merchant_id"])


@blueprint.route("/v1/merchant/identity-releases/<string:request_id>")
class ReleasesResource(MethodView):
    # No `command`: kept answers would hold a name in plain. The id in the path makes PUT safe.
    @access(CallerKind.MERCHANT)
    @blueprint.arguments(schemas.ReleaseIdentityShape)
    @blueprint.response(200, schemas.ReleaseShape)
    @refuses(
        errors.IdentityVerifierUnknown,
        *REFUSALS.values(),
        errors.IdentityPurposeRefused,
        errors.IdentityClaimsRefused,
        errors.IdentityCodeUsed,
        card_errors.TokenSuspended,
        card_errors.TokenDeleted,
    )
    def put(self, body: Body, request_id: str) -> IdentityRelease:
        """Read an identity code: exactly what its holder agreed to, once."""
        known = caller()
        wanted = ReleaseIdentity(known.context["merchant_id"], known.id, request_id, **body)
        return service(Codes).identities.release(wanted)


@internal_blueprint.route("/v1/ops/merchants/<string:merchant_id>/identity-verifier")
class VerifierResource(MethodView):
    @access(CallerKind.STAFF, SCOPE)
    @command(internal_blueprint, body=schemas.RegisterVerifierShape, answer=schemas.VerifierShape)
    @refuses(MerchantUnknown)
    def post(self, body: Body, operation: Operation, merchant_id: str) -> IdentityVerifier:
        """Register a merchant as verifier of identity codes, or change what it may learn."""
        register = RegisterVerifier(
            merchant_id, tuple(body["purposes"]), tuple(body["claims"]), caller().id
        )
        return service(Codes).verifiers.register(register, operation)
