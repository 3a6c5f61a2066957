"""Documents sealed under a key that lies in the system's keychain. Knows not what is in them.

The keychain holds 32 bytes, for it is slow and small; the documents stay in files (ADR 35).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sdk_mobile.errors import StorageDamaged, StorageFailed
from sdk_mobile.storage import FileStorage, Storage

KEY_BYTES = 32
NONCE_BYTES = 12
MARK, MARK_BYTES = "keychain_mark", 16
_SEALED = b"\x01"
_MARK_LABEL = b"city-card keychain mark"


class Keychain(Protocol):
    """The three calls of the `keyring` library: its module, or one of its backends, fits.

    What they raise is told as StorageFailed.
    """

    def get_password(self, service: str, username: str, /) -> str | None: ...

    def set_password(self, service: str, username: str, password: str, /) -> None: ...

    def delete_password(self, service: str, username: str, /) -> None: ...


class KeychainStorage:
    """Wraps a store: each document AES-256-GCM, with its name bound to it, under one key in the
    keychain under (`service`, `username`).

    A keychain that lost the key, or has another, is StorageDamaged: nothing is begun anew behind
    the holder's back. Not guarded against: an old copy of all files put back.
    """

    def __init__(
        self,
        inner: Storage,
        keychain: Keychain,
        *,
        service: str = "city-card",
        username: str = "phone",
    ) -> None:
        """Makes the key when there is none yet. Raises StorageFailed when the keychain is shut."""
        self._inner = inner
        self._keychain = keychain
        self._place = service, username
        self._cipher: AESGCM | None = None
        with inner.exclusive():
            self._open()

    @classmethod
    def in_directory(
        cls, directory: Path, keychain: Keychain, *, username: str = "phone"
    ) -> KeychainStorage:
        """Files in `directory`. A second phone of the same app is given another `username`: the
        directory's path names no key, for it changes when some systems update an app."""
        files = FileStorage(directory)
        try:
            return cls(files, keychain, username=username)
        except StorageFailed:
            files.close()
            raise

    def __repr__(self) -> str:
        return f"KeychainStorage({self._inner!r}, <secret>)"

    def close(self) -> None:
        """Closes the store within, when it is files."""
        if isinstance(self._inner, FileStorage):
            self._inner.close()

    def describe(self, name: str) -> str:
        return self._inner.describe(name)

    def exclusive(self) -> AbstractContextManager[None]:
        return self._inner.exclusive()

    def put_aside(self, name: str) -> None:
        """See `Storage`. Of a store whose key is gone, the mark goes too: a new key is made."""
        self._inner.put_aside(name)
        if self._cipher is None:
            self._inner.erase(MARK)

    def erase(self, name: str) -> None:
        self._inner.erase(name)

    def read(self, name: str) -> bytes | None:
        """The document's content. Raises StorageDamaged, StorageFailed."""
        raw = self._inner.read(name)
        if raw is None:
            return None
        head, nonce, sealed = raw[:1], raw[1 : 1 + NONCE_BYTES], raw[1 + NONCE_BYTES :]
        if head != _SEALED or len(nonce) != NONCE_BYTES:
            raise StorageDamaged(self.describe(name), "not sealed by this package")
        try:
            return self._get_cipher().decrypt(nonce, sealed, name.encode())
        except InvalidTag:
            raise StorageDamaged(self.describe(name), "altered, or of another name") from None

    def write(self, name: str, content: bytes) -> None:
        """Durable when it returns. Raises StorageFailed; then the old document stands."""
        with self._inner.exclusive():
            cipher = self._get_cipher()
            nonce = os.urandom(NONCE_BYTES)  # 2^32 writes are far more than a phone makes
            sealed = cipher.encrypt(nonce, content, name.encode())
            self._inner.write(name, _SEALED + nonce + sealed)

    def _get_cipher(self) -> AESGCM:
        if self._cipher is None:
            with self._inner.exclusive():
                self._open()
        if self._cipher is None:
            raise StorageDamaged(self.describe(MARK), "the keychain has not the key of these files")
        return self._cipher

    def _open(self) -> None:
        """Takes the key from the keychain, when it is the one that the mark was made with."""
        stored, key = self._find_mark(), self._find_key()
        if key is None and stored is None:
            key = self._make_key()
        if key is None:
            return
        mark = hmac.digest(key, _MARK_LABEL, "sha256")[:MARK_BYTES]
        if stored is None:
            self._inner.write(MARK, mark)
        elif not hmac.compare_digest(stored, mark):
            return
        self._cipher = AESGCM(key)

    def _find_mark(self) -> bytes | None:
        """A damaged one is made anew: each document says by itself whether the key fits."""
        try:
            return self._inner.read(MARK)
        except StorageDamaged:
            self._inner.put_aside(MARK)
            return None

    def _find_key(self) -> bytes | None:
        try:
            text = self._keychain.get_password(*self._place)
        except Exception as error:  # of whichever keychain: its own types
            raise StorageFailed("keychain", type(error).__name__) from error
        if text is None:
            return None
        try:
            key = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return None
        return key if len(key) == KEY_BYTES else None

    def _make_key(self) -> bytes:
        """Read back before anything is sealed: a keychain that forgets must show now."""
        key = os.urandom(KEY_BYTES)
        try:
            self._keychain.set_password(*self._place, base64.b64encode(key).decode("ascii"))
        except Exception as error:  # of whichever keychain: its own types
            raise StorageFailed("keychain", type(error).__name__) from error
        kept = self._find_key()
        if kept is None or not hmac.compare_digest(kept, key):
            raise StorageFailed("keychain", "it does not keep what it is given")
        return key

    def forget_key(self) -> None:
        """Makes every document unreadable for good: the phone is given away."""
        with self._inner.exclusive():
            try:
                self._keychain.delete_password(*self._place)
            except Exception as error:  # of whichever keychain: its own types
                raise StorageFailed("keychain", type(error).__name__) from error
            self._cipher = None
