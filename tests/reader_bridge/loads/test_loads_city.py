"""圈存 at a terminal against the real city: paid once; on the card, or back; whatever dies when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reader_bridge import (
    Order,
    OrderKind,
    Outcome,
    ReaderFault,
    Terminal,
    TerminalFault,
    Unreachable,
)
from reader_bridge.loads import Funding, LoadPause, LoadStage
from reader_bridge.readers.loopback import LoopbackReader
from sdk_mobile import Wallet
from tests.docs.city import City
from tests.hce.epurse_bench import PIN, Bench
from tests.reader_bridge.loads.world import (
    START_FEN,
    Books,
    Killed,
    Killer,
    Plastic,
    activate,
    load_order,
    make_plastic,
    mortal,
    tap,
)

AMOUNT_FEN = 2_000


class TwoHands(LoopbackReader):
    """One card after the other."""

    def __init__(self, cards: list[Any]) -> None:
        super().__init__()
        self.cards = cards

    def wait_for_card(self, timeout_seconds: float) -> Any:
        self.insert(self.cards.pop(0))
        return super().wait_for_card(timeout_seconds)


TAPS_MAX = 4


@pytest.fixture(scope="module")
def phone(city: City) -> Iterator[Wallet]:
    """The demo citizen's, with 200 yuan."""
    with city.make_phone(20_000) as made:
        yield made


@pytest.fixture
def plastic(city: City) -> Plastic:
    return make_plastic(city)


@pytest.fixture
def books(city: City, plastic: Plastic) -> Books:
    return Books(city, plastic.number)


def test_cash_goes_onto_the_card(folder: Path, plastic: Plastic, books: Books) -> None:
    with mortal(folder) as terminal:
        order = load_order("C1", AMOUNT_FEN)
        receipt = tap(terminal, order, plastic.shown())
        assert receipt.outcome is Outcome.LOADED, receipt.refusal
        assert receipt.load is not None
        assert receipt.load.stage is LoadStage.CONFIRMED
        assert (receipt.load.balance_before_fen, receipt.balance_fen) == (5_000, 7_000)
        assert plastic.balance_fen == 7_000
        for words in ("圈存成功", "圈存前余额:50.00 元", "余额:70.00 元", "现金"):
            assert words in receipt.text("zh-CN")
        again = tap(terminal, order, plastic.shown())
        assert (again.outcome, again.is_repeated) == (Outcome.LOADED, True)
        with pytest.raises(TerminalFault) as other:
            tap(terminal, load_order("C1", 1), plastic.shown())
        assert (other.value.code, other.value.data["field"]) == (
            "reference_used_differently",
            "amount",
        )
        with pytest.raises(TerminalFault):
            tap(terminal, Order(OrderKind.SALE, "C1", AMOUNT_FEN), plastic.shown())
    assert list(books.states().values()) == ["written"]
    assert (plastic.balance_fen, books.float_fen(), books.in_transit_fen()) == (7_000, 2_000, 0)


def run_out(folder: Path, plastic: Plastic, reference: str) -> Outcome:
    """The terminal starts again and the same card is shown until the order has an end."""
    for _ in range(TAPS_MAX):
        with mortal(folder) as terminal:
            receipt = tap(terminal, load_order(reference, AMOUNT_FEN), plastic.shown())
            terminal.settle_loads()
            if receipt.outcome not in {Outcome.UNKNOWN, Outcome.INTENDED}:
                return terminal.ask_again(reference).outcome
    raise AssertionError("the load has no end")


def test_a_kill_between_any_two_steps_loses_nothing(city: City, folder: Path) -> None:
    """Goal: whichever step the process dies at, the card and the city tell one story after it."""
    whole = Killer()
    with mortal(folder, whole) as terminal:
        assert tap(terminal, load_order("K0", AMOUNT_FEN), make_plastic(city).shown(whole)).load
    assert len(whole.names) > 25
    assert {"before 8052", "after 8052", "before a write", "after the answer"} <= set(whole.names)
    ended: dict[str, int] = {}
    for at in range(1, len(whole.names) + 1):
        plastic, killer, reference = make_plastic(city), Killer(at), f"K{at}"
        with pytest.raises(Killed), mortal(folder, killer) as terminal:
            tap(terminal, load_order(reference, AMOUNT_FEN), plastic.shown(killer))
        outcome = run_out(folder, plastic, reference)
        books, where = Books(city, plastic.number), (at, killer.names[-1], outcome)
        states = sorted(books.states().values())
        if outcome is Outcome.LOADED:
            assert states == ["written"], where
            assert plastic.balance_fen == START_FEN + AMOUNT_FEN, where
            assert books.float_fen() == AMOUNT_FEN, where
        else:
            assert outcome in {Outcome.RETURNED, Outcome.REFUSED}, where
            assert set(states) <= {"returned"}, where
            assert (plastic.balance_fen, books.float_fen()) == (START_FEN, 0), where
        assert books.in_transit_fen() == 0, where
        ended[outcome.value] = ended.get(outcome.value, 0) + 1
    assert {"loaded", "returned"} <= ended.keys(), ended


