"""Loads onto a chip in software, for tests: INITIALIZE, begin, CREDIT."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from offline_world import ISSUER_ID, PURSE, Box, Offline

from backend.kernel import new_id
from backend.payments.purses.model import BeginLoad, Init, LoadView
from card_protocol.epurse.commands import Credit, Initialise, InitialiseLoadAnswer
from card_protocol.epurse.transactions import TransactionKind
from tests.hce.epurse_bench import TERMINAL, Bench
from tests.simulation.money_world import Citizen, operation


def ask(chip: Bench, amount_fen: int) -> Init:
    """INITIALIZE FOR LOAD."""
    request = Initialise(TransactionKind.LOAD, 1, amount_fen, TERMINAL)
    told = InitialiseLoadAnswer.decode(chip.get(request.to_apdu()))
    suite = chip.suite.algorithm
    return Init(told.balance_fen, told.online_atc, 1, suite, told.random, told.mac1)


def wanted(box: Box, asked: Init, amount_fen: int, source: Any, **changes: Any) -> BeginLoad:
    command = BeginLoad(
        box.facts.terminal_id,
        new_id("lod"),
        PURSE,
        ISSUER_ID,
        amount_fen,
        TERMINAL,
        source,
        asked,
    )
    return replace(command, **changes)


def begin(
    offline: Offline, box: Box, citizen: Citizen, chip: Bench, fen: int, **changes: Any
) -> LoadView:
    tap = citizen.card.tap(box.facts, fen)
    return offline.loads.begin(wanted(box, ask(chip, fen), fen, tap, **changes), operation())


def credit(chip: Bench, load: LoadView) -> bytes:
    """CREDIT FOR LOAD: the chip checks MAC2 and answers its TAC."""
    assert load.mac2 is not None
    return chip.get(Credit(bytes.fromhex(load.transaction_time), load.mac2).to_apdu())
