"""Every decoder of bytes: a value or MalformedBytes, at once; a value encodes to itself again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from card_protocol import fci, tlv
from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.commands import GetProcessingOptions, ReadRecord, Select
from card_protocol.epurse.files import JourneyRecord, LogRecord, PublicData, PurseFci
from card_protocol.errors import MalformedBytes
from card_protocol.fci import ApplicationFci, Directory, DirectoryEntry
from card_protocol.key_batch import KeyBatch
from card_protocol.mobile_card import (
    AFL,
    AIP,
    EPURSE_AID,
    MOBILE_CARD_AID,
    MOBILE_CARD_LABEL,
    PDOL,
    PPSE_NAME,
    Certificate,
    GpoResponse,
    HolderCheck,
    IssuerApplicationData,
    Suite,
    TransactionData,
    TransactionType,
)
from hce.card_file import CardRecord
from hce.inspect import shapes
from hce.ports import LimitedUseKey
from hce.purse_codec import decode_purse, encode_purse
from hce.purse_keys import FORMAT as KEYS_FORMAT
from hce.purse_keys import VERSION as KEYS_VERSION
from hce.purse_keys import IssuerKeys
from hce.state import CardState
from hce.transports.isodep_frames import Block, Pps, Rats
from tools.fuzz.epurse import FREE_RULES, SUITES, new_purse
from tools.fuzz.mutations import Mutator
from tools.fuzz.report import FuzzFailed, FuzzReport, watched

TOKEN_NUMBER: Final = "6210000000000000017"  # noqa: S105 - no password, a made-up card
TRANSACTION: Final = TransactionData(
    amount_fen=1250,
    date=bytes.fromhex("251123"),
    time=bytes.fromhex("113600"),
    transaction_type=TransactionType.PURCHASE,
    unpredictable_number=bytes.fromhex("01020304"),
    terminal_number="T0000001",
    merchant_number="M00000000000001",
)
_IAD = IssuerApplicationData(Suite.AES_ES256, 1, 7, HolderCheck.PIN)
_GPO = GpoResponse(
    aip=AIP,
    afl=AFL,
    token_number=TOKEN_NUMBER,
    sequence=1,
    atc=258,
    cryptogram_information=0x80,
    iad=_IAD,
    cryptogram=bytes(8),
    signature=bytes(64),
)
_CERTIFICATE = Certificate(
    token_number=TOKEN_NUMBER,
    device_public_key=bytes.fromhex("02" + "11" * 32),
    product="phone_card",
    concession_group=3,
    not_before=1_700_000_000,
    not_after=1_800_000_000,
    offline_sale_max_fen=5_000,
    offline_sum_max_fen=20_000,
    status_index=65_537,
    issuer_key_index=1,
    signature=bytes(64),
)
_ENTRIES = (
    DirectoryEntry(MOBILE_CARD_AID, MOBILE_CARD_LABEL, 1),
    DirectoryEntry(EPURSE_AID, "MOT_T_EP", 2),
)
_FACE = ApplicationFci(MOBILE_CARD_AID, MOBILE_CARD_LABEL, PDOL, b"\x00\x01").encode()
_KEY = LimitedUseKey(7, 2, bytes(range(16)), 20, 1_763_868_000)
_PURSE = new_purse(SUITES[0], FREE_RULES)
_PUBLIC = PublicData.decode(_PURSE.public_body)
_KEYS = {
    "format": KEYS_FORMAT,
    "version": KEYS_VERSION,
    "is_test": True,
    "issuer": "01010000FFFFFFFF",
    "levels": 1,
    "sealing_key": "5A" * 32,
    "pin": "1234",
    "masters": {"3des": {"LOAD": "11" * 16}, "sm4": {"TAC": "22" * 16}},
}
_COMMANDS = (
    Select(PPSE_NAME).to_apdu().encode(),
    Select(MOBILE_CARD_AID).to_apdu().encode(),
    GetProcessingOptions(TRANSACTION.encode()).to_apdu().encode(),
    ReadRecord(1, 1).to_apdu().encode(),
    CommandApdu(0, 0xD6, 0, 0, b"\xaa" * 256, 257).encode(),
)


@dataclass(frozen=True, slots=True)
class Decoder:
    """`decode` raises MalformedBytes or gives a value; `encode`, where there is one, turns back."""

    decode: Callable[[bytes], Any]
    good: tuple[bytes, ...]
    encode: Callable[[Any], bytes] | None = None
    never_refuses: bool = False


def _whole(kind: Any, *good: bytes) -> Decoder:
    return Decoder(kind.decode, good, lambda value: bytes(value.encode()))


def _command(body: bytes) -> CommandApdu:
    """As the card reads it: header and lengths, then each command it may be."""
    command = CommandApdu.decode(body)
    for kind in (Select, GetProcessingOptions, ReadRecord):
        try:
            kind.from_apdu(command)
        except MalformedBytes:
            continue
    return command


def _shape(body: bytes) -> None:
    for decode in (
        shapes.public_data,
        shapes.holder,
        shapes.management_data,
        shapes.log_record,
        shapes.journey_record,
        shapes.compound_record,
        shapes.balance_fen,
    ):
        decode(body)


# A further decoder is one more line here; a mutated run and the guided one both take it up.
DECODERS: Final[Mapping[str, Decoder]] = {
    "apdu": Decoder(_command, _COMMANDS, lambda command: bytes(command.encode())),
    "answer": _whole(ResponseApdu, b"\x00\x00\x03\x20\x90\x00", b"\x6a\x82"),
    "tlv": Decoder(tlv.parse, (_FACE, _GPO.encode(), _CERTIFICATE.encode()), tlv.encode),
    "tlv-tree": Decoder(tlv.parse_tree, (Directory(_ENTRIES).encode(), _FACE, _GPO.encode())),
    "fci": _whole(ApplicationFci, _FACE),
    "directory": _whole(Directory, Directory(_ENTRIES).encode()),
    "pdol": Decoder(fci.parse_pdol, (PDOL,)),
    "transaction-data": _whole(TransactionData, TRANSACTION.encode()),
    "gpo-answer": _whole(GpoResponse, _GPO.encode()),
    "iad": _whole(IssuerApplicationData, _IAD.encode()),
    "certificate": _whole(Certificate, _CERTIFICATE.encode()),
    "key-batch": _whole(KeyBatch, KeyBatch(bytes(range(16)), bytes(range(32))).encode()),
    "iso-dep-block": _whole(Block, b"\x02\x00\xa4", b"\xa2", b"\xba\x05", b"\xf2\x0a", b"\xca\x01"),
    "rats": Decoder(Rats.decode, (b"\xe0\x80",)),
    "pps": Decoder(Pps.decode, (b"\xd0\x11\x00",)),
    "purse-fci": _whole(PurseFci, PurseFci(EPURSE_AID, _PUBLIC, 2).encode()),
    "purse-log": _whole(LogRecord, bytes(range(23))),
    "purse-journey": _whole(JourneyRecord, bytes(range(48))),
    "purse-state": Decoder(decode_purse, (encode_purse(_PURSE),), encode_purse),
    "purse-keys": Decoder(IssuerKeys.decode, (json.dumps(_KEYS).encode(),)),
    "card-file": _whole(CardRecord, CardRecord(CardState(_CERTIFICATE, 5, _KEY)).encode()),
    "purse-files": Decoder(_shape, (bytes(30), b"\x01" * 55, b"\x20" * 128), never_refuses=True),
}


def feed(decoder: Decoder, body: bytes) -> bool:
    """Whether the decoder took it. Raises AssertionError when it took and did not mean it."""
    try:
        value = decoder.decode(body)
    except MalformedBytes:
        if decoder.never_refuses:
            raise AssertionError("refused what it has to read") from None
        return False
    if decoder.encode is not None:
        again = decoder.encode(value)
        assert decoder.decode(again) == value, "encodes to something else"
    return True


def fuzz_decoder(name: str, seed: int, count: int) -> FuzzReport:
    """`count` mutated inputs for one decoder. Raises FuzzFailed."""
    decoder = DECODERS[name]
    mutator = Mutator(seed, decoder.good)
    with watched(seed) as watch:
        for _ in range(count):
            body = mutator.pick(good_share=0.02)
            try:
                is_taken = watch.call(body, partial(feed, decoder))
            except FuzzFailed:
                raise
            except Exception as error:
                watch.fail(f"{name}: {type(error).__name__}: {error}")
            watch.outcomes["taken" if is_taken else "refused"] += 1
        return watch.report(count, mutator.mix)
