"""Merchants, activation, login, profile and codes as services, on both database engines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from merchant_world import World, operation
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from backend.db import AnsweredBefore, IdempotencyConflict, Units, Which
from backend.kernel import DomainError, new_id
from backend.kernel.fen import AmountInvalid
from backend.keys import KeyRef, SoftwareKeys
from backend.merchants import (
    Activate,
    ActivationCodeExpired,
    ActivationCodeUnknown,
    ActivationCodeUsed,
    AddClient,
    AddMerchant,
    AddShop,
    AddTerminal,
    AssertionInvalid,
    ChangeClient,
    ClientKind,
    ClientUnknown,
    Event,
    MakeCode,
    MerchantCodeAltered,
    MerchantCodeForeign,
    MerchantCodeMalformed,
    Merchants,
    MerchantUnknown,
    NumbersExhausted,
    NumberTaken,
    ShopUnknown,
    State,
    TerminalNotActive,
    TerminalTransitionRefused,
    TerminalUnknown,
    tables,
)
from backend.web import CallerKind
from card_protocol import emvco

# --- adding ---------------------------------------------------------------------------------------


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


# --- activation -----------------------------------------------------------------------------------


def ordered_code(world: World) -> tuple[str, str]:
    terminal_id = new_id("trm")
    ordered = world.merchants.add_terminal(AddTerminal(terminal_id, world.shop_id, "till"))
    assert ordered.client.state is State.ORDERED
    return terminal_id, ordered.activation_code


def new_key() -> ec.EllipticCurvePublicKey:
    return ec.generate_private_key(ec.SECP256R1()).public_key()


def test_a_terminal_is_activated_and_hears_who_it_is(world: World) -> None:
    terminal_id, code = ordered_code(world)
    told = world.activations.activate(Activate(code.lower().replace("-", ""), new_key(), "till"))
    facts = world.merchants.vouch_for_terminal(terminal_id)
    assert told.client_id == facts.terminal_id == terminal_id
    assert told.kind is ClientKind.TERMINAL
    assert (told.merchant_name, told.shop_name) == ("城东超市", "一号店")
    assert told.terminal_number == facts.terminal_number
    assert len(facts.terminal_number) == 8
    assert told.merchant_number == facts.merchant_number
    assert world.merchants.get_client(terminal_id).state is State.ACTIVE


def test_a_merchant_server_has_no_shop(world: World) -> None:
    client_id = new_id("mcl")
    ordered = world.merchants.add_client(AddClient(client_id, world.merchant_id, "web"))
    told = world.activations.activate(Activate(ordered.activation_code, new_key(), "web"))
    assert told.kind is ClientKind.MERCHANT
    assert (told.shop_id, told.shop_name, told.terminal_number) == (None, None, None)
    assert told.merchant_id == world.merchant_id
    with pytest.raises(TerminalUnknown):  # a server is no terminal
        world.merchants.vouch_for_terminal(client_id)


def test_same_code_same_key_same_answer_other_key_is_refused(world: World) -> None:
    _, code = ordered_code(world)
    key = new_key()
    first = world.activations.activate(Activate(code, key, "till"))
    world.clock.advance(timedelta(days=3))  # the repeat may come late
    assert world.activations.activate(Activate(code, key, "till")) == first
    with pytest.raises(ActivationCodeUsed):
        world.activations.activate(Activate(code, new_key(), "till"))


def test_of_two_devices_with_one_code_one_gets_in(world: World) -> None:
    _, code = ordered_code(world)

    def attempt(key: ec.EllipticCurvePublicKey) -> str:
        try:
            return world.activations.activate(Activate(code, key, "till")).client_id
        except ActivationCodeUsed:
            return "used"

    with ThreadPoolExecutor(4) as pool:
        heard = list(pool.map(attempt, [new_key() for _ in range(4)]))
    assert heard.count("used") == 3


def test_unknown_expired_and_replaced_codes_are_refused(world: World) -> None:
    with pytest.raises(ActivationCodeUnknown):
        world.activations.activate(Activate("2222-2222", new_key(), "till"))
    terminal_id, code = ordered_code(world)
    world.clock.advance(timedelta(hours=23, minutes=59))
    fresh = world.merchants.issue_activation_code(terminal_id).activation_code
    assert fresh != code
    with pytest.raises(ActivationCodeExpired):
        world.activations.activate(Activate(code, new_key(), "till"))
    world.clock.advance(timedelta(hours=24))
    with pytest.raises(ActivationCodeExpired):
        world.activations.activate(Activate(fresh, new_key(), "till"))
    assert world.merchants.get_client(terminal_id).state is State.ORDERED


def test_a_broken_till_is_replaced_with_a_new_code(world: World) -> None:
    terminal_id, old = world.terminal()
    code = world.merchants.issue_activation_code(terminal_id).activation_code
    new = world.activated(code)
    assert world.logins.log_in(world.assertion(terminal_id, new)).scope == "terminal"
    with pytest.raises(AssertionInvalid):
        world.logins.log_in(world.assertion(terminal_id, old))


def test_suspended_and_closed_terminals_are_not_activated(world: World) -> None:
    terminal_id, _ = world.terminal()
    code = world.merchants.issue_activation_code(terminal_id).activation_code
    world.merchants.change_client(ChangeClient(terminal_id, Event.SUSPEND))
    with pytest.raises(TerminalTransitionRefused):
        world.activations.activate(Activate(code, new_key(), "till"))
    with pytest.raises(TerminalTransitionRefused):
        world.merchants.issue_activation_code(terminal_id)
    with pytest.raises(TerminalNotActive) as refused:
        world.merchants.vouch_for_terminal(terminal_id)
    assert refused.value.data == {"state": "suspended"}
    world.merchants.change_client(ChangeClient(terminal_id, Event.RESUME))
    assert world.merchants.vouch_for_terminal(terminal_id).terminal_id == terminal_id


def test_no_row_anywhere_holds_an_activation_code(world: World, units: Units) -> None:
    _, code = ordered_code(world)
    with units.read(Which.BUSINESS) as work:
        for name in ("activation_code", "answer", "outbox", "merchant_client"):
            rows = work.execute(select(tables.merchant.metadata.tables[name])).all()
            assert code not in str(rows)
            assert code.replace("-", "") not in str(rows)


# --- login ----------------------------------------------------------------------------------------


def test_terminal_and_server_get_tokens_with_their_context(world: World) -> None:
    terminal_id, key = world.terminal()
    granted = world.logins.log_in(world.assertion(terminal_id, key))
    caller = world.tokens.check(granted.access_token)
    assert (caller.kind, caller.id) == (CallerKind.TERMINAL, terminal_id)
    assert caller.scopes == frozenset({"terminal"})
    assert caller.context["merchant_id"] == world.merchant_id
    assert caller.context["shop_id"] == world.shop_id
    assert len(caller.context["terminal_number"]) == 8
    assert granted.expires_in == 600
    assert granted.access_token not in repr(granted)
    client_id, server_key = world.client()
    caller = world.tokens.check(
        world.logins.log_in(world.assertion(client_id, server_key)).access_token
    )
    assert (caller.kind, caller.scopes) == (CallerKind.MERCHANT, frozenset({"merchant"}))
    assert caller.context == {"merchant_id": world.merchant_id}


def now_and(world: World, seconds: int) -> int:
    return int(world.clock.now().timestamp()) + seconds


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "/v1/elsewhere"},
        {"aud": None},
        {"iss": "trm_other"},
        {"iss": None},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"exp": None},
        {"iat": None},
        {"iat_in": -301, "exp_in": -1},
        {"iat_in": 301, "exp_in": 400},
        {"iat_in": -100, "exp_in": 0},
        {"exp_in": 301},
        {"exp_in": 0},
    ],
    ids=str,
)
def test_assertions_that_do_not_fit_are_refused(world: World, changes: dict[str, Any]) -> None:
    terminal_id, key = world.terminal()
    claims = {
        name.removesuffix("_in"): now_and(world, value) if name.endswith("_in") else value
        for name, value in changes.items()
    }
    with pytest.raises(AssertionInvalid):
        world.logins.log_in(world.assertion(terminal_id, key, **claims))


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "e30.e30.", "x" * 5000, "é"])
def test_what_is_no_jwt_is_refused(world: World, text: str) -> None:
    with pytest.raises(AssertionInvalid):
        world.logins.log_in(text)


def test_an_assertion_works_once_within_its_life(world: World, units: Units) -> None:
    terminal_id, key = world.terminal()
    assertion = world.assertion(terminal_id, key, jti="once")
    world.logins.log_in(assertion)
    with pytest.raises(AssertionInvalid):
        world.logins.log_in(assertion)
    other_id, other_key = world.terminal()
    world.logins.log_in(world.assertion(other_id, other_key, jti="once"))  # theirs is another
    world.clock.advance(timedelta(seconds=301))
    with pytest.raises(AssertionInvalid):
        world.logins.log_in(assertion)
    world.logins.log_in(world.assertion(terminal_id, key, jti="once"))
    with units.read(Which.BUSINESS) as work:
        count = select(func.count()).where(tables.assertion.c.client_id == terminal_id)
        assert work.execute(count).scalar_one() == 1  # what is over is forgotten


def test_one_assertion_shown_twice_at_once_is_granted_once(world: World) -> None:
    terminal_id, key = world.terminal()
    assertion = world.assertion(terminal_id, key)

    def attempt(_: int) -> bool:
        try:
            world.logins.log_in(assertion)
        except AssertionInvalid:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(4))) == 1


def test_unknown_not_activated_foreign_and_suspended_callers_are_refused(world: World) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(ClientUnknown):
        world.logins.log_in(world.assertion(new_id("trm"), key))
    waiting, _ = ordered_code(world)
    with pytest.raises(ClientUnknown):
        world.logins.log_in(world.assertion(waiting, key))
    terminal_id, own = world.terminal()
    with pytest.raises(AssertionInvalid):
        world.logins.log_in(world.assertion(terminal_id, key))
    for event in (Event.SUSPEND, Event.CLOSE):
        world.merchants.change_client(ChangeClient(terminal_id, event))
        with pytest.raises(TerminalNotActive):
            world.logins.log_in(world.assertion(terminal_id, own))
        with pytest.raises(AssertionInvalid):  # only its own key learns the state
            world.logins.log_in(world.assertion(terminal_id, key))


# --- merchant codes -------------------------------------------------------------------------------


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


def test_every_refusal_is_a_domain_error_with_words_in_both_languages() -> None:
    from backend.merchants import errors  # noqa: PLC0415 - the module is the thing tested

    refusals = [
        one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, DomainError) and one is not DomainError
    ]
    assert len({one.code for one in refusals}) == len(refusals) == 15
    for one in refusals:
        data = {"state": "closed", "event": "resume"}
        assert one.title.text("zh") != one.title.text("en")
        assert one.detail.text("zh", **data) != one.detail.text("en", **data)
