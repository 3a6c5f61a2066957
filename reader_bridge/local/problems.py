"""Faults as RFC 9457 problem details in the caller's language; knows no route."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from reader_bridge.backend_client import Refused, Unreachable
from reader_bridge.faults import Fault, Language, TerminalFault, Text

PROBLEM_TYPE: Final = "application/problem+json"
_CONFLICT = 409
# TerminalFault codes by status; any other of the terminal's is 503: it has to be put right first.
STATUS: Final[Mapping[str, int]] = {
    "till_busy": _CONFLICT,
    "cancel_too_late": _CONFLICT,
    "pin_not_wanted": _CONFLICT,
    "reference_used_differently": _CONFLICT,
    "sale_not_captured": _CONFLICT,
    "sale_unknown": 404,
    "amount_malformed": 422,
    "reference_malformed": 422,
    "full_fare_malformed": 422,
}
RETRYABLE: Final = frozenset({"till_busy", "till_closed", "backend_unreachable", "streams_full"})
EDGE_WORDS: Final[Mapping[str, tuple[int, Text]]] = {
    "body_malformed": (400, Text("请求体不是有效的 JSON", "The body is not JSON")),
    "token_missing": (401, Text("缺少本机令牌", "The terminal's local token is missing")),
    "token_invalid": (401, Text("本机令牌无效", "The local token is not valid")),
    "link_spent": (
        401,
        Text("链接已使用或已过期,请重新获取", "This link was used or is too old: get a new one"),
    ),
    "origin_refused": (403, Text("来源不被允许", "Calls from other pages are refused")),
    "not_found": (404, Text("没有此地址", "There is nothing at this address")),
    "method_not_allowed": (405, Text("方法不被允许", "This method is not allowed here")),
    "body_too_large": (413, Text("请求体过大", "The body is too large")),
    "media_type_unsupported": (415, Text("请求体须为 application/json", "Send application/json")),
    "host_refused": (421, Text("主机名不被允许", "The Host header is not this terminal's")),
    "fields_invalid": (422, Text("字段无效", "A field is not valid")),
    "body_too_slow": (408, Text("请求体发送过慢", "The body came too slowly")),
    "internal_error": (500, Text("终端内部错误", "The terminal failed")),
    "backend_unreachable": (503, Text("无法连接后台", "The backend cannot be reached")),
    "streams_full": (503, Text("事件流过多", "Too many event streams are open")),
}
_BY_STATUS: Final = {404: "not_found", 405: "method_not_allowed", 415: "media_type_unsupported"}


class EdgeRefusal(Exception):
    """Refused before the till was asked."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def language_of(accept_language: str, default: Language) -> Language:
    """The first language we know in the header, without weights; else the terminal's."""
    for part in accept_language[:200].lower().split(","):
        tag = part.split(";")[0].strip()
        if tag.startswith("zh"):
            return "zh-CN"
        if tag.startswith("en"):
            return "en"
    return default


def problem_body(
    status: int, code: str, detail: str, request_id: str, **more: Any
) -> dict[str, Any]:
    """The members of every problem of ours, in their order."""
    body = {"type": f"/problems/{code}", "title": detail, "status": status, "code": code}
    body |= {"detail": detail, "errors": {}, "request_id": request_id}
    return body | {"retryable": code in RETRYABLE, "article": None} | more


def edge_problem(code: str, language: Language, request_id: str, **more: Any) -> dict[str, Any]:
    status, text = EDGE_WORDS[code]
    return problem_body(status, code, text.read(language), request_id, **more)


def problem_response(body: Mapping[str, Any]) -> Response:
    content = json.dumps(body, ensure_ascii=False, default=str)
    return Response(content, status_code=body["status"], media_type=PROBLEM_TYPE)


def status_of(fault: Fault) -> int:
    """A terminal that has to be put right, a reader or a SAM that fails: 503."""
    return STATUS.get(fault.code, 503) if isinstance(fault, TerminalFault) else 503


def install(app: FastAPI, default: Language) -> None:
    """One handler for each family; what is left is a bug, and the guard's."""

    def language(request: Request) -> Language:
        return language_of(request.headers.get("accept-language", ""), default)

    def of_fault(request: Request, fault: Fault) -> Response:
        words = fault.text(language(request))
        body = problem_body(status_of(fault), fault.code, words, _id(request))
        return problem_response({**fault.data, **body})

    def of_refusal(request: Request, refused: Refused) -> Response:
        body = problem_body(refused.status, refused.code, refused.detail, _id(request))
        return problem_response({**refused.data, **body, "retryable": refused.retryable})

    def of_edge(request: Request, refusal: EdgeRefusal) -> Response:
        return problem_response(edge_problem(refusal.code, language(request), _id(request)))

    def of_silence(request: Request, silence: Unreachable) -> Response:
        return of_edge(request, EdgeRefusal("backend_unreachable"))

    def of_fields(request: Request, wrong: RequestValidationError) -> Response:
        kinds = {error["type"] for error in wrong.errors()}
        if "json_invalid" in kinds:
            return of_edge(request, EdgeRefusal("body_malformed"))
        body = edge_problem(
            "fields_invalid", language(request), _id(request), errors=_field_errors(wrong)
        )
        return problem_response(body)

    def of_http(request: Request, error: HTTPException) -> Response:
        code = _BY_STATUS.get(error.status_code, "body_malformed")
        return of_edge(request, EdgeRefusal(code))

    handlers: list[tuple[type[Exception], Any]] = [(Fault, of_fault), (Refused, of_refusal)]
    handlers += [(Unreachable, of_silence), (EdgeRefusal, of_edge)]
    handlers += [(RequestValidationError, of_fields), (HTTPException, of_http)]
    for kind, handler in handlers:
        app.add_exception_handler(kind, handler)


def new_request_id() -> str:
    return uuid.uuid4().hex


def _id(request: Request) -> str:
    return str(request.scope.get("request_id") or new_request_id())


def _field_errors(wrong: RequestValidationError) -> dict[str, list[str]]:
    """Field by field; never what was sent."""
    errors: dict[str, list[str]] = {}
    for error in wrong.errors():
        place = ".".join(str(part) for part in error["loc"][1:]) or "body"
        errors.setdefault(place[:80], []).append(error["msg"])
    return errors
