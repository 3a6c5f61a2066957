"""Phone cards: a token on a device, its certificate, its keys, loss report and release."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Row, Table, insert, select, update

from backend.db import IdempotencyConflict, Operation, Units, Which, Work
from backend.kernel import check_id
from backend.keys import KeyRef, Keys
from backend.virtual_card import tables
from backend.virtual_card.errors import (
    DeviceEnded,
    PersonNotRegistered,
    ProductUnknown,
    TokenDeleted,
    TokenExists,
    TokenNumbersExhausted,
    TokenSuspended,
    TokenUnknown,
)
from backend.virtual_card.key_service import KEY_VERSION, TokenKeys
from backend.virtual_card.model import (
    LIVE_BATCHES_MAX,
    Card,
    CardProduct,
    Device,
    IssuedKeys,
    IssuerProfile,
    KeyTerms,
    number_with_check_digit,
)
from backend.virtual_card.rows import (
    card_of,
    change_token,
    get_device,
    locked_device,
    locked_token,
    terms_of,
    write_history,
)
from backend.virtual_card.states import DeviceState, Reason, TokenEvent, TokenState
from backend.wallet import WalletUnknown
from backend.web import Page
from card_protocol.mobile_card import Certificate
from card_protocol.pay_code import SHORT_NUMBER_DIGITS
from card_protocol.token_number import TOKEN_NUMBER_DIGITS

NUMBER_TRIES_MAX = 32
CLOCK_SPREAD = timedelta(seconds=60)  # a terminal's clock may be this much behind ours


def draw_digits(count: int) -> str:
    """`count` random digits."""
    return f"{secrets.randbelow(10**count):0{count}d}"


@dataclass(frozen=True, slots=True)
class Provision:
    person_id: str
    token_id: str
    device_id: str
    wallet_id: str
    product: str


@dataclass(frozen=True, slots=True)
class RefillKeys:
    person_id: str
    token_id: str
    atc: int  # 0..65535, where the phone's counter stands


@dataclass(frozen=True, slots=True)
class ChangeCard:
    person_id: str
    token_id: str


@dataclass(frozen=True, slots=True)
class Cards:
    """Each method is one command or one read.

    `is_registered` and `owns_wallet` ask other databases, before our transaction begins.
    """

    units: Units
    keys: Keys = field(repr=False)
    issuer: IssuerProfile
    is_registered: Callable[[str], bool]
    owns_wallet: Callable[[str, str], bool]  # person, wallet: theirs, and open
    draw: Callable[[int], str] = draw_digits

    def provision(self, command: Provision, operation: Operation) -> Card:
        """A new token with its first keys; the same token id and content hears of it again.

        Raises IdInvalid, ProductUnknown, PersonNotRegistered, WalletUnknown, DeviceUnknown,
        DeviceEnded, TokenExists, IdempotencyConflict, TokenNumbersExhausted.
        """
        check_id(command.token_id, "tok")
        is_registered = self.is_registered(command.person_id)
        owns_wallet = self.owns_wallet(command.person_id, command.wallet_id)

        def decide(work: Work) -> Card:
            if (existing := _find_token(work, command.token_id)) is not None:
                return self._repeated(work, existing, command)
            if not is_registered:
                raise PersonNotRegistered
            if not owns_wallet:
                raise WalletUnknown
            return self._provision(work, command)

        return self.units.once(Which.BUSINESS, operation, decide)

    def refill(self, command: RefillKeys, operation: Operation) -> IssuedKeys:
        """The next key batch. Of more than three live ones the oldest ends: it is used up.

        Raises TokenUnknown, TokenSuspended, TokenDeleted.
        """
        return self.units.once(Which.BUSINESS, operation, lambda work: self._refill(work, command))

    def report_loss(self, command: ChangeCard, operation: Operation) -> Card:
        """Raises TokenUnknown, TokenTransitionRefused."""
        return self._change(command, operation, TokenEvent.REPORT_LOSS, Reason.HOLDER_REPORTED_LOSS)

    def release(self, command: ChangeCard, operation: Operation) -> Card:
        """Raises TokenUnknown, TokenTransitionRefused."""
        return self._change(command, operation, TokenEvent.RELEASE, Reason.HOLDER_RELEASED)

    def get(self, person_id: str, token_id: str) -> Card:
        """Raises TokenUnknown."""
        with self.units.read(Which.BUSINESS) as work:
            row = _find_token(work, token_id)
        if row is None or row.person_id != person_id:
            raise TokenUnknown
        return card_of(row)

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

    def _provision(self, work: Work, command: Provision) -> Card:
        product = self.issuer.products.get(command.product)
        if product is None:
            raise ProductUnknown
        device = locked_device(work, command.person_id, command.device_id)
        if device.state is DeviceState.ENDED:
            raise DeviceEnded
        _take_place(work, command)
        token_number = self._take_token_number(work, command.token_id)
        short_number = self._take_short_number(work, command.token_id)
        certificate = self._certificate(work.now, product, device, token_number, short_number)
        row = {
            "token_id": command.token_id,
            "person_id": command.person_id,
            "wallet_id": command.wallet_id,
            "device_id": command.device_id,
            "device_public_key": device.signing_key,
            "token_number": token_number,
            "short_number": short_number,
            "product": product.product,
            "label": product.label,
            "state": TokenState.ACTIVE.value,
            "certificate": certificate.encode(),
            "key_index": 1,
            "changes": 1,
            "created_at": work.now,
        }
        if not work.insert_new(tables.token, row):
            raise IdempotencyConflict(fields="token_id")  # taken a moment ago
        write_history(
            work,
            command.token_id,
            1,
            before=None,
            after=TokenState.ACTIVE,
            reason=Reason.PROVISIONED,
        )
        terms = _write_batch(work, command.token_id, 1, product, atc=0)
        stored = work.connection.execute(_select_token(command.token_id)).one()
        return card_of(stored, self._issue(stored, terms, device))

    def _repeated(self, work: Work, row: Row[Any], command: Provision) -> Card:
        names = ("person_id", "device_id", "wallet_id", "product")
        differing = [one for one in names if row._mapping[one] != getattr(command, one)]
        if "person_id" in differing:
            raise IdempotencyConflict(fields="token_id")  # says nothing about another's card
        if differing:
            raise IdempotencyConflict(fields=", ".join(differing))
        batch = _live_batches(work, row.token_id)
        if row.state != TokenState.ACTIVE.value or not batch:
            return card_of(row)
        device = get_device(work, row.person_id, row.device_id)
        return card_of(row, self._issue(row, terms_of(batch[-1]), device))

    def _refill(self, work: Work, command: RefillKeys) -> IssuedKeys:
        row = locked_token(work, command.person_id, command.token_id)
        require_usable(row.state)
        device = get_device(work, row.person_id, row.device_id)
        product = self.issuer.products.get(row.product)
        if product is None:
            raise ProductUnknown
        # After this line nothing may refuse.
        live = _live_batches(work, row.token_id)
        for oldest in live[: max(0, len(live) - LIVE_BATCHES_MAX + 1)]:
            _end_batch(work, oldest)
        index = row.key_index + 1
        terms = _write_batch(work, row.token_id, index, product, command.atc)
        work.execute(
            update(tables.token)
            .where(tables.token.c.token_id == row.token_id)
            .values(key_index=index)
        )
        return self._issue(row, terms, device)

    def _change(
        self, command: ChangeCard, operation: Operation, event: TokenEvent, reason: Reason
    ) -> Card:
        def decide(work: Work) -> Card:
            row = locked_token(work, command.person_id, command.token_id)
            change_token(work, row, event, reason)
            return card_of(work.connection.execute(_select_token(command.token_id)).one())

        return self.units.once(Which.BUSINESS, operation, decide)

    def _issue(self, row: Row[Any], terms: KeyTerms, device: Device) -> IssuedKeys:
        return TokenKeys(self.keys).issue(row.token_number, terms, device.sealing_key)

    def _certificate(
        self,
        now: datetime,
        product: CardProduct,
        device: Device,
        token_number: str,
        short_number: str,
    ) -> Certificate:
        return Certificate(
            token_number=token_number,
            device_public_key=device.signing_key,
            product=product.product,
            concession_group=product.concession_group,
            not_before=int((now - CLOCK_SPREAD).timestamp()),
            not_after=int((now + timedelta(days=product.certificate_days)).timestamp()),
            offline_sale_max_fen=product.offline_sale_max_fen,
            offline_sum_max_fen=product.offline_sum_max_fen,
            # A token's place in the status list: its short number is a number of its own already.
            status_index=int(short_number),
            issuer_key_index=self.issuer.issuer_key_index,
        ).signed_by(lambda body: self.keys.sign(KeyRef.ISSUER_SIGNING, body))

    def _take_token_number(self, work: Work, token_id: str) -> str:
        prefix = self.issuer.token_prefix
        free = TOKEN_NUMBER_DIGITS - 1 - len(prefix)
        column = tables.number.c.token_number
        return _take(
            work, column, token_id, lambda: number_with_check_digit(prefix, self.draw(free))
        )

    def _take_short_number(self, work: Work, token_id: str) -> str:
        column = tables.short_number.c.short_number
        return _take(work, column, token_id, lambda: self.draw(SHORT_NUMBER_DIGITS))


def require_usable(state: str) -> None:
    """Raises TokenSuspended, TokenDeleted."""
    if state == TokenState.SUSPENDED.value:
        raise TokenSuspended
    if state == TokenState.DELETED.value:
        raise TokenDeleted


def _select_token(token_id: str) -> Any:
    return select(tables.token).where(tables.token.c.token_id == token_id)


def _find_token(work: Work, token_id: str) -> Row[Any] | None:
    return work.one(_select_token(token_id))


def _take_place(work: Work, command: Provision) -> None:
    """One token per device and product. Raises TokenExists, naming the one that is there."""
    row = {
        "person_id": command.person_id,
        "device_id": command.device_id,
        "product": command.product,
    }
    if work.insert_new(tables.place, {**row, "token_id": command.token_id}):
        return
    columns = tables.place.c
    there = select(columns.token_id).where(*(columns[name] == row[name] for name in row))
    raise TokenExists(token_id=work.connection.execute(there).scalar_one())


def _take(work: Work, column: Column[str], token_id: str, draw: Callable[[], str]) -> str:
    """The first number drawn that nobody has. Raises TokenNumbersExhausted."""
    table = column.table
    assert isinstance(table, Table)
    for _ in range(NUMBER_TRIES_MAX):
        drawn = draw()
        if work.insert_new(table, {column.name: drawn, "token_id": token_id}):
            return drawn
    raise TokenNumbersExhausted


def _live_batches(work: Work, token_id: str) -> list[Row[Any]]:
    """Oldest first."""
    columns = tables.key_batch.c
    query = (
        select(tables.key_batch)
        .where(columns.token_id == token_id, columns.not_after > work.now)
        .order_by(columns.key_index)
    )
    return list(work.execute(query).all())


def _write_batch(
    work: Work, token_id: str, key_index: int, product: CardProduct, atc: int
) -> KeyTerms:
    terms = KeyTerms(
        key_index=key_index,
        key_version=KEY_VERSION,
        uses_max=product.uses_max,
        not_before=work.now,
        not_after=work.now + timedelta(hours=product.hours),
    )
    values = {
        "token_id": token_id,
        "key_index": key_index,
        "key_version": terms.key_version,
        "uses_max": terms.uses_max,
        "not_before": terms.not_before,
        "not_after": terms.not_after,
        "atc_reported": atc,
    }
    work.execute(insert(tables.key_batch), values)
    return terms


def _end_batch(work: Work, batch: Row[Any]) -> None:
    columns = tables.key_batch.c
    work.execute(
        update(tables.key_batch)
        .where(columns.token_id == batch.token_id, columns.key_index == batch.key_index)
        .values(not_after=work.now)
    )
