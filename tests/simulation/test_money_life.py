"""Top-ups, payments, refunds and faults in any order, against a model of a few lines."""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from backend.db import Units, open_databases
from backend.kernel import DomainError, ManualClock, business_date, new_id
from backend.keys import SoftwareKeys
from backend.merchants import TerminalFacts
from backend.payments.model import Owner, RefundPayment
from backend.virtual_card import RefillKeys
from backend.wallet.topups import TopUpState
from tests.simulation.books import audit
from tests.simulation.money_world import CEILING_FEN, Citizen, World, join, operation, owner_of
from tests.support.databases import sqlite_urls

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
HOLD_DAYS = timedelta(days=7)
DECLINED_ENDINGS = (2, 3)
WHO = st.integers(0, 1)
FEN = st.one_of(st.integers(1, 3_000), st.sampled_from([20_000, 500_000, 2**31 - 1]))
TOPUP_FEN = st.one_of(
    st.integers(1, 60).map(lambda yuan: yuan * 1_000),
    st.sampled_from([5_001, 102, 103, 6_004, 7_005, 300_000, 300_001, 500_000, 500_100]),
)


@dataclass
class Sale:
    """A payment as the model remembers it."""

    payment_id: str
    payer: int
    till: int
    fen: int
    day: date
    made_at: datetime
    state: str
    captured_fen: int = 0
    refunded_fen: int = 0


@dataclass
class Order:
    """A top-up as the model remembers it."""

    topup_id: str
    payer: int
    fen: int


