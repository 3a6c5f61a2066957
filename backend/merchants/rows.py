"""Reads rows of this domain as its facts; decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Label, Row, Select, Table, select

from backend.db import Units, Which, Work
from backend.merchants import tables
from backend.merchants.errors import (
    MerchantUnknown,
    ShopUnknown,
    TerminalNotActive,
    TerminalUnknown,
)
from backend.merchants.model import Client, ClientKind, Merchant, Shop, TerminalFacts
from backend.merchants.states import State


def get_merchant(work: Work, merchant_id: str) -> Merchant:
    """Raises MerchantUnknown."""
    row = work.one(select(tables.merchant).where(tables.merchant.c.merchant_id == merchant_id))
    if row is None:
        raise MerchantUnknown
    return merchant_of(row)


def get_shop(work: Work, condition: Any) -> Shop:
    """The shop with this id or number. Raises ShopUnknown."""
    row = work.one(select(tables.shop).where(condition))
    if row is None:
        raise ShopUnknown
    return shop_of(row)


@dataclass(frozen=True, slots=True)
class Place:
    """A shop and whose it is."""

    shop: Shop
    merchant: Merchant


def get_place(units: Units, shop_number: str) -> Place:
    """The shop with this number, and its merchant. One question. Raises ShopUnknown."""
    shops, owners = tables.shop, tables.merchant
    question = (
        select(*_labelled(shops, "shop"), *_labelled(owners, "merchant"))
        .join_from(shops, owners, owners.c.merchant_id == shops.c.merchant_id)
        .where(shops.c.shop_number == shop_number)
    )
    found = units.ask(Which.BUSINESS, question)
    if not found:
        raise ShopUnknown
    row = found[0]._mapping
    shop = {one.name: row[f"shop.{one.name}"] for one in shops.c}
    merchant = {one.name: row[f"merchant.{one.name}"] for one in owners.c}
    return Place(shop_of(SimpleNamespace(**shop)), merchant_of(SimpleNamespace(**merchant)))


def _labelled(table: Table, name: str) -> list[Label[Any]]:
    return [one.label(f"{name}.{one.name}") for one in table.c]


def get_client(work: Work, client_id: str) -> Client:
    """Raises TerminalUnknown."""
    row = work.one(select(tables.client).where(tables.client.c.client_id == client_id))
    if row is None:
        raise TerminalUnknown
    return client_of(row)


def locked_client(work: Work, client_id: str) -> Row[Any]:
    """The row, held until the work ends. Raises TerminalUnknown."""
    row = work.one(
        select(tables.client).where(tables.client.c.client_id == client_id).with_for_update()
    )
    if row is None:
        raise TerminalUnknown
    return row


def terminal_question(terminal_id: str) -> Select[Any]:
    """What a sale must know of its terminal."""
    clients, shops, owners = tables.client.c, tables.shop.c, tables.merchant.c
    return (
        select(
            clients.client_id,
            clients.merchant_id,
            owners.name.label("merchant_name"),
            clients.shop_id,
            shops.name.label("shop_name"),
            clients.terminal_number,
            owners.merchant_number,
            clients.state,
        )
        .join(tables.shop, shops.shop_id == clients.shop_id)
        .join(tables.merchant, owners.merchant_id == clients.merchant_id)
        .where(clients.client_id == terminal_id)
    )


def terminal_facts(row: Row[Any] | None) -> TerminalFacts:
    """Raises TerminalUnknown, TerminalNotActive."""
    if row is None:
        raise TerminalUnknown
    if row.state != State.ACTIVE.value:
        raise TerminalNotActive(state=row.state)
    facts = row._asdict()
    facts.pop("state")
    return TerminalFacts(terminal_id=facts.pop("client_id"), **facts)


def merchant_of(row: Any) -> Merchant:
    return Merchant(
        row.merchant_id,
        row.merchant_number,
        row.name,
        row.name_en,
        row.mcc,
        row.city,
        row.created_at,
    )


def shop_of(row: Any) -> Shop:
    return Shop(row.shop_id, row.merchant_id, row.shop_number, row.name, row.created_at)


def client_of(row: Row[Any]) -> Client:
    return Client(
        row.client_id,
        ClientKind(row.kind),
        row.merchant_id,
        row.shop_id,
        row.terminal_number,
        row.label,
        State(row.state),
        row.created_at,
        row.activated_at,
    )
