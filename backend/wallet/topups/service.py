"""Top-up in steps: promised in the ledger, ordered from the bank, settled once by its word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import Row, insert, select, update

from backend.db import Event, Operation, Units, Which, Work
from backend.db.outbox import AskAgain
from backend.kernel import ANY_AMOUNT, AmountRange, check_id
from backend.kernel.ids import IdInvalid
from backend.keys import KeyRef, Keys
from backend.wallet import recipes
from backend.wallet.bank import Bank, BankUnreachable, ChargeOutcome, ChargeState, read_notice
from backend.wallet.ledger import Journal
from backend.wallet.model import WalletUnknown
from backend.wallet.tables import wallet
from backend.wallet.topups.model import (
    BankCardInvalid,
    RequestTopUp,
    TopUp,
    TopUpExists,
    TopUpState,
    TopUpUnknown,
)
from backend.wallet.topups.tables import topup
from card_protocol.token_number import is_luhn_valid

log = structlog.get_logger(__name__)

REQUESTED = "topup_requested"
ASK_AGAIN_SECONDS = 1.0
ASK_AGAIN_MAX_SECONDS = 300.0
SILENCE_MAX_SECONDS = 3 * 24 * 3600.0


class BankSilent(Exception):
    """Days without a word on an order: nobody's refusal, a matter between operator and bank."""


@dataclass(frozen=True, slots=True)
class TopUps:
    """Each method is one command; `instruct` and `settle` bear being called twice."""

    units: Units
    keys: Keys
    bank: Bank
    amounts: AmountRange = ANY_AMOUNT

    def request(self, command: RequestTopUp, operation: Operation) -> TopUp:
        """Promise the amount and order it from the bank.

        The id decides: the same order asked for again is one order. Raises WalletUnknown,
        BankCardInvalid, TopUpExists, CeilingExceeded (which counts top-ups already under
        way), AccountFrozen, AccountClosed.
        """
        return self.units.once(Which.LEDGER, operation, lambda work: self._request(work, command))

    def get(self, topup_id: str, person_id: str) -> TopUp:
        """The person's top-up. Raises TopUpUnknown."""
        with self.units.read(Which.LEDGER) as work:
            row = _find(work, topup_id)
            if row is None or row.person_id != person_id:
                raise TopUpUnknown
            return _topup(row)

    def instruct(self, event: Event) -> None:
        """Outbox: order the money, or ask what became of it; until the bank has spoken.

        Raises BankSilent after three days: the outbox then parks the event for a person.
        """
        topup_id = str(event.payload["topup_id"])
        with self.units.read(Which.LEDGER) as work:
            row = _find(work, topup_id)
        if row is None or row.state != TopUpState.PROCESSING.value:
            return
        age_seconds = (self.units.clock.now() - row.created_at).total_seconds()
        pause = min(max(ASK_AGAIN_SECONDS, age_seconds / 4), ASK_AGAIN_MAX_SECONDS)
        try:
            outcome = self._ask_bank(row)
        except BankUnreachable:
            outcome = ChargeOutcome(ChargeState.PROCESSING)
        if outcome.state is ChargeState.PROCESSING:
            if age_seconds > SILENCE_MAX_SECONDS:
                raise BankSilent(topup_id)
            raise AskAgain(pause)
        self.settle(topup_id, outcome)

    def receive_notice(self, headers: Mapping[str, str], body: bytes) -> None:
        """The bank's own word, signed. Raises NoticeRefused; a repeated notice changes nothing."""
        order_id, outcome = read_notice(
            headers,
            body,
            self.units.clock.now(),
            lambda data: self.keys.mac(KeyRef.BANK_NOTICES, data),
        )
        self.settle(order_id, outcome)

    def settle(self, topup_id: str, outcome: ChargeOutcome) -> None:
        """Credit or give up, once: a top-up that is settled stays as it is."""
        if outcome.state not in (ChargeState.PAID, ChargeState.DECLINED):
            return
        with self.units.write(Which.LEDGER) as work:
            row = _find(work, topup_id, locked=True)
            if row is None:
                log.warning("notice_for_unknown_topup")
                return
            if row.state != TopUpState.PROCESSING.value:
                _compare(row, outcome)
                return
            _settle(work, row, outcome)

    def _request(self, work: Work, command: RequestTopUp) -> TopUp:
        self.amounts.check(command.amount_fen)
        card = command.bank_card
        if not is_luhn_valid(card):
            raise BankCardInvalid
        owned = work.one(
            select(wallet.c.wallet_id).where(
                wallet.c.wallet_id == command.wallet_id, wallet.c.person_id == command.person_id
            )
        )
        if owned is None:
            raise WalletUnknown
        if (known := _find(work, command.topup_id)) is not None:
            return _same(known, command)
        leg = recipes.top_up_leg(command.wallet_id, command.amount_fen)
        Journal(work).hold(command.topup_id, leg, expires_at=None)
        row = self._row(work, command)
        work.execute(insert(topup).values(row))
        work.tell(REQUESTED, topup_id=command.topup_id)
        made = _find(work, command.topup_id)
        assert made is not None
        return _topup(made)

    def _row(self, work: Work, command: RequestTopUp) -> dict[str, object]:
        context = f"topup.bank_card:{command.topup_id}".encode()
        sealed = self.keys.encrypt(KeyRef.PII_CIPHER, command.bank_card.encode(), context)
        return {
            "topup_id": command.topup_id,
            "wallet_id": command.wallet_id,
            "person_id": command.person_id,
            "amount_fen": command.amount_fen,
            "state": TopUpState.PROCESSING.value,
            "bank_card_sealed": sealed,
            "bank_card_end": command.bank_card[-4:],
            "created_at": work.now,
            "ask_again_at": work.now + timedelta(seconds=ASK_AGAIN_SECONDS),
        }

    def _ask_bank(self, row: Row[tuple[object, ...]]) -> ChargeOutcome:
        """Ask first, then order: an order is never lost, and its id keeps it from doubling."""
        outcome = self.bank.query(row.topup_id)
        if outcome.state is not ChargeState.UNKNOWN:
            return outcome
        context = f"topup.bank_card:{row.topup_id}".encode()
        card = self.keys.decrypt(KeyRef.PII_CIPHER, row.bank_card_sealed, context).decode()
        return self.bank.charge(row.topup_id, card, row.amount_fen)


