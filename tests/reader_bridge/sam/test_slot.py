"""The SAM in a slot and the card that plays it: bytes, refusals, a slot that fails."""

from __future__ import annotations

import random

import pytest

from card_protocol.epurse.sam import SamOffer, SamRequest, SamTally
from card_protocol.errors import MalformedBytes
from hce.applets.sam import MemoryTallyStore, SamApplet, SamFace, TallyDisk
from hce.card import Card
from hce.errors import CardFileDamaged, CardFileExists, CardFileMissing
from reader_bridge.faults import CardFault, SamFault
from reader_bridge.readers.loopback import LoopbackReader
from reader_bridge.sam.pcsc import PcscSam
from tests.reader_bridge.sam.examples import FACTOR, KEYS, REQUEST, TERMINAL, in_slot, right_mac2

SHORT = "11223344000000001000062012022913510001000479138120190718"
LONG = SHORT + "01011000FFFFFFFF"


def card():
    return in_slot(MemoryTallyStore(SamTally(TERMINAL)))[0]


def slot(transmit, **options) -> PcscSam:
    channel = LoopbackReader(transmit).wait_for_card(0)
    assert channel is not None
    return PcscSam(channel, **options)


def recorded(transmit):
    lines: list[tuple[str, str]] = []

    def watched(command: bytes) -> bytes:
        answer = transmit(command)
        lines.append((command.hex().upper(), answer.hex().upper()))
        return answer

    return watched, lines


@pytest.mark.parametrize(
    ("sends_issuer", "begin"), [(False, f"807000001C{SHORT}08"), (True, f"8070000024{LONG}08")]
)
def test_transcript(sends_issuer, begin):
    """Goal: the commands of the field, byte for byte."""
    watched, lines = recorded(card().transmit)
    sam = slot(watched, sends_issuer=sends_issuer)
    sam.begin_purchase(REQUEST)
    sam.finish_purchase(bytes.fromhex("56988A13"))
    assert lines == [
        ("00A40000028011", "9000"),
        ("00B0960006", "0011223344559000"),
        ("00B0970001", "019000"),
        (begin, "00000001F15CAB759000"),
        ("807200000456988A13", "9000"),
    ]


