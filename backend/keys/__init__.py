"""The key service: callers name a key and never hold it."""

from backend.keys.jwk import key_thumbprint, key_to_jwk, public_jwk
from backend.keys.port import KeyRef, Keys, KeyUnknown
from backend.keys.software import KeystoreDamaged, SoftwareKeys

__all__ = [
    "KeyRef",
    "KeyUnknown",
    "Keys",
    "KeystoreDamaged",
    "SoftwareKeys",
    "key_thumbprint",
    "key_to_jwk",
    "public_jwk",
]