def _settle(work: Work, row: Row[tuple[object, ...]], outcome: ChargeOutcome) -> None:
    paid = outcome.state is ChargeState.PAID
    journal = Journal(work)
    if paid:
        memo = f"····{row.bank_card_end}"
        transfer = recipes.top_up(row.topup_id, row.wallet_id, row.amount_fen, memo)
        journal.post_hold(row.topup_id, transfer)
    else:
        journal.void_hold(row.topup_id)
    values = {
        "state": (TopUpState.SUCCEEDED if paid else TopUpState.FAILED).value,
        "failure_code": None if paid else outcome.reason,
        "bank_reference": outcome.reference,
        "settled_at": work.now,
        "ask_again_at": None,
    }
    work.execute(update(topup).where(topup.c.topup_id == row.topup_id).values(values))


def _compare(row: Row[tuple[object, ...]], outcome: ChargeOutcome) -> None:
    """A second word that contradicts the first is a matter for the operator."""
    said = TopUpState.SUCCEEDED if outcome.state is ChargeState.PAID else TopUpState.FAILED
    if row.state != said.value:
        log.error("bank_contradicts_itself", topup_id=row.topup_id, first=row.state)


def _same(row: Row[tuple[object, ...]], command: RequestTopUp) -> TopUp:
    """The top-up this command asked for before. Raises TopUpExists."""
    known = (row.person_id, row.wallet_id, row.amount_fen, row.bank_card_end)
    asked = (command.person_id, command.wallet_id, command.amount_fen, command.bank_card[-4:])
    if known != asked:
        raise TopUpExists
    return _topup(row)


def _find(work: Work, topup_id: str, *, locked: bool = False) -> Row[tuple[object, ...]] | None:
    """The row; None also for what was never an id: bytes no column would take."""
    try:
        check_id(topup_id, "top")
    except IdInvalid:
        return None
    query = select(topup).where(topup.c.topup_id == topup_id)
    return work.one(query.with_for_update() if locked else query)


def _topup(row: Row[tuple[object, ...]]) -> TopUp:
    return TopUp(
        topup_id=row.topup_id,
        wallet_id=row.wallet_id,
        person_id=row.person_id,
        amount_fen=row.amount_fen,
        state=TopUpState(row.state),
        failure_code=row.failure_code,
        created_at=row.created_at,
        settled_at=row.settled_at,
        ask_again_at=row.ask_again_at,
        bank_card_masked=f"····{row.bank_card_end}",
    )
