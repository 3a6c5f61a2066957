"""JSON to frozen dataclasses and back, strictly typed. Knows nothing of what the values mean."""

from __future__ import annotations

import base64
import binascii
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from typing import Any, TypeVar

T = TypeVar("T")


class ShapeError(ValueError):
    """A document has another shape than the type asks for; the message names the member."""


def b64u(data: bytes) -> str:
    """base64url without padding (RFC 4648, section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_b64u(text: str) -> bytes:
    """Raises ShapeError unless `text` is base64url without padding."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ShapeError("not base64url") from None
    if b64u(raw) != text:
        raise ShapeError("not base64url in its one spelling")
    return raw


def decode(cls: type[T], document: object) -> T:
    """`document` (parsed JSON) as a `cls`, a dataclass. Members we do not know are passed over.

    Integers are never taken from booleans or fractions; times are RFC 3339 with an offset; bytes
    are base64url. Raises ShapeError.
    """
    value: T = _decode_dataclass(cls, document, cls.__name__)
    return value


def encode(value: object) -> Any:
    """A value made of dataclasses as JSON types; the inverse of `decode`."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if isinstance(value, bytes):
        return b64u(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return str(value)  # a StrEnum becomes the plain text it is
    if value is None or isinstance(value, int | float):
        return value
    raise TypeError(f"cannot store a {type(value).__name__}")


def _decode_dataclass(cls: Any, document: object, where: str) -> Any:
    if not isinstance(document, Mapping):
        raise ShapeError(f"{where}: not an object")
    hints = typing.get_type_hints(cls)
    known = {}
    for member in fields(cls):
        if member.name in document:
            place = f"{where}.{member.name}"
            known[member.name] = _decode(hints[member.name], document[member.name], place)
        elif _is_required(member):
            raise ShapeError(f"{where}.{member.name}: missing")
    return cls(**known)


def _is_required(member: Field[Any]) -> bool:
    return member.default is MISSING and member.default_factory is MISSING


def _decode(hint: Any, value: object, where: str) -> Any:
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        (inner,) = (arm for arm in hint.__args__ if arm is not type(None))
        return _decode(inner, value, where)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ShapeError(f"{where}: not a list")
        item_hint = hint.__args__[0]
        return tuple(_decode(item_hint, item, f"{where}[]") for item in value)
    if is_dataclass(hint):
        return _decode_dataclass(hint, value, where)
    return _LEAVES[hint](value, where)


def _leaf(kind: type) -> Callable[[object, str], Any]:
    def read(value: object, where: str) -> Any:
        if type(value) is not kind:  # a bool is an int to isinstance, and not to us
            raise ShapeError(f"{where}: not {kind.__name__}")
        return value

    return read


def _read_float(value: object, where: str) -> float:
    if type(value) not in (int, float):
        raise ShapeError(f"{where}: not a number")
    return float(typing.cast("float", value))


def _read_bytes(value: object, where: str) -> bytes:
    try:
        return from_b64u(_leaf(str)(value, where))
    except ShapeError as error:
        raise ShapeError(f"{where}: {error}") from None


def _read_time(value: object, where: str) -> datetime:
    try:
        time = datetime.fromisoformat(_leaf(str)(value, where))
    except ValueError:
        raise ShapeError(f"{where}: not a time") from None
    if time.tzinfo is None:
        raise ShapeError(f"{where}: a time without offset")
    return time


_LEAVES: Mapping[Any, Callable[[object, str], Any]] = {
    int: _leaf(int),
    str: _leaf(str),
    bool: _leaf(bool),
    float: _read_float,
    bytes: _read_bytes,
    datetime: _read_time,
}
