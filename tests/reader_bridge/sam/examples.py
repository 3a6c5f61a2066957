"""SAMs of the three makes with the published textbook key, and requests a card would make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from card_protocol.epurse.sam import SamKey, SamRequest, SamTally, find_key, open_session
from card_protocol.epurse.suites import DES3, SM4_SUITE
from card_protocol.epurse.transactions import TransactionKind
from hce.applets.sam import MemoryTallyStore, SamApplet, SamFace, TallyDisk
from hce.card import Card
from reader_bridge.readers.loopback import LoopbackReader
from reader_bridge.sam.pcsc import PcscSam
from reader_bridge.sam.port import Sam
from reader_bridge.sam.sealed import SamKeys
from reader_bridge.sam.software import SoftwareSam
from reader_bridge.sam.tally import TallyFile

TEXTBOOK = bytes.fromhex("11223344556677888877665544332211")
TERMINAL = bytes.fromhex("001122334455")
MOMENT = bytes.fromhex("20120229135100")
FACTOR = bytes.fromhex("0479138120190718")
ISSUER = bytes.fromhex("01011000FFFFFFFF")
SUITES = {"3des": DES3, "sm4": SM4_SUITE}
# Version 1: the card's own key, as in the published examples. 2: one level. 3: two levels.
KEYS = tuple(
    SamKey(version, suite.algorithm, version - 1, TEXTBOOK)
    for suite in SUITES.values()
    for version in (1, 2, 3)
)
LOCKS_AFTER = 3
REQUEST = SamRequest(
    random=bytes.fromhex("11223344"),
    offline_atc=0,
    amount_fen=0x1000,
    kind=TransactionKind.PURCHASE,
    moment=MOMENT,
    key_version=1,
    algorithm=DES3.algorithm,
    card_factor=FACTOR,
    issuer=ISSUER,
)


class MemoryTally:
    """A tally that forgets with the test."""

    def __init__(self, tally: SamTally | None = None) -> None:
        self.tally = tally or SamTally(TERMINAL)

    def view(self) -> SamTally:
        return self.tally

    def put(self, tally: SamTally) -> None:
        self.tally = replace(tally, sequence=self.tally.sequence + 1)

    def close(self) -> None:
        self.tally = replace(self.tally, sequence=self.tally.sequence)


def right_mac2(request: SamRequest, terminal_serial: bytes, keys=KEYS) -> bytes:
    """What the genuine card answers."""
    key = find_key(keys, request)
    assert key is not None
    return open_session(key, request, TERMINAL, terminal_serial)[1].expected_mac2


@dataclass
class Stand:
    """One make of SAM whose power can be cut: `open` is what the next start finds."""

    open: Callable[[], Sam]
    close: Callable[[Sam], None] = lambda sam: sam.close()


def software(folder: Path, keys=KEYS, start: int = 0) -> Stand:
    path = folder / "tally"
    TallyFile.create(path, SamTally(TERMINAL, serial=start)).close()

    def opened() -> Sam:
        body = SamKeys(TERMINAL, 1, keys)
        return SoftwareSam(body, TallyFile(path), mismatches_allowed=LOCKS_AFTER)

    return Stand(opened)


def in_slot(store, keys=KEYS, **options) -> tuple[Card, Callable[[], Sam]]:
    face = SamFace(TERMINAL, 1, keys, mismatches_allowed=LOCKS_AFTER)
    card = Card([SamApplet(face, store)])
    card.power_on()

    def opened() -> Sam:
        channel = LoopbackReader(card.transmit).wait_for_card(0)
        assert channel is not None
        return PcscSam(channel, **options)

    return card, opened


def slotted(folder: Path, keys=KEYS, start: int = 0, *, sends_issuer: bool = True) -> Stand:
    """A SAM in a slot, played by the software card."""
    path = folder / "card-tally"
    TallyDisk.create(path, SamTally(TERMINAL, serial=start))

    def opened() -> Sam:
        return in_slot(TallyDisk(path), keys, sends_issuer=sends_issuer)[1]()

    return Stand(opened)


def memory_sam(keys=KEYS) -> Sam:
    return SoftwareSam(SamKeys(TERMINAL, 1, keys), MemoryTally())


def memory_slot_sam(keys=KEYS) -> Sam:
    return in_slot(MemoryTallyStore(SamTally(TERMINAL)), keys, sends_issuer=True)[1]()


STANDS = {"software": software, "slot": slotted}
