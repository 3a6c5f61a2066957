"""A day without network at a real city: phone and plastic pay, uploads go up once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from backend.cards import ChangePurse, PurseEvent, RegisterPurse
from backend.db import Which
from backend.keys import KeyRef, TacMac
from backend.merchants import AddTerminal
from card_protocol.epurse.commands import Debit
from reader_bridge import Order, OrderKind, Outcome, Terminal
from reader_bridge.readers.loopback import LoopbackReader
from tests.docs.city import City, running_city
from tests.reader_bridge.acceptance.world import PurseCard
from tests.reader_bridge.sam.examples import memory_sam
from tests.simulation.money_world import operation
from tools.story.instance import ROOT

PURSE, ISSUER_ID = "03105170070104791381", "01011000ffffffff"
UPLOAD_SECONDS = 20.0


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """The demo city, with phone cards and shops that may sell without asking."""
    folder = tmp_path_factory.mktemp("city")
    words = (ROOT / "city.toml").read_text(encoding="utf-8")
    for data in ("data/demo/persons.csv", "data/demo/merchants.toml"):
        words = words.replace(data, str(ROOT / data))
    for name in ("offline_sale_max_fen", "offline_sum_max_fen"):
        assert f"\n{name} = 0" in words
        words = words.replace(f"\n{name} = 0", f"\n{name} = 5000")
    shop = 'code = "shop"\nmode = "shop"\n'
    assert shop in words
    words = words.replace(shop, f'{shop}purse_issuers = ["{ISSUER_ID}"]\n')
    (folder / "city.toml").write_text(words, encoding="utf-8")
    with running_city(folder / "var", folder / "city.toml") as running:
        yield running


@pytest.fixture
def till(city: City, tmp_path: Path) -> Iterator[Terminal]:
    (shop_id,) = next(
        iter(city.parts.units.ask(Which.BUSINESS, text("SELECT shop_id FROM shop LIMIT 1")))
    )
    ordered = city.parts.shops.add_terminal(
        AddTerminal("trm_01h455vb4pex5vsknk084sn02q", shop_id, "till")
    )
    folder = tmp_path / "till"
    Terminal.activate(folder, city.public, ordered.activation_code).close()
    with Terminal.open(folder, sam=memory_sam()) as opened:
        opened.refresh()
        yield opened


def city_chip(city: City, card: PurseCard) -> Callable[[bytes], bytes]:
    """The textbook purse, its TAC made by the city's own key for this chip."""
    transmit, amounts = card.shown(), [0]

    def transmitting(command: bytes) -> bytes:
        answer = transmit(command)
        if command[:2] == b"\x80\x50":
            amounts[0] = int.from_bytes(command[6:10])
        if command[:2] != b"\x80\x54":
            return answer
        debit = Debit.decode(command[5:20])
        terminal = memory_sam().read_terminal_number()
        told = amounts[0].to_bytes(4) + bytes((6,)) + terminal + debit.terminal_serial
        how = TacMac((bytes.fromhex(PURSE)[-8:],))
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


def tap(till: Terminal, transmit: Callable[[bytes], bytes], fen: int, reference: str):
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
