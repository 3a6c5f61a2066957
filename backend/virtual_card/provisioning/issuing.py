"""Makes tokens: numbers, certificate, row, first keys; asks no rule."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Row, Table, insert, select, update

from backend.db import IdempotencyConflict, Work
from backend.keys import ISSUER_KEYS, Keys
from backend.virtual_card import tables
from backend.virtual_card.errors import ProductUnknown, TokenExists, TokenNumbersExhausted
from backend.virtual_card.key_service import TokenKeys
from backend.virtual_card.model import (
    LIVE_BATCHES_MAX,
    Actor,
    Card,
    CardProduct,
    Cause,
    Device,
    HistoryLine,
    IssuedKeys,
    IssuerProfile,
    KeyTerms,
    number_with_check_digit,
)
from backend.virtual_card.rows import card_of, terms_of, write_history
from backend.virtual_card.states import Reason, TokenState
from card_protocol.mobile_card import Certificate, Suite
from card_protocol.pay_code import SHORT_NUMBER_DIGITS
from card_protocol.token_number import TOKEN_NUMBER_DIGITS

NUMBER_TRIES_MAX = 32
CLOCK_SPREAD = timedelta(seconds=60)  # a terminal's clock may be this much behind ours


def draw_digits(count: int) -> str:
    """`count` random digits."""
    return f"{secrets.randbelow(10**count):0{count}d}"


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to be made; `state` is active, or pending for one that waits for its phone."""

    person_id: str
    token_id: str
    wallet_id: str
    device: Device
    product: CardProduct
    by: Actor
    card_id: str | None = None
    state: TokenState = TokenState.ACTIVE
    reason: Reason = Reason.PROVISIONED


