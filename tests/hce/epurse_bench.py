"""A purse with textbook keys, the terminal's SAM and the issuer's host, for all purse tests.

SAM and host are made from card_protocol alone, as a terminal and a backend would be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

import pytest

from card_protocol.apdu import CommandApdu
from card_protocol.epurse.capp import capp_record
from card_protocol.epurse.commands import (
    Credit,
    Debit,
    DebitAnswer,
    Initialise,
    InitialiseLoadAnswer,
    InitialisePurchaseAnswer,
    Prove,
    ProveAnswer,
    UpdateCache,
)
from card_protocol.epurse.files import JourneyRecord, ManagementData, PublicData
from card_protocol.epurse.secured import secure
from card_protocol.epurse.suites import DES3, SM4_SUITE, PurseSuite, mac_is
from card_protocol.epurse.transactions import (
    Load,
    Purchase,
    TransactionKind,
    load_session_key,
    purchase_session_key,
)
from hce.applets.epurse.applet import EpurseApplet, PurseStore
from hce.applets.epurse.state import KeyKind, PurseState, Rules
from hce.card import Card
from hce.purse_profile import PLASTIC_MAIN, KeyName, PurseProfile, key_names, personalise
from hce.purse_store import MemoryPurseStore
from tools.fuzz.epurse import counting_random

MONEY_KEY = bytes.fromhex("11223344556677888877665544332211")
TAC_KEY = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
KEYS = {kind: bytes((0x10 * kind + at) & 0xFF for at in range(16)) for kind in KeyKind} | {
    KeyKind.PURCHASE: MONEY_KEY,
    KeyKind.LOAD: MONEY_KEY,
    KeyKind.TAC: TAC_KEY,
}
PUBLIC = PublicData.decode(
    bytes.fromhex("01011000FFFFFFFF02010310517007010479138120190718204012310000")
)
MANAGEMENT = ManagementData(
    bytes.fromhex("00000156"), b"\x10\x00", b"\x10\x00", b"\x00\x01", card_type=0
)
TERMINAL = bytes.fromhex("001122334455")
MOMENT = bytes.fromhex("20120229135100")
PIN = bytes.fromhex("123456")
RANDOM = bytes.fromhex("112233445566778899AABBCCDDEEFF00")
SUITES = {"3des": DES3, "sm4": SM4_SUITE}
SELECT = bytes.fromhex("00A4040008A00000063201010500")
COMPOUND = TransactionKind.COMPOUND_PURCHASE
JOURNEY = UpdateCache(
    0x1E,
    0,
    JourneyRecord(
        3,
        bytes(2) + TERMINAL,
        1,
        b"\x00\x04",
        b"\x00\x12",
        bytes(2),
        0,
        0,
        5_000,
        MOMENT,
        b"\x10\x00",
        bytes.fromhex("01011000FFFFFFFF"),
    ).encode(),
)
PARKING = UpdateCache(0x19, 0xAA, capp_record(0xAA, b"\x07" * 40))
RAIL = UpdateCache(0x1A, 0x12, capp_record(0x2712, b"\x09" * 124, 1, id_bytes=2))
BUS = UpdateCache(0x1A, 0x01, capp_record(0x01, b"\x05" * 117))
FREE_RULES = Rules(pin_tries_max=15, key_tries_max=0)


def textbook(name: KeyName, factors: tuple[bytes, ...]) -> bytes:
    """A key service that has one purse."""
    assert factors == (PUBLIC.key_factor,)
    return KEYS[name.kind]


def fixed_random(size: int) -> bytes:
    return RANDOM[:size]


def born(suite: PurseSuite = DES3, profile: PurseProfile = PLASTIC_MAIN) -> PurseState:
    profile = replace(profile, keys=key_names(suite.algorithm, 1))
    pin = PIN if profile.has_pin else None
    return personalise(profile, PUBLIC, MANAGEMENT, derive=textbook, pin=pin)


def purse(suite: PurseSuite = DES3, **changes: object) -> PurseState:
    """A purse with 50 yuan, unless said otherwise."""
    return replace(born(suite), **({"balance_fen": 5_000} | changes))  # type: ignore[arg-type]


class Refusal(AssertionError):
    """A command that the test meant to succeed."""


@dataclass
class Bench:
    """A card in the field and its two counterparts."""

    store: PurseStore = field(default_factory=lambda: MemoryPurseStore(purse()))
    suite: PurseSuite = DES3
    random_bytes: Callable[[int], bytes] = fixed_random

    def __post_init__(self) -> None:
        self.restart()
        self.serials = count(1)

    def restart(self) -> None:
        """The field goes and comes back."""
        self.card = Card([EpurseApplet(self.store, random_bytes=self.random_bytes)])
        self.card.power_on()

    @property
    def state(self) -> PurseState:
        return self.store.view()

    def send(self, command: CommandApdu | bytes | str) -> str:
        """Hex out."""
        if isinstance(command, CommandApdu):
            command = command.encode()
        body = bytes.fromhex(command) if isinstance(command, str) else command
        return self.card.transmit(body).hex().upper()

    def get(self, command: CommandApdu | bytes | str) -> bytes:
        """The data of an answer that must be 9000."""
        answer = self.send(command)
        if not answer.endswith("9000"):
            raise Refusal(answer)
        return bytes.fromhex(answer[:-4])

    def select(self) -> Bench:
        self.get(SELECT)
        return self

    def select_any(self) -> Bench:
        """Also a blocked purse."""
        assert self.send(SELECT)[-4:] in {"9000", "6283"}
        return self

    # --- the terminal's SAM ---------------------------------------------------------------------

    def begin(
        self, amount_fen: int, kind: TransactionKind = TransactionKind.PURCHASE
    ) -> InitialisePurchaseAnswer:
        answer = self.get(Initialise(kind, 1, amount_fen, TERMINAL).to_apdu())
        return InitialisePurchaseAnswer.decode(answer)

    def debit_command(
        self,
        offer: InitialisePurchaseAnswer,
        amount_fen: int,
        kind: TransactionKind = TransactionKind.PURCHASE,
    ) -> tuple[CommandApdu, Purchase, bytes]:
        """(DEBIT, what it says, the session key the SAM keeps to check MAC2)."""
        serial = next(self.serials).to_bytes(4)
        purchase = Purchase(amount_fen, TERMINAL, serial, MOMENT, kind)
        session_key = purchase_session_key(
            self.suite, MONEY_KEY, offer.random, offer.offline_atc, serial
        )
        mac1 = purchase.mac1(self.suite, session_key)
        return Debit(serial, MOMENT, mac1).to_apdu(), purchase, session_key

    def pay(self, amount_fen: int, *writes: UpdateCache) -> DebitAnswer:
        """A whole purchase, compound when there are records; both MACs are checked."""
        kind = TransactionKind.COMPOUND_PURCHASE if writes else TransactionKind.PURCHASE
        offer = self.begin(amount_fen, kind)
        for write in writes:
            self.get(write.to_apdu())
        command, purchase, session_key = self.debit_command(offer, amount_fen, kind)
        answer = DebitAnswer.decode(self.get(command))
        assert mac_is(answer.mac2, purchase.mac2(self.suite, session_key))
        assert mac_is(answer.tac, purchase.tac(self.suite, TAC_KEY))
        return answer

    def prove(self, kind: TransactionKind, atc: int) -> ProveAnswer:
        return ProveAnswer.decode(self.get(Prove(kind, atc).to_apdu()))

    # --- the issuer's host ----------------------------------------------------------------------

    def credit_command(self, amount_fen: int) -> CommandApdu:
        """INITIALIZE FOR LOAD is sent, its MAC1 checked; CREDIT is not sent yet."""
        request = Initialise(TransactionKind.LOAD, 1, amount_fen, TERMINAL)
        offer = InitialiseLoadAnswer.decode(self.get(request.to_apdu()))
        load = Load(amount_fen, TERMINAL, MOMENT)
        session_key = load_session_key(self.suite, MONEY_KEY, offer.random, offer.online_atc)
        assert mac_is(offer.mac1, load.mac1(self.suite, session_key, offer.balance_fen))
        return Credit(MOMENT, load.mac2(self.suite, session_key)).to_apdu()

    def load(self, amount_fen: int) -> bytes:
        """A whole load; the TAC is checked."""
        atc, before_fen = self.state.online_atc, self.state.balance_fen
        tac = self.get(self.credit_command(amount_fen))
        load = Load(amount_fen, TERMINAL, MOMENT)
        assert tac == load.tac(self.suite, TAC_KEY, before_fen + amount_fen, atc)
        return tac

    def secured(
        self, command: CommandApdu, kind: KeyKind = KeyKind.MAINTENANCE, challenge_bytes: int = 4
    ) -> CommandApdu:
        """GET CHALLENGE is sent; the command with its MAC comes back."""
        challenge = self.get(CommandApdu(0x00, 0x84, 0, 0, b"", challenge_bytes))
        return secure(command, self.suite, KEYS[kind], challenge)


def bench(suite: PurseSuite = DES3, **changes: object) -> Bench:
    """A selected purse with fresh random numbers."""
    store = MemoryPurseStore(purse(suite, **changes))
    return Bench(store, suite, counting_random()).select()


def read(card: Bench, sfi: int, number: int = 1) -> bytes:
    return card.get(bytes((0x00, 0xB2, number, sfi << 3 | 4, 0x00)))


def refusal(call, *arguments: object) -> str:
    with pytest.raises(Refusal) as refused:
        call(*arguments)
    return str(refused.value)
