"""Where a purse's state is kept: in memory, or sealed in two slots of a file that takes turns.

A commit writes the slot that holds the older state and syncs. A cut at any byte leaves that slot
torn (its checksum tells) or whole; the other one is untouched. Size and work of a commit are the
same after the first transaction and the last. Knows no command and opens no file.

Slot: "CPS1" ‖ sequence (8) ‖ body length (4) ‖ CRC-32 of these and the body (4) ‖ body, where
body = nonce (12) ‖ AES-256-GCM of the encoded state, which also vouches for "CPS1" and sequence.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from card_protocol.checks import require, require_bytes
from card_protocol.errors import MalformedBytes
from hce.applets.epurse.context import RandomBytes
from hce.applets.epurse.state import PurseState
from hce.purse_codec import decode_purse, encode_purse

CODE = "purse_store_malformed"
MAGIC: Final = b"CPS1"
SLOT_BYTES: Final = 8_192
SLOTS: Final = 2
STORE_BYTES: Final = SLOT_BYTES * SLOTS
SEALING_KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_HEAD_BYTES: Final = 20
_BODY_BYTES_MAX: Final = SLOT_BYTES - _HEAD_BYTES


class ByteFile(Protocol):
    """A file of `STORE_BYTES`. Each method may raise OSError or a CardFileProblem."""

    def read(self) -> bytes:
        """All of it."""

    def write(self, offset: int, body: bytes) -> None:
        """Over what is there; may be torn by a cut before `sync` returns."""

    def sync(self) -> None:
        """What was written is durable when this returns."""


class MemoryPurseStore:
    """For tests and trials: forgets with the process."""

    def __init__(self, state: PurseState) -> None:
        self._state = state.require_complete()

    def view(self) -> PurseState:
        return self._state

    def commit(self, state: PurseState) -> None:
        self._state = state


@dataclass(frozen=True, slots=True)
class _Slot:
    """One slot that was read whole."""

    number: int
    sequence: int
    body: bytes

    def encode(self) -> bytes:
        head = MAGIC + self.sequence.to_bytes(8) + len(self.body).to_bytes(4)
        return head + zlib.crc32(head + self.body).to_bytes(4) + self.body


class SlotPurseStore:
    """Durable; one process and one card at a time. The sealing key never shows.

    After a failed write nothing in memory is believed: the next `view` reads the file again.
    """

    def __init__(
        self, file: ByteFile, sealing_key: bytes, *, random_bytes: RandomBytes = os.urandom
    ) -> None:
        """Raises `MalformedBytes` "purse_store_malformed": no whole slot, another sealing key."""
        require_bytes(sealing_key, SEALING_KEY_BYTES, CODE, "sealing_key")
        self._file = file
        self._seal = AESGCM(sealing_key)
        self._random_bytes = random_bytes
        self._slot: _Slot | None = None
        self._state: PurseState | None = None
        self.view()

    def __repr__(self) -> str:
        return "SlotPurseStore(<secret>)"

    def view(self) -> PurseState:
        if self._state is None:
            self._slot, self._state = self._recover()
        return self._state

    def commit(self, state: PurseState) -> None:
        self.view()
        assert self._slot is not None
        sequence = self._slot.sequence + 1
        slot = _Slot(1 - self._slot.number, sequence, self._sealed(state, sequence))
        self._state = None  # until it is durable, neither state is certain
        self._put(slot)
        self._slot, self._state = slot, state

    def _recover(self) -> tuple[_Slot, PurseState]:
        """The newest whole slot. It is written once more: a former sync may have failed."""
        slots = _read_slots(self._file.read())
        if not slots:
            raise MalformedBytes(CODE, "no slot is whole")
        newest = max(slots, key=lambda slot: slot.sequence)
        state = self._opened(newest)
        self._put(newest)
        return newest, state

    def _put(self, slot: _Slot) -> None:
        self._file.write(slot.number * SLOT_BYTES, slot.encode())
        self._file.sync()

    def _sealed(self, state: PurseState, sequence: int) -> bytes:
        return _sealed(self._seal, state, sequence, self._random_bytes)

    def _opened(self, slot: _Slot) -> PurseState:
        nonce, sealed = slot.body[:NONCE_BYTES], slot.body[NONCE_BYTES:]
        try:
            body = self._seal.decrypt(nonce, sealed, _vouched(slot.sequence))
        except InvalidTag:
            # Whole and yet not ours: to take the older slot instead would undo a payment.
            raise MalformedBytes(CODE, "sealed with another key, or changed") from None
        return decode_purse(body)


def initial_image(
    state: PurseState, sealing_key: bytes, *, random_bytes: RandomBytes = os.urandom
) -> bytes:
    """The bytes of a new store with this state in both slots."""
    require_bytes(sealing_key, SEALING_KEY_BYTES, CODE, "sealing_key")
    seal = AESGCM(sealing_key)
    state.require_complete()
    image = b""
    for number in range(SLOTS):
        body = _sealed(seal, state, number + 1, random_bytes)
        image += _Slot(number, number + 1, body).encode().ljust(SLOT_BYTES, b"\x00")
    return image


def _sealed(seal: AESGCM, state: PurseState, sequence: int, random_bytes: RandomBytes) -> bytes:
    nonce = random_bytes(NONCE_BYTES)  # a torn commit uses its sequence again, so not that
    body = nonce + seal.encrypt(nonce, encode_purse(state), _vouched(sequence))
    require(len(body) <= _BODY_BYTES_MAX, CODE, "the purse is larger than a slot")
    return body


def _vouched(sequence: int) -> bytes:
    return MAGIC + sequence.to_bytes(8)


def _read_slots(image: bytes) -> list[_Slot]:
    """Those with a fitting checksum; a torn one is left out."""
    slots = []
    for number in range(SLOTS):
        part = image[number * SLOT_BYTES : (number + 1) * SLOT_BYTES]
        size = int.from_bytes(part[12:16])
        if part[:4] != MAGIC or not NONCE_BYTES <= size <= _BODY_BYTES_MAX:
            continue
        slot = _Slot(number, int.from_bytes(part[4:12]), part[_HEAD_BYTES : _HEAD_BYTES + size])
        if slot.encode() == part[: _HEAD_BYTES + size]:
            slots.append(slot)
    return slots
