"""Mutated commands in any order to the mobile card: status words, and no counter without a GPO."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from card_protocol.apdu import CommandApdu
from card_protocol.commands import GetProcessingOptions, ReadRecord, Select
from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import (
    MOBILE_CARD_AID,
    PPSE_NAME,
    Certificate,
    GpoResponse,
    HolderCheck,
    TransactionData,
    compute_cryptogram,
    cryptogram_input,
    signature_input,
    verify_signature,
)
from hce.applets.mobile_card import MobileCardApplet
from hce.card import Card
from hce.ports import LimitedUseKey
from hce.signer import SoftwareSigner
from hce.state import CardState
from hce.store import MemoryCardStore
from tools.fuzz.decoders import TOKEN_NUMBER, TRANSACTION
from tools.fuzz.mutations import Mutator
from tools.fuzz.report import FuzzReport, Watch, watched

NOW: Final = 1_763_868_000
RESETS: Final = 0.01
GOOD_SHARE: Final = 0.35
ATC_LAST: Final = 60_000  # then a new card: at FFFF it would refuse everything
SIGNATURES_CHECKED: Final = 20  # one of so many
KEY: Final = LimitedUseKey(7, 2, bytes(range(16)), 0xFFFF, NOW + 3_600)
GPO: Final = GetProcessingOptions(TRANSACTION.encode()).to_apdu()
GOOD: Final = (
    Select(PPSE_NAME).to_apdu().encode(),
    Select(MOBILE_CARD_AID).to_apdu().encode(),
    replace(Select(MOBILE_CARD_AID).to_apdu(), le=None).encode(),
    GPO.encode(),
    replace(GPO, le=None).encode(),
    replace(GPO, le=16).encode(),
    ReadRecord(1, 1).to_apdu().encode(),
    CommandApdu(0x00, 0xC0, 0, 0, b"", 256).encode(),
    bytes.fromhex("805001020B010000006401020304050610"),
)


@dataclass(slots=True)
class _Subject:
    """A card whose state can be looked at, with what must never change."""

    signer: SoftwareSigner = field(
        default_factory=lambda: SoftwareSigner(ec.derive_private_key(0xD0D0, ec.SECP256R1()))
    )
    atc: int = 0  # the highest seen
    asked: bytes = b""  # PDOL data of the last GPO that spent a counter
    store: MemoryCardStore = field(init=False)
    card: Card = field(init=False)

    def __post_init__(self) -> None:
        certificate = Certificate(
            token_number=TOKEN_NUMBER,
            device_public_key=self.signer.public_key,
            product="phone_card",
            concession_group=0,
            not_before=NOW - 1,
            not_after=NOW + 86_400,
            offline_sale_max_fen=0,
            offline_sum_max_fen=0,
            status_index=0,
            issuer_key_index=1,
            signature=bytes(64),
        )
        self.store = MemoryCardStore(CardState(certificate, key=KEY))
        applet = MobileCardApplet(
            self.store, self.signer, holder_check=lambda: HolderCheck.PIN, now=lambda: NOW
        )
        self.card = Card([applet])


def is_status_word(answer: bytes) -> bool:
    """ISO/IEC 7816-3, 12.1.2: SW1 is 61..6F or 90..9F."""
    return len(answer) >= 2 and (0x61 <= answer[-2] <= 0x6F or 0x90 <= answer[-2] <= 0x9F)


def find_pdol_data(command: bytes) -> bytes | None:
    """What a card would sign over, if this is a GPO that a card may answer; else None."""
    try:
        pdol_data = GetProcessingOptions.from_apdu(CommandApdu.decode(command)).pdol_data
        TransactionData.decode(pdol_data)
    except MalformedBytes:
        return None
    return pdol_data


def fuzz_mobile_card(seed: int, count: int) -> FuzzReport:
    """`count` commands, good and mutated, to one card after another. Raises FuzzFailed."""
    mutator, subject = Mutator(seed, GOOD), _Subject()
    with watched(seed) as watch:
        for _ in range(count):
            _command(watch, subject, mutator.pick(GOOD_SHARE))
            if mutator.chance.random() < RESETS:
                subject.card.reset()
                mutator.mix["reset"] += 1
            if subject.atc >= ATC_LAST:
                subject = _Subject()
        return watch.report(count, mutator.mix)


def _command(watch: Watch, subject: _Subject, command: bytes) -> None:
    """One command, and what must hold after it."""
    uses_before = _uses(watch, subject)
    answer = watch.call(command, subject.card.transmit)
    watch.require(is_status_word(answer), f"no status word: {answer.hex()}")
    watch.require(answer[-2:] != b"\x6f\x00", "a fault inside")
    watch.outcomes[answer[-2:].hex().upper()] += 1
    spent = uses_before - _uses(watch, subject)
    watch.require(spent in {0, 1}, f"{spent} uses of the key at once")
    if spent:
        pdol_data = find_pdol_data(command)
        watch.require(pdol_data is not None, "a counter without a GPO")
        subject.asked = pdol_data or b""
    _check_proof(watch, subject, answer)


def _uses(watch: Watch, subject: _Subject) -> int:
    """Uses left of the key; everything else of the key stays as it is."""
    key = subject.store.view().key
    is_same = key is not None and replace(key, uses_left=KEY.uses_left) == KEY
    watch.require(is_same, "the key changed")
    return key.uses_left if key is not None else 0


def _check_proof(watch: Watch, subject: _Subject, answer: bytes) -> None:
    """A cryptogram has a counter never seen; it and the signature are over what was asked."""
    try:
        proof = GpoResponse.decode(answer[:-2])
    except MalformedBytes:
        return
    watch.outcomes["cryptogram"] += 1
    watch.require(proof.atc > subject.atc, f"counter {proof.atc} after {subject.atc}")
    subject.atc = proof.atc
    if proof.atc % SIGNATURES_CHECKED:
        return
    iad = proof.iad.encode()
    expected = compute_cryptogram(
        proof.iad.suite, KEY.value, cryptogram_input(subject.asked, proof.aip, proof.atc, iad)
    )
    watch.require(proof.cryptogram == expected, "a cryptogram over something else")
    signed = signature_input(subject.asked, proof.aip, proof.atc, iad, proof.cryptogram)
    is_signed = verify_signature(subject.signer.public_key, signed, proof.signature)
    watch.require(is_signed, "a signature over something else")
