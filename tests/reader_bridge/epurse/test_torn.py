"""Torn at every APDU, before and after the card has worked: money is neither lost nor made."""

from __future__ import annotations

import random
from itertools import product

import pytest

from reader_bridge.faults import CardFault, Fault, ReaderFault, SamFault
from reader_bridge.kernels.epurse import Lost, NotTaken, OtherCard, PurseSale, Torn
from reader_bridge.sam.sealed import SamKeys
from reader_bridge.sam.software import SoftwareSam
from tests.hce.epurse_bench import PIN, SUITES, Bench, purse
from tests.reader_bridge.epurse.examples import (
    RECORDS,
    Cut,
    Dying,
    Scene,
    dated,
    exchange_with,
    is_debit,
    torn,
)
from tests.reader_bridge.sam.examples import (
    KEYS,
    TERMINAL,
    MemoryTally,
    memory_sam,
    memory_slot_sam,
)

SAMS = {"software": memory_sam, "slot": memory_slot_sam}
PURCHASES = {"plain": (Scene.buy, 7), "compound": (Scene.ride, 9)}  # with their APDUs
RECOVERY_APDUS = 4


def elsewhere(scene: Scene) -> Bench:
    """The same card at another SAM, whose serials are others; amounts there differ from ours."""
    bench = Bench(scene.store, scene.suite, scene.random_bytes)
    bench.serials = iter(range(7_000, 8_000))
    return bench.select()


def lose_debit(scene: Scene, amount_fen: int = 100, *, is_done: bool) -> None:
    with pytest.raises(Torn):
        scene.buy(amount_fen, scene.present(Cut(6, is_done)))


@pytest.mark.parametrize("sam", SAMS)
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("kind", PURCHASES)
def test_torn_at_every_apdu(kind, suite, sam):
    """Goal: after any tear the next presentation of the card ends with exactly one sale."""
    pay, apdus = PURCHASES[kind]
    for at, is_done in product(range(apdus), (False, True)):
        scene = Scene(SUITES[suite], SAMS[sam]())
        fault = torn(lambda scene=scene, at=at, is_done=is_done: pay(
            scene, 100, scene.present(Cut(at, is_done))
        ))  # fmt: skip
        assert fault is not None
        is_debit_torn = at == apdus - 1
        assert isinstance(fault, Torn) is is_debit_torn, (at, is_done)
        assert scene.balance_fen == (4_900 if is_debit_torn and is_done else 5_000)
        if isinstance(fault, Torn):
            outcome = scene.recover()
            assert isinstance(outcome, PurseSale if is_done else NotTaken)
        else:
            assert scene.kept == []
            outcome = None
        sale = outcome if isinstance(outcome, PurseSale) else pay(scene, 100)
        assert sale.is_green
        assert sale.records == (RECORDS if kind == "compound" else ())
        assert (sale.balance_before_fen, sale.balance_after_fen) == (5_000, 4_900)
        assert scene.balance_fen == 4_900
        assert scene.store.view().offline_atc == 1


@pytest.mark.parametrize("is_done", [False, True])
def test_recovery_may_itself_be_torn_anywhere(is_done):
    for at, is_worked in product(range(RECOVERY_APDUS), (False, True)):
        scene = Scene()
        lose_debit(scene, is_done=is_done)
        before_fen = scene.balance_fen
        cut = Cut(at, is_worked)
        assert torn(lambda scene=scene, cut=cut: scene.recover(scene.present(cut))) is not None or (
            not is_done and at == RECOVERY_APDUS - 1  # no proof is asked for
        )
        assert scene.balance_fen == before_fen
        assert isinstance(scene.recover(), PurseSale if is_done else NotTaken)


def test_transcript_of_a_recovery():
    scene = Scene()
    lose_debit(scene, is_done=True)
    scene.recover()
    assert [command for command, _ in scene.lines] == [
        "00A4040008A00000063201010500",
        "00B0950000",
        "805001020B01000000640011223344550F",
        "805A000602000108",
    ]


