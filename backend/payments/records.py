"""Payment rows by key, as facts of this domain; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from backend.db import Rows
from backend.kernel import is_id
from backend.payments import tables
from backend.payments.model import Method, Payer, Payment, Refund, Sell
from backend.payments.states import State

PAYMENT_FIELDS = tuple(one.name for one in fields(Payment))
REFUND_FIELDS = tuple(one.name for one in fields(Refund))


# --- payments ---------------------------------------------------------------------------------


def want_payment(rows: Rows, payment_id: str) -> None:
    """The payment of this id, and whether it was reversed before it came."""
    if is_id(payment_id, "pay"):
        rows.want(tables.payment, payment_id)
        rows.want(tables.reversal, payment_id)


def find_payment(rows: Rows, payment_id: str) -> Payment | None:
    """The payment; None also for what was never an id: bytes no column would take."""
    if not is_id(payment_id, "pay"):
        return None
    row = rows.find(tables.payment, payment_id)
    return None if row is None else to_payment(row).as_of(rows.now)


def add_payment(rows: Rows, payment: Payment) -> None:
    rows.add(tables.payment, _values(payment))


def save_payment(rows: Rows, payment: Payment) -> None:
    rows.change(
        tables.payment,
        (payment.payment_id,),
        state=payment.state.value,
        captured_fen=payment.captured_fen,
        refunded_fen=payment.refunded_fen,
        balance_fen=payment.balance_fen,
        business_date=payment.business_date,
    )


def to_payment(row: Mapping[Any, Any]) -> Payment:
    values = dict(row)
    values["state"] = State(values["state"])
    values["method"] = Method(values["method"])
    return Payment(**values)


def _values(payment: Payment) -> dict[str, Any]:
    values = {name: getattr(payment, name) for name in PAYMENT_FIELDS}
    values["state"], values["method"] = payment.state.value, payment.method.value
    return values


# --- refunds and reversals --------------------------------------------------------------------


def want_refund(rows: Rows, refund_id: str, payment_id: str) -> None:
    if is_id(payment_id, "pay"):
        rows.want(tables.refund, payment_id, refund_id)


def find_refund(rows: Rows, refund_id: str, payment_id: str) -> tuple[Refund, str] | None:
    """A payment's refund and its reason."""
    row = rows.find(tables.refund, payment_id, refund_id)
    if row is None:
        return None
    values = {name: value for name, value in row.items() if name != "reason"}
    return Refund(state="posted", **values), str(row["reason"])


def add_refund(rows: Rows, refund: Refund, reason: str) -> None:
    row = {name: getattr(refund, name) for name in REFUND_FIELDS if name != "state"}
    rows.add(tables.refund, {**row, "reason": reason})


def find_reversal(rows: Rows, payment_id: str) -> str | None:
    """The terminal that reversed this payment id before there was a payment, if one did."""
    row = rows.find(tables.reversal, payment_id)
    return None if row is None else str(row["terminal_id"])


def add_reversal(rows: Rows, payment_id: str, terminal_id: str) -> None:
    row = {"payment_id": payment_id, "terminal_id": terminal_id, "reversed_at": rows.now}
    rows.add(tables.reversal, row)


# --- what may be used once --------------------------------------------------------------------


def want_unused(rows: Rows, payer: Payer, method: Method, sale: Sell | None) -> None:
    """All rows that tell whether terminal counter and proof are still unused."""
    if sale is not None:
        rows.want(tables.terminal_sale, sale.terminal_id, sale.terminal_counter)
    if payer.token_id is not None:
        rows.want(tables.token_use, payer.token_id)
        rows.want(tables.proof_use, payer.token_id, method.value, payer.counter)
        if method is Method.TAP:
            rows.want(tables.key_use, payer.token_id, payer.key_index)


def want_terminal_sale(rows: Rows, terminal_id: str, terminal_counter: int) -> None:
    rows.want(tables.terminal_sale, terminal_id, terminal_counter)


def find_terminal_sale(rows: Rows, terminal_id: str, terminal_counter: int) -> str | None:
    """The payment this terminal made under this counter."""
    row = rows.find(tables.terminal_sale, terminal_id, terminal_counter)
    return None if row is None else str(row["payment_id"])


def add_terminal_sale(rows: Rows, terminal_id: str, counter: int, payment_id: str) -> None:
    row = {"terminal_id": terminal_id, "terminal_counter": counter, "payment_id": payment_id}
    rows.add(tables.terminal_sale, row)


def want_bill(rows: Rows, shop_id: str, bill_number: str) -> None:
    rows.want(tables.paid_bill, shop_id, bill_number)


def find_paid_bill(rows: Rows, shop_id: str, bill_number: str) -> str | None:
    """The payment that paid a shop's bill."""
    row = rows.find(tables.paid_bill, shop_id, bill_number)
    return None if row is None else str(row["payment_id"])


def add_paid_bill(rows: Rows, shop_id: str, bill_number: str, payment_id: str) -> None:
    row = {"shop_id": shop_id, "bill_number": bill_number, "payment_id": payment_id}
    rows.add(tables.paid_bill, row)


def free_bill(rows: Rows, payment: Payment) -> None:
    """A bill whose payment was taken back may be paid again."""
    if payment.bill_number is None:
        return
    if find_paid_bill(rows, payment.shop_id, payment.bill_number) == payment.payment_id:
        rows.remove(tables.paid_bill, payment.shop_id, payment.bill_number)


def is_proof_used(rows: Rows, payer: Payer, method: Method) -> bool:
    # The token first: who holds it holds every proof of it.
    rows.find(tables.token_use, payer.token_id)
    return rows.find(tables.proof_use, payer.token_id, method.value, payer.counter) is not None


def count_key_uses(rows: Rows, payer: Payer) -> int:
    """Taps made under one limited-use key."""
    row = rows.find(tables.key_use, payer.token_id, payer.key_index)
    return 0 if row is None else int(row["taps"])


def highest_atc(rows: Rows, token_id: str) -> int | None:
    """The highest counter seen of a token's taps."""
    row = rows.find(tables.token_use, token_id)
    return None if row is None else row["atc_highest"]


def add_proof_use(rows: Rows, payer: Payer, method: Method, payment_id: str) -> None:
    """The proof is used; a tap counts for its key and raises its token's counter."""
    row = {
        "token_id": payer.token_id,
        "kind": method.value,
        "counter": payer.counter,
        "key_index": payer.key_index,
        "payment_id": payment_id,
        "used_at": rows.now,
    }
    rows.add(tables.proof_use, row)
    is_tap = method is Method.TAP
    _raise_atc(rows, payer, is_tap=is_tap)
    if is_tap:
        _count_key_use(rows, payer)


def _raise_atc(rows: Rows, payer: Payer, *, is_tap: bool) -> None:
    atc = payer.counter if is_tap else None
    row = rows.find(tables.token_use, payer.token_id)
    if row is None:
        rows.add(tables.token_use, {"token_id": payer.token_id, "atc_highest": atc})
    elif atc is not None and atc > (row["atc_highest"] or -1):
        rows.change(tables.token_use, (payer.token_id,), atc_highest=atc)


def _count_key_use(rows: Rows, payer: Payer) -> None:
    key = (payer.token_id, payer.key_index)
    row = rows.find(tables.key_use, *key)
    if row is None:
        rows.add(tables.key_use, {"token_id": key[0], "key_index": key[1], "taps": 1})
    else:
        rows.change(tables.key_use, key, taps=row["taps"] + 1)
