"""The key file of a SAM in software: sealed under a passphrase, for its owner's eyes only (0600).

File: "CSM1" ‖ log2 n (1) ‖ r (1) ‖ p (1) ‖ salt (16) ‖ nonce (12) ‖ AES-256-GCM of the body, which
also vouches for what stands before it. The key is scrypt's (RFC 7914) of the passphrase.
Body: terminal number (6) ‖ key index (1) ‖ count (1), then per key: version, algorithm, levels
(1 each) ‖ key (16).
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from card_protocol.checks import U8_MAX, require, require_bytes, require_whole
from card_protocol.epurse.sam import CODE, SamKey
from card_protocol.epurse.suites import DES3, KEY_BYTES, SM4_SUITE
from card_protocol.epurse.transactions import TERMINAL_BYTES
from card_protocol.errors import MalformedBytes
from reader_bridge.faults import SamFault

MAGIC: Final = b"CSM1"
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 12
COST_LOG2: Final = 15  # 32 MB and about 0.1 s, once at start
COST_LOG2_MAX: Final = 18  # a file may not ask for more than 256 MB
SCRYPT_R: Final = 8
SCRYPT_P: Final = 1
FILE_BYTES_MAX: Final = 4096
PASSPHRASE_BYTES_MAX: Final = 1024
_HEAD_BYTES: Final = len(MAGIC) + 3 + SALT_BYTES + NONCE_BYTES
_KEY_RECORD_BYTES: Final = 3 + KEY_BYTES
# The textbook master of the published worked examples; anybody can make cards for it.
TEST_MASTER: Final = bytes.fromhex("11223344556677888877665544332211")


@dataclass(frozen=True, slots=True)
class SamKeys:
    """What is personalised into one SAM. Raises `MalformedBytes` "sam_malformed"."""

    KEYS_MAX: ClassVar[int] = 32
    terminal: bytes  # 6
    key_index: int
    keys: tuple[SamKey, ...]

    def __post_init__(self) -> None:
        require_bytes(self.terminal, TERMINAL_BYTES, CODE, "terminal")
        require_whole(self.key_index, 0, U8_MAX, CODE, "key_index")
        require(0 < len(self.keys) <= self.KEYS_MAX, CODE, "a SAM has 1 to 32 masters")
        names = {(key.version, key.algorithm) for key in self.keys}
        require(len(names) == len(self.keys), CODE, "two masters of one version and algorithm")

    def encode(self) -> bytes:
        require(all(key.levels for key in self.keys), CODE, "a card's own key is no master")
        body = self.terminal + bytes((self.key_index, len(self.keys)))
        for key in self.keys:
            body += bytes((key.version, key.algorithm, key.levels)) + key.value
        return body

    @classmethod
    def decode(cls, body: bytes) -> SamKeys:
        require(len(body) >= TERMINAL_BYTES + 2, CODE, "too short")
        terminal, key_index, count = body[:6], body[6], body[7]
        require(len(body) == 8 + count * _KEY_RECORD_BYTES, CODE, "keys missing or over")
        keys = []
        for at in range(8, len(body), _KEY_RECORD_BYTES):
            record = body[at : at + _KEY_RECORD_BYTES]
            keys.append(SamKey(record[0], record[1], record[2], record[3:]))
        return cls(terminal, key_index, tuple(keys))


def published_keys(terminal: bytes, key_index: int = 1) -> SamKeys:
    """Published masters under both algorithms. For trials: what they sign is worth nothing."""
    keys = tuple(SamKey(1, suite.algorithm, 1, TEST_MASTER) for suite in (DES3, SM4_SUITE))
    return SamKeys(terminal, key_index, keys)


def seal(keys: SamKeys, passphrase: bytes, *, cost_log2: int = COST_LOG2) -> bytes:
    """The bytes of a key file. Raises `MalformedBytes` "sam_malformed"."""
    require_whole(cost_log2, 1, COST_LOG2_MAX, CODE, "cost_log2")
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    head = MAGIC + bytes((cost_log2, SCRYPT_R, SCRYPT_P)) + salt + nonce
    return head + _cipher(head, passphrase).encrypt(nonce, keys.encode(), head)


def unseal(body: bytes, passphrase: bytes) -> SamKeys:
    """Raises `MalformedBytes` for what is no key file, SamFault(sam_passphrase_wrong) for one
    that does not open: a changed file cannot be told from a wrong passphrase.
    """
    head = body[:_HEAD_BYTES]
    is_ours = len(head) == _HEAD_BYTES and head[:4] == MAGIC
    require(is_ours and 1 <= head[4] <= COST_LOG2_MAX, CODE, "no key file of a SAM")
    require(head[5:7] == bytes((SCRYPT_R, SCRYPT_P)), CODE, "other parameters of scrypt")
    try:
        plain = _cipher(head, passphrase).decrypt(head[-NONCE_BYTES:], body[_HEAD_BYTES:], head)
    except InvalidTag:
        raise SamFault("sam_passphrase_wrong") from None
    return SamKeys.decode(plain)


def read_keys(path: Path, passphrase: bytes) -> SamKeys:
    """Raises SamFault(sam_missing, sam_keys_exposed, sam_state_damaged, sam_passphrase_wrong)."""
    try:
        return unseal(read_private(path, FILE_BYTES_MAX), passphrase)
    except MalformedBytes:
        raise SamFault("sam_state_damaged", file=str(path)) from None


def read_passphrase(source: Path | int) -> bytes:
    """From a file of mode 0600, or from a file descriptor handed down by whoever started us.

    The end of the line does not count. Raises SamFault(sam_missing, sam_keys_exposed,
    sam_state_unusable).
    """
    if isinstance(source, Path):
        text = read_private(source, PASSPHRASE_BYTES_MAX)
    else:
        try:
            with os.fdopen(source, "rb") as pipe:
                text = pipe.read(PASSPHRASE_BYTES_MAX)
        except OSError as error:
            raise SamFault("sam_state_unusable", reason=f"passphrase: {error.strerror}") from None
    passphrase = text.rstrip(b"\r\n")
    if not passphrase:
        raise SamFault("sam_state_unusable", reason="the passphrase is empty")
    return passphrase


def read_private(path: Path, bytes_max: int) -> bytes:
    """A file that nobody else may read. Raises SamFault(sam_missing, sam_keys_exposed, …)."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
                raise SamFault("sam_keys_exposed", file=str(path))
            return file.read(bytes_max)
    except FileNotFoundError:
        raise SamFault("sam_missing", reason=str(path)) from None
    except OSError as error:
        raise SamFault("sam_state_unusable", reason=f"{path}: {error.strerror}") from None


def _cipher(head: bytes, passphrase: bytes) -> AESGCM:
    salt = head[7 : 7 + SALT_BYTES]
    kdf = Scrypt(salt=salt, length=32, n=1 << head[4], r=head[5], p=head[6])
    return AESGCM(kdf.derive(passphrase))
