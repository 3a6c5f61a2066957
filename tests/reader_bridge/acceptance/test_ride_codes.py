"""Ride codes at joined terminals: a bus and a flat gate take one once, others say why not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from card_protocol.ride_code import AccountType
from card_protocol.terminal_profile import Mode, RideAuthorities
from reader_bridge import Order, OrderKind, Outcome, Receipt
from tests.card_protocol.code_world import ISSUER_ID, Rides
from tests.reader_bridge.acceptance.rides_world import IN, Streets, streets_of
from tests.reader_bridge.acceptance.world import Stall
from tests.reader_bridge.conftest import TestTime
from tests.reader_bridge.modes.world import BUS_FARE, PARKING_FARE, TABLE
from tests.reader_bridge.support import CardKit


@pytest.fixture
def streets(kit: CardKit, tmp_path: Path, test_time: TestTime) -> Iterator[Streets]:
    with streets_of(kit, tmp_path / "streets", test_time) as built:
        yield built


@pytest.fixture
def rides() -> Rides:
    return Rides()


def scan(stall: Stall, rides: Rides, at: float, reference: str) -> Receipt:
    stall.backend.rides = RideAuthorities(
        suite=rides.suite,
        ca_keys={1: rides.ca.point},
        issuers=frozenset({ISSUER_ID}),
        account_types=frozenset({int(AccountType.ORDINARY)}),
        validity_seconds_max=30,
    )
    stall.backend.issuer.version += 1
    stall.terminal.refresh()
    return stall.terminal.code(Order(OrderKind.SALE, reference), rides.code(int(at)))


@pytest.mark.parametrize("mode", [Mode.BUS, Mode.GATE])
def test_one_price_is_paid_by_code_once(streets, rides, test_time, mode):
    """Goal: one code one ride, and a fresh code of the same phone at once is the same ride."""
    stall, now = streets.stand(mode, BUS_FARE, direction=IN), test_time.unix_seconds
    receipt = scan(stall, rides, now, "V1")
    assert (receipt.outcome, receipt.amount_fen) == (Outcome.ACCEPTED, 200), receipt.refusal
    assert (receipt.fare.kind, receipt.told.en) == ("single", "Paid 2.00 yuan")
    assert scan(stall, rides, now, "V2").refusal.code == "ride_code_used"
    test_time.forward(2)
    assert scan(stall, rides, now + 2, "V3").outcome is Outcome.PASSED
    test_time.forward(5)
    assert scan(stall, rides, now + 7, "V4").outcome is Outcome.ACCEPTED
    assert [one.draft.reference for one in stall.terminal.journal.to_upload(9)] == ["V1", "V4"]


@pytest.mark.parametrize(
    ("mode", "fare", "place", "code"),
    [
        (Mode.GATE, TABLE, {"station": "0101", "direction": IN}, "ride_code_needs_flat_fare"),
        (Mode.PARKING, PARKING_FARE, {"direction": IN}, "ride_code_not_accepted"),
    ],
)
def test_a_code_is_no_entry_and_no_start(  # noqa: PLR0917 - one row of a table
    streets, rides, test_time, mode, fare, place, code
):
    stall = streets.stand(mode, fare, **place)
    refused = scan(stall, rides, test_time.unix_seconds, "V1")
    assert refused.refusal.code == code
    assert stall.terminal.journal.to_upload(9) == ()
