"""Phone cards: provision, refill, loss report, release, reading; the door to their later life."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from backend.db import Event, IdempotencyConflict, Operation, Units, Which, Work
from backend.kernel import DomainError, check_id
from backend.keys import Keys
from backend.virtual_card import tables
from backend.virtual_card.errors import (
    PersonNotRegistered,
    ReleaseRefused,
    TokenDeleted,
    TokenPending,
    TokenSuspended,
    TokenUnknown,
)
from backend.virtual_card.life.events import Events
from backend.virtual_card.life.moves import MOVE_DUE, Moves
from backend.virtual_card.life.notices import tell_holder
from backend.virtual_card.model import (
    SYSTEM,
    Actor,
    Card,
    Cause,
    HistoryLine,
    IssuedKeys,
    IssuerProfile,
)
from backend.virtual_card.ports import Holders
from backend.virtual_card.provisioning import Deciding, Figures, Issuing, NewToken, Wish
from backend.virtual_card.provisioning.issuing import (
    draw_digits,
    find_token,
    get_reported_atc,
    select_token,
)
from backend.virtual_card.rows import (
    card_of,
    change_token,
    get_device,
    history_line_of,
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
from backend.virtual_card.step_up.model import Purpose
from backend.virtual_card.step_up.service import StepUps
from backend.virtual_card.watch.model import Answer, LoggedTap, answer_to, check_log
from backend.virtual_card.watch.service import TapWatch
from backend.wallet import WalletUnknown
from backend.web import Page


@dataclass(frozen=True, slots=True)
class Provision:
    person_id: str
    token_id: str
    device_id: str
    wallet_id: str
    product: str
    card_id: str | None = None  # the plastic card it stands for; never a citizen's word


@dataclass(frozen=True, slots=True)
class RefillKeys:
    """`atc`: where the phone's counter stands, 0..65535. `log`: what it gave out since the last
    refill, None from an app that keeps no log."""

    person_id: str
    token_id: str
    atc: int
    log: tuple[LoggedTap, ...] | None = None


@dataclass(frozen=True, slots=True)
class ChangeCard:
    person_id: str
    token_id: str


@dataclass(frozen=True, slots=True)
class Cards:
    """Each method is one command or one read; `events`, `moves` and `step_ups` have more.

    `is_registered`, `owns_wallet` and `holders` ask other databases, before our transaction
    begins. Without `watch` nobody compares a phone's log with what arrived.
    """

    units: Units
    keys: Keys = field(repr=False)
    issuer: IssuerProfile
    is_registered: Callable[[str], bool]
    owns_wallet: Callable[[str, str], bool]  # person, wallet: theirs, and open
    draw: Callable[[int], str] = draw_digits
    figures: Figures = field(default_factory=Figures)
    holders: Holders | None = None
    watch: TapWatch | None = None
    issuing: Issuing = field(init=False, repr=False)
    step_ups: StepUps = field(init=False, repr=False)
    deciding: Deciding = field(init=False, repr=False)
    moves: Moves = field(init=False, repr=False)
    events: Events = field(init=False, repr=False)

    def __post_init__(self) -> None:
        step_ups = StepUps(self.units, self.keys)
        deciding = Deciding(step_ups, self.figures)
        issuing = Issuing(self.keys, self.issuer, self.draw)
        parts = {
            "issuing": issuing,
            "step_ups": step_ups,
            "deciding": deciding,
            "moves": Moves(self.units, deciding, issuing, self.holders),
            "events": Events(self.units),
        }
        for name, part in parts.items():
            object.__setattr__(self, name, part)

    def consumers(self) -> Mapping[str, Callable[[Event], None]]:
        """What the outbox worker hands to this domain, besides messages."""
        return {MOVE_DUE: self.moves.end_overdue}

    def provision(self, command: Provision, operation: Operation) -> Card:
        """A new token with its first keys; the same token id and content hears of it again.

        Raises IdInvalid, ProductUnknown, PersonNotRegistered, WalletUnknown, DeviceUnknown,
        DeviceEnded, DeviceKeyMissing, TokenExists, IdempotencyConflict, TokenNumbersExhausted,
        StepUpRequired, StepUpTooOften, ProvisioningDeclined.
        """
        check_id(command.token_id, "tok")
        is_registered = self.is_registered(command.person_id)
        owns_wallet = self.owns_wallet(command.person_id, command.wallet_id)
        since = self.holders.find_phone_since(command.person_id) if self.holders else None

        def decide(work: Work) -> Card | DomainError:
            hold_holder(work, command.person_id)
            if (existing := find_token(work, command.token_id)) is not None:
                return self._repeated(work, existing, command)
            if not is_registered:
                raise PersonNotRegistered
            if not owns_wallet:
                raise WalletUnknown
            return self._provision(work, command, since)

        return self.units.once(Which.BUSINESS, operation, decide)

    def refill(self, command: RefillKeys, operation: Operation) -> IssuedKeys:
        """The next key batch. Of more than three live ones the oldest ends: it is used up.

        Raises TokenUnknown, TokenPending, TokenSuspended, TokenDeleted, StepUpRequired,
        StepUpTooOften. A log that contradicts what arrived suspends the token.
        """
        return self.units.once(Which.BUSINESS, operation, lambda work: self._refill(work, command))

    def report_loss(self, command: ChangeCard, operation: Operation) -> Card:
        """Raises TokenUnknown, TokenTransitionRefused."""

        def decide(work: Work) -> Card:
            row = locked_token(work, command.person_id, command.token_id)
            cause = Cause(Reason.HOLDER_REPORTED_LOSS, _citizen(command.person_id))
            change_token(work, row, TokenEvent.REPORT_LOSS, cause)
            return _stored(work, command.token_id)

        return self.units.once(Which.BUSINESS, operation, decide)

    def release(self, command: ChangeCard, operation: Operation) -> Card:
        """By the holder, as far as the suspension's reason lets him.

        Raises TokenUnknown, TokenTransitionRefused, ReleaseRefused, StepUpRequired,
        StepUpTooOften.
        """
        return self.units.once(Which.BUSINESS, operation, lambda work: self._release(work, command))

    def release_by_staff(self, token_id: str, staff_id: str, operation: Operation) -> Card:
        """Raises TokenUnknown, TokenTransitionRefused, ReleaseRefused."""

        def decide(work: Work) -> Card:
            row = locked_token(work, None, token_id)
            if _release_of(row) is Release.NOBODY:
                raise ReleaseRefused(reason=row.suspended_for)
            cause = Cause(Reason.STAFF_RELEASED, Actor(ActorKind.STAFF, staff_id))
            change_token(work, row, TokenEvent.RELEASE, cause)
            return _stored(work, token_id)

        return self.units.once(Which.BUSINESS, operation, decide)

    def get(self, person_id: str | None, token_id: str) -> Card:
        """This person's card; of whom it may be when `person_id` is None. Raises TokenUnknown."""
        with self.units.read(Which.BUSINESS) as work:
            return card_of(_get_token(work, person_id, token_id))

    def list(self, person_id: str, limit: int, after: str | None) -> Page[Card]:
        """By id, which is the order of provisioning; deleted ones too."""
        columns = tables.token.c
        query = select(tables.token).where(columns.person_id == person_id)
        if after is not None:
            query = query.where(columns.token_id > after)
        with self.units.read(Which.BUSINESS) as work:
            rows = work.execute(query.order_by(columns.token_id).limit(limit + 1)).all()
        found = [card_of(row) for row in rows[:limit]]
        return Page(found, found[-1].token_id if len(rows) > limit else None)

    def history(
        self, person_id: str | None, token_id: str, limit: int, after: str | None
    ) -> Page[HistoryLine]:
        """What became of a card and why, oldest first; `after` is a line's number.

        Raises TokenUnknown.
        """
        columns = tables.token_history.c
        number = int(after) if after is not None and after.isdecimal() and len(after) < 9 else 0
        query = (
            select(tables.token_history)
            .where(columns.token_id == token_id, columns.number > number)
            .order_by(columns.number)
            .limit(limit + 1)
        )
        with self.units.read(Which.BUSINESS) as work:
            _get_token(work, person_id, token_id)
            rows = work.execute(query).all()
        found = [history_line_of(row) for row in rows[:limit]]
        return Page(found, str(found[-1].number) if len(rows) > limit else None)

    def _provision(
        self, work: Work, command: Provision, phone_since: datetime | None
    ) -> Card | DomainError:
        product = self.issuing.get_product(command.product)
        device = locked_active_device(work, command.person_id, command.device_id)
        self.issuing.require_key(device, product)
        self.issuing.check_place(work, command.person_id, command.device_id, command.product)
        wish = Wish(
            person_id=command.person_id,
            token_id=command.token_id,
            wallet_id=command.wallet_id,
            device=device,
            phone_since=phone_since,
        )
        if (refusal := self.deciding.decide(work, wish)) is not None:
            return refusal
        new = NewToken(
            person_id=command.person_id,
            token_id=command.token_id,
            wallet_id=command.wallet_id,
            device=device,
            product=product,
            by=_citizen(command.person_id),
            card_id=command.card_id,
        )
        return self.issuing.make(work, new)

    def _repeated(self, work: Work, row: Row[Any], command: Provision) -> Card:
        names = ("person_id", "device_id", "wallet_id", "product")
        differing = [one for one in names if row._mapping[one] != getattr(command, one)]
        if "person_id" in differing:
            raise IdempotencyConflict(fields="token_id")  # says nothing about another's card
        if differing:
            raise IdempotencyConflict(fields=", ".join(differing))
        if row.state != TokenState.ACTIVE.value:
            return card_of(row)
        device = get_device(work, row.person_id, row.device_id)
        return self.issuing.issue_again(work, row, device)

    def _refill(self, work: Work, command: RefillKeys) -> IssuedKeys | DomainError:
        hold_holder(work, command.person_id)
        row = locked_token(work, command.person_id, command.token_id)
        require_usable(row.state)
        device = get_device(work, row.person_id, row.device_id)
        self.issuing.get_product(row.product)
        if (refusal := self._judge_log(work, row, command)) is not None:
            return refusal
        return self.issuing.refill(work, row, device, command.atc)

    def _judge_log(self, work: Work, row: Row[Any], command: RefillKeys) -> DomainError | None:
        """The refusal to return: a code first, or nothing but a suspended card."""
        last_atc = get_reported_atc(work, row)
        arrived = self.watch.arrived(work, row.token_id, last_atc) if self.watch else None
        findings = check_log(last_atc, command.atc, command.log, arrived, work.now)
        answer = answer_to(findings)
        if answer is Answer.SUSPEND:
            cause = Cause(Reason.LOG_CONFLICT, SYSTEM)
            state = change_token(work, row, TokenEvent.SUSPEND, cause)
            tell_holder(work, row.person_id, row.token_id, Reason.LOG_CONFLICT, state.value)
            return TokenSuspended()
        if answer is Answer.STEP_UP:
            reasons = [one.value for one in findings]
            return self._require_code(work, row, Purpose.REFILL, reasons)
        return None

    def _release(self, work: Work, command: ChangeCard) -> Card | DomainError:
        hold_holder(work, command.person_id)
        row = locked_token(work, command.person_id, command.token_id)
        who = _release_of(row)
        if who.value > Release.HOLDER_WITH_CODE.value:
            raise ReleaseRefused(reason=row.suspended_for)
        if who is Release.HOLDER_WITH_CODE:
            refusal = self._require_code(work, row, Purpose.RELEASE, [row.suspended_for])
            if refusal is not None:
                return refusal
        cause = Cause(Reason.HOLDER_RELEASED, _citizen(command.person_id))
        change_token(work, row, TokenEvent.RELEASE, cause)
        return _stored(work, command.token_id)

    def _require_code(
        self, work: Work, row: Row[Any], purpose: Purpose, reasons: Sequence[str]
    ) -> DomainError | None:
        """None when a code was given for this; it is used up then."""
        passed = self.step_ups.find_passed(work, row.person_id, purpose, row.token_id)
        if passed is None:
            return self.step_ups.require(work, row.person_id, purpose, row.token_id, reasons)
        self.step_ups.use(work, row.person_id, passed)
        return None


def require_usable(state: str) -> None:
    """Raises TokenPending, TokenSuspended, TokenDeleted."""
    if state == TokenState.PENDING.value:
        raise TokenPending
    if state == TokenState.SUSPENDED.value:
        raise TokenSuspended
    if state == TokenState.DELETED.value:
        raise TokenDeleted


def _citizen(person_id: str) -> Actor:
    return Actor(ActorKind.CITIZEN, person_id)


def _release_of(row: Row[Any]) -> Release:
    """Who may end this suspension; of a token that is not suspended the states speak."""
    return RELEASED_BY[Reason(row.suspended_for)] if row.suspended_for else Release.HOLDER


def _stored(work: Work, token_id: str) -> Card:
    return card_of(work.connection.execute(select_token(token_id)).one())


def _get_token(work: Work, person_id: str | None, token_id: str) -> Row[Any]:
    row = find_token(work, token_id)
    if row is None or person_id not in (None, row.person_id):
        raise TokenUnknown
    return row
