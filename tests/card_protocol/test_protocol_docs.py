"""Goal: the tables and example bytes in docs/protocol are those of the code."""

from __future__ import annotations

import re
from itertools import accumulate
from pathlib import Path

import protocol_examples as examples
import pytest

from card_protocol import emvco, tlv
from card_protocol.fares import FlatFare, MatrixFare, TimedFare
from card_protocol.fci import parse_pdol
from card_protocol.key_batch import SEALED_BYTES, KeyBatch
from card_protocol.mobile_card import PDOL
from card_protocol.mode_rules import GateRules, ModeRules
from card_protocol.place import TerminalPlace
from card_protocol.status import MEANINGS, StatusWord
from card_protocol.terminal_profile import Mode, OfflineLimits, ProfileTerms, WhenExpired

DOCS = Path(__file__).parents[2] / "docs/protocol"
CARD = (DOCS / "mobile-card.md").read_text("utf-8")
CODES = (DOCS / "codes.md").read_text("utf-8")
BLOCK = re.compile(r"^```(hex|text) (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROFILE = (DOCS / "terminal-profile.md").read_text("utf-8")
BLOCKS = BLOCK.findall(CARD + CODES + PROFILE)
WIRES = {example.title: example.body for example in examples.EXAMPLES} | {
    type(command).__name__: bytes.fromhex(wire) for command, wire in examples.COMMAND_EXAMPLES
}


def rows(text: str, first_heading: str) -> list[list[str]]:
    """Cells of the table whose heading row starts so."""
    _, _, rest = text.partition(f"\n| {first_heading} |")
    assert rest, f"no table {first_heading}"
    table = rest.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def is_length(cell: str, length: int) -> bool:
    if ".." in cell:
        lowest, highest = cell.split("..")
        return int(lowest) <= length <= int(highest)
    return length <= int(cell.removeprefix("≤ ")) if "≤" in cell else length == int(cell)


@pytest.mark.parametrize(("kind", "name", "text"), BLOCKS, ids=lambda part: part[:20])
def test_example_bytes(kind, name, text):
    joined = "".join(text.splitlines()) if kind == "text" else bytes.fromhex(text)
    assert joined == WIRES[name]


def test_every_shape_on_the_air_has_an_example():
    internal = {"CommandApdu", "ResponseApdu", "Tlv", "DirectoryEntry", "DataObject"}
    assert [name for _, name, _ in BLOCKS if name in internal] == []
    assert sorted(name for _, name, _ in BLOCKS) == sorted(WIRES.keys() - internal)


def test_pdol_table():
    table = [(int(row[0], 16), int(row[1])) for row in rows(CARD, "PDOL tag")]
    assert tuple(table) == parse_pdol(PDOL)


@pytest.mark.parametrize(
    ("heading", "value", "path"),
    [
        ("Tag in 77", examples.GPO, (0x77,)),
        ("Tag in 70", examples.CERTIFICATE, (0x70,)),
        ("Tag in 61", examples.DIRECTORY.entries[0], (0x61,)),
    ],
    ids=str,
)
def test_template_tables(heading, value, path):
    objects = tlv.parse(tlv.get(value.encode(), path))
    table = rows(CARD, heading)
    assert [int(row[0], 16) for row in table] == [item.tag for item in objects]
    for row, item in zip(table, objects, strict=True):
        assert is_length(row[1], len(item.value)), row


def test_issuer_application_data_table():
    offsets = [(int(row[0]), int(row[1])) for row in rows(CARD, "Offset")]
    assert offsets == [(0, 1), (1, 1), (2, 4), (6, 1)]
    assert sum(length for _, length in offsets) == len(examples.IAD.encode())


def test_pay_code_table():
    offsets = [(int(row[0]), int(row[1])) for row in rows(CODES, "Offset")]
    parts = [WIRES["PayCode"][at : at + length] for at, length in offsets]
    assert parts == ["96", "12345678", "46119246", "0"]


def test_merchant_code_tables():
    objects = emvco.parse_tlv(examples.MERCHANT_CODE.encode())
    lengths = {row[0]: row[1] for row in rows(CODES, "Id")}
    assert sorted(lengths) == sorted(item.id for item in objects)
    assert all(is_length(lengths[item.id], len(item.value)) for item in objects)
    account = emvco.parse_template(next(item.value for item in objects if item.id == "26"))
    lengths = {row[0]: row[1] for row in rows(CODES, "Id in 26")}
    assert list(lengths) == [item.id for item in account]
    assert all(is_length(lengths[item.id], len(item.value)) for item in account)


def test_sizes_said_of_the_sealed_batch():
    assert f"{SEALED_BYTES} bytes" in CARD
    assert f"{len(KeyBatch(bytes(16), bytes(32)).encode())} bytes" in CARD


def test_status_table():
    for sw, en, zh_cn in rows(CARD, "SW"):
        meaning = MEANINGS[StatusWord(int(sw, 16))]
        assert (meaning.en, meaning.zh_cn) == (en, zh_cn)


def test_refusal_codes_said_are_those_raised():
    said = set(re.findall(r"`(\w+_(?:malformed|foreign|unopened))`", CARD + CODES + PROFILE))
    source = "".join(
        path.read_text("utf-8") for path in (DOCS.parents[1] / "card_protocol").glob("*.py")
    )
    assert len(said) >= 10
    assert {code for code in said if f'= "{code}"' not in source} == set()


FARES = {
    kind: list(fare.__dataclass_fields__)
    for kind, fare in {"flat": FlatFare, "matrix": MatrixFare, "timed": TimedFare}.items()
}


def test_profile_tables():
    kinds = {
        "Member": ProfileTerms,
        "Member of `offline`": OfflineLimits,
        "Member of `when_expired`": WhenExpired,
        "Member of `rules`": ModeRules,
        "Member of `rules.gate`": GateRules,
        "Member of `place`": TerminalPlace,
    }
    for heading, kind in kinds.items():
        assert [row[0].strip("`") for row in rows(PROFILE, heading)] == list(
            kind.__dataclass_fields__
        )
    modes = re.findall(r"`(\w+)`", rows(PROFILE, "Member")[0][1])
    assert modes == [mode.value for mode in Mode]
    for kind, members, _ in rows(PROFILE, "`fare.kind`"):
        assert FARES[kind.strip("`")] == re.findall(r"`(\w+)`", members)


def test_deny_part_table():
    whole = examples.DENY_PART.encode()
    offsets = [(int(row[0]), int(row[1])) for row in rows(PROFILE, "Part offset")[:-2]]
    assert [at for at, _ in offsets] == list(accumulate((n for _, n in offsets[:-1]), initial=0))
    end = sum(offsets[-1])
    assert len(whole) == end + 3 * 8 + 64
    assert (whole[37:45], whole[61:69]) == ((4).to_bytes(8), (1_790_000_000).to_bytes(8))