class MoneyLife(RuleBasedStateMachine):
    """Goal: no order of commands, faults and retries breaks a promise of money.md."""

    template: Path
    keys: SoftwareKeys

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="money-"))
        shutil.copytree(self.template, self.folder / "db")
        self.clock = ManualClock(START)
        self.databases = open_databases(sqlite_urls(self.folder / "db"))
        units = Units(self.databases, self.clock)
        self.world: World = join(units, self.keys, self.clock, self.folder, uses_max=10_000)
        shops = [self.world.shop(self.world.merchant(name)) for name in ("东", "西")]
        self.tills: list[TerminalFacts] = [self.world.terminal(shop) for shop in shops]
        self.codes = [self.world.codes.make_for_shop(shop).content for shop in shops]
        self.citizens: list[Citizen] = [self.world.citizen() for _ in range(2)]
        self.balance, self.held, self.coming = [0, 0], [0, 0], [0, 0]
        self.payable: dict[tuple[int, date], int] = defaultdict(int)
        self.orders: list[Order] = []
        self.sales: list[Sale] = []

    # --- the model's own words ------------------------------------------------------------------

    @property
    def today(self) -> date:
        return business_date(self.clock.now())

    def available(self, who: int) -> int:
        return self.balance[who] - self.held[who]

    def room(self, who: int) -> int:
        return CEILING_FEN - self.balance[who] - self.coming[who]

    def owner(self, sale: Sale) -> Owner:
        """The merchant: a printed code is paid at no terminal."""
        return Owner(merchant_id=self.tills[sale.till].merchant_id)

    def expect(self, code: str | None, act: Callable[[], Any], attempts: int = 1) -> Any:
        """Each attempt has this outcome: a value when `code` is None, else this refusal."""
        answers = []
        for _ in range(attempts):
            try:
                answers.append(act())
                heard = None
            except DomainError as refusal:
                heard = refusal.code
            assert heard == code
        assert all(one == answers[0] for one in answers)
        return answers[0] if answers else None

    # --- what happens -------------------------------------------------------------------------

    @rule(who=WHO, fen=TOPUP_FEN, attempts=st.integers(1, 3))
    def order_a_top_up(self, who: int, fen: int, attempts: int) -> None:
        topup_id = new_id("top")
        code = "ceiling_exceeded" if fen > self.room(who) else None
        self.expect(
            code, lambda: self.world.request_topup(self.citizens[who], fen, topup_id), attempts
        )
        if code is None:
            self.coming[who] += fen
            self.orders.append(Order(topup_id, who, fen))

    @rule(notices_first=st.booleans())
    def bank_and_worker_work(self, notices_first: bool) -> None:
        steps = [self.world.worker.deliver_due, self.world.take_notices]
        for step in reversed(steps) if notices_first else steps:
            step()
        self._expire_holds()
        for order in list(self.orders):
            citizen = self.citizens[order.payer]
            found = self.world.topups.get(order.topup_id, citizen.person_id)
            if found.state is TopUpState.PROCESSING:
                continue
            declined = order.fen % 100 in DECLINED_ENDINGS
            assert found.state is (TopUpState.FAILED if declined else TopUpState.SUCCEEDED)
            self.orders.remove(order)
            self.coming[order.payer] -= order.fen
            self.balance[order.payer] += 0 if declined else order.fen

    @rule(step=st.sampled_from([1, 5, 40, 6 * 3600, 7 * 24 * 3600]))
    def time_passes(self, step: int) -> None:
        self.clock.advance(timedelta(seconds=step))
        for citizen in self.citizens if step > 60 else []:
            card = citizen.card
            refill = RefillKeys(citizen.person_id, card.card.token_id, card.atc)
            card.take(self.world.cards.refill(refill, operation()))

    @rule(
        who=WHO,
        till=WHO,
        fen=FEN,
        method=st.sampled_from(["tap", "pay_code", "merchant_code"]),
        capture=st.booleans(),
        attempts=st.integers(1, 3),
    )
    def pay(  # noqa: PLR0917 - hypothesis hands them in by name
        self, who: int, till: int, fen: int, method: str, capture: bool, attempts: int
    ) -> None:
        payment_id = new_id("pay")
        act = self._payment(who, till, fen, method, capture, payment_id)
        code = "insufficient_funds" if fen > self.available(who) else None
        # A proof the wallet said no to is used up: under another key it is one seen before.
        seen = {"tap": "atc_seen", "pay_code": "pay_code_used"}.get(method, code)
        self.expect(code, act, attempts if code is None else 1)
        if code:
            self.expect(seen, act, attempts - 1)
            return
        sale = Sale(payment_id, who, till, fen, self.today, self.clock.now(), "authorised")
        self.sales.append(sale)
        self.held[who] += fen
        if capture or method == "merchant_code":
            self._capture(sale, fen)

    def _payment(  # noqa: PLR0917
        self, who: int, till: int, fen: int, method: str, capture: bool, payment_id: str
    ) -> Callable[[], Any]:
        citizen, facts = self.citizens[who], self.tills[till]
        if method == "merchant_code":
            return lambda: self.world.pay_code_of(citizen, self.codes[till], fen, payment_id)
        if method == "pay_code":
            self.clock.advance(timedelta(seconds=31))  # a code of its own
            proof: Any = citizen.card.pay_code(self.clock.now())
        else:
            proof = citizen.card.tap(facts, fen)
        counter = len(self.sales) * 100 + int(self.clock.now().timestamp()) * 10_000
        return lambda: self.world.sell(
            facts, proof, fen, payment_id=payment_id, counter=counter, capture=capture
        )

    @precondition(lambda self: self.sales)
    @rule(data=st.data(), part=st.integers(1, 100))
    def capture(self, data: st.DataObject, part: int) -> None:
        sale = data.draw(st.sampled_from(self.sales))
        fen = max(1, sale.fen * part // 100)
        code = None if sale.state == "authorised" else "payment_state_conflict"
        owner = self.owner(sale)
        self.expect(
            code, lambda: self.world.sales.capture(sale.payment_id, fen, owner, operation())
        )
        if code is None:
            self._capture(sale, fen)

    @precondition(lambda self: self.sales)
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        sale = data.draw(st.sampled_from(self.sales))
        code = None if sale.state == "authorised" else "payment_state_conflict"
        owner = self.owner(sale)
        self.expect(code, lambda: self.world.sales.void(sale.payment_id, owner, operation()))
        if code is None:
            self._release(sale, "voided")

    @precondition(lambda self: self.sales)
    @rule(data=st.data(), part=st.integers(1, 130), attempts=st.integers(1, 3))
    def refund(self, data: st.DataObject, part: int, attempts: int) -> None:
        sale = data.draw(st.sampled_from(self.sales))
        fen = max(1, sale.fen * part // 100)
        code = self._refund_refusal(sale, fen)
        wanted = RefundPayment(sale.payment_id, new_id("ref"), fen, "")
        owner = self.owner(sale)
        self.expect(code, lambda: self.world.sales.refund(wanted, owner, operation()), attempts)
        if code is None:
            self.balance[sale.payer] += fen
            self.payable[sale.till, self.today] -= fen
            sale.refunded_fen += fen
            sale.state = "refunded" if sale.refunded_fen == sale.captured_fen else "partly"

    def _refund_refusal(self, sale: Sale, fen: int) -> str | None:
        if fen > sale.captured_fen - sale.refunded_fen:
            return "refund_exceeds_remaining"
        if sale.state not in ("captured", "partly"):
            return "payment_state_conflict"
        return "ceiling_exceeded" if fen > self.room(sale.payer) else None

    @precondition(lambda self: self.sales)
    @rule(data=st.data(), attempts=st.integers(1, 3))
    def reverse(self, data: st.DataObject, attempts: int) -> None:
        sale = data.draw(st.sampled_from(self.sales))
        allowed = sale.state in ("authorised", "reversed") or (
            sale.state == "captured" and sale.day == self.today
        )
        owner = self.owner(sale)
        self.expect(
            None if allowed else "payment_state_conflict",
            lambda: self.world.sales.reverse(sale.payment_id, owner, operation()),
            attempts,
        )
        if allowed and sale.state == "authorised":
            self._release(sale, "reversed")
        elif allowed and sale.state == "captured":
            self.balance[sale.payer] += sale.captured_fen
            self.payable[sale.till, sale.day] -= sale.captured_fen
            sale.refunded_fen, sale.state = sale.captured_fen, "reversed"

    @rule(who=WHO, till=WHO, fen=FEN)
    def reverse_before_the_payment_comes(self, who: int, till: int, fen: int) -> None:
        payment_id, owner = new_id("pay"), owner_of(self.tills[till])
        self.expect(None, lambda: self.world.sales.reverse(payment_id, owner, operation()), 2)
        act = self._payment(who, till, fen, "tap", True, payment_id)
        self.expect("payment_reversed", act, 2)

    @rule()
    def match_custody(self) -> None:
        self.bank_and_worker_work(notices_first=False)
        day = business_date(START)
        while day <= self.today:
            self.world.proof.match_custody(day, operation())
            day += timedelta(days=1)
        proof = self.world.proof.prove()
        assert proof.custody_fen == proof.owed_fen == sum(self.balance) + sum(self.payable.values())
        assert proof.channel_receivable_fen == 0
        late = proof.bank_reported_fen - proof.custody_fen
        assert 0 <= late <= sum(order.fen for order in self.orders)
        assert proof.custody_equals_owed is (late == 0)

    # --- effects on the model -------------------------------------------------------------------

    def _capture(self, sale: Sale, fen: int) -> None:
        sale.state, sale.captured_fen, sale.day = "captured", fen, self.today
        self.held[sale.payer] -= sale.fen
        self.balance[sale.payer] -= fen
        self.payable[sale.till, self.today] += fen

    def _release(self, sale: Sale, state: str) -> None:
        sale.state = state
        self.held[sale.payer] -= sale.fen

    def _expire_holds(self) -> None:
        for sale in self.sales:
            if sale.state == "authorised" and sale.made_at + HOLD_DAYS <= self.clock.now():
                self._release(sale, "voided")

    # --- promises -------------------------------------------------------------------------------

    @invariant()
    def every_wallet_is_what_the_model_says(self) -> None:
        for who, citizen in enumerate(self.citizens):
            found = self.world.balance(citizen)
            assert found == (self.balance[who], self.available(who))
            assert min(found) >= 0

    @invariant()
    def every_merchant_is_owed_what_the_model_says(self) -> None:
        for (till, day), fen in self.payable.items():
            merchant_id = self.tills[till].merchant_id
            page = self.world.statements.of_day(merchant_id, day, limit=1, after=None)
            assert page.totals.net_fen == fen

    @invariant()
    def the_sum_is_zero(self) -> None:
        assert self.world.proof.prove().balanced

    def teardown(self) -> None:
        try:
            audit(self.world.units)
            assert self.world.worker.parked() == 0
        finally:
            self.databases.close()
            shutil.rmtree(self.folder)


def test_money_in_any_order(empty_city: Path, city_keys: SoftwareKeys) -> None:
    class Life(MoneyLife):
        template = empty_city
        keys = city_keys

    run_state_machine_as_test(Life, settings=settings(max_examples=12, stateful_step_count=25))
