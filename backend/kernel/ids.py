"""TypeIDs (typeid.dev, version 0.3): `pay_01h…`, made by whoever starts the operation."""

from __future__ import annotations

import re

from typeid import TypeID
from typeid.errors import TypeIDException

from backend.kernel.errors import DomainError, Kind, Words


class IdInvalid(DomainError):
    kind, code = Kind.INVALID, "id_invalid"
    title = Words(zh="编号格式不正确", en="Invalid id")
    detail = Words(
        zh="编号须为以 {prefix}_ 开头的 TypeID。", en="The id must be a TypeID starting {prefix}_."
    )


SUFFIX = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}")  # 128 bits in Crockford's base 32


def new_id(prefix: str) -> str:
    """A fresh id, sortable by the moment it was made."""
    return str(TypeID(prefix=prefix))


def check_id(value: str, prefix: str) -> str:
    """`value` itself when it is a TypeID with `prefix`; raises IdInvalid otherwise."""
    if value[: len(prefix) + 1] == f"{prefix}_" and SUFFIX.fullmatch(value, len(prefix) + 1):
        return value
    try:  # the library's own judgement on everything else
        parsed = TypeID.from_string(value)
    except TypeIDException:
        raise IdInvalid(prefix=prefix) from None
    if parsed.prefix != prefix:
        raise IdInvalid(prefix=prefix)
    return value


def is_id(value: str, prefix: str) -> bool:
    """Whether a text is an id of this prefix: what is none need not be looked for."""
    try:
        check_id(value, prefix)
    except IdInvalid:
        return False
    return True