@pytest.mark.parametrize("tear", ["before", "after"])
def test_a_kill_while_a_torn_load_is_finished(city: City, folder: Path, tear: str) -> None:
    """Goal: the finishing may die too, at any step, and is finished by the next one."""
    at, is_killed, end = 0, True, Outcome.LOADED if tear == "after" else Outcome.RETURNED
    while is_killed:
        at += 1
        plastic, killer, reference = make_plastic(city), Killer(at), f"Q{tear}{at}"
        with mortal(folder) as terminal:
            tear_off(terminal, plastic, reference, tear)
        try:
            with mortal(folder, killer) as terminal:
                tap(terminal, load_order(reference, AMOUNT_FEN), plastic.shown(killer))
            is_killed = False  # it was shorter than that
        except Killed:
            assert run_out(folder, plastic, reference) is end, killer.names
        books = Books(city, plastic.number)
        assert list(books.states().values()) == ["written" if tear == "after" else "returned"]
        assert plastic.balance_fen == START_FEN + AMOUNT_FEN * (tear == "after")
        assert books.in_transit_fen() == 0
    assert at > 10


@pytest.mark.parametrize("tear", ["before", "after"])
def test_a_torn_load_is_finished_by_the_same_card_only(
    city: City, folder: Path, plastic: Plastic, books: Books, tear: str
) -> None:
    order = load_order(f"T-{tear}", AMOUNT_FEN)
    with mortal(folder) as terminal:
        with pytest.raises(ReaderFault) as torn:
            tap(terminal, order, plastic.shown(tear=tear))
        assert torn.value.code == "credit_unknown"
        assert terminal.ask_again(order.reference).outcome is Outcome.INTENDED
        assert [one.register_reference for one in terminal.open_loads()] == [order.reference]
    with mortal(folder) as terminal:
        with pytest.raises(ReaderFault) as other:
            tap(terminal, order, make_plastic(city).shown())
        assert other.value.code == "credit_unknown"
        receipt = tap(terminal, order, plastic.shown())
        assert terminal.open_loads() == ()
    is_loaded = tear == "after"
    assert receipt.outcome is (Outcome.LOADED if is_loaded else Outcome.RETURNED)
    assert plastic.balance_fen == START_FEN + AMOUNT_FEN * is_loaded
    assert receipt.balance_fen == plastic.balance_fen
    assert ("未写入金额:20.00 元" in receipt.text("zh-CN")) is not is_loaded
    assert list(books.states().values()) == ["written" if is_loaded else "returned"]
    assert books.in_transit_fen() == 0


def tear_off(terminal: Terminal, plastic: Plastic, reference: str, tear: str) -> None:
    with pytest.raises(ReaderFault):
        tap(terminal, load_order(reference, AMOUNT_FEN), plastic.shown(tear=tear))


@pytest.mark.parametrize("tear", ["before", "after"])
@pytest.mark.parametrize("kind", [OrderKind.SALE, OrderKind.BALANCE])
def test_it_is_finished_before_a_sale_or_a_balance(
    folder: Path, plastic: Plastic, books: Books, tear: str, kind: OrderKind
) -> None:
    reference = f"S-{tear}-{kind.value}"
    with mortal(folder) as terminal:
        tear_off(terminal, plastic, reference, tear)
        order = Order(kind, f"{reference}-2", 100 if kind is OrderKind.SALE else None)
        receipt = tap(terminal, order, plastic.shown())
        (finished,) = receipt.finished
        is_loaded = tear == "after"
        assert finished.outcome is (Outcome.LOADED if is_loaded else Outcome.RETURNED)
        assert finished.register_reference == reference
        assert terminal.settle_loads() == 0
    assert list(books.states().values()) == ["written" if is_loaded else "returned"]


