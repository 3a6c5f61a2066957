"""Resource of the staff session (internal network)."""

from __future__ import annotations

from typing import Any

from flask import after_this_request
from flask.views import MethodView
from flask_smorest import Blueprint

from backend.staff import errors
from backend.staff.authenticator import StaffCookie
from backend.staff.model import StaffSession
from backend.staff.schemas import StaffLogInShape, StaffSessionShape
from backend.staff.service import Staff
from backend.web import CallerKind, access, refuses, service

internal_blueprint = Blueprint("staff", __name__, description="Staff session 工作人员登录")


@internal_blueprint.route("/v1/ops/session")
class OpsSession(MethodView):
    @access(CallerKind.ANYONE)
    @internal_blueprint.arguments(StaffLogInShape)
    @internal_blueprint.response(200, StaffSessionShape)
    @refuses(errors.StaffLoginRefused)
    def post(self, body: dict[str, Any]) -> StaffSession:
        """Log in with password and TOTP; sets the session cookie.

        15 minutes idle or 8 hours end it. Refusal: staff_login_refused.
        """
        session = service(Staff).log_in(**body)
        after_this_request(lambda response: service(StaffCookie).give(response, session.token))
        return session

    @access(CallerKind.STAFF)
    @internal_blueprint.response(204)
    @refuses(errors.StaffSessionExpired, errors.CsrfInvalid)
    def delete(self) -> None:
        """Log out."""
        cookie = service(StaffCookie)
        service(Staff).log_out(cookie.read())
        after_this_request(cookie.take_back)
