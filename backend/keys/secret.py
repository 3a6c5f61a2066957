"""Secret bytes while they are on their way: held, compared, revealed on purpose, never printed."""

from __future__ import annotations

import hmac
from typing import NoReturn


class Secret:
    """Bytes that print as `<secret>`; `reveal` is the only way to them."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = bytes(value)

    def reveal(self) -> bytes:
        """The bytes. Who asks keeps them in no field, message or log."""
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return "<secret>"

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]  # a table of secrets would compare in bare time

    def __reduce__(self) -> NoReturn:
        """No pickle, no copy."""
        raise TypeError("a secret cannot be copied")
