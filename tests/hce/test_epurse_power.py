"""Power cut at every byte of every write: the old state or the new one; the proof tells which."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from card_protocol.apdu import CommandApdu
from card_protocol.epurse.commands import Prove
from card_protocol.epurse.transactions import TransactionKind
from hce.applets.epurse.state import PurseState
from hce.purse_codec import decode_purse, encode_purse
from hce.purse_store import SLOT_BYTES, STORE_BYTES, SlotPurseStore, initial_image
from tests.hce.epurse_bench import COMPOUND, JOURNEY, PARKING, RAIL, Bench, counting_random, purse

SEALING_KEY = bytes(range(32))
SECTOR_BYTES = 512


class PowerCut(OSError):
    """The field is gone."""


@dataclass
class CutFile:
    """A medium on which bytes arrive one after the other until the power is cut.

    `bytes_left`: how many more bytes arrive; None for all. One more is spent by each sync.
    """

    image: bytearray
    bytes_left: int | None = None
    events: list[tuple[str, int, bytes]] = field(default_factory=list)

    def read(self) -> bytes:
        return bytes(self.image)

    def write(self, offset: int, body: bytes) -> None:
        arrived = body[: self._spend(len(body))]
        self.image[offset : offset + len(arrived)] = arrived
        self.events.append(("write", offset, body))
        if len(arrived) < len(body):
            raise PowerCut

    def sync(self) -> None:
        self.events.append(("sync", 0, b""))
        if self._spend(1) < 1:
            raise PowerCut

    def _spend(self, wanted: int) -> int:
        if self.bytes_left is None:
            return wanted
        granted = min(wanted, self.bytes_left)
        self.bytes_left -= granted
        return granted


def opened(image: bytes, bytes_left: int | None = None) -> SlotPurseStore:
    return SlotPurseStore(CutFile(bytearray(image), bytes_left), SEALING_KEY)


@dataclass
class Scene:
    """A card just before its last command, and that command."""

    card: Bench
    file: CutFile
    command: CommandApdu
    proof: Prove | None = None


def scene(prepare: Callable[[Bench], CommandApdu], proof: Prove | None = None) -> Scene:
    file = CutFile(bytearray(initial_image(purse(), SEALING_KEY)))
    card = Bench(SlotPurseStore(file, SEALING_KEY), random_bytes=counting_random())
    card.select()
    card.pay(100)  # both slots have been used
    card.load(200)
    command = prepare(card)
    file.events.clear()
    return Scene(card, file, command, proof)


def debit(card: Bench) -> CommandApdu:
    return card.debit_command(card.begin(1_000), 1_000)[0]


def compound(card: Bench) -> CommandApdu:
    offer = card.begin(1_000, COMPOUND)
    for write in (JOURNEY, PARKING, RAIL):
        card.get(write.to_apdu())
    return card.debit_command(offer, 1_000, COMPOUND)[0]


def credit(card: Bench) -> CommandApdu:
    return card.credit_command(1_000)


def wrong_pin(_: Bench) -> CommandApdu:
    return CommandApdu(0x00, 0x20, 0, 0, b"\x99\x99\x99")


def update(card: Bench) -> CommandApdu:
    return card.secured(CommandApdu(0x04, 0xD6, 0x96, 0, b"\x41" * 55))


def block(card: Bench) -> CommandApdu:
    return card.secured(CommandApdu(0x84, 0x1E, 0, 0))


SCENES = {
    "debit": (debit, Prove(TransactionKind.PURCHASE, 2)),
    "compound": (compound, Prove(COMPOUND, 2)),
    "credit": (credit, Prove(TransactionKind.LOAD, 2)),
    "pin": (wrong_pin, None),
    "update": (update, None),
    "block": (block, None),
}
EVERY = pytest.mark.parametrize(("prepare", "proof"), SCENES.values(), ids=SCENES)


def is_new(image: bytes, old: PurseState, new: PurseState, proof: Prove | None) -> bool:
    """The card comes back with one of both states whole, and says itself which."""
    card = Bench(opened(image)).select_any()
    state = card.state
    assert state in (old, new)
    if proof is not None:
        answer = card.send(proof.to_apdu())
        assert answer.endswith("9000" if state == new else "9406")
        if state == new:
            assert new.last is not None
            assert answer == (new.last.mac2 + new.last.tac).hex().upper() + "9000"
    return state == new


@EVERY
def test_a_cut_after_every_byte(prepare, proof):
    stage = scene(prepare, proof)
    before, old = bytes(stage.file.image), stage.card.state
    stage.card.send(stage.command)
    new = stage.card.state
    assert new != old
    ((kind, offset, body), (after, _, _)) = stage.file.events
    assert (kind, after) == ("write", "sync")
    outcomes = []
    for arrived in range(len(body) + 1):
        image = before[:offset] + body[:arrived] + before[offset + arrived :]
        outcomes.append(is_new(image, old, new, proof))
    assert len(body) > 2_000
    assert outcomes[-1]
    assert not any(outcomes[:-20])  # the last bytes may be what was there before
    assert outcomes == sorted(outcomes)  # once new, new for good


@EVERY
def test_sectors_that_arrive_in_any_order(prepare, proof):
    stage = scene(prepare, proof)
    before, old = bytes(stage.file.image), stage.card.state
    stage.card.send(stage.command)
    new = stage.card.state
    (_, offset, body), _ = stage.file.events
    chance, seen = random.Random(7), set()
    for _ in range(100):
        image = bytearray(before)
        for at in range(0, len(body), SECTOR_BYTES):
            if chance.random() < 0.8:
                part = body[at : at + SECTOR_BYTES]
                image[offset + at : offset + at + len(part)] = part
        seen.add(is_new(bytes(image), old, new, proof))
    assert seen == {True, False}


@EVERY
def test_the_answer_leaves_only_when_the_state_is_kept(prepare, proof):
    whole = scene(prepare, proof)
    whole.card.send(whole.command)
    size = len(whole.file.events[0][2])
    for bytes_left in (0, 1, 19, 20, 700, 1_999, 2_000, size):  # the last: all but the sync
        stage = scene(prepare, proof)
        old = stage.card.state
        stage.file.bytes_left = bytes_left
        assert stage.card.send(stage.command) == "6F00"
        assert stage.card.send("805C000204") == "6F00"  # shut until reset
        stage.file.bytes_left = None
        stage.card.card.reset()
        stage.card.select_any()
        assert (stage.card.state == old) == (bytes_left < size)


def test_a_second_cut_during_the_recovery_of_the_first():
    stage = scene(debit)
    before, old = bytes(stage.file.image), stage.card.state
    stage.card.send(stage.command)
    new = stage.card.state
    (_, offset, body), _ = stage.file.events
    for arrived in (0, 900, len(body)):
        image = before[:offset] + body[:arrived] + before[offset + arrived :]
        for bytes_left in range(0, len(body), 101):
            file = CutFile(bytearray(image), bytes_left)
            with pytest.raises(PowerCut):
                SlotPurseStore(file, SEALING_KEY)
            assert opened(bytes(file.image)).view() == (new if arrived == len(body) else old)


def test_money_is_neither_made_nor_lost_over_many_torn_taps():
    """Goal: a terminal that recovers as B.1.5 says is right every time."""
    chance = random.Random(20_251_123)
    file = CutFile(bytearray(initial_image(purse(), SEALING_KEY)))
    card = Bench(SlotPurseStore(file, SEALING_KEY), random_bytes=counting_random()).select()
    expected_fen, torn = 5_000, 0
    for _ in range(150):
        is_load, amount_fen = chance.random() < 0.5, chance.randint(1, 90)
        atc = card.state.online_atc if is_load else card.state.offline_atc
        command = (
            card.credit_command(amount_fen)
            if is_load
            else card.debit_command(card.begin(amount_fen), amount_fen)[0]
        )
        file.bytes_left = chance.choice((None, chance.randint(0, 2_900)))
        answer = card.send(command)
        file.bytes_left = None
        kind = TransactionKind.LOAD if is_load else TransactionKind.PURCHASE
        if answer == "6F00":  # as the terminal sees it: no answer
            torn += 1
            card.card.reset()
            card.select()
        took_place = card.send(Prove(kind, atc + 1).to_apdu()).endswith("9000")
        if took_place:
            expected_fen += amount_fen if is_load else -amount_fen
        assert answer == "6F00" or took_place
        assert card.state.balance_fen == expected_fen
    assert torn > 40


# --- the store itself ---------------------------------------------------------------------------


def test_state_comes_back_from_its_bytes():
    state = scene(compound).card.state
    assert decode_purse(encode_purse(state)) == state


def test_bytes_that_are_no_state_are_refused():
    body = encode_purse(purse())
    for broken in (b"", body[:-1], body + b"\x00", b"\x02" + body[1:], body[:40]):
        with pytest.raises(ValueError, match="purse_state_malformed"):
            decode_purse(broken)


def test_another_key_opens_nothing_and_the_older_slot_is_no_way_out():
    image = scene(debit).file.image
    with pytest.raises(ValueError, match="another key"):
        SlotPurseStore(CutFile(bytearray(image)), bytes(32))
    with pytest.raises(ValueError, match="no slot"):
        opened(bytes(STORE_BYTES))
    with pytest.raises(ValueError, match="no slot"):
        opened(bytes(image[:10]))


def test_no_secret_is_readable_in_the_file_or_in_print(caplog):
    file = CutFile(bytearray(initial_image(purse(), SEALING_KEY)))
    store = SlotPurseStore(file, SEALING_KEY)
    card = Bench(store, random_bytes=counting_random()).select()
    card.pay(100)
    state = card.state
    texts = [repr(state), repr(store), repr(state.keys), repr(state.pin), caplog.text]
    assert "<secret>" in texts[0]
    for secret in [key.value for key in state.keys] + [SEALING_KEY]:
        assert secret not in bytes(file.image)
        for text in texts:
            assert secret.hex() not in text.lower()
            assert repr(secret)[2:-1] not in text
    assert "123456" not in texts[3]


def test_work_and_size_stay_the_same():
    """Goal: the hundred-thousandth transaction costs what the first did."""
    file = CutFile(bytearray(initial_image(purse(), SEALING_KEY)))
    card = Bench(SlotPurseStore(file, SEALING_KEY), random_bytes=counting_random()).select()
    file.events.clear()
    for _ in range(60):
        card.pay(1)
        card.load(1)
    writes = [(offset, len(body)) for kind, offset, body in file.events if kind == "write"]
    assert len(writes) == 120
    assert len(file.events) == 240
    assert {size for _, size in writes} == {writes[0][1]}
    assert {offset for offset, _ in writes} == {0, SLOT_BYTES}
    assert len(file.image) == STORE_BYTES
