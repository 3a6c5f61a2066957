"""Every recipe called with an amount, and by how much each balance grows; a chart to post it on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from backend.wallet import accounts
from backend.wallet import recipes as r
from backend.wallet.ledger import Account, Transfer
from backend.wallet.ledger.model import post

DAY, NEXT_DAY = date(2026, 11, 23), date(2026, 11, 24)
WAL, OTHER, CARD, CASE = "wal_a", "wal_b", "crd_a", "case_1"
PAY, PAY_NEXT = accounts.payable_id("mer_a", DAY), accounts.payable_id("mer_a", NEXT_DAY)
FLOAT = accounts.epurse_float_id(CARD)
TRANSIT = accounts.load_transit_id("lod_1")
DEBT, CONC = accounts.ride_debt_id(WAL), accounts.concession_id("elderly")
HELD = accounts.suspense_id(CASE)
BANK, CASH = accounts.CHANNEL_BANK, accounts.channel_id(accounts.Channel.COUNTER_CASH)
CUSTODY, CUSTODY_2 = accounts.CUSTODY, accounts.custody_id("second")
FEES, LOST = accounts.FEE_INCOME, accounts.WRITE_OFFS
ADVANCE = accounts.OPERATOR_ADVANCE
BORNE = accounts.OFFLINE_LOSSES
DEPOSITS, REPLACED = accounts.CARD_DEPOSITS, accounts.REPLACEMENT_FEES

CHART = {
    one.account_id: one
    for one in (
        *accounts.house_accounts(),
        accounts.custody_account("second"),
        accounts.wallet_account(WAL, "registered"),
        accounts.wallet_account(OTHER, "unregistered"),
        accounts.epurse_float_account(CARD),
        accounts.load_transit_account("lod_1"),
        accounts.payable_account("mer_a", DAY),
        accounts.payable_account("mer_a", NEXT_DAY),
        accounts.concession_account("elderly"),
        accounts.ride_debt_account(WAL),
        accounts.suspense_account(CASE),
    )
}


@dataclass(frozen=True)
class Case:
    """A recipe called with an amount; by how many amounts each balance grows on its own side."""

    name: str
    call: Callable[[int], Transfer]
    grows: Mapping[str, int]

    @property
    def recipe(self) -> str:
        return self.name.split(" ")[0]


CASH_CHANNEL, BATCH_CHANNEL = accounts.Channel.COUNTER_CASH, accounts.Channel.EMPLOYER_BATCH
CONCESSION: dict[str, Any] = {"programme": "elderly", "memo": "m"}
BACK: dict[str, Any] = {"payable_id": PAY, "memo": "m"}
CASES = [
    Case("advance_paid_in", lambda a: r.advance_paid_in("a", a), {CUSTODY: 1, ADVANCE: 1}),
    Case("advance_paid_out", lambda a: r.advance_paid_out("a", a), {ADVANCE: -1, BANK: -1}),
    Case("top_up", lambda a: r.top_up("top_1", WAL, a, "m"), {BANK: 1, WAL: 1}),
    Case(
        "top_up cash", lambda a: r.top_up("t", WAL, a, "m", channel=CASH_CHANNEL), {CASH: 1, WAL: 1}
    ),
    Case(
        "top_up batch",
        lambda a: r.top_up("t", WAL, a, "m", channel=BATCH_CHANNEL),
        {accounts.channel_id(BATCH_CHANNEL): 1, WAL: 1},
    ),
    Case(
        "top_up with debt",
        lambda a: r.top_up("t", WAL, 3 * a, "m", debt_fen=a),
        {BANK: 3, WAL: 2, DEBT: -1},
    ),
    Case(
        "top_up below debt",
        lambda a: r.top_up("t", WAL, a, "m", debt_fen=3 * a),
        {BANK: 1, WAL: 0, DEBT: -1},
    ),
    Case("top_up_reversal", lambda a: r.top_up_reversal("t", WAL, a, "m"), {WAL: -1, BANK: -1}),
    Case("custody_matched", lambda a: r.custody_matched("t", a), {CUSTODY: 1, BANK: -1}),
    Case("custody_paid_out", lambda a: r.custody_paid_out("p", a), {CUSTODY: -1, BANK: 1}),
    Case(
        "custody_moved",
        lambda a: r.custody_moved("o", CUSTODY, CUSTODY_2, a),
        {CUSTODY: -1, CUSTODY_2: 1},
    ),
    Case("own_transfer", lambda a: r.own_transfer("o", WAL, OTHER, a), {WAL: -1, OTHER: 1}),
    Case("redeem", lambda a: r.redeem("red_1", WAL, a, "m"), {WAL: -1, BANK: -1}),
    Case("close", lambda a: r.close("cls_1", WAL, a, "m"), {WAL: -1, BANK: -1}),
    Case(
        "moved_to_replacement",
        lambda a: r.moved_to_replacement("rep_1", WAL, OTHER, a),
        {WAL: -1, OTHER: 1},
    ),
    Case("payment", lambda a: r.payment("p", WAL, PAY, a, "m"), {WAL: -1, PAY: 1}),
    Case(
        "payment_with_concession",
        lambda a: r.payment_with_concession(
            "p", WAL, PAY, fare_fen=2 * a, concession_fen=a, **CONCESSION
        ),
        {WAL: -1, CONC: 1, PAY: 2},
    ),
    Case(
        "payment_with_concession free",
        lambda a: r.payment_with_concession(
            "p", WAL, PAY, fare_fen=a, concession_fen=a, **CONCESSION
        ),
        {CONC: 1, PAY: 1},
    ),
    Case(
        "payment_into_debt",
        lambda a: r.payment_into_debt("p", WAL, PAY, wallet_fen=a, debt_fen=2 * a, memo="m"),
        {WAL: -1, DEBT: 2, PAY: 3},
    ),
    Case(
        "payment_into_debt empty wallet",
        lambda a: r.payment_into_debt("p", WAL, PAY, wallet_fen=0, debt_fen=a, memo="m"),
        {DEBT: 1, PAY: 1},
    ),
    Case("capture", lambda a: r.capture("p", WAL, PAY, a, "m"), {WAL: -1, PAY: 1}),
    Case(
        "refund",
        lambda a: r.refund("ref_1", "p", wallet_id=WAL, amount_fen=a, **BACK),
        {PAY: -1, WAL: 1},
    ),
    Case(
        "refund_with_concession",
        lambda a: r.refund_with_concession(
            "ref_1",
            "p",
            wallet_id=WAL,
            payable_id=PAY,
            wallet_fen=a,
            concession_fen=2 * a,
            **CONCESSION,
        ),
        {PAY: -3, WAL: 1, CONC: -2},
    ),
    Case(
        "refund_to_suspense",
        lambda a: r.refund_to_suspense("ref_1", "p", case_id=CASE, amount_fen=a, **BACK),
        {PAY: -1, HELD: 1},
    ),
    Case("reversal", lambda a: r.reversal("p", WAL, PAY, a, "m"), {PAY: -1, WAL: 1}),
    Case(
        "reversal_of",
        lambda a: r.reversal_of(r.payment("p", WAL, PAY, a, "m")),
        {PAY: -1, WAL: 1},
    ),
    Case("load", lambda a: r.load("lod_1", WAL, a), {WAL: -1, TRANSIT: 1}),
    Case("load_written", lambda a: r.load_written("lod_1", CARD, a), {TRANSIT: -1, FLOAT: 1}),
    Case("load_returned", lambda a: r.load_returned("lod_1", WAL, a), {TRANSIT: -1, WAL: 1}),
    Case(
        "epurse_purchase",
        lambda a: r.epurse_purchase(CARD, 7, PAY, a, "m"),
        {FLOAT: -1, PAY: 1},
    ),
    Case(
        "epurse_purchase_borne",
        lambda a: r.epurse_purchase_borne(CARD, 7, PAY, a, "m"),
        {BORNE: 1, PAY: 1},
    ),
    Case(
        "offline_sale",
        lambda a: r.offline_sale(
            "p", WAL, PAY, wallet_fen=a, debt_fen=2 * a, loss_fen=3 * a, memo="m"
        ),
        {WAL: -1, DEBT: 2, BORNE: 3, PAY: 6},
    ),
    Case(
        "offline_sale borne",
        lambda a: r.offline_sale("p", WAL, PAY, wallet_fen=0, debt_fen=0, loss_fen=a, memo="m"),
        {BORNE: 1, PAY: 1},
    ),
    Case(
        "refund_with_loss",
        lambda a: r.refund_with_loss(
            "ref_1", "p", home_id=WAL, payable_id=PAY, home_fen=a, loss_fen=2 * a, memo="m"
        ),
        {PAY: -3, WAL: 1, BORNE: -2},
    ),
    Case("epurse_unloaded", lambda a: r.epurse_unloaded("u", CARD, WAL, a), {FLOAT: -1, WAL: 1}),
    Case(
        "merchant_payout",
        lambda a: r.merchant_payout("p", PAY, 3 * a, fee_fen=a),
        {PAY: -4, BANK: -3, FEES: 1},
    ),
    Case(
        "payables_netted",
        lambda a: r.payables_netted("p", PAY, [(PAY_NEXT, a)]),
        {PAY: -1, PAY_NEXT: 1},
    ),
    Case("payout_returned", lambda a: r.payout_returned("p", PAY, a, "m"), {BANK: 1, PAY: 1}),
    Case("income_paid_out", lambda a: r.income_paid_out("p", FEES, a), {FEES: -1, BANK: -1}),
    Case("fee", lambda a: r.fee("f", WAL, a, "m"), {WAL: -1, FEES: 1}),
    Case("replacement_fee", lambda a: r.replacement_fee("f", WAL, a, "m"), {WAL: -1, REPLACED: 1}),
    Case("deposit_taken", lambda a: r.deposit_taken("d", WAL, a), {WAL: -1, DEPOSITS: 1}),
    Case("deposit_returned", lambda a: r.deposit_returned("d", WAL, a), {DEPOSITS: -1, WAL: 1}),
    Case(
        "concession_settled",
        lambda a: r.concession_settled("c", "elderly", a),
        {CUSTODY: 1, CONC: -1},
    ),
    Case(
        "correction",
        lambda a: r.correction("c", r.payment("p", WAL, PAY, a, "m"), "m"),
        {PAY: -1, WAL: 1},
    ),
    Case("into_suspense", lambda a: r.into_suspense("o", CASE, CUSTODY, a), {CUSTODY: 1, HELD: 1}),
    Case("out_of_suspense", lambda a: r.out_of_suspense("o", CASE, WAL, a), {HELD: -1, WAL: 1}),
    Case("debt_written_off", lambda a: r.debt_written_off(CASE, WAL, a), {LOST: 1, DEBT: -1}),
    Case("debt_paid", lambda a: r.debt_paid("t", WAL, a), {WAL: -1, DEBT: -1}),
]

PAID = r.payment("pay_1", WAL, PAY, 100, "tea", checks=("code_c",))
RODE = r.payment_with_concession(
    "pay_2", WAL, PAY, fare_fen=200, concession_fen=100, programme="elderly", memo="bus"
)


def book(transfers: list[Transfer]) -> dict[str, Account]:
    """The balances after the legs, without asking any rule."""
    after = dict(CHART)
    for one in transfers:
        after, _ = post(after, one.legs)
    return after


def grown(transfers: list[Transfer]) -> dict[str, int]:
    return {name: one.balance_fen for name, one in book(transfers).items() if one.balance_fen}
