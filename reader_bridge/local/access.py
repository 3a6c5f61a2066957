"""Which caller a request is: a register by its token, the page by its cookie; knows no till."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from reader_bridge.local.guard import SAFE_METHODS
from reader_bridge.local.problems import EdgeRefusal
from reader_bridge.local.token import COOKIE, Doors

_bearer: Final = HTTPBearer(auto_error=False, description="The file `local_token` of the terminal")
_cookie: Final = APIKeyCookie(name=COOKIE, auto_error=False, description="The terminal's page")


def require_caller(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> None:
    """Raises EdgeRefusal(token_missing, token_invalid, origin_refused).

    A command by cookie needs an Origin, which the guard found to be ours: cookies go to every
    port of this machine, an Origin does not lie about its own.
    """
    doors: Doors = request.app.state.doors
    if bearer is not None:
        if not doors.is_token(bearer.credentials):
            raise EdgeRefusal("token_invalid")
        return
    if cookie is None:
        raise EdgeRefusal("token_missing")
    if not doors.is_cookie(cookie):
        raise EdgeRefusal("token_invalid")
    if request.method not in SAFE_METHODS and "origin" not in request.headers:
        raise EdgeRefusal("origin_refused")


def require_token(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """For what a page may not do. Raises EdgeRefusal(token_missing, token_invalid)."""
    if bearer is None:
        raise EdgeRefusal("token_missing")
    require_caller(request, bearer, None)


CALLER: Final = [Depends(require_caller)]
TOKEN: Final = [Depends(require_token)]
