"""An issuer's masters for making purses in software: from a file for its owner alone, or TEST.

The file is JSON:

    {"format": "city-purse-keys", "version": 1, "is_test": false, "issuer": "01013310FFFFFFFF",
     "levels": 1, "sealing_key": "<64 hex>", "pin": "123456",
     "masters": {"3des": {"PURCHASE": "<32 hex>", …}, "sm4": {…}}}

Whoever only plugs purses needs no masters and no PIN in it. In production masters stay in the key
service; such a file is for a bench. Knows no command.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from card_protocol.checks import require, require_bytes, require_whole
from card_protocol.epurse.suites import (
    DES3,
    KEY_BYTES,
    SM4_SUITE,
    PurseSuite,
    diversify_levels,
    get_suite,
)
from card_protocol.errors import MalformedBytes
from hce.applets.epurse.state import KeyKind
from hce.disk import read_plain
from hce.errors import CardFileDamaged, CardFileExposed
from hce.purse_profile import KeyName
from hce.purse_store import SEALING_KEY_BYTES

CODE = "purse_keys_malformed"
FORMAT, VERSION = "city-purse-keys", 1
FILE_BYTES_MAX: Final = 16_384
ISSUER_BYTES: Final = 8
SUITES: Final[Mapping[str, PurseSuite]] = MappingProxyType({"3des": DES3, "sm4": SM4_SUITE})

Masters = Mapping[tuple[int, KeyKind], bytes]  # by algorithm and kind


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class IssuerKeys:
    """What one issuer's purses are made with. Never printed. Raises `MalformedBytes`."""

    issuer: bytes  # as in file 15
    sealing_key: bytes
    masters: Masters = field(default_factory=dict)
    pin: bytes | None = None  # of cards that are born with one; 2..6 bytes of BCD
    levels: int = 1
    is_test: bool = False  # known to everybody, or to a whole team: no money may hang on it

    def __post_init__(self) -> None:
        require_bytes(self.issuer, ISSUER_BYTES, CODE, "issuer")
        require_bytes(self.sealing_key, SEALING_KEY_BYTES, CODE, "sealing_key")
        require_whole(self.levels, 1, 2, CODE, "levels")
        require(isinstance(self.is_test, bool), CODE, "is_test is true or false")
        for (_, kind), value in self.masters.items():
            require_bytes(value, KEY_BYTES, CODE, kind.name)

    def __repr__(self) -> str:
        return "IssuerKeys(<secret>)"

    def derive(self, name: KeyName, factors: tuple[bytes, ...]) -> bytes:
        """As `purse_profile.Derive`. Raises `MalformedBytes` where there is no such master."""
        suite, master = get_suite(name.algorithm), self.masters.get((name.algorithm, name.kind))
        require(master is not None, CODE, f"no master {name.kind.name} for this suite")
        assert master is not None
        return diversify_levels(suite, master, factors)

    @classmethod
    def decode(cls, body: bytes) -> IssuerKeys:
        """Raises `MalformedBytes`; its text never quotes the body."""
        require(len(body) <= FILE_BYTES_MAX, CODE, "too long")
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):  # also bytes that are no UTF-8
            raise MalformedBytes(CODE, "not JSON, or cut short") from None
        is_ours = isinstance(document, dict) and document.get("format") == FORMAT
        require(is_ours, CODE, "not a key file")
        require(document.get("version") == VERSION, CODE, "of another version of this program")
        try:
            return cls(
                issuer=_bytes(document["issuer"]),
                sealing_key=_bytes(document["sealing_key"]),
                masters=_masters(document.get("masters", {})),
                pin=_bytes(document["pin"]) if "pin" in document else None,
                levels=document["levels"],
                is_test=document["is_test"],
            )
        except (KeyError, TypeError, AttributeError):
            raise MalformedBytes(CODE, "fields are missing or of a wrong kind") from None


def read_keys(path: Path) -> IssuerKeys:
    """Raises CardFileMissing, CardFileFailed, CardFileDamaged, CardFileExposed (not 0600)."""
    file = read_plain(path, FILE_BYTES_MAX + 1)
    if not file.is_owners_alone:
        raise CardFileExposed(path, "keys that others may read: chmod 600, and change them")
    try:
        return IssuerKeys.decode(file.body)
    except MalformedBytes as error:
        raise CardFileDamaged(path, f"damaged key file ({error.reason})") from None


def _masters(told: dict[str, Any]) -> Masters:
    require(set(told) <= set(SUITES), CODE, "an unknown suite")
    found: dict[tuple[int, KeyKind], bytes] = {}
    for suite, keys in told.items():
        require(set(keys) <= set(KeyKind.__members__), CODE, "an unknown kind of key")
        for kind, value in keys.items():
            found[SUITES[suite].algorithm, KeyKind[kind]] = _bytes(value)
    return MappingProxyType(found)


def _bytes(text: str) -> bytes:
    require(isinstance(text, str), CODE, "fields are missing or of a wrong kind")
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise MalformedBytes(CODE, "a field is not hex") from None


# Published, in every copy of this program and in docs/protocol/e-purse.md. The money keys are those
# of the textbook examples; the others say in ASCII what they are.
TEST_MASTERS: Final[Mapping[KeyKind, bytes]] = MappingProxyType(
    {
        KeyKind.PURCHASE: bytes.fromhex("11223344556677888877665544332211"),
        KeyKind.LOAD: bytes.fromhex("11223344556677888877665544332211"),
        KeyKind.TAC: bytes.fromhex("00112233445566778899AABBCCDDEEFF"),
        KeyKind.MAINTENANCE: b"TEST-MAINTENANCE",
        KeyKind.PIN_UNBLOCK: b"TEST-PIN-UNBLOCK",
        KeyKind.PIN_RELOAD: b"TEST--PIN-RELOAD",
        KeyKind.INTERNAL: b"TEST----INTERNAL",
        KeyKind.EXTERNAL: b"TEST----EXTERNAL",
    }
)
TEST_PIN: Final = bytes.fromhex("123456")
TEST_KEYS: Final = IssuerKeys(
    issuer=bytes.fromhex("01010000FFFFFFFF"),  # a region that no city has
    sealing_key=b"TEST-SEALING-KEY-HIDES-NOTHING--",
    masters=MappingProxyType(
        {
            (suite.algorithm, kind): master
            for suite in SUITES.values()
            for kind, master in TEST_MASTERS.items()
        }
    ),
    pin=TEST_PIN,
    is_test=True,
)
