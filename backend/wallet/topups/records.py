"""Rows of top-ups from bank cards: looked for, made, promised; whoever asks for the money."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from backend.db import Rows
from backend.kernel import is_id
from backend.keys import KeyRef, Keys
from backend.wallet import recipes
from backend.wallet.bank import Bank, CardKind
from backend.wallet.bank.patience import ASK_AGAIN_SECONDS
from backend.wallet.ledger import Ledger
from backend.wallet.topups.model import BankCardInvalid, CreditCardRefused, TopUpState
from backend.wallet.topups.tables import topup
from card_protocol.token_number import is_luhn_valid

REQUESTED = "topup_requested"


def check_card(bank: Bank, bank_card: str) -> None:
    """Raises BankCardInvalid for a wrong check digit, CreditCardRefused for a credit card.

    A card in no table passes: the bank itself says no to it.
    """
    if not is_luhn_valid(bank_card):
        raise BankCardInvalid
    if bank.card_kind(bank_card) is CardKind.CREDIT:
        raise CreditCardRefused


def card_context(topup_id: str) -> bytes:
    """What a sealed card number is bound to."""
    return f"topup.bank_card:{topup_id}".encode()


def want_topup(rows: Rows, topup_id: str) -> None:
    if is_id(topup_id, "top"):
        rows.want(topup, topup_id)


def find_topup(rows: Rows, topup_id: str) -> Mapping[str, Any] | None:
    """The row; None also for what was never an id: bytes no column would take."""
    return rows.find(topup, topup_id) if is_id(topup_id, "top") else None


def new_row(
    rows: Rows,
    keys: Keys,
    *,
    topup_id: str,
    wallet_id: str,
    person_id: str,
    amount_fen: int,
    bank_card: str,
    order_id: str | None = None,
) -> dict[str, Any]:
    """The row of a top-up that begins now; `order_id`: the standing order that asks for it."""
    sealed = keys.encrypt(KeyRef.PII_CIPHER, bank_card.encode(), card_context(topup_id))
    return {
        "topup_id": topup_id,
        "wallet_id": wallet_id,
        "person_id": person_id,
        "amount_fen": amount_fen,
        "state": TopUpState.PROCESSING.value,
        "bank_card_sealed": sealed,
        "bank_card_end": bank_card[-4:],
        "created_at": rows.now,
        "failure_code": None,
        "settled_at": None,
        "ask_again_at": rows.now + timedelta(seconds=ASK_AGAIN_SECONDS),
        "order_id": order_id,
    }


def promise(rows: Rows, ledger: Ledger, row: Mapping[str, Any]) -> None:
    """Make the money pending in the ledger and have the worker order it from the bank.

    Raises CeilingExceeded, AccountFrozen, AccountClosed.
    """
    leg = recipes.top_up_leg(row["wallet_id"], row["amount_fen"])
    ledger.hold(rows, row["topup_id"], leg, expires_at=None)
    rows.add(topup, row)
    rows.tell(REQUESTED, topup_id=row["topup_id"])
