"""Purchases whose terminal cannot tell how they ended: what later uploads say, and who gets it.

Facts decide whether the chip paid; a person decides whose the money is, for nobody here knows
whether the goods were handed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select

from backend.cards import Purses
from backend.db import Decide, Operation, Rows, Units, Which
from backend.kernel import business_date, is_id
from backend.merchants import Merchants, TerminalFacts
from backend.payments.purses import book, tables
from backend.payments.purses.loss_model import (
    DecideLoss,
    Loss,
    LossDenied,
    LossEvent,
    LossExists,
    LossFourEyesNeeded,
    LossState,
    LossUnknown,
    LossVerdict,
    LossView,
    OpenLoss,
    PurchaseSeen,
    advance_loss,
    judge_loss,
)
from backend.wallet import (
    Ledger,
    Transfer,
    WalletUnknown,
    epurse_float_account,
    epurse_purchase_transfer,
    epurse_unloaded_transfer,
    payable_account,
)


@dataclass(frozen=True, slots=True)
class PurseLosses:
    """What staff opens, sees and ends."""

    units: Units
    ledger: Ledger
    merchants: Merchants
    purses: Purses

    def open(self, command: OpenLoss, operation: Operation) -> LossView:
        """A holder or merchant has asked. Raises LossExists, PurseUnknown, TerminalUnknown,
        TerminalNotActive."""
        facts = self.merchants.vouch_for_terminal(command.terminal_id)
        self.purses.get(command.purse_number)

        def needs(rows: Rows) -> bool:
            rows.want(tables.purse_loss, command.loss_id)
            _want_facts(rows, command.purse_number, command.purchase_counter)
            return False

        def decide(rows: Rows) -> LossView:
            row = rows.find(tables.purse_loss, command.loss_id)
            if row is None:
                row = _row(rows, command, facts)
                rows.add(tables.purse_loss, row)
            else:
                _check_same(row, command)
            return _view(rows, row)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def get(self, loss_id: str) -> LossView:
        """As the facts are now. Raises LossUnknown."""
        with self.units.read(Which.LEDGER) as work:
            return _view(work.rows, _get(work.rows, loss_id))

    def of_state(
        self, state: LossState, *, limit: int, after: str | None
    ) -> tuple[list[LossView], str | None]:
        """Losses in a state, oldest first, above the cursor; and the next cursor."""
        columns = tables.purse_loss.c
        query = select(tables.purse_loss).where(
            columns.state == state.value, columns.loss_id > (after or "")
        )
        query = query.order_by(columns.loss_id).limit(limit + 1)
        with self.units.read(Which.LEDGER) as work:
            found = list(work.execute(query).mappings())
            for row in found:
                _want_facts(work.rows, row["purse_number"], row["purchase_counter"])
            page = [_view(work.rows, row) for row in found[:limit]]
        return page, page[-1].loss_id if len(found) > limit else None

    def decide(self, command: DecideLoss, operation: Operation) -> LossView:
        """Give it to the holder's wallet, to the merchant, or to nobody: the chip did not pay.

        A registered purse's own wallet comes before the one named; closed, a case of its owner.
        Who opened it does not end it. Raises LossUnknown, LossStateConflict, LossFourEyesNeeded,
        LossDenied (the facts say otherwise), WalletUnknown, AccountFrozen.
        """
        first = self.get(command.loss_id)
        wallet_id = self.purses.get(first.purse_number).wallet_id or command.wallet_id

        def needs(rows: Rows) -> bool:
            rows.want(tables.purse_loss, command.loss_id)
            _want_facts(rows, first.purse_number, first.purchase_counter)
            self.ledger.need(rows, (epurse_float_account(first.purse_number).account_id,))
            if wallet_id is not None:
                book.want_home(rows, self.ledger, wallet_id)
            return False

        def decide(rows: Rows) -> LossView:
            row = _get(rows, command.loss_id)
            state = advance_loss(LossState(row["state"]), command.event)
            if row["opened_by"] == command.staff_id:
                raise LossFourEyesNeeded
            _check_facts(_view(rows, row), command.event)
            return self._write(rows, row, state, replace(command, wallet_id=wallet_id))

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    # --- inside -----------------------------------------------------------------------------------

    def _write(
        self, rows: Rows, row: Mapping[str, Any], state: LossState, command: DecideLoss
    ) -> LossView:
        if state is not LossState.DISMISSED:
            self.ledger.open_account(rows, epurse_float_account(row["purse_number"]))
            # The holder's own money comes home: a ceiling reached since cannot keep it out.
            transfer = self._transfer(rows, row, state, command)
            self.ledger.post(rows, transfer, with_ceilings=False)
            # The counter is used: the purchase, uploaded after all, is a case for a person.
            book.add_purchase(
                rows,
                row["purse_number"],
                row["purchase_counter"],
                payment_id=row["loss_id"],
                amount_fen=row["amount_fen"],
                balance_after_fen=row["balance_before_fen"] - row["amount_fen"],
                made_at=row["opened_at"],
            )
        new = {
            "state": state.value,
            "decided_by": command.staff_id,
            "decided_at": rows.now,
            "note": command.note,
        }
        rows.change(tables.purse_loss, (command.loss_id,), **new)
        return _view(rows, {**row, **new})

    def _transfer(
        self, rows: Rows, row: Mapping[str, Any], state: LossState, command: DecideLoss
    ) -> Transfer:
        number, fen, memo = row["purse_number"], row["amount_fen"], row["shop_name"]
        if state is LossState.PAID:
            payable = payable_account(row["merchant_id"], business_date(rows.now))
            self.ledger.open_account(rows, payable)
            counter = row["purchase_counter"]
            return epurse_purchase_transfer(number, counter, payable.account_id, fen, memo)
        if command.wallet_id is None:
            raise WalletUnknown
        home_id = book.open_home(
            rows,
            self.ledger,
            command.wallet_id,
            operation_id=row["loss_id"],
            amount_fen=fen,
            reason=memo,
        )
        return epurse_unloaded_transfer(row["loss_id"], number, home_id, fen, memo)


def _want_facts(rows: Rows, purse_number: str, purchase_counter: int) -> None:
    book.want(rows, purse_number)  # guards the two others
    for counter in (purchase_counter, purchase_counter + 1):
        rows.want(tables.purse_purchase, purse_number, counter)


def _check_facts(loss: LossView, event: LossEvent) -> None:
    """What the chip itself has told binds the person as well. Raises LossDenied."""
    is_money = event is not LossEvent.DISMISS
    if is_money and loss.verdict is LossVerdict.NOT_TAKEN:
        raise LossDenied(verdict=loss.verdict.value)
    if not is_money and loss.verdict is LossVerdict.TAKEN:
        raise LossDenied(verdict=loss.verdict.value)


def _get(rows: Rows, loss_id: str) -> Mapping[str, Any]:
    row = rows.find(tables.purse_loss, loss_id) if is_id(loss_id, "los") else None
    if row is None:
        raise LossUnknown
    return row


def _view(rows: Rows, row: Mapping[Any, Any]) -> LossView:
    number, counter = row["purse_number"], row["purchase_counter"]
    loss = Loss(**{**row, "state": LossState(row["state"])})
    book.find(rows, number)
    at, following = (
        _seen(rows.find(tables.purse_purchase, number, one)) for one in (counter, counter + 1)
    )
    return LossView.of(loss, judge_loss(loss, at, following))


def _seen(row: Mapping[str, Any] | None) -> PurchaseSeen | None:
    if row is None:
        return None
    return PurchaseSeen(row["payment_id"], row["amount_fen"], row["balance_after_fen"])


def _row(rows: Rows, command: OpenLoss, facts: TerminalFacts) -> dict[str, Any]:
    return {
        "loss_id": command.loss_id,
        "purse_number": command.purse_number,
        "terminal_id": command.terminal_id,
        "merchant_id": facts.merchant_id,
        "shop_name": facts.shop_name,
        "reference": command.reference,
        "purchase_counter": command.purchase_counter,
        "balance_before_fen": command.balance_before_fen,
        "amount_fen": command.amount_fen,
        "state": LossState.OPEN.value,
        "opened_by": command.staff_id,
        "opened_at": rows.now,
        "decided_by": None,
        "decided_at": None,
        "note": None,
    }


def _check_same(row: Mapping[str, Any], command: OpenLoss) -> None:
    """Raises LossExists."""
    names = ("purse_number", "terminal_id", "reference", "purchase_counter", "amount_fen")
    if any(row[name] != getattr(command, name) for name in names):
        raise LossExists
