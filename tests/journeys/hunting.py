"""Looks for secrets in whatever a city leaves behind, in the forms in which they could lie there.

Findings name secret, form and place; never the secret.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

SHORT_DIGITS_MAX = 8
NEEDLE_BYTES_MIN = 5  # anything shorter is found by chance in a few megabytes


@dataclass(frozen=True, slots=True)
class Quarry:
    """A secret, and how it would look. `alone`: a form found only where no digit stands beside it
    and no point before it (the fraction of a second is six digits too)."""

    name: str
    forms: Mapping[str, bytes] = field(repr=False)
    alone: bytes | None = field(default=None, repr=False)

    def find_forms(self, content: bytes) -> list[str]:
        """The names of the forms that are there."""
        found = [form for form, needle in self.forms.items() if needle in content]
        if self.alone and re.search(rb"(?<![\d.])" + self.alone + rb"(?!\d)", content):
            found.append("text")
        return found


def key(name: str, value: bytes) -> Quarry:
    """Bytes: as they are, backwards, in hex of both cases, within base64 of both alphabets."""
    forms = {
        "raw": value,
        "backwards": value[::-1],
        "hex": value.hex().encode(),
        "HEX": value.hex().upper().encode(),
        **_base64_forms(value),
    }
    return Quarry(name, _long_ones(forms))


def text(name: str, value: str) -> Quarry:
    """Words: in the encodings of the trade, escaped as JSON does, and as `key` has it."""
    escaped = json.dumps(value)[1:-1].encode()
    encodings = {one: value.encode(one) for one in ("utf-8", "gb18030", "utf-16-le", "utf-16-be")}
    forms = {**encodings, "escaped": escaped, **key(name, value.encode()).forms}
    return Quarry(name, _long_ones(forms))


def digits(name: str, value: str) -> Quarry:
    """A number: as text, in BCD from either half of a byte, and as `key` has its text."""
    packed, decimals = {}, value.rstrip("Xx")  # the check character of an identity number
    for start, form in ((0, "BCD"), (1, "BCD, half a byte on")):
        end = start + (len(decimals) - start) // 2 * 2
        packed[form] = bytes.fromhex(decimals[start:end])
    forms = {**text(name, value).forms, **packed}
    if len(value) > SHORT_DIGITS_MAX:
        return Quarry(name, _long_ones(forms))
    plain = {value.encode(), value.encode()[::-1]}
    longer = {form: needle for form, needle in forms.items() if needle not in plain}
    return Quarry(name, _long_ones(longer), alone=value.encode())


def hunt(quarries: Iterable[Quarry], places: Mapping[str, bytes]) -> list[str]:
    """What was found where; nothing, if all is well."""
    return [
        f"{quarry.name} ({form}) in {place}"
        for quarry in quarries
        for place, content in places.items()
        for form in quarry.find_forms(content)
    ]


def _base64_forms(value: bytes) -> dict[str, bytes]:
    """What of the value shows in base64 of a longer text that begins 0, 1 or 2 bytes earlier."""
    forms = {}
    for before in range(3):
        first = -(-before * 8 // 6)  # the first character that holds bits of the value alone
        last = (before + len(value)) * 8 // 6
        shown = base64.b64encode(bytes(before) + value)[first:last]
        forms[f"base64 {before}"] = shown
        forms[f"base64url {before}"] = shown.translate(bytes.maketrans(b"+/", b"-_"))
    return forms


def _long_ones(forms: Mapping[str, bytes]) -> dict[str, bytes]:
    return {form: needle for form, needle in forms.items() if len(needle) >= NEEDLE_BYTES_MIN}
