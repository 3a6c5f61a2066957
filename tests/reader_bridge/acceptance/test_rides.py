"""Rides, stays and hires with the software purse and a SAM: entry to exit at real terminals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from card_protocol.mode_rules import Concession, GateRules, ModeRules, Remedy, Transfer
from card_protocol.terminal_profile import Mode
from reader_bridge import Order, OrderKind, Outcome, ReaderFault, TerminalFault
from reader_bridge.modes import RideKind
from reader_bridge.receipt_fare import KINDS
from tests.hce.epurse_bench import purse
from tests.reader_bridge.acceptance.rides_world import (
    IN,
    OUT,
    Streets,
    counted,
    journeys,
    streets_of,
    typed_purse,
)
from tests.reader_bridge.acceptance.test_joined import ROOMY
from tests.reader_bridge.acceptance.world import PurseCard, Stall
from tests.reader_bridge.conftest import TestTime
from tests.reader_bridge.modes.world import BICYCLE_FARE, BUS_FARE, HOUR, PARKING_FARE, TABLE
from tests.reader_bridge.support import PAY_CODE, CardKit

TRANSFER = ModeRules(transfer=Transfer(within_seconds=5_400, discount_fen=100))
LENIENT = ModeRules(gate=GateRules(double_entry=Remedy.MAXIMUM, missing_entry=Remedy.MAXIMUM))
UPDATE_CACHE = b"\x80\xdc"
HALF = ModeRules(concessions={2: Concession(pays_percent=50)})


@pytest.fixture
def streets(kit: CardKit, tmp_path: Path, test_time: TestTime) -> Iterator[Streets]:
    with streets_of(kit, tmp_path / "streets", test_time) as built:
        yield built


@pytest.fixture
def metro(streets: Streets) -> tuple[Stall, Stall]:
    return (
        streets.stand(Mode.GATE, TABLE, station="0101", direction=IN),
        streets.stand(Mode.GATE, TABLE, station="0203", direction=OUT),
    )


def ride(stall: Stall, card: PurseCard, **shown: str):
    return stall.tap(card.shown(**shown), None)


def test_a_metro_ride(metro, test_time):
    entry, leaving = metro
    card = PurseCard()
    came = ride(entry, card)
    assert (came.outcome, came.is_green, came.amount_fen) == (Outcome.ACCEPTED, True, 0)
    assert (came.fare.kind, came.told.zh) == ("entry", "请进,余额 50.00 元")
    test_time.forward(HOUR)
    left = ride(leaving, card)
    assert (left.amount_fen, left.balance_fen, card.balance_fen) == (500, 4_500, 4_500)
    assert (left.fare.kind, left.fare.full_fare_fen) == ("exit", 500)
    assert left.text("zh-CN").splitlines()[2:7] == [
        "脱机支付成功,待上送",
        "车费 5.00 元,余额 45.00 元",
        "金额:5.00 元",
        "类型:出站",
        "票价:5.00 元",
    ]
    assert journeys(card) == [(4, 500), (3, 0)]
    for stall, amount_fen in ((entry, 0), (leaving, 500)):
        (waiting,) = stall.terminal.journal.to_upload(9)
        body = json.loads(waiting.body)
        assert (body["mode"], body["amount_fen"]) == ("gate", amount_fen)
        assert body["proof"]["transaction_type"] == 9
        assert len(body["proof"]["records"]) == 2
        stall.terminal.forward()
        assert [one["amount_fen"] for one in stall.backend.uploaded.values()] == [amount_fen]


def test_the_same_card_again_opens_no_gate_but_a_bus(streets, metro, test_time):
    """Goal: a second tap takes nothing; a gate stays shut, a bus is green."""
    entry, _ = metro
    bus, card = streets.stand(Mode.BUS, BUS_FARE), PurseCard()
    assert ride(entry, card).is_green
    held = ride(entry, card)
    assert (held.outcome, held.is_green) == (Outcome.HELD, False)
    assert "已进站,请通行" in held.text("zh-CN")
    assert ride(bus, card).is_green
    again = ride(bus, card)
    assert (again.outcome, again.is_green, again.balance_fen) == (Outcome.PASSED, True, 4_800)
    assert "Paid already" in again.text("en")
    assert card.balance_fen == 4_800
    assert len(bus.terminal.journal.to_upload(9)) == 1
    assert len(entry.terminal.journal.to_upload(9)) == 1
    test_time.forward(6)
    assert ride(bus, card).amount_fen == 200


def test_a_transfer_from_bus_to_bus(streets, test_time):
    first = streets.stand(Mode.BUS, BUS_FARE, TRANSFER)
    other = streets.stand(Mode.BUS, BUS_FARE, TRANSFER, line=b"\0\2")
    card = PurseCard()
    assert ride(first, card).amount_fen == 200
    test_time.forward(1_800)
    cheaper = ride(other, card)
    assert (cheaper.amount_fen, cheaper.fare.transfer_fen, card.balance_fen) == (100, 100, 4_700)
    assert "换乘优惠:1.00 元" in cheaper.text("zh-CN")
    assert "Transfer: 1.00 CNY" in cheaper.text("en")
    test_time.forward(1_800)
    assert ride(first, card).amount_fen == 200  # not from a transfer


def test_a_concession_by_the_card_type(streets, test_time):
    bus = streets.stand(Mode.BUS, BUS_FARE, HALF)
    half, whole = typed_purse(2), typed_purse(1)
    receipt = ride(bus, half)
    assert (receipt.amount_fen, receipt.fare.concession_fen, half.balance_fen) == (100, 100, 4_900)
    assert "Concession: 1.00 CNY" in receipt.text("en")
    assert ride(bus, whole).amount_fen == 200
    told_again = bus.terminal.ask_again(receipt.register_reference)
    assert told_again.fare.to_document() == receipt.fare.to_document()


def test_parking_in_and_out(streets, test_time):
    come = streets.stand(Mode.PARKING, PARKING_FARE, station="00C1", direction=IN)
    go = streets.stand(Mode.PARKING, PARKING_FARE, station="00C1", direction=OUT)
    elsewhere = streets.stand(Mode.PARKING, PARKING_FARE, station="00C2", direction=OUT)
    card = PurseCard()
    assert ride(come, card).told.en == "The time begins now, balance 50.00 yuan"
    test_time.forward(HOUR)
    assert ride(elsewhere, card).refusal.code == "stay_elsewhere"
    ended = ride(go, card)
    assert (ended.fare.kind, ended.amount_fen, card.balance_fen) == ("end", 500, 4_500)
    test_time.forward(60)
    assert ride(go, card).refusal.code == "stay_not_started"


def test_a_bicycle(streets, test_time):
    taken = streets.stand(Mode.BICYCLE, BICYCLE_FARE, station="0001", direction=IN)
    back = streets.stand(Mode.BICYCLE, BICYCLE_FARE, station="0009", direction=OUT)
    card = PurseCard()
    ride(taken, card)
    test_time.forward(1_200)
    free = ride(back, card)  # within the free time: the record is closed, nothing is paid
    assert (free.outcome, free.amount_fen) == (Outcome.ACCEPTED, 0)
    ride(taken, card)
    test_time.forward(2 * HOUR)
    assert ride(back, card).amount_fen == 300
    assert card.balance_fen == 4_700


@pytest.mark.parametrize("tear", ["before", "after"])
def test_a_torn_gate_is_finished_by_the_next_presentation(metro, test_time, tear):
    """Goal: the ride is paid once and green once, also under the next reference and 20 s later."""
    entry, leaving = metro
    card = PurseCard()
    ride(entry, card)
    test_time.forward(HOUR)
    with pytest.raises(ReaderFault, match="debit_unknown"):
        ride(leaving, card, tear=tear)
    test_time.forward(20)
    finished = ride(leaving, card)
    assert (finished.outcome, finished.amount_fen) == (Outcome.ACCEPTED, 500)
    assert finished.told.en == "Fare 5.00 yuan, balance 45.00 yuan"
    assert (card.balance_fen, journeys(card)) == (4_500, [(4, 500), (3, 0)])
    assert leaving.terminal.journal.torn() == ()
    again = ride(leaving, card)
    assert not again.is_green
    assert len(leaving.terminal.journal.to_upload(9)) == 1


@pytest.mark.parametrize("at", [1, 2])
def test_a_card_that_leaves_before_its_debit_has_done_nothing(metro, at):
    """Goal: a record already in the card's cache is worth nothing without DEBIT."""
    entry, leaving = metro
    card, heard = PurseCard(), []
    honest = card.shown()

    def leaving_early(command: bytes) -> bytes:
        if command[:2] == UPDATE_CACHE:
            heard.append(command)
            if len(heard) == at:
                raise ConnectionError
        return honest(command)

    with pytest.raises(ReaderFault, match="card_removed"):
        entry.tap(leaving_early, None, "V1")
    assert len(heard) == at
    assert entry.terminal.journal.last_result("V1") is None
    assert journeys(card) == []
    assert ride(leaving, card).refusal.code == "entry_missing"
    assert entry.tap(card.shown(), None, "V1").is_green
    assert journeys(card) == [(3, 0)]


