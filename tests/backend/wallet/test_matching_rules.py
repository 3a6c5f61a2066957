"""The three sides compared, as a table: which difference has which name, and what agrees."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.wallet.accounts import Channel
from backend.wallet.bank import Booking
from backend.wallet.cases import CaseKind, subject_of
from backend.wallet.matching.model import Claim, ClaimState, Comparison, SideTotals, Stray, compare

DAY = date(2026, 11, 23)
OTHER = DAY - timedelta(days=1)
GOOD = Claim(
    subject="top_a",
    channel=Channel.BANK,
    state=ClaimState.SUCCEEDED,
    amount_fen=500,
    posted_fen=500,
    own_day=DAY,
    day=DAY,
    ledger_fen=500,
    postings=1,
)
DRAWER = replace(
    GOOD,
    channel=Channel.COUNTER_CASH,
    day=None,
    counted_fen=500,
    is_drawer=True,
    postings=3,
)
BATCH = replace(
    GOOD, channel=Channel.EMPLOYER_BATCH, day=None, posted_fen=300, ledger_fen=300, postings=7
)


def run(
    claim: Claim | None,
    *amounts: int,
    accepted: bool = False,
    strays: tuple[Stray, ...] = (),
) -> Comparison:
    bookings = [Booking("top_a", fen, f"b{number}") for number, fen in enumerate(amounts)]
    claims = {} if claim is None else {"top_a": claim}
    names = frozenset({"top_a"}) if accepted else frozenset[str]()
    return compare(DAY, bookings, claims, strays, names)


def changed(claim: Claim = GOOD, **changes: Any) -> Claim:
    return replace(claim, **changes)


@pytest.mark.parametrize(
    ("claim", "amounts", "kinds"),
    [
        (GOOD, (500,), []),
        (GOOD, (), ["in_ours_not_bank"]),
        (None, (500,), ["in_bank_not_ours"]),
        (None, (500, 1), ["in_bank_not_ours"]),
        (GOOD, (501,), ["amount_differs"]),
        (GOOD, (499,), ["amount_differs"]),
        (GOOD, (500, 500), ["booked_twice"]),
        (GOOD, (250, 250), ["booked_twice"]),
        (
            changed(state=ClaimState.FAILED, own_day=None, day=None),
            (500,),
            ["bank_paid_ours_failed"],
        ),
        (changed(state=ClaimState.OPEN, own_day=None, day=None), (500,), ["bank_paid_ours_open"]),
        (changed(ledger_fen=0, postings=0), (500,), ["not_posted"]),
        (changed(ledger_fen=0, postings=0), (), ["not_posted", "in_ours_not_bank"]),
        (changed(ledger_fen=1_000, postings=2), (500,), ["posted_twice"]),
        (changed(ledger_fen=499), (500,), ["posting_differs"]),
        (changed(ledger_fen=499), (499,), ["posting_differs", "amount_differs"]),
        (changed(own_day=OTHER, day=OTHER), (500,), ["date_differs"]),
        (changed(own_day=OTHER, day=OTHER), (), []),
        # what was booked before
        (changed(in_custody=True, booked_day=DAY), (500,), []),
        (changed(in_custody=True, booked_day=DAY), (), ["in_ours_not_bank"]),
        (changed(in_custody=True, booked_day=OTHER), (500,), ["booked_twice"]),
        (changed(in_custody=True, booked_day=OTHER), (), []),
        (changed(in_custody=True, booked_day=None), (500,), []),
        (changed(in_custody=True, booked_day=None), (), []),
        # cash
        (DRAWER, (500,), []),
        (DRAWER, (), ["in_ours_not_bank"]),
        (changed(DRAWER, counted_fen=None), (500,), ["drawer_not_counted"]),
        (changed(DRAWER, counted_fen=499), (500,), ["drawer_differs"]),
        (changed(DRAWER, ledger_fen=400), (500,), ["posting_differs"]),
        (changed(DRAWER, own_day=OTHER), (500,), []),
        (changed(DRAWER, amount_fen=0, posted_fen=0, ledger_fen=0, counted_fen=0), (), []),
        # employers
        (BATCH, (500,), []),
        (BATCH, (300,), ["amount_differs"]),
        (changed(BATCH, ledger_fen=500), (500,), ["posting_differs"]),
        (changed(BATCH, posted_fen=0, ledger_fen=0, postings=0), (500,), []),
    ],
)
def test_every_difference_has_a_name(
    claim: Claim | None, amounts: tuple[int, ...], kinds: list[str]
) -> None:
    found = run(claim, *amounts)
    assert [one.kind.value for one in found.differences] == kinds
    assert found.agreed == ([claim] if amounts and not kinds else [])
    for one in found.differences:
        if one.kind is not CaseKind.DRAWER_DIFFERS:
            assert one.bank_fen == (sum(amounts) if amounts else None)


def test_a_date_somebody_explained_agrees() -> None:
    late = changed(own_day=OTHER, day=OTHER)
    assert run(late, 500, accepted=True).agreed == [late]
    assert run(late, 501, accepted=True).agreed == []  # of the date only


def test_totals_of_the_three_sides() -> None:
    stray = Stray("top_b", Channel.BANK, 40)
    found = run(BATCH, 500, strays=(stray,))
    assert [one.kind for one in found.differences] == [CaseKind.POSTED_NOT_OURS]
    by_channel = {one.channel: one for one in found.totals}
    assert by_channel["employer_batch"] == SideTotals(
        "employer_batch", 1, 500, 1, 500, 300, 200, 1, 500
    )
    assert by_channel["bank"] == SideTotals("bank", posted_fen=40)
    strangers = {one.channel: one for one in run(None, 7, 7).totals}["unknown"]
    assert strangers == SideTotals("unknown", bank_lines=2, bank_fen=14)


@pytest.mark.parametrize(
    ("order_id", "subject"),
    [("top_a", "top_a"), ("a\x00b\n", "a?b?"), ("x" * 120, "x" * 100), ("转账", "转账"), ("", "?")],
)
def test_what_a_bank_writes_becomes_a_column(order_id: str, subject: str) -> None:
    assert subject_of(order_id) == subject


def test_the_runbook_says_what_to_do_about_every_kind() -> None:
    page = Path(__file__).parents[3] / "docs" / "runbooks" / "the-days-match.md"
    rows = [row for row in page.read_text("utf-8").splitlines() if row.startswith("| `")]
    named = {name for row in rows[1:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == {kind.value for kind in CaseKind}
