"""Compound purchases: records are written with the money, or nothing is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from card_protocol.apdu import CommandApdu
from card_protocol.epurse.capp import CappHead, capp_record
from tests.hce.epurse_bench import COMPOUND, JOURNEY, PARKING, Bench, bench, read, refusal


def locked(card: Bench) -> None:
    """The record is locked by a purchase, as a car park would at the entry."""
    card.pay(0, replace(PARKING, record=capp_record(0xAA, b"\x08" * 40, flag=1)))


def test_a_locked_record_refuses_the_whole_purchase():
    card = bench()
    locked(card)
    before = card.state
    assert refusal(card.pay, 100, JOURNEY, PARKING) == "9407"
    assert card.state is before
    card.pay(100, JOURNEY)  # others are free
    record = capp_record(0xAA, b"\x08" * 40)
    card.get(card.secured(CommandApdu(0x04, 0xDC, 1, 0x19 << 3 | 4, record)))
    card.pay(100, PARKING)
    assert not CappHead.decode(read(card, 0x19)).is_locked


CACHE = {
    "the log": ("80DC00C017" + "00" * 23, "6A82"),
    "a binary file": ("80DC00A81E" + "00" * 30, "6A82"),
    "no such file": ("80DC000801AA", "6A82"),
    "no such record": ("80DC07C82B072900" + "00" * 40, "6A83"),
    "a shorter record": ("80DCAAC82AAA2800" + "00" * 39, "6700"),
    "a shorter journey": ("80DC00F02F" + "00" * 47, "6700"),
    "another id": ("80DCAAC82BAB2900" + "00" * 40, "6A80"),
    "another length": ("80DCAAC82BAA2800" + "00" * 40, "6A80"),
    "P2 with a mode": ("80DC00F430" + "00" * 48, "6A86"),
    "P1 of a journey": ("80DC01F030" + "00" * 48, "6A86"),
    "nothing": ("80DC00F0", "6700"),
}


@pytest.mark.parametrize(("command", "sw"), CACHE.values(), ids=CACHE)
def test_a_refused_record_ends_the_purchase(command, sw):
    card = bench()
    debit, _, _ = card.debit_command(card.begin(100, COMPOUND), 100, COMPOUND)
    assert card.send(command) == sw
    assert card.send(debit) == "6901"
    assert card.state.balance_fen == 5_000


def test_a_purchase_carries_eight_records_and_no_ninth():
    card = bench()
    card.begin(0, COMPOUND)
    for _ in range(8):
        card.get(JOURNEY.to_apdu())
    assert card.send(JOURNEY.to_apdu()) == "6A84"


def test_an_ordinary_purchase_takes_no_record():
    card = bench()
    card.begin(0)
    assert card.send(JOURNEY.to_apdu()) == "6901"
