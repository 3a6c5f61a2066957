"""Goal: what docs/protocol/e-purse.md says our terminals write is what they write."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from pathlib import Path

import pytest

from card_protocol.epurse.capp import CappHead, RailRecord
from card_protocol.epurse.files import JourneyRecord
from card_protocol.terminal_profile import Mode
from reader_bridge.modes import Direction, GateRules, Remedy, Ride, records
from reader_bridge.modes.records import StayRecord
from tests.reader_bridge.modes.world import (
    BUS_FARE,
    HOUR,
    NOON,
    PARKING_FARE,
    Purse,
    book,
    entry_gate,
    exit_gate,
    place,
)

PAGE = (Path(__file__).parents[3] / "docs/protocol/e-purse.md").read_text("utf-8")
LENIENT = GateRules(missing_entry=Remedy.MAXIMUM, double_entry=Remedy.MAXIMUM)


def rows(heading: str) -> list[list[str]]:
    """Cells of the table with this heading row."""
    _, _, rest = PAGE.partition(f"\n| {heading} |")
    assert rest, f"no table {heading}"
    table = rest.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_fields_of_the_rail_record():
    real, at = [], 3
    for field, size in zip(fields(RailRecord), RailRecord.SIZES, strict=True):
        if not field.name.endswith("reserved"):
            real.append((at, size, field.name))
        at += size
    real.append((at, 4, "checksum"))
    said = rows("Offset | Bytes | Rail field | Entry | Exit")
    assert [(int(row[0]), int(row[1]), row[2]) for row in said] == real


def test_what_the_page_leaves_empty_is_zero_or_as_it_was():
    purse = Purse()
    purse.ride(entry_gate("0102"), NOON)
    came = RailRecord.decode(purse.rail)
    purse.ride(exit_gate("0203"), NOON + HOUR)
    left = RailRecord.decode(purse.rail)
    for row in rows("Offset | Bytes | Rail field | Entry | Exit")[:-1]:
        name, at_entry, at_exit = row[2:]
        if not at_entry:
            assert not any(getattr(came, name)), name
        if not at_exit or at_exit == "as it was":
            assert getattr(left, name) == getattr(came, name), name


def test_fields_of_a_stay():
    said = rows("Offset | Bytes | Stay field | Content")
    real = [
        (StayRecord.LAYOUT.slice_of(part.name).start + 4, part.size, part.name)
        for part in StayRecord.LAYOUT.parts
    ]
    assert [(int(row[0]), int(row[1]), row[2]) for row in said] == real


def barrier(direction: Direction):
    return book(Mode.PARKING, PARKING_FARE, place(60, direction=direction))


def taps() -> dict[str, Ride]:
    """Each line of the page's first table, done."""
    bus = book(Mode.BUS, BUS_FARE, place())
    flat_gate = book(Mode.GATE, BUS_FARE, place(direction=Direction.IN))
    assert Purse().ride(flat_gate, NOON).records[0].body[0] == 0x02
    purse, lost, outside, parked = Purse(), Purse(), Purse(), Purse()
    lost.ride(entry_gate("0101"), NOON)
    return {
        "bus, gate with a flat fare": Purse().ride(bus, NOON),
        "entry": purse.ride(entry_gate("0101"), NOON),
        "entry, the ride before has no exit": lost.ride(
            entry_gate("0102", gate=LENIENT), NOON + HOUR
        ),
        "exit": purse.ride(exit_gate("0102"), NOON + HOUR),
        "exit without entry": outside.ride(exit_gate("0102", gate=LENIENT), NOON),
        "start of a parking or hire": parked.ride(barrier(Direction.IN), NOON),
        "its end": parked.ride(barrier(Direction.OUT), NOON + HOUR),
    }


def written(ride: Ride) -> tuple[str, str, str]:
    kinds, rail, stay = [], "", ""
    for record in ride.records:
        if record.sfi == 0x1E:
            kinds.append(f"{JourneyRecord.decode(record.body).kind:02X}")
            continue
        record_id = f"{CappHead.decode(record.body).record_id:X}"
        if record.sfi == 0x1A:
            is_inside = RailRecord.decode(record.body).place == b"\x55"
            rail = f"{record_id}, {'inside' if is_inside else 'outside'}"
        else:
            stay = f"{record_id}, {'open' if record.body[5] else 'ended'}"
    return ", ".join(kinds), rail, stay


@pytest.mark.parametrize("name", taps())
def test_records_of_each_tap(name):
    said = {row[0]: tuple(row[1:]) for row in rows("Tap | 1E, in order | 1A | 19")}
    assert said.keys() == taps().keys() | {"shop, clinic: a plain purchase"}
    assert written(taps()[name]) == said[name]


def test_a_purchase_writes_none():
    bought = book(Mode.CLINIC, None, place()).decide(Purse().tap(), NOON, 100)
    assert isinstance(bought, Ride)
    assert bought.records == ()


def test_every_place_named_as_unsure_is_there():
    names = [name for row in rows("UNSURE | Chosen | Place") for name in row[2].split(", ")]
    assert len(names) == 6
    for name in names:
        assert attrgetter(name.strip("`"))(records) is not None