def test_another_order_does_not_load_on_top(folder: Path, plastic: Plastic, books: Books) -> None:
    """Goal: torn, but on the card: a clerk who starts anew must not load twice."""
    with mortal(folder) as terminal:
        tear_off(terminal, plastic, "D1", "after")
        second = tap(terminal, load_order("D2", AMOUNT_FEN), plastic.shown())
        assert second.refusal is not None
        assert second.refusal.code == "load_before_finished"
        assert second.finished[0].outcome is Outcome.LOADED
        assert plastic.balance_fen == START_FEN + AMOUNT_FEN
        tear_off(terminal, plastic, "D3", "before")
        fourth = tap(terminal, load_order("D4", AMOUNT_FEN), plastic.shown())
        assert fourth.outcome is Outcome.LOADED
        assert fourth.finished[0].outcome is Outcome.RETURNED
    assert sorted(books.states().values()) == ["returned", "written", "written"]
    assert plastic.balance_fen == START_FEN + 2 * AMOUNT_FEN


def test_a_ride_in_between_hides_the_proof_and_not_the_money(
    folder: Path, plastic: Plastic, books: Books
) -> None:
    """Goal: torn after CREDIT, then a purchase elsewhere: the card's counter still tells."""
    with mortal(folder) as terminal:
        tear_off(terminal, plastic, "R1", "after")
        Bench(plastic.store).select().pay(100)
        receipt = tap(terminal, load_order("R1", AMOUNT_FEN), plastic.shown())
        assert receipt.outcome is Outcome.LOADED
    assert list(books.states().values()) == ["written"]


def test_the_card_comes_back_at_another_terminal(
    city: City, folder: Path, plastic: Plastic, books: Books, tmp_path: Path
) -> None:
    """Goal: the next load anywhere settles it, and this terminal hears of it from the city."""
    elsewhere = tmp_path / "elsewhere"
    activate(city, elsewhere)
    with mortal(folder) as terminal:
        tear_off(terminal, plastic, "E1", "before")
        with mortal(elsewhere) as other:
            told = tap(other, load_order("E2", AMOUNT_FEN), plastic.shown())
            assert told.outcome is Outcome.LOADED
        assert terminal.ask_again("E1").outcome is Outcome.RETURNED
        assert terminal.open_loads() == ()
    assert sorted(books.states().values()) == ["returned", "written"]
    assert plastic.balance_fen == START_FEN + AMOUNT_FEN


def test_a_card_that_wants_its_pin(city: City, folder: Path) -> None:
    plastic = make_plastic(city, load_needs_pin=True)
    with mortal(folder) as terminal:
        for pin, code in ((None, "load_pin_wanted"), (b"\x99\x99\x99", "load_pin_wrong")):
            with pytest.raises(LoadPause) as pause:
                tap(terminal, load_order("P1", AMOUNT_FEN, pin=pin), plastic.shown())
            assert pause.value.code == code
        assert plastic.balance_fen == START_FEN
        order = load_order("P1", AMOUNT_FEN, pin=PIN)
        assert PIN.hex() not in repr(order)
        assert repr(PIN) not in repr(order)
        assert tap(terminal, order, plastic.shown()).outcome is Outcome.LOADED
        with pytest.raises(ReaderFault):
            tap(terminal, load_order("P2", AMOUNT_FEN, pin=PIN), plastic.shown(tear="before"))
        with pytest.raises(LoadPause):  # its counter is told to nobody without the PIN
            tap(terminal, load_order("P2", AMOUNT_FEN), plastic.shown())
        done = tap(terminal, load_order("P2", AMOUNT_FEN, pin=PIN), plastic.shown())
        assert done.outcome is Outcome.RETURNED
        rows = terminal.journal.database.read("SELECT * FROM load")
        kept = b"".join(repr(tuple(row)).encode() for row in rows)
        assert PIN not in kept
        assert PIN.hex().encode() not in kept


def test_what_the_city_refuses_takes_nothing(city: City, folder: Path) -> None:
    plastic = make_plastic(city, balance_max_fen=500_000)
    with mortal(folder) as terminal:
        told = tap(terminal, load_order("N1", 200_000), plastic.shown())
        assert told.outcome is Outcome.REFUSED
        assert told.refusal is not None
        assert told.refusal.code == "ceiling_exceeded"
        agents = city.parts.loads.agents
        object.__setattr__(city.parts.loads, "agents", frozenset())
        try:
            told = tap(terminal, load_order("N2", 100), plastic.shown())
        finally:
            object.__setattr__(city.parts.loads, "agents", agents)
        assert told.refusal is not None
        assert told.refusal.code == "loading_agent_only"
    assert Books(city, plastic.number).states() == {}
    assert plastic.balance_fen == START_FEN


