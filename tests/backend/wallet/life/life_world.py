"""The services of a wallet's later life over a world of money."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from backend.db import OutboxWorker, Which
from backend.kernel import Words, new_id
from backend.payments.moves import HOLD_EXPIRES
from backend.wallet import recipes
from backend.wallet.accounts import payable_account, wallet_account
from backend.wallet.bank.payouts import CustodyView, SandboxPayouts
from backend.wallet.ledger import Account
from backend.wallet.life import (
    REQUESTED,
    Cases,
    Corrections,
    Freezes,
    Orders,
    OwnMoves,
    PayoutMatches,
    Redemptions,
    RideDebts,
)
from backend.wallet.life.model import CloseWallet, Closing, Redeem, Redemption, RedemptionTerms
from backend.wallet.proof import Proof
from backend.wallet.tables import wallet
from backend.wallet.topups.service import REQUESTED as TOPUP_REQUESTED
from tests.simulation.money_world import BANK_CARD, Citizen, World, operation

TERMS = RedemptionTerms(
    months_min=3,
    article=Words(zh="三个月", en="three months"),
    unregistered_below_fen=10_000,
    unregistered_article=Words(zh="不记名", en="unregistered"),
)
STAFF, OTHER_STAFF = new_id("stf"), new_id("stf")
PAYS, LATE, DECLINES, LATE_DECLINE, UNREACHABLE = 5_000, 5_001, 5_002, 5_003, 5_005


@dataclass(frozen=True, slots=True)
class Life:
    """`asked_names` keeps whose name was read for an order to the bank."""

    world: World
    payouts: SandboxPayouts
    redemptions: Redemptions
    debts: RideDebts
    cases: Cases
    freezes: Freezes
    own: OwnMoves
    corrections: Corrections
    matches: PayoutMatches
    proof: Proof
    worker: OutboxWorker
    asked_names: list[str]

    def rich(self, fen: int = 20_000) -> Citizen:
        """A citizen with money whose wallet is old enough to be redeemed."""
        citizen = self.world.citizen(fen)
        self.world.clock.advance(timedelta(days=100))
        return citizen

    def redeem(
        self,
        citizen: Citizen,
        fen: int,
        *,
        redemption_id: str | None = None,
        key: str | None = None,
    ) -> Redemption:
        wanted = Redeem(
            citizen.person_id, redemption_id or new_id("red"), citizen.wallet_id, fen, BANK_CARD
        )
        return self.redemptions.redeem(wanted, operation(key))

    def close(self, citizen: Citizen, bank_card: str | None = BANK_CARD) -> Closing:
        wanted = CloseWallet(citizen.person_id, new_id("red"), citizen.wallet_id, bank_card)
        return self.redemptions.close(wanted, operation())

    def bank_speaks(self, rounds: int = 4) -> None:
        """Let the outbox ask until even a late bank has answered."""
        for _ in range(rounds):
            self.worker.deliver_due()
            self.world.clock.advance(timedelta(seconds=5))

    def pay(self, citizen: Citizen, fen: int, payment_id: str | None = None) -> Any:
        """A sale by merchant code: the phone's keys have run out by now."""
        shop_id = self.world.shop(self.world.merchant())
        code = self.world.codes.make_for_shop(shop_id, fen).content
        return self.world.pay_code_of(citizen, code, fen, payment_id)

    def state(self, citizen: Citizen) -> str:
        return self.world.wallets.get(citizen.wallet_id, citizen.person_id).state

    def account(self, account_id: str) -> Account:
        with self.world.units.read(Which.LEDGER) as work:
            account = self.world.ledger.find_account(work.rows, account_id)
        assert account is not None, account_id
        return account

    def ride(self, citizen: Citizen, fen: int, payment_id: str | None = None) -> tuple[int, int]:
        """A fare as transit posts it: (from the wallet, owed)."""
        now = self.world.clock.now()
        with self.world.units.write(Which.LEDGER) as work:
            payable = payable_account("mer_bus", now.date())
            self.debts.need_ride(work.rows, citizen.wallet_id, payable.account_id)
            self.world.ledger.open_account(work.rows, payable)
            paid = self.debts.pay_ride(
                work.rows,
                payment_id or new_id("pay"),
                wallet_id=citizen.wallet_id,
                payable_id=payable.account_id,
                fare_fen=fen,
                memo="1 路",
            )
        return paid.wallet_fen, paid.debt_fen

    def refunded(self, citizen: Citizen, fen: int) -> None:
        """Money that comes home: unlike a top-up it leaves a ride debt alone."""
        payable = payable_account("mer_shop", self.world.clock.now().date())
        with self.world.units.write(Which.LEDGER) as work:
            self.world.ledger.open_account(work.rows, payable)
            back = recipes.refund(
                new_id("ref"),
                new_id("pay"),
                wallet_id=citizen.wallet_id,
                payable_id=payable.account_id,
                amount_fen=fen,
                memo="退货",
            )
            self.world.ledger.post(work.rows, back)

    def second_wallet(self, citizen: Citizen, account_class: str = "registered") -> str:
        """Another wallet of the same person, made by hand: no command does that."""
        wallet_id = new_id("wal")
        with self.world.units.write(Which.LEDGER) as work:
            row = {"wallet_id": wallet_id, "person_id": citizen.person_id}
            more = {"account_class": account_class, "opened_at": work.now}
            work.rows.add(wallet, {**row, **more})
            self.world.ledger.open_account(work.rows, wallet_account(wallet_id, account_class))
        return wallet_id


def join_life(world: World, folder: Path) -> Life:
    """All services over the world's units, with a worker that knows redemptions too."""
    units, ledger = world.units, world.ledger
    payouts = SandboxPayouts(folder / "bank.db", world.clock, 2.0)
    bank = world.bank
    custody = CustodyView(bank.book, bank.clock, bank.mac, payouts=payouts)
    orders, debts = Orders(ledger, world.keys), RideDebts(units, ledger)
    asked: list[str] = []

    def name_of(person_id: str) -> str:
        asked.append(person_id)
        return "林晓岚"

    redemptions = Redemptions(units, ledger, orders, debts, payouts, TERMS, name_of)
    consumers = {
        TOPUP_REQUESTED: world.topups.instruct,
        HOLD_EXPIRES: world.sales.expire_hold,
        REQUESTED: redemptions.instruct,
    }
    return Life(
        world=world,
        payouts=payouts,
        redemptions=redemptions,
        debts=debts,
        cases=Cases(units, ledger, orders),
        freezes=Freezes(units, ledger),
        own=OwnMoves(units, ledger, debts),
        corrections=Corrections(units, ledger),
        matches=PayoutMatches(units, ledger, payouts),
        proof=Proof(units, ledger, custody),
        worker=OutboxWorker(units, consumers),
        asked_names=asked,
    )
