"""A day without network at a real city: phone and plastic pay, uploads go up once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from backend.cards import ChangePurse, PurseEvent, RegisterPurse
from backend.db import Which
from backend.kernel import new_id
from backend.keys import KeyRef, TacMac
from backend.merchants import AddTerminal, ChooseProfile
from card_protocol.epurse.commands import Debit
from card_protocol.place import Direction
from reader_bridge import Order, OrderKind, Outcome, Receipt, Terminal
from reader_bridge.readers.loopback import LoopbackReader
from tests.docs.city import City, running_city
from tests.hce.epurse_bench import PUBLIC, purse
from tests.reader_bridge.acceptance.rides_world import sam_of
from tests.reader_bridge.acceptance.world import PurseCard
from tests.reader_bridge.epurse.examples import dated
from tests.reader_bridge.sam.examples import TERMINAL, memory_sam
from tests.simulation.money_world import operation
from tools.story.instance import ROOT

COMPOUND_P1 = 0x03  # of INITIALIZE
RIDER = "03105170070104791399"
PURSE, ISSUER_ID = "03105170070104791381", "01011000ffffffff"
UPLOAD_SECONDS = 20.0


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """The demo city as it is shipped, with the textbook's purses for its own."""
    folder = tmp_path_factory.mktemp("city")
    words = (ROOT / "city.toml").read_text(encoding="utf-8")
    for data in ("data/demo/persons.csv", "data/demo/merchants.toml"):
        words = words.replace(data, str(ROOT / data))
    own = 'issuer_id = "01010000FFFFFFFF"'
    assert own in words
    words = words.replace(own, f'issuer_id = "{ISSUER_ID}"')
    (folder / "city.toml").write_text(words, encoding="utf-8")
    with running_city(folder / "var", folder / "city.toml") as running:
        yield running


@pytest.fixture
def till(city: City, tmp_path: Path) -> Iterator[Terminal]:
    (shop_id,) = next(
        iter(city.parts.units.ask(Which.BUSINESS, text("SELECT shop_id FROM shop LIMIT 1")))
    )
    ordered = city.parts.shops.add_terminal(AddTerminal(new_id("trm"), shop_id, "till"))
    folder = tmp_path / "till"
    Terminal.activate(folder, city.public, ordered.activation_code).close()
    with Terminal.open(folder, sam=memory_sam()) as opened:
        opened.refresh()
        yield opened


def city_chip(
    city: City, card: PurseCard, terminal: bytes = TERMINAL, number: str = PURSE
) -> Callable[[bytes], bytes]:
    """The textbook purse, its TAC made by the city's own key for this chip."""
    transmit, amounts, kinds = card.shown(), [0], [6]

    def transmitting(command: bytes) -> bytes:
        answer = transmit(command)
        if command[:2] == b"\x80\x50":
            amounts[0] = int.from_bytes(command[6:10])
            kinds[0] = 9 if command[2] == COMPOUND_P1 else 6
        if command[:2] != b"\x80\x54":
            return answer
        debit = Debit.decode(command[5:20])
        told = amounts[0].to_bytes(4) + bytes(kinds) + terminal + debit.terminal_serial
        how = TacMac((bytes.fromhex(number)[-8:],))
        tac = city.parts.keys.derive_and_mac(KeyRef.TAC_3DES, how, told + debit.moment, 1)
        return tac + answer[4:]

    return transmitting


def test_a_day_without_network(city: City, till: Terminal) -> None:
    """Goal: three sales offline, one upload each for ever, and every book says the same."""
    purses, staff = city.parts.purses, "stf_1"
    purses.register(RegisterPurse(PURSE, ISSUER_ID, 0, 1, "main_card", staff), operation())
    purses.change(ChangePurse(PURSE, PurseEvent.ACTIVATE, "handed out", staff), operation())
    plastic = PurseCard()
    with city.make_phone(10_000) as phone:
        chip = city_chip(city, plastic)
        card = phone.card()
        card.power_on()
        assert tap(till, card.transmit, 500, "R1").outcome is Outcome.CAPTURED
        unplug(till, "http://127.0.0.1:9")
        assert tap(till, card.transmit, 700, "R2").outcome is Outcome.ACCEPTED
        by_purse = tap(till, chip, 300, "R3")
        assert by_purse.balance_fen == 4_700, by_purse.refusal
        assert tap(till, card.transmit, 100, "R4").outcome is Outcome.ACCEPTED
        assert phone.balance().balance_fen == 9_500
        unplug(till, city.public)
        till.start_forwarding()
        wait_until(lambda: not till.journal.to_upload(1))
        for reference in ("R1", "R2", "R3", "R4"):
            told = till.ask_again(reference)
            assert told.outcome is Outcome.CAPTURED, (reference, told.refusal)
        assert phone.balance().balance_fen == 8_700
        till.forward()
        assert phone.balance().balance_fen == 8_700
    figures = city.parts.purse_books.figures(PURSE)
    assert (figures.chip_fen, figures.book_fen) == (4_700, -300)


