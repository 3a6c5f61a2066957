"""Merchants, activation, login, profile and codes as services, on both database engines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from merchant_world import World, operation
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from backend.db import AnsweredBefore, IdempotencyConflict, Units, Which
from backend.kernel import DomainError, new_id
from backend.keys import SoftwareKeys
from backend.merchants import (
    AddClient,
    AddMerchant,
    AddShop,
    AddTerminal,
    ChangeClient,
    Event,
    Merchants,
    MerchantUnknown,
    NumbersExhausted,
    NumberTaken,
    ShopUnknown,
    TerminalUnknown,
    tables,
)


def test_what_is_added_is_found_with_its_numbers(world: World) -> None:
    merchant = world.merchants.get_merchant(world.merchant_id)
    shop = world.merchants.get_shop(world.shop_id)
    assert (merchant.name, merchant.name_en) == ("城东超市", "CHENGDONG MARKET")
    assert len(merchant.merchant_number) == 15
    assert merchant.merchant_number.isdigit()
    assert len(shop.shop_number) == 8
    assert shop.merchant_id == world.merchant_id


def test_the_id_decides_same_content_same_answer_other_content_conflict(world: World) -> None:
    again = AddMerchant(world.merchant_id, "城东超市", "5411", "银城", "CHENGDONG MARKET")
    first = world.merchants.get_merchant(world.merchant_id)
    assert world.merchants.add_merchant(again) == first
    other = AddMerchant(world.merchant_id, "城西超市", "5812", "银城")
    with pytest.raises(IdempotencyConflict) as refused:
        world.merchants.add_merchant(other)
    assert refused.value.data == {"fields": "mcc, name"}
    assert world.merchants.get_merchant(world.merchant_id) == first


def test_under_one_operation_the_answer_is_said_once(world: World) -> None:
    command = AddShop(new_id("shp"), world.merchant_id, "二号店")
    world.merchants.add_shop(command, operation("shop-1"))
    with pytest.raises(AnsweredBefore):
        world.merchants.add_shop(command, operation("shop-1"))


def test_given_numbers_are_kept_and_belong_to_one(world: World) -> None:
    command = AddShop(new_id("shp"), world.merchant_id, "二号店", shop_number="00000777")
    assert world.merchants.add_shop(command).shop_number == "00000777"
    assert world.merchants.add_shop(command).shop_number == "00000777"
    with pytest.raises(NumberTaken):
        world.merchants.add_shop(AddShop(new_id("shp"), world.merchant_id, "x", "00000777"))


def test_a_drawn_number_that_is_taken_is_drawn_again(
    world: World, units: Units, keys: SoftwareKeys
) -> None:
    draws = iter(["00000001"] * 32 + ["00000002"] * 16)
    merchants = Merchants(units, keys, draw=lambda _: next(draws))
    first = merchants.add_shop(AddShop(new_id("shp"), world.merchant_id, "a"))
    assert first.shop_number == "00000001"
    with pytest.raises(NumbersExhausted):
        merchants.add_shop(AddShop(new_id("shp"), world.merchant_id, "b"))
    assert (
        merchants.add_shop(AddShop(new_id("shp"), world.merchant_id, "c")).shop_number == "00000002"
    )


def test_nothing_hangs_on_what_does_not_exist(world: World) -> None:
    with pytest.raises(MerchantUnknown):
        world.merchants.add_shop(AddShop(new_id("shp"), new_id("mer"), "x"))
    with pytest.raises(MerchantUnknown):
        world.merchants.add_client(AddClient(new_id("mcl"), new_id("mer"), "x"))
    with pytest.raises(ShopUnknown):
        world.merchants.add_terminal(AddTerminal(new_id("trm"), new_id("shp"), "x"))
    with pytest.raises(TerminalUnknown):
        world.merchants.get_client(new_id("trm"))
    with pytest.raises(TerminalUnknown):
        world.merchants.vouch_for_terminal(new_id("trm"))
    with pytest.raises(TerminalUnknown):
        world.merchants.issue_activation_code(new_id("trm"))
    with pytest.raises(TerminalUnknown):
        world.merchants.change_client(ChangeClient(new_id("trm"), Event.CLOSE))


def test_two_requests_at_once_add_one_terminal(world: World) -> None:
    command = AddTerminal(new_id("trm"), world.shop_id, "till")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: world.merchants.add_terminal(command), range(4)))
    assert len({one.activation_code for one in answers}) == 1
    assert len({one.client.terminal_number for one in answers}) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "merchant"},
        {"state": "active"},
        {"state": "lost"},
        {"terminal_number": None},
        {"terminal_number": "1"},
    ],
)
def test_the_database_says_the_laws_again(
    world: World, units: Units, changes: dict[str, Any]
) -> None:
    row = {
        "client_id": new_id("trm"),
        "kind": "terminal",
        "merchant_id": world.merchant_id,
        "shop_id": world.shop_id,
        "terminal_number": "87654321",
        "label": "till",
        "state": "ordered",
        "code_serial": 1,
        "created_at": world.clock.now(),
    }
    with pytest.raises(IntegrityError), units.write(Which.BUSINESS) as work:
        work.execute(insert(tables.client), {**row, **changes})


def test_every_refusal_is_a_domain_error_with_words_in_both_languages() -> None:
    from backend.merchants import errors  # noqa: PLC0415 - the module is the thing tested

    refusals = [
        one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, DomainError) and one is not DomainError
    ]
    assert len({one.code for one in refusals}) == len(refusals) == 17
    for one in refusals:
        data = {"state": "closed", "event": "resume", "profile": "bus"}
        assert one.title.text("zh") != one.title.text("en")
        assert one.detail.text("zh", **data) != one.detail.text("en", **data)
