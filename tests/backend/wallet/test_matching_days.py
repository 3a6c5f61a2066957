"""The day's match over the sandbox bank's faults: every difference is a case of a named kind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from backend.db import AnsweredBefore, Rows
from backend.kernel import new_id
from backend.wallet.bank import ChargeOutcome, ChargeState, StatementFault
from backend.wallet.cases import CaseKind, CaseUnknown, ExplainCase
from backend.wallet.ledger import Leg, Transfer
from backend.wallet.matching import DayMatch, DayState
from backend.wallet.matching import model as matching_model
from backend.wallet.matching.model import CasesOpen, DayNotMatched, StatementStrange
from backend.wallet.topups.tables import topup
from tests.backend.wallet.topup_world import Channels, join_channels
from tests.simulation.books import dump
from tests.simulation.money_world import BANK_CARD, World, operation

FEN, DECLINES = 20_000, 102


@pytest.fixture
def channels(world: World) -> Channels:
    return join_channels(world)


def topped_up(channels: Channels, fen: int = FEN) -> str:
    """A citizen's top-up, paid by the bank and credited; its id."""
    citizen, topup_id = channels.world.citizen(), new_id("top")
    channels.world.request_topup(citizen, fen, topup_id)
    channels.work()
    return topup_id


def match(channels: Channels, days_ago: int = 0, key: str | None = None) -> DayMatch:
    day = channels.today - timedelta(days=days_ago)
    return channels.matching.match(day, operation(key))


def explain(channels: Channels, subject: str, kind: str, days_ago: int = 0) -> None:
    day = channels.today - timedelta(days=days_ago)
    wanted = ExplainCase(day, subject, CaseKind(kind), "2026-0147", "bank wrote", "li")
    channels.matching.explain(wanted, operation())


def in_custody(channels: Channels) -> int:
    return channels.world.proof.prove().custody_fen


def of(found: DayMatch, channel: str) -> tuple[int, int, int, int, int]:
    (one,) = [total for total in found.totals if total.channel == channel]
    return one.bank_fen, one.topups_fen, one.posted_fen, one.rest_fen, one.matched_fen


# --- a day on which all agree ---------------------------------------------------------------------


def test_a_day_on_which_all_sides_agree_is_closed(channels: Channels) -> None:
    for fen in (FEN, 300):
        topped_up(channels, fen)
    topped_up(channels, DECLINES)
    found = match(channels)
    assert (found.matched, found.amount_fen, found.unmatched) == (2, FEN + 300, [])
    assert (found.cases_open, found.state) == (0, DayState.OPEN)
    assert of(found, "bank") == (FEN + 300,) * 3 + (0, FEN + 300)
    assert in_custody(channels) == FEN + 300
    closed = channels.matching.close(channels.today, "li", operation())
    assert (closed.state, closed.closed_by) == (DayState.CLOSED, "li")
    assert channels.matching.get(channels.today) == closed
    assert channels.world.proof.prove().custody_equals_owed


def test_it_is_safe_to_repeat(channels: Channels) -> None:
    topup_id = topped_up(channels)
    channels.world.bank.spoil(topped_up(channels, 300), StatementFault.LOST)
    match(channels, key="m")
    before = dump(channels.world.units)
    with pytest.raises(AnsweredBefore):
        match(channels, key="m")
    again = match(channels)
    assert (again.matched, again.cases_open) == (0, 1)
    assert dump(channels.world.units) == before
    assert topup_id not in again.unmatched


