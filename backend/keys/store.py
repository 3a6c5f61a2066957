"""The key store's file: which versions there are, each key sealed, the whole sealed again.

Form 2. Form 1 (one sealed entry for each key, no versions) is read and replaced: docs/adr/0015.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from backend.keys import files, form_1
from backend.keys.handles import NONCE_BYTES, software_handle
from backend.keys.model import SOFTWARE, Ceremony, Component, Contents, KeyState, KeyVersion
from backend.keys.port import KeyRef
from backend.keys.secret import Secret

FORM = "city-card-keystore/2"
CHECK_NAME = "keystore-check/2"
CHECK_TEXT = b"this key-encryption key fits"
KEK_BYTES = 32
FILE_BYTES_MAX = 4 * 2**20
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**15, 8, 1  # 32 MiB, about 0.1 s


class KeystoreDamaged(Exception):
    """The store is missing a key, or its key-encryption key does not fit: refuse to start."""


@dataclass(frozen=True, slots=True)
class Store:
    """The file and the key-encryption key that opens it."""

    path: Path
    kek_path: Path
    kek: Secret = field(repr=False)

    @classmethod
    def reach(cls, path: Path, kek_path: Path, passphrase: Secret | None = None) -> Store:
        """The store at `path`, not read yet. Raises KeystoreDamaged without a usable kek file."""
        with _told(path, kek_path):
            raw = kek_path.read_bytes()
            if len(raw) != KEK_BYTES:
                raise ValueError
        if passphrase is None:
            return cls(path, kek_path, Secret(raw))
        stretch = Scrypt(salt=raw, length=KEK_BYTES, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P)
        return cls(path, kek_path, Secret(stretch.derive(passphrase.reveal())))

    def stamp(self) -> tuple[int, int, int]:
        """Changes whenever the file does. Raises OSError."""
        found = self.path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def read(self) -> Contents:
        """What the file holds; a file of form 1 is replaced by one of form 2 first.

        Raises KeystoreDamaged, naming file or key, when anything is amiss.
        """
        with _told(self.path, self.kek_path):
            whole = self._load()
            if "format" not in whole:
                whole = self._migrate()
            return self._checked(whole)

    def write(self, contents: Contents) -> None:
        """Replace the file. Call under `files.alone`."""
        files.replace(self.path, self._text(contents))

    def write_new(self, contents: Contents) -> None:
        """FileExistsError if there is one."""
        files.write_new(self.path, self._text(contents))

    def seal(self, name: str, secret: bytes) -> str:
        """A key for the file, bound to its name."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + AESGCM(self.kek.reveal()).encrypt(nonce, secret, name.encode())
        return base64.b64encode(sealed).decode()

    def unseal(self, name: str, sealed: str) -> bytes:
        """Raises InvalidTag or ValueError."""
        raw = base64.b64decode(sealed, validate=True)
        nonce, body = raw[:NONCE_BYTES], raw[NONCE_BYTES:]
        return AESGCM(self.kek.reveal()).decrypt(nonce, body, name.encode())

    def mac(self, what: str, data: bytes) -> bytes:
        """What only holders of the key-encryption key can say about `data`."""
        key = HKDF(hashes.SHA256(), KEK_BYTES, salt=None, info=what.encode())
        return hmac.digest(key.derive(self.kek.reveal()), data, "sha256")

    def _load(self) -> dict[str, Any]:
        with self.path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
        if len(raw) > FILE_BYTES_MAX:
            raise ValueError
        whole = json.loads(raw)
        if not isinstance(whole, dict):
            raise TypeError
        return whole

    def _text(self, contents: Contents) -> bytes:
        body = {"format": FORM, "check": self.seal(CHECK_NAME, CHECK_TEXT), **_dumped(contents)}
        seal = base64.b64encode(self.mac("keystore-seal/2", _canonical(body))).decode()
        return json.dumps({**body, "seal": seal}, indent=1).encode()

    def _checked(self, whole: dict[str, Any]) -> Contents:
        if self.unseal(CHECK_NAME, whole["check"]) != CHECK_TEXT or whole["format"] != FORM:
            raise ValueError
        body = {name: value for name, value in whole.items() if name != "seal"}
        seal = base64.b64decode(whole["seal"], validate=True)
        if hmac.compare_digest(seal, self.mac("keystore-seal/2", _canonical(body))):
            return _parsed(body)
        held = {name.rpartition("/")[0] for name in whole["versions"]}
        if lost := [ref.value for ref in KeyRef if ref.value not in held]:
            raise KeystoreDamaged(f"keystore: key {lost[0]} is missing in {self.path}")
        raise KeystoreDamaged(f"keystore: {self.path} was changed by something else than this city")

    def _migrate(self) -> dict[str, Any]:
        """Form 1 to form 2; of processes that open it together, one does."""
        with files.alone(self.path):
            whole = self._load()
            if "format" not in whole:
                made_at = datetime.fromtimestamp(self.path.stat().st_mtime, UTC)
                found = form_1.read(whole, self.unseal)
                versions = [
                    _first_version(ref, sealed, secret, made_at)
                    for ref, (sealed, secret) in found.items()
                ]
                self.write(Contents(tuple(versions)))
                whole = self._load()
        return whole