def test_request_and_offer_come_back():
    for text, issuer in ((SHORT, None), (LONG, bytes.fromhex("01011000FFFFFFFF"))):
        request = SamRequest.decode(bytes.fromhex(text))
        assert (request.issuer, request.card_factor) == (issuer, FACTOR)
        assert request.encode().hex().upper() == text
        for size in range(len(text) // 2):
            if size != SamRequest.DATA_BYTES:
                with pytest.raises(MalformedBytes):
                    SamRequest.decode(bytes.fromhex(text)[:size])
    with pytest.raises(MalformedBytes):
        SamRequest.decode(bytes.fromhex(SHORT.replace("0000100006", "0000100002")))
    with pytest.raises(MalformedBytes):
        SamOffer.decode(bytes(7))


@pytest.mark.parametrize(
    ("command", "sw"),
    [
        ("00B0950000", "6A82"),
        ("00B0960600", "6B00"),
        ("807200000456988A13", "6901"),  # nothing begun
        ("8072000003112233", "6700"),
        ("8072010004AABBCCDD", "6A86"),
        ("8070010000", "6A86"),
        ("807000000411223344", "6700"),
        (f"807000001C{SHORT.replace('0000100006', '0000100002')}08", "6A80"),
        (f"807000001C{SHORT[:36]}09{SHORT[38:]}08", "9403"),
        ("80FA000000", "6D00"),
        ("C070000000", "6E00"),
        ("00A40000021001", "6A82"),
        ("00A40000020016", "6A82"),
        ("00", "6700"),
    ],
)
def test_refusals(command, sw):
    sam = card()
    sam.transmit(bytes.fromhex("00A40000028011"))
    assert sam.transmit(bytes.fromhex(command)).hex().upper() == sw


def test_reading_between_gives_the_purchase_up():
    sam = card()
    for command in ("00A40000028011", f"807000001C{SHORT}08", "00B0970001"):
        assert sam.transmit(bytes.fromhex(command))[-2:] == b"\x90\x00"
    assert sam.transmit(bytes.fromhex("807200000456988A13")).hex() == "6901"


def test_any_bytes_get_a_status_word():
    """Goal: 5000 commands, right and mangled: always an answer, serials only ever grow."""
    rng = random.Random(9)
    store = MemoryTallyStore(SamTally(TERMINAL))
    sam = Card([SamApplet(SamFace(TERMINAL, 1, KEYS), store)])  # one that never locks
    good = ["00A40000028011", "00B0960006", f"807000001C{SHORT}08", f"8070000024{LONG}08"]
    good.append("807200000456988A13")
    serial = 0
    for _ in range(5_000):
        body = bytearray(bytes.fromhex(rng.choice(good)))
        for _ in range(rng.randrange(3)):
            body[rng.randrange(len(body))] = rng.randrange(256)
        if rng.random() < 0.1:
            body = body[: rng.randrange(len(body))]
        answer = sam.transmit(bytes(body))
        assert 2 <= len(answer) <= 10
        assert answer[-2:] != bytes.fromhex("6F00")
        assert store.view().serial >= serial
        serial = store.view().serial
    assert serial > 100


def test_a_slot_that_loses_its_card_is_no_readers_fault():
    """Goal: a purchase that was debited is not mistaken for a card that left too soon."""
    inner = card()
    powered = [True]

    def transmit(command: bytes) -> bytes:
        if not powered[0]:
            raise ConnectionError
        return inner.transmit(command)

    sam = slot(transmit)
    sam.begin_purchase(REQUEST)
    powered[0] = False
    with pytest.raises(SamFault, match="sam_lost"):
        sam.finish_purchase(bytes.fromhex("56988A13"))
    with pytest.raises(SamFault, match="sam_session_gone"):
        sam.finish_purchase(bytes.fromhex("56988A13"))
    with pytest.raises(SamFault, match="sam_lost"):
        sam.begin_purchase(REQUEST)


@pytest.mark.parametrize(
    ("ins", "answer", "code"),
    [
        (0xA4, "6A82", "sam_missing"),
        (0xB0, "6A82", "sam_failed"),
        (0xB0, "00119000", "sam_failed"),
        (0xB0, "", "sam_lost"),
        (0x70, "6F00", "sam_failed"),
        (0x70, "000000019000", "sam_failed"),
        (0x70, "9303", "sam_locked"),
        (0x72, "6901", "sam_session_gone"),
        (0x72, "6F00", "sam_failed"),
    ],
)
def test_sams_that_misbehave(ins, answer, code):
    inner = card()

    def transmit(command: bytes) -> bytes:
        return bytes.fromhex(answer) if command[1] == ins else inner.transmit(command)

    with pytest.raises(SamFault, match=code):
        _purchase(slot(transmit))


def test_a_sam_that_fetches_its_answer():
    """T=0: 61 08 and GET RESPONSE."""
    inner, waiting = card(), []

    def transmit(command: bytes) -> bytes:
        if command[1] == 0x70:
            waiting.append(inner.transmit(command))
            return bytes.fromhex("6108")
        if command[:2] == bytes.fromhex("00C0"):
            return waiting.pop()
        return inner.transmit(command)

    _purchase(slot(transmit))
    assert waiting == []


def test_9302_is_the_cards_fault():
    sam = slot(card().transmit)
    sam.begin_purchase(REQUEST)
    with pytest.raises(CardFault, match="card_false_mac"):
        sam.finish_purchase(bytes(4))


def _purchase(sam: PcscSam) -> None:
    offer = sam.begin_purchase(REQUEST)
    sam.finish_purchase(right_mac2(REQUEST, offer.terminal_serial))


def test_a_tally_file_of_the_card(tmp_path):
    path = tmp_path / "tally"
    with pytest.raises(CardFileMissing):
        TallyDisk(path)
    TallyDisk.create(path, SamTally(TERMINAL)).commit(SamTally(TERMINAL, 5))
    assert TallyDisk(path).view().serial == 5
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CardFileExists):
        TallyDisk.create(path, SamTally(TERMINAL))
    path.write_bytes(path.read_bytes()[:-1] + b"\x00\x00")
    with pytest.raises(CardFileDamaged):
        TallyDisk(path)


def test_a_card_whose_disk_fails_stays_shut(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    store = TallyDisk.create(folder / "tally", SamTally(TERMINAL))
    sam = in_slot(store)[0]
    sam.transmit(bytes.fromhex("00A40000028011"))
    (folder / "tally").unlink()
    folder.rmdir()
    begin = bytes.fromhex(f"807000001C{SHORT}08")
    assert sam.transmit(begin).hex().upper() == "6F00"
    assert sam.transmit(begin).hex().upper() == "6F00"
