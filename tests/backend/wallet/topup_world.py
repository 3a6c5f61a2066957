"""The channels of top-up joined over a world of money, as backend.app joins them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select

from backend.config import load_config
from backend.db import Decide, OutboxWorker, Rows, Which
from backend.kernel import business_date, new_id
from backend.wallet import payable_account, payment_transfer
from backend.wallet.accounts import ride_debt_account, ride_debt_id
from backend.wallet.cases.tables import match_case
from backend.wallet.ledger import Leg, Limits, Transfer
from backend.wallet.ledger.limits import CASH_COMPANY, CASH_PERSON, CASH_TOP_UP
from backend.wallet.matching import Matching
from backend.wallet.topups import AutoTopUps, Batches, Counters
from backend.wallet.topups.automatic import DUE
from backend.wallet.topups.automatic_model import OrderAutomatic
from backend.wallet.topups.batches import APPROVED
from backend.wallet.topups.counter_model import CashTopUp, Counter, Payer, TakeCash
from backend.wallet.topups.tables import topup
from tests.simulation.money_world import BANK_CARD, Citizen, World, luhn_ended, operation

CREDIT_CARD = luhn_ended("622599001000123456")
UNKNOWN_CARD = luhn_ended("990000001000123456")
HALL = Counter("hall-1", {Payer.PERSON: (CASH_PERSON,), Payer.COMPANY: (CASH_COMPANY,)})
AGENT = Counter("agent-east", dict.fromkeys(Payer, (CASH_TOP_UP,)))


def city_limits() -> Limits:
    return load_config({}).limits()


@dataclass(frozen=True, slots=True)
class Channels:
    """Every way of topping up, and the day's match."""

    world: World
    automatic: AutoTopUps
    counters: Counters
    batches: Batches
    matching: Matching
    worker: OutboxWorker

    @property
    def today(self) -> Any:
        return business_date(self.world.clock.now())

    def work(self, rounds: int = 6) -> None:
        """The worker and the bank's notices, until nothing is due any more."""
        for _ in range(rounds):
            if not self.worker.deliver_due() + self.world.take_notices():
                return

    def decide(self, needs: Any, decide: Any) -> Any:
        return self.world.units.decide(Which.LEDGER, Decide(needs, decide))

    def pay(self, citizen: Citizen, fen: int, payment_id: str | None = None) -> str:
        """A payment as the payments domain makes it, with its hook."""
        payment_id = payment_id or new_id("pay")
        payable = payable_account("mer_x", self.today)
        made = payment_transfer(payment_id, citizen.wallet_id, payable.account_id, fen, "店")

        def needs(rows: Rows) -> bool:
            self.world.ledger.need_transfer(rows, made)
            self.automatic.need(rows, citizen.wallet_id)
            return False

        def decide(rows: Rows) -> None:
            self.world.ledger.open_account(rows, payable)
            self.world.ledger.post(rows, made)
            self.automatic.after_spending(rows, citizen.wallet_id, payment_id)

        self.decide(needs, decide)
        return payment_id

    def owe(self, citizen: Citizen, fen: int) -> None:
        """A ride into the red."""
        payable, debt = (
            payable_account("mer_bus", self.today),
            ride_debt_account(citizen.wallet_id),
        )
        made = Transfer(new_id("pay"), "payment", (Leg(debt.account_id, payable.account_id, fen),))

        def decide(rows: Rows) -> None:
            for account in (payable, debt):
                self.world.ledger.open_account(rows, account)
            self.world.ledger.post(rows, made)

        self.decide(lambda _: False, decide)

    def debt_fen(self, citizen: Citizen) -> int:
        with self.world.units.read(Which.LEDGER) as work:
            account = self.world.ledger.find_account(work.rows, ride_debt_id(citizen.wallet_id))
        return 0 if account is None else account.balance_fen

    def order(self, citizen: Citizen, **changes: Any) -> Any:
        figures = {"threshold_fen": 2_000, "amount_fen": 10_000, "month_max_fen": 50_000}
        values = {**figures, "bank_card": BANK_CARD, **changes}
        wanted = OrderAutomatic(citizen.person_id, citizen.wallet_id, **values)
        return self.automatic.order(wanted, operation())

    def take_cash(
        self, citizen: Citizen, fen: int, counter: str = "hall-1", **more: Any
    ) -> CashTopUp:
        values: dict[str, Any] = {"topup_id": new_id("csh"), "payer": Payer.PERSON, **more}
        wanted = TakeCash(
            counter=counter, wallet_id=citizen.wallet_id, amount_fen=fen, staff="li", **values
        )
        return self.counters.take(wanted, operation())

    def topups(self, citizen: Citizen) -> list[Mapping[str, Any]]:
        mine = select(topup).where(topup.c.wallet_id == citizen.wallet_id)
        with self.world.units.read(Which.LEDGER) as work:
            rows = work.execute(mine.order_by(topup.c.created_at)).mappings()
            return [dict(row) for row in rows]

    def cases(self) -> list[tuple[str, str, str]]:
        """(subject, kind, state) of every case."""
        with self.world.units.read(Which.LEDGER) as work:
            found = work.execute(select(match_case)).all()
        return sorted((one.subject, one.kind, one.state) for one in found)


def join_channels(world: World) -> Channels:
    units, ledger = world.units, world.ledger
    automatic = AutoTopUps(units, ledger, world.keys, world.bank)
    batches = Batches(units, ledger)
    consumers = {**world.worker.consumers, DUE: automatic.ask, APPROVED: batches.post}
    return Channels(
        world=world,
        automatic=automatic,
        counters=Counters(units, ledger, {one.code: one for one in (HALL, AGENT)}),
        batches=batches,
        matching=Matching(units, ledger, world.bank),
        worker=replace(world.worker, consumers=consumers),
    )
