"""Resources of log-in and registration (public) and of the SMS sandbox (internal)."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView
from flask_smorest import Blueprint

from backend.identity import errors
from backend.identity.challenges import LoginCode
from backend.identity.logins import LogIn, Logins, Tokens
from backend.identity.model import Person, check_phone
from backend.identity.schemas import (
    LoginCodeRequestShape,
    LoginCodeShape,
    LogInShape,
    MessagePageShape,
    MessagesQueryShape,
    PersonShape,
    RefreshShape,
    RegistrationShape,
    TokensShape,
)
from backend.identity.service import Identity, Register
from backend.identity.sms_sandbox import SandboxMessage, SandboxSms
from backend.web import CallerKind, Page, ProofInvalid, access, caller, refuses, service
from backend.web.problems import language

blueprint = Blueprint("identity", __name__, description="Log-in and registration 登录与实名登记")
internal_blueprint = Blueprint("sandbox_messages", __name__, description="SMS sandbox 短信沙箱")


@blueprint.route("/v1/login/codes")
class LoginCodes(MethodView):
    @access(CallerKind.ANYONE)
    @blueprint.arguments(LoginCodeRequestShape)
    @blueprint.response(202, LoginCodeShape)
    @refuses(errors.PhoneInvalid, errors.LoginTooOften)
    def post(self, body: dict[str, Any]) -> LoginCode:
        """Send a one-time code by SMS.

        A phone may ask every 60 seconds and 5 times an hour. Codes are valid 5 minutes.
        Refusals: phone_invalid, login_too_often.
        """
        return service(Logins).ask_code(body["phone"], language())


@blueprint.route("/v1/login/sessions")
class LoginSessions(MethodView):
    @access(CallerKind.ANYONE)
    @blueprint.arguments(LogInShape)
    @blueprint.response(201, TokensShape)
    @refuses(
        errors.PhoneInvalid,
        errors.LoginUnknown,
        errors.LoginCodeWrong,
        errors.LoginCodeExpired,
        errors.LoginCodeUsed,
        errors.LoginCodeForeign,
        errors.LoginLocked,
        ProofInvalid,
    )
    def post(self, body: dict[str, Any]) -> Tokens:
        """Log in with a one-time code; the session is bound to the device key.

        The same request, to the byte, hears the same session again for 60 seconds.
        Refusals: phone_invalid, proof_invalid, login_unknown, login_code_foreign,
        login_code_used, login_code_expired, login_locked, login_code_wrong (with tries_left).
        """
        return service(Logins).log_in(LogIn(**body))


@blueprint.route("/v1/login/refresh")
class LoginRefresh(MethodView):
    @access(CallerKind.ANYONE)
    @blueprint.arguments(RefreshShape)
    @blueprint.response(200, TokensShape)
    @refuses(errors.RefreshInvalid, errors.RefreshReused, errors.SessionEnded, ProofInvalid)
    def post(self, body: dict[str, Any]) -> Tokens:
        """Renew the access token; the refresh token rotates.

        The same token with the same proof jti hears the same new token for 60 seconds; any
        other use of an old token ends the session.
        Refusals: refresh_invalid, refresh_reused, session_ended, proof_invalid.
        """
        return service(Logins).refresh(**body)


@blueprint.route("/v1/me")
class Me(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.response(200, PersonShape)
    @refuses(errors.PersonUnknown)
    def get(self) -> Person:
        """Who is logged in, masked."""
        return service(Identity).get_person(caller().id)


@blueprint.route("/v1/me/registration")
class MyRegistration(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.arguments(RegistrationShape)
    @blueprint.response(200, PersonShape)
    @refuses(
        errors.NameInvalid,
        errors.IdNumberInvalid,
        errors.BaseRecordUnknown,
        errors.BaseRecordDiffers,
        errors.AlreadyRegistered,
        errors.GuardianNeeded,
        errors.RegistrationTooOften,
    )
    def put(self, body: dict[str, Any]) -> Person:
        """Register by name and identity number, matched with the city's base records.

        Repeating the same content hears the same answer.
        Refusals: name_invalid, id_number_invalid, guardian_needed, base_record_unknown,
        base_record_differs, already_registered, registration_too_often.
        """
        return service(Identity).register(Register(caller().id, **body))


@internal_blueprint.route("/v1/ops/sandbox/messages")
class SandboxMessages(MethodView):
    @access(CallerKind.STAFF, "sandbox.read")
    @internal_blueprint.arguments(MessagesQueryShape, location="query")
    @internal_blueprint.response(200, MessagePageShape)
    @refuses(errors.PhoneInvalid)
    def get(self, query: dict[str, Any]) -> Page[SandboxMessage]:
        """What the SMS sandbox delivered to a phone, newest first."""
        return _messages(check_phone(query["phone"]), query["limit"], query["after"])


def _messages(phone: str, limit: int, before: int | None) -> Page[SandboxMessage]:
    found = service(SandboxSms).messages(phone, limit + 1, before)
    page = found[:limit]
    return Page(page, str(page[-1].sequence) if len(found) > limit else None)