def test_a_torn_bus_ride_of_yesterday_is_not_todays(streets, test_time):
    bus, card = streets.stand(Mode.BUS, BUS_FARE), PurseCard()
    with pytest.raises(ReaderFault):
        ride(bus, card, tear="after")
    test_time.forward(1_000)
    today = ride(bus, card)
    (before,) = today.finished
    assert (before.outcome, today.amount_fen, card.balance_fen) == (Outcome.ACCEPTED, 200, 4_600)
    assert len(bus.terminal.journal.to_upload(9)) == 2


def test_rides_that_are_refused_say_why_and_take_nothing(metro):
    entry, leaving = metro
    card = PurseCard()
    refused = ride(leaving, card)
    assert (refused.outcome, refused.refusal.code) == (Outcome.REFUSED, "entry_missing")
    assert (refused.balance_fen, card.balance_fen) == (5_000, 5_000)
    assert "金额" not in refused.text("zh-CN")
    assert "没有进站记录" in refused.text("zh-CN")
    poor = PurseCard(purse(balance_fen=499))
    assert ride(entry, poor).refusal.code == "purse_balance_low"
    assert leaving.terminal.journal.to_upload(9) == entry.terminal.journal.to_upload(9) == ()


def test_a_lost_ride_and_a_new_one_are_one_receipt(streets, test_time):
    entry = streets.stand(Mode.GATE, TABLE, LENIENT, station="0101", direction=IN)
    card = PurseCard()
    ride(entry, card)
    test_time.forward(HOUR)
    lost = ride(entry, card)
    assert (lost.amount_fen, lost.fare.kind, card.balance_fen) == (500, "entry", 4_500)
    assert "上次行程未出站" in lost.text("zh-CN")
    assert journeys(card) == [(3, 0), (4, 500), (3, 0)]