def test_a_wallet_pays(folder: Path, plastic: Plastic, phone: Wallet) -> None:
    with mortal(folder) as terminal:
        before_fen = phone.balance().balance_fen
        by_code = load_order("W1", AMOUNT_FEN, Funding.WALLET)
        with pytest.raises(LoadPause) as asked:
            tap(terminal, by_code, plastic.shown())
        assert asked.value.code == "load_show_payer"
        receipt = terminal.load(
            AMOUNT_FEN,
            register_reference="W1",
            funding=Funding.WALLET,
            reader=LoopbackReader(plastic.shown()),
            pay_code=phone.pay_code().digits,
        )
        assert receipt.outcome is Outcome.LOADED, receipt.refusal
        assert phone.balance().balance_fen == before_fen - 2_000
        card = phone.card()
        card.power_on()
        by_phone = load_order("W2", AMOUNT_FEN, Funding.WALLET)
        with pytest.raises(LoadPause):
            tap(terminal, by_phone, card.transmit)
        by_cash = terminal.code(load_order("W3", 100), b"9" * 19)
        assert by_cash.refusal is not None
        assert by_cash.refusal.code == "load_cash_needs_card"
        with pytest.raises(ReaderFault):
            tap(terminal, by_phone, plastic.shown(tear="before"))
        assert phone.balance().balance_fen == before_fen - 4_000
        assert tap(terminal, by_phone, plastic.shown()).outcome is Outcome.RETURNED
        assert phone.balance().balance_fen == before_fen - 2_000
    assert plastic.balance_fen == START_FEN + AMOUNT_FEN


def test_as_a_program_calls_it(folder: Path, plastic: Plastic, phone: Wallet) -> None:
    """Goal: one call, whoever pays: a phone that is held first, or cash."""
    with mortal(folder) as terminal:
        card = phone.card()
        card.power_on()
        before_fen = phone.balance().balance_fen
        wallet, cash = Funding.WALLET, Funding.CASH
        both = TwoHands([card.transmit, plastic.shown()])
        told = terminal.load(1_000, register_reference="A2", funding=wallet, reader=both)
        assert told.outcome is Outcome.LOADED, told.refusal
        assert phone.balance().balance_fen == before_fen - 1_000
        held = LoopbackReader(plastic.shown())
        told = terminal.load(1_000, register_reference="A3", funding=cash, reader=held)
        assert told.balance_fen == START_FEN + 2_000
        with pytest.raises(ValueError, match="wallet"):
            terminal.load(1, register_reference="A4", funding=cash, reader=held, pay_code="1")
        with pytest.raises(LoadPause):
            terminal.load(1_000, register_reference="A5", funding=wallet, reader=held)
        with pytest.raises(ReaderFault) as nobody:
            terminal.load(1, register_reference="A6", funding=cash, reader=LoopbackReader())
        assert nobody.value.code == "no_card"


def test_the_network_goes_while_the_answer_is_on_its_way(
    city: City, folder: Path, plastic: Plastic, books: Books
) -> None:
    """Goal: `unknown` is said, and the same card turns it into one story."""
    with mortal(folder) as terminal:
        terminal.client.timeout_seconds = 1.0
        send, is_away = terminal.client._send, [True]

        def losing(request, deadline):
            answer = send(request, deadline)
            if request.url.path.endswith("/loads") and is_away[0]:
                raise Unreachable("connection_lost", sent=True)
            return answer

        terminal.client._send = losing
        first = tap(terminal, load_order("U1", AMOUNT_FEN), plastic.shown())
        assert first.outcome is Outcome.UNKNOWN
        assert books.in_transit_fen() == AMOUNT_FEN
        is_away[0] = False
        assert tap(terminal, load_order("U1", AMOUNT_FEN), plastic.shown()).outcome is (
            Outcome.RETURNED
        )
    assert (plastic.balance_fen, books.in_transit_fen()) == (START_FEN, 0)


def test_a_foreign_card_is_refused_before_anything(folder: Path) -> None:
    with mortal(folder) as terminal:
        told = tap(terminal, load_order("F1", AMOUNT_FEN), lambda command: b"\x6a\x82")
        assert told.outcome is Outcome.REFUSED
        with pytest.raises(TerminalFault) as unknown:
            terminal.ask_again("F1")
        assert unknown.value.code == "sale_unknown"  # nothing was stored: the number is free
