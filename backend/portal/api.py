"""The pages' routes: `/` on each network, the brand's colours, the story's state for the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint as FlaskBlueprint
from flask import Response, jsonify, render_template, request
from flask_smorest import Blueprint

from backend.portal.colours import brand_stylesheet
from backend.portal.service import Portal
from backend.portal.story import StoryState
from backend.portal.words import LANGUAGES, Speaker
from backend.wallet import LedgerProof
from backend.web import CallerKind, access, service
from backend.web.problems import language as header_language

LANGUAGE_COOKIE = "lang"
COOKIE_SECONDS = 365 * 24 * 3600
STYLE_CACHE_SECONDS = 300

blueprint = Blueprint("portal", __name__, description="Pages for people 网页")
internal_blueprint = Blueprint("portal", __name__, description="Pages for people 网页")


def home() -> Response:
    """The first page of the public network."""
    portal = service(Portal)
    story = portal.story()
    glance = portal.glance(story)
    return _page(
        "portal/home.html",
        story=story,
        is_refreshing=story.state is StoryState.RUNNING,
        glance=glance,
        custody=_custody(glance.proof),
    )


def internal_home() -> Response:
    """The first page of the internal network."""
    return _page("portal/internal.html")


def story_state() -> Response:
    """Tells the open page whether there is something new to show."""
    story = service(Portal).story()
    return jsonify(state=story.state.value, version=story.version, steps_count=len(story.steps))


def brand() -> Response:
    """The city's colours as custom properties."""
    colours = service(Portal).city["brand"]
    sheet = brand_stylesheet(colours["primary_colour"], colours["accent_colour"])
    response = Response(sheet, content_type="text/css; charset=utf-8")
    response.headers["Cache-Control"] = f"public, max-age={STYLE_CACHE_SECONDS}"
    return response


def _custody(proof: LedgerProof | None) -> str | None:
    """The text that says how custody stands; None when the ledger cannot be read."""
    if proof is None:
        return None
    if proof.custody_equals_owed:
        return "custody_equal"
    expected_fen = proof.custody_fen + proof.channel_receivable_fen
    if proof.channel_receivable_fen > 0 and expected_fen == proof.owed_fen:
        return "custody_waiting"
    return "custody_differs"


def _page(template: str, **values: Any) -> Response:
    portal, speaker = service(Portal), Speaker(_language())
    page = render_template(
        template,
        portal=portal,
        city=portal.city,
        language=speaker.language,
        t=speaker.text,
        text_or_code=speaker.text_or_code,
        say=speaker.say,
        yuan=speaker.yuan,
        took=speaker.took,
        local=speaker.moment,
        **values,
    )
    response = Response(page, content_type="text/html; charset=utf-8")
    response.headers["Content-Language"] = "en" if speaker.language == "en" else "zh-CN"
    if request.args.get("lang") in LANGUAGES:
        response.set_cookie(
            LANGUAGE_COOKIE,
            speaker.language,
            max_age=COOKIE_SECONDS,
            secure=request.is_secure,
            httponly=True,
            samesite="Lax",
        )
    return response


def _language() -> str:
    """What the link asks for, else what was chosen before, else what the browser prefers."""
    for asked in (request.args.get("lang"), request.cookies.get(LANGUAGE_COOKIE)):
        if asked in LANGUAGES:
            return asked
    return header_language()


def _add_page(pages: Blueprint, rule: str, view: Callable[[], Response]) -> None:
    """Flask's own `add_url_rule`: flask-smorest's would list the page in the API document."""
    guarded = access(CallerKind.ANYONE)(view)
    FlaskBlueprint.add_url_rule(pages, rule, view.__name__, guarded)


_add_page(blueprint, "/", home)
_add_page(blueprint, "/portal/story.json", story_state)
_add_page(blueprint, "/brand.css", brand)
_add_page(internal_blueprint, "/", internal_home)
_add_page(internal_blueprint, "/brand.css", brand)
