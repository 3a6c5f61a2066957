"""Shop and clinic, the loading post, and who takes a mobile card."""

from __future__ import annotations

import pytest

from card_protocol.epurse.transactions import BALANCE_MAX_FEN
from card_protocol.terminal_profile import Mode
from reader_bridge.amounts import AMOUNT_FEN_MAX
from reader_bridge.faults import CardFault, TerminalFault, Text
from reader_bridge.modes import (
    MOBILE_CARDS_IN,
    LoadingRules,
    MobileTap,
    Ride,
    RideKind,
    RideRefused,
    amounts_offered,
    require_load,
)
from tests.reader_bridge.modes.world import BUS_FARE, NOON, Purse, book, place

ONLINE = MobileTap(is_online=True)


@pytest.mark.parametrize("mode", [Mode.SHOP, Mode.CLINIC])
@pytest.mark.parametrize("is_online", [True, False])
def test_the_register_tells_the_amount(mode, is_online):
    where, purse = book(mode, None, place()), Purse()
    ride = where.decide(purse.tap(), NOON, 1_250)
    assert ride == Ride(
        amount_fen=1_250,
        full_fare_fen=1_250,
        kind=RideKind.PURCHASE,
        told=Text("付款 12.50 元,余额 87.50 元", "Paid 12.50 yuan, balance 87.50 yuan"),
    )
    with_phone = where.decide(MobileTap(is_online=is_online), NOON, 1_250)
    assert isinstance(with_phone, Ride)
    assert with_phone.told.read("zh-CN") == "付款 12.50 元"


@pytest.mark.parametrize("amount_fen", [0, -1, AMOUNT_FEN_MAX + 1, True, 1.5])
def test_amounts_that_are_none(amount_fen):
    where = book(Mode.SHOP, None, place())
    for tap in (Purse().tap(), ONLINE):
        with pytest.raises(TerminalFault) as refused:
            where.decide(tap, NOON, amount_fen)
        assert refused.value.code == "amount_malformed"


def test_a_purse_that_holds_less():
    with pytest.raises(CardFault) as refused:
        book(Mode.SHOP, None, place()).decide(Purse(balance_fen=99).tap(), NOON, 100)
    assert refused.value.code == "purse_balance_low"


def test_an_amount_is_asked_where_there_is_no_fare_and_nowhere_else():
    with pytest.raises(TerminalFault, match="amount_missing"):
        book(Mode.SHOP, None, place()).decide(Purse().tap(), NOON)
    with pytest.raises(TerminalFault, match="amount_not_asked"):
        book(Mode.BUS, BUS_FARE, place()).decide(Purse().tap(), NOON, 100)
    with pytest.raises(RideRefused, match="no_payment_here"):
        book(Mode.LOADING, None, place()).decide(Purse().tap(), NOON, 100)


def test_a_loading_post_sells_nothing():
    for tap in (Purse().tap(), ONLINE):
        with pytest.raises(RideRefused) as refused:
            book(Mode.LOADING, None, place()).decide(tap, NOON)
        assert refused.value.code == "no_payment_here"


def test_every_mode_says_whether_it_takes_mobile_cards():
    assert MOBILE_CARDS_IN.keys() == set(Mode)


@pytest.mark.parametrize(
    ("balance_fen", "product", "offered"),
    [
        (0, "main_card", (1_000, 2_000, 5_000, 10_000, 20_000)),
        (480_000, "main_card", (1_000, 2_000, 5_000, 10_000, 20_000)),
        (480_001, "main_card", (1_000, 2_000, 5_000, 10_000)),
        (500_000, "main_card", ()),
        (90_000, "secondary_card", (1_000, 2_000, 5_000, 10_000)),
        (90_000, "no such card", (1_000, 2_000, 5_000, 10_000)),
        (90_000, None, (1_000, 2_000, 5_000, 10_000)),
        (99_001, None, ()),
        (BALANCE_MAX_FEN, "main_card", ()),
    ],
)
def test_amounts_under_the_ceiling(balance_fen, product, offered):
    rules, facts = LoadingRules(), Purse(balance_fen=balance_fen).facts
    assert amounts_offered(rules, facts, product) == offered
    for amount_fen in rules.amounts_fen:
        if amount_fen in offered:
            offer = require_load(rules, facts, product, amount_fen)
            assert offer.balance_after_fen == balance_fen + amount_fen <= offer.ceiling_fen
        else:
            with pytest.raises(RideRefused) as refused:
                require_load(rules, facts, product, amount_fen)
            assert refused.value.code == "load_ceiling_reached"


def test_words_of_loads():
    facts = Purse(balance_fen=99_000).facts
    with pytest.raises(RideRefused) as ceiling:
        require_load(LoadingRules(), facts, None, 2_000)
    assert ceiling.value.text("zh-CN") == "圈存后余额将超过 1000.00 元"
    with pytest.raises(RideRefused) as other:
        require_load(LoadingRules(), facts, None, 1_500)
    assert other.value.text("en") == "15.00 yuan cannot be loaded here"
    assert require_load(LoadingRules(), facts, None, 1_000).told.read("zh-CN") == (
        "圈存 10.00 元,余额 1000.00 元"
    )


@pytest.mark.parametrize("code", sorted(RideRefused.TEXTS))
def test_every_refusal_has_words(code):
    refused = RideRefused(code, amount="1.00", ceiling="2.00")
    assert isinstance(refused, CardFault)
    assert refused.text("zh-CN") != refused.text("en")
