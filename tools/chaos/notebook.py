"""What clients were told, and what that makes of every wallet; derived from answers alone."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field

from tools.chaos.errors import ChaosFailed
from tools.chaos.town import Wish
from tools.chaos.wire import Heard

MADE = 201
LASTING = frozenset({402, 403, 404, 409})
"""Statuses of refusals that are remembered, unless their code is one of RETRY."""
RETRY: frozenset[tuple[int, str]] = frozenset(
    {
        (409, "operation_running"),
        (409, "concurrent_change"),
        (503, "database_unavailable"),
    }
)


@dataclass(frozen=True, slots=True)
class Told:
    """A final answer: its status, and its body by SHA-256 (there may be 10^5 of them)."""

    status: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Tally:
    """How much was told by some moment."""

    operations: int = 0
    payments: int = 0
    answers: int = 0
    replays: int = 0
    retries: int = 0

    def since(self, before: Tally) -> Tally:
        return Tally(
            *(now - then for now, then in zip(astuple(self), astuple(before), strict=True))
        )


@dataclass(slots=True)
class Notebook:
    """Every operation of one city with the answer it got; one that differs ends the run."""

    wishes: dict[str, Wish] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)
    made: list[Wish] = field(default_factory=list)  # payments acknowledged, in order
    answers: int = 0  # all final answers, repeated ones too
    replays: int = 0
    retries: Counter[str] = field(default_factory=Counter)  # why operations were asked again

    def want(self, wish: Wish) -> None:
        """Stored before it is sent."""
        self.wishes[wish.operation_id] = wish

    def hear(self, wish: Wish, heard: Heard) -> bool:
        """Whether the answer is final. Raises ChaosFailed for one that may never be given."""
        if (heard.status, code := "" if heard.status == MADE else heard.code) in RETRY:
            self.retries[code] += 1
            return False
        if heard.status != MADE and heard.status not in LASTING:
            raise ChaosFailed(f"{wish.operation_id} was answered {heard.status} {code}")
        told = Told(heard.status, hashlib.sha256(heard.body).digest())
        before = self.told.setdefault(wish.operation_id, told)
        if before != told:
            raise ChaosFailed(f"{wish.operation_id} got two answers: {before} and {told}")
        self.answers += 1
        self.replays += heard.is_replay
        if before is told and told.status == MADE and wish.is_payment:
            self.made.append(wish)
        return True

    def tally(self) -> Tally:
        return Tally(
            operations=len(self.told),
            payments=len(self.made),
            answers=self.answers,
            replays=self.replays,
            retries=self.retries.total(),
        )

    def acknowledged(self) -> Iterator[Wish]:
        """Operations that were done, as far as anybody was told."""
        return (self.wishes[name] for name, told in self.told.items() if told.status == MADE)

    def unanswered(self) -> list[str]:
        return [name for name in self.wishes if name not in self.told]

    def changes_fen(self) -> dict[str, int]:
        """What each wallet gained (refunds) or lost (payments)."""
        changes: dict[str, int] = defaultdict(int)
        for wish in self.acknowledged():
            changes[wish.wallet_id] += -wish.amount_fen if wish.is_payment else wish.amount_fen
        return dict(changes)
