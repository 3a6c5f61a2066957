"""Merchant codes (收款码): made for a till or a counter, read for a citizen who wants to pay."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from cachetools import LRUCache, TTLCache
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
from backend.merchants.rows import (
    Place,
    get_merchant,
    get_place,
    get_shop,
    terminal_facts,
    terminal_question,
)
from card_protocol import emvco
from card_protocol.errors import MalformedBytes

NAME_ZH_CHARACTERS_MAX = 25
CITY_ZH_CHARACTERS_MAX = 15
PLACES_MAX, PLACE_SECONDS = 10_000, 5.0
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
    _places: TTLCache[str, Place] = field(
        default_factory=lambda: TTLCache(PLACES_MAX, PLACE_SECONDS), init=False, repr=False
    )
    _codes: LRUCache[str, emvco.MerchantCode] = field(
        default_factory=lambda: LRUCache(PLACES_MAX), init=False, repr=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

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
        code = self._genuine(content)
        place = self._place(code.merchant_account.shop_number)
        return MerchantCodeRead(
            merchant=place.merchant,
            shop=place.shop,
            amount_fen=code.amount_fen,
            bill_number=code.bill_number,
            terminal_id=self._terminal_id(place.shop, code.terminal_label),
        )

    def _genuine(self, content: str) -> emvco.MerchantCode:
        """The code a text stands for; a printed code is read many thousand times."""
        with self._lock:
            known: emvco.MerchantCode | None = self._codes.get(content)
        if known is not None:
            return known
        try:
            code = emvco.MerchantCode.decode(content)
        except MalformedBytes as error:
            raise REFUSALS.get(error.code, MerchantCodeMalformed) from None
        account = code.merchant_account
        data = emvco.code_authentication_input(
            account.shop_number, code.amount_fen, code.bill_number
        )
        if not self.keys.verify_mac(
            KeyRef.MERCHANT_CODES, data, account.mac, length=emvco.MAC_BYTES
        ):
            raise MerchantCodeAltered
        with self._lock:
            self._codes[content] = code
        return code

    def _place(self, shop_number: str) -> Place:
        """Who stands behind a shop's number; a change of name shows within seconds."""
        with self._lock:
            known: Place | None = self._places.get(shop_number)
        if known is None:
            known = get_place(self.units, shop_number)
            with self._lock:
                self._places[shop_number] = known
        return known

    def _terminal_id(self, shop: Shop, terminal_number: str | None) -> str | None:
        """The terminal a code names. The MAC does not cover it: only the shop's own count."""
        if terminal_number is None:
            return None
        clients = tables.client.c
        question = select(clients.client_id).where(
            clients.terminal_number == terminal_number, clients.shop_id == shop.shop_id
        )
        found = self.units.ask(Which.BUSINESS, question)
        if not found:
            raise MerchantCodeAltered
        return str(found[0].client_id)

    def _for_terminal(self, work: Work, command: MakeCode) -> MadeCode:
        facts = terminal_facts(work.one(terminal_question(command.terminal_id)))
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
