"""Cards of both suites with fixed keys, a frozen clock and the terminal's side of a tap."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.asymmetric import ec

from card_protocol import sm2
from card_protocol.mobile_card import (
    Certificate,
    GpoResponse,
    HolderCheck,
    Suite,
    TransactionData,
    TransactionType,
    cryptogram_input,
    is_signed_by_device,
    verify_cryptogram,
)
from card_protocol.signatures import Signer
from hce.applets.mobile_card import MobileCardApplet
from hce.card import Card
from hce.ports import CardStore, LimitedUseKey
from hce.signer import SoftwareSigner
from hce.state import CardState
from hce.store import MemoryCardStore

NOW = 1_763_868_000
SIGNER = SoftwareSigner(ec.derive_private_key(0xD0D0, ec.SECP256R1()))
ISSUER = SoftwareSigner(ec.derive_private_key(0x1550E5, ec.SECP256R1()))
TOKEN_NUMBER = "6210000000000000017"
KEY = LimitedUseKey(
    index=7,
    version=2,
    value=bytes.fromhex("00112233445566778899AABBCCDDEEFF"),
    uses_left=20,
    not_after=NOW + 3_600,
)
CERTIFICATE = Certificate(
    token_number=TOKEN_NUMBER,
    device_public_key=SIGNER.public_key,
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
STATE = CardState(CERTIFICATE, atc=257, key=KEY)
SM_SIGNER = SoftwareSigner(sm2.PrivateKey.from_scalar((0xD0D0).to_bytes(32)))
SM_STATE = replace(
    STATE,
    certificate=replace(CERTIFICATE, device_public_key=SM_SIGNER.public_key, suite=Suite.SM4_SM2),
    key=replace(KEY, suite=Suite.SM4_SM2),
)
SIGNERS = {Suite.AES_ES256: SIGNER, Suite.SM4_SM2: SM_SIGNER}
STATES = {Suite.AES_ES256: STATE, Suite.SM4_SM2: SM_STATE}
TRANSACTION = TransactionData(
    amount_fen=1250,
    date=bytes.fromhex("251123"),
    time=bytes.fromhex("113600"),
    transaction_type=TransactionType.PURCHASE,
    unpredictable_number=bytes.fromhex("01020304"),
    terminal_number="T0000001",
    merchant_number="M00000000000001",
)

SELECT_DIRECTORY = bytes.fromhex("00A404000E325041592E5359532E444446303100")
SELECT_CARD = bytes.fromhex("00A404000AF043495459434152440100")
READ_CERTIFICATE = bytes.fromhex("00B2010C00")


def gpo(transaction: TransactionData = TRANSACTION) -> bytes:
    return bytes.fromhex("80A800002C832A") + transaction.encode() + b"\x00"


@dataclass
class Clock:
    seconds: int = NOW

    def __call__(self) -> int:
        return self.seconds


@dataclass
class Bench:
    """A card on the bench: its parts can be reached and its transcripts read."""

    store: CardStore = field(default_factory=lambda: MemoryCardStore(STATE))
    clock: Clock = field(default_factory=Clock)
    holder_check: HolderCheck = HolderCheck.PIN
    signer: Signer = SIGNER

    def __post_init__(self) -> None:
        applet = MobileCardApplet(
            self.store, self.signer, holder_check=lambda: self.holder_check, now=self.clock
        )
        self.card = Card([applet])
        self.card.power_on()

    def send(self, command: bytes | str) -> str:
        """Hex in (or bytes), hex out."""
        body = bytes.fromhex(command) if isinstance(command, str) else command
        return self.card.transmit(body).hex().upper()

    def tap(self, transaction: TransactionData = TRANSACTION) -> GpoResponse:
        """A whole good tap's cryptogram."""
        assert self.send(SELECT_CARD).endswith("9000")
        answer = self.card.transmit(gpo(transaction))
        assert answer[-2:] == b"\x90\x00", answer.hex()
        return GpoResponse.decode(answer[:-2])


def bench(suite: Suite = Suite.AES_ES256, **changes: object) -> Bench:
    """A bench whose card is of this suite and has this state."""
    state = replace(STATES[suite], **changes)  # type: ignore[arg-type]
    return Bench(MemoryCardStore(state), signer=SIGNERS[suite])


def is_genuine(answer: GpoResponse, transaction: TransactionData = TRANSACTION) -> bool:
    """The issuer's check of 9F26 and the terminal's of 9F4B, from their own inputs."""
    suite, iad = answer.iad.suite, answer.iad.encode()
    data = cryptogram_input(transaction.encode(), answer.aip, answer.atc, iad)
    is_ours = is_signed_by_device(STATES[suite].certificate, transaction.encode(), answer)
    return is_ours and verify_cryptogram(suite, KEY.value, data, answer.cryptogram)
