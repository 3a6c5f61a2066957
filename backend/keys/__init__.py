"""The key service: callers name a key and never hold it."""

from backend.keys.derivations import CommandMac, Derivation, SessionMac, TacMac, TokenMac
from backend.keys.issuers import ISSUER_KEYS
from backend.keys.jwk import key_thumbprint, key_to_jwk, point_to_jwk, public_jwk
from backend.keys.port import KeyRef, Keys, KeyUnavailable, KeyUnknown, VersionUnknown
from backend.keys.service import NamedKeys
from backend.keys.software import SoftwareKeys
from backend.keys.store import KeystoreDamaged

__all__ = [
    "ISSUER_KEYS",
    "CommandMac",
    "Derivation",
    "KeyRef",
    "KeyUnavailable",
    "KeyUnknown",
    "Keys",
    "KeystoreDamaged",
    "NamedKeys",
    "SessionMac",
    "SoftwareKeys",
    "TacMac",
    "TokenMac",
    "VersionUnknown",
    "key_thumbprint",
    "key_to_jwk",
    "point_to_jwk",
    "public_jwk",
]
