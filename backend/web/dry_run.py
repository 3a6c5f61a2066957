"""`Dry-Run: true`: what a command would answer, through the same code; nothing is kept."""

from __future__ import annotations

from typing import Any

from flask import Response, after_this_request, request

from backend.kernel import DomainError, Kind, Words

HEADER = "Dry-Run"
DRY_RUN_HEADER: dict[str, Any] = {
    "in": "header",
    "name": HEADER,
    "required": False,
    "schema": {"type": "string", "enum": ["true", "false"], "default": "false"},
    "description": "`true`: say what would be answered now, and do nothing. The answer carries "
    "`Dry-Run: true`; the Idempotency-Key stays unused",
}
VALUES = {None: False, "false": False, "true": True}


class DryRunInvalid(DomainError):
    kind, code = Kind.INVALID, "dry_run_invalid"
    title = Words(zh="Dry-Run 不正确", en="Invalid Dry-Run")
    detail = Words(
        zh="请求头 Dry-Run 只能为 true 或 false。", en="The header Dry-Run is true or false."
    )


def is_asked() -> bool:
    """Whether this request is a dry run; its answer, also a refusal, will say so.

    Raises DryRunInvalid: what is not understood must not move money.
    """
    try:
        asked = VALUES[request.environ.get("HTTP_DRY_RUN")]
    except KeyError:
        raise DryRunInvalid from None
    if asked:
        after_this_request(_say_so)
    return asked


def _say_so(response: Response) -> Response:
    response.headers[HEADER] = "true"
    return response
