"""Gathers what a wish for a card is decided on, decides by the rules, keeps every decision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from sqlalchemy import ColumnElement, Table, func, insert, select

from backend.db import Work
from backend.kernel import DomainError, new_id
from backend.virtual_card import tables
from backend.virtual_card.errors import ProvisioningDeclined
from backend.virtual_card.model import Device, EventKind
from backend.virtual_card.provisioning.model import (
    Facts,
    Figures,
    Outcome,
    Verdict,
    judge,
)
from backend.virtual_card.states import DeviceState, Reason, TokenState
from backend.virtual_card.step_up.model import Purpose
from backend.virtual_card.step_up.service import StepUps

DAY = timedelta(days=1)
LOSSES = (Reason.HOLDER_REPORTED_LOSS, Reason.LOST_PHONE)
CLONES = (Reason.COUNTERS_CONFLICT, Reason.LOG_CONFLICT)


@dataclass(frozen=True, slots=True)
class Wish:
    """A card wanted on a device; `moved_token_id`: the token it takes the place of."""

    person_id: str
    token_id: str
    wallet_id: str
    device: Device
    moved_token_id: str | None = None
    phone_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Deciding:
    """The caller holds the person."""

    step_ups: StepUps
    figures: Figures = field(default_factory=Figures)

    def decide(self, work: Work, wish: Wish) -> DomainError | None:
        """The refusal to return, or None: go on. Either way the decision is on record.

        Raises StepUpTooOften.
        """
        device_id = wish.device.device_id
        subject = (wish.person_id, Purpose.PROVISION, device_id)
        passed = self.step_ups.find_passed(work, *subject)
        facts = _facts(work, wish, has_code=passed is not None)
        verdict = judge(facts, self.figures)
        _record(work, wish, facts, verdict)
        if verdict.outcome is Outcome.DECLINE:
            return ProvisioningDeclined(reasons=list(verdict.reasons))
        if verdict.outcome is Outcome.STEP_UP:
            return self.step_ups.require(work, *subject, verdict.reasons)
        if passed is not None and verdict.reasons:
            self.step_ups.use(work, wish.person_id, passed)
        return None


def _facts(work: Work, wish: Wish, *, has_code: bool) -> Facts:
    person_id, now = wish.person_id, work.now
    tokens = tables.token.c
    mine = tokens.person_id == person_id
    moved = tokens.token_id != (wish.moved_token_id or "")
    lives = (tokens.wallet_id == wish.wallet_id) & (tokens.state != TokenState.DELETED.value)
    lost = (tokens.device_id == wish.device.device_id) & (
        tokens.suspended_for == Reason.LOST_PHONE.value
    )
    decisions = tables.decision.c
    declined = (decisions.outcome == Outcome.DECLINE.value) & (decisions.at > now - DAY)
    devices = tables.device.c
    others = (devices.state == DeviceState.ACTIVE.value) & (
        devices.device_id != wish.device.device_id
    )
    return Facts(
        attested=wish.device.facts.attested,
        os_integrity=wish.device.facts.os_integrity,
        other_devices=_count(work, tables.device, devices.person_id == person_id, others),
        tokens_of_card=_count(work, tables.token, mine, lives, moved),
        tokens_before=_count(work, tables.token, mine),
        tokens_today=_count(work, tables.token, mine, tokens.created_at > now - DAY),
        declines_today=_count(work, tables.decision, decisions.person_id == person_id, declined),
        since_loss=_since(now, _last_reason(work, person_id, LOSSES)),
        since_clone=_since(now, _last_reason(work, person_id, CLONES)),
        since_sim_change=_since(now, _last_event(work, person_id, EventKind.SIM_CHANGE)),
        phone_number_age=_since(now, wish.phone_since),
        is_dead=_last_event(work, person_id, EventKind.DEATH) is not None,
        is_device_lost=_count(work, tables.token, mine, lost) > 0,
        is_move=wish.moved_token_id is not None,
        has_code=has_code,
    )


def _count(work: Work, table: Table, *conditions: ColumnElement[bool]) -> int:
    counted = select(func.count()).select_from(table).where(*conditions)
    return int(work.execute(counted).scalar_one())


def _last_reason(work: Work, person_id: str, reasons: Iterable[Reason]) -> datetime | None:
    token, history = tables.token.c, tables.token_history.c
    last = (
        select(func.max(history.at))
        .select_from(tables.token.join(tables.token_history, token.token_id == history.token_id))
        .where(
            token.person_id == person_id,
            history.reason.in_([one.value for one in reasons]),
        )
    )
    found: datetime | None = work.execute(last).scalar()
    return found


def _last_event(work: Work, person_id: str, kind: EventKind) -> datetime | None:
    columns = tables.event.c
    last = select(func.max(columns.at)).where(
        columns.person_id == person_id, columns.kind == kind.value
    )
    found: datetime | None = work.execute(last).scalar()
    return found


def _since(now: datetime, moment: datetime | None) -> timedelta | None:
    return None if moment is None else now - moment


def _record(work: Work, wish: Wish, facts: Facts, verdict: Verdict) -> None:
    row = {
        "person_id": wish.person_id,
        "decision_id": new_id("dcs"),
        "token_id": wish.token_id,
        "device_id": wish.device.device_id,
        "outcome": verdict.outcome.value,
        "reasons": list(verdict.reasons),
        "facts": {name: _plain(getattr(facts, name)) for name in facts.__slots__},
        "at": work.now,
    }
    work.execute(insert(tables.decision), row)


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    return value
