"""Goal: the tables in docs/protocol/e-purse.md are those of the code."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from card_protocol.epurse.files import (
    HolderData,
    JourneyRecord,
    LogRecord,
    ManagementData,
    PublicData,
)
from card_protocol.errors import MalformedBytes
from hce.applets.epurse.purse_files import BinaryFile, CyclicFile
from hce.applets.epurse.state import KeyKind
from hce.applets.epurse.step import COMMANDS, LEAVES_TRANSACTION
from tests.hce.epurse_bench import born

PAGE = (Path(__file__).parents[2] / "docs/protocol/e-purse.md").read_text("utf-8")


def rows(first_heading: str) -> list[list[str]]:
    """Cells of the table whose heading row starts so."""
    _, _, rest = PAGE.partition(f"\n| {first_heading} |")
    assert rest, f"no table {first_heading}"
    table = rest.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def said_of(name: tuple[int, int]) -> tuple[str, str]:
    entry = COMMANDS[name]
    place = "yes" if entry.keeps_transaction else "no"
    if entry.moves_money:
        place = {0x50: "begins", 0xDC: "feeds"}.get(name[1], "ends")
        assert (name in LEAVES_TRANSACTION) == (place != "ends")
    return place, "yes" if entry.when_blocked else "no"


def test_commands():
    table = {tuple(bytes.fromhex(row[0])): (row[2], row[3]) for row in rows("CLA INS")}
    assert table == {name: said_of(name) for name in COMMANDS}


def test_files():
    said = {int(row[0], 16): (row[1], int(row[2]), int(row[3])) for row in rows("SFI")}
    real = {}
    for file in born().files:
        if isinstance(file, BinaryFile):
            real[file.sfi] = ("binary", 1, len(file.body))
        else:
            kind = "cyclic" if isinstance(file, CyclicFile) else "variable"
            real[file.sfi] = (kind, len(file.records), len(file.records[0]))
    assert said == real


LAYOUTS = {
    0x15: PublicData,
    0x16: HolderData,
    0x17: ManagementData,
    0x18: LogRecord,
    0x1E: JourneyRecord,
}


def test_fields():
    said = [(int(row[0], 16), row[1], int(row[2]), int(row[3]), row[4]) for row in rows("In")]
    real = []
    for sfi, kind in LAYOUTS.items():
        for part in kind.LAYOUT.parts:
            begin = kind.LAYOUT.slice_of(part.name).start
            form = "number" if part.is_number else "bytes"
            real.append((sfi, part.name, begin, part.size, form))
    assert said == real


@pytest.mark.parametrize(
    ("kind", "field", "place"),
    [  # as the design page has them, not as the code does
        (PublicData, "serial", (10, 20)),
        (PublicData, "expiry", (24, 28)),
        (HolderData, "name", (2, 22)),
        (ManagementData, "card_type", (10, 11)),
        (LogRecord, "amount_fen", (5, 9)),
        (LogRecord, "moment", (16, 23)),
        (JourneyRecord, "amount_fen", (17, 21)),
        (JourneyRecord, "acquirer", (34, 42)),
        (JourneyRecord, "reserved", (42, 48)),
    ],
)
def test_fields_stand_where_readers_look(kind, field, place):
    found = kind.LAYOUT.slice_of(field)
    assert (found.start, found.stop) == place


@pytest.mark.parametrize("kind", LAYOUTS.values())
def test_a_value_that_does_not_fit_is_refused(kind):
    good = kind.decode(bytes(kind.LAYOUT.size))
    for part in kind.LAYOUT.parts:
        largest = (1 << 8 * part.size) - 1
        if part.is_number:
            fitting, wrong = largest, (-1, largest + 1, True, b"\x00" * part.size)
        else:
            fitting, wrong = b"\xff" * part.size, (bytes(part.size - 1), bytes(part.size + 1), 0)
        whole = replace(good, **{part.name: fitting})
        place = kind.LAYOUT.slice_of(part.name)
        assert whole.encode()[place] == b"\xff" * part.size
        assert not any(whole.encode()[: place.start] + whole.encode()[place.stop :])
        for value in wrong:
            with pytest.raises(MalformedBytes, match=part.name):
                replace(good, **{part.name: value})


def test_kinds_of_keys():
    assert {row[0]: int(row[1]) for row in rows("Kind")} == {
        kind.name: kind.value for kind in KeyKind
    }


def test_every_place_named_as_unsure_is_there():
    rooms = {
        "files": "card_protocol.epurse.files",
        "capp": "card_protocol.epurse.capp",
        "commands": "card_protocol.epurse.commands",
        "secured": "card_protocol.epurse.secured",
        "suites": "card_protocol.epurse.suites",
        "money": "hce.applets.epurse.money",
    }
    places = [re.fullmatch(r"`(.*)`", row[2]).group(1) for row in rows("What")]
    assert len(places) == 9
    for place in places:
        room, *path = place.split(".")
        thing = importlib.import_module(rooms.get(room, "card_protocol.epurse.suites"))
        for name in path if room in rooms else [room, *path]:
            thing = getattr(thing, name)