def test_a_phone_in_a_bus(streets, kit, test_time):
    bus = streets.stand(Mode.BUS, BUS_FARE)
    phone = kit.card(kit.certificate(**ROOMY))
    first = bus.tap(phone.transmit, None)
    assert (first.outcome, first.fare.kind) == (Outcome.ACCEPTED, "single")
    assert first.told.en == "Paid 2.00 yuan"
    again = bus.tap(phone.transmit, None)
    assert (again.outcome, again.is_green) == (Outcome.PASSED, True)
    test_time.forward(6)
    assert bus.tap(phone.transmit, None).outcome is Outcome.ACCEPTED
    assert [one.draft.amount_fen for one in bus.terminal.journal.to_upload(9)] == [200, 200]


def test_a_false_phone_is_not_let_through_on_anothers_ride(streets, kit, test_time):
    bus = streets.stand(Mode.BUS, BUS_FARE)
    assert bus.tap(kit.card(kit.certificate(**ROOMY)).transmit, None).is_green
    forger = CardKit()
    forger.issuer = kit.issuer  # the genuine certificate, read off the card, without its key
    copied = kit.certificate(**ROOMY)
    false = forger.card(copied)
    refused = bus.tap(false.transmit, None)
    assert not refused.is_green
    assert refused.refusal.code == "signature_invalid"


def test_phones_are_refused_where_both_ends_matter(streets, metro, kit):
    entry, _ = metro
    dock = streets.stand(Mode.BICYCLE, BICYCLE_FARE, direction=IN)
    for stall in (entry, dock):
        refused = stall.tap(kit.card(kit.certificate(**ROOMY)).transmit, None)
        assert refused.refusal.code == "mobile_card_not_taken"
        assert "请用实体卡" in refused.text("zh-CN")
        assert stall.backend.requests == []
    flat = streets.stand(Mode.GATE, BUS_FARE, direction=IN)
    assert flat.tap(kit.card(kit.certificate(**ROOMY)).transmit, None).is_green


def test_a_phone_at_a_car_park(streets, kit, test_time):
    """Goal: online with a known start, never offline, and never for nothing known."""
    go = streets.stand(Mode.PARKING, PARKING_FARE, station="00C1", direction=OUT)
    phone = kit.card(kit.certificate(**ROOMY))
    assert go.tap(phone.transmit, None).refusal.code == "stay_start_unknown"
    began = int(test_time.unix_seconds) - HOUR

    def leave(reference: str, started_at: int = began):
        order = Order(OrderKind.SALE, reference, None, stay_started_at=started_at)
        channel = go.channel(phone.transmit)
        return go.terminal.tap(order, channel, "barrier")

    paid = leave("P1")
    assert (paid.outcome, paid.amount_fen, paid.fare.kind) == (Outcome.CAPTURED, 500, "end")
    free = leave("P2", int(test_time.unix_seconds) - 60)
    assert (free.outcome, free.is_green, free.amount_fen) == (Outcome.PASSED, True, 0)
    go.go_away()
    for reference in ("P3", "P4"):  # the first finds out, the second knows
        assert leave(reference).refusal.code == "mobile_card_online_only"
    assert go.terminal.journal.to_upload(9) == ()
    assert go.backend.charges() == [500]


