"""The default keystore: a file of keys wrapped under a key-encryption key kept elsewhere."""

from __future__ import annotations

import base64
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFCMAC, CounterLocation, Mode

from backend.keys.port import KeyRef, KeyUnknown

KEY_BYTES = {"aes128": 16, "aes256gcm": 32, "hmac-sha256": 32}
NONCE_BYTES = 12

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


class KeystoreDamaged(Exception):
    """The store is missing a key, or its key-encryption key does not fit: refuse to start."""


@dataclass(frozen=True, slots=True)
class SoftwareKeys:
    """Keys in memory, opened from an encrypted file. Prints no secret."""

    _secrets: dict[KeyRef, bytes] = field(repr=False)
    _signers: dict[KeyRef, ec.EllipticCurvePrivateKey] = field(repr=False)

    @classmethod
    def make(cls, store: Path, kek_file: Path) -> SoftwareKeys:
        """Make a new store with a fresh key per KeyRef; FileExistsError if there is one."""
        kek = os.urandom(32)
        entries = _with_keys(kek, {}, frozenset(KeyRef))
        for path, content in ((kek_file, kek), (store, json.dumps(entries, indent=1).encode())):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        return cls.open(store, kek_file)

    @classmethod
    def open(cls, store: Path, kek_file: Path) -> SoftwareKeys:
        """Open a store; keys that came into use after it was made are made and added now.

        Raises KeystoreDamaged, naming file or key, when anything is amiss: also for a key that
        the store was given and has lost.
        """
        try:
            kek = kek_file.read_bytes()
            entries: dict[str, str] = json.loads(store.read_text())
            if not _is_complete(kek, entries):
                entries = _complete(store, kek)
            plain = {ref: _unwrap(kek, ref.value, entries[ref.value]) for ref in KeyRef}
        except FileNotFoundError as error:
            raise KeystoreDamaged(f"keystore: {error.filename} is missing") from None
        except KeyError as error:
            raise KeystoreDamaged(f"keystore: key {error} is missing in {store}") from None
        except OSError as error:
            raise KeystoreDamaged(f"keystore: {error.filename}: {error.strerror}") from None
        except (ValueError, InvalidTag, AttributeError, TypeError, RecursionError):
            raise KeystoreDamaged(f"keystore: {store} does not open with {kek_file}") from None
        signers = {ref: _load_signer(plain[ref]) for ref in KeyRef if ref.algorithm == "es256"}
        secrets = {ref: plain[ref] for ref in KeyRef if ref.algorithm != "es256"}
        return cls(secrets, signers)

    def __reduce__(self) -> NoReturn:
        """Keys stay where they were opened: no pickle, no copy."""
        raise TypeError("keys cannot be copied out of the keystore")

    def mac(self, ref: KeyRef, data: bytes) -> bytes:
        context = hmac.HMAC(self._secret(ref, "hmac-sha256"), hashes.SHA256())
        context.update(data)
        return context.finalize()

    def derive(self, ref: KeyRef, context: bytes, length: int) -> bytes:
        kdf = KBKDFCMAC(
            algorithm=algorithms.AES,
            mode=Mode.CounterMode,
            length=length,
            rlen=4,
            llen=4,
            location=CounterLocation.BeforeFixed,
            label=ref.value.encode(),
            context=context,
            fixed=None,
        )
        return kdf.derive(self._secret(ref, "aes128"))

    def sign(self, ref: KeyRef, data: bytes) -> bytes:
        r, s = decode_dss_signature(self._signer(ref).sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def public_key(self, ref: KeyRef) -> ec.EllipticCurvePublicKey:
        return self._signer(ref).public_key()

    def encrypt(self, ref: KeyRef, plain: bytes, context: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._secret(ref, "aes256gcm")).encrypt(nonce, plain, context)

    def decrypt(self, ref: KeyRef, sealed: bytes, context: bytes) -> bytes:
        nonce, body = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return AESGCM(self._secret(ref, "aes256gcm")).decrypt(nonce, body, context)
        except (InvalidTag, ValueError):
            raise KeyUnknown(f"{ref.value}: not sealed under this key and context") from None

    def _secret(self, ref: KeyRef, algorithm: str) -> bytes:
        if ref.algorithm != algorithm:
            raise KeyUnknown(f"{ref.value} is not a key for {algorithm}")
        return self._secrets[ref]

    def _signer(self, ref: KeyRef) -> ec.EllipticCurvePrivateKey:
        if ref not in self._signers:
            raise KeyUnknown(f"{ref.value} is not a signing key")
        return self._signers[ref]


def _fresh(ref: KeyRef) -> bytes:
    if ref.algorithm != "es256":
        return os.urandom(KEY_BYTES[ref.algorithm])
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _load_signer(der: bytes) -> ec.EllipticCurvePrivateKey:
    key: Any = serialization.load_der_private_key(der, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeystoreDamaged("keystore: a signing key is not on P-256")
    return key


def _wrap(kek: bytes, name: str, secret: bytes) -> str:
    nonce = os.urandom(NONCE_BYTES)
    return base64.b64encode(nonce + AESGCM(kek).encrypt(nonce, secret, name.encode())).decode()


def _unwrap(kek: bytes, name: str, entry: str) -> bytes:
    raw = base64.b64decode(entry, validate=True)
    return AESGCM(kek).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], name.encode())


def _never_given(kek: bytes, entries: Mapping[str, str]) -> frozenset[KeyRef]:
    """The keys of today that this store was never given; one that it lost is not among them."""
    given = {ref.value for ref in FIRST_KEYS}
    if CONTENTS in entries:
        given = set(json.loads(_unwrap(kek, CONTENTS, entries[CONTENTS])))
    return frozenset(ref for ref in KeyRef if ref.value not in given | entries.keys())


def _is_complete(kek: bytes, entries: Mapping[str, str]) -> bool:
    return CONTENTS in entries and not _never_given(kek, entries)


def _with_keys(kek: bytes, entries: Mapping[str, str], new: frozenset[KeyRef]) -> dict[str, str]:
    """The entries with fresh keys for `new`, and the list of contents that says so."""
    names = sorted(ref.value for ref in KeyRef)
    contents = {CONTENTS: _wrap(kek, CONTENTS, json.dumps(names).encode())}
    made = {ref.value: _wrap(kek, ref.value, _fresh(ref)) for ref in KeyRef if ref in new}
    return {**entries, **contents, **made}


def _complete(store: Path, kek: bytes) -> dict[str, str]:
    """Add the keys this store was never given; of processes that open it together, one does."""
    with _alone(store):
        entries: dict[str, str] = json.loads(store.read_text())
        if not _is_complete(kek, entries):
            new = _never_given(kek, entries)
            for ref in frozenset(KeyRef) - new:  # nothing is added to a store that is not whole
                _unwrap(kek, ref.value, entries[ref.value])
            entries = _with_keys(kek, entries, new)
            _replace(store, json.dumps(entries, indent=1).encode())
    return entries


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    """The lock is on the folder: the file itself is replaced."""
    handle = os.open(store.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
        os.fsync(handle)
    finally:
        os.close(handle)


def _replace(store: Path, content: bytes) -> None:
    """Old or new, never half: a torn keystore is a lost city."""
    fresh = store.with_name(f"{store.name}.new")
    fresh.unlink(missing_ok=True)  # left by a crash; nobody else writes it under the lock
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, store)
