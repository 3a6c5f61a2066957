"""A terminal forgets what was settled long ago, by the backend's time and not by its own."""

from __future__ import annotations

import pytest

from reader_bridge import TerminalFault
from tests.reader_bridge.acceptance.test_joined import ROOMY
from tests.reader_bridge.acceptance.world import PurseCard, Stall
from tests.reader_bridge.hard.world import DAY_SECONDS


def pass_days(stall: Stall, days: int, *, issuer_days: int | None = None) -> None:
    """Then the terminal refreshes what it knows; it was off meanwhile."""
    stall.time.forward(days * DAY_SECONDS)
    issuer = stall.backend.issuer
    issuer.now += (days if issuer_days is None else issuer_days) * DAY_SECONDS
    issuer.issued_at = issuer.now
    stall.terminal.forward()


def test_what_was_settled_long_ago_goes_and_what_waits_stays(stall, kit):
    phone = kit.card(kit.certificate(**ROOMY))
    assert stall.tap(phone.transmit, 100, "R1").is_paid
    pass_days(stall, 0)
    assert stall.tap(PurseCard().shown(), 100, "R2").is_green
    pass_days(stall, 31)
    pass_days(stall, 30)
    assert stall.terminal.ask_again("R1").is_paid
    pass_days(stall, 30)
    with pytest.raises(TerminalFault, match="sale_unknown"):
        stall.terminal.ask_again("R1")
    assert stall.terminal.ask_again("R2").is_paid  # nobody vouched for its age until a month later
    assert stall.terminal.journal.last_result("R2").terminal_counter == 2


def test_a_clock_years_ahead_forgets_nothing(stall, kit):
    phone = kit.card(kit.certificate(**ROOMY))
    assert stall.tap(phone.transmit, 100, "R1").is_paid
    pass_days(stall, 0)
    for _ in range(4):
        pass_days(stall, 365, issuer_days=1)
    assert stall.terminal.ask_again("R1").is_paid
