"""A card moves to a new phone: a successor first, and the old token ends when that one lives."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update

from backend.db import Event, IdempotencyConflict, Operation, Units, Which, Work
from backend.kernel import DomainError, check_id
from backend.virtual_card import tables
from backend.virtual_card.errors import MoveOpen, MoveRefused, TokenUnknown
from backend.virtual_card.life.model import MOVE_BOUND
from backend.virtual_card.life.notices import tell_holder
from backend.virtual_card.model import SYSTEM, Actor, Card, Cause
from backend.virtual_card.ports import Holders
from backend.virtual_card.provisioning import Deciding, Issuing, NewToken, Wish
from backend.virtual_card.provisioning.issuing import find_token, select_token
from backend.virtual_card.rows import (
    card_of,
    change_token,
    get_device,
    hold_holder,
    locked_active_device,
    locked_token,
)
from backend.virtual_card.states import (
    RELEASED_BY,
    ActorKind,
    Reason,
    Release,
    TokenEvent,
    TokenState,
)
from backend.web import ProofInvalid, check_proof
from card_protocol.signatures import load_public_key

MOVE_DUE = "token_move_due"
"""Topic, told for the end of the bound; payload: person_id, token_id (the old one's)."""


def confirm_audience(token_id: str) -> str:
    """Whom a confirmation's proof speaks to: the very path it is sent to."""
    return f"/v1/me/cards/{token_id}/confirmation"


@dataclass(frozen=True, slots=True)
class MoveCard:
    """`token_id` is on another device; `new_token_id` was made by the new one, `device_id`."""

    person_id: str
    token_id: str
    new_token_id: str
    device_id: str


@dataclass(frozen=True, slots=True)
class ConfirmCard:
    """The new phone holds the token's keys: JWT by its signing key, jti = token_id."""

    person_id: str
    token_id: str
    proof: str


@dataclass(frozen=True, slots=True)
class _Target:
    """Which token goes to which device, and as what; None while that is not known."""

    token_id: str
    device_id: str
    new_token_id: str | None

    @classmethod
    def of(cls, command: MoveCard) -> _Target:
        return cls(command.token_id, command.device_id, command.new_token_id)


@dataclass(frozen=True, slots=True)
class Moves:
    """Each method is one command; `end_overdue` is a consumer."""

    units: Units
    deciding: Deciding
    issuing: Issuing
    holders: Holders | None = field(default=None)

    def move(self, command: MoveCard, operation: Operation) -> Card:
        """A pending successor on the new phone. The old token goes on until that is confirmed,
        but no longer than MOVE_BOUND.

        The successor is of the suite its product has today, whatever the old token's was.
        Raises IdInvalid, TokenUnknown, DeviceUnknown, DeviceEnded, DeviceKeyMissing, MoveRefused,
        MoveOpen, TokenExists, ProductUnknown, StepUpRequired, StepUpTooOften,
        ProvisioningDeclined, IdempotencyConflict.
        """
        check_id(command.new_token_id, "tok")
        since = self.holders.find_phone_since(command.person_id) if self.holders else None
        return self.units.once(
            Which.BUSINESS, operation, lambda work: self._move(work, command, since)
        )

    def confirm(self, command: ConfirmCard, operation: Operation) -> Card:
        """The successor lives, the old token ends. Raises TokenUnknown, ProofInvalid,
        TokenTransitionRefused."""
        return self.units.once(Which.BUSINESS, operation, lambda work: self._confirm(work, command))

    def end_overdue(self, event: Event) -> None:
        """Consumer of MOVE_DUE; bears hearing it twice."""
        person_id, token_id = str(event.payload["person_id"]), str(event.payload["token_id"])
        with self.units.write(Which.BUSINESS) as work:
            hold_holder(work, person_id)
            row = _find_move(work, person_id, token_id)
            if row is None or row.state != "open" or row.due_at > work.now:
                return
            if row.new_token_id is None:  # announced, and never asked for
                _change_move(work, row, state="lapsed")
                return
            old = locked_token(work, person_id, token_id)
            _change_move(work, row, state="overdue")
            if old.state != TokenState.DELETED.value:
                change_token(work, old, TokenEvent.DELETE, Cause(Reason.MOVE_OVERDUE, SYSTEM))
                deleted = TokenState.DELETED.value
                tell_holder(work, person_id, token_id, Reason.MOVE_OVERDUE, deleted)

    def _move(
        self, work: Work, command: MoveCard, phone_since: datetime | None
    ) -> Card | DomainError:
        hold_holder(work, command.person_id)
        if (existing := find_token(work, command.new_token_id)) is not None:
            return self._repeated(work, existing, command)
        device = locked_active_device(work, command.person_id, command.device_id)
        old = locked_token(work, command.person_id, command.token_id)
        _require_movable(old, command.device_id)
        product = self.issuing.get_product(old.product)
        self.issuing.require_key(device, product)
        open_move = _find_open_move(work, command)
        self.issuing.check_place(work, command.person_id, command.device_id, old.product)
        wish = Wish(
            person_id=command.person_id,
            token_id=command.new_token_id,
            wallet_id=old.wallet_id,
            device=device,
            moved_token_id=old.token_id,
            phone_since=phone_since,
        )
        if (refusal := self.deciding.decide(work, wish)) is not None:
            return refusal
        _write_move(work, open_move, command.person_id, _Target.of(command))
        return self.issuing.make(
            work,
            NewToken(
                person_id=command.person_id,
                token_id=command.new_token_id,
                wallet_id=old.wallet_id,
                device=device,
                product=product,
                by=Actor(ActorKind.CITIZEN, command.person_id),
                card_id=old.card_id,
                state=TokenState.PENDING,
                reason=Reason.MOVED_HERE,
            ),
        )

    def _repeated(self, work: Work, row: Row[Any], command: MoveCard) -> Card:
        move = _find_move(work, command.person_id, command.token_id)
        is_ours = row.person_id == command.person_id and row.device_id == command.device_id
        if not is_ours or move is None or move.new_token_id != row.token_id:
            raise IdempotencyConflict(fields="new_token_id")
        if row.state not in (TokenState.PENDING.value, TokenState.ACTIVE.value):
            return card_of(row)
        device = locked_active_device(work, command.person_id, command.device_id)
        return self.issuing.issue_again(work, row, device)

    def _confirm(self, work: Work, command: ConfirmCard) -> Card:
        hold_holder(work, command.person_id)
        row = locked_token(work, command.person_id, command.token_id)
        device = get_device(work, row.person_id, row.device_id)
        key = load_public_key(device.signing_key)  # the phone's, in every suite
        audience = confirm_audience(command.token_id)
        claims = check_proof(command.proof, key, audience=audience, now=work.now)
        if claims["jti"] != command.token_id:
            raise ProofInvalid
        if row.state == TokenState.ACTIVE.value:
            return card_of(row)  # confirmed before
        by = Actor(ActorKind.CITIZEN, command.person_id)
        change_token(work, row, TokenEvent.CONFIRM, Cause(Reason.CONFIRMED, by))
        self._end_old(work, command, by)
        return card_of(work.connection.execute(select_token(command.token_id)).one())

    def _end_old(self, work: Work, command: ConfirmCard, by: Actor) -> None:
        columns = tables.move.c
        move = work.one(
            select(tables.move).where(
                columns.person_id == command.person_id,
                columns.new_token_id == command.token_id,
            )
        )
        if move is None:
            raise TokenUnknown
        if move.state == "open":
            _change_move(work, move, state="done")
        old = locked_token(work, command.person_id, move.token_id)
        if old.state != TokenState.DELETED.value:
            change_token(work, old, TokenEvent.DELETE, Cause(Reason.MOVED_ON, by))
            deleted = TokenState.DELETED.value
            tell_holder(work, command.person_id, old.token_id, Reason.MOVED_ON, deleted)


def announce_move(work: Work, row: Row[Any], device_id: str) -> bool:
    """Somebody said that this token shall live on another device: that one may fetch it.

    False when a move is open already: that one stands.
    """
    before = _find_move(work, row.person_id, row.token_id)
    if before is not None and before.state == "open":
        return False
    _write_move(work, before, row.person_id, _Target(row.token_id, device_id, None))
    return True


def _require_movable(old: Row[Any], device_id: str) -> None:
    """An active token, or one whose suspension its holder could end with a code."""
    is_releasable = old.state == TokenState.SUSPENDED.value and (
        RELEASED_BY[Reason(old.suspended_for)].value <= Release.HOLDER_WITH_CODE.value
    )
    if old.device_id == device_id or not (old.state == TokenState.ACTIVE.value or is_releasable):
        raise MoveRefused


def _find_move(work: Work, person_id: str, token_id: str) -> Row[Any] | None:
    columns = tables.move.c
    return work.one(
        select(tables.move).where(columns.person_id == person_id, columns.token_id == token_id)
    )


def _find_open_move(work: Work, command: MoveCard) -> Row[Any] | None:
    """What to go on from. Raises MoveOpen when the token is on its way to somewhere else."""
    row = _find_move(work, command.person_id, command.token_id)
    if row is None or row.state != "open":
        return row
    if row.new_token_id is None:
        if row.device_id != command.device_id:
            raise MoveOpen
        return row
    successor = find_token(work, row.new_token_id)
    if successor is not None and successor.state != TokenState.DELETED.value:
        raise MoveOpen
    return row


def _write_move(
    work: Work,
    before: Row[Any] | None,
    person_id: str,
    target: _Target,
) -> None:
    """A move's bound begins anew each time it gets further."""
    values = {
        "device_id": target.device_id,
        "new_token_id": target.new_token_id,
        "state": "open",
        "begun_at": work.now,
        "due_at": work.now + MOVE_BOUND,
    }
    if before is None:
        work.execute(
            insert(tables.move), {"person_id": person_id, "token_id": target.token_id, **values}
        )
    else:
        _change_move(work, before, **values)
    work.tell(MOVE_DUE, due_at=work.now + MOVE_BOUND, person_id=person_id, token_id=target.token_id)


def _change_move(work: Work, row: Row[Any], **values: object) -> None:
    columns = tables.move.c
    work.execute(
        update(tables.move)
        .where(columns.person_id == row.person_id, columns.token_id == row.token_id)
        .values(**values)
    )
