"""A proof that arrives late: what it says, when it was made, how its card stood then. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Literal

from backend.kernel import DomainError, Kind, Words
from backend.virtual_card.errors import ProofSeen, TokenDeleted, TokenPending, TokenSuspended
from backend.virtual_card.states import Reason, TokenState
from card_protocol.mobile_card import TransactionData

STOPPED = frozenset({TokenState.SUSPENDED, TokenState.DELETED})
PastKind = Literal["tap", "ride_code"]


class RideCodeRefused(DomainError):
    kind, code = Kind.REFUSED, "ride_code_refused"
    title = Words(zh="乘车码无效", en="Ride code not accepted")
    detail = Words(zh="乘车码未通过校验（{reason}）。", en="The ride code fails a check: {reason}.")


class RideCodeUsed(ProofSeen):
    kind, code = Kind.REFUSED, "ride_code_used"
    title = Words(zh="乘车码已使用", en="Ride code used")
    detail = Words(zh="此乘车码已乘过车。", en="This ride code has paid for a ride before.")


@dataclass(frozen=True, slots=True)
class PastTap:
    """The bytes of GET PROCESSING OPTIONS and its answer."""

    pdol_data: bytes
    gpo_response: bytes


@dataclass(frozen=True, slots=True)
class PastRideCode:
    """A ride code as scanned, and the moment the gate says it was."""

    content: bytes
    shown_at: datetime


HANDED_ON = frozenset(
    {
        Reason.MOVED_ON,
        Reason.MOVE_OVERDUE,
        Reason.DEVICE_ENDED,
        Reason.NEW_PHONE,
        Reason.MOVED_AWAY,
    }
)
"""Reasons that leave the card in its holder's hands: who taps on with it pays."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The card was stopped when it paid: since when, how that is refused, and whether it may
    have been in other hands by then (a loss, a copy) and not merely set aside by its holder."""

    since: datetime
    refusal: type[DomainError]
    is_out_of_hand: bool


@dataclass(frozen=True, slots=True)
class PastProof:
    """A genuine proof; whether it is the first use, payments asks.

    `counter` is claimed once per (token, kind): the ATC of a tap, the second a code was made.
    `sale_max_fen`: the most the issuer answers for without having been asked.
    """

    token_id: str
    token_number: str
    wallet_id: str
    person_id: str
    kind: PastKind
    counter: int
    key_index: int  # 0 for ride codes
    key_uses_max: int | None  # taps only
    made_at: datetime
    sale_max_fen: int
    stop: Stop | None
    transaction: TransactionData | None = None  # taps only
    cryptogram: bytes | None = None  # taps only


@dataclass(frozen=True, slots=True)
class StateChange:
    """One line of a token's history, as far as its state goes."""

    after: TokenState
    at: datetime
    reason: Reason


def find_stop(changes: Sequence[StateChange], at: datetime) -> Stop | None:
    """How the token was stopped at a moment; `changes` in their order.

    Raises TokenPending for a token that could not yet be used then. A moment before the first
    change reads as the first: clocks of terminals differ by seconds.
    """
    before = [one for one in changes if one.at <= at] or list(changes[:1])
    if not before or before[-1].after is TokenState.PENDING:
        raise TokenPending
    now = before[-1].after
    if now is TokenState.ACTIVE:
        return None
    stops = list(takewhile(lambda one: one.after in STOPPED, reversed(before)))
    refusal = TokenSuspended if now is TokenState.SUSPENDED else TokenDeleted
    is_out_of_hand = any(one.reason not in HANDED_ON for one in stops)
    return Stop(stops[-1].at, refusal, is_out_of_hand)
