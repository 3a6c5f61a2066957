"""A terminal whose wall clock is a day off, either way, at the real backend: nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from card_protocol.terminal_profile import Mode
from reader_bridge import Receipt
from reader_bridge.forward import StepKind
from reader_bridge.journal import EntryState
from sdk_mobile import Wallet
from tests.reader_bridge.hard.world import DAY_SECONDS, NOWHERE, Box, Town, card_of
from tests.simulation.books import audit

FARE = 200  # of the bus


@pytest.fixture(scope="module")
def rider(town: Town) -> Iterator[Wallet]:
    with town.phone(0, 400_000) as phone:
        phone.ride.refresh_if_needed()
        yield phone


class Off:
    """How wrong a clock is; it can be set."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def off() -> Off:
    return Off()


@pytest.fixture(params=["shop", "line"])
def box(request, town: Town, tmp_path: Path, off: Off) -> Iterator[Box]:
    with town.box(tmp_path / "box", request.param, off) as opened:
        yield opened


def code_of(receipt: Receipt) -> str | None:
    assert receipt.is_green is (receipt.refusal is None)
    return None if receipt.refusal is None else receipt.refusal.code


def upload(town: Town, box: Box) -> StepKind:
    """A round over the network, its login a fresh one; then the network is gone again."""
    town.forward(1_800)  # no token lives that long
    box.wire(town.url)
    step = box.terminal.forward()
    box.wire(NOWHERE)
    return step.kind


def test_a_day_behind_sells_nothing_and_blames_no_card(town, box, off, rider):
    plastic, before = town.plastic(1_000), rider.balance().balance_fen
    box.wire(NOWHERE)
    assert box.tap(card_of(rider), FARE).is_green
    off.seconds = -DAY_SECONDS
    wrong = "terminal_clock_wrong"
    town.forward(60)
    assert code_of(box.tap(card_of(rider), FARE)) == wrong
    assert code_of(box.tap(plastic.shown(), FARE)) == wrong
    assert code_of(box.code(rider.ride.show().content, FARE)) in {wrong, "ride_code_not_accepted"}
    assert plastic.balance_fen == 1_000
    assert upload(town, box) is StepKind.FAILED
    assert len(box.waiting()) == 1
    off.seconds = 0.0
    assert upload(town, box) is StepKind.ROUND_ENDED
    assert box.waiting() == []
    assert rider.balance().balance_fen == before - FARE


def test_a_day_behind_the_backend_may_still_say_yes(town, off, rider, tmp_path):
    """Goal: while a login lives the backend judges a card that this clock cannot judge."""
    with town.box(tmp_path / "shop", "shop", off) as shop:
        off.seconds = -DAY_SECONDS
        assert shop.tap(card_of(rider), FARE).is_paid


def test_a_day_ahead_narrows_and_loses_nothing(town, box, off, rider):
    """Goal: to a clock that is ahead everything is old; what its profile still allows is sold,
    flagged once the clock goes back, and charged."""
    plastic, before = town.plastic(1_000), rider.balance().balance_fen
    mode = box.terminal._knowledge.now.mode
    box.wire(NOWHERE)
    off.seconds = DAY_SECONDS
    late = code_of(box.tap(card_of(rider), FARE))
    assert late == ("profile_expired" if mode is Mode.SHOP else None)
    assert code_of(box.tap(plastic.shown(), FARE)) is None
    assert code_of(box.code(rider.ride.show().content, FARE)) in {
        "ride_code_expired",
        "ride_code_not_accepted",
    }
    assert upload(town, box) is StepKind.FAILED
    off.seconds = 0.0
    again = box.tap(card_of(rider), FARE)
    assert again.is_green
    entry = box.terminal.journal.last_result(again.register_reference)
    assert entry is not None
    assert entry.clock_suspect
    count = len(box.waiting())
    assert count == (2 if late else 3)
    assert upload(town, box) is StepKind.ROUND_ENDED
    linked = box.terminal.journal.links(99)
    assert [one.state for one in linked] == [EntryState.CAPTURED] * count
    assert rider.balance().balance_fen == before - FARE * (count - 1)
    assert plastic.balance_fen == 1_000 - FARE
    audit(town.parts.units)
