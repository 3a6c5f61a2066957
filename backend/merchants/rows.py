"""Reads rows of this domain as its facts; decides nothing."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select

from backend.db import Work
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


def terminal_facts(work: Work, terminal_id: str) -> TerminalFacts:
    """Raises TerminalUnknown, TerminalNotActive."""
    clients, shops, owners = tables.client.c, tables.shop.c, tables.merchant.c
    row = work.one(
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
    if row is None:
        raise TerminalUnknown
    if row.state != State.ACTIVE.value:
        raise TerminalNotActive(state=row.state)
    facts = row._asdict()
    facts.pop("state")
    return TerminalFacts(terminal_id=facts.pop("client_id"), **facts)


def merchant_of(row: Row[Any]) -> Merchant:
    return Merchant(
        row.merchant_id,
        row.merchant_number,
        row.name,
        row.name_en,
        row.mcc,
        row.city,
        row.created_at,
    )


def shop_of(row: Row[Any]) -> Shop:
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
