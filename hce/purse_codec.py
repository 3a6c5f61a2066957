"""A purse's state as bytes and back; secret, so only sealed bytes ever leave memory. No file here.

Numbers are big-endian; `lv` is a length byte and that many bytes. Records follow one another.
"""

from __future__ import annotations

from typing import Final

from card_protocol.checks import require
from card_protocol.epurse.transactions import TransactionKind
from card_protocol.errors import MalformedBytes
from hce.applets.epurse.purse_files import BinaryFile, CyclicFile, PurseFile, VariableFile
from hce.applets.epurse.state import (
    Face,
    KeyKind,
    LastProof,
    Life,
    Pin,
    PurseKey,
    PurseState,
    Rules,
)

CODE = "purse_state_malformed"
VERSION: Final = 1
_BINARY, _CYCLIC, _VARIABLE = 1, 2, 3


def encode_purse(state: PurseState) -> bytes:
    """About 2.5 kB for a purse with its fixed files."""
    face, rules, pin = state.face, state.rules, state.pin
    parts = [
        bytes((VERSION,)),
        *(_lv(face.aid), _lv(face.label.encode("ascii")), face.file_id.to_bytes(2)),
        _lv(b"" if face.version is None else bytes((face.version,))),
        rules.balance_max_fen.to_bytes(4),
        bytes((rules.pin_tries_max, rules.key_tries_max, rules.money_tries_max)),
        bytes((rules.load_needs_pin,)),
        state.balance_fen.to_bytes(4),
        *(state.offline_atc.to_bytes(2), state.online_atc.to_bytes(2), bytes((state.life,))),
        _lv(b"" if state.last is None else _last(state.last)),
        _lv(b"" if pin is None else bytes((pin.failures,)) + pin.value),
        bytes((len(state.keys),)),
        *map(_key, state.keys),
        bytes((len(state.files),)),
        *map(_file, state.files),
    ]
    return b"".join(parts)


def decode_purse(body: bytes) -> PurseState:
    """Raises `MalformedBytes`; its text never quotes the body."""
    reader = _Reader(body)
    require(reader.number(1) == VERSION, CODE, "of another version of this program")
    aid, label, file_id = reader.lv(), reader.lv().decode("latin-1"), reader.number(2)
    version = reader.lv()
    face = Face(aid, label, file_id, version[0] if version else None)
    rules = Rules(
        reader.number(4), reader.number(1), reader.number(1), reader.number(1), reader.flag()
    )
    balance_fen, offline, online = reader.number(4), reader.number(2), reader.number(2)
    life = Life(_known(reader.number(1), Life))
    last, pin = reader.lv(), reader.lv()
    keys = tuple(_read_key(reader) for _ in range(reader.number(1)))
    files = tuple(_read_file(reader) for _ in range(reader.number(1)))
    reader.require_end()
    return PurseState(
        face,
        rules,
        keys,
        files,
        pin=Pin(pin[1:], pin[0]) if pin else None,
        balance_fen=balance_fen,
        offline_atc=offline,
        online_atc=online,
        life=life,
        last=_read_last(last) if last else None,
    ).require_complete()


class _Reader:
    """Takes bytes from the front; refuses to go beyond the end."""

    def __init__(self, body: bytes) -> None:
        self._body, self._at = body, 0

    def take(self, size: int) -> bytes:
        part = self._body[self._at : self._at + size]
        require(len(part) == size, CODE, "it ends too early")
        self._at += size
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def flag(self) -> bool:
        value = self.number(1)
        require(value in {0, 1}, CODE, "a flag is 0 or 1")
        return bool(value)

    def lv(self) -> bytes:
        return self.take(self.number(1))

    def require_end(self) -> None:
        require(self._at == len(self._body), CODE, "bytes behind the end")


def _lv(value: bytes) -> bytes:
    return bytes((len(value),)) + value


def _known(value: int, kinds: type[Life | KeyKind | TransactionKind]) -> int:
    require(value in {int(kind) for kind in kinds}, CODE, f"an unknown {kinds.__name__}")
    return value


def _last(last: LastProof) -> bytes:
    return bytes((last.kind,)) + last.atc.to_bytes(2) + last.mac2 + last.tac


def _read_last(body: bytes) -> LastProof:
    reader = _Reader(body)
    kind = TransactionKind(_known(reader.number(1), TransactionKind))
    last = LastProof(kind, reader.number(2), reader.take(4), reader.take(4))
    reader.require_end()
    return last


def _key(key: PurseKey) -> bytes:
    return bytes((key.kind, key.index, key.version, key.algorithm, key.failures)) + key.value


def _read_key(reader: _Reader) -> PurseKey:
    kind = KeyKind(_known(reader.number(1), KeyKind))
    index, version, algorithm, failures = reader.take(4)
    return PurseKey(kind, index, version, algorithm, reader.take(16), failures)


def _file(file: PurseFile) -> bytes:
    if isinstance(file, BinaryFile):
        return bytes((_BINARY, file.sfi)) + len(file.body).to_bytes(2) + file.body
    if isinstance(file, CyclicFile):
        head = bytes((_CYCLIC, file.sfi, len(file.records), file.record_bytes))
        return head + b"".join(file.records)
    head = bytes((_VARIABLE, file.sfi)) + file.room_bytes.to_bytes(2)
    return head + bytes((len(file.records),)) + b"".join(map(_lv, file.records))


def _read_file(reader: _Reader) -> PurseFile:
    kind, sfi = reader.number(1), reader.number(1)
    if kind == _BINARY:
        return BinaryFile(sfi, reader.take(reader.number(2)))
    if kind == _CYCLIC:
        count, size = reader.number(1), reader.number(1)
        return CyclicFile(sfi, tuple(reader.take(size) for _ in range(count)))
    if kind == _VARIABLE:
        room_bytes = reader.number(2)
        records = tuple(reader.lv() for _ in range(reader.number(1)))
        return VariableFile(sfi, records, room_bytes)
    raise MalformedBytes(CODE, "an unknown kind of file")
