"""Goal: a bank that never speaks costs a bounded number of questions, and nobody's money."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

from backend.kernel import new_id
from backend.wallet.bank import BankUnreachable, Booking, CardKind, ChargeOutcome
from backend.wallet.topups import TopUpState
from tests.simulation.money_world import World

FEN = 20_000


@dataclass
class SilentBank:
    """Hears everything, says nothing."""

    asked: int = 0

    def card_kind(self, bank_card: str) -> CardKind:
        return CardKind.DEBIT

    def charge(self, order_id: str, bank_card: str, amount_fen: int) -> ChargeOutcome:
        raise AssertionError("an order whose fate is unknown is asked about first")

    def query(self, order_id: str) -> ChargeOutcome:
        self.asked += 1
        raise BankUnreachable(order_id)

    def bookings(self, day: date) -> list[Booking]:
        return []

    def custody_balance_fen(self) -> int:
        return 0


def test_after_three_days_it_is_a_persons_matter(world: World) -> None:
    citizen = world.citizen(0)
    bank = SilentBank()
    topups = replace(world.topups, bank=bank)
    worker = replace(world.worker, consumers={"topup_requested": topups.instruct})
    topup_id = new_id("top")
    world.request_topup(citizen, FEN, topup_id)
    for _ in range(3_000):
        worker.deliver_due()
        if worker.parked():
            break
        world.clock.advance(timedelta(minutes=5))
    assert worker.parked() == 1
    assert bank.asked < 3_000
    found = topups.get(topup_id, citizen.person_id)
    assert found.state is TopUpState.PROCESSING
    assert world.clock.now() - found.created_at > timedelta(days=3)
