"""JSDoc types of what the web SDK sends and hears, from the public network's OpenAPI document."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from backend.app import create_public_app, open_parts
from backend.config import load_config

Schema = Mapping[str, Any]

HEAD = """// @ts-check
/**
 * What the API takes and tells, for the calls this SDK makes.
 * Written by `python -m tools.openapi_types` from the OpenAPI document; not by hand.
 */
"""
# Every call of the SDK; a test looks that no other path stands in the modules.
CALLS: tuple[tuple[str, str], ...] = (
    ("post", "/v1/login/codes"),
    ("post", "/v1/login/sessions"),
    ("post", "/v1/login/refresh"),
    ("get", "/v1/me"),
    ("put", "/v1/me/registration"),
    ("get", "/v1/me/wallets"),
    ("post", "/v1/me/wallets"),
    ("get", "/v1/me/wallets/{wallet_id}/lines"),
    ("post", "/v1/me/devices"),
    ("get", "/v1/me/cards"),
    ("post", "/v1/me/cards"),
    ("get", "/v1/me/cards/{token_id}"),
    ("post", "/v1/me/cards/{token_id}/keys"),
    ("post", "/v1/me/cards/{token_id}/moves"),
    ("post", "/v1/me/cards/{token_id}/confirmation"),
    ("post", "/v1/me/cards/{token_id}/loss-report"),
    ("post", "/v1/me/cards/{token_id}/release"),
    ("get", "/v1/me/cards/{token_id}/ride-part"),
    ("get", "/v1/me/cards/{token_id}/identity-part"),
    ("post", "/v1/me/step-ups/{step_up_id}/answers"),
    ("post", "/v1/me/topups"),
    ("get", "/v1/me/topups/{topup_id}"),
    ("post", "/v1/me/merchant-codes"),
    ("post", "/v1/me/payments"),
    ("get", "/v1/me/payments/{payment_id}"),
)
_REF = "#/components/schemas/"
_LEAVES = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}


def public_document() -> Schema:
    """The document as a running city serves it; a city is made in a temporary folder for it."""
    with tempfile.TemporaryDirectory() as folder:
        parts = open_parts(load_config({"CITY_VAR": str(Path(folder) / "var")}), make=True)
        try:
            answer = create_public_app(parts).test_client().get("/openapi.json")
            return cast("Schema", answer.get_json())
        finally:
            parts.databases.close()


def module(document: Schema) -> str:
    """The text of `api-types.js`. Raises KeyError when a call is not in the document."""
    schemas: Mapping[str, Schema] = document["components"]["schemas"]
    typedefs = "".join(_typedef(name, schemas[name]) for name in sorted(_wanted(document)))
    return f"{HEAD}\n{typedefs}export {{}};\n"


def schema_name(document: Schema, method: str, path: str) -> str | None:
    """The schema of a call's answer; None when it answers something else than an object."""
    answers = document["paths"][path][method]["responses"]
    found = (answers[status] for status in sorted(answers) if status.startswith("2"))
    for answer in found:
        for content in answer.get("content", {}).values():
            return _named(content["schema"])
    return None


def _wanted(document: Schema) -> set[str]:
    """Names of the schemas of all calls, and of those they contain."""
    waiting: list[str] = []
    for method, path in CALLS:
        waiting += _references(document["paths"][path][method].get("requestBody", {}))
        waiting += filter(None, [schema_name(document, method, path)])
    wanted: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += _references(document["components"]["schemas"][name])
    return wanted


def _references(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].removeprefix(_REF)
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _typedef(name: str, schema: Schema) -> str:
    required = set(schema.get("required", ()))
    lines = [f" * @typedef {{object}} {_short(name)}"]
    for member, shape in schema.get("properties", {}).items():
        shown = member if member in required else f"[{member}]"
        note = f" {shape['format']}" if shape.get("format") else ""
        lines.append(f" * @property {{{type_of(shape)}}} {shown}{note}")
    return "/**\n" + "\n".join(lines) + "\n */\n\n"


def type_of(schema: Schema) -> str:
    """The JSDoc type of a schema; arms are parted by ` | `."""
    if name := _named(schema):
        return _short(name)
    if values := schema.get("enum"):
        return " | ".join(
            f'"{one}"' if isinstance(one, str) else str(one).lower() for one in values
        )
    for word in ("anyOf", "oneOf", "allOf"):
        if arms := schema.get(word):
            return " | ".join(dict.fromkeys(type_of(arm) for arm in arms))
    kinds = schema.get("type", "object")
    names = [kinds] if isinstance(kinds, str) else list(kinds)
    return " | ".join(_leaf(name, schema) for name in names)


def _leaf(kind: str, schema: Schema) -> str:
    if kind == "array":
        inner = type_of(schema["items"])
        return f"({inner})[]" if "|" in inner else f"{inner}[]"
    return _LEAVES.get(kind, "Record<string, unknown>")


def _named(schema: Schema) -> str | None:
    reference = schema.get("$ref")
    return reference.removeprefix(_REF) if isinstance(reference, str) else None


def _short(name: str) -> str:
    return name.removesuffix("Shape")