@dataclass(frozen=True, slots=True)
class Issuing:
    """The caller holds the person and the device."""

    keys: Keys = field(repr=False)
    issuer: IssuerProfile
    draw: Callable[[int], str] = draw_digits

    def get_product(self, product: str) -> CardProduct:
        """Raises ProductUnknown."""
        found = self.issuer.products.get(product)
        if found is None:
            raise ProductUnknown
        return found

    def require_key(self, device: Device, product: CardProduct) -> None:
        """The device can sign for this product's cards. Raises DeviceKeyMissing."""
        device.tap_key(product.suite)

    def check_place(self, work: Work, person_id: str, device_id: str, product: str) -> None:
        """One token per device and product. Raises TokenExists, naming the one that is there."""
        columns = tables.place.c
        there = select(columns.token_id).where(
            columns.person_id == person_id,
            columns.device_id == device_id,
            columns.product == product,
        )
        if (token_id := work.execute(there).scalar()) is not None:
            raise TokenExists(token_id=token_id)

    def make(self, work: Work, new: NewToken) -> Card:
        """A token with its first keys, in the suite its product has today.

        Raises TokenNumbersExhausted, IdempotencyConflict, DeviceKeyMissing.
        """
        self._take_place(work, new)
        token_number = self._take_token_number(work, new.token_id)
        short_number = self._take_short_number(work, new.token_id)
        row = self._row(work.now, new, token_number, short_number)
        if not work.insert_new(tables.token, row):
            raise IdempotencyConflict(fields="token_id")  # taken a moment ago
        line = HistoryLine(1, None, new.state, Cause(new.reason, new.by), work.now)
        write_history(work, new.token_id, line)
        stored = work.connection.execute(select_token(new.token_id)).one()
        terms = self._write_batch(work, stored, 1, new.product, atc=0)
        return card_of(stored, self.issue(stored, terms, new.device))

    def refill(self, work: Work, row: Row[Any], device: Device, atc: int) -> IssuedKeys:
        """The next batch of a locked token, in its own suite; of more than three live ones the
        oldest ends. Raises ProductUnknown.
        """
        product = self.get_product(row.product)
        live = live_batches(work, row.token_id)
        for oldest in live[: max(0, len(live) - LIVE_BATCHES_MAX + 1)]:
            _end_batch(work, oldest)
        index = row.key_index + 1
        terms = self._write_batch(work, row, index, product, atc)
        work.execute(
            update(tables.token)
            .where(tables.token.c.token_id == row.token_id)
            .values(key_index=index)
        )
        return self.issue(row, terms, device)

    def issue_again(self, work: Work, row: Row[Any], device: Device) -> Card:
        """The card with the newest live keys, once more; without keys when it has none."""
        live = live_batches(work, row.token_id)
        if not live:
            return card_of(row)
        return card_of(row, self.issue(row, terms_of(live[-1]), device))

    def issue(self, row: Row[Any], terms: KeyTerms, device: Device) -> IssuedKeys:
        keys = TokenKeys(self.keys, Suite(row.suite))
        return keys.issue(row.token_number, terms, device.sealing_key)

    def _write_batch(
        self, work: Work, row: Row[Any], key_index: int, product: CardProduct, atc: int
    ) -> KeyTerms:
        """The token's suite says which master: its product may have another one by now."""
        terms = KeyTerms(
            key_index=key_index,
            key_version=TokenKeys(self.keys, Suite(row.suite)).version(),
            uses_max=product.uses_max,
            not_before=work.now,
            not_after=work.now + timedelta(hours=product.hours),
        )
        values = {
            "token_id": row.token_id,
            "key_index": key_index,
            "key_version": terms.key_version,
            "uses_max": terms.uses_max,
            "not_before": terms.not_before,
            "not_after": terms.not_after,
            "atc_reported": atc,
        }
        work.execute(insert(tables.key_batch), values)
        return terms

    def _take_place(self, work: Work, new: NewToken) -> None:
        row = {
            "person_id": new.person_id,
            "device_id": new.device.device_id,
            "product": new.product.product,
            "token_id": new.token_id,
        }
        if not work.insert_new(tables.place, row):
            self.check_place(work, new.person_id, new.device.device_id, new.product.product)

    def _row(
        self, now: datetime, new: NewToken, token_number: str, short_number: str
    ) -> dict[str, Any]:
        certificate = self._certificate(now, new, token_number, short_number)
        return {
            "token_id": new.token_id,
            "person_id": new.person_id,
            "wallet_id": new.wallet_id,
            "device_id": new.device.device_id,
            "device_public_key": certificate.device_public_key,
            "token_number": token_number,
            "short_number": short_number,
            "product": new.product.product,
            "label": new.product.label,
            "state": new.state.value,
            "certificate": certificate.encode(),
            "key_index": 1,
            "changes": 1,
            "created_at": now,
            "suite": int(certificate.suite),
            "card_kind": new.product.kind.value,
            "card_id": new.card_id,
        }

    def _certificate(
        self, now: datetime, new: NewToken, token_number: str, short_number: str
    ) -> Certificate:
        product = new.product
        issuer = ISSUER_KEYS[product.suite]
        version = self.keys.active_version(issuer)
        return Certificate(
            token_number=token_number,
            device_public_key=new.device.tap_key(product.suite),
            product=product.product,
            concession_group=product.concession_group,
            not_before=int((now - CLOCK_SPREAD).timestamp()),
            not_after=int((now + timedelta(days=product.certificate_days)).timestamp()),
            offline_sale_max_fen=product.offline_sale_max_fen,
            offline_sum_max_fen=product.offline_sum_max_fen,
            # A token's place in the status list: its short number is a number of its own already.
            status_index=int(short_number),
            issuer_key_index=version,
            suite=product.suite,
        ).signed_by(lambda body: self.keys.sign(issuer, body, version))

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


def select_token(token_id: str) -> Any:
    return select(tables.token).where(tables.token.c.token_id == token_id)


def find_token(work: Work, token_id: str) -> Row[Any] | None:
    return work.one(select_token(token_id))


def live_batches(work: Work, token_id: str) -> list[Row[Any]]:
    """Oldest first."""
    columns = tables.key_batch.c
    query = (
        select(tables.key_batch)
        .where(columns.token_id == token_id, columns.not_after > work.now)
        .order_by(columns.key_index)
    )
    return list(work.execute(query).all())


def get_reported_atc(work: Work, row: Row[Any]) -> int:
    """What the phone said of its counter when it got its newest keys."""
    columns = tables.key_batch.c
    reported = select(columns.atc_reported).where(
        columns.token_id == row.token_id, columns.key_index == row.key_index
    )
    return int(work.execute(reported).scalar_one())


def _take(work: Work, column: Column[str], token_id: str, draw: Callable[[], str]) -> str:
    """The first number drawn that nobody has. Raises TokenNumbersExhausted."""
    table = column.table
    assert isinstance(table, Table)
    for _ in range(NUMBER_TRIES_MAX):
        drawn = draw()
        if work.insert_new(table, {column.name: drawn, "token_id": token_id}):
            return drawn
    raise TokenNumbersExhausted


def _end_batch(work: Work, batch: Row[Any]) -> None:
    columns = tables.key_batch.c
    work.execute(
        update(tables.key_batch)
        .where(columns.token_id == batch.token_id, columns.key_index == batch.key_index)
        .values(not_after=work.now)
    )