def test_a_crash_between_booking_and_result_is_repaired_by_the_repeat(
    channels: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    topped_up(channels)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("backend.wallet.matching.records.save", killed)
        with pytest.raises(KeyboardInterrupt):
            match(channels)
    assert in_custody(channels) == FEN
    found = match(channels)
    assert (found.cases_open, found.unmatched, of(found, "bank")[4]) == (0, [], FEN)
    assert in_custody(channels) == FEN


# --- every fault ----------------------------------------------------------------------------------


def lose(channels: Channels, topup_id: str) -> str:
    channels.world.bank.spoil(topup_id, StatementFault.LOST)
    return topup_id


def double(channels: Channels, topup_id: str) -> str:
    channels.world.bank.spoil(topup_id, StatementFault.DOUBLED)
    return topup_id


def change_amount(channels: Channels, topup_id: str) -> str:
    channels.world.bank.spoil(topup_id, StatementFault.AMOUNT, -1)
    return topup_id


def book_unknown(channels: Channels, _topup_id: str) -> str:
    stranger = new_id("top")
    channels.world.bank.deposit(stranger, 500)
    return stranger


def book_rubbish(channels: Channels, _topup_id: str) -> str:
    channels.world.bank.deposit("转账\x00\n备注", 500)
    return "转账??备注"


def pay_what_failed(channels: Channels, _topup_id: str) -> str:
    failed = topped_up(channels, DECLINES)
    channels.world.bank.pay_after_all(failed)
    return failed


def pay_while_we_wait(channels: Channels, _topup_id: str) -> str:
    waiting = new_id("top")
    channels.world.bank.misreport(waiting, 1)
    channels.world.request_topup(channels.world.citizen(), 700, waiting)
    channels.work()
    return waiting


def credit_without_posting(channels: Channels, topup_id: str) -> str:
    """A top-up whose row says that it succeeded, and no posting: a bug, or a hand in the rows."""
    unposted = new_id("top")
    channels.world.request_topup(channels.world.citizen(), 900, unposted)

    def decide(rows: Rows) -> None:
        rows.find(topup, unposted)
        said = {"state": "succeeded", "settled_at": rows.now, "booked_on": channels.today}
        rows.change(topup, (unposted,), **said)

    channels.decide(lambda _: False, decide)
    channels.worker.deliver_due()
    channels.world.bank.charge(unposted, BANK_CARD, 900)
    return unposted


def post_by_hand(channels: Channels, made: Transfer) -> None:
    def decide(rows: Rows) -> None:
        channels.world.ledger.post(rows, made)

    channels.decide(lambda _: False, decide)


def post_twice(channels: Channels, topup_id: str) -> str:
    citizen = channels.world.citizen()
    again = Leg("channel:bank", citizen.wallet_id, FEN)
    post_by_hand(channels, Transfer(f"{topup_id}/again", "top_up", (again,)))
    return topup_id


def post_a_strangers(channels: Channels, _topup_id: str) -> str:
    stranger = new_id("top")
    leg = Leg("channel:bank", channels.world.citizen().wallet_id, 40)
    post_by_hand(channels, Transfer(stranger, "top_up", (leg,)))
    return stranger


FAULTS: list[tuple[Callable[[Channels, str], str], str, bool]] = [
    (lose, "in_ours_not_bank", False),
    (double, "booked_twice", False),
    (change_amount, "amount_differs", False),
    (book_unknown, "in_bank_not_ours", True),
    (book_rubbish, "in_bank_not_ours", True),
    (pay_what_failed, "bank_paid_ours_failed", True),
    (credit_without_posting, "not_posted", True),
    (post_twice, "posted_twice", False),
    (post_a_strangers, "posted_not_ours", True),
]


@pytest.mark.parametrize(("spoil", "kind", "is_other"), FAULTS)
def test_a_difference_is_a_case_and_is_not_booked(
    channels: Channels, spoil: Callable[[Channels, str], str], kind: str, is_other: bool
) -> None:
    good, spoilt = topped_up(channels, 300), topped_up(channels)
    subject = spoil(channels, spoilt)
    found = match(channels)
    assert channels.cases() == [(subject, kind, "open")]
    assert found.cases_open == 1
    assert in_custody(channels) == 300 + (FEN if is_other else 0)
    assert good not in found.unmatched
    with pytest.raises(CasesOpen):
        channels.matching.close(channels.today, "li", operation())
    explain(channels, subject, kind)
    assert channels.matching.close(channels.today, "li", operation()).state is DayState.CLOSED
    assert match(channels).state is DayState.CLOSED  # an explained case does not open it again
    assert in_custody(channels) == 300 + (FEN if is_other else 0)


def test_paid_while_we_still_wait(channels: Channels) -> None:
    subject = pay_while_we_wait(channels, "")
    match(channels)
    assert channels.cases() == [
        (subject, "bank_paid_ours_open", "open"),
        (subject, "told_amount_differs", "open"),
    ]
    paid = ChargeOutcome(ChargeState.PAID, amount_fen=700, card_end=BANK_CARD[-4:])
    channels.world.topups.settle(subject, paid)  # the bank's corrected word
    match(channels)
    assert channels.cases() == [  # no match makes a word of the bank's go
        (subject, "bank_paid_ours_open", "gone"),
        (subject, "told_amount_differs", "open"),
    ]
    assert in_custody(channels) == 700


def test_a_corrected_statement_makes_the_case_go(channels: Channels) -> None:
    topup_id = topped_up(channels)
    channels.world.bank.spoil(topup_id, StatementFault.AMOUNT, 1)
    match(channels)
    channels.world.bank.repair(topup_id)
    found = match(channels)
    assert (found.matched, found.cases_open) == (1, 0)
    assert channels.cases() == [(topup_id, "amount_differs", "gone")]


def test_a_closed_day_opens_again_when_something_new_differs(channels: Channels) -> None:
    topup_id = topped_up(channels)
    match(channels)
    channels.matching.close(channels.today, "li", operation())
    channels.world.bank.spoil(topup_id, StatementFault.LOST)
    found = match(channels)
    assert (found.state, found.closed_by, found.cases_open) == (DayState.OPEN, None, 1)
    assert channels.cases() == [(topup_id, "in_ours_not_bank", "open")]


def test_figures_that_change_open_an_explained_case_again(channels: Channels) -> None:
    topup_id = topped_up(channels)
    channels.world.bank.spoil(topup_id, StatementFault.AMOUNT, 1)
    match(channels)
    explain(channels, topup_id, "amount_differs")
    channels.world.bank.spoil(topup_id, StatementFault.AMOUNT, 2)
    assert match(channels).cases_open == 1


def test_a_top_up_booked_late_is_missing_then_differs_then_agrees(channels: Channels) -> None:
    topup_id = topped_up(channels)
    channels.world.bank.spoil(topup_id, StatementFault.DATE, 1)
    match(channels)
    assert channels.cases() == [(topup_id, "in_ours_not_bank", "open")]
    channels.world.clock.advance(timedelta(days=1))
    match(channels)
    assert (topup_id, "date_differs", "open") in channels.cases()
    assert in_custody(channels) == 0
    explain(channels, topup_id, "date_differs")
    for _ in range(2):
        match(channels)
        match(channels, days_ago=1)
        assert in_custody(channels) == FEN
        assert {state for _, _, state in channels.cases()} == {"gone"}


def test_a_top_up_booked_again_on_another_day_is_booked_twice(channels: Channels) -> None:
    topup_id = topped_up(channels)
    match(channels)
    channels.world.clock.advance(timedelta(days=1))
    channels.world.bank.deposit(topup_id, FEN)
    match(channels)
    assert channels.cases() == [(topup_id, "booked_twice", "open")]
    assert in_custody(channels) == FEN


def test_midnight_between_bank_and_us_is_no_difference(channels: Channels) -> None:
    """Goal: the bank's word says for which day it books; our own day is not compared."""
    topup_id = new_id("top")
    channels.world.clock.advance(timedelta(hours=13, minutes=59, seconds=59))  # 23:59:59
    channels.world.request_topup(channels.world.citizen(), 105, topup_id)  # unreachable at first
    channels.worker.deliver_due()
    for _ in range(3):
        channels.world.clock.advance(timedelta(seconds=5))
        channels.worker.deliver_due()
    found = match(channels, days_ago=1)
    assert (found.matched, found.unmatched, found.cases_open) == (1, [], 0)
    assert match(channels).cases_open == 0


def test_a_statement_of_another_account_is_refused_whole(
    channels: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.wallet.matching.service.CASES_MAX", 3)
    assert matching_model.CASES_MAX > 3
    for _ in range(4):
        channels.world.bank.deposit(new_id("top"), 100)
    topped_up(channels)
    before = dump(channels.world.units)
    with pytest.raises(StatementStrange):
        match(channels)
    assert dump(channels.world.units, but=("answer",)) == before


# --- questions and commands -----------------------------------------------------------------------


def test_what_was_never_matched(channels: Channels) -> None:
    with pytest.raises(DayNotMatched):
        channels.matching.get(channels.today)
    with pytest.raises(DayNotMatched):
        channels.matching.close(channels.today, "li", operation())
    with pytest.raises(CaseUnknown):
        explain(channels, new_id("top"), "amount_differs")


def test_cases_are_listed_in_pages(channels: Channels) -> None:
    subjects = sorted(new_id("top") for _ in range(5))
    for subject in subjects:
        channels.world.bank.deposit(subject, 100)
    match(channels)
    seen: list[str] = []
    after = None
    while True:
        page, after = channels.matching.cases(channels.today, limit=2, after=after)
        seen += [one.subject for one in page]
        if after is None:
            break
    assert seen == subjects
    assert of(channels.matching.get(channels.today), "unknown")[0] == 500
