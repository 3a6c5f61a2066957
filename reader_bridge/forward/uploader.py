"""One upload after another, and what each answer means. Knows no thread and waits for nothing.

Nothing here can charge twice: the backend decides by the ids inside, and the journal keeps the
first word about each sale. So a request may be repeated, cut, or sent by two processes at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Protocol

from reader_bridge.backend_client import Refused, Unreachable
from reader_bridge.clock import Clock
from reader_bridge.forward.wire import (
    SALES_MAX,
    UPLOAD_PATH,
    fitting,
    is_sendable,
    upload_of,
    verdicts_of,
)
from reader_bridge.journal import Conclusion, Entry, Journal, SetAside

UNREADABLE: Final = frozenset({400, 413, 422})  # about the content: smaller parts tell which
LONE_MAX: Final = 8  # that many unread and none read: the fault is not in the sales
STRIKES_MAX: Final = 5  # a sale that nobody could compare with a good one is tried that often
STRIKES_KEPT: Final = 1000
NO_WORD: Final = "results_not_understood"
_WITHOUT_A_WORD: Final = SetAside("result_missing", "the backend answers and never names it")


class Poster(Protocol):
    """The part of the backend client that an upload needs. Raises Refused, Unreachable."""

    def post(self, path: str, body: bytes, idempotency_key: str) -> Mapping[str, Any]: ...


class StepKind(Enum):
    ANSWERED = "answered"  # go on at once
    ROUND_ENDED = "round_ended"  # everything was offered once
    FAILED = "failed"  # wait, then go on


@dataclass(frozen=True, slots=True)
class Step:
    """What one step came to. `code` and `was_sent` belong to FAILED, `is_left` to ROUND_ENDED."""

    kind: StepKind
    code: str | None = None
    was_sent: bool = False
    is_left: bool = False  # something was offered in this round and not decided


class Uploader:
    """Walks through what waits for upload, in order of acceptance, and starts again at the end."""

    def __init__(self, journal: Journal, client: Poster, clock: Clock) -> None:
        self._journal, self._client, self._clock = journal, client, clock
        self._after_link = 0  # of the last sale that was offered in this round
        self._sales_max = SALES_MAX
        self._fruitless = 0  # answers that said nothing: the next request is another one
        self._strikes: dict[str, int] = {}
        self.captured = self.refused = self.contradicted = 0

    def step(self) -> Step:
        """One request, or the few that isolate what the backend cannot read.

        Raises TerminalFault when the journal cannot be read or written.
        """
        entries = self._journal.to_upload(self._sales_max, self._after_link)
        if not entries:
            return self._end_round()
        for entry in entries:
            if not is_sendable(entry):
                self._set_aside(entry, SetAside("body_malformed", "not a JSON object"))
                return Step(StepKind.ANSWERED)
        batch = fitting(entries)
        try:
            self._send(batch)
        except Refused as refusal:
            if refusal.status in UNREADABLE:
                return self._isolate(batch, refusal)
            return Step(StepKind.FAILED, refusal.code, was_sent=True)
        except Unreachable as failure:
            return self._not_answered(batch, failure)
        self._sales_max = min(SALES_MAX, 2 * self._sales_max)
        return Step(StepKind.ANSWERED)

    def _end_round(self) -> Step:
        passed, self._after_link = self._after_link, 0
        first = self._journal.to_upload(1)
        is_left = bool(first) and (first[0].link or 0) <= passed
        return Step(StepKind.ROUND_ENDED, is_left=is_left)

    def _send(self, batch: Sequence[Entry]) -> None:
        """Raises Refused, Unreachable; an answer without a word about the batch is no answer."""
        body = upload_of(self._journal.incarnation(), batch)
        digest = hashlib.sha256(b"%d " % self._fruitless + body).hexdigest()
        answer = self._client.post(UPLOAD_PATH, body, f"off_{digest[:40]}")
        verdicts = verdicts_of(answer, batch)
        if not verdicts:
            self._fruitless += 1
            raise Unreachable(NO_WORD if answer.get("results") else "no_results", sent=True)
        conclusion = self._journal.conclude(verdicts, int(self._clock.unix_now()))
        self._count(conclusion)
        answered = {verdict.payment_id for verdict in verdicts}
        last = max(entry.link or 0 for entry in batch if entry.draft.entry_id in answered)
        for entry in batch:
            if entry.draft.entry_id in answered:
                self._strikes.pop(entry.draft.entry_id, None)
            elif (entry.link or 0) < last:  # left out; what comes after `last` was cut off
                self._strike(entry, _WITHOUT_A_WORD)
        self._after_link = max(self._after_link, last)

    def _not_answered(self, batch: Sequence[Entry], failure: Unreachable) -> Step:
        """Smaller next time: a request that is too slow, or a sale that breaks the backend."""
        if failure.sent:
            self._sales_max = max(1, len(batch) // 2)
            if len(batch) == 1:
                self._pass(batch[0])  # the others get their turn; this one in the next round
                if failure.reason == NO_WORD:
                    self._strike(batch[0], _WITHOUT_A_WORD)
        return Step(StepKind.FAILED, failure.reason, was_sent=failure.sent)

    def _isolate(self, batch: Sequence[Entry], refusal: Refused) -> Step:
        """Halve until each part is read or is one sale: at most two requests for each sale."""
        parts: list[tuple[Sequence[Entry], Refused]] = [(batch, refusal)]
        alone: list[tuple[Entry, Refused]] = []
        was_read = False
        try:
            while parts and (was_read or len(alone) < LONE_MAX):
                part, why = parts.pop()
                if len(part) == 1:
                    alone.append((part[0], why))
                    continue
                middle = len(part) // 2
                for half in (part[middle:], part[:middle]):
                    again = self._find_refusal(half)
                    if again is None:
                        was_read = True
                    else:
                        parts.append((half, again))
        except Refused as other:
            return Step(StepKind.FAILED, other.code, was_sent=True)
        except Unreachable as failure:
            return Step(StepKind.FAILED, failure.reason, was_sent=failure.sent)
        finally:
            for entry, why in alone:
                self._judge(entry, why, was_read=was_read)
        if was_read:
            return Step(StepKind.ANSWERED)
        return Step(StepKind.FAILED, refusal.code, was_sent=True)

    def _find_refusal(self, part: Sequence[Entry]) -> Refused | None:
        """None when the part was read. Raises Refused for other reasons, Unreachable."""
        try:
            self._send(part)
        except Refused as refusal:
            if refusal.status not in UNREADABLE:
                raise
            return refusal
        return None

    def _judge(self, entry: Entry, refusal: Refused, *, was_read: bool) -> None:
        """Aside at once when others were read; else only after several tries."""
        self._pass(entry)
        reason = SetAside(refusal.code[:64], refusal.detail[:500])
        if was_read:
            self._set_aside(entry, reason)
        else:
            self._strike(entry, reason)

    def _strike(self, entry: Entry, reason: SetAside) -> None:
        name = entry.draft.entry_id
        strikes = self._strikes.pop(name, 0) + 1
        if strikes >= STRIKES_MAX:
            self._set_aside(entry, reason)
            return
        self._strikes[name] = strikes
        if len(self._strikes) > STRIKES_KEPT:
            del self._strikes[next(iter(self._strikes))]

    def _set_aside(self, entry: Entry, reason: SetAside) -> None:
        self._strikes.pop(entry.draft.entry_id, None)
        self._journal.set_aside(entry.draft.entry_id, reason)

    def _pass(self, entry: Entry) -> None:
        self._after_link = max(self._after_link, entry.link or 0)

    def _count(self, conclusion: Conclusion) -> None:
        self.captured += conclusion.captured
        self.refused += conclusion.refused
        self.contradicted += len(conclusion.contradicted)
