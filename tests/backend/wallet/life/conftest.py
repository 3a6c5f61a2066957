"""A wallet's later life over real databases; the books are audited after every test."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from life_world import Life, join_life

from backend.db import Units
from backend.kernel import ManualClock, Words
from backend.keys import SoftwareKeys
from backend.wallet.ledger import Limit, Limits, Period
from tests.simulation.money_world import CEILING, join

RIDE_DEBT = Limit(
    rule="ride_debt_balance",
    account_class="ride_debt",
    counter=None,
    period=Period.BALANCE,
    amount_max_fen=1_000,
    times_max=None,
    effective_from=date(2026, 1, 1),
    article=Words(zh="乘车服务协议", en="Terms of rides"),
)


@pytest.fixture
def life(units: Units, keys: SoftwareKeys, clock: ManualClock, tmp_path: Path) -> Life:
    world = join(units, keys, clock, tmp_path, limits=Limits([CEILING, RIDE_DEBT]))
    return join_life(world, tmp_path)
