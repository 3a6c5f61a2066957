"""Orders to pay out, as rows: held in the ledger, sealed, told to the outbox, settled once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from backend.db import Rows
from backend.kernel import is_id
from backend.keys import KeyRef, Keys
from backend.wallet import recipes
from backend.wallet.accounts import CHANNEL_BANK, suspense_id
from backend.wallet.bank import ChargeState
from backend.wallet.bank.patience import ASK_AGAIN_SECONDS
from backend.wallet.bank.payouts import PayoutOutcome
from backend.wallet.ledger import Ledger, Leg, Transfer
from backend.wallet.ledger.tables import posting
from backend.wallet.life.errors import RedemptionExists
from backend.wallet.life.model import Redemption, RedemptionKind
from backend.wallet.life.states import RedemptionState
from backend.wallet.life.tables import redemption
from backend.wallet.topups.model import BankCardInvalid
from card_protocol.token_number import is_luhn_valid

REQUESTED = "redemption_requested"


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be paid out: to whom, out of what; `bank_card` in plain, never printed."""

    redemption_id: str
    kind: RedemptionKind
    wallet_id: str
    person_id: str
    amount_fen: int
    bank_card: str
    case_id: str | None = None

    def __repr__(self) -> str:
        return f"Draft({self.redemption_id}, <secret>)"


@dataclass(frozen=True, slots=True)
class Orders:
    """Makes and settles orders inside somebody's decision."""

    ledger: Ledger
    keys: Keys

    def place(self, rows: Rows, draft: Draft) -> Redemption:
        """Hold the money and order it.

        Raises BankCardInvalid, RedemptionExists, and what the ledger refuses.
        """
        check_bank_card(draft.bank_card)
        if self.ledger.is_posted(rows, draft.redemption_id):
            raise RedemptionExists
        leg = _leg(draft)
        self.ledger.hold(rows, draft.redemption_id, leg, expires_at=None)
        sealed = self.keys.encrypt(
            KeyRef.PII_CIPHER, draft.bank_card.encode(), _place(draft.redemption_id)
        )
        row = {
            "redemption_id": draft.redemption_id,
            "kind": draft.kind.value,
            "wallet_id": draft.wallet_id,
            "case_id": draft.case_id,
            "person_id": draft.person_id,
            "amount_fen": draft.amount_fen,
            "state": RedemptionState.PROCESSING.value,
            "failure_code": None,
            "bank_card_sealed": sealed,
            "bank_card_end": draft.bank_card[-4:],
            "created_at": rows.now,
            "settled_at": None,
            "ask_again_at": rows.now + timedelta(seconds=ASK_AGAIN_SECONDS),
        }
        rows.add(redemption, row)
        rows.tell(REQUESTED, redemption_id=draft.redemption_id)
        return redemption_of(row)

    def settle(self, rows: Rows, row: Mapping[str, Any], outcome: PayoutOutcome) -> bool:
        """Post the hold or release it, by the bank's word; whether it was paid."""
        redemption_id = row["redemption_id"]
        paid = outcome.state is ChargeState.PAID
        if paid:
            self.ledger.post_hold(rows, redemption_id, _transfer(row))
        else:
            self.ledger.void_hold(rows, redemption_id)
        state = RedemptionState.SUCCEEDED if paid else RedemptionState.FAILED
        rows.change(
            redemption,
            (redemption_id,),
            state=state.value,
            failure_code=None if paid else outcome.reason,
            bank_reference=outcome.reference,
            settled_at=rows.now,
            ask_again_at=None,
        )
        return paid

    def bank_card(self, row: Mapping[str, Any]) -> str:
        """The card number of an order, in plain."""
        place = _place(row["redemption_id"])
        return self.keys.decrypt(KeyRef.PII_CIPHER, row["bank_card_sealed"], place).decode()


def check_bank_card(number: str) -> None:
    """Raises BankCardInvalid."""
    if not is_luhn_valid(number):
        raise BankCardInvalid


def want(rows: Rows, redemption_id: str) -> None:
    """Want the order, and whether its id was posted."""
    if is_id(redemption_id, "red"):
        rows.want(redemption, redemption_id)
        rows.want(posting, redemption_id, 0)


def find(rows: Rows, redemption_id: str) -> Mapping[str, Any] | None:
    """The row; None also for what was never an id: bytes no column would take."""
    return rows.find(redemption, redemption_id) if is_id(redemption_id, "red") else None


def find_same(rows: Rows, draft: Draft, *, any_amount: bool = False) -> Redemption | None:
    """The order this draft made before. Raises RedemptionExists.

    any_amount: the amount is what was left at the time, not what is asked for.
    """
    row = find(rows, draft.redemption_id)
    if row is None:
        return None
    same = (
        row["kind"] == draft.kind.value
        and (row["wallet_id"], row["case_id"]) == (draft.wallet_id, draft.case_id)
        and row["person_id"] == draft.person_id
        and row["bank_card_end"] == draft.bank_card[-4:]
        and (any_amount or row["amount_fen"] == draft.amount_fen)
    )
    if not same:
        raise RedemptionExists
    return redemption_of(row)


def redemption_of(row: Mapping[str, Any]) -> Redemption:
    return Redemption(
        redemption_id=row["redemption_id"],
        kind=RedemptionKind(row["kind"]),
        wallet_id=row["wallet_id"],
        case_id=row["case_id"],
        amount_fen=row["amount_fen"],
        state=RedemptionState(row["state"]),
        failure_code=row["failure_code"],
        bank_card_masked=f"····{row['bank_card_end']}",
        created_at=row["created_at"],
        settled_at=row["settled_at"],
        ask_again_at=row["ask_again_at"],
    )


def _leg(draft: Draft) -> Leg:
    if draft.case_id is not None:
        return Leg(suspense_id(draft.case_id), CHANNEL_BANK, draft.amount_fen)
    return recipes.redeem_leg(draft.wallet_id, draft.amount_fen)


def _transfer(row: Mapping[str, Any]) -> Transfer:
    """The posting in the hold's place; the history shows the card's end, never the card."""
    redemption_id, amount_fen = row["redemption_id"], row["amount_fen"]
    memo = f"····{row['bank_card_end']}"
    kind = RedemptionKind(row["kind"])
    if kind is RedemptionKind.CASE:
        return recipes.out_of_suspense(
            redemption_id, row["case_id"], CHANNEL_BANK, amount_fen, memo
        )
    if kind is RedemptionKind.CLOSING:
        return recipes.close(redemption_id, row["wallet_id"], amount_fen, memo)
    return recipes.redeem(redemption_id, row["wallet_id"], amount_fen, memo)


def _place(redemption_id: str) -> bytes:
    return f"redemption.bank_card:{redemption_id}".encode()