def test_two_recoveries_give_one_sale():
    scene = Scene()
    lose_debit(scene, is_done=True)
    assert scene.recover() == scene.recover()
    assert scene.balance_fen == 4_900


def test_what_is_left_is_less_than_the_amount():
    """INITIALIZE is refused for want of money: the proof alone tells."""
    scene = Scene()
    lose_debit(scene, 3_000, is_done=True)
    sale = scene.recover()
    assert isinstance(sale, PurseSale)
    assert sale.is_green
    assert scene.balance_fen == 2_000


def test_another_card_is_not_touched():
    scene = Scene()
    lose_debit(scene, is_done=True)
    other = Scene(state=dated(purse(), serial=bytes.fromhex("03105170070104799999")))
    intent_of = scene.kept[-1]
    other.kept.append(intent_of)
    assert isinstance(other.recover(), OtherCard)
    assert [command[:4] for command, _ in other.lines] == ["00A4", "00B0"]
    assert isinstance(scene.recover(exchange_with(lambda _: bytes.fromhex("6A82"))), OtherCard)
    assert isinstance(scene.recover(), PurseSale)


def test_the_debit_never_happened_and_another_terminal_was_paid():
    """The counter has gone on by one, with somebody else's purchase: not ours."""
    for sam in SAMS.values():
        scene = Scene(sam=sam())
        lose_debit(scene, is_done=False)
        elsewhere(scene).pay(250)
        assert isinstance(scene.recover(), NotTaken)
        assert scene.balance_fen == 4_750


def test_the_same_where_the_sam_has_forgotten():
    scene = Scene(sam=memory_slot_sam())
    lose_debit(scene, is_done=False)
    elsewhere(scene).pay(250)
    scene.sam = memory_slot_sam()
    assert isinstance(scene.recover(), NotTaken)


@pytest.mark.parametrize("is_done", [True, False])
def test_a_card_that_has_gone_on_is_lost(is_done):
    scene = Scene()
    lose_debit(scene, is_done=is_done)
    bench = elsewhere(scene)
    for _ in range(2):
        bench.pay(10)
    lost = scene.recover()
    assert isinstance(lost, Lost)
    assert lost.counter == (3 if is_done else 2)
    assert lost.log_shows_debit is is_done


def test_a_load_in_between_takes_the_proof():
    scene = Scene()
    lose_debit(scene, is_done=True)
    bench = elsewhere(scene)
    bench.get(b"\x00\x20\x00\x00\x03" + PIN)
    bench.load(500)
    lost = scene.recover()
    assert isinstance(lost, Lost)
    assert (lost.counter, lost.log_shows_debit) == (1, True)


def test_after_eleven_purchases_the_log_tells_nothing():
    scene = Scene()
    lose_debit(scene, is_done=True)
    bench = elsewhere(scene)
    for _ in range(11):
        bench.pay(10)
    lost = scene.recover()
    assert isinstance(lost, Lost)
    assert lost.log_shows_debit is None


def test_a_false_proof():
    """A card that says it has paid and cannot prove it."""
    scene = Scene()
    lose_debit(scene, is_done=True)

    def lie(command: bytes, answer: bytes) -> bytes:
        return bytes(4) + answer[4:] if command[:2] == b"\x80\x5a" else answer

    with pytest.raises(CardFault, match="card_false_mac"):
        scene.recover(scene.present(alter=lie))
    assert isinstance(scene.recover(), PurseSale)


def test_a_sam_that_has_gone_on_leaves_the_sale_unchecked():
    scene = Scene(sam=memory_slot_sam())
    lose_debit(scene, is_done=True)
    other = Scene(sam=scene.sam, state=dated(purse(), serial=bytes(10)))
    with pytest.raises(CardFault):  # another card came first; it has no genuine keys
        other.buy(
            100,
            other.present(
                alter=lambda command, answer: (
                    answer[:4] + bytes(4) + answer[8:] if is_debit(command) else answer
                )
            ),
        )
    sale = scene.recover()
    assert isinstance(sale, PurseSale)
    assert sale.mac2_unchecked
    assert scene.balance_fen == 4_900


