"""Named keys at work: which version answers, what old bytes open with, when to look again.

Knows nothing of files, devices and ciphers beyond the handles it asks.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable, Mapping
from typing import NoReturn, cast

import structlog
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from backend.keys.blocks import SoftwareBlock, derive_sp800_108
from backend.keys.derivations import Derivation, TokenMac, check_factors
from backend.keys.handles import (
    BLOCK_ALGORITHMS,
    ES256,
    GCM,
    HMAC,
    KEY_WRAP,
    SIGNATURE_ALGORITHMS,
    BlockHandle,
    CipherHandle,
    Handle,
    MacHandle,
    SignHandle,
    WrapHandle,
)
from backend.keys.port import (
    DELIVERED,
    DERIVATIONS,
    KeyRef,
    KeyUnavailable,
    KeyUnknown,
    VersionUnknown,
)
from backend.keys.purse import card_key, purse_mac
from backend.keys.ring import Ring, open_ring
from backend.keys.store import KeystoreDamaged
from backend.keys.vault import Vault
from card_protocol import sm2

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
"""A new version is in use in every process after this time at the latest."""

SEALED_FORM = 0xC2  # then one byte of version; form 1 had neither and began with its nonce
FIRST_VERSION = 1
SIGNATURE_BYTES = 64
LIMITED_USE_KEY_BYTES = 16


class NamedKeys:
    """`port.Keys` over a vault. Threads and greenlets may share it; prints no secret.

    Versions made by another process are picked up within LOOK_SECONDS, and at once by whoever
    meets one: a signature that no known version made is looked at again with those on disk.
    """

    __slots__ = (
        "_bad_stamp",
        "_complaint",
        "_look_at",
        "_looking",
        "_points",
        "_ring",
        "_tick",
        "vault",
    )

    def __init__(self, vault: Vault, *, tick: Callable[[], float] = time.monotonic) -> None:
        """Raises KeystoreDamaged, KeyUnknown, KeyUnavailable."""
        self.vault = vault
        self._tick = tick
        self._looking = threading.Lock()
        stamp = vault.store.stamp()  # before reading: a change in between is seen again
        self._ring = open_ring(vault, vault.store.read(), stamp)
        self._look_at = tick() + LOOK_SECONDS
        self._bad_stamp: tuple[int, int, int] | None = None
        self._complaint = ""
        self._points: dict[bytes, ec.EllipticCurvePublicKey] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._ring.active)} keys>"

    def __reduce__(self) -> NoReturn:
        """Keys stay where they were opened: no pickle, no copy."""
        raise TypeError("keys cannot be copied out of the keystore")

    def active_version(self, ref: KeyRef) -> int:
        return self._fresh().active[ref]

    def mac(self, ref: KeyRef, data: bytes, version: int | None = None) -> bytes:
        self._require(ref, ref.algorithm == HMAC, HMAC)
        return cast(MacHandle, self._handle(ref, version)).mac(data)

    def verify_mac(self, ref: KeyRef, data: bytes, mac: bytes, length: int = 32) -> bool:
        self._require(ref, ref.algorithm == HMAC, HMAC)
        if len(mac) != length:
            return False

        def holds(handle: Handle) -> bool:
            return hmac.compare_digest(cast(MacHandle, handle).mac(data)[:length], mac)

        return self._any_holds(ref, holds)

    def derive(self, ref: KeyRef, context: bytes, length: int, version: int | None = None) -> bytes:
        self._require(ref, ref.purpose in DELIVERED, "keys that are delivered")
        number, handle = self._numbered(ref, version)
        label = ref.named(number).encode()
        return derive_sp800_108(cast(BlockHandle, handle), label, context, length)

    def derive_and_mac(
        self, ref: KeyRef, how: Derivation, data: bytes, version: int | None = None
    ) -> bytes:
        kind = type(how)
        self._require(ref, DERIVATIONS.get(ref.purpose) is kind, kind.__name__)
        number, handle = self._numbered(ref, version)
        master = cast(BlockHandle, handle)
        if not isinstance(how, TokenMac):
            return purse_mac(master, ref.algorithm, how, data)
        label = ref.named(number).encode()
        key = derive_sp800_108(master, label, how.context, LIMITED_USE_KEY_BYTES)
        return SoftwareBlock(ref.algorithm, key).cmac(data)

    def sign(self, ref: KeyRef, data: bytes, version: int | None = None) -> bytes:
        self._require(ref, ref.algorithm in SIGNATURE_ALGORITHMS, "signing")
        return cast(SignHandle, self._handle(ref, version)).sign(data)

    def verify(
        self, ref: KeyRef, data: bytes, signature: bytes, version: int | None = None
    ) -> bool:
        self._require(ref, ref.algorithm in SIGNATURE_ALGORITHMS, "signing")
        if len(signature) != SIGNATURE_BYTES:
            return False

        def holds(handle: Handle) -> bool:
            point = cast(SignHandle, handle).point
            if ref.algorithm == ES256:
                return _is_signed(self._loaded(point), data, signature)
            return sm2.verify(point, data, signature)

        if version is not None:
            return holds(self._handle(ref, version))
        return self._any_holds(ref, holds)

    def public_key(self, ref: KeyRef, version: int | None = None) -> ec.EllipticCurvePublicKey:
        self._require(ref, ref.algorithm == ES256, ES256)
        return self._loaded(cast(SignHandle, self._handle(ref, version)).point)

    def public_keys(self, ref: KeyRef) -> Mapping[int, ec.EllipticCurvePublicKey]:
        self._require(ref, ref.algorithm == ES256, ES256)
        usable = self._fresh().usable[ref]
        return {
            number: self._loaded(cast(SignHandle, handle).point)
            for number, handle in sorted(usable.items())
        }

    def public_point(self, ref: KeyRef, version: int | None = None) -> bytes:
        self._require(ref, ref.algorithm in SIGNATURE_ALGORITHMS, "signing")
        return cast(SignHandle, self._handle(ref, version)).point

    def public_points(self, ref: KeyRef) -> Mapping[int, bytes]:
        self._require(ref, ref.algorithm in SIGNATURE_ALGORITHMS, "signing")
        usable = self._fresh().usable[ref]
        return {number: cast(SignHandle, one).point for number, one in sorted(usable.items())}

    def encrypt(self, ref: KeyRef, plain: bytes, context: bytes) -> bytes:
        self._require(ref, ref.algorithm == GCM, GCM)
        number, handle = self._numbered(ref, None)
        head = bytes((SEALED_FORM, number))
        return head + cast(CipherHandle, handle).seal(plain, head + context)

    def decrypt(self, ref: KeyRef, sealed: bytes, context: bytes) -> bytes:
        self._require(ref, ref.algorithm == GCM, GCM)
        attempts = []
        if len(sealed) > 2 and sealed[0] == SEALED_FORM:
            attempts.append((sealed[1], sealed[2:], sealed[:2] + context))
        attempts.append((FIRST_VERSION, sealed, context))  # form 1; the tag tells which it is
        for number, body, bound in attempts:
            if (handle := self._find(ref, number)) is None:
                continue
            try:
                return cast(CipherHandle, handle).unseal(body, bound)
            except InvalidTag:
                continue
        raise KeyUnknown(f"{ref.value}: not sealed under this key and context")

    def wrap(
        self, transport: KeyRef, ref: KeyRef, factors: tuple[bytes, ...], version: int | None = None
    ) -> bytes:
        self._require(transport, transport.algorithm == KEY_WRAP, KEY_WRAP)
        is_card = ref.algorithm in BLOCK_ALGORITHMS and ref.purpose not in DELIVERED
        self._require(ref, is_card, "card keys")
        check_factors(factors)
        master = cast(BlockHandle, self._handle(ref, version))
        key = card_key(master, ref.algorithm, factors)
        return cast(WrapHandle, self._handle(transport, None)).wrap(key)

    def look(self) -> bool:
        """Read the store again if it changed; whether it had. What is wrong with it is logged.

        Keys that are open go on: a store damaged on disk stops no payment of this process.
        """
        with self._looking:
            now, before = self._tick(), self._ring
            is_due = now >= self._look_at
            try:
                stamp = self.vault.store.stamp()
                if stamp == self._bad_stamp and not is_due:
                    return False
                self._look_at = now + LOOK_SECONDS
                if stamp == before.stamp:
                    return False
                self._bad_stamp = stamp  # until it is read: who guesses makes us read it once
                self._ring = open_ring(self.vault, self.vault.store.read(), stamp, before)
            except (KeystoreDamaged, KeyUnknown, KeyUnavailable, OSError) as error:
                if is_due or str(error) != self._complaint:
                    log.error("keystore_not_read_again", why=str(error))
                self._look_at, self._complaint = now + LOOK_SECONDS, str(error)
                return False
            self._bad_stamp, self._complaint = None, ""
        log.info("keystore_read_again")
        return True

    def _fresh(self) -> Ring:
        if self._tick() >= self._look_at and not self._looking.locked():
            self.look()
        return self._ring

    def _handle(self, ref: KeyRef, version: int | None) -> Handle:
        return self._fresh().current[ref] if version is None else self._numbered(ref, version)[1]

    def _numbered(self, ref: KeyRef, version: int | None) -> tuple[int, Handle]:
        """A version and its handle from one reading of the store. Raises VersionUnknown."""
        if version is None:
            ring = self._fresh()
            return ring.active[ref], ring.current[ref]
        if (handle := self._find(ref, version)) is None:
            raise VersionUnknown(f"{ref.named(version)} is not there, or was retired")
        return version, handle

    def _find(self, ref: KeyRef, version: int) -> Handle | None:
        handle = self._fresh().usable[ref].get(version)
        if handle is None and self.look():
            handle = self._ring.usable[ref].get(version)
        return handle

    def _any_holds(self, ref: KeyRef, holds: Callable[[Handle], bool]) -> bool:
        tried = self._fresh().usable[ref]
        if any(holds(handle) for handle in tried.values()):
            return True
        if not self.look() and self._ring.usable[ref] is tried:
            return False
        new = self._ring.usable[ref]
        return any(holds(handle) for number, handle in new.items() if number not in tried)

    def _loaded(self, point: bytes) -> ec.EllipticCurvePublicKey:
        """Parsed once: callers compare public keys by identity before they compare numbers."""
        found = self._points.get(point)
        if found is None:
            loaded = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
            found = self._points.setdefault(point, loaded)
        return found

    def _require(self, ref: KeyRef, is_so: bool, what: str) -> None:
        if not is_so:
            raise KeyUnknown(f"{ref.value} is not a key for {what}")


def _is_signed(key: ec.EllipticCurvePublicKey, data: bytes, signature: bytes) -> bool:
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    try:
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
