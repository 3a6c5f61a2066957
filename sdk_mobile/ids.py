"""Ids this phone makes: TypeIDs for what it starts, and keys for safe repetition.

Written out by hand: the libraries for it are native, and no phone's Python has them ready made.
"""

from __future__ import annotations

import re
import secrets

from sdk_mobile.clock import phone_seconds

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case
_SUFFIX_CHARACTERS = 26
_PREFIX = re.compile(r"[a-z]{1,63}")
_VERSION, _VARIANT = 7, 2


def new_id(prefix: str) -> str:
    """A TypeID (specification 0.3), e.g. `pay_01h…`: a UUIDv7 (RFC 9562, 5.7) in base 32.

    Sortable by the phone's time, unique without asking anyone: 74 random bits.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"not a prefix: {prefix!r}")
    milliseconds = int(phone_seconds() * 1000) & (2**48 - 1)
    value = milliseconds << 80 | _VERSION << 76 | secrets.randbits(12) << 64
    value |= _VARIANT << 62 | secrets.randbits(62)
    shifts = range(5 * (_SUFFIX_CHARACTERS - 1), -1, -5)
    return f"{prefix}_{''.join(_ALPHABET[value >> shift & 31] for shift in shifts)}"


def new_idempotency_key() -> str:
    """32 characters of [A-Za-z0-9_-], 192 bits."""
    return secrets.token_urlsafe(24)
