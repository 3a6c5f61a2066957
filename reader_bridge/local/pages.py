"""The terminal's page and its files, and the one-time link that opens it; knows no till."""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from reader_bridge.local.problems import EdgeRefusal
from reader_bridge.local.token import COOKIE, COOKIE_SECONDS, Doors

PAGE: Final = resources.files("reader_bridge.local") / "page"
TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
FILES: Final = (
    "board.js",
    "icon.svg",
    "keypad.js",
    "live.js",
    "loading.js",
    "main.js",
    "page.css",
    "pin.js",
    "sales.js",
    "steps.js",
    "tones.js",
    "words.js",
)

router = APIRouter(include_in_schema=False)


@router.get("/")
def page(request: Request) -> Response:
    """The page for whoever holds a cookie; else how to get one."""
    doors: Doors = request.app.state.doors
    is_known = doors.is_cookie(request.cookies.get(COOKIE, ""))
    name = "index.html" if is_known else "shut.html"
    return Response(_read(name), 200 if is_known else 401, media_type="text/html; charset=utf-8")


@router.get("/open")
def open_page(
    request: Request, link: Annotated[str, Query(min_length=1, max_length=64)]
) -> Response:
    """Spends the link and sets the cookie. Raises EdgeRefusal(link_spent)."""
    doors: Doors = request.app.state.doors
    cookie = doors.open_link(link)
    if cookie is None:
        raise EdgeRefusal("link_spent")
    response = RedirectResponse("/", 303)
    response.set_cookie(
        COOKIE, cookie, max_age=COOKIE_SECONDS, path="/", httponly=True, samesite="strict"
    )
    return response


@router.get("/page/{name}")
def page_file(name: str) -> Response:
    """One of a short list: no name from outside reaches the disk."""
    if name not in FILES:
        raise EdgeRefusal("not_found")
    return Response(_read(name), media_type=TYPES[name.rpartition(".")[2]])


def _read(name: str) -> bytes:
    return (PAGE / name).read_bytes()
