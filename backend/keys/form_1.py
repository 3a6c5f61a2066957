"""The first form of the key store, read once and replaced: a sealed entry for each key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from backend.keys.port import KeyRef

CONTENTS = "keystore-contents/1"
"""The entry that names, sealed like a key, which keys this store was given."""

FIRST_KEYS = frozenset(
    {
        KeyRef.TOKEN_MASTER,
        KeyRef.ISSUER_SIGNING,
        KeyRef.ACCESS_TOKENS,
        KeyRef.PII_CIPHER,
        KeyRef.PII_INDEX,
        KeyRef.ANSWERS,
        KeyRef.SECRETS,
        KeyRef.MERCHANT_CODES,
        KeyRef.BANK_NOTICES,
    }
)
"""What a store holds that was made before stores named their contents."""


class KeyLost(Exception):
    """The store was given this key and does not hold it."""


def read(
    entries: Mapping[str, str], unseal: Callable[[str, str], bytes]
) -> dict[KeyRef, tuple[str, bytes]]:
    """Key -> its sealed entry and what is in it; each was version 1.

    Raises KeyLost, and what `unseal` raises for an entry that does not open.
    """
    given = {ref.named(1) for ref in FIRST_KEYS}
    if CONTENTS in entries:
        given = set(json.loads(unseal(CONTENTS, entries[CONTENTS])))
    found = {}
    for ref in KeyRef:
        name = ref.named(1)
        if name in entries:
            found[ref] = (entries[name], unseal(name, entries[name]))
        elif name in given:
            raise KeyLost(name)
    return found
