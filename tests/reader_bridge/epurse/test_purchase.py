"""Purchases byte by byte, in both suites, and everything that may not be money."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from card_protocol.epurse.suites import DES3, SM4_SUITE
from card_protocol.epurse.transactions import Purchase, TransactionKind
from card_protocol.errors import MalformedBytes
from hce.applets.epurse.state import Life
from reader_bridge.faults import CardFault, Fault, SamFault
from reader_bridge.kernels import epurse
from reader_bridge.kernels.epurse import CappRecord, Intent, PurseSale, Terms, Torn
from reader_bridge.sam.port import Verified
from tests.hce.epurse_bench import SUITES, TAC_KEY, TERMINAL, fixed_random, purse
from tests.reader_bridge.epurse.examples import (
    ISSUER,
    RECORDS,
    TERMS,
    Dying,
    Scene,
    dated,
    exchange_with,
    is_debit,
)
from tests.reader_bridge.sam.examples import MOMENT, memory_sam, memory_slot_sam

VECTORS = json.loads(
    (Path(__file__).parents[2] / "card_protocol" / "vectors" / "epurse.json").read_text("utf-8")
)
AMOUNT_FEN = 0x1000
SAMS = {"software": memory_sam, "slot": memory_slot_sam}


@pytest.fixture(params=SUITES)
def suite(request):
    return SUITES[request.param]


@pytest.fixture(params=SAMS)
def scene(request, suite) -> Scene:
    return Scene(suite, SAMS[request.param]())


def tac_of(sale: PurseSale, suite) -> bytes:
    purchase = Purchase(
        sale.amount_fen,
        sale.terminal_number,
        sale.terminal_serial,
        sale.transaction_time,
        sale.transaction_type,
    )
    return purchase.tac(suite, TAC_KEY)


@pytest.mark.parametrize(
    ("suite", "macs", "tac"),
    [
        (DES3, VECTORS["des3"]["purchase"], VECTORS["des3"]["purchase_tac"]["TAC"]),
        (SM4_SUITE, VECTORS["sm4"]["purchase"], VECTORS["sm4"]["purchase_tac"]["TAC"]),
    ],
)
@pytest.mark.parametrize("sam", SAMS)
def test_transcript_of_the_published_purchase(suite, macs, tac, sam):
    """Goal: selection to TAC, every byte; MACs are those of the worked example."""
    scene = Scene(suite, SAMS[sam](), random_bytes=fixed_random)
    sale = scene.buy(AMOUNT_FEN)
    algorithm = f"{suite.algorithm:02X}"
    public = "01011000FFFFFFFF02010310517007010479138120110101204012310000"
    assert scene.lines[1:] == [
        (
            "00A4040008A00000063201010500",
            f"6F318408A000000632010105A5259F0801029F0C1E{public}9000",
        ),
        ("00B0950000", f"{public}9000"),
        ("00B0970000", "0000015610001000000101" + "00" * 49 + "9000"),
        ("805C030204", "000013889000"),
        (
            "805001020B01000010000011223344550F",
            f"00001388000000000001{algorithm}112233449000",
        ),
        (f"805401000F0000000120120229135100{macs['MAC1']}08", f"{tac}{macs['MAC2']}9000"),
    ]
    assert sale == PurseSale(
        purse_number="03105170070104791381",
        issuer_id=ISSUER,
        amount_fen=AMOUNT_FEN,
        balance_before_fen=5_000,
        balance_after_fen=5_000 - AMOUNT_FEN,
        purchase_counter=0,
        transaction_type=TransactionKind.PURCHASE,
        terminal_number=TERMINAL,
        terminal_serial=bytes.fromhex("00000001"),
        transaction_time=MOMENT,
        key_version=1,
        suite=suite.algorithm,
        tac=bytes.fromhex(tac),
        records=(),
        verified=Verified(bytes.fromhex("00000001")),
    )
    assert sale.is_green
    assert scene.balance_fen == 5_000 - AMOUNT_FEN


def test_a_compound_purchase_writes_its_records(scene):
    sale = scene.ride(200)
    commands = [command for command, _ in scene.lines]
    assert commands[5][:8] == "80500302"
    assert commands[6][:10] == "80DC00F030"
    assert commands[7][:10] == "80DC12D080"
    assert commands[8][:8] == "80540100"
    assert sale.is_green
    assert sale.transaction_type is TransactionKind.COMPOUND_PURCHASE
    assert sale.records == RECORDS
    assert sale.tac == tac_of(sale, scene.suite)
    exchange = scene.present()
    facts = scene.read(exchange, with_history=True)
    assert facts.journeys[0].encode() == RECORDS[0].body
    assert facts.log[0].amount_fen == 200
    assert epurse.find_record(exchange, 0x1A, 2) == RECORDS[1].body


def test_an_entry_gate_takes_nothing_and_writes(scene):
    sale = scene.ride(0)
    assert sale.is_green
    assert (sale.amount_fen, scene.balance_fen) == (0, 5_000)
    assert scene.store.view().offline_atc == 1


def test_the_published_tac_of_a_compound_purchase():
    scene = Scene(DES3, random_bytes=fixed_random)
    assert (
        scene.ride(AMOUNT_FEN).tac.hex().upper()
        == (VECTORS["des3"]["purchase_tac"]["TAC_with_tti_09"])
    )


def test_the_intent_is_kept_before_debit_leaves(scene):
    """Goal: when the journal refuses, the card is not asked."""

    class DiskFull(Exception):
        pass

    def refuse(_: Intent) -> None:
        raise DiskFull

    exchange = scene.present()
    facts = scene.read(exchange)
    with pytest.raises(DiskFull):
        epurse.purchase(exchange, scene.sam, facts, TERMS, amount_fen=100, before_debit=refuse)
    assert not any(command.startswith("8054") for command, _ in scene.lines)
    assert scene.balance_fen == 5_000


def test_an_intent_comes_back_whole(scene):
    scene.ride(150)
    body = scene.kept[0]
    intent = Intent.decode(body)
    assert intent.encode() == body
    assert intent.records == RECORDS
    for size in range(len(body)):
        with pytest.raises(MalformedBytes):
            Intent.decode(body[:size])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"issuer": bytes.fromhex("01019999FFFFFFFF")}, "purse_foreign"),
        ({"expiry": bytes.fromhex("20120228")}, "purse_expired"),
        ({"start": bytes.fromhex("20120301")}, "purse_not_yet_valid"),
    ],
)
def test_cards_that_are_not_taken(changes, code):
    scene = Scene(state=dated(purse(), **changes))
    with pytest.raises(CardFault, match=code):
        scene.buy(100)
    assert not any(command.startswith("8050") for command, _ in scene.lines)


def test_the_last_day_counts():
    scene = Scene(state=dated(purse(), start=MOMENT[:4], expiry=MOMENT[:4]))
    assert scene.buy(100).is_green


def test_no_issuer_means_none_is_taken():
    scene = Scene()
    exchange = scene.present()
    facts = scene.read(exchange)
    for issuers in (frozenset(), frozenset({b""})):
        with pytest.raises(CardFault, match="purse_foreign"):
            epurse.require_usable(facts, Terms(MOMENT, issuers))


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"balance_fen": 99}, "purse_balance_low"),
        ({"offline_atc": 0xFFFF}, "purse_counter_spent"),
        ({"life": Life.BLOCKED}, "application_blocked"),
        ({"life": Life.LOCKED}, "application_blocked"),
    ],
)
def test_purses_that_cannot_pay(state, code):
    scene = Scene(state=dated(purse(**state)))
    with pytest.raises(CardFault, match=code):
        scene.buy(100)
    assert scene.kept == []


@pytest.mark.parametrize(
    ("balance", "offer_changes", "code"),
    [
        ("000000FF", {}, "purse_balance_low"),  # a lender: more than it has
        ("00001388", {20: "01"}, "card_suite_unknown"),
        ("00001388", {18: "09"}, "card_key_unknown"),
    ],
)
def test_what_initialize_may_say(balance, offer_changes, code):
    def alter(command: bytes, answer: bytes) -> bytes:
        if command[:3] != b"\x80\x50\x01":
            return answer
        text = balance + answer.hex()[8:]
        for at, value in offer_changes.items():
            text = text[:at] + value + text[at + 2 :]
        return bytes.fromhex(text)

    scene = Scene()
    with pytest.raises(CardFault, match=code):
        scene.buy(0x1000, scene.present(alter=alter))
    assert scene.balance_fen == 5_000


@pytest.mark.parametrize("amount_fen", [0, -1, 1 << 31])
def test_amounts_that_are_none(amount_fen):
    scene = Scene()
    with pytest.raises(ValueError, match="amount"):
        scene.buy(amount_fen)


def test_a_record_that_is_none():
    with pytest.raises(MalformedBytes):
        CappRecord(0x1A, b"\x01\x02")


# --- hostile cards and terminals ---------------------------------------------------------------


def test_a_clone_with_a_fixed_mac2(scene):
    """Goal: a sale does not come about, though the SAM is asked only after the card."""

    def fixed(command: bytes, answer: bytes) -> bytes:
        return answer[:4] + bytes(4) + answer[8:] if is_debit(command) else answer

    for _ in range(2):
        with pytest.raises(CardFault, match="card_false_mac"):
            scene.buy(100, scene.present(alter=fixed))


def test_a_sale_is_not_green_without_the_sams_word():
    """Goal: the type itself leaves no way round MAC2."""
    sale = Scene().buy(100)
    fields = {name: getattr(sale, name) for name in PurseSale.__dataclass_fields__}
    with pytest.raises(TypeError, match="verified"):
        PurseSale(**{name: fields[name] for name in fields if name != "verified"})
    with pytest.raises(MalformedBytes, match="another purchase"):
        PurseSale(**(fields | {"verified": Verified(b"\x00\x00\x00\x09")}))
    assert not replace(sale, verified=None).is_green


@pytest.mark.parametrize("sam", SAMS)
def test_a_sam_that_dies_after_debit(sam):
    """The card has paid: the sale is kept with its TAC, and no green light."""
    scene = Scene(sam=Dying(SAMS[sam](), "finish_purchase", SamFault("sam_lost", reason="")))
    sale = scene.buy(100)
    assert sale.mac2_unchecked
    assert not sale.is_green
    assert sale.tac == tac_of(sale, DES3)
    assert scene.balance_fen == 4_900


@pytest.mark.parametrize("method", ["read_terminal_number", "key_index", "begin_purchase"])
def test_a_sam_that_dies_before_debit(method):
    scene = Scene(sam=Dying(memory_sam(), method, SamFault("sam_lost", reason="")))
    with pytest.raises(SamFault, match="sam_lost"):
        scene.buy(100)
    assert scene.balance_fen == 5_000
    assert scene.kept == []


def test_debit_repeated_and_mac1_replayed(scene):
    scene.buy(100)
    debit = bytes.fromhex(scene.lines[-1][0])
    card = scene.card()
    card.transmit(bytes.fromhex(scene.lines[1][0]))
    assert card.transmit(debit).hex() == "6901"
    card.transmit(bytes.fromhex(scene.lines[5][0]))  # INITIALIZE again: other random, other count
    assert card.transmit(debit).hex() == "9302"
    assert scene.balance_fen == 4_900


@pytest.mark.parametrize(
    ("between", "code"),
    [
        ("805001020B01000000640011223344550F", "card_declined"),  # INITIALIZE: its MAC1 is stale
        ("00A4040008A00000063201010500", "card_declined"),  # SELECT: no transaction any more
    ],
)
def test_another_program_speaks_to_the_card_between(between, code):
    scene = Scene()
    card = scene.card()

    def disturbed(command: bytes) -> bytes:
        if is_debit(command):
            assert card.transmit(bytes.fromhex(between))[-2:] == b"\x90\x00"
        return card.transmit(command)

    with pytest.raises(CardFault, match=code):
        scene.buy(100, exchange_with(disturbed))
    assert scene.balance_fen == 5_000


@pytest.mark.parametrize("word", ["6F00", "6581", "9000", "6200", "1234", ""])
def test_an_answer_to_debit_that_tells_nothing_leaves_it_open(word):
    """Goal: the card has paid, the terminal cannot know, the next presentation tells."""

    def garbled(command: bytes, answer: bytes) -> bytes:
        return bytes.fromhex(word) if is_debit(command) else answer

    scene = Scene()
    with pytest.raises(Torn):
        scene.buy(100, scene.present(alter=garbled))
    sale = scene.recover()
    assert isinstance(sale, PurseSale)
    assert sale.is_green
    assert scene.balance_fen == 4_900


def test_any_single_lie_of_the_card_makes_no_money():
    """Goal: with one byte of one answer changed, a green sale has been paid for."""
    rng = random.Random(20_120_229)
    greens = 0
    for _ in range(600):
        scene = Scene()
        at, place, mask = rng.randrange(8), rng.random(), rng.randrange(1, 256)

        def lie(_: bytes, answer: bytes, scene=scene, at=at, place=place, mask=mask) -> bytes:
            if len(scene.lines) != at:
                return answer
            body = bytearray(answer)
            body[int(place * len(body))] ^= mask
            return bytes(body)

        try:
            sale = scene.buy(100, scene.present(alter=lie))
        except Fault:
            continue
        greens += sale.is_green
        assert not sale.is_green or scene.balance_fen == 4_900
    assert greens > 50  # lies about what nobody believes


def test_cards_that_answer_anything():
    rng = random.Random(7)
    for _ in range(300):
        scene = Scene()

        def noise(_: bytes) -> bytes:
            return rng.randbytes(rng.randrange(40)) + rng.choice([b"\x90\x00", b"", b"\x61\x10"])

        with pytest.raises(Fault):
            scene.buy(100, exchange_with(noise))
        assert scene.kept == []
