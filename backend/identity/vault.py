"""Personal data and secrets on their way to rows: sealed, indexed, digested. Knows no rules."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Column

from backend.keys import KeyRef, Keys


@dataclass(frozen=True, slots=True)
class Vault:
    """Seals a text to its table, column and row: moved elsewhere it does not open."""

    keys: Keys

    def seal(self, column: Column[bytes], row_id: str, text: str) -> bytes:
        return self.keys.encrypt(KeyRef.PII_CIPHER, text.encode(), _place(column, row_id))

    def unseal(self, column: Column[bytes], row_id: str, sealed: bytes) -> str:
        return self.keys.decrypt(KeyRef.PII_CIPHER, sealed, _place(column, row_id)).decode()

    def index(self, what: str, text: str) -> bytes:
        """Blind index: equal texts meet, nobody reads them."""
        return self.keys.mac(KeyRef.PII_INDEX, _parts(what, text))

    def secret_mac(self, purpose: str, *parts: str) -> bytes:
        """What is stored of a secret, or derived from secrets; 32 bytes."""
        return self.keys.mac(KeyRef.SECRETS, _parts(purpose, *parts))


def _place(column: Column[bytes], row_id: str) -> bytes:
    return f"{column.table.name}.{column.name}:{row_id}".encode()


def _parts(*parts: str) -> bytes:
    # JSON keeps the borders: ["a", "bc"] is not ["ab", "c"].
    return json.dumps(parts).encode()
