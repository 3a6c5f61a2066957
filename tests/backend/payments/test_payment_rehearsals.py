"""Dry runs and batches of the payments' own commands: nothing is kept, nothing costs extra."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from backend.db import Databases, Operation, Units, Which
from backend.db.group import Ticket, decide_in_order
from backend.db.operations import Answer, DryRun
from backend.kernel import Clock, DomainError, ManualClock, new_id
from backend.keys import SoftwareKeys
from backend.merchants import MakeCode, TerminalFacts
from backend.payments import Payment, Payments
from backend.payments.model import PayMerchantCode, RefundPayment, Sell
from backend.wallet import OpenWallet
from backend.wallet.topups import RequestTopUp
from tests.simulation.books import dump
from tests.simulation.money_world import (
    BANK_CARD,
    Citizen,
    World,
    join,
    operation,
    owner_of,
    serial,
)
from tests.support.statements import counting

Act = Callable[[Operation], Any]


def said(outcome: Any) -> Answer:
    """Everything the caller would hear."""
    if isinstance(outcome, DomainError):
        return Answer(402, f"{outcome.code} {outcome.data}")
    return Answer(200, repr(outcome))


def named(*, is_dry_run: bool) -> Operation:
    return Operation("test", f"trial-{next(serial)}", {}, said, is_dry_run)


def rehearse(world: World, act: Act) -> Answer:
    """The dry run leaves every table as it was, and says what the real run then says."""
    for _ in range(2):
        before = dump(world.units, but=())
        with pytest.raises(DryRun) as trial:
            act(named(is_dry_run=True))
        assert dump(world.units, but=()) == before
    real = named(is_dry_run=False)
    with suppress(DomainError):
        act(real)
    assert real.said == trial.value.answer
    assert dump(world.units, but=()) != before, "the real run left nothing either"
    return trial.value.answer


def sale(world: World, till: TerminalFacts, citizen: Citizen, fen: int, *, capture: bool) -> Act:
    tap = citizen.card.tap(till, fen)
    wanted = Sell(till.terminal_id, new_id("pay"), next(serial), fen, capture, tap)
    return lambda named: world.sales.sell(wanted, named)


@pytest.mark.parametrize("capture", [True, False], ids=["sale", "hold"])
@pytest.mark.parametrize("fen", [1, 10_000, 10_001])
def test_a_sale(
    world: World, till: TerminalFacts, citizen: Citizen, fen: int, capture: bool
) -> None:
    heard = rehearse(world, sale(world, till, citizen, fen, capture=capture))
    assert heard.status == (402 if fen > 10_000 else 200)


@pytest.mark.parametrize("fen", [500, 501])
def test_a_payment_of_a_merchant_code(
    world: World, till: TerminalFacts, citizen: Citizen, fen: int
) -> None:
    bill = world.codes.make_for_terminal(MakeCode(till.terminal_id, "B1", 500), operation())
    wanted = PayMerchantCode(citizen.person_id, new_id("pay"), citizen.wallet_id, bill.content, fen)
    heard = rehearse(world, lambda named: world.sales.pay_merchant_code(wanted, named))
    assert heard.status == (200 if fen == 500 else 402)


@pytest.mark.parametrize("fen", [None, 1, 900, 901])
def test_a_capture(world: World, till: TerminalFacts, citizen: Citizen, fen: int | None) -> None:
    held = world.tap_sale(till, citizen, 900, capture=False).payment_id
    heard = rehearse(world, lambda named: world.sales.capture(held, fen, owner_of(till), named))
    assert heard.status == (402 if fen == 901 else 200)


@pytest.mark.parametrize("what", ["void", "reverse", "reverse unseen"])
def test_a_void_and_a_reversal(
    world: World, till: TerminalFacts, citizen: Citizen, what: str
) -> None:
    held = world.tap_sale(till, citizen, 900, capture=what != "void").payment_id
    name = new_id("pay") if what == "reverse unseen" else held
    act = world.sales.void if what == "void" else world.sales.reverse
    assert rehearse(world, lambda named: act(name, owner_of(till), named)).status == 200


@pytest.mark.parametrize("fen", [1, 900, 901])
def test_a_refund(world: World, till: TerminalFacts, citizen: Citizen, fen: int) -> None:
    paid = world.tap_sale(till, citizen, 900).payment_id
    wanted = RefundPayment(paid, new_id("ref"), fen, "坏了")
    heard = rehearse(world, lambda named: world.sales.refund(wanted, owner_of(till), named))
    assert heard.status == (402 if fen == 901 else 200)


@pytest.mark.parametrize("fen", [490_000, 490_001])
def test_a_top_up(world: World, citizen: Citizen, fen: int) -> None:
    wanted = RequestTopUp(citizen.person_id, new_id("top"), citizen.wallet_id, fen, BANK_CARD)
    heard = rehearse(world, lambda named: world.topups.request(wanted, named))
    assert heard.status == (402 if fen == 490_001 else 200)


@pytest.mark.parametrize("is_new", [True, False], ids=["first", "second"])
def test_opening_a_wallet(world: World, citizen: Citizen, is_new: bool) -> None:
    person_id = new_id("per") if is_new else citizen.person_id
    wanted = OpenWallet(person_id, new_id("wal"))
    heard = rehearse(world, lambda named: world.wallets.open(wanted, named))
    assert heard.status == (200 if is_new else 402)


def test_a_dry_run_of_what_was_done_hears_the_first_answer(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    """Goal: asking "what would happen" about a sale that did happen invents no second one."""
    act = sale(world, till, citizen, 500, capture=True)
    real = named(is_dry_run=False)
    act(real)
    before = dump(world.units)
    with pytest.raises(DryRun) as trial:
        act(named(is_dry_run=True))
    assert trial.value.answer == real.said
    assert dump(world.units) == before


# --- a batch is as many statements as one command ----------------------------------------------


@dataclass
class Collector:
    """Stands in for `Units`: keeps the decisions instead of making them."""

    units: Units
    tickets: list[Ticket[Any]] = field(default_factory=list)

    @property
    def clock(self) -> Clock:
        return self.units.clock

    def decide(self, _which: Which, decision: Any, operation: Operation | None = None) -> None:
        self.tickets.append(Ticket(decision, operation))


@pytest.fixture
def world(units: Units, keys: SoftwareKeys, clock: ManualClock, tmp_path: Path) -> World:
    return join(units, keys, clock, tmp_path, uses_max=1_000)


ABOUT = {"capture": "hold", "refund": "sell", "reverse": "hold"}
"""Which payments a command is about; the other commands make payments."""


def test_a_batch_of_payments_sends_as_many_statements_as_one(
    world: World, till: TerminalFacts, databases: Databases
) -> None:
    payers = [world.citizen(20_000) for _ in range(3)]
    content = world.codes.make_for_shop(till.shop_id).content
    made: dict[str, list[Payment]] = {"sell": [], "hold": []}
    for payer in payers * 9:  # the merchant's day is open, the tokens have paid before
        made["sell"].append(world.tap_sale(till, payer, 9))
        made["hold"].append(world.tap_sale(till, payer, 9, capture=False))
    made["hold"] += [world.tap_sale(till, one, 9, capture=False) for one in payers * 9]
    for kind in ("sell", "hold", "code", "capture", "refund", "reverse"):
        sent = {}
        for size in (1, 5, 20):
            collector = Collector(world.units)
            sales = replace(world.sales, units=collector)  # type: ignore[arg-type]
            for number in range(size):
                about = made[ABOUT[kind]].pop() if kind in ABOUT else None
                _ask(sales, kind, till, payers[number % 3], about or content)
            heard, sent[size] = _decide(world, databases, collector)
            assert not [one for one in heard if isinstance(one, Exception)], kind
        assert len(set(sent.values())) == 1, (kind, sent)


def _ask(sales: Payments, kind: str, till: TerminalFacts, payer: Citizen, about: Any) -> None:
    """One command; `about`: the payment, or the content of a merchant code."""
    owner = owner_of(till)
    if kind in ("sell", "hold"):
        sales.sell(_sell(till, payer, capture=kind == "sell"), operation())
    elif kind == "code":
        sales.pay_merchant_code(_pay(payer, about), operation())
    elif kind == "capture":
        sales.capture(about.payment_id, 5, owner, operation())
    elif kind == "refund":
        sales.refund(_back(about), owner, operation())
    else:
        sales.reverse(about.payment_id, owner, operation())


def _sell(till: TerminalFacts, citizen: Citizen, *, capture: bool) -> Sell:
    tap = citizen.card.tap(till, 9)
    return Sell(till.terminal_id, new_id("pay"), next(serial), 9, capture, tap)


def _pay(citizen: Citizen, content: str) -> PayMerchantCode:
    return PayMerchantCode(citizen.person_id, new_id("pay"), citizen.wallet_id, content, 9)


def _back(paid: Payment) -> RefundPayment:
    return RefundPayment(paid.payment_id, new_id("ref"), 2, "")


def _decide(world: World, databases: Databases, collector: Collector) -> tuple[list[Any], int]:
    engine = databases[Which.LEDGER].engine
    with counting(engine) as seen, world.units.write(Which.LEDGER) as work:
        heard = decide_in_order(work.rows, collector.tickets, world.clock)
    return heard, len(seen)
