"""Limited-use keys and pay code keys: derived when needed, sealed to a device, stored nowhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from backend.keys import KeyRef, Keys
from backend.virtual_card.model import IssuedKeys, KeyTerms
from card_protocol import key_batch
from card_protocol.signatures import load_public_key

KEY_VERSION = int(KeyRef.TOKEN_MASTER.value.rsplit("/", 1)[-1])
"""Which token master key: travels in 9F10."""


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """The keys of any token by number and index (design A.2, limited-use keys)."""

    keys: Keys = field(repr=False)

    def limited_use_key(self, token_number: str, key_index: int) -> bytes:
        """16 bytes for cryptograms."""
        return self._derive(b"luk", token_number, key_index, key_batch.LIMITED_USE_KEY_BYTES)

    def pay_code_key(self, token_number: str, key_index: int) -> bytes:
        """32 bytes for one-time digits."""
        return self._derive(b"pay", token_number, key_index, key_batch.PAY_CODE_KEY_BYTES)

    def issue(self, token_number: str, terms: KeyTerms, sealing_key: bytes) -> IssuedKeys:
        """The batch sealed to the device whose SEC1 point this is; fresh bytes each time."""
        batch = key_batch.KeyBatch(
            self.limited_use_key(token_number, terms.key_index),
            self.pay_code_key(token_number, terms.key_index),
        )
        return IssuedKeys(
            key_index=terms.key_index,
            key_version=terms.key_version,
            uses_max=terms.uses_max,
            not_before=terms.not_before,
            not_after=terms.not_after,
            sealed=key_batch.seal(
                batch, load_public_key(sealing_key), token_number, terms.key_index
            ),
        )

    def _derive(self, purpose: bytes, token_number: str, key_index: int, length: int) -> bytes:
        context = b"|".join((purpose, token_number.encode(), str(key_index).encode()))
        return self.keys.derive(KeyRef.TOKEN_MASTER, context, length)
