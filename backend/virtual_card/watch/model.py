"""Whether taps and logs of one token contradict each other: pure; knows no rows.

A token's keys live on one device. Two devices that count with the same keys must sooner or later
say two things under one counter, or count at the same time in two places.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum

from backend.virtual_card.model import ATC_WINDOW
from card_protocol.mobile_card import TransactionData

LIVE = timedelta(minutes=2)
"""A tap that arrives so soon came online, from a terminal whose clock is right."""

ORDER_TOLERANCE = timedelta(seconds=60)
"""Two live taps may overtake each other on their way by so much."""

GAP_MAX = 3
"""So many counters may be missing: the phone's battery was taken out in the middle of a tap."""

UNARRIVED_MAX = 60
"""So many logged taps may still be at terminals that were offline."""

AHEAD_GRACE = timedelta(minutes=10)
"""A phone may tap while its request for keys is on its way."""

TAPS_KEPT = 512
"""Of each token, by counter modulo this: what is written over is outside payments' window, and
so pays nothing any more."""

LOG_MAX = 400
"""Lines a phone may send; three live keys make fewer."""

SHANGHAI = timezone(timedelta(hours=8))


class Sign(Enum):
    """What betrays a second device with the same keys."""

    SAME_COUNTER = "same_counter"  # one counter, two cryptograms
    FAR_BEHIND = "far_behind"  # live, and outside the window below the highest counter
    OVERLAP = "overlap"  # a lower counter, live, clearly after a higher one, live


@dataclass(frozen=True, slots=True)
class TapMark:
    """A genuine tap, as far as it can contradict another."""

    atc: int
    key_index: int
    cryptogram: bytes  # 8 bytes
    tapped_at: datetime | None  # the terminal's clock
    seen_at: datetime

    @property
    def slot(self) -> int:
        """Where it is kept."""
        return self.atc % TAPS_KEPT

    @property
    def is_live(self) -> bool:
        return self.tapped_at is not None and abs(self.seen_at - self.tapped_at) <= LIVE

    def is_same(self, other: TapMark) -> bool:
        """Whether it is that very tap: a terminal may ask again as often as it likes."""
        same_key = self.key_index == other.key_index
        return same_key and hmac.compare_digest(self.cryptogram, other.cryptogram)


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen of a token so far; `live_*`: the highest counter of its live taps."""

    atc_highest: int = 0
    live_atc: int | None = None
    live_at: datetime | None = None

    def with_tap(self, tap: TapMark) -> Watched:
        is_newer_live = tap.is_live and tap.atc > (self.live_atc or 0)
        return Watched(
            max(self.atc_highest, tap.atc),
            tap.atc if is_newer_live else self.live_atc,
            tap.seen_at if is_newer_live else self.live_at,
        )


def find_sign(tap: TapMark, earlier: TapMark | None, watched: Watched) -> Sign | None:
    """The sign of a second device in this tap, if there is one.

    `earlier` is what arrived under the same counter before. Late uploads are no sign, however
    late: a terminal may have been offline for days, and may repeat an upload for ever.
    """
    if earlier is not None:
        return None if tap.is_same(earlier) else Sign.SAME_COUNTER
    if not tap.is_live:
        return None
    if tap.atc < watched.atc_highest - ATC_WINDOW:
        return Sign.FAR_BEHIND
    if watched.live_atc is None or watched.live_at is None:
        return None
    is_late = tap.seen_at - watched.live_at > ORDER_TOLERANCE
    return Sign.OVERLAP if tap.atc < watched.live_atc and is_late else None


def find_tap_time(transaction: TransactionData) -> datetime | None:
    """When the terminal says the tap was: its clock shows Shanghai's time."""
    days, clock = transaction.date.hex(), transaction.time.hex()
    try:
        told = datetime.strptime(days + clock, "%y%m%d%H%M%S")  # noqa: DTZ007 - zone follows
    except ValueError:
        return None
    return told.replace(tzinfo=SHANGHAI).astimezone(UTC)


# --- the log a phone sends when it asks for keys --------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoggedTap:
    """One counter the phone gave out; `cryptogram` None when the tap broke off before it."""

    atc: int
    key_index: int
    cryptogram: bytes | None = None


class Finding(Enum):
    """What is wrong with a log."""

    SET_BACK = "set_back"  # the phone's counter is below what it said last time
    AHEAD = "arrived_ahead"  # a tap arrived with a counter the phone has not reached
    OTHER_CONTENT = "other_content"  # one counter, two cryptograms or two keys
    NOT_LOGGED = "arrived_not_logged"
    GAPS = "gaps"  # counters neither logged nor arrived
    UNARRIVED = "many_unarrived"
    MALFORMED = "malformed"  # lines twice, or outside the range it reports


class Answer(Enum):
    """In rising gravity."""

    ALLOW = 0
    STEP_UP = 1
    SUSPEND = 2


LOG_RULES: Mapping[Finding, Answer] = {
    Finding.SET_BACK: Answer.SUSPEND,
    Finding.AHEAD: Answer.SUSPEND,
    Finding.OTHER_CONTENT: Answer.SUSPEND,
    Finding.NOT_LOGGED: Answer.STEP_UP,
    Finding.GAPS: Answer.STEP_UP,
    Finding.UNARRIVED: Answer.STEP_UP,
    Finding.MALFORMED: Answer.STEP_UP,
}
"""Total: a test walks it."""


def answer_to(findings: Sequence[Finding]) -> Answer:
    """The gravest answer of all findings."""
    return max(
        (LOG_RULES[one] for one in findings), default=Answer.ALLOW, key=lambda one: one.value
    )


def check_log(
    last_atc: int,
    atc: int,
    log: Sequence[LoggedTap] | None,
    arrived: Sequence[TapMark] | None,
    now: datetime,
) -> tuple[Finding, ...]:
    """What contradicts what, between the refill at `last_atc` and this one at `atc`.

    `log` None: an app that keeps none. `arrived`: taps above `last_atc`; None: nobody watches.
    Lines up to `last_atc` were judged before: a phone that never heard its answer sends them again.
    """
    if atc < last_atc:
        return (Finding.SET_BACK,)
    seen = {one.atc: one for one in arrived or () if one.atc > last_atc}
    findings = []
    if any(one.atc > atc and now - one.seen_at > AHEAD_GRACE for one in seen.values()):
        findings.append(Finding.AHEAD)
    if log is None:
        return tuple(findings)
    logged = {one.atc: one for one in log if one.atc > last_atc}
    if len({one.atc for one in log}) != len(log) or any(one > atc for one in logged):
        findings.append(Finding.MALFORMED)
    if any(_differs(logged[one], seen[one]) for one in logged.keys() & seen.keys()):
        findings.append(Finding.OTHER_CONTENT)
    within = {one for one in seen if one <= atc}
    if within - logged.keys():
        findings.append(Finding.NOT_LOGGED)
    if atc - last_atc - len({one for one in logged if one <= atc} | within) > GAP_MAX:
        findings.append(Finding.GAPS)
    if arrived is not None and len(logged.keys() - seen.keys()) > UNARRIVED_MAX:
        findings.append(Finding.UNARRIVED)
    return tuple(findings)


def _differs(logged: LoggedTap, arrived: TapMark) -> bool:
    if logged.key_index != arrived.key_index:
        return True
    if logged.cryptogram is None:  # the phone does not know; the terminal has an answer
        return False
    return not hmac.compare_digest(logged.cryptogram, arrived.cryptogram)
