"""Reads and writes payment rows inside a unit of work; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, func, insert, select, text, update

from backend.db import Work
from backend.kernel import check_id
from backend.kernel.ids import IdInvalid
from backend.payments import tables
from backend.payments.model import Method, Payment, Refund
from backend.payments.states import State

TAP = "tap"


def lock_id(work: Work, payment_id: str) -> None:
    """Wait until nobody else decides about this payment id, be there a payment yet or not.

    Rows that are not there cannot be locked: without this a sale and its reversal, or two
    uploads of one sale, would not see each other. SQLite has one writer and needs nothing.
    """
    if work.connection.dialect.name == "postgresql":
        wait = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 1))")
        work.execute(wait, {"name": payment_id})


def find_payment(work: Work, payment_id: str, *, locked: bool = False) -> Payment | None:
    """The payment; None also for what was never an id: bytes no column would take."""
    try:
        check_id(payment_id, "pay")
    except IdInvalid:
        return None
    query = select(tables.payment).where(tables.payment.c.payment_id == payment_id)
    row = work.execute(query.with_for_update() if locked else query).mappings().one_or_none()
    return None if row is None else to_payment(row)


def add_payment(work: Work, payment: Payment) -> None:
    work.execute(insert(tables.payment).values(_values(payment)))


def save_payment(work: Work, payment: Payment) -> None:
    changes = {
        "state": payment.state.value,
        "captured_fen": payment.captured_fen,
        "refunded_fen": payment.refunded_fen,
        "balance_fen": payment.balance_fen,
        "business_date": payment.business_date,
    }
    at = tables.payment.c.payment_id == payment.payment_id
    work.execute(update(tables.payment).where(at).values(changes))


def find_refund(work: Work, refund_id: str, payment_id: str) -> tuple[Refund, str] | None:
    """A payment's refund and its reason."""
    query = select(tables.refund).where(
        tables.refund.c.payment_id == payment_id, tables.refund.c.refund_id == refund_id
    )
    row = work.execute(query).mappings().one_or_none()
    if row is None:
        return None
    values = {name: value for name, value in row.items() if name != "reason"}
    return Refund(state="posted", **values), str(row["reason"])


def add_refund(work: Work, refund: Refund, reason: str) -> None:
    row = {name: value for name, value in asdict(refund).items() if name != "state"}
    work.execute(insert(tables.refund).values({**row, "reason": reason}))


def find_reversal(work: Work, payment_id: str) -> str | None:
    """The terminal that reversed this payment id, if one did."""
    query = select(tables.reversal.c.terminal_id)
    row = work.one(query.where(tables.reversal.c.payment_id == payment_id))
    return None if row is None else str(row.terminal_id)


def add_reversal(work: Work, payment_id: str, terminal_id: str) -> None:
    row = {"payment_id": payment_id, "terminal_id": terminal_id, "reversed_at": work.now}
    work.execute(insert(tables.reversal).values(row))


def find_terminal_sale(work: Work, terminal_id: str, terminal_counter: int) -> str | None:
    """The payment this terminal made under this counter."""
    sale = tables.terminal_sale
    row = work.one(
        select(sale.c.payment_id).where(
            sale.c.terminal_id == terminal_id, sale.c.terminal_counter == terminal_counter
        )
    )
    return None if row is None else str(row.payment_id)


def add_terminal_sale(work: Work, terminal_id: str, counter: int, payment_id: str) -> None:
    row = {"terminal_id": terminal_id, "terminal_counter": counter, "payment_id": payment_id}
    work.execute(insert(tables.terminal_sale).values(row))


def find_paid_bill(work: Work, shop_id: str, bill_number: str) -> str | None:
    """The payment that paid a shop's bill."""
    bill = tables.paid_bill
    row = work.one(
        select(bill.c.payment_id).where(
            bill.c.shop_id == shop_id, bill.c.bill_number == bill_number
        )
    )
    return None if row is None else str(row.payment_id)


def add_paid_bill(work: Work, shop_id: str, bill_number: str, payment_id: str) -> None:
    row = {"shop_id": shop_id, "bill_number": bill_number, "payment_id": payment_id}
    work.execute(insert(tables.paid_bill).values(row))


def free_bill(work: Work, payment_id: str, shop_id: str, bill_number: str | None) -> None:
    """A bill whose payment was taken back may be paid again."""
    bill = tables.paid_bill
    work.execute(
        delete(bill).where(
            bill.c.shop_id == shop_id,
            bill.c.bill_number == bill_number,
            bill.c.payment_id == payment_id,
        )
    )


def is_proof_used(work: Work, token_id: str, kind: str, counter: int) -> bool:
    use = tables.proof_use
    query = select(use.c.payment_id).where(
        use.c.token_id == token_id, use.c.kind == kind, use.c.counter == counter
    )
    return work.one(query) is not None


def count_key_uses(work: Work, token_id: str, key_index: int) -> int:
    """Taps made under one limited-use key."""
    use = tables.proof_use
    query = select(func.count()).where(
        use.c.token_id == token_id, use.c.kind == TAP, use.c.key_index == key_index
    )
    return int(work.execute(query).scalar_one())


def highest_atc(work: Work, token_id: str) -> int | None:
    """The highest counter seen of a token."""
    use = tables.proof_use
    query = select(func.max(use.c.counter)).where(use.c.token_id == token_id, use.c.kind == TAP)
    highest = work.execute(query).scalar_one_or_none()
    return None if highest is None else int(highest)


def add_proof_use(work: Work, **use: Any) -> None:
    work.execute(insert(tables.proof_use).values(used_at=work.now, **use))


def to_payment(row: Mapping[Any, Any]) -> Payment:
    values = dict(row)
    values["state"] = State(values["state"])
    values["method"] = Method(values["method"])
    return Payment(**values)


def _values(payment: Payment) -> dict[str, Any]:
    return {**asdict(payment), "state": payment.state.value, "method": payment.method.value}
