"""Merchants, shops, terminals and merchants' servers: who there is, and who may sell."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Row, Select, Table, select, update

from backend.db import IdempotencyConflict, Operation, Units, Which, Work
from backend.kernel import check_id
from backend.keys import KeyRef, Keys
from backend.merchants import tables
from backend.merchants.errors import NumbersExhausted, NumberTaken
from backend.merchants.model import (
    CODE_TTL,
    MERCHANT_NUMBER_CHARACTERS,
    SHOP_NUMBER_DIGITS,
    TERMINAL_NUMBER_CHARACTERS,
    Client,
    ClientKind,
    Merchant,
    Ordered,
    Shop,
    TerminalFacts,
    code_text,
    derive_code,
)
from backend.merchants.rows import (
    get_client,
    get_merchant,
    get_shop,
    locked_client,
    merchant_of,
    shop_of,
    terminal_facts,
    terminal_question,
)
from backend.merchants.states import Event, State, advance

T = TypeVar("T")

NUMBER_TRIES_MAX = 16


def draw_digits(count: int) -> str:
    """`count` random digits."""
    return f"{secrets.randbelow(10**count):0{count}d}"


@dataclass(frozen=True, slots=True)
class AddMerchant:
    """`name_en` absent: codes show the merchant number. `merchant_number` absent: one is drawn."""

    merchant_id: str
    name: str
    mcc: str
    city: str
    name_en: str | None = None
    merchant_number: str | None = None


@dataclass(frozen=True, slots=True)
class AddShop:
    shop_id: str
    merchant_id: str
    name: str
    shop_number: str | None = None


@dataclass(frozen=True, slots=True)
class AddTerminal:
    terminal_id: str
    shop_id: str
    label: str
    terminal_number: str | None = None


@dataclass(frozen=True, slots=True)
class AddClient:
    client_id: str
    merchant_id: str
    label: str


@dataclass(frozen=True, slots=True)
class ChangeClient:
    client_id: str
    event: Event


@dataclass(frozen=True, slots=True)
class Merchants:
    """Each method is one command or one read. What is added is named by the caller's id:
    the same id and content gets the same answer, another content IdempotencyConflict.

    Without an operation (a data file being loaded) the id alone decides.
    """

    units: Units
    keys: Keys
    draw: Callable[[int], str] = draw_digits

    def add_merchant(self, command: AddMerchant, operation: Operation | None = None) -> Merchant:
        """Raises IdInvalid, IdempotencyConflict."""
        check_id(command.merchant_id, "mer")
        return self._run(operation, lambda work: self._add_merchant(work, command))

    def add_shop(self, command: AddShop, operation: Operation | None = None) -> Shop:
        """Raises IdInvalid, MerchantUnknown, IdempotencyConflict."""
        check_id(command.shop_id, "shp")
        return self._run(operation, lambda work: self._add_shop(work, command))

    def add_terminal(self, command: AddTerminal) -> Ordered:
        """A terminal and its activation code. Raises IdInvalid, ShopUnknown, IdempotencyConflict.

        No Operation here: answers kept under one would keep the code in plain. The code is
        derived from the id, so the repeated command hears it again all the same.
        """
        check_id(command.terminal_id, "trm")
        with self.units.write(Which.BUSINESS) as work:
            place = get_shop(work, tables.shop.c.shop_id == command.shop_id)
            row = {
                "client_id": command.terminal_id,
                "kind": ClientKind.TERMINAL.value,
                "merchant_id": place.merchant_id,
                "shop_id": place.shop_id,
                "label": command.label,
            }
            return self._add_client(work, row, command.terminal_number)

    def add_client(self, command: AddClient) -> Ordered:
        """A merchant's server and its code; as `add_terminal`. Raises MerchantUnknown."""
        check_id(command.client_id, "mcl")
        with self.units.write(Which.BUSINESS) as work:
            owner = get_merchant(work, command.merchant_id)
            row = {
                "client_id": command.client_id,
                "kind": ClientKind.MERCHANT.value,
                "merchant_id": owner.merchant_id,
                "shop_id": None,
                "label": command.label,
            }
            return self._add_client(work, row, None)

    def issue_activation_code(self, client_id: str) -> Ordered:
        """A new code; codes handed out before and not yet used end now.

        Raises TerminalUnknown, TerminalTransitionRefused.
        """
        with self.units.write(Which.BUSINESS) as work:
            row = locked_client(work, client_id)
            advance(State(row.state), Event.ORDER_CODE)
            _end_unused_codes(work, client_id)
            self._write_code(work, client_id, row.code_serial + 1)
            return self._ordered(work, client_id)

    def change_client(self, command: ChangeClient, operation: Operation | None = None) -> Client:
        """Suspend, resume or close. Raises TerminalUnknown, TerminalTransitionRefused."""
        return self._run(operation, lambda work: _change(work, command))

    def vouch_for_terminal(self, terminal_id: str) -> TerminalFacts:
        """One query. Raises TerminalUnknown, TerminalNotActive."""
        found = self.units.ask(Which.BUSINESS, terminal_question(terminal_id))
        return terminal_facts(found[0] if found else None)

    def get_merchant(self, merchant_id: str) -> Merchant:
        """Raises MerchantUnknown."""
        with self.units.read(Which.BUSINESS) as work:
            return get_merchant(work, merchant_id)

    def get_shop(self, shop_id: str) -> Shop:
        """Raises ShopUnknown."""
        with self.units.read(Which.BUSINESS) as work:
            return get_shop(work, tables.shop.c.shop_id == shop_id)

    def get_client(self, client_id: str) -> Client:
        """A terminal or a merchant's server. Raises TerminalUnknown."""
        with self.units.read(Which.BUSINESS) as work:
            return get_client(work, client_id)

    def _run(self, operation: Operation | None, decide: Callable[[Work], T]) -> T:
        if operation is not None:
            return self.units.once(Which.BUSINESS, operation, decide)
        with self.units.write(Which.BUSINESS) as work:
            return decide(work)

    def _add_merchant(self, work: Work, command: AddMerchant) -> Merchant:
        number = command.merchant_number
        row = {
            "merchant_id": command.merchant_id,
            "name": command.name,
            "mcc": command.mcc,
            "city": command.city,
        }

        def numbered(drawn: str) -> dict[str, Any]:
            return {"merchant_number": drawn, "name_en": command.name_en or drawn}

        asked = {**row, **({"name_en": command.name_en} if command.name_en else {})}
        key = tables.merchant.c.merchant_id
        find = select(tables.merchant).where(key == command.merchant_id)
        if (existing := work.one(find)) is None:
            draws = self._draws(number, MERCHANT_NUMBER_CHARACTERS)
            _insert_numbered(work, tables.merchant, row, [numbered(one) for one in draws], find)
            existing = work.connection.execute(find).one()
        _require_same(existing, {**asked, **_given("merchant_number", number)})
        return merchant_of(existing)

    def _add_shop(self, work: Work, command: AddShop) -> Shop:
        get_merchant(work, command.merchant_id)
        row = {
            "shop_id": command.shop_id,
            "merchant_id": command.merchant_id,
            "name": command.name,
        }
        find = select(tables.shop).where(tables.shop.c.shop_id == command.shop_id)
        if (existing := work.one(find)) is None:
            draws = self._draws(command.shop_number, SHOP_NUMBER_DIGITS)
            numbers = [{"shop_number": one} for one in draws]
            _insert_numbered(work, tables.shop, row, numbers, find)
            existing = work.connection.execute(find).one()
        _require_same(existing, {**row, **_given("shop_number", command.shop_number)})
        return shop_of(existing)

    def _add_client(self, work: Work, row: Mapping[str, Any], number: str | None) -> Ordered:
        find = select(tables.client).where(tables.client.c.client_id == row["client_id"])
        if (existing := work.one(find)) is None:
            draws: list[str | None] = [None]
            if row["kind"] == ClientKind.TERMINAL.value:
                draws = list(self._draws(number, TERMINAL_NUMBER_CHARACTERS))
            fresh = {**row, "state": State.ORDERED.value, "code_serial": 0}
            numbers = [{"terminal_number": one} for one in draws]
            if _insert_numbered(work, tables.client, fresh, numbers, find):
                self._write_code(work, row["client_id"], 1)
            existing = work.connection.execute(find).one()
        _require_same(existing, {**row, **_given("terminal_number", number)})
        return self._ordered(work, row["client_id"])

    def _draws(self, given: str | None, count: int) -> list[str]:
        return [given] if given else [self.draw(count) for _ in range(NUMBER_TRIES_MAX)]

    def _write_code(self, work: Work, client_id: str, serial: int) -> None:
        """The first code from `serial` on whose mac is free: two clients never share one."""
        for number in range(serial, serial + NUMBER_TRIES_MAX):
            row = {
                "code_mac": code_mac(self.keys, self._code(client_id, number)),
                "client_id": client_id,
                "serial": number,
                "issued_at": work.now,
                "expires_at": work.now + CODE_TTL,
            }
            if work.insert_new(tables.activation_code, row):
                work.execute(
                    update(tables.client)
                    .where(tables.client.c.client_id == client_id)
                    .values(code_serial=number)
                )
                return
        raise NumbersExhausted

    def _ordered(self, work: Work, client_id: str) -> Ordered:
        codes = tables.activation_code.c
        newest = (
            select(codes.serial, codes.expires_at)
            .where(codes.client_id == client_id)
            .order_by(codes.serial.desc())
            .limit(1)
        )
        code = work.connection.execute(newest).one()
        text = code_text(self._code(client_id, code.serial))
        return Ordered(get_client(work, client_id), text, code.expires_at)

    def _code(self, client_id: str, serial: int) -> str:
        return derive_code(lambda data: self.keys.mac(KeyRef.SECRETS, data), client_id, serial)


