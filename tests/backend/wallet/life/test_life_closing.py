"""Closing, freezing and the states of a wallet; late money goes to a case, and to its owner."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from life_world import DECLINES, LATE, OTHER_STAFF, STAFF, Life

from backend.kernel import DomainError, new_id
from backend.payments.model import Owner, RefundPayment
from backend.wallet import AccountClosed, AccountFrozen, OpenWallet, WalletUnknown
from backend.wallet.accounts import suspense_id
from backend.wallet.ledger import AccountState
from backend.wallet.life.errors import (
    BankCardNeeded,
    CaseDecided,
    CaseNotTheirs,
    CaseUnknown,
    RedemptionExists,
    RideDebtOpen,
    WalletBusy,
)
from backend.wallet.life.model import Case, ChangeWallet, PayCase
from backend.wallet.life.states import (
    FLOW,
    IN_LEDGER,
    CaseState,
    WalletEvent,
    WalletState,
    WalletTransitionRefused,
    advance,
)
from backend.wallet.model import WalletExists
from tests.simulation.books import dump
from tests.simulation.money_world import BANK_CARD, Citizen, operation


@pytest.mark.parametrize(("state", "event"), list(product(WalletState, WalletEvent)))
def test_every_pair_is_decided(state: WalletState, event: WalletEvent) -> None:
    assert set(IN_LEDGER) == set(WalletState)
    if (state, event) in FLOW:
        assert advance(state, event) is FLOW[state, event]
    else:
        with pytest.raises(WalletTransitionRefused):
            advance(state, event)


# --- closing ------------------------------------------------------------------------------------


def test_a_wallet_closes_when_the_bank_has_paid_its_rest(life: Life) -> None:
    citizen = life.rich(20_000)
    life.pay(citizen, 20_000 - LATE)
    closing = life.close(citizen)
    assert (closing.state, life.state(citizen)) == (WalletState.CLOSING, "closing")
    assert closing.redemption is not None
    assert closing.redemption.amount_fen == LATE
    before = dump(life.world.units)
    refused: list[object] = [
        lambda: life.world.request_topup(citizen, 100),
        lambda: life.pay(citizen, 100),
        lambda: life.redeem(citizen, 100),
        lambda: life.close(citizen),
        lambda: life.ride(citizen, 200),
    ]
    for attempt in refused:
        with pytest.raises(AccountClosed):
            attempt()  # type: ignore[operator]
    assert changed_tables(before, dump(life.world.units)) <= {
        "business.merchant",
        "business.shop",
        "business.number_line",
    }
    life.bank_speaks()
    assert (life.state(citizen), life.world.balance(citizen)) == ("closed", (0, 0))
    assert life.account(citizen.wallet_id).state is AccountState.CLOSED
    assert life.world.wallets.of_person(citizen.person_id) == []
    changes, _ = life.freezes.history(citizen.wallet_id, limit=9, after=None)
    assert [(one.event.value, one.changed_by) for one in changes] == [
        ("close", "bank"),
        ("begin_closing", citizen.person_id),
    ]


def changed_tables(before: dict[str, object], after: dict[str, object]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_a_closing_the_bank_declines_opens_the_wallet_again(life: Life) -> None:
    citizen = life.rich(20_000)
    life.pay(citizen, 20_000 - DECLINES)
    life.close(citizen)
    life.bank_speaks()
    assert (life.state(citizen), life.world.balance(citizen)) == ("open", (DECLINES, DECLINES))
    life.pay(citizen, 2)
    life.close(citizen)  # an amount the bank pays
    life.bank_speaks()
    assert life.state(citizen) == "closed"


def test_an_empty_wallet_closes_at_once_and_another_may_be_opened(life: Life) -> None:
    citizen = life.world.citizen()  # opened today: there is nothing to redeem
    with pytest.raises(WalletExists):
        life.world.wallets.open(OpenWallet(citizen.person_id, new_id("wal")), operation())
    closing = life.close(citizen, bank_card=None)
    assert (closing.state, closing.redemption) == (WalletState.CLOSED, None)
    again = life.world.wallets.open(OpenWallet(citizen.person_id, new_id("wal")), operation())
    assert life.world.wallets.of_person(citizen.person_id) == [again]
    assert life.state(citizen) == "closed"  # its history can still be read
    with pytest.raises(AccountClosed):
        life.close(citizen, bank_card=None)


def test_what_is_under_way_comes_first(life: Life) -> None:
    citizen = life.rich(20_000)
    with pytest.raises(BankCardNeeded) as needed:
        life.close(citizen, bank_card=None)
    assert needed.value.data == {"rest_fen": 20_000}
    life.redeem(citizen, 5_000)
    with pytest.raises(WalletBusy) as busy:
        life.close(citizen)
    assert busy.value.data == {"outgoing_fen": 5_000, "incoming_fen": 0}
    life.bank_speaks()
    life.world.request_topup(citizen, 700)
    with pytest.raises(WalletBusy) as busy:
        life.close(citizen)
    assert busy.value.data == {"outgoing_fen": 0, "incoming_fen": 700}


def test_a_ride_that_is_owed_is_paid_before_the_rest_goes_out(life: Life) -> None:
    citizen = life.rich(100)
    assert life.ride(citizen, 300) == (100, 200)
    with pytest.raises(RideDebtOpen) as refusal:
        life.close(citizen)
    assert refusal.value.data == {"owed_fen": 200}
    life.world.fund(citizen, 1_000)
    closing = life.close(citizen)
    assert closing.redemption is not None
    assert closing.redemption.amount_fen == 800
    life.bank_speaks()
    assert life.account(f"ride_debt:{citizen.wallet_id}").balance_fen == 0
    assert life.state(citizen) == "closed"


def test_somebody_elses_wallet_is_unknown(life: Life) -> None:
    citizen, other = life.rich(), life.rich()
    before = dump(life.world.units)
    for wallet_id in (other.wallet_id, new_id("wal"), "../x", "wal_" + "z" * 500):
        with pytest.raises(WalletUnknown):
            life.close(replace(citizen, wallet_id=wallet_id))
    assert dump(life.world.units) == before


# --- freezing -----------------------------------------------------------------------------------


def freeze(life: Life, citizen: Citizen, event: WalletEvent = WalletEvent.FREEZE) -> None:
    command = ChangeWallet(STAFF, citizen.wallet_id, event, "法院协助 12 号")
    life.freezes.change(command, operation())


def test_a_frozen_wallet_gives_nothing_and_still_receives(life: Life) -> None:
    citizen = life.rich(20_000)
    paid = life.pay(citizen, 1_000)
    held = life.redeem(citizen, 500)  # promised before
    freeze(life, citizen)
    assert life.state(citizen) == "frozen"
    refused: list[object] = [
        lambda: life.pay(citizen, 1),
        lambda: life.redeem(citizen, 100),
        lambda: life.close(citizen),
        lambda: life.ride(citizen, 200),
    ]
    for attempt in refused:
        with pytest.raises(AccountFrozen):
            attempt()  # type: ignore[operator]
    life.world.fund(citizen, 300)
    life.world.sales.refund(
        RefundPayment(paid.payment_id, new_id("ref"), 1_000, ""),
        Owner(merchant_id=paid.merchant_id),
        operation(),
    )
    life.bank_speaks()
    assert life.redemptions.get(held.redemption_id, citizen.person_id).state.value == "succeeded"
    assert life.world.balance(citizen) == (19_800, 19_800)
    with pytest.raises(WalletTransitionRefused):
        freeze(life, citizen)
    freeze(life, citizen, WalletEvent.UNFREEZE)
    life.pay(citizen, 1)
    changes, following = life.freezes.history(citizen.wallet_id, limit=1, after=None)
    assert [(one.number, one.event.value, one.changed_by, one.reason) for one in changes] == [
        (2, "unfreeze", STAFF, "法院协助 12 号")
    ]
    (first,), last = life.freezes.history(citizen.wallet_id, limit=1, after=following)
    assert (first.event.value, last) == ("freeze", None)


def test_only_wallets_are_frozen(life: Life) -> None:
    before = dump(life.world.units)
    for name in ("channel:bank", "income:fees", "wal_x", new_id("wal"), "wal_" + "0" * 300):
        with pytest.raises(WalletUnknown):
            life.freezes.change(ChangeWallet(STAFF, name, WalletEvent.FREEZE, "x"), operation())
        with pytest.raises(WalletUnknown):
            life.freezes.history(name, limit=1, after=None)
    assert dump(life.world.units) == before


# --- late money ---------------------------------------------------------------------------------


def closed_with_a_refund(life: Life, refund_fen: int) -> tuple[Citizen, Case]:
    """A citizen whose wallet is closed, and the case of a refund that came afterwards."""
    citizen = life.rich(20_000)
    paid = life.pay(citizen, 15_000)
    life.close(citizen)
    life.bank_speaks()
    life.world.sales.refund(
        RefundPayment(paid.payment_id, new_id("ref"), refund_fen, "late"),
        Owner(merchant_id=paid.merchant_id),
        operation(),
    )
    (case,), following = life.cases.of_state(CaseState.OPEN, limit=5, after=None)
    assert following is None
    assert (case.wallet_id, case.person_id) == (citizen.wallet_id, citizen.person_id)
    assert (case.amount_fen, case.reason) == (refund_fen, "late")
    assert life.account(suspense_id(case.case_id)).balance_fen == refund_fen
    assert life.world.balance(citizen) == (0, 0)
    return citizen, case


def pay(life: Life, case: Case, redemption_id: str | None = None, **to: str | None) -> Case:
    wanted: dict[str, str | None] = {"wallet_id": None, "bank_card": None, **to}
    command = PayCase(STAFF, case.case_id, redemption_id or new_id("red"), **wanted)
    return life.cases.pay(command, operation())


def test_a_case_is_paid_into_a_new_wallet_of_its_owner_only(life: Life) -> None:
    citizen, case = closed_with_a_refund(life, 6_000)
    other = life.rich(100)
    new = life.world.wallets.open(OpenWallet(citizen.person_id, new_id("wal")), operation())
    refusals: list[tuple[type[DomainError], str]] = [
        (CaseNotTheirs, other.wallet_id),
        (AccountClosed, citizen.wallet_id),
        (WalletUnknown, new_id("wal")),
    ]
    before = dump(life.world.units)
    for refusal, wallet_id in refusals:
        with pytest.raises(refusal):
            pay(life, case, wallet_id=wallet_id)
    assert dump(life.world.units) == before
    redemption_id = new_id("red")
    paid = pay(life, case, redemption_id, wallet_id=new.wallet_id)
    assert (paid.state, paid.decided_by, paid.paid_by) == (CaseState.PAID, STAFF, redemption_id)
    assert pay(life, case, redemption_id, wallet_id=new.wallet_id) == paid
    assert life.account(new.wallet_id).balance_fen == 6_000
    assert life.account(suspense_id(case.case_id)).balance_fen == 0
    with pytest.raises(CaseDecided):
        pay(life, case, wallet_id=new.wallet_id)
    assert life.cases.of_state(CaseState.OPEN, limit=5, after=None) == ([], None)


def test_a_case_is_paid_to_the_owners_bank_card(life: Life) -> None:
    _citizen, case = closed_with_a_refund(life, 6_000)
    paying = pay(life, case, bank_card=BANK_CARD)
    assert paying.state is CaseState.PAYING
    with pytest.raises(CaseDecided):
        pay(life, case, bank_card=BANK_CARD)
    life.bank_speaks()
    assert life.cases.get(case.case_id).state is CaseState.PAID
    assert life.account(suspense_id(case.case_id)).balance_fen == 0
    assert life.asked_names[-1] == case.person_id


def test_a_case_the_bank_declines_waits_again(life: Life) -> None:
    _citizen, case = closed_with_a_refund(life, DECLINES)
    first = new_id("red")
    pay(life, case, first, bank_card=BANK_CARD)
    life.bank_speaks()
    waiting = life.cases.get(case.case_id)
    assert waiting.state is CaseState.OPEN
    assert life.account(suspense_id(case.case_id)).available_fen == DECLINES
    assert pay(life, case, first, bank_card=BANK_CARD) == waiting  # the same order: nothing new
    assert pay(life, case, bank_card=BANK_CARD).state is CaseState.PAYING


def test_an_id_of_another_order_pays_no_case(life: Life) -> None:
    _citizen, case = closed_with_a_refund(life, 6_000)
    other = life.rich()
    taken = life.redeem(other, 5_000).redemption_id
    for to in ({"bank_card": BANK_CARD}, {"wallet_id": other.wallet_id}):
        with pytest.raises(RedemptionExists):
            pay(life, case, taken, **to)
    new = life.world.wallets.open(OpenWallet(case.person_id, new_id("wal")), operation())
    used = new_id("red")
    pay(life, case, used, wallet_id=new.wallet_id)
    with pytest.raises(RedemptionExists):  # and no order takes the id of a case that was paid
        life.redeem(other, 100, redemption_id=used)
    for unknown in (new_id("cas"), "cas_x", OTHER_STAFF):
        with pytest.raises(CaseUnknown):
            life.cases.get(unknown)
        with pytest.raises(CaseUnknown):
            pay(life, replace(case, case_id=unknown), bank_card=BANK_CARD)
