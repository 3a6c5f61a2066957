"""Refusals as problem documents (RFC 9457), in the caller's language; bugs as one logged 500."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, g, json, request
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException

from backend.kernel import DomainError, Kind, Words

log = structlog.get_logger(__name__)

PROBLEM_TYPE = "application/problem+json"

STATUS: Mapping[Kind, HTTPStatus] = {
    Kind.INVALID: HTTPStatus.UNPROCESSABLE_ENTITY,
    Kind.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Kind.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Kind.UNKNOWN: HTTPStatus.NOT_FOUND,
    Kind.CONFLICT: HTTPStatus.CONFLICT,
    Kind.REFUSED: HTTPStatus.PAYMENT_REQUIRED,
    Kind.LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    Kind.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}

HTTP_WORDS: Mapping[int, tuple[str, Words]] = {
    400: ("body_malformed", Words(zh="请求内容无法读取。", en="The request cannot be read.")),
    404: ("not_found", Words(zh="没有这个地址。", en="There is nothing at this address.")),
    405: (
        "method_not_allowed",
        Words(zh="此地址不支持该方法。", en="No such method here."),
    ),
    413: ("body_too_large", Words(zh="请求内容过大。", en="The request body is too large.")),
    415: ("media_type_unsupported", Words(zh="请使用 JSON。", en="Please send JSON.")),
    422: ("fields_invalid", Words(zh="有字段不正确。", en="Some fields are not right.")),
    429: ("too_many_requests", Words(zh="请求过于频繁，请稍候。", en="Too many requests; wait.")),
    500: ("internal_error", Words(zh="系统内部错误，已记录。", en="Our fault; it is on record.")),
}

FIELD_WORDS: Mapping[str, Words] = {
    "Missing data for required field.": Words(zh="必填", en="required"),
    "Unknown field.": Words(zh="没有这个字段", en="unknown field"),
    "Field may not be null.": Words(zh="不能为空", en="may not be null"),
    "Not a valid integer.": Words(zh="须为整数", en="must be a whole number"),
    "Not a valid string.": Words(zh="须为文字", en="must be a text"),
    "Not a valid boolean.": Words(zh="须为 true 或 false", en="must be true or false"),
    "Invalid input type.": Words(zh="须为 JSON 对象", en="must be a JSON object"),
}


def language() -> str:
    """The caller's language: "zh" unless English is asked for first."""
    for tag, quality in request.accept_languages:  # best first
        primary = tag.partition("-")[0].lower()
        if primary in ("zh", "en") and quality > 0:
            return primary
    return "zh"


def status_of(error: DomainError) -> int:
    return STATUS[error.kind].value


def problem_body(error: DomainError) -> dict[str, Any]:
    """The problem document of a refusal; its data become extension members (section 3.2)."""
    speak = language()
    body = _problem(
        status_of(error),
        error.code,
        error.title.text(speak),
        error.detail.text(speak, **error.data),
    )
    article = error.article.text(speak) if isinstance(error.article, Words) else error.article
    return {**error.data, **body, "retryable": error.retryable, "article": article}


def problem_text(body: Mapping[str, Any]) -> str:
    """A problem document as it is sent, now and when the answer is said again."""
    return json.dumps(body, ensure_ascii=False, default=str)


def register_problems(app: Flask) -> None:
    """Translate every error of the application once, here."""
    app.register_error_handler(DomainError, _on_refusal)
    app.register_error_handler(HTTPException, _on_http)
    app.register_error_handler(DBAPIError, _on_bug)
    app.register_error_handler(Exception, _on_bug)


def _problem(status: int, code: str, title: str, detail: str) -> dict[str, Any]:
    return {
        "type": f"/docs/errors#{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": g.get("request_id"),
        "retryable": False,
        "article": None,
    }


def _on_refusal(error: DomainError) -> Response:
    response = _send(problem_body(error))
    if error.kind is Kind.UNAUTHENTICATED:
        response.headers["WWW-Authenticate"] = "Bearer"
    g.retry_after_seconds = error.data.get("retry_after_seconds")
    return response


def _on_http(error: HTTPException) -> Response:
    status = error.code or 500
    code, words = HTTP_WORDS.get(status, HTTP_WORDS[500 if status >= 500 else 400])
    title = HTTPStatus(status).phrase if language() == "en" else words.zh
    body = _problem(status, code, title, words.text(language()))
    if fields := getattr(error, "data", {}).get("messages"):
        body["errors"] = _flatten(fields)
    response = _send(body)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _on_bug(error: Exception) -> Response:
    if isinstance(error, DBAPIError):
        # A driver's own words may quote a row: say where and what kind, not what it read.
        frames = traceback.format_tb(error.__traceback__)
        state = getattr(error.orig, "sqlstate", None)
        log.error("unexpected", kind=type(error).__name__, sqlstate=state, trace="".join(frames))
    else:
        log.error("unexpected", exc_info=error)
    code, words = HTTP_WORDS[500]
    title = Words(zh="系统内部错误", en="Internal error").text(language())
    return _send(_problem(500, code, title, words.text(language())))


def _flatten(messages: Any, path: str = "", depth: int = 0) -> dict[str, list[str]]:
    """{"json": {"proof": {"kind": ["…"]}}} -> {"proof.kind": ["…"]}."""
    if isinstance(messages, Mapping) and depth < 6:
        found: dict[str, list[str]] = {}
        for name, inner in messages.items():
            at = path if depth == 0 else f"{path}.{name}".lstrip(".")
            found.update(_flatten(inner, at, depth + 1))
        return found
    texts = messages if isinstance(messages, list) else [messages]
    return {path.removeprefix("_schema").lstrip(".") or "body": [_field_text(t) for t in texts]}


def _field_text(message: object) -> str:
    known = FIELD_WORDS.get(str(message))
    if known:
        return known.text(language())
    return str(message) if language() == "en" else f"不正确（{message}）"


def _send(body: dict[str, Any]) -> Response:
    return Response(problem_text(body), body["status"], content_type=PROBLEM_TYPE)
