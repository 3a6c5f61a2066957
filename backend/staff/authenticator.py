"""Who calls on the internal network: by the cookie of a staff session, with its CSRF token."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Response, request

from backend.staff.service import Staff
from backend.web import Caller, CallerKind
from backend.web.access import TokenInvalid, TokenMissing

CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, section 9.2.1


@dataclass(frozen=True, slots=True)
class StaffCookie:
    """The cookie that carries a session: scripts cannot read it, other sites cannot send it."""

    secure: bool = True  # off only where the internal network is plain HTTP on this machine
    name: str = "staff"

    def read(self) -> str:
        """The token of this request. Raises TokenMissing."""
        token = request.cookies.get(self.name, "")
        if not token:
            raise TokenMissing
        return token

    def give(self, response: Response, token: str) -> Response:
        # No Max-Age: the browser forgets it when it closes; the server ends it in time.
        response.set_cookie(
            self.name, token, path="/", secure=self.secure, httponly=True, samesite="Strict"
        )
        return response

    def take_back(self, response: Response) -> Response:
        response.delete_cookie(
            self.name, path="/", secure=self.secure, httponly=True, samesite="Strict"
        )
        return response


@dataclass(frozen=True, slots=True)
class StaffAuthenticator:
    """Reads the cookie; unsafe methods must bring the session's CSRF token too.

    Raises TokenMissing, TokenInvalid, StaffSessionExpired, CsrfInvalid.
    """

    staff: Staff
    cookie: StaffCookie

    def authenticate(self) -> Caller:
        token = self.cookie.read()
        member = self.staff.find_member(token)
        if member is None:
            raise TokenInvalid
        if request.method not in SAFE_METHODS:
            self.staff.check_csrf(token, request.headers.get(CSRF_HEADER, ""))
        context = {"username": member.username, "roles": " ".join(member.roles)}
        return Caller(CallerKind.STAFF, member.staff_id, member.scopes, context)