def code_mac(keys: Keys, characters: str) -> str:
    """What is stored of an activation code."""
    return keys.mac(KeyRef.SECRETS, b"activation-code|" + characters.encode()).hex()


def _change(work: Work, command: ChangeClient) -> Client:
    row = locked_client(work, command.client_id)
    state = advance(State(row.state), command.event)
    work.execute(
        update(tables.client)
        .where(tables.client.c.client_id == command.client_id)
        .values(state=state.value)
    )
    return get_client(work, command.client_id)


def _end_unused_codes(work: Work, client_id: str) -> None:
    codes = tables.activation_code.c
    work.execute(
        update(tables.activation_code)
        .where(codes.client_id == client_id, codes.used_at.is_(None), codes.expires_at > work.now)
        .values(expires_at=work.now)
    )


def _insert_numbered(
    work: Work,
    table: Table,
    row: Mapping[str, Any],
    numbers: list[dict[str, Any]],
    find: Select[Any],
) -> bool:
    """Write the row with the first number that is free; False when the id itself was taken.

    Raises NumberTaken, NumbersExhausted.
    """
    for number in numbers:
        if work.insert_new(table, {**row, **number, "created_at": work.now}):
            return True
        if work.one(find) is not None:
            return False
    raise NumberTaken if len(numbers) == 1 else NumbersExhausted


def _given(name: str, value: str | None) -> dict[str, str]:
    return {} if value is None else {name: value}


def _require_same(existing: Row[Any], asked: Mapping[str, Any]) -> None:
    differing = sorted(name for name in asked if existing._mapping[name] != asked[name])
    if differing:
        raise IdempotencyConflict(fields=", ".join(differing))