@contextmanager
def _told(path: Path, kek_path: Path) -> Iterator[None]:
    """Whatever is wrong with the two files becomes one line without a secret."""
    try:
        yield
    except FileNotFoundError as error:
        raise KeystoreDamaged(f"keystore: {error.filename} is missing") from None
    except OSError as error:
        raise KeystoreDamaged(f"keystore: {error.filename}: {error.strerror}") from None
    except form_1.KeyLost as lost:
        raise KeystoreDamaged(f"keystore: key {lost} is missing in {path}") from None
    except (ValueError, InvalidTag, AttributeError, TypeError, KeyError, RecursionError):
        raise KeystoreDamaged(f"keystore: {path} does not open with {kek_path}") from None


def _first_version(ref: KeyRef, sealed: str, secret: bytes, made_at: datetime) -> KeyVersion:
    """A key of form 1: its sealed entry stays as it is."""
    handle = software_handle(ref.algorithm, secret)
    return KeyVersion(
        ref=ref,
        number=1,
        state=KeyState.ACTIVE,
        created_at=made_at,
        changed_at=made_at,
        check_value=handle.check_value().hex(),
        place=SOFTWARE,
        point=getattr(handle, "point", b"").hex(),
        sealed=sealed,
    )


def _canonical(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def _dumped(contents: Contents) -> dict[str, Any]:
    versions = {}
    for one in contents.versions:
        row = asdict(one)
        row.pop("ref"), row.pop("number")
        versions[one.name] = {**row, "state": one.state.value}
    ceremonies = [{**asdict(one), "ref": one.ref.value} for one in contents.ceremonies]
    dumped = {
        "versions": versions,
        "ceremonies": ceremonies,
        "trail": {"lines": contents.trail_lines, "mac": contents.trail_mac},
    }
    plain: dict[str, Any] = json.loads(json.dumps(dumped, default=datetime.isoformat))
    return plain


def _parsed(body: Mapping[str, Any]) -> Contents:
    """Raises what a wrong shape raises: the seal held, so another version of us wrote it."""
    return Contents(
        versions=tuple(_version(name, row) for name, row in body["versions"].items()),
        ceremonies=tuple(_ceremony(row) for row in body["ceremonies"]),
        trail_lines=int(body["trail"]["lines"]),
        trail_mac=str(body["trail"]["mac"]),
    )


def _version(name: str, row: Mapping[str, Any]) -> KeyVersion:
    ref, _, number = name.rpartition("/")
    return KeyVersion(
        **{
            **row,
            "ref": KeyRef(ref),
            "number": int(number),
            "state": KeyState(row["state"]),
            "created_at": datetime.fromisoformat(row["created_at"]),
            "changed_at": datetime.fromisoformat(row["changed_at"]),
        }
    )


def _ceremony(row: Mapping[str, Any]) -> Ceremony:
    components = tuple(
        Component(**{**one, "at": datetime.fromisoformat(one["at"])}) for one in row["components"]
    )
    named = {
        **row,
        "ref": KeyRef(row["ref"]),
        "expires_at": datetime.fromisoformat(row["expires_at"]),
        "components": components,
    }
    return Ceremony(**named)