def test_a_software_sam_proves_even_after_a_restart():
    tally = MemoryTally()
    keys = SamKeys(TERMINAL, 1, KEYS)
    scene = Scene(sam=SoftwareSam(keys, tally))
    lose_debit(scene, is_done=True)
    scene.sam = SoftwareSam(keys, tally)
    sale = scene.recover()
    assert isinstance(sale, PurseSale)
    assert sale.is_green


def test_a_sam_that_fails_in_recovery():
    scene = Scene()
    lose_debit(scene, is_done=True)
    scene.sam = Dying(scene.sam, "prove_purchase", SamFault("sam_lost", reason=""))
    sale = scene.recover()
    assert isinstance(sale, PurseSale)
    assert sale.mac2_unchecked


def test_words_for_the_holder():
    scene = Scene()
    fault = torn(lambda: scene.buy(100, scene.present(Cut(6, True))))
    assert fault is not None
    assert fault.code == "debit_unknown"
    assert "同一张卡" in fault.text("zh-CN")
    assert "same card" in fault.text("en")


def test_five_hundred_taps_by_chance():
    """Goal: with tears anywhere and other terminals between, the books agree with the chip."""
    rng = random.Random(815)
    scene = Scene(state=dated(purse(balance_fen=1_000_000)))
    taken_fen, elsewhere_fen, named_fen, is_pending = 0, 0, 0, False
    for number in range(501):
        is_last = number == 500
        cut = Cut(rng.randrange(14), rng.random() < 0.5) if rng.random() < 0.6 else None
        try:
            if is_pending:
                outcome = scene.recover(scene.present(None if is_last else cut))
                is_pending = False
                if isinstance(outcome, PurseSale):
                    assert outcome.is_green
                    taken_fen += outcome.amount_fen
                elif isinstance(outcome, Lost) and outcome.log_shows_debit:
                    named_fen += outcome.intent.request.amount_fen
            elif not is_last:
                pay = rng.choice([Scene.buy, Scene.ride])
                taken_fen += pay(scene, rng.randrange(1, 400), scene.present(cut)).amount_fen
        except Torn:
            is_pending = True
            if rng.random() < 0.2:
                amount_fen = rng.randrange(1_000, 1_050)
                elsewhere(scene).pay(amount_fen)
                elsewhere_fen += amount_fen
        except ReaderFault:
            continue
    assert scene.balance_fen + taken_fen + elsewhere_fen + named_fen == 1_000_000
    assert scene.store.view().offline_atc > 200
    assert named_fen


def test_recovery_from_cards_that_lie():
    """Goal: with any byte of any answer changed, a green sale was paid for; nothing crashes."""
    rng = random.Random(97)
    outcomes: set[type] = set()
    for number in range(600):
        is_done = number % 2 == 0
        scene = Scene()
        lose_debit(scene, is_done=is_done)
        at, place, mask = rng.randrange(5), rng.random(), rng.randrange(1, 256)

        def lie(_: bytes, answer: bytes, scene=scene, at=at, place=place, mask=mask) -> bytes:
            if len(scene.lines) != at:
                return answer
            body = bytearray(answer)
            body[int(place * len(body))] ^= mask
            return bytes(body)

        try:
            outcome = scene.recover(scene.present(alter=lie))
        except Fault as fault:
            outcomes.add(type(fault))
            continue
        outcomes.add(type(outcome))
        assert not isinstance(outcome, PurseSale) or (is_done and outcome.is_green)
        assert scene.balance_fen == (4_900 if is_done else 5_000)
    assert {PurseSale, NotTaken, OtherCard, Lost, CardFault} <= outcomes


def test_recovery_from_cards_that_answer_anything():
    rng = random.Random(98)
    scene = Scene()
    lose_debit(scene, is_done=True)
    for _ in range(300):

        def noise(_: bytes) -> bytes:
            return rng.randbytes(rng.randrange(40)) + rng.choice([b"\x90\x00", b"", b"\x61\x10"])

        try:
            outcome = scene.recover(exchange_with(noise))
        except Fault:
            continue
        assert isinstance(outcome, OtherCard | Lost)
    assert isinstance(scene.recover(), PurseSale)
