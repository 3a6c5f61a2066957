"""Mutated commands in any order to the mobile card, beside a model that knows when it may count.

After every command: a status word, in time; the state as before, or one counter further where the
model says so; every cryptogram genuine, over what was asked, under a counter never seen.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from card_protocol import sm2
from card_protocol.apdu import CommandApdu
from card_protocol.commands import GetProcessingOptions, ReadRecord, Select
from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import (
    MOBILE_CARD_AID,
    PPSE_NAME,
    Certificate,
    GpoResponse,
    HolderCheck,
    Suite,
    TransactionData,
    cryptogram_input,
    is_signed_by_device,
    verify_cryptogram,
)
from hce.applets.mobile_card import MobileCardApplet
from hce.card import Card
from hce.ports import LimitedUseKey
from hce.signer import SoftwareSigner
from hce.state import CardState
from hce.store import MemoryCardStore
from tools.fuzz.decoders import TOKEN_NUMBER, TRANSACTION
from tools.fuzz.mutations import Mutator
from tools.fuzz.report import FuzzReport, Watch, is_status_word, watched

NOW: Final = 1_763_868_000
GOOD_SHARE: Final = 0.45
RESET, RESET_SHARE = "reset", 0.01
ATC_LAST: Final = 60_000  # then a new card: at FFFF it would refuse everything
SCALAR: Final = 0xD0D0  # of the device key, so that a seed is a run
KEY: Final = LimitedUseKey(7, 2, bytes(range(16)), 0xFFFF, NOW + 3_600)
SELECT: Final = Select(MOBILE_CARD_AID).to_apdu()
GPO: Final = GetProcessingOptions(TRANSACTION.encode()).to_apdu()
GPO_DATA_HEAD: Final = b"\x83\x2a"  # written out: the model shares no decoder with the card
CURRENCY: Final = 0x0156
GOOD: Final = (
    Select(PPSE_NAME).to_apdu().encode(),
    SELECT.encode(),
    replace(SELECT, le=None).encode(),
    GPO.encode(),
    replace(GPO, le=None).encode(),
    replace(GPO, le=16).encode(),
    ReadRecord(1, 1).to_apdu().encode(),
    CommandApdu(0x00, 0xC0, 0, 0, b"", 256).encode(),
    bytes.fromhex("805001020B010000006401020304050610"),
)


def _noise(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(301))


def _another_sale(chance: random.Random) -> bytes:
    """Any PDOL data, whole: most are refused for what they say."""
    fields = bytearray(TRANSACTION.encode())
    fields[chance.randrange(len(fields))] = chance.randrange(256)
    return replace(GPO, data=GPO_DATA_HEAD + bytes(fields)).encode()


def _extended_form(chance: random.Random) -> bytes:
    """A good command with its lengths in three bytes, right or lying."""
    command = CommandApdu.decode(chance.choice(GOOD))
    length = chance.choice((len(command.data), len(command.data), len(command.data) + 1, 0, 0xFFFF))
    le = chance.choice((b"", b"\x00\x00", b"\xff\xff"))
    return command.header + b"\x00" + length.to_bytes(2) + command.data + le


# What is made anew and not out of a good command, with its share of all commands.
MADE: Final[Mapping[str, tuple[Callable[[random.Random], bytes], float]]] = MappingProxyType(
    {
        "random bytes": (_noise, 0.04),
        "another sale": (_another_sale, 0.08),
        "extended form": (_extended_form, 0.05),
    }
)


@dataclass(slots=True)
class Model:
    """Which command may spend a counter, told from commands and status words alone."""

    is_open: bool = False  # the card is selected and has not made its cryptogram

    def expects(self, command: bytes) -> bytes | None:
        """The PDOL data a cryptogram would be over; None where the card may not count."""
        return find_pdol_data(command) if self.is_open else None

    def learn(self, command: bytes, answer: bytes) -> None:
        if self.expects(command) is not None:
            self.is_open = False
            return
        try:
            apdu = CommandApdu.decode(command)
        except MalformedBytes:
            return
        if (apdu.cla, apdu.ins) == (SELECT.cla, SELECT.ins):
            is_ours = (apdu.header, apdu.data) == (SELECT.header, SELECT.data)
            self.is_open = is_ours and answer[-2] in {0x90, 0x61}


@dataclass(slots=True)
class _Subject:
    """A card whose state can be looked at."""

    suite: Suite
    model: Model = field(default_factory=Model)
    atc: int = 0  # the highest told
    asked: bytes = b""  # PDOL data of the last GPO that spent a counter
    store: MemoryCardStore = field(init=False)
    card: Card = field(init=False)

    def __post_init__(self) -> None:
        signer = _signer(self.suite)
        certificate = Certificate(
            token_number=TOKEN_NUMBER,
            device_public_key=signer.public_key,
            product="phone_card",
            concession_group=0,
            not_before=NOW - 1,
            not_after=NOW + 86_400,
            offline_sale_max_fen=0,
            offline_sum_max_fen=0,
            status_index=0,
            issuer_key_index=1,
            signature=bytes(64),
            suite=self.suite,
        )
        key = replace(KEY, suite=self.suite)
        self.store = MemoryCardStore(CardState(certificate, key=key))
        applet = MobileCardApplet(
            self.store, signer, holder_check=lambda: HolderCheck.PIN, now=lambda: NOW
        )
        self.card = Card([applet])

    def state(self) -> CardState:
        return self.store.change(lambda state: state)

    def reset(self) -> None:
        self.card.reset()
        self.model = Model()


def find_pdol_data(command: bytes) -> bytes | None:
    """What a card would sign over, if this is a GPO that a card may answer; else None."""
    try:
        apdu = CommandApdu.decode(command)
        head, pdol_data = apdu.data[:2], apdu.data[2:]
        if apdu.header != GPO.header or head != GPO_DATA_HEAD:
            return None
        return pdol_data if TransactionData.decode(pdol_data).currency == CURRENCY else None
    except MalformedBytes:
        return None


def fuzz_mobile_card(seed: int, count: int, suite: Suite = Suite.AES_ES256) -> FuzzReport:
    """`count` commands, good and mutated, to one card after another. Raises FuzzFailed."""
    mutator, subject = Mutator(seed, GOOD), _Subject(suite)
    with watched(seed) as watch:
        for _ in range(count):
            _command(watch, subject, _pick(mutator))
            if mutator.chance.random() < RESET_SHARE:
                subject.reset()
                mutator.mix[RESET] += 1
            if subject.atc >= ATC_LAST:
                subject = _Subject(suite)
        return watch.report(count, mutator.mix)


def fuzz_sm_card(seed: int, count: int) -> FuzzReport:
    """The same to a card with SM2, SM3 and SM4. Raises FuzzFailed."""
    return fuzz_mobile_card(seed, count, Suite.SM4_SM2)


def _pick(mutator: Mutator) -> bytes:
    roll = mutator.chance.random()
    for name, (make, share) in MADE.items():
        if roll < share:
            mutator.mix[name] += 1
            return make(mutator.chance)
        roll -= share
    return mutator.pick(GOOD_SHARE)


def _command(watch: Watch, subject: _Subject, command: bytes) -> None:
    """One command, and what must hold after it."""
    before, pdol_data = subject.state(), subject.model.expects(command)
    answer = watch.call(command, subject.card.transmit)
    watch.require(is_status_word(answer), f"no status word: {answer.hex()}")
    watch.require(answer[-2:] != b"\x6f\x00", "a fault inside")
    watch.outcomes[answer[-2:].hex().upper()] += 1
    after = subject.state()
    if pdol_data is None:
        watch.require(after == before, "the state changed without a GPO")
    else:
        watch.require(after == before.counted(), "a GPO that did not spend one counter")
        subject.asked = pdol_data
    subject.model.learn(command, answer)
    _check_proof(watch, subject, answer, after)


def _check_proof(watch: Watch, subject: _Subject, answer: bytes, state: CardState) -> None:
    """A cryptogram, at once or by GET RESPONSE, is the one just counted, over what was asked."""
    try:
        proof = GpoResponse.decode(answer[:-2])
    except MalformedBytes:
        return
    watch.outcomes["cryptogram"] += 1
    watch.require(proof.atc > subject.atc, f"counter {proof.atc} after {subject.atc}")
    watch.require(proof.atc == state.atc, f"counter {proof.atc}, the store has {state.atc}")
    subject.atc = proof.atc
    suite, iad = proof.iad.suite, proof.iad.encode()
    watch.require(suite is subject.suite, "a cryptogram of another suite")
    data = cryptogram_input(subject.asked, proof.aip, proof.atc, iad)
    is_ours = verify_cryptogram(suite, KEY.value, data, proof.cryptogram)
    watch.require(is_ours, "a cryptogram over something else")
    is_signed = is_signed_by_device(state.certificate, subject.asked, proof)
    watch.require(is_signed, "a signature over something else")


def _signer(suite: Suite) -> SoftwareSigner:
    if suite is Suite.SM4_SM2:
        return SoftwareSigner(sm2.PrivateKey.from_scalar(SCALAR.to_bytes(32)))
    return SoftwareSigner(ec.derive_private_key(SCALAR, ec.SECP256R1()))
