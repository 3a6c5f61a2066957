"""Commands to a ledger as plain values: how the real one is asked, and how the model is.

Both answer in the same words, so that they can be compared: a code, and its figures or the
accounts afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from backend.db import Decide, Operation, Rows, Units, Which
from backend.db.operations import Answer as Said
from backend.db.operations import AnsweredBefore, DryRun, IdempotencyConflict
from backend.kernel import DomainError, ManualClock
from backend.wallet import HOT_IDS
from backend.wallet.ledger import AccountState, Ledger, Leg, Limit, Post, Transfer, tables
from tests.simulation.ledger_model import Answer, Model

BUG: Answer = ("bug", {})


class Crash(Exception):
    """The process dies here."""


@dataclass(frozen=True, slots=True)
class Move:
    """Post a transfer; `checked` and `with_ceilings` as `Ledger.post` takes them."""

    transfer: Transfer
    checked: tuple[str, ...] | None = None
    with_ceilings: bool = True


@dataclass(frozen=True, slots=True)
class Hold:
    hold_id: str
    leg: Leg
    ttl_seconds: int | None
    counts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Capture:
    hold_id: str
    transfer: Transfer


@dataclass(frozen=True, slots=True)
class Void:
    hold_id: str


@dataclass(frozen=True, slots=True)
class SetState:
    account_id: str
    state: AccountState


@dataclass(frozen=True, slots=True)
class Broken:
    """A command with a bug: it moves money, then raises (or the database refuses its row)."""

    move: Move
    is_found_by_database: bool


Command = Move | Hold | Capture | Void | SetState | Broken


# --- the real ledger --------------------------------------------------------------------------


def decision(ledger: Ledger, command: Command) -> Decide[Answer]:
    """The command as services decide theirs: rows named first, then read and changed."""
    return Decide(
        lambda rows: _need(ledger, rows, command), lambda rows: _do(ledger, rows, command)
    )


def _need(ledger: Ledger, rows: Rows, command: Command) -> bool:
    match command:
        case Move():
            return Post(ledger, command.transfer).needs(rows)
        case Broken():
            return Post(ledger, command.move.transfer).needs(rows)
        case Hold():
            rows.want(tables.hold, command.hold_id)
            names = (command.leg.debit, command.leg.credit)
            for name in names:
                ledger.need(rows, names, counted=name, counts=command.counts)
        case Capture():
            ledger.need_transfer(rows, command.transfer)
            return ledger.need_hold(rows, command.hold_id)
        case Void():
            return ledger.need_hold(rows, command.hold_id)
        case SetState():
            ledger.need(rows, (command.account_id,))
    return False


def _do(ledger: Ledger, rows: Rows, command: Command) -> Answer:
    code, names = "set", []
    match command:
        case Move():
            return _move(ledger, rows, command)
        case Broken():
            return _break(ledger, rows, command)
        case Hold():
            code, names = _hold(ledger, rows, command), [command.leg.debit, command.leg.credit]
        case Capture():
            code = "captured"
            names = list(ledger.post_hold(rows, command.hold_id, command.transfer))
        case Void():
            code, names = "voided", list(ledger.void_hold(rows, command.hold_id))
        case SetState():
            ledger.set_state(rows, command.account_id, command.state)
            names = [command.account_id]
    return code, {} if code == "held_before" else told(ledger, rows, names)


def _hold(ledger: Ledger, rows: Rows, command: Hold) -> str:
    if rows.find(tables.hold, command.hold_id):
        return "held_before"
    ends = command.ttl_seconds
    expires_at = None if ends is None else rows.now + timedelta(seconds=ends)
    ledger.hold(rows, command.hold_id, command.leg, expires_at=expires_at, counts=command.counts)
    return "held"


def _break(ledger: Ledger, rows: Rows, command: Broken) -> Answer:
    _move(ledger, rows, command.move)
    if not command.is_found_by_database:
        raise Crash
    impossible = {"account_id": "nobody", "counter": "c", "starts_on": rows.now.date()}
    rows.add(tables.usage, {**impossible, "period": "day", "amount_fen": -1, "times": -1})
    return BUG


def _move(ledger: Ledger, rows: Rows, command: Move) -> Answer:
    transfer = command.transfer
    is_plain = command.checked is None and command.with_ceilings
    if is_plain or ledger.is_posted(rows, transfer.operation_id):
        posted = Post(ledger, transfer).decide(rows)
        code = "repeated" if posted.is_repeated else "posted"
    else:
        ledger.post(rows, transfer, checked=command.checked, with_ceilings=command.with_ceilings)
        code = "posted"
    return code, told(ledger, rows, transfer.account_ids())


def told(ledger: Ledger, rows: Rows, names: Iterable[str]) -> dict[str, Any]:
    """Balance, available and promised (where a law looks at them), lines, state of each.

    What an account without floor and class is promised counts for nobody; a hold on another
    account's money that has run out may stand there until somebody looks at the other one.
    """
    return {
        name: [
            one.balance_fen,
            one.available_fen if one.floor_fen is not None else None,
            one.promised_fen if one.account_class else None,
            one.lines,
            one.state.value,
        ]
        for name, one in ledger.accounts(rows, sorted(names)).items()
    }


def refusal(error: Exception) -> Answer:
    """A refusal as its code and figures; anything else is a bug."""
    if not isinstance(error, DomainError):
        return BUG
    words = ("article", "period", "rule") if error.code == "ceiling_exceeded" else ("period",)
    figures = {
        name: value
        for name, value in error.data.items()
        if not name.endswith("_yuan") and name not in words
    }
    return error.code, figures


def render(outcome: Answer | DomainError) -> Said:
    answer = refusal(outcome) if isinstance(outcome, DomainError) else outcome
    return Said(200, json.dumps(answer))


def _heard(said: Said) -> Answer:
    code, figures = json.loads(said.body)
    return code, figures


# --- the model --------------------------------------------------------------------------------


def ask_model(model: Model, command: Command) -> Answer:
    """What the ledger has to say; how a hot account stands it does not tell."""
    code, said = model.answer(lambda: _model_does(model, command))
    return code, {name: one for name, one in said.items() if not name.startswith(HOT_IDS)}


def _model_does(model: Model, command: Command) -> Answer:
    match command:
        case Move():
            return model.post(
                command.transfer.operation_id,
                *_said(command.transfer),
                counts=command.transfer.counts,
                gives_back=command.transfer.gives_back,
                checked=command.checked,
                with_ceilings=command.with_ceilings,
            )
        case Hold():
            ends = command.ttl_seconds
            expires_at = None if ends is None else model.now + timedelta(seconds=ends)
            return model.hold(command.hold_id, _leg(command.leg), expires_at, command.counts)
        case Capture():
            transfer = command.transfer
            return model.post_hold(command.hold_id, transfer.operation_id, *_said(transfer))
        case Void():
            return model.void_hold(command.hold_id)
        case SetState():
            return model.set_state(command.account_id, command.state.value)
        case Broken():
            code, figures = model.would(lambda copy: ask_model(copy, command.move))
            return BUG if code in ("posted", "repeated") else (code, figures)


def _said(transfer: Transfer) -> tuple[dict[str, Any], list[tuple[str, str, int]]]:
    said = {name: getattr(transfer, name) for name in ("code", "linked_to", "memo")}
    return said, [_leg(one) for one in transfer.legs]


def _leg(leg: Leg) -> tuple[str, str, int]:
    return leg.debit, leg.credit, leg.amount_fen


def model_of(limits: Iterable[Limit]) -> Model:
    return Model([{**asdict(one), "period": one.period.value} for one in limits])


# --- both, side by side -----------------------------------------------------------------------


@dataclass(slots=True)
class City:
    """A real ledger under test; `history` is what was asked, when, and what was told."""

    units: Units
    ledger: Ledger
    clock: ManualClock
    history: list[tuple[datetime, Command, Answer]] = field(default_factory=list)

    def ask(self, command: Command) -> Answer:
        """In the group commit."""
        return self._remember(command, self._told_by(self._group(command, None)))

    def ask_many(self, commands: list[Command]) -> list[Answer]:
        """In one batch."""
        decisions = [decision(self.ledger, one) for one in commands]
        outcomes = self.units.decide_all(Which.LEDGER, decisions)
        answers = [refusal(one) if isinstance(one, Exception) else one for one in outcomes]
        return [self._remember(one, answer) for one, answer in zip(commands, answers, strict=True)]

    def ask_once(self, command: Command, operation: Operation, *, alone: bool) -> Answer:
        """Under a key, its answer kept; in the group, or `alone`."""
        run = self._alone if alone else self._group
        operation.render = render
        try:
            return self._remember(command, run(command, operation)())
        except (AnsweredBefore, DryRun) as heard:
            return _heard(heard.answer)
        except IdempotencyConflict as conflict:
            return refusal(conflict)
        except DomainError as error:
            return self._remember(command, refusal(error))

    def crash_in(self, command: Command) -> Answer:
        """Everything is written, and the process dies before the commit."""
        answers = []

        def die() -> Answer:
            with self.units.write(Which.LEDGER) as work:
                answers.append(_do(self.ledger, work.rows, command))
                work.rows.flush()
                raise Crash

        refused = self._told_by(die)
        return answers[0] if answers else refused

    def write_down(self) -> None:
        """Every hold that has run out, as the next command on its account would."""
        with self.units.write(Which.LEDGER) as work:
            names = work.execute(select(tables.account.c.account_id)).scalars().all()
            self.ledger.accounts(work.rows, names)

    def accounts(self) -> dict[str, Any]:
        """Every account as it stands."""
        reading = replace(self.ledger, hot=())
        with self.units.read(Which.LEDGER) as work:
            names = work.execute(select(tables.account.c.account_id)).scalars().all()
            reading.need(work.rows, names)
            return told(reading, work.rows, names)

    def _group(self, command: Command, operation: Operation | None) -> Callable[[], Answer]:
        decided = decision(self.ledger, command)
        return lambda: self.units.decide(Which.LEDGER, decided, operation)

    def _alone(self, command: Command, operation: Operation) -> Callable[[], Answer]:
        def decide(work: Any) -> Answer:
            return _do(self.ledger, work.rows, command)

        return lambda: self.units.once(Which.LEDGER, operation, decide)

    def _told_by(self, act: Callable[[], Answer]) -> Answer:
        try:
            return act()
        except (DomainError, Crash, IntegrityError) as error:
            return refusal(error)

    def _remember(self, command: Command, answer: Answer) -> Answer:
        self.history.append((self.clock.now(), command, answer))
        return answer
