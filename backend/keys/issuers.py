"""Which key vouches for the cards of a suite; said once, for who signs and who tells terminals."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from backend.keys.port import KeyRef
from card_protocol.signatures import Suite

ISSUER_KEYS: Mapping[Suite, KeyRef] = MappingProxyType(
    {Suite.AES_ES256: KeyRef.ISSUER_SIGNING, Suite.SM4_SM2: KeyRef.ISSUER_SIGNING_SM2}
)
"""A certificate is signed in its own suite, so an index names a key only beside a suite."""
