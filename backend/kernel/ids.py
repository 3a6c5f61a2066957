"""TypeIDs (typeid.dev, version 0.3): `pay_01h…`, made by whoever starts the operation."""

from __future__ import annotations

from typeid import TypeID
from typeid.errors import TypeIDException

from backend.kernel.errors import DomainError, Kind, Words


class IdInvalid(DomainError):
    kind, code = Kind.INVALID, "id_invalid"
    title = Words(zh="编号格式不正确", en="Invalid id")
    detail = Words(
        zh="编号须为以 {prefix}_ 开头的 TypeID。", en="The id must be a TypeID starting {prefix}_."
    )


def new_id(prefix: str) -> str:
    """A fresh id, sortable by the moment it was made."""
    return str(TypeID(prefix=prefix))


def check_id(value: str, prefix: str) -> str:
    """`value` itself when it is a TypeID with `prefix`; raises IdInvalid otherwise."""
    try:
        parsed = TypeID.from_string(value)
    except TypeIDException:
        raise IdInvalid(prefix=prefix) from None
    if parsed.prefix != prefix:
        raise IdInvalid(prefix=prefix)
    return value
