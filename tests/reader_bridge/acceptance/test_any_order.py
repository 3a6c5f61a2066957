"""Both kinds of card in any order, torn, offline and back, against a model of who paid what.

`CITY_TAPS=10000` plays the long form.
"""

from __future__ import annotations

import os
import random

import pytest

from hce.ports import LimitedUseKey
from reader_bridge import Outcome, ReaderFault
from reader_bridge.journal import EntryState
from tests.hce.epurse_bench import purse
from tests.reader_bridge.acceptance.test_joined import HOSTILE, ROOMY
from tests.reader_bridge.acceptance.world import PurseCard
from tests.reader_bridge.support import LUK, NOW

TAPS = int(os.environ.get("CITY_TAPS", "200"))
START_FEN = 5_000_000


def test_any_order(stall, backend, kit):
    """Goal: chip, journal and backend agree with the model: no sale lost, none doubled."""
    dice = random.Random(20261123)
    backend.balance_fen = START_FEN
    plastic = PurseCard(purse(balance_fen=START_FEN))
    enough = LimitedUseKey(index=3, version=1, value=LUK, uses_left=60_000, not_after=NOW + 86_400)
    phone = kit.card(kit.certificate(**ROOMY), key=enough)
    paid: dict[str, int] = {}  # reference -> fen, of every sale that somebody paid for
    torn: tuple[str, int, str] | None = None
    for number in range(TAPS):
        step = dice.randrange(100)
        fen, reference = dice.randrange(1, 300), f"S{number}"
        _move_network(stall, step)
        if step % 4 == 0:
            receipt = stall.tap(phone.transmit, fen, reference)
            assert receipt.is_green, receipt.refusal
            paid[reference] = fen
        elif step % 4 == 1:
            hostile = HOSTILE[dice.choice(sorted(HOSTILE))]
            assert stall.tap(hostile, fen, reference).outcome is Outcome.REFUSED
        elif step % 4 == 2 and torn is None:
            tear = dice.choice(["before", "after"])
            torn = _tear(stall, plastic, fen, reference, tear)
            if tear == "after":
                paid[reference] = fen
        else:
            if torn is not None and dice.random() < 0.5:
                reference, fen = torn[0], torn[1]  # the same order again
            receipt = stall.tap(plastic.shown(), fen, reference)
            assert receipt.outcome is Outcome.ACCEPTED, receipt.refusal
            paid[reference] = fen
            if torn is not None and torn[0] != reference:
                was_paid = torn[2] == "after"
                (before,) = receipt.finished
                assert before.outcome is (Outcome.ACCEPTED if was_paid else Outcome.DROPPED)
            torn = None
    stall.tap(plastic.shown(), 1, "last")  # finishes what is torn
    paid["last"] = 1
    _require_books(stall, backend, plastic, paid)


def _tear(stall, plastic, fen, reference, tear) -> tuple[str, int, str]:
    with pytest.raises(ReaderFault, match="debit_unknown"):
        stall.tap(plastic.shown(tear=tear), fen, reference)
    return reference, fen, tear


def _move_network(stall, step: int) -> None:
    if step < 8:
        stall.go_away()
    elif step < 16:
        stall.come_back()
        issuer = stall.backend.issuer  # its clock goes on too, or profile and list grow old
        issuer.issued_at = issuer.now = int(stall.time.unix_seconds)
    elif step < 22:
        stall.terminal.forward()


def _require_books(stall, backend, plastic, paid) -> None:
    stall.come_back()
    stall.terminal.recover()
    stall.terminal.forward()
    stall.terminal.forward()
    journal, by_purse = stall.terminal.journal, 0
    assert journal.torn() == journal.to_upload(9) == journal.pending() == ()
    booked = {}
    for reference, fen in paid.items():
        entry = journal.last_result(reference)
        assert entry.state is EntryState.CAPTURED, reference
        booked[entry.draft.entry_id] = fen
        by_purse += fen if entry.draft.method == "purse" else 0
    told = {one: item["amount_fen"] for one, item in backend.uploaded.items()}
    told |= {one: item["amount_fen"] for one, item in backend.payments.items()}
    assert told == booked
    assert len(backend.uploaded) + len(backend.payments) == len(paid)
    assert plastic.balance_fen == START_FEN - by_purse
