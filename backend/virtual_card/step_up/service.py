"""One-time codes: asked for by a rule, sent through the outbox, given back, used once."""

from __future__ import annotations

import base64
import hmac
import json
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, insert, select, update

from backend.db import Operation, Units, Which, Work
from backend.kernel import DomainError, new_id
from backend.keys import KeyRef, Keys
from backend.virtual_card.errors import (
    StepUpCodeWrong,
    StepUpEnded,
    StepUpRequired,
    StepUpTooOften,
    StepUpUnknown,
)
from backend.virtual_card.step_up.model import (
    CODE_DIGITS,
    PASSED_TTL,
    PER_HOUR_MAX,
    TRIES_MAX,
    TTL,
    Purpose,
    StepUp,
    StepUpState,
    find_next_at,
)
from backend.virtual_card.tables import step_up

STEP_UP_REQUESTED = "card_step_up_requested"
"""Topic; payload: person_id, step_up_id, code (sealed, base64)."""


@dataclass(frozen=True, slots=True)
class AnswerStepUp:
    person_id: str
    step_up_id: str
    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StepUps:
    """`require`, `is_passed` and `use` work inside another command's transaction."""

    units: Units
    keys: Keys = field(repr=False)

    def answer(self, command: AnswerStepUp, operation: Operation) -> StepUp:
        """Give a code. Raises StepUpUnknown, StepUpEnded, StepUpCodeWrong: each one counts."""
        return self.units.once(Which.BUSINESS, operation, lambda work: self._answer(work, command))

    def require(
        self, work: Work, person_id: str, purpose: Purpose, subject: str, reasons: Sequence[str]
    ) -> StepUpRequired:
        """The refusal to return; a code is on its way. Asked again at once, it is the same code.

        Raises StepUpTooOften. The caller holds the person.
        """
        newest = self._newest(work, person_id)
        allowed_at = find_next_at(sorted(row.asked_at for row in newest))
        if allowed_at is None or work.now >= allowed_at:
            return self._make(work, person_id, purpose, subject, reasons)
        for row in newest:
            is_same = (row.purpose, row.subject) == (purpose.value, subject)
            if is_same and row.state == StepUpState.WAITING.value and row.expires_at > work.now:
                return _refusal(row.step_up_id, row.expires_at, reasons)
        left = allowed_at - work.now
        raise StepUpTooOften(retry_after_seconds=max(1, math.ceil(left.total_seconds())))

    def find_passed(self, work: Work, person_id: str, purpose: Purpose, subject: str) -> str | None:
        """The id of a code that was given for this and not used yet."""
        columns = step_up.c
        passed = (
            select(columns.step_up_id)
            .where(
                columns.person_id == person_id,
                columns.purpose == purpose.value,
                columns.subject == subject,
                columns.state == StepUpState.PASSED.value,
                columns.passed_at > work.now - PASSED_TTL,
            )
            .order_by(columns.passed_at.desc())
            .limit(1)
        )
        found: str | None = work.execute(passed).scalar()
        return found

    def use(self, work: Work, person_id: str, step_up_id: str) -> None:
        """A given code works once."""
        _change(work, person_id, step_up_id, state=StepUpState.USED.value)

    def unseal_code(self, step_up_id: str, sealed: str) -> str:
        """The code of an event's payload; raises KeyUnknown for one that was moved or altered."""
        raw = base64.b64decode(sealed, validate=True)
        return self.keys.decrypt(KeyRef.PII_CIPHER, raw, _code_place(step_up_id)).decode()

    def _answer(self, work: Work, command: AnswerStepUp) -> StepUp | DomainError:
        row = _locked(work, command.person_id, command.step_up_id)
        if row.state != StepUpState.WAITING.value or row.expires_at <= work.now:
            raise StepUpEnded
        key = (command.person_id, command.step_up_id)
        if not hmac.compare_digest(row.code_mac, self._code_mac(row.step_up_id, command.code)):
            left = row.tries_left - 1
            state = StepUpState.WAITING if left else StepUpState.LOCKED
            _change(work, *key, tries_left=left, state=state.value)
            return StepUpCodeWrong(tries_left=left)
        _change(work, *key, state=StepUpState.PASSED.value, passed_at=work.now)
        return StepUp(
            row.step_up_id, Purpose(row.purpose), row.subject, StepUpState.PASSED, row.expires_at
        )

    def _newest(self, work: Work, person_id: str) -> Sequence[Row[Any]]:
        """Of the last hour, as many as the limit needs; newest first."""
        recent = (
            select(step_up)
            .where(
                step_up.c.person_id == person_id,
                step_up.c.asked_at > work.now - timedelta(hours=1),
            )
            .order_by(step_up.c.asked_at.desc())
            .limit(PER_HOUR_MAX)
        )
        return work.execute(recent).all()

    def _make(
        self, work: Work, person_id: str, purpose: Purpose, subject: str, reasons: Sequence[str]
    ) -> StepUpRequired:
        step_up_id = new_id("stu")
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
        row = {
            "person_id": person_id,
            "step_up_id": step_up_id,
            "purpose": purpose.value,
            "subject": subject,
            "state": StepUpState.WAITING.value,
            "code_mac": self._code_mac(step_up_id, code),
            "tries_left": TRIES_MAX,
            "asked_at": work.now,
            "expires_at": work.now + TTL,
        }
        work.execute(insert(step_up), row)
        sealed = self.keys.encrypt(KeyRef.PII_CIPHER, code.encode(), _code_place(step_up_id))
        work.tell(
            STEP_UP_REQUESTED,
            person_id=person_id,
            step_up_id=step_up_id,
            code=base64.b64encode(sealed).decode(),
        )
        return _refusal(step_up_id, work.now + TTL, reasons)

    def _code_mac(self, step_up_id: str, code: str) -> bytes:
        parts = json.dumps(["card_step_up", step_up_id, code])
        return self.keys.mac(KeyRef.SECRETS, parts.encode())


def _locked(work: Work, person_id: str, step_up_id: str) -> Row[Any]:
    columns = step_up.c
    row = work.one(
        select(step_up)
        .where(columns.person_id == person_id, columns.step_up_id == step_up_id)
        .with_for_update()
    )
    if row is None:
        raise StepUpUnknown
    return row


def _change(work: Work, person_id: str, step_up_id: str, **values: object) -> None:
    columns = step_up.c
    work.execute(
        update(step_up)
        .where(columns.person_id == person_id, columns.step_up_id == step_up_id)
        .values(**values)
    )


def _refusal(step_up_id: str, expires_at: datetime, reasons: Sequence[str]) -> StepUpRequired:
    return StepUpRequired(
        step_up_id=step_up_id,
        reasons=list(reasons),
        expires_at=expires_at.isoformat(timespec="milliseconds"),
    )


def _code_place(step_up_id: str) -> bytes:
    return f"outbox.card_step_up:{step_up_id}".encode()