def test_a_lost_card_is_refused_without_asking(city: City, till: Terminal) -> None:
    """Goal: a stop is on the terminal's list one turn of the worker later, a release as well."""
    purses, plastic = city.parts.purses, PurseCard()
    known = purses.find_all((PURSE,))
    if not known:
        purses.register(RegisterPurse(PURSE, ISSUER_ID, 0, 1, "main_card", "stf_1"), operation())
        purses.change(ChangePurse(PURSE, PurseEvent.ACTIVATE, "handed out", "stf_1"), operation())
    chip, numbers = city_chip(city, plastic), count()

    def change(event: PurseEvent) -> Receipt:
        """A sale without a network, after the terminal asked for what is new."""
        purses.change(ChangePurse(PURSE, event, "call to 8890", "stf_1"), operation())
        city.parts.worker.deliver_due()
        unplug(till, city.public)
        till.refresh()
        unplug(till, "http://127.0.0.1:9")
        return tap(till, chip, 100, f"L{next(numbers)}")

    lost = change(PurseEvent.SUSPEND)
    assert (lost.outcome, lost.refusal.code) == (Outcome.REFUSED, "card_denied")
    assert "lost" in lost.refusal.text.en
    assert plastic.balance_fen == 5_000
    assert change(PurseEvent.RELEASE).outcome is Outcome.ACCEPTED
    assert plastic.balance_fen == 4_900


def gate_of(city: City, folder: Path, number: int, station: str, way: Direction) -> Terminal:
    """Staff put up a gate; its profile tells it where it stands."""
    (shop_id,) = next(
        iter(city.parts.units.ask(Which.BUSINESS, text("SELECT shop_id FROM shop LIMIT 1")))
    )
    terminal_id = new_id("trm")
    ordered = city.parts.shops.add_terminal(AddTerminal(terminal_id, shop_id, f"gate {number}"))
    choice = ChooseProfile(terminal_id, "gate", "0001", station, way)
    city.parts.terminal_profiles.choose(choice, operation())
    Terminal.activate(folder / f"{number}", city.public, ordered.activation_code).close()
    gate = Terminal.open(folder / f"{number}", sam=sam_of(number))
    gate.refresh()
    return gate


def test_a_metro_ride(city: City, tmp_path: Path) -> None:
    """Goal: an entry moves no money and is kept, an exit pays the merchant from the float."""
    purses, staff = city.parts.purses, "stf_1"
    purses.register(RegisterPurse(RIDER, ISSUER_ID, 0, 1, "main_card", staff), operation())
    purses.change(ChangePurse(RIDER, PurseEvent.ACTIVATE, "handed out", staff), operation())
    plastic = PurseCard(dated(purse(), start=PUBLIC.start, serial=bytes.fromhex(RIDER)))
    entry = gate_of(city, tmp_path, 1, "0101", Direction.IN)
    leaving = gate_of(city, tmp_path, 2, "0103", Direction.OUT)
    with entry, leaving:
        taps = ((entry, 1, 0, "Go in"), (leaving, 2, 300, "Fare 3.00 yuan"))
        for gate, number, fen, told in taps:
            terminal = sam_of(number).read_terminal_number()
            receipt = tap(gate, city_chip(city, plastic, terminal, RIDER), None, "R1")
            assert receipt.outcome is Outcome.ACCEPTED, receipt.refusal
            assert receipt.amount_fen == fen
            assert receipt.told.en.startswith(told)
            gate.forward()
            assert gate.ask_again("R1").outcome is Outcome.CAPTURED
            gate.forward()
    assert plastic.balance_fen == 4_700
    figures = city.parts.purse_books.figures(RIDER)
    assert (figures.chip_fen, figures.book_fen) == (4_700, -300)
    kept = city.parts.units.ask(
        Which.LEDGER, text("SELECT content FROM offline_sale WHERE content LIKE '%gate%'")
    )
    sales = [json.loads(row.content) for row in kept]
    assert sorted(one["amount_fen"] for one in sales) == [0, 300]
    assert all(len(one["proof"]["records"]) == 2 for one in sales)
    assert {one["fare"]["kind"] for one in sales} == {"entry", "exit"}


def tap(till: Terminal, transmit: Callable[[bytes], bytes], fen: int | None, reference: str):
    channel = LoopbackReader(transmit).wait_for_card(0)
    assert channel is not None
    return till.tap(Order(OrderKind.SALE, reference, fen), channel, "loopback")


def unplug(till: Terminal, url: str) -> None:
    till.client._http.close()
    till.client._http = httpx.Client(base_url=url, trust_env=False)


def wait_until(is_reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + UPLOAD_SECONDS
    while not is_reached():
        assert time.monotonic() < deadline, "not uploaded in time"
        time.sleep(0.05)  # sleep: another thread uploads; bounded above
