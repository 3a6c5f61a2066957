"""What each file of an export looks like, line by line. Judges form, not money."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

ACCOUNTS, POSTINGS, SEGMENTS, STRAYS, HEAD = (
    "accounts.jsonl",
    "postings.jsonl",
    "segments.jsonl",
    "strays.jsonl",
    "head.json",
)
LINE_BYTES_MAX = 8_192
SEAL_BYTES_MAX = 1 << 30  # 32 characters for each posting of the segment
NUMBER_MAX = 2**63 - 1
LEAF_BYTES = 16
HASH_BYTES = 32
SIGNATURE_BYTES = 64
LINE_FORM, HEAD_FORM = "posting/1", "journal/1"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
HEX = re.compile(r"(?:[0-9a-f]{2})*")
NOTHING = type(None)


class Malformed(Exception):
    """A file is not what the document says: nothing can be said about the books."""


class Posting(NamedTuple):
    """A line of postings.jsonl: a posting and the lines it made on two accounts."""

    form: str
    segment: int
    operation_id: str
    leg: int
    debit: str
    debit_line: int | None
    debit_balance_fen: int | None
    credit: str
    credit_line: int | None
    credit_balance_fen: int | None
    amount_fen: int
    code: str
    linked_to: str | None
    memo: str
    business_date: str
    posted_at: str


class Account(NamedTuple):
    """A line of accounts.jsonl."""

    account_id: str
    kind: str
    account_class: str | None
    side: str
    state: str
    lines: int
    floor_fen: int | None
    debits_posted: int
    credits_posted: int
    debits_pending: int
    credits_pending: int


class Seal(NamedTuple):
    """A line of segments.jsonl."""

    number: int
    postings: int
    previous_hash: bytes
    leaves: bytes
    segment_hash: bytes
    key_id: str
    signature: bytes
    sealed_at: str


class Newest(NamedTuple):
    """The newest seal, as a head tells it."""

    number: int
    segment_hash: bytes
    sealed_at: str


class Head(NamedTuple):
    """head.json: what somebody else keeps, to ask for it later."""

    form: str
    exported_at: str
    accounts: int
    postings: int
    unsealed_postings: int
    open_segment: int
    newest_segment: Newest | None
    keys: list[Mapping[str, Any]]


_INT, _TEXT = (int,), (str,)
_MAYBE_INT, _MAYBE_TEXT = (int, NOTHING), (str, NOTHING)
_SIDE = (_TEXT, _MAYBE_INT, _MAYBE_INT)
_KINDS = (
    (_TEXT, _INT, _TEXT, _INT, *_SIDE, *_SIDE, _INT, _TEXT, _MAYBE_TEXT, _TEXT, _TEXT, _TEXT)
)  # fmt: skip
_POSTING_TYPES = frozenset(product(*_KINDS))


def shown(text: object) -> str:
    """Any text on one line of a terminal."""
    return json.dumps(str(text))[1:-1]


def lines_of(path: Path, bytes_max: int = LINE_BYTES_MAX) -> Iterator[tuple[int, bytes]]:
    """(line number, line without newline). Raises Malformed for what cannot be read as lines."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(bytes_max + 1):
                number += 1
                if not line.endswith(b"\n"):
                    raise Malformed(f"{path.name} line {number}: cut off, or too long")
                yield number, line[:-1]
    except OSError as error:
        raise Malformed(f"{path.name}: {error.strerror}") from None


def _parse(line: bytes) -> Any:
    try:
        text = line.decode()
        value = json.loads(text, object_pairs_hook=_once)
        if "\\u" in text:  # half of a surrogate pair is no text
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Malformed("not JSON") from None
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name twice")
    return names


def read_posting(line: bytes) -> Posting:
    """Raises Malformed, as all readers here."""
    fields = _parse(line)
    if type(fields) is not list or tuple(map(type, fields)) not in _POSTING_TYPES:
        raise Malformed("not the fields of a posting")
    posting = Posting._make(fields)
    if posting.form != LINE_FORM or not posting.operation_id:
        raise Malformed(f"not of the form {LINE_FORM}")
    for number in fields:
        if type(number) is int and not -NUMBER_MAX <= number <= NUMBER_MAX:
            raise Malformed("a number is too large")
    _check_moment(posting.posted_at)
    _check_day(posting.business_date)
    return posting


