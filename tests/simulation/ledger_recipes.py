"""Every recipe of money with its figures picked at random, on one small city."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import permutations
from random import Random
from typing import Any

from hypothesis import strategies as st

from backend.kernel import AMOUNT_MAX_FEN, Words
from backend.wallet import accounts as a
from backend.wallet import recipes as r
from backend.wallet.ledger import Account, Leg, Limit, Limits, Period, Transfer

WALLETS = ("wal_a", "wal_b", "wal_c")
CLASSES = ("registered", "class_1", "unregistered")
CARDS, LOADS, CASES = ("crd_a", "crd_b"), ("lod_1", "lod_2", "lod_3"), ("case_1", "case_2")
PROGRAMMES, BANKS = ("elderly", "student"), ("main", "second")
PAYABLES = tuple(
    a.payable_id(shop, day)
    for shop in ("mer_a", "mer_b")
    for day in (date(2026, 12, 31), date(2027, 1, 1))
)
CHECKS = ((), ("code_c",), ("code_d",))


def chart() -> list[Account]:
    """The accounts of the city."""
    merchants = [("mer_a", date(2026, 12, 31)), ("mer_a", date(2027, 1, 1))]
    merchants += [("mer_b", day) for _, day in merchants]
    return [
        *a.house_accounts(),
        a.custody_account("second"),
        *(a.wallet_account(*one) for one in zip(WALLETS, CLASSES, strict=True)),
        *(a.ride_debt_account(one) for one in WALLETS),
        *(a.epurse_float_account(one) for one in CARDS),
        *(a.load_transit_account(one) for one in LOADS),
        *(a.payable_account(*one) for one in merchants),
        *(a.concession_account(one) for one in PROGRAMMES),
        *(a.suspense_account(one) for one in CASES),
    ]


def _limit(
    rule: str,
    account_class: str,
    counter: str | None,
    period: Period,
    figures: tuple[int | None, int | None],
    *,
    since: date = date(2016, 7, 1),
) -> Limit:
    """`figures`: the highest amount, how many times."""
    article = Words(zh=f"办法：{rule}", en=f"Measures: {rule}")
    return Limit(rule, account_class, counter, period, *figures, since, article)


NEW_YEAR = date(2027, 1, 1)
LIMITS = [
    _limit("balance_a", "registered", None, Period.BALANCE, (9_000, None)),
    _limit("balance_a", "registered", None, Period.BALANCE, (8_000, None), since=NEW_YEAR),
    _limit("balance_c", "unregistered", None, Period.BALANCE, (7_000, None)),
    _limit("balance_debt", "ride_debt", None, Period.BALANCE, (500, None)),
    _limit("sale", "*", "spend", Period.SALE, (1_300, None)),
    _limit("day_a", "registered", "spend", Period.DAY, (2_000, 4)),
    _limit("day_a", "registered", "spend", Period.DAY, (1_500, 3), since=NEW_YEAR),
    _limit("year_a", "registered", "spend", Period.YEAR, (2_500, None)),
    _limit("ever_b", "class_1", "spend", Period.EVER, (3_000, None)),
    _limit("ever_late", "unregistered", "spend", Period.EVER, (None, 4), since=date(2027, 1, 2)),
    _limit("code_c_day", "*", "code_c", Period.DAY, (1_000, 2)),
    _limit("code_c_day", "*", "code_c", Period.DAY, (None, None), since=date(2027, 1, 3)),
    _limit("code_d_year", "*", "code_d", Period.YEAR, (1_200, None), since=date(2026, 12, 31)),
    _limit("cash_day", "*", "cash_top_up", Period.DAY, (1_200, None)),
    _limit("cash_year", "*", "cash_top_up", Period.YEAR, (None, 4)),
]


def limits() -> Limits:
    return Limits(LIMITS)


@dataclass(frozen=True, slots=True)
class Pick:
    """What a recipe may ask for; each takes what it needs."""

    op: str
    wal: str
    other: str
    card: str
    pay: str
    other_pay: str
    load: str
    case: str
    programme: str
    channel: a.Channel
    checks: tuple[str, ...]
    fen: int
    part_fen: int  # 0 to fen

    @property
    def rest_fen(self) -> int:
        return self.fen - self.part_fen

    @property
    def cash(self) -> tuple[str, ...]:
        return ("cash_top_up",) if self.channel is a.Channel.COUNTER_CASH else ()

    @property
    def fare(self) -> dict[str, Any]:
        return {"memo": "m", "checks": self.checks}

    @property
    def back(self) -> dict[str, Any]:
        return {"payable_id": self.pay, "memo": "m"}


SMALL_FEN = st.one_of(st.integers(1, 900), st.sampled_from([300, 1_200, 1_500]))
FEN = st.one_of(SMALL_FEN, st.sampled_from([3_000, 9_000, AMOUNT_MAX_FEN, AMOUNT_MAX_FEN + 1]))
PAIRS = list(permutations(WALLETS, 2))
DAYS = list(permutations(PAYABLES, 2))


def pick_of(
    fen: int, quarters: int, who: tuple[str, str], where: tuple[str, str], other: int
) -> Pick:
    """What matters less is read off one number, 0 to 215: a failure is soon short."""
    return Pick(
        op="",
        wal=who[0],
        other=who[1],
        card=CARDS[other % 2],
        pay=where[0],
        other_pay=where[1],
        load=LOADS[other % 3],
        case=CASES[other // 3 % 2],
        programme=PROGRAMMES[other // 6 % 2],
        channel=list(a.Channel)[other // 12 % 3],
        checks=CHECKS[other // 36 % 3],
        fen=fen,
        part_fen=quarters * fen // 4,
    )


def picks(amounts: st.SearchStrategy[int] = FEN) -> st.SearchStrategy[Pick]:
    pairs, days = st.sampled_from(PAIRS), st.sampled_from(DAYS)
    return st.builds(pick_of, amounts, st.integers(0, 4), pairs, days, st.integers(0, 215))


def random_pick(rng: Random, *, is_small: bool) -> Pick:
    fen = rng.choice([rng.randint(1, 900), rng.randint(1, 900), 300, 1_200, 1_500])
    if not is_small and rng.random() < 0.2:
        fen = rng.choice([3_000, 9_000, AMOUNT_MAX_FEN, AMOUNT_MAX_FEN + 1])
    return pick_of(fen, rng.randint(0, 4), rng.choice(PAIRS), rng.choice(DAYS), rng.randint(0, 215))


def _sale(p: Pick) -> Transfer:
    return r.payment(p.op, p.wal, p.pay, p.fen, "m", checks=p.checks)


def _with_concession(p: Pick) -> Transfer:
    shares: dict[str, Any] = {
        "fare_fen": p.fen,
        "concession_fen": p.part_fen,
        "programme": p.programme,
    }
    return r.payment_with_concession(p.op, p.wal, p.pay, **shares, **p.fare)


def _into_debt(p: Pick) -> Transfer:
    shares: dict[str, Any] = {"wallet_fen": p.part_fen, "debt_fen": p.rest_fen}
    return r.payment_into_debt(p.op, p.wal, p.pay, **shares, **p.fare)


def _offline_sale(p: Pick) -> Transfer:
    debt_fen = p.rest_fen // 2
    shares: dict[str, Any] = {
        "wallet_fen": p.part_fen,
        "debt_fen": debt_fen,
        "loss_fen": p.rest_fen - debt_fen,
    }
    return r.offline_sale(p.op, p.wal, p.pay, **shares, **p.fare)


def _refund_with_loss(p: Pick) -> Transfer:
    shares: dict[str, Any] = {"home_fen": p.part_fen, "loss_fen": p.rest_fen}
    return r.refund_with_loss(p.op, "pay_1", home_id=p.wal, **shares, **p.back)


def _refund_with_concession(p: Pick) -> Transfer:
    shares: dict[str, Any] = {
        "wallet_fen": p.part_fen,
        "concession_fen": p.rest_fen,
        "programme": p.programme,
    }
    return r.refund_with_concession(p.op, "pay_1", wallet_id=p.wal, **shares, **p.back)


def _top_up(p: Pick) -> Transfer:
    more: dict[str, Any] = {"channel": p.channel, "counts": p.cash}
    return r.top_up(p.op, p.wal, p.fen, "m", debt_fen=p.part_fen, **more)


def _cash_back(p: Pick) -> Transfer:
    more: dict[str, Any] = {"channel": p.channel, "gives_back": p.cash}
    return r.top_up_reversal(p.op, p.wal, p.fen, "m", **more)


def _custody(p: Pick) -> str:
    return a.custody_id(BANKS[p.fen % 2])


RECIPES: Mapping[str, Callable[[Pick], Transfer]] = {
    "advance_paid_in": lambda p: r.advance_paid_in(p.op, p.fen),
    "advance_paid_out": lambda p: r.advance_paid_out(p.op, p.fen),
    "close": lambda p: r.close(p.op, p.wal, p.fen, "m"),
    "concession_settled": lambda p: r.concession_settled(p.op, p.programme, p.fen),
    "correction": lambda p: r.correction(p.op, _sale(p), "m"),
    "custody_matched": lambda p: r.custody_matched(
        p.op, p.fen, channel=p.channel, custody_id=_custody(p)
    ),
    "custody_moved": lambda p: r.custody_moved(
        p.op, a.custody_id(BANKS[0]), a.custody_id(BANKS[1]), p.fen
    ),
    "custody_paid_out": lambda p: r.custody_paid_out(p.op, p.fen, channel=p.channel),
    "debt_paid": lambda p: r.debt_paid(p.op, p.wal, p.fen),
    "debt_written_off": lambda p: r.debt_written_off(p.case, p.wal, p.fen),
    "deposit_returned": lambda p: r.deposit_returned(p.op, p.wal, p.fen),
    "deposit_taken": lambda p: r.deposit_taken(p.op, p.wal, p.fen),
    "epurse_purchase": lambda p: r.epurse_purchase(p.card, p.fen % 7, p.pay, p.fen, "m"),
    "epurse_purchase_borne": lambda p: r.epurse_purchase_borne(
        p.card, p.fen % 7, p.pay, p.fen, "m"
    ),
    "epurse_unloaded": lambda p: r.epurse_unloaded(p.op, p.card, p.wal, p.fen),
    "fee": lambda p: r.fee(p.op, p.wal, p.fen, "m"),
    "income_paid_out": lambda p: r.income_paid_out(p.op, a.FEE_INCOME, p.fen),
    "into_suspense": lambda p: r.into_suspense(p.op, p.case, p.pay, p.fen),
    "load": lambda p: r.load(p.load, p.wal, p.fen),
    "load_returned": lambda p: r.load_returned(p.load, p.wal, p.fen),
    "load_written": lambda p: r.load_written(p.load, p.card, p.fen),
    "merchant_payout": lambda p: r.merchant_payout(p.op, p.pay, p.fen, fee_fen=p.part_fen),
    "moved_to_replacement": lambda p: r.moved_to_replacement(p.op, p.wal, p.other, p.fen),
    "offline_sale": _offline_sale,
    "out_of_suspense": lambda p: r.out_of_suspense(p.op, p.case, p.wal, p.fen),
    "own_transfer": lambda p: r.own_transfer(p.op, p.wal, p.other, p.fen),
    "payables_netted": lambda p: r.payables_netted(p.op, p.pay, [(p.other_pay, p.fen)]),
    "payment": _sale,
    "payment_into_debt": _into_debt,
    "payment_with_concession": _with_concession,
    "payout_returned": lambda p: r.payout_returned(p.op, p.pay, p.fen, "m"),
    "redeem": lambda p: r.redeem(p.op, p.wal, p.fen, "m", channel=p.channel),
    "refund": lambda p: r.refund(p.op, "pay_1", wallet_id=p.wal, amount_fen=p.fen, **p.back),
    "refund_to_suspense": lambda p: r.refund_to_suspense(
        p.op, "pay_1", case_id=p.case, amount_fen=p.fen, **p.back
    ),
    "refund_with_concession": _refund_with_concession,
    "refund_with_loss": _refund_with_loss,
    "replacement_fee": lambda p: r.replacement_fee(p.op, p.wal, p.fen, "m"),
    "reversal": lambda p: r.reversal(p.op, p.wal, p.pay, p.fen, **p.fare),
    "reversal_of": lambda p: r.reversal_of(_into_debt(p)),
    "top_up": _top_up,
    "top_up_reversal": _cash_back,
}

HOLDS: Mapping[str, tuple[Callable[[Pick], Leg], Callable[[Pick], Transfer]]] = {
    "payment_leg": (
        lambda p: r.payment_leg(p.wal, p.pay, p.fen),
        lambda p: r.capture(p.op, p.wal, p.pay, p.fen, "m"),
    ),
    "payout_leg": (
        lambda p: r.payout_leg(p.pay, p.fen),
        lambda p: r.merchant_payout(p.op, p.pay, p.fen),
    ),
    "redeem_leg": (
        lambda p: r.redeem_leg(p.wal, p.fen, channel=p.channel),
        lambda p: r.redeem(p.op, p.wal, p.fen, "m", channel=p.channel),
    ),
    "top_up_leg": (
        lambda p: r.top_up_leg(p.wal, p.fen, channel=p.channel),
        lambda p: r.top_up(p.op, p.wal, p.fen, "m", channel=p.channel, debt_fen=p.part_fen),
    ),
}
"""What makes a hold, and what is posted in its place."""

NO_MOVES = frozenset({"step", "split_fen", "refund_shares", "epurse_purchase_id", "capture"})
"""Names in the recipes that are no move of their own; a capture stands beside its hold."""