def test_amounts_are_the_register_s_or_the_fare_s(streets, metro, stall):
    entry, _ = metro
    bus = streets.stand(Mode.BUS, BUS_FARE)
    for own in (entry, bus):
        with pytest.raises(TerminalFault, match="amount_not_asked"):
            own.tap(PurseCard().shown(), 200)
    with pytest.raises(TerminalFault, match="amount_missing"):
        stall.tap(PurseCard().shown(), None)
    code = stall.terminal.code(Order(OrderKind.SALE, "C1", None), PAY_CODE.encode())
    assert code.refusal.code == "amount_missing"
    for own in (entry, bus):
        refused = own.terminal.code(Order(OrderKind.SALE, "C1", None), PAY_CODE.encode())
        assert refused.refusal.code == "pay_code_not_accepted"


def test_a_clinic_is_a_shop(streets, kit):
    clinic = streets.stand(Mode.CLINIC, None)
    card = PurseCard()
    receipt = clinic.tap(card.shown(), 1_250)
    assert (receipt.outcome, receipt.fare, card.balance_fen) == (Outcome.ACCEPTED, None, 3_750)
    assert clinic.tap(kit.card().transmit, 300).outcome is Outcome.CAPTURED
    assert clinic.terminal.code(Order(OrderKind.SALE, "C", 100), PAY_CODE.encode()).is_paid


def test_a_loading_post_sells_nothing(streets):
    post = streets.stand(Mode.LOADING, None)
    card = PurseCard()
    for amount_fen in (None, 100):
        assert post.tap(card.shown(), amount_fen).refusal.code == "no_payment_here"
    code = post.terminal.code(Order(OrderKind.SALE, "C", 100), PAY_CODE.encode())
    assert code.refusal.code == "no_payment_here"
    assert card.balance_fen == 5_000


@pytest.mark.parametrize(
    ("mode", "fare", "place"),
    [
        (Mode.GATE, TABLE, {"station": "0999", "direction": IN}),
        (Mode.GATE, TABLE, {"station": "0101"}),
        (Mode.PARKING, PARKING_FARE, {}),
        (Mode.BUS, BUS_FARE, {"direction": OUT}),
    ],
)
def test_a_place_that_does_not_fit_refuses_sales_and_nothing_else(streets, kit, mode, fare, place):
    stall, card = streets.stand(mode, fare, **place), PurseCard()
    for transmit in (card.shown(), kit.card(kit.certificate(**ROOMY)).transmit):
        refused = stall.tap(transmit, None)
        assert (refused.outcome, refused.refusal.code) == (Outcome.REFUSED, "place_unfit")
    code = stall.terminal.code(Order(OrderKind.SALE, "C"), PAY_CODE.encode())
    assert code.refusal.code == "place_unfit"
    assert stall.balance(card.shown()).balance_fen == card.balance_fen == 5_000


READ_RECORD = b"\x00\xb2"


@pytest.mark.parametrize(
    ("mode", "fare", "place", "rules", "reads"),
    [
        (Mode.SHOP, None, {}, ModeRules(), 0),
        (Mode.BUS, BUS_FARE, {}, ModeRules(again_seconds=0), 0),
        (Mode.BUS, BUS_FARE, {}, TRANSFER, 1),
        (Mode.GATE, TABLE, {"station": "0101", "direction": IN}, ModeRules(), 1),
        (Mode.PARKING, PARKING_FARE, {"direction": IN}, ModeRules(), 1),
    ],
)
def test_a_tap_reads_no_more_than_its_mode_asks(  # noqa: PLR0917 - one row of a table
    streets, mode, fare, place, rules, reads
):
    stall, card = streets.stand(mode, fare, rules, **place), PurseCard()
    bus = streets.stand(Mode.BUS, BUS_FARE)
    ride(bus, card)  # a card with a journey on it
    heard, transmit = counted(card.shown())
    assert stall.tap(transmit, 100 if mode is Mode.SHOP else None).is_green
    assert len([one for one in heard if one.startswith(READ_RECORD)]) == reads


def test_a_restart_forgets_neither_ride_nor_words(streets, metro, test_time):
    """Goal: a torn entry of a box that lost power is finished with its own words."""
    entry, _ = metro
    card = PurseCard()
    with pytest.raises(ReaderFault):
        ride(entry, card, tear="after")
    (torn,) = entry.terminal.journal.torn()
    assert json.loads(torn.body)["fare"]["kind"] == "entry"
    finished = ride(entry, card)
    assert (finished.outcome, finished.told.zh) == (Outcome.ACCEPTED, "请进,余额 50.00 元")
    balance = entry.balance(card.shown())
    assert balance.finished == ()


def test_every_kind_of_ride_has_its_word():
    assert KINDS.keys() == {kind.value for kind in RideKind}
