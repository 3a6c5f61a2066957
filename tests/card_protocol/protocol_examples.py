"""One example of every value with its bytes: the vectors that all the walking tests share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from code_examples import CODE_EXAMPLES
from cryptography.hazmat.primitives.asymmetric import ec

from card_protocol import emvco, pay_code, sm2
from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.commands import GetProcessingOptions, ReadRecord, Select
from card_protocol.deny_list import Changes, DenyPart
from card_protocol.emvco import DataObject, MerchantAccount, MerchantCode
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
    compressed_point,
)
from card_protocol.tlv import Tlv

DEVICE_KEY = ec.derive_private_key(0xD0D0, ec.SECP256R1())
ISSUER_KEY = ec.derive_private_key(0x1550E5, ec.SECP256R1())
SEALING_KEY = ec.derive_private_key(0x5EA1, ec.SECP256R1())
DEVICE_POINT = compressed_point(DEVICE_KEY.public_key())
ISSUER_POINT = compressed_point(ISSUER_KEY.public_key())
SM_DEVICE_KEY = sm2.PrivateKey.from_scalar((0xD0D0).to_bytes(32))
SM_ISSUER_KEY = sm2.PrivateKey.from_scalar((0x1550E5).to_bytes(32))
LIMITED_USE_KEY = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
PAY_CODE_KEY = b"12345678901234567890123456789012"  # the SHA-256 seed of RFC 6238, appendix B
TOKEN_NUMBER = "6210000000000000017"

TRANSACTION = TransactionData(
    amount_fen=1250,
    date=bytes.fromhex("251123"),
    time=bytes.fromhex("113600"),
    transaction_type=TransactionType.PURCHASE,
    unpredictable_number=bytes.fromhex("01020304"),
    terminal_number="T0000001",
    merchant_number="M00000000000001",
)
TRANSACTION_HEX = (
    "000000001250 0156 251123 113600 00 010203045430303030303031 4D3030303030303030303030303031"
)
IAD = IssuerApplicationData(Suite.AES_ES256, 1, 7, HolderCheck.PIN)
GPO = GpoResponse(
    aip=AIP,
    afl=AFL,
    token_number=TOKEN_NUMBER,
    sequence=1,
    atc=258,
    cryptogram_information=0x80,
    iad=IAD,
    cryptogram=bytes.fromhex("A1A2A3A4A5A6A7A8"),
    signature=bytes(range(64)),
)
CERTIFICATE = Certificate(
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
    signature=bytes(range(64)),
)
SM_CERTIFICATE = replace(CERTIFICATE, suite=Suite.SM4_SM2)
ACCOUNT = MerchantAccount(emvco.MERCHANT_GUID, "S001", "BILL42", bytes.fromhex("0011223344556677"))
MERCHANT_CODE = MerchantCode(
    merchant_account=ACCOUNT,
    is_dynamic=True,
    mcc="5812",
    amount_fen=1250,
    merchant_name="LAO WANG NOODLES",
    city="YINCHENG",
    merchant_name_zh="老王面馆",
    city_zh="银城",
    terminal_label="T0000001",
)
DIRECTORY = Directory(
    (
        DirectoryEntry(MOBILE_CARD_AID, MOBILE_CARD_LABEL, 1),
        DirectoryEntry(EPURSE_AID, "MOT_T_EP", 2),
    )
)
_SIGNATURE_HEX = bytes(range(64)).hex()


@dataclass(frozen=True, slots=True)
class Example:
    """`wire` is hex for bytes, or the text itself for a code."""

    value: Any
    wire: str
    is_text: bool = False
    # told apart from another example of its type
    name: str = ""
    # True where ISO 7816 gives a cut body another meaning (case 4S without Le is case 3S)
    has_sound_prefixes: bool = False

    @property
    def body(self) -> Any:
        return self.wire if self.is_text else bytes.fromhex(self.wire)

    @property
    def decode(self) -> Callable[[Any], Any]:
        return type(self.value).decode

    @property
    def title(self) -> str:
        return self.name or type(self.value).__name__

    def __str__(self) -> str:
        return f"{self.title}-{self.wire[:12]}"


DENY_PART = DenyPart(
    key_name=bytes(range(32)),
    since=4,
    upto=7,
    head=9,
    issued_at=1_790_000_000,
    tokens_total=12,
    purses_total=3,
    tokens=Changes(added=(6210000000000000017,), removed=(6210000000000000025,)),
    purses=Changes(added=(3105170070104791381,)),
    signature=bytes(range(64)),
)
DENY_PART_HEX = (
    "4343444C 01 000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"
    " 0000000000000004 0000000000000007 0000000000000009 000000006AB13B80 0000000C 00000003"
    " 00000001 00000001 00000001 00000000 562E5A19172D0011 562E5A19172D0019 2B17C7BA13C55955"
    + bytes(range(64)).hex()
)

EXAMPLES = (
    Example(DENY_PART, DENY_PART_HEX),
    Example(CommandApdu(0x80, 0x50, 1, 2), "80500102", has_sound_prefixes=True),
    Example(CommandApdu(0, 0xB0, 0x95, 0, le=256), "00B0950000", has_sound_prefixes=True),
    Example(
        CommandApdu(0x80, 0xDC, 0, 0xF0, b"\x01\x02"), "80DC00F0020102", has_sound_prefixes=True
    ),
    Example(
        CommandApdu(0, 0xA4, 4, 0, PPSE_NAME, 256),
        "00A404000E325041592E5359532E444446303100",
        has_sound_prefixes=True,
    ),
    Example(CommandApdu(0, 0xB0, 0, 0, le=65_536), "00B00000000000", has_sound_prefixes=True),
    Example(
        CommandApdu(0, 0xD6, 0, 0, b"\xaa" * 256),
        "00D60000000100" + "AA" * 256,
        has_sound_prefixes=True,
    ),
    Example(
        CommandApdu(0, 0xD6, 0, 0, b"\xaa" * 256, 257),
        "00D60000000100" + "AA" * 256 + "0101",
        has_sound_prefixes=True,
    ),
    Example(ResponseApdu(b"\x00\x00\x03\x20", 0x9000), "000003209000"),
    Example(ResponseApdu(b"", 0x6A82), "6A82"),
    Example(Tlv(0x9F02, bytes.fromhex("000000001250")), "9F0206000000001250"),
    Example(Tlv(0xBF8101, b""), "BF810100"),
    Example(Tlv(0x50, b"A" * 128), "508180" + "41" * 128),
    Example(Tlv(0x70, b"\x00" * 256), "70820100" + "00" * 256),
    Example(TRANSACTION, TRANSACTION_HEX),
    Example(IAD, "01 01 00000007 02"),
    Example(
        GPO,
        "777B 82022000 940408010101 5A0A6210000000000000017F 5F340101 9F36020102 9F270180"
        f"9F100701010000000702 9F2608A1A2A3A4A5A6A7A8 9F4B40{_SIGNATURE_HEX}",
    ),
    Example(
        CERTIFICATE,
        f"7081AF DF000101 5A0A6210000000000000017F DF012102{'11' * 32}"
        "DF020A70686F6E655F63617264 DF030103 DF04046553F100 DF05046B49D200"
        f"DF060400001388 DF070400004E20 DF080400010001 DF090101 DF0A40{_SIGNATURE_HEX}",
    ),
    Example(
        SM_CERTIFICATE,
        f"7081B3 DF000102 DF0B0102 5A0A6210000000000000017F DF012102{'11' * 32}"
        "DF020A70686F6E655F63617264 DF030103 DF04046553F100 DF05046B49D200"
        f"DF060400001388 DF070400004E20 DF080400010001 DF090101 DF0A40{_SIGNATURE_HEX}",
        name="CertificateSm",
    ),
    Example(KeyBatch(LIMITED_USE_KEY, PAY_CODE_KEY), "01" + (LIMITED_USE_KEY + PAY_CODE_KEY).hex()),
    Example(
        ApplicationFci(MOBILE_CARD_AID, MOBILE_CARD_LABEL, PDOL, b"\x00\x01"),
        "6F3A 840AF0434954594341524401 A52C 5009434954592043415244"
        "9F38169F02065F2A029A039F21039C019F37049F1C089F160F BF0C059F5A020001",
    ),
    Example(
        DirectoryEntry(EPURSE_AID, "MOT_T_EP", 2),
        "6117 4F08A000000632010105 50084D4F545F545F4550 870102",
    ),
    Example(
        DIRECTORY,
        "6F4A 840E325041592E5359532E4444463031 A538 BF0C35"
        "611A 4F0AF0434954594341524401 5009434954592043415244 870101"
        "6117 4F08A000000632010105 50084D4F545F545F4550 870102",
    ),
    Example(pay_code.PayCode("12345678", "46119246"), "9612345678461192460", is_text=True),
    Example(DataObject("59", "老王"), "5902老王", is_text=True),
    Example(
        MERCHANT_CODE,
        "00020101021226520020F04349545943415244010104S0010216001122334455667752045812"
        "5303156540512.505802CN5916LAO WANG NOODLES6008YINCHENG62220106BILL420708T0000001"
        "64200002ZH0104老王面馆0202银城6304375C",
        is_text=True,
    ),
    *(Example(value, wire, is_text=is_text) for value, wire, is_text in CODE_EXAMPLES),
)

COMMAND_EXAMPLES = (
    (Select(MOBILE_CARD_AID), "00A404000AF043495459434152440100"),
    (GetProcessingOptions(TRANSACTION.encode()), f"80A800002C832A{TRANSACTION_HEX}00"),
    (ReadRecord(sfi=1, record=1), "00B2010C00"),
)
