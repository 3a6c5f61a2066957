"""SAMs and terminals: who may upload what a SAM said, and what becomes of the rest."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from offline_world import PURSE, SAM, Box, Chip, Offline, join_offline

from backend.db import Units
from backend.kernel import ManualClock
from backend.keys import SoftwareKeys
from backend.merchants import TerminalUnknown
from backend.payments.offline.foreign import (
    FOREIGN_SAM,
    DecideForeignSale,
    ForeignSaleDecided,
    ForeignSaleUnknown,
    ForeignState,
)
from backend.payments.offline.model import PurseSaleSeen, SaleTooOld
from backend.payments.purses.sams import BindSam, SamUnknown
from tests.simulation.money_world import operation

OTHER_SAM = "00aa11223344"


@pytest.fixture
def offline(units: Units, keys: SoftwareKeys, clock: ManualClock, tmp_path: Path) -> Offline:
    made = join_offline(units, keys, clock, tmp_path)
    made.register()
    return made


@pytest.fixture
def box(offline: Offline) -> Box:
    return offline.box()


@pytest.fixture
def thief(offline: Offline) -> Box:
    return offline.box()


@pytest.fixture
def chip(clock: ManualClock) -> Chip:
    return Chip(clock)


def send(offline: Offline, box: Box, fen: int, proof: dict[str, object]) -> str | None:
    return offline.upload(box, box.keep(fen, proof))[0].code


def bind(offline: Offline, box: Box, sam: str = SAM, staff: str = "stf_a") -> None:
    offline.sams.bind(BindSam(sam, box.facts.terminal_id, staff), operation())


def payment_ids(offline: Offline, state: ForeignState = ForeignState.OPEN) -> list[str]:
    return [one.payment_id for one in offline.foreign.of_state(state, limit=10, after=None)[0]]


def test_a_sale_from_another_journal_is_not_paid(
    offline: Offline, box: Box, thief: Box, chip: Chip
) -> None:
    """Goal: who uploads a stolen sale first gets nothing, and takes nothing from its owner."""
    bind(offline, box)
    stolen = chip.pay(100)
    assert send(offline, thief, 100, stolen) == "purse_sam_foreign"
    assert offline.world.payable_fen(thief.facts.merchant_id) == 0
    assert offline.told(FOREIGN_SAM) == 1
    assert send(offline, box, 100, stolen) is None
    assert offline.world.payable_fen(box.facts.merchant_id) == 100
    assert offline.balance_fen(f"epurse:{PURSE}") == -100
    (payment_id,) = payment_ids(offline)
    with pytest.raises(PurseSaleSeen):
        offline.foreign.pay(DecideForeignSale(payment_id, "stf_a", "moved"), operation())
    assert payment_ids(offline) == [payment_id]


def test_the_first_upload_pins_what_nobody_registered(
    offline: Offline, box: Box, thief: Box, chip: Chip
) -> None:
    terminal_id = box.facts.terminal_id
    with pytest.raises(SamUnknown):
        offline.sams.get(SAM)
    with pytest.raises(SamUnknown):
        offline.sams.of_terminal(terminal_id)
    false = {**chip.pay(100), "tac": "00000000"}
    assert send(offline, thief, 100, false) == "purse_tac_invalid"
    assert send(offline, box, 100, chip.pay(100)) is None
    pinned = offline.sams.get(SAM)
    assert (pinned.terminal_id, pinned.bound_by) == (terminal_id, "upload")
    assert send(offline, thief, 100, chip.pay(100)) == "purse_sam_foreign"
    bind(offline, box)
    assert [one.bound_by for one in offline.sams.of_terminal(terminal_id)] == ["stf_a"]


def test_a_sam_that_moved_leaves_its_sales_behind(
    offline: Offline, box: Box, thief: Box, chip: Chip, clock: ManualClock
) -> None:
    """Goal: repair: what was sold before the move is the old terminal's, also uploaded later."""
    bind(offline, box)
    before = chip.pay(100)
    clock.advance(timedelta(hours=1))
    bind(offline, thief)
    clock.advance(timedelta(seconds=1))
    after = chip.pay(200)
    assert send(offline, box, 100, before) is None
    assert send(offline, box, 200, after) == "purse_sam_foreign"
    assert send(offline, thief, 200, after) is None
    clock.advance(timedelta(hours=1))
    bind(offline, box)  # and back
    clock.advance(timedelta(seconds=1))
    assert send(offline, box, 300, chip.pay(300)) is None
    assert send(offline, thief, 400, chip.pay(400)) == "purse_sam_foreign"


def test_a_terminal_may_have_two_sams(offline: Offline, box: Box, clock: ManualClock) -> None:
    chip = Chip(clock)
    assert send(offline, box, 100, chip.pay(100)) is None
    chip.sam = OTHER_SAM
    assert send(offline, box, 100, chip.pay(100)) is None
    found = offline.sams.of_terminal(box.facts.terminal_id)
    assert [one.sam_number for one in found] == sorted([SAM, OTHER_SAM])


def test_binding_asks_for_a_terminal(offline: Offline) -> None:
    with pytest.raises(TerminalUnknown):
        offline.sams.bind(BindSam(SAM, "trm_01h455vb4pex5vsknk084sn02q", "stf_a"), operation())


def test_a_person_pays_what_nobody_had_told(
    offline: Offline, box: Box, thief: Box, chip: Chip, clock: ManualClock
) -> None:
    """Goal: a fitter forgot to say that the SAM was moved: the merchant gets its money, once."""
    bind(offline, box)
    mine = thief.keep(100, chip.pay(100))
    assert offline.upload(thief, mine)[0].code == "purse_sam_foreign"
    command = DecideForeignSale(mine["payment_id"], "stf_b", "SAM moved on Monday")
    paid = offline.foreign.pay(command, operation())
    assert (paid.state, paid.decided_by) == (ForeignState.PAID, "stf_b")
    assert offline.world.payable_fen(thief.facts.merchant_id) == 100
    assert offline.upload(thief, mine)[0].code == "purse_sam_foreign"  # its first word for ever
    for again in (offline.foreign.pay, offline.foreign.dismiss):
        with pytest.raises(ForeignSaleDecided):
            again(command, operation())
    assert payment_ids(offline, ForeignState.PAID) == [mine["payment_id"]]
    with pytest.raises(ForeignSaleUnknown):
        offline.foreign.pay(DecideForeignSale("pay_x", "stf_b", "x"), operation())


def test_a_person_leaves_it_refused_or_comes_too_late(
    offline: Offline, box: Box, thief: Box, chip: Chip, clock: ManualClock
) -> None:
    bind(offline, box)
    for _ in range(3):
        assert send(offline, thief, 100, chip.pay(100)) == "purse_sam_foreign"
    first, second, third = payment_ids(offline)
    page, following = offline.foreign.of_state(ForeignState.OPEN, limit=2, after=None)
    assert ([one.payment_id for one in page], following) == ([first, second], second)
    rest, end = offline.foreign.of_state(ForeignState.OPEN, limit=2, after=following)
    assert ([one.payment_id for one in rest], end) == ([third], None)
    gone = offline.foreign.dismiss(DecideForeignSale(first, "stf_b", "theft"), operation())
    assert gone.state is ForeignState.DISMISSED
    clock.advance(timedelta(days=31))
    with pytest.raises(SaleTooOld):
        offline.foreign.pay(DecideForeignSale(second, "stf_b", "late"), operation())
    assert offline.balance_fen(f"epurse:{PURSE}") == 0
