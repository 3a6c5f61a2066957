"""Limited-use keys and pay code keys: derived when needed, sealed to a device, stored nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from backend.keys import KeyRef, Keys, TokenMac
from backend.virtual_card.model import IssuedKeys, KeyTerms
from card_protocol import key_batch
from card_protocol.mobile_card import CRYPTOGRAM_BYTES, Suite
from card_protocol.signatures import load_public_key

MASTERS: Mapping[Suite, KeyRef] = MappingProxyType(
    {Suite.AES_ES256: KeyRef.TOKEN_MASTER, Suite.SM4_SM2: KeyRef.TOKEN_MASTER_SM4}
)
"""Each suite has a master of its own, so no limited-use key serves two ciphers."""


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """The keys of any token of a suite by number and index (design A.2, limited-use keys)."""

    keys: Keys = field(repr=False)
    suite: Suite = Suite.AES_ES256

    @property
    def _master(self) -> KeyRef:
        return MASTERS[self.suite]

    def version(self) -> int:
        """Which token master key new keys come from: travels in 9F10."""
        return self.keys.active_version(self._master)

    def limited_use_key(self, token_number: str, key_index: int, version: int) -> bytes:
        """16 bytes for cryptograms."""
        context = _context(b"luk", token_number, key_index)
        length = key_batch.LIMITED_USE_KEY_BYTES
        return self.keys.derive(self._master, context, length, version)

    def pay_code_key(self, token_number: str, key_index: int, version: int) -> bytes:
        """32 bytes for one-time digits."""
        context = _context(b"pay", token_number, key_index)
        length = key_batch.PAY_CODE_KEY_BYTES
        return self.keys.derive(self._master, context, length, version)

    def cryptogram(self, token_number: str, key_index: int, version: int, data: bytes) -> bytes:
        """The 9F26 that the limited-use key makes over `data`; the key stays in the service."""
        how = TokenMac(_context(b"luk", token_number, key_index))
        mac = self.keys.derive_and_mac(self._master, how, data, version)
        return mac[:CRYPTOGRAM_BYTES]

    def issue(self, token_number: str, terms: KeyTerms, sealing_key: bytes) -> IssuedKeys:
        """The batch sealed to the device whose SEC1 point this is; fresh bytes each time."""
        batch = key_batch.KeyBatch(
            self.limited_use_key(token_number, terms.key_index, terms.key_version),
            self.pay_code_key(token_number, terms.key_index, terms.key_version),
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
            suite=self.suite,
        )


def _context(purpose: bytes, token_number: str, key_index: int) -> bytes:
    return b"|".join((purpose, token_number.encode(), str(key_index).encode()))
