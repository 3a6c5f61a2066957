"""The terminal's own key and what the activation told it, in files of mode 0600."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from reader_bridge.faults import TerminalFault

KEY_FILE: Final = "terminal.key"
IDENTITY_FILE: Final = "terminal.json"
JOURNAL_FILE: Final = "journal.sqlite"
_FILE_BYTES_MAX: Final = 65536


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this terminal is; the answer to POST /v1/activations and where it came from."""

    url: str
    client_id: str
    merchant_id: str
    merchant_name: str
    merchant_number: str
    shop_id: str
    shop_name: str
    terminal_number: str


class ClientKey:
    """A P-256 key that never leaves its file and this object."""

    def __init__(self, private_key: ec.EllipticCurvePrivateKey) -> None:
        self.private_key = private_key

    def __repr__(self) -> str:
        return "ClientKey(<secret>)"

    def public_jwk(self) -> dict[str, str]:
        """RFC 7518, 6.2.1: coordinates as 32 bytes, base64url without padding."""
        numbers = self.private_key.public_key().public_numbers()
        x, y = (
            base64.urlsafe_b64encode(coordinate.to_bytes(32, "big")).rstrip(b"=").decode()
            for coordinate in (numbers.x, numbers.y)
        )
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def load_or_make_key(folder: Path) -> ClientKey:
    """The key of this folder; made and on the disk before it is first used."""
    path = folder / KEY_FILE
    if path.exists():
        return load_key(folder)
    private_key = ec.generate_private_key(ec.SECP256R1())
    pem = private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_private(path, pem)
    return ClientKey(private_key)


def load_key(folder: Path) -> ClientKey:
    """Raises TerminalFault(not_activated, key_exposed, state_damaged)."""
    path = folder / KEY_FILE
    pem = _read_private(path, folder)
    try:
        private_key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise TerminalFault("state_damaged", file=str(path)) from None
    if not isinstance(private_key, ec.EllipticCurvePrivateKey):
        raise TerminalFault("state_damaged", file=str(path))
    return ClientKey(private_key)


def save_identity(folder: Path, identity: Identity) -> None:
    text = json.dumps(asdict(identity), ensure_ascii=False, indent=1)
    write_private(folder / IDENTITY_FILE, text.encode())


def load_identity(folder: Path) -> Identity:
    """Raises TerminalFault(not_activated, key_exposed, state_damaged)."""
    path = folder / IDENTITY_FILE
    text = _read_private(path, folder)
    try:
        facts = json.loads(text)
        return identity_of(facts, url=str(facts["url"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise TerminalFault("state_damaged", file=str(path)) from None


def identity_of(facts: Mapping[str, Any], url: str) -> Identity:
    """Raises KeyError or TypeError when a member is missing or is no text."""
    names = [name for name in Identity.__dataclass_fields__ if name != "url"]
    values = {name: facts[name] for name in names}
    if not all(isinstance(value, str) for value in values.values()):
        raise TypeError("an identity is text")
    return Identity(url=url, **values)


def make_folder(folder: Path) -> None:
    """Raises TerminalFault(state_unusable)."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise TerminalFault("state_unusable", reason=f"{folder}: {error.strerror}") from None


def write_private(path: Path, content: bytes) -> None:
    """Whole or not at all, mode 0600, on the disk when this returns."""
    beside = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise TerminalFault("state_unusable", reason=f"{path}: {error.strerror}") from None


def _read_private(path: Path, folder: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise TerminalFault("key_exposed", file=str(path))
            return file.read(_FILE_BYTES_MAX)
    except FileNotFoundError:
        raise TerminalFault("not_activated", folder=str(folder)) from None
    except OSError as error:
        raise TerminalFault("state_unusable", reason=f"{path}: {error.strerror}") from None
