"""The e-purse on the bench: its card, a purchase by a terminal, a load by its issuer."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final

from card_protocol.apdu import CommandApdu
from card_protocol.commands import Select
from card_protocol.epurse.commands import (
    Credit,
    Debit,
    DebitAnswer,
    Initialise,
    InitialiseLoadAnswer,
    InitialisePurchaseAnswer,
    Prove,
    ProveAnswer,
)
from card_protocol.epurse.files import ManagementData, PublicData
from card_protocol.epurse.suites import DES3, mac_is
from card_protocol.epurse.transactions import (
    Load,
    Purchase,
    TransactionKind,
    load_session_key,
    purchase_session_key,
)
from card_protocol.mobile_card import EPURSE_AID
from hce.applets.epurse.applet import EpurseApplet
from hce.applets.epurse.state import PurseState
from hce.card import Card
from hce.purse_disk import PurseFileStore
from hce.purse_profile import PLASTIC_SECONDARY, personalise
from tools.benches.card_subjects import DONE, Transmit, ageing
from tools.benches.errors import BenchFailed

KEY: Final = bytes.fromhex("11223344556677888877665544332211")  # every key of this purse
PUBLIC: Final = PublicData.decode(
    bytes.fromhex("01011000FFFFFFFF02010310517007010479138120190718204012310000")
)
MANAGEMENT: Final = ManagementData(bytes(4), bytes(2), bytes(2), bytes(2), card_type=1)
TERMINAL: Final = bytes.fromhex("001122334455")
MOMENT: Final = bytes.fromhex("20251123080000")
FARE_FEN, LOAD_FEN = 1, 1
KEY_INDEX: Final = 1
SELECT: Final = Select(EPURSE_AID).to_apdu()
KIND: Final = TransactionKind.PURCHASE


def purse_card(folder: Path) -> Card:
    """A purse with money in it, kept on the disk as a card in software keeps it."""
    sealing_key = secrets.token_bytes(32)
    store = PurseFileStore.create(folder / "purse", _purse(), sealing_key)
    return Card([EpurseApplet(store)])


def _purse() -> PurseState:
    state = personalise(PLASTIC_SECONDARY, PUBLIC, MANAGEMENT, derive=lambda name, factors: KEY)
    return replace(state, balance_fen=state.rules.balance_max_fen // 2)


@dataclass(slots=True)
class PurseTerminal:
    """A terminal's SAM and an issuer's host in one: every MAC is made and checked."""

    serials: Callable[[], int]

    @classmethod
    def fresh(cls) -> PurseTerminal:
        return cls(count(1).__next__)

    def purchase(self, transmit: Transmit) -> None:
        """SELECT, INITIALIZE, DEBIT, PROVE. Raises BenchFailed for anything but the right MACs."""
        _get(transmit, SELECT)
        offer, said, answer = self.debit(transmit)
        prove = Prove(KIND, offer.offline_atc + 1).to_apdu()
        proof = ProveAnswer.decode(_get(transmit, prove))
        if not (mac_is(proof.mac2, answer.mac2) and mac_is(proof.tac, said.tac(DES3, KEY))):
            raise BenchFailed("the purse proves another purchase")

    def debit(self, transmit: Transmit) -> tuple[InitialisePurchaseAnswer, Purchase, DebitAnswer]:
        """INITIALIZE and DEBIT on the selected purse."""
        begin = Initialise(KIND, KEY_INDEX, FARE_FEN, TERMINAL).to_apdu()
        offer = InitialisePurchaseAnswer.decode(_get(transmit, begin))
        serial = self.serials().to_bytes(4)
        said = Purchase(FARE_FEN, TERMINAL, serial, MOMENT, KIND)
        session = purchase_session_key(DES3, KEY, offer.random, offer.offline_atc, serial)
        command = Debit(serial, MOMENT, said.mac1(DES3, session)).to_apdu()
        answer = DebitAnswer.decode(_get(transmit, command))
        if not mac_is(answer.mac2, said.mac2(DES3, session)):
            raise BenchFailed("MAC2 is wrong")
        return offer, said, answer

    def load(self, transmit: Transmit) -> None:
        """INITIALIZE and CREDIT on the selected purse."""
        begin = Initialise(TransactionKind.LOAD, KEY_INDEX, LOAD_FEN, TERMINAL).to_apdu()
        offer = InitialiseLoadAnswer.decode(_get(transmit, begin))
        said = Load(LOAD_FEN, TERMINAL, MOMENT)
        session = load_session_key(DES3, KEY, offer.random, offer.online_atc)
        _get(transmit, Credit(MOMENT, said.mac2(DES3, session)).to_apdu())


def _get(transmit: Transmit, command: CommandApdu) -> bytes:
    answer = transmit(command.encode())
    if answer[-2:] != DONE:
        raise BenchFailed(f"{command.header.hex().upper()}: {answer[-2:].hex().upper()}")
    return answer[:-2]


def age(folder: Path, transactions: int, window: int) -> float:
    """Time per transaction at the end over that at the start, in process and on this folder's disk.

    A purchase and a load make two transactions; each has a counter of its own, of 16 bits.
    """
    card, terminal = purse_card(folder), PurseTerminal.fresh()
    card.power_on()
    _get(card.transmit, SELECT)

    def two(number: int) -> None:
        del number
        terminal.debit(card.transmit)
        terminal.load(card.transmit)

    return ageing(two, transactions // 2, window // 2)
