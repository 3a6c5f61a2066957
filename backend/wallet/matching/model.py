"""The three sides of a day compared: what agrees, and every difference by its kind. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum

from backend.kernel import DomainError, Kind, Words
from backend.wallet.accounts import Channel
from backend.wallet.bank.port import Booking
from backend.wallet.cases.model import CaseKind

CASES_MAX = 5_000


class DayState(Enum):
    OPEN = "open"
    CLOSED = "closed"


class DayNotMatched(DomainError):
    kind, code = Kind.UNKNOWN, "day_not_matched"
    title = Words(zh="当日尚未对账", en="The day was not matched")
    detail = Words(zh="请先对账。", en="Match the day first.")


class CasesOpen(DomainError):
    kind, code = Kind.CONFLICT, "cases_open"
    title = Words(zh="尚有未处理差错", en="Cases are open")
    detail = Words(
        zh="尚有 {count} 笔差错没有处理编号和原因。",
        en="{count} cases have neither number nor reason yet.",
    )


class StatementStrange(DomainError):
    """More differences than a day can have: another day's statement, or another account's."""

    kind, code = Kind.CONFLICT, "statement_strange"
    title = Words(zh="对账单明显不符", en="The statement cannot be this day's")
    detail = Words(
        zh="差错超过 {cases_max} 笔，请核对对账单；未记录任何结果。",
        en="More than {cases_max} differences: check the statement. Nothing was written down.",
    )


class ClaimState(Enum):
    """How far our side is."""

    OPEN = "open"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Claim:
    """What we say the statement must show: a top-up, a counted drawer, a batch that is done.

    amount_fen: on the statement; posted_fen: of it in wallets (the rest of a batch is owed back);
    day: on which; None where the payer chooses it (cash, employers). ledger_fen, postings: what
    the ledger has. in_custody: the statement was booked, for booked_day when that is known.
    counted_fen: the cash in the drawer.
    """

    subject: str
    channel: Channel
    state: ClaimState
    amount_fen: int
    posted_fen: int
    own_day: date | None
    day: date | None
    ledger_fen: int
    postings: int
    in_custody: bool = False
    booked_day: date | None = None
    counted_fen: int | None = None
    is_drawer: bool = False

    @property
    def rest_fen(self) -> int:
        return self.amount_fen - self.posted_fen


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing the sides do not agree on, in fen; None: that side has nothing."""

    subject: str
    kind: CaseKind
    bank_fen: int | None = None
    ours_fen: int | None = None
    ledger_fen: int | None = None


@dataclass(frozen=True, slots=True)
class Stray:
    """In the ledger as a top-up of this day, though no top-up succeeded."""

    subject: str
    channel: Channel
    amount_fen: int


@dataclass(frozen=True, slots=True)
class SideTotals:
    """A channel's day: what each side says, and what of it agrees. `channel` "unknown": strangers'
    money on the statement."""

    channel: str
    bank_lines: int = 0
    bank_fen: int = 0
    topups: int = 0
    topups_fen: int = 0
    posted_fen: int = 0
    rest_fen: int = 0
    matched: int = 0
    matched_fen: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """`agreed`: on the statement, ours and in the ledger, to the fen."""

    agreed: list[Claim]
    differences: list[Difference]
    totals: list[SideTotals]


@dataclass(frozen=True, slots=True)
class DayMatch:
    """A day's result. `matched`, `amount_fen`: what this run booked into custody anew;
    `unmatched`: order ids on the statement that do not agree."""

    business_date: date
    state: DayState
    matched: int
    amount_fen: int
    unmatched: list[str]
    cases_open: int
    cases_explained: int
    totals: list[SideTotals]
    matched_at: datetime | None
    closed_by: str | None
    closed_at: datetime | None


def compare(
    day: date,
    bookings: Iterable[Booking],
    claims: Mapping[str, Claim],
    strays: Sequence[Stray],
    accepted: frozenset[str],
) -> Comparison:
    """`claims`: of this day, and every one the statement names; `accepted`: subjects whose other
    date somebody has explained."""
    by_subject: dict[str, list[Booking]] = defaultdict(list)
    for booking in bookings:
        by_subject[booking.order_id].append(booking)
    differences: list[Difference] = []
    agreed: list[Claim] = []
    for subject in sorted({*by_subject, *claims}):
        lines, claim = by_subject.get(subject, []), claims.get(subject)
        found = list(_differences(day, subject, lines, claim, subject in accepted))
        differences += found
        if claim is not None and lines and not found:
            agreed.append(claim)
    differences += [
        Difference(one.subject, CaseKind.POSTED_NOT_OURS, ledger_fen=one.amount_fen)
        for one in strays
    ]
    return Comparison(agreed, differences, _totals(day, by_subject, claims, strays, agreed))


