"""What a journal's line is and how it may change: pure facts, no file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

BODY_BYTES_MAX: Final = 64 * 1024  # a sale's own request; four of them still fit one upload
CARD_KEY_CHARACTERS_MAX: Final = 64
GENESIS: Final = bytes(32)  # the chain before the first link


class EntryKind(Enum):
    SALE = "sale"
    REFUND = "refund"


class EntryState(Enum):
    """Where a line stands. FLOW says what may follow.

    `stored`: perhaps sent, outcome not known here. `intended`: a command that may take money off
    the card is about to leave, or has left. `accepted`: taken offline, the light was green, the
    backend has not spoken yet. `dropped`: proved not taken; its reference may be used again.
    """

    STORED = "stored"
    INTENDED = "intended"
    ACCEPTED = "accepted"
    CAPTURED = "captured"  # of a sale
    POSTED = "posted"  # of a refund
    REFUSED = "refused"
    REVERSED = "reversed"
    DROPPED = "dropped"


FLOW: Final[frozenset[tuple[EntryState, EntryState]]] = frozenset(
    {
        (EntryState.STORED, EntryState.CAPTURED),
        (EntryState.STORED, EntryState.POSTED),
        (EntryState.STORED, EntryState.REFUSED),
        (EntryState.STORED, EntryState.REVERSED),
        (EntryState.STORED, EntryState.ACCEPTED),  # no answer came: taken offline, same id
        (EntryState.CAPTURED, EntryState.REVERSED),
        (EntryState.INTENDED, EntryState.ACCEPTED),
        (EntryState.INTENDED, EntryState.DROPPED),
        (EntryState.ACCEPTED, EntryState.CAPTURED),
        (EntryState.ACCEPTED, EntryState.REFUSED),
    }
)
# States with an answer: the backend's word, or (of a refusal) that it was never asked.
ANSWERED: Final = frozenset(
    {EntryState.CAPTURED, EntryState.POSTED, EntryState.REFUSED, EntryState.REVERSED}
)
OF_SALES_ONLY: Final = frozenset(EntryState) - {
    EntryState.STORED,
    EntryState.POSTED,
    EntryState.REFUSED,
}


class TransitionRefused(Exception):
    """A state was to change in a way that FLOW does not allow: a bug in the caller."""


def require_flow(entry_id: str, before: EntryState, after: EntryState) -> None:
    """Raises TransitionRefused."""
    if (before, after) not in FLOW:
        raise TransitionRefused(f"{entry_id}: {before.value} to {after.value}")


@dataclass(frozen=True, slots=True)
class Draft:
    """What is known before a sale or refund gets its counter and is stored."""

    kind: EntryKind
    entry_id: str  # pay_… or ref_…, made here; also the Idempotency-Key
    reference: str  # the cash register's own number: unique per kind, dropped entries apart
    payment_id: str  # of a refund: the sale it gives back; of a sale: itself
    amount_fen: int
    method: str  # tap | pay_code | purse | ride_code | refund
    application: str | None  # label of the application on the card that answered


@dataclass(frozen=True, slots=True)
class Atc:
    """The counter a card showed, and how long the terminal has to remember it."""

    value: int
    expires_at: int  # unix seconds: the token's (or purse's) own end


@dataclass(frozen=True, slots=True)
class SetAside:
    """The backend could not read this upload: kept, shown, and no longer in the way."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored line. `body` is what was and will be sent, byte for byte.

    `link`, `chain` and `accepted_at` belong to what was accepted offline: links count 1, 2, 3 …
    in the order of acceptance, `chain` is `next_chain` over all bodies up to this one.
    """

    draft: Draft
    terminal_counter: int
    body: bytes
    state: EntryState
    answer: Mapping[str, Any] | None
    stored_at: int  # unix seconds
    steps: tuple[tuple[str, float], ...]  # (name, milliseconds)
    card_key: str | None = None
    accepted_at: int | None = None  # unix seconds by the wall clock
    link: int | None = None
    chain: bytes | None = None  # 32 bytes
    clock_suspect: bool = False  # the wall clock ran backwards just before this entry
    aside: SetAside | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What was accepted offline and is not uploaded yet: in all, and by one card.

    Intended entries do not count (no light was green), nor do those set aside (the backend was
    asked). `oldest_at` belongs to the first of them in order and is never later than now.
    """

    sum_fen: int = 0
    count: int = 0
    oldest_at: int | None = None  # unix seconds
    card_sum_fen: int = 0
    card_count: int = 0
    last_atc: int | None = None  # the highest this terminal saw of this card, whatever became of it


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits, in all: for the backend, for a card to come back, for a person to look at it."""

    sum_fen: int
    count: int
    oldest_at: int | None  # unix seconds, never later than now
    torn_count: int
    aside_count: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The backend's word about one uploaded sale."""

    payment_id: str
    state: EntryState  # captured | refused
    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a batch of verdicts changed. `contradicted`: ids with another word before."""

    captured: int
    refused: int
    contradicted: tuple[str, ...]


def next_chain(chain: bytes, body: bytes) -> bytes:
    """SHA-256 over the chain so far (32 bytes) and one more body."""
    return hashlib.sha256(chain + body).digest()
