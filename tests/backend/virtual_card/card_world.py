"""What virtual card tests share: a phone in a few lines, and taps built from the byte layer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from backend.db import Operation, Units
from backend.db.operations import Answer
from backend.kernel import ManualClock, new_id
from backend.keys import SoftwareKeys
from backend.virtual_card import (
    Card,
    CardProduct,
    Cards,
    ChangeCard,
    Device,
    Devices,
    EnrolDevice,
    IssuedKeys,
    IssuerProfile,
    Provision,
    RefillKeys,
    TapVerifier,
)
from backend.virtual_card.devices import AUDIENCE
from card_protocol import key_batch, mobile_card, pay_code
from card_protocol.mobile_card import (
    GpoResponse,
    HolderCheck,
    IssuerApplicationData,
    Suite,
    TransactionData,
    TransactionType,
)

serial = count(1)
PHONE_CARD = CardProduct(
    product="phone_card",
    label="CITY CARD",
    offline_sale_max_fen=5_000,
    offline_sum_max_fen=20_000,
)
TRANSIT_CARD = CardProduct(product="transit_card", label="BUS", uses_max=5, hours=24)
ISSUER = IssuerProfile(
    products={one.product: one for one in (PHONE_CARD, TRANSIT_CARD)}, token_prefix="621234"
)
TRANSACTION = TransactionData(
    amount_fen=1250,
    date=bytes.fromhex("261123"),
    time=bytes.fromhex("100000"),
    transaction_type=TransactionType.PURCHASE,
    unpredictable_number=bytes.fromhex("01020304"),
    terminal_number="00000042",
    merchant_number="104110054110001",
)


def operation(key: str | None = None) -> Operation:
    return Operation("test", key or f"key-{next(serial)}", {}, lambda _: Answer(200, ""))


@dataclass
class Phone:
    """The device's side: two keys, and what it was told."""

    device_id: str = field(default_factory=lambda: new_id("dev"))
    signing: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    sealing: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def proof(self, clock: ManualClock, **changes: Any) -> str:
        claims = {"aud": AUDIENCE, "jti": self.device_id, "iat": int(clock.now().timestamp())}
        return jwt.encode({**claims, **changes}, self.signing, algorithm="ES256")

    def open(self, card: Card, keys: IssuedKeys) -> key_batch.KeyBatch:
        return key_batch.open_sealed(keys.sealed, self.sealing, card.token_number, keys.key_index)

    def tap(
        self,
        card: Card,
        keys: IssuedKeys,
        *,
        atc: int = 1,
        pdol_data: bytes = TRANSACTION.encode(),
        holder_check: HolderCheck = HolderCheck.DEVICE_UNLOCKED,
        **changes: Any,
    ) -> tuple[bytes, bytes]:
        """PDOL data and GPO answer; `changes` are made after signing, as an attacker would."""
        iad = IssuerApplicationData(Suite.AES_ES256, keys.key_version, keys.key_index, holder_check)
        data = mobile_card.cryptogram_input(pdol_data, mobile_card.AIP, atc, iad.encode())
        luk = self.open(card, keys).limited_use_key
        cryptogram = mobile_card.compute_cryptogram(Suite.AES_ES256, luk, data)
        answer = GpoResponse(
            aip=mobile_card.AIP,
            afl=mobile_card.AFL,
            token_number=card.token_number,
            sequence=1,
            atc=atc,
            cryptogram_information=mobile_card.CRYPTOGRAM_INFORMATION_ONLINE,
            iad=iad,
            cryptogram=cryptogram,
            signature=mobile_card.sign(self.signing, data + cryptogram),
        )
        return pdol_data, replace(answer, **changes).encode()

    def pay_code(self, card: Card, keys: IssuedKeys, unix_seconds: int) -> str:
        key = self.open(card, keys).pay_code_key
        digits = pay_code.one_time_digits(key, pay_code.step_at(unix_seconds))
        return pay_code.encode(card.short_number, digits)


@dataclass
class World:
    """Devices, cards and verifier, with the other databases' answers as two plain sets."""

    units: Units
    keys: SoftwareKeys
    clock: ManualClock
    registered: set[str] = field(default_factory=set)
    wallets: set[tuple[str, str]] = field(default_factory=set)
    person_id: str = field(default_factory=lambda: new_id("per"))
    wallet_id: str = field(default_factory=lambda: new_id("wal"))

    def __post_init__(self) -> None:
        self.registered.add(self.person_id)
        self.wallets.add((self.person_id, self.wallet_id))
        self.devices = Devices(self.units)
        self.cards = self.cards_with(ISSUER)
        self.verifier = TapVerifier(self.units, self.keys)

    def cards_with(self, issuer: IssuerProfile, **more: Any) -> Cards:
        return Cards(
            self.units,
            self.keys,
            issuer,
            is_registered=self.registered.__contains__,
            owns_wallet=lambda person, wallet: (person, wallet) in self.wallets,
            **more,
        )

    def enrol_command(self, phone: Phone, **changes: Any) -> EnrolDevice:
        command = EnrolDevice(
            person_id=self.person_id,
            device_id=phone.device_id,
            name="phone",
            signing_key=phone.signing.public_key(),
            sealing_key=phone.sealing.public_key(),
            proof=phone.proof(self.clock),
        )
        return replace(command, **changes)

    def enrol(self, phone: Phone, **changes: Any) -> Device:
        return self.devices.enrol(self.enrol_command(phone, **changes), operation())

    def provision_command(self, phone: Phone, **changes: Any) -> Provision:
        command = Provision(
            person_id=self.person_id,
            token_id=new_id("tok"),
            device_id=phone.device_id,
            wallet_id=self.wallet_id,
            product="phone_card",
        )
        return replace(command, **changes)

    def provision(self, phone: Phone, **changes: Any) -> Card:
        return self.cards.provision(self.provision_command(phone, **changes), operation())

    def issued(self) -> tuple[Phone, Card, IssuedKeys]:
        """A phone with a card and its first keys."""
        phone = Phone()
        self.enrol(phone)
        card = self.provision(phone)
        assert card.keys is not None
        return phone, card, card.keys

    def refill(self, card: Card, atc: int = 0) -> IssuedKeys:
        return self.cards.refill(RefillKeys(self.person_id, card.token_id, atc), operation())

    def report_loss(self, card: Card) -> Card:
        return self.cards.report_loss(ChangeCard(self.person_id, card.token_id), operation())

    def release(self, card: Card) -> Card:
        return self.cards.release(ChangeCard(self.person_id, card.token_id), operation())

    @property
    def unix(self) -> int:
        return int(self.clock.now().timestamp())
