"""Merchant codes: made, read back, and every alteration told."""

from __future__ import annotations

from typing import Any

import pytest
from merchant_world import World, operation

from backend.kernel import new_id
from backend.kernel.fen import AmountInvalid
from backend.keys import KeyRef, SoftwareKeys
from backend.merchants import (
    AddMerchant,
    AddShop,
    ChangeClient,
    Event,
    MakeCode,
    MerchantCodeAltered,
    MerchantCodeForeign,
    MerchantCodeMalformed,
    ShopUnknown,
    TerminalNotActive,
    TerminalUnknown,
)
from card_protocol import emvco


def made(world: World, terminal_id: str, bill: str = "B1", amount: int | None = 1250) -> str:
    return world.codes.make_for_terminal(MakeCode(terminal_id, bill, amount), operation()).content


@pytest.mark.parametrize("amount", [1, 1250, 2**31 - 1, None])
def test_a_terminals_code_is_read_back(world: World, amount: int | None) -> None:
    terminal_id, _ = world.terminal()
    read = world.codes.read(made(world, terminal_id, "BILL42", amount))
    assert (read.amount_fen, read.bill_number) == (amount, "BILL42")
    assert (read.merchant.merchant_id, read.shop.shop_id) == (world.merchant_id, world.shop_id)
    assert read.terminal_id == terminal_id


def test_a_counter_code_is_static(world: World) -> None:
    content = world.codes.make_for_shop(world.shop_id).content
    assert not emvco.MerchantCode.decode(content).is_dynamic
    read = world.codes.read(content)
    assert (read.amount_fen, read.bill_number, read.terminal_id) == (None, None, None)
    with pytest.raises(ShopUnknown):
        world.codes.make_for_shop(new_id("shp"))


@pytest.mark.parametrize("amount", [0, -1, 2**31, True, 1.5])
def test_amounts_that_are_none_get_no_code(world: World, amount: Any) -> None:
    terminal_id, _ = world.terminal()
    with pytest.raises(AmountInvalid):
        made(world, terminal_id, amount=amount)
    with pytest.raises(AmountInvalid):
        world.codes.make_for_shop(world.shop_id, amount)


def test_only_active_terminals_get_codes(world: World) -> None:
    terminal_id, _ = world.terminal()
    world.merchants.change_client(ChangeClient(terminal_id, Event.SUSPEND))
    with pytest.raises(TerminalNotActive):
        made(world, terminal_id)
    with pytest.raises(TerminalUnknown):
        made(world, new_id("trm"))


def altered(content: str, **changes: Any) -> str:
    """The same code with other fields and a right CRC, as a forger would make it."""
    code = emvco.MerchantCode.decode(content)
    account = code.merchant_account
    fields = {name: getattr(code, name) for name in code.__dataclass_fields__}
    inner = {name: getattr(account, name) for name in account.__dataclass_fields__}
    for name, value in changes.items():
        (inner if name in inner else fields)[name] = value
    fields["merchant_account"] = emvco.MerchantAccount(**inner)
    return emvco.MerchantCode(**fields).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_fen": 1249},
        {"amount_fen": None},
        {"bill_number": "B2"},
        {"bill_number": None},
        {"shop_number": "00000000"},
        {"mac": bytes(8)},
        {"terminal_label": "99999999"},
    ],
    ids=str,
)
def test_altered_codes_are_refused(world: World, changes: dict[str, Any]) -> None:
    terminal_id, _ = world.terminal()
    content = made(world, terminal_id)
    assert world.codes.read(altered(content)).terminal_id == terminal_id
    with pytest.raises(MerchantCodeAltered):
        world.codes.read(altered(content, **changes))


def test_another_shops_terminal_in_a_code_is_an_alteration(world: World) -> None:
    other_shop = new_id("shp")
    world.merchants.add_shop(AddShop(other_shop, world.merchant_id, "二号店"))
    terminal_id, _ = world.terminal()
    foreign_id, _ = world.terminal(other_shop)
    number = world.merchants.vouch_for_terminal(foreign_id).terminal_number
    with pytest.raises(MerchantCodeAltered):
        world.codes.read(altered(made(world, terminal_id), terminal_label=number))


def test_names_shown_are_ours_not_the_codes(world: World) -> None:
    terminal_id, _ = world.terminal()
    content = altered(made(world, terminal_id), merchant_name="EVIL", merchant_name_zh="假店")
    assert world.codes.read(content).merchant.name == "城东超市"


def test_foreign_malformed_and_orphaned_codes_are_told_apart(
    world: World, keys: SoftwareKeys
) -> None:
    terminal_id, _ = world.terminal()
    content = made(world, terminal_id)
    with pytest.raises(MerchantCodeForeign):
        world.codes.read(altered(content, guid="A000000333010101"))
    for broken in ("", "hello", content[:-1], content[:-1] + "!", "9" * 600, "\ud800"):
        with pytest.raises(MerchantCodeMalformed):
            world.codes.read(broken)
    mac = keys.mac(KeyRef.MERCHANT_CODES, emvco.code_authentication_input("99999999", 1250, "B1"))
    with pytest.raises(ShopUnknown):
        world.codes.read(altered(content, shop_number="99999999", mac=mac[:8]))


def test_long_chinese_names_still_make_a_code(world: World) -> None:
    merchant_id, shop_id = new_id("mer"), new_id("shp")
    world.merchants.add_merchant(AddMerchant(merchant_id, "超" * 60, "5411", "城" * 30))
    world.merchants.add_shop(AddShop(shop_id, merchant_id, "店" * 60))
    read = world.codes.read(world.codes.make_for_shop(shop_id, 100).content)
    assert read.merchant.name == "超" * 60
    assert read.merchant.name_en == read.merchant.merchant_number
