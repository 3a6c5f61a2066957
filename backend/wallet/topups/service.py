"""Top-up in steps: promised in the ledger, ordered from the bank, settled once by its word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.db import Decide, Event, Operation, Rows, Units, Which
from backend.kernel import ANY_AMOUNT, AmountRange
from backend.keys import KeyRef, Keys
from backend.wallet import recipes
from backend.wallet.bank import Bank, BankUnreachable, ChargeOutcome, ChargeState, read_notice
from backend.wallet.bank.patience import wait_for_word
from backend.wallet.ledger import Ledger
from backend.wallet.model import WalletUnknown
from backend.wallet.tables import wallet
from backend.wallet.topups.model import (
    RequestTopUp,
    TopUp,
    TopUpExists,
    TopUpState,
    TopUpUnknown,
)
from backend.wallet.topups.records import (
    REQUESTED,
    card_context,
    check_card,
    find_topup,
    new_row,
    promise,
    want_topup,
)
from backend.wallet.topups.settling import Settle

__all__ = ["REQUESTED", "TopUps"]


@dataclass(frozen=True, slots=True)
class TopUps:
    """Each method is one command; `instruct` and `settle` bear being called twice."""

    units: Units
    ledger: Ledger
    keys: Keys
    bank: Bank
    amounts: AmountRange = ANY_AMOUNT

    def request(self, command: RequestTopUp, operation: Operation) -> TopUp:
        """Promise the amount and order it from the bank.

        The id decides: the same order asked for again is one order. Raises WalletUnknown,
        BankCardInvalid, CreditCardRefused, TopUpExists, CeilingExceeded (which counts top-ups
        already under way), AccountFrozen, AccountClosed.
        """
        leg = recipes.top_up_leg(command.wallet_id, command.amount_fen)

        def needs(rows: Rows) -> bool:
            want_topup(rows, command.topup_id)
            rows.want(wallet, command.wallet_id)
            self.ledger.need(rows, (leg.debit, leg.credit))
            return False

        def decide(rows: Rows) -> TopUp:
            return self._request(rows, command)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def get(self, topup_id: str, person_id: str) -> TopUp:
        """The person's top-up. Raises TopUpUnknown."""
        with self.units.read(Which.LEDGER) as work:
            row = find_topup(work.rows, topup_id)
        if row is None or row["person_id"] != person_id:
            raise TopUpUnknown
        return _topup(row)

    def instruct(self, event: Event) -> None:
        """Outbox: order the money, or ask what became of it; until the bank has spoken.

        Raises BankSilent after three days: the outbox then parks the event for a person.
        """
        topup_id = str(event.payload["topup_id"])
        with self.units.read(Which.LEDGER) as work:
            row = find_topup(work.rows, topup_id)
        if row is None or row["state"] != TopUpState.PROCESSING.value:
            return
        age_seconds = (self.units.clock.now() - row["created_at"]).total_seconds()
        try:
            outcome = self._ask_bank(row)
        except BankUnreachable:
            outcome = ChargeOutcome(ChargeState.PROCESSING)
        if outcome.state is ChargeState.PROCESSING:
            wait_for_word(topup_id, age_seconds)
        self.settle(topup_id, outcome)

    def receive_notice(self, headers: Mapping[str, str], body: bytes) -> None:
        """The bank's own word, signed. Raises NoticeRefused; a repeated notice changes nothing.

        A word about another amount or card than was ordered credits nothing: it becomes a case.
        """
        order_id, outcome = read_notice(
            headers,
            body,
            self.units.clock.now(),
            lambda data: self.keys.mac(KeyRef.BANK_NOTICES, data),
        )
        self.settle(order_id, outcome)

    def settle(self, topup_id: str, outcome: ChargeOutcome) -> None:
        """Credit or give up, once: a top-up that is settled stays as it is."""
        if outcome.state in (ChargeState.PAID, ChargeState.DECLINED):
            self.units.decide(Which.LEDGER, Settle(self.ledger, topup_id, outcome))

    def _request(self, rows: Rows, command: RequestTopUp) -> TopUp:
        self.amounts.check(command.amount_fen)
        check_card(self.bank, command.bank_card)
        owned = rows.find(wallet, command.wallet_id)
        if owned is None or owned["person_id"] != command.person_id:
            raise WalletUnknown
        if (known := find_topup(rows, command.topup_id)) is not None:
            return _same(known, command)
        row = self._row(rows, command)
        promise(rows, self.ledger, row)
        return _topup(row)

    def _row(self, rows: Rows, command: RequestTopUp) -> dict[str, Any]:
        return new_row(
            rows,
            self.keys,
            topup_id=command.topup_id,
            wallet_id=command.wallet_id,
            person_id=command.person_id,
            amount_fen=command.amount_fen,
            bank_card=command.bank_card,
        )

    def _ask_bank(self, row: Mapping[str, Any]) -> ChargeOutcome:
        """Ask first, then order: an order is never lost, and its id keeps it from doubling."""
        topup_id = row["topup_id"]
        outcome = self.bank.query(topup_id)
        if outcome.state is not ChargeState.UNKNOWN:
            return outcome
        context = card_context(topup_id)
        card = self.keys.decrypt(KeyRef.PII_CIPHER, row["bank_card_sealed"], context).decode()
        return self.bank.charge(topup_id, card, row["amount_fen"])


def _same(row: Mapping[str, Any], command: RequestTopUp) -> TopUp:
    """The top-up this command asked for before. Raises TopUpExists."""
    known = (row["person_id"], row["wallet_id"], row["amount_fen"], row["bank_card_end"])
    asked = (command.person_id, command.wallet_id, command.amount_fen, command.bank_card[-4:])
    if known != asked:
        raise TopUpExists
    return _topup(row)


def _topup(row: Mapping[str, Any]) -> TopUp:
    return TopUp(
        topup_id=row["topup_id"],
        wallet_id=row["wallet_id"],
        person_id=row["person_id"],
        amount_fen=row["amount_fen"],
        state=TopUpState(row["state"]),
        failure_code=row["failure_code"],
        created_at=row["created_at"],
        settled_at=row["settled_at"],
        ask_again_at=row["ask_again_at"],
        bank_card_masked=f"····{row['bank_card_end']}",
        automatic=row["order_id"] is not None,
    )
