"""Merchant codes (收款码): made for a till or a counter, read for a citizen who wants to pay."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select

from backend.db import Operation, Units, Which, Work
from backend.kernel import DomainError, check_amount
from backend.keys import KeyRef, Keys
from backend.merchants import tables
from backend.merchants.errors import (
    MerchantCodeAltered,
    MerchantCodeForeign,
    MerchantCodeMalformed,
    ShopUnknown,
)
from backend.merchants.model import Merchant, Shop
from backend.merchants.rows import get_merchant, get_shop, terminal_facts
from card_protocol import emvco
from card_protocol.errors import MalformedBytes

NAME_ZH_CHARACTERS_MAX = 25
CITY_ZH_CHARACTERS_MAX = 15
REFUSALS: Mapping[str, type[DomainError]] = {
    emvco.CODE: MerchantCodeMalformed,
    emvco.FOREIGN_CODE: MerchantCodeForeign,
}


@dataclass(frozen=True, slots=True)
class MakeCode:
    """A code for one bill at a terminal; without an amount the citizen types it."""

    terminal_id: str
    bill_number: str  # 1..25 of A-Z a-z 0-9
    amount_fen: int | None


@dataclass(frozen=True, slots=True)
class MadeCode:
    """The text to show as a QR code."""

    content: str


@dataclass(frozen=True, slots=True)
class MerchantCodeRead:
    """Who asks for how much. Names come from our own rows, never from the code."""

    merchant: Merchant
    shop: Shop
    amount_fen: int | None
    bill_number: str | None
    terminal_id: str | None


@dataclass(frozen=True, slots=True)
class MerchantCodes:
    """`city_en`: the city in printable ASCII, 1..15 (EMVCo object 60)."""

    units: Units
    keys: Keys
    city_en: str

    def make_for_terminal(self, command: MakeCode, operation: Operation) -> MadeCode:
        """A dynamic code. Raises TerminalUnknown, TerminalNotActive, AmountInvalid."""
        if command.amount_fen is not None:
            check_amount(command.amount_fen)
        return self.units.once(
            Which.BUSINESS, operation, lambda work: self._for_terminal(work, command)
        )

    def make_for_shop(self, shop_id: str, amount_fen: int | None = None) -> MadeCode:
        """A static code for the counter. Raises ShopUnknown, AmountInvalid."""
        if amount_fen is not None:
            check_amount(amount_fen)
        with self.units.read(Which.BUSINESS) as work:
            place = get_shop(work, tables.shop.c.shop_id == shop_id)
            return self._content(work, place, amount_fen, None, None)

    def counter_code(self, shop_id: str, merchant_id: str) -> MadeCode:
        """The static code a merchant prints for a shop of its own. Raises ShopUnknown."""
        with self.units.read(Which.BUSINESS) as work:
            place = get_shop(work, tables.shop.c.shop_id == shop_id)
        if place.merchant_id != merchant_id:
            raise ShopUnknown
        return self.make_for_shop(shop_id)

    def read(self, content: str) -> MerchantCodeRead:
        """Raises MerchantCodeMalformed, MerchantCodeForeign, MerchantCodeAltered, ShopUnknown."""
        try:
            code = emvco.MerchantCode.decode(content)
        except MalformedBytes as error:
            raise REFUSALS.get(error.code, MerchantCodeMalformed) from None
        account = code.merchant_account
        mac = self._mac(account.shop_number, code.amount_fen, code.bill_number)
        if not hmac.compare_digest(mac, account.mac):
            raise MerchantCodeAltered
        with self.units.read(Which.BUSINESS) as work:
            place = get_shop(work, tables.shop.c.shop_number == account.shop_number)
            return MerchantCodeRead(
                merchant=get_merchant(work, place.merchant_id),
                shop=place,
                amount_fen=code.amount_fen,
                bill_number=code.bill_number,
                terminal_id=_terminal_id(work, place, code.terminal_label),
            )

    def _for_terminal(self, work: Work, command: MakeCode) -> MadeCode:
        facts = terminal_facts(work, command.terminal_id)
        place = get_shop(work, tables.shop.c.shop_id == facts.shop_id)
        return self._content(
            work, place, command.amount_fen, command.bill_number, facts.terminal_number
        )

    def _content(
        self,
        work: Work,
        place: Shop,
        amount_fen: int | None,
        bill_number: str | None,
        terminal_number: str | None,
    ) -> MadeCode:
        owner = get_merchant(work, place.merchant_id)
        account = emvco.MerchantAccount(
            guid=emvco.MERCHANT_GUID,
            shop_number=place.shop_number,
            bill_number=bill_number,
            mac=self._mac(place.shop_number, amount_fen, bill_number),
        )
        code = emvco.MerchantCode(
            merchant_account=account,
            is_dynamic=bill_number is not None,
            mcc=owner.mcc,
            amount_fen=amount_fen,
            merchant_name=owner.name_en,
            city=self.city_en,
            merchant_name_zh=owner.name[:NAME_ZH_CHARACTERS_MAX],
            city_zh=owner.city[:CITY_ZH_CHARACTERS_MAX],
            terminal_label=terminal_number,
        )
        return MadeCode(code.encode())

    def _mac(self, shop_number: str, amount_fen: int | None, bill_number: str | None) -> bytes:
        data = emvco.code_authentication_input(shop_number, amount_fen, bill_number)
        return self.keys.mac(KeyRef.MERCHANT_CODES, data)[: emvco.MAC_BYTES]


def _terminal_id(work: Work, place: Shop, terminal_number: str | None) -> str | None:
    """The terminal a code names. The MAC does not cover it: only this shop's own are believed."""
    if terminal_number is None:
        return None
    clients = tables.client.c
    row = work.one(
        select(clients.client_id).where(
            clients.terminal_number == terminal_number, clients.shop_id == place.shop_id
        )
    )
    if row is None:
        raise MerchantCodeAltered
    return str(row.client_id)
