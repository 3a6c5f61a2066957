"""Ride codes at a bus without a network: accepted, kept, uploaded, charged once; or refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reader_bridge import Outcome
from reader_bridge.codes import decode_picture_bytes
from sdk_mobile import Wallet
from tests.reader_bridge.hard.world import NOWHERE, Box, Town, running_town

FARE_FEN, RIDE_MAX_FEN = 200, 2_000


@pytest.fixture
def bus(town: Town, tmp_path: Path) -> Iterator[Box]:
    with town.box(tmp_path / "bus", "line") as box:
        box.wire(NOWHERE)
        yield box


@pytest.fixture(scope="module")
def rider(town: Town) -> Iterator[Wallet]:
    with town.phone(0, 10_000) as phone:
        phone.ride.refresh_if_needed()
        yield phone


def test_a_genuine_code_rides_offline_and_is_charged_once(town, bus, rider):
    before, paid = rider.balance().balance_fen, town.paid_fen()
    town.forward(1)
    code = rider.ride.show().content
    receipt = bus.code(code)
    assert (receipt.outcome, receipt.amount_fen) == (Outcome.ACCEPTED, FARE_FEN), receipt.refusal
    assert receipt.is_green
    (entry,) = bus.terminal.journal.to_upload(9)
    assert entry.draft.method == "ride_code"
    assert rider.balance().balance_fen == before
    bus.wire(town.url)
    for _ in range(2):
        bus.terminal.forward()
        assert bus.terminal.ask_again(receipt.register_reference).outcome is Outcome.CAPTURED
        assert rider.balance().balance_fen == before - FARE_FEN
    assert town.paid_fen() == paid + FARE_FEN


def test_the_same_reference_hears_its_result_again(town, bus, rider):
    town.forward(1)
    code = rider.ride.show().content
    first = bus.code(code, reference="R1")
    again = bus.code(code, reference="R1")
    assert again.is_repeated
    assert again.payment_id == first.payment_id
    assert len(bus.waiting()) == 1


def refusal_of(bus: Box, code: bytes) -> str:
    before = bus.waiting()
    receipt = bus.code(code)
    assert receipt.outcome is Outcome.REFUSED
    assert not receipt.is_green
    assert receipt.refusal is not None
    assert bus.waiting() == before
    return receipt.refusal.code


def test_what_is_not_a_fresh_code_is_refused(town, bus, rider):
    town.forward(1)
    code = rider.ride.show().content
    assert bus.code(code).is_green
    assert refusal_of(bus, code) == "ride_code_used"
    town.forward(1)
    late = rider.ride.show().content
    town.forward(31)
    assert refusal_of(bus, late) == "ride_code_expired"
    fresh = rider.ride.show().content
    assert refusal_of(bus, fresh[:-1] + bytes([fresh[-1] ^ 1])) == "ride_code_altered"
    assert refusal_of(bus, fresh[: len(fresh) // 2]) != "ride_code_used"
    assert bus.code(fresh).is_green


def test_a_ride_above_the_codes_own_cap_is_refused(town, rider, tmp_path):
    """Goal: the bus does not take what the backend will not pay."""
    with town.box(tmp_path / "dearer", "dearer") as dearer:
        dearer.wire(NOWHERE)
        town.forward(1)
        over = dearer.code(rider.ride.show().content)
        assert over.refusal is not None
        assert over.refusal.code == "offline_sale_too_large"
        assert "20.00" in over.text("en")
    with town.box(tmp_path / "dear", "dear") as dear:
        dear.wire(NOWHERE)
        town.forward(1)
        exact = dear.code(rider.ride.show().content)
        assert (exact.is_green, exact.amount_fen) == (True, RIDE_MAX_FEN)
        dear.wire(town.url)
        dear.terminal.forward()
        assert dear.terminal.ask_again(exact.register_reference).outcome is Outcome.CAPTURED


def test_a_used_code_stays_used_after_a_restart(town, bus, rider):
    town.forward(1)
    code = rider.ride.show().content
    assert bus.code(code).is_green
    bus.terminal.close()
    with town.opened(bus.folder) as again:
        assert refusal_of(again, code) == "ride_code_used"


def test_two_buses_within_seconds_charge_once_and_the_second_is_told(town, bus, rider, tmp_path):
    """Goal: no bus can know of the other; the backend does, and says so to the second."""
    with town.box(tmp_path / "other", "line") as other:
        other.wire(NOWHERE)
        before, paid = rider.balance().balance_fen, town.paid_fen()
        town.forward(1)
        code = rider.ride.show().content
        first = bus.code(code)
        town.forward(4)
        second = other.code(code)
        assert first.is_green
        assert second.is_green
        for box in (bus, other):
            box.wire(town.url)
            box.terminal.forward()
        assert bus.terminal.ask_again(first.register_reference).outcome is Outcome.CAPTURED
        told = other.terminal.ask_again(second.register_reference)
        assert told.outcome is Outcome.REFUSED
        assert told.refusal is not None
        assert told.refusal.code == "ride_code_used"
        assert (rider.balance().balance_fen, town.paid_fen()) == (
            before - FARE_FEN,
            paid + FARE_FEN,
        )


def test_a_picture_of_the_code_rides(town, bus, rider):
    town.forward(1)
    (payload,) = decode_picture_bytes(rider.ride.show_picture())
    receipt = bus.code(payload)
    assert receipt.is_green, receipt.refusal


def test_a_code_of_another_city_is_refused(bus, tmp_path):
    place = tmp_path / "elsewhere"
    place.mkdir()
    with running_town(place) as elsewhere, elsewhere.phone(0, 1_000) as stranger:
        elsewhere.forward(bus.clock.unix_now() - elsewhere.now())
        stranger.ride.refresh_if_needed()
        assert refusal_of(bus, stranger.ride.show().content) == "ride_code_altered"


def test_a_shop_sells_nothing_for_a_ride_code(town, rider, tmp_path):
    """Goal: a code that needs no holder's check and no network pays for rides alone."""
    with town.box(tmp_path / "shop", "shop") as shop:
        for url in (town.url, NOWHERE):
            shop.wire(url)
            town.forward(1)
            receipt = shop.code(rider.ride.show().content, 1_000)
            assert receipt.refusal is not None
            assert receipt.refusal.code == "ride_code_not_accepted"
        assert shop.waiting() == []
