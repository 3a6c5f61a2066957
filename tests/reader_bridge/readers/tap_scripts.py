"""Whole taps of both cards with fixed keys, clock and dice: the source of the transcripts.

`python -m tests.reader_bridge.readers.tap_scripts` writes them anew; look at the difference before
it is committed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from card_protocol.epurse.commands import DebitAnswer, Initialise
from card_protocol.epurse.suites import DES3, SM4_SUITE, PurseSuite, mac_is
from card_protocol.mobile_card import (
    EPURSE_AID,
    MOBILE_CARD_AID,
    MOBILE_CARD_LABEL,
    Certificate,
    HolderCheck,
    TransactionData,
    TransactionType,
)
from card_protocol.signatures import Suite, public_point, signature_from_der
from hce.applets.epurse.applet import EpurseApplet
from hce.applets.mobile_card import MobileCardApplet
from hce.card import Card
from hce.ports import LimitedUseKey
from hce.state import CardState
from hce.store import MemoryCardStore
from reader_bridge.exchange import Exchange
from reader_bridge.faults import CardFault, ReaderFault
from reader_bridge.kernels import mobile_card
from reader_bridge.kernels.mobile_card import AcceptedApplication, TapProof
from reader_bridge.readers.loopback import LoopbackReader
from reader_bridge.readers.port import CardChannel, Reader
from reader_bridge.readers.recording import RecordingReader
from tests.hce import epurse_bench
from tests.hce.epurse_bench import COMPOUND, JOURNEY, PARKING, TAC_KEY
from tests.reader_bridge.support import MERCHANT_NUMBER, NOW, TERMINAL_NUMBER, TOKEN_NUMBER

FOLDER = Path(__file__).resolve().parent.parent / "transcripts"
MOBILE = AcceptedApplication(MOBILE_CARD_AID, MOBILE_CARD_LABEL, 1)
PURSE = AcceptedApplication(EPURSE_AID, "MOT_T_EP", 2)
SALE = TransactionData(
    amount_fen=1250,
    date=bytes.fromhex("260921"),
    time=bytes.fromhex("213320"),
    transaction_type=TransactionType.PURCHASE,
    unpredictable_number=bytes.fromhex("01020304"),
    terminal_number=TERMINAL_NUMBER,
    merchant_number=MERCHANT_NUMBER,
)


class SteadySigner:
    """ES256 with RFC 6979 in place of dice."""

    suite = Suite.AES_ES256

    def __init__(self, scalar: int) -> None:
        self._key = ec.derive_private_key(scalar, ec.SECP256R1())
        self.public_key = public_point(self._key)

    def sign(self, data: bytes) -> bytes:
        algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        return signature_from_der(self._key.sign(data, algorithm))


DEVICE, ISSUER, STRANGER = (SteadySigner(scalar) for scalar in (0xD0D0, 0x1550E5, 0xBAD))
ISSUER_KEYS = {(Suite.AES_ES256, 1): ISSUER.public_key}


def phone(issuer: SteadySigner = ISSUER, with_purse: bool = False) -> Card:
    """A phone's card; with a purse as well when it has a secure element."""
    certificate = Certificate(
        token_number=TOKEN_NUMBER,
        device_public_key=DEVICE.public_key,
        product="phone_card",
        concession_group=0,
        not_before=NOW - 86_400,
        not_after=NOW + 86_400,
        offline_sale_max_fen=0,
        offline_sum_max_fen=0,
        status_index=7,
        issuer_key_index=1,
    ).signed_by(issuer.sign)
    key = LimitedUseKey(index=3, version=1, value=bytes(range(16)), uses_left=9, not_after=NOW + 9)
    store = MemoryCardStore(CardState(certificate, key=key))
    applet = MobileCardApplet(
        store, DEVICE, holder_check=lambda: HolderCheck.DEVICE_UNLOCKED, now=lambda: NOW
    )
    purse = EpurseApplet(
        epurse_bench.MemoryPurseStore(epurse_bench.purse()),
        random_bytes=epurse_bench.counting_random(),
    )
    card = Card([applet, purse] if with_purse else [applet])
    card.power_on()
    return card


class Purse(epurse_bench.Bench):
    """The bench's terminal and SAM, speaking over any channel."""

    def __init__(self, suite: PurseSuite) -> None:
        store = epurse_bench.MemoryPurseStore(epurse_bench.purse(suite))
        super().__init__(store, suite, epurse_bench.counting_random())
        self.plastic = self.card

    def over(self, channel: CardChannel) -> Purse:
        self.card = channel  # type: ignore[assignment]
        self.select()
        return self