def _differences(
    day: date, subject: str, lines: Sequence[Booking], claim: Claim | None, is_accepted: bool
) -> Iterator[Difference]:
    bank_fen = sum(one.amount_fen for one in lines) if lines else None
    if claim is None:
        yield Difference(subject, CaseKind.IN_BANK_NOT_OURS, bank_fen=bank_fen)
        return
    ours_fen, ledger_fen = claim.amount_fen, claim.ledger_fen
    kinds = [*_against_ledger(claim), *_against_drawer(claim)]
    if lines:
        kinds += _against_bank(day, lines, claim, is_accepted)
    elif _is_missing(day, claim):
        kinds.append(CaseKind.IN_OURS_NOT_BANK)
    for kind in kinds:
        shown_fen = claim.counted_fen if kind is CaseKind.DRAWER_DIFFERS else bank_fen
        yield Difference(subject, kind, shown_fen, ours_fen, ledger_fen)


def _against_ledger(claim: Claim) -> Iterator[CaseKind]:
    if claim.state is not ClaimState.SUCCEEDED:
        return
    if claim.postings == 0 and claim.posted_fen:
        yield CaseKind.NOT_POSTED
    elif claim.channel is Channel.BANK and claim.postings > 1:
        yield CaseKind.POSTED_TWICE
    elif claim.ledger_fen != claim.posted_fen:
        yield CaseKind.POSTING_DIFFERS


def _against_drawer(claim: Claim) -> Iterator[CaseKind]:
    if not claim.is_drawer:
        return
    if claim.counted_fen is None:
        yield CaseKind.DRAWER_NOT_COUNTED
    elif claim.counted_fen != claim.amount_fen:
        yield CaseKind.DRAWER_DIFFERS


def _against_bank(
    day: date, lines: Sequence[Booking], claim: Claim, is_accepted: bool
) -> Iterator[CaseKind]:
    booked_elsewhere = claim.in_custody and claim.booked_day not in (None, day)
    if len(lines) > 1 or booked_elsewhere:
        yield CaseKind.BOOKED_TWICE
    elif claim.state is ClaimState.FAILED:
        yield CaseKind.BANK_PAID_OURS_FAILED
    elif claim.state is ClaimState.OPEN:
        yield CaseKind.BANK_PAID_OURS_OPEN
    elif lines[0].amount_fen != claim.amount_fen:
        yield CaseKind.AMOUNT_DIFFERS
    elif claim.day not in (None, day) and not is_accepted:
        yield CaseKind.DATE_DIFFERS


def _is_missing(day: date, claim: Claim) -> bool:
    """Of this day, and on no statement; or booked for this day, and on its statement no more."""
    if claim.state is not ClaimState.SUCCEEDED or claim.own_day != day or not claim.amount_fen:
        return False
    return not claim.in_custody or claim.booked_day == day


def _totals(
    day: date,
    by_subject: Mapping[str, Sequence[Booking]],
    claims: Mapping[str, Claim],
    strays: Iterable[Stray],
    agreed: Iterable[Claim],
) -> list[SideTotals]:
    sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for channel in Channel:
        sums[channel.value]["bank_lines"] = 0
    for subject, lines in by_subject.items():
        claim = claims.get(subject)
        of = sums["unknown" if claim is None else claim.channel.value]
        of["bank_lines"] += len(lines)
        of["bank_fen"] += sum(one.amount_fen for one in lines)
    for claim in claims.values():
        if claim.own_day == day and claim.state is ClaimState.SUCCEEDED:
            of = sums[claim.channel.value]
            of["topups"] += 1
            of["topups_fen"] += claim.amount_fen
            of["posted_fen"] += claim.ledger_fen
            of["rest_fen"] += claim.rest_fen
    for stray in strays:
        sums[stray.channel.value]["posted_fen"] += stray.amount_fen
    for claim in agreed:
        sums[claim.channel.value]["matched"] += 1
        sums[claim.channel.value]["matched_fen"] += claim.amount_fen
    return [SideTotals(channel, **figures) for channel, figures in sorted(sums.items())]