def read_account(line: bytes) -> Account:
    members = _members(line, Account._fields)
    for name in ("account_id", "kind", "side", "state"):
        _text(members, name)
    if members["account_class"] is not None:
        _text(members, "account_class")
    for name in ("lines", "debits_posted", "credits_posted", "debits_pending", "credits_pending"):
        _number(members, name)
    if members["floor_fen"] is not None:
        _number(members, "floor_fen", smallest=-NUMBER_MAX)
    if members["side"] not in ("debit", "credit"):
        raise Malformed("side is neither debit nor credit")
    return Account(**members)


def read_seal(line: bytes) -> Seal:
    members = _members(line, Seal._fields)
    _number(members, "number", smallest=1)
    _number(members, "postings")
    _text(members, "key_id")
    _check_moment(members["sealed_at"])
    for name, length in (
        ("previous_hash", HASH_BYTES),
        ("segment_hash", HASH_BYTES),
        ("signature", SIGNATURE_BYTES),
        ("leaves", None),
    ):
        members[name] = _bytes(members, name, length)
    return Seal(**members)


def read_stray(line: bytes) -> Mapping[str, Any]:
    names = (
        *("account_id", "line", "operation_id", "leg"),
        *("side", "amount_fen", "balance_fen", "posted_at"),
    )
    members = _members(line, names)
    _text(members, "operation_id")
    _text(members, "account_id")
    _number(members, "line", smallest=-NUMBER_MAX)
    return members


def read_head(path: Path) -> Head:
    """A head from its file; it may have been laid out anew by whoever kept it."""
    try:
        members = _members(_whole(path), Head._fields)
        if members["form"] != HEAD_FORM:
            raise Malformed(f"not of the form {HEAD_FORM}")
        _check_moment(members["exported_at"])
        for name in ("accounts", "postings", "unsealed_postings", "open_segment"):
            _number(members, name)
        members["newest_segment"] = _newest(members["newest_segment"])
        keys = members["keys"]
        if type(keys) is not list or not all(type(key) is dict for key in keys):
            raise Malformed("keys is not a list of JWK")
    except Malformed as error:
        raise Malformed(f"{path.name}: {error}") from None
    return Head(**members)


def read_jwk(path: Path) -> Mapping[str, Any]:
    """A public key's JWK from its file."""
    try:
        value = _parse(_whole(path))
    except Malformed as error:
        raise Malformed(f"{path.name}: {error}") from None
    if type(value) is not dict:
        raise Malformed(f"{path.name}: not a JWK")
    return value


def _newest(value: Any) -> Newest | None:
    if value is None:
        return None
    if type(value) is not dict or set(value) != set(Newest._fields):
        raise Malformed("newest_segment has other members")
    _number(value, "number", smallest=1)
    _check_moment(value["sealed_at"])
    return Newest(**{**value, "segment_hash": _bytes(value, "segment_hash", HASH_BYTES)})


def _whole(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LINE_BYTES_MAX + 1)
    except OSError as error:
        raise Malformed(error.strerror) from None
    if len(content) > LINE_BYTES_MAX:
        raise Malformed("too long")
    return content


def _members(line: bytes, names: tuple[str, ...]) -> dict[str, Any]:
    value = _parse(line)
    if type(value) is not dict or set(value) != set(names):
        raise Malformed(f"not an object of {', '.join(names)}")
    return value


def _text(members: Mapping[str, Any], name: str) -> None:
    if type(members[name]) is not str or not members[name]:
        raise Malformed(f"{name} is not a text")


def _number(members: Mapping[str, Any], name: str, *, smallest: int = 0) -> None:
    value = members[name]
    if type(value) is not int or not smallest <= value <= NUMBER_MAX:
        raise Malformed(f"{name} is not a whole number, or out of range")


def _bytes(members: Mapping[str, Any], name: str, length: int | None) -> bytes:
    value = members[name]
    if type(value) is not str or not HEX.fullmatch(value):
        raise Malformed(f"{name} is not hex")
    if length is not None and len(value) != 2 * length:
        raise Malformed(f"{name} is not {length} bytes")
    return bytes.fromhex(value)


def _check_moment(value: Any) -> None:
    if type(value) is not str or not MOMENT.fullmatch(value):
        raise Malformed("a time is not RFC 3339 in UTC with microseconds")
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise Malformed("a time that does not exist") from None


def _check_day(value: str) -> None:
    try:
        day = date.fromisoformat(value)
    except ValueError:
        day = None
    if day is None or day.isoformat() != value:
        raise Malformed("business_date is not a day")