def shown(reader: Reader) -> CardChannel:
    channel = reader.wait_for_card(0.0)
    assert channel is not None
    return channel


def sale(reader: Reader, *accepted: AcceptedApplication) -> TapProof:
    channel = shown(reader)
    try:
        exchange = Exchange(channel, lambda: 0.0)
        return mobile_card.tap(exchange, SALE, accepted or (MOBILE,), ISSUER_KEYS)
    finally:
        channel.close()


def refused_sale(reader: Reader) -> str:
    with pytest.raises(CardFault) as refused:
        sale(reader)
    return refused.value.code


def purchase(reader: Reader, suite: PurseSuite) -> DebitAnswer:
    channel = shown(reader)
    answer = Purse(suite).over(channel).pay(1250)
    channel.close()
    return answer


def bus_ride(reader: Reader) -> DebitAnswer:
    channel = shown(reader)
    answer = Purse(DES3).over(channel).pay(200, JOURNEY, PARKING)
    channel.close()
    return answer


def torn_ride(reader: Reader) -> bytes:
    """DEBIT leaves, its answer does not come back; at the next presentation the card proves it."""
    channel = shown(reader)
    terminal = Purse(DES3).over(channel)
    offer = terminal.begin(200, COMPOUND)
    terminal.get(JOURNEY.to_apdu())
    debit, told, session_key = terminal.debit_command(offer, 200, COMPOUND)
    with pytest.raises(ReaderFault, match="card_removed"):
        terminal.send(debit)
    channel.close()
    channel = shown(reader)
    again = terminal.over(channel)
    again.get(Initialise(COMPOUND, 1, 200, epurse_bench.TERMINAL).to_apdu())
    proof = again.prove(COMPOUND, offer.offline_atc + 1)
    assert mac_is(proof.tac, told.tac(DES3, TAC_KEY))
    assert mac_is(proof.mac2, told.mac2(DES3, session_key))
    channel.close()
    return proof.tac


def plastic(suite: PurseSuite) -> Callable[[bytes], bytes]:
    return Purse(suite).plastic.transmit


def torn_once(card: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """The hand goes away between the first DEBIT and its answer."""
    is_torn = False

    def transmit(command: bytes) -> bytes:
        nonlocal is_torn
        answer = card(command)
        if command[:2] == b"\x80\x54" and not is_torn:
            is_torn = True
            raise ConnectionError
        return answer

    return transmit


@dataclass(frozen=True)
class Script:
    """A card, and what the terminal does with it."""

    card: Callable[[], Callable[[bytes], bytes]]
    play: Callable[[Reader], Any]


SCRIPTS = {
    "phone": Script(lambda: phone().transmit, sale),
    "phone-not-genuine": Script(lambda: phone(STRANGER).transmit, refused_sale),
    "phone-with-purse": Script(
        lambda: phone(with_purse=True).transmit, lambda reader: sale(reader, PURSE, MOBILE)
    ),
    "plastic-at-the-mobile-kernel": Script(lambda: plastic(DES3), refused_sale),
    "purchase-3des": Script(lambda: plastic(DES3), lambda reader: purchase(reader, DES3)),
    "purchase-sm4": Script(lambda: plastic(SM4_SUITE), lambda reader: purchase(reader, SM4_SUITE)),
    "bus-ride": Script(lambda: plastic(DES3), bus_ride),
    "torn-ride": Script(lambda: torn_once(plastic(DES3)), torn_ride),
}


class Ticking:
    """A quarter of a millisecond at every look."""

    def __init__(self) -> None:
        self._ticks = 0

    def __call__(self) -> float:
        self._ticks += 1
        return self._ticks / 4000


def record(script: Script) -> tuple[str, Any]:
    """What the script's tap looks like, and what came out of it."""
    lines: list[str] = []
    reader = RecordingReader(LoopbackReader(script.card()), lines.append, elapsed=Ticking())
    outcome = script.play(reader)
    return "".join(line + "\n" for line in lines), outcome


def main() -> None:
    for name, script in SCRIPTS.items():
        (FOLDER / f"{name}.tap").write_text(record(script)[0], encoding="utf-8")


if __name__ == "__main__":
    main()
