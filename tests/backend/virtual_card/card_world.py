"""What virtual card tests share: a phone in a few lines, and taps built from the byte layer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select

from backend.db import METADATA, Event, Operation, Units, Which
from backend.db.operations import Answer
from backend.db.outbox import OutboxWorker
from backend.identity import SmsFailed
from backend.kernel import ManualClock, new_id
from backend.keys import SoftwareKeys
from backend.virtual_card import (
    CARD_NOTICE,
    STEP_UP_REQUESTED,
    Actor,
    ActorKind,
    AnswerStepUp,
    Applied,
    ApplyEvent,
    AttestationGate,
    AttestationGiven,
    Card,
    CardKind,
    CardMessages,
    CardProduct,
    Cards,
    ChangeCard,
    Device,
    Devices,
    EnrolDevice,
    EventKind,
    Figures,
    HistoryLine,
    IssuedKeys,
    IssuerProfile,
    Provision,
    RefillKeys,
    SandboxAttester,
    SandboxVendor,
    Sm2Given,
    StepUpRequired,
    TapVerifier,
    TapWatch,
)
from backend.virtual_card.devices import AUDIENCE
from card_protocol import key_batch, mobile_card, pay_code, sm2
from card_protocol.device_keys import statement
from card_protocol.mobile_card import (
    GpoResponse,
    HolderCheck,
    IssuerApplicationData,
    Suite,
    TransactionData,
    TransactionType,
    compressed_point,
)
from card_protocol.signatures import PrivateKey

serial = count(1)
PHONE_CARD = CardProduct(
    product="phone_card",
    label="CITY CARD",
    offline_sale_max_fen=5_000,
    offline_sum_max_fen=20_000,
)
TRANSIT_CARD = CardProduct(product="transit_card", label="BUS", uses_max=5, hours=24)
MAIN_CARD = CardProduct(product="main_on_phone", label="MAIN", kind=CardKind.MAIN)
SECONDARY_CARD = CardProduct(product="second_on_phone", label="SECOND", kind=CardKind.SECONDARY)
PRODUCTS = (PHONE_CARD, TRANSIT_CARD, MAIN_CARD, SECONDARY_CARD)
ISSUER = IssuerProfile(products={one.product: one for one in PRODUCTS}, token_prefix="621234")
VENDOR = SandboxVendor(ec.generate_private_key(ec.SECP256R1()))
STAFF = Actor(ActorKind.STAFF, "stf_1")
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
    """The device's side: its keys, and what it was told. The SM2 key is told when it is asked."""

    device_id: str = field(default_factory=lambda: new_id("dev"))
    signing: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    sealing: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    sm2: sm2.PrivateKey = field(default_factory=sm2.PrivateKey.generate)

    def tap_key(self, suite: Suite) -> PrivateKey:
        return self.signing if suite is Suite.AES_ES256 else self.sm2

    def sm2_given(self, **changes: Any) -> Sm2Given:
        """The SM2 key with its proof; `changes` are to what is signed."""
        said = {
            "device_id": self.device_id,
            "signing_key": compressed_point(self.signing.public_key()),
            "sm2_key": self.sm2.public_key,
        }
        return Sm2Given(self.sm2.public_key, self.sm2.sign(statement(**{**said, **changes})))

    def proof(self, clock: ManualClock, **changes: Any) -> str:
        claims = {"aud": AUDIENCE, "jti": self.device_id, "iat": int(clock.now().timestamp())}
        return jwt.encode({**claims, **changes}, self.signing, algorithm="ES256")

    def confirmation(self, token_id: str, clock: ManualClock) -> str:
        return self.proof(clock, aud=f"/v1/me/cards/{token_id}/confirmation", jti=token_id)

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
        suite = keys.suite
        iad = IssuerApplicationData(suite, keys.key_version, keys.key_index, holder_check)
        data = mobile_card.cryptogram_input(pdol_data, mobile_card.AIP, atc, iad.encode())
        luk = self.open(card, keys).limited_use_key
        cryptogram = mobile_card.compute_cryptogram(suite, luk, data)
        answer = GpoResponse(
            aip=mobile_card.AIP,
            afl=mobile_card.AFL,
            token_number=card.token_number,
            sequence=1,
            atc=atc,
            cryptogram_information=mobile_card.CRYPTOGRAM_INFORMATION_ONLINE,
            iad=iad,
            cryptogram=cryptogram,
            signature=mobile_card.sign(self.tap_key(suite), data + cryptogram),
        )
        return pdol_data, replace(answer, **changes).encode()

    def pay_code(self, card: Card, keys: IssuedKeys, unix_seconds: int) -> str:
        key = self.open(card, keys).pay_code_key
        digits = pay_code.one_time_digits(key, pay_code.step_at(unix_seconds))
        return pay_code.encode(card.short_number, digits)


@dataclass
class Gateway:
    """An SMS centre in a list, and persons with their phone numbers."""

    sent: list[tuple[str, str, str]] = field(default_factory=list)
    phones: dict[str, str] = field(default_factory=dict)
    since: dict[str, datetime] = field(default_factory=dict)
    faults: list[SmsFailed] = field(default_factory=list)

    def send(self, message_id: str, phone: str, text: str) -> None:
        if self.faults:
            raise self.faults.pop()
        self.sent.append((message_id, phone, text))

    def find_phone(self, person_id: str) -> str | None:
        return self.phones.get(person_id)

    def find_phone_since(self, person_id: str) -> datetime | None:
        return self.since.get(person_id)


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
        self.sms = Gateway()
        self.sms.phones[self.person_id] = "13800000001"
        attester = SandboxAttester(VENDOR.key.public_key())
        self.devices = Devices(self.units, AttestationGate(self.keys, attester))
        self.watch = TapWatch(self.units)
        self.cards = self.cards_with(ISSUER)
        self.verifier = TapVerifier(self.units, self.keys)
        self.watcher = TapVerifier(self.units, self.keys, self.watch)
        self.messages = CardMessages(self.units, self.keys, self.sms, self.sms)

    def cards_with(self, issuer: IssuerProfile, **more: Any) -> Cards:
        return Cards(
            self.units,
            self.keys,
            issuer,
            is_registered=self.registered.__contains__,
            owns_wallet=lambda person, wallet: (person, wallet) in self.wallets,
            **{"holders": self.sms, "watch": self.watch, **more},
        )

    def with_figures(self, **changes: int) -> None:
        self.cards = self.cards_with(ISSUER, figures=Figures(**changes))

    def attestation(self, phone: Phone, **changes: str) -> AttestationGiven:
        """What the phone's platform says of it, about a fresh nonce."""
        nonce = self.devices.nonce(self.person_id)
        point = compressed_point(phone.signing.public_key())
        return AttestationGiven(nonce, VENDOR.attest(point, nonce, self.clock.now(), **changes))

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

    def enrol_attested(self, phone: Phone, **says: str) -> Device:
        return self.enrol(phone, attestation=self.attestation(phone, **says))

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
        """An attested phone with a card and its first keys."""
        phone = Phone()
        self.enrol_attested(phone)
        card = self.provision(phone)
        assert card.keys is not None
        return phone, card, card.keys

    def refill(self, card: Card, atc: int = 0) -> IssuedKeys:
        return self.cards.refill(RefillKeys(self.person_id, card.token_id, atc), operation())

    def report_loss(self, card: Card) -> Card:
        return self.cards.report_loss(ChangeCard(self.person_id, card.token_id), operation())

    def release(self, card: Card) -> Card:
        return self.cards.release(ChangeCard(self.person_id, card.token_id), operation())

    def happens(self, kind: EventKind, by: Actor = STAFF, **more: Any) -> Applied:
        event_id = more.pop("event_id", None) or new_id("cev")
        command = ApplyEvent(event_id, kind, self.person_id, by, **more)
        return self.cards.events.apply(command, operation())

    def history(self, card: Card) -> list[HistoryLine]:
        return self.cards.history(self.person_id, card.token_id, 50, None).data

    def state(self, card: Card) -> str:
        return self.cards.get(self.person_id, card.token_id).state.value

    def give_code(self, refusal: StepUpRequired, code: str | None = None) -> None:
        """Answer a one-time code as it came by SMS."""
        step_up_id = str(refusal.data["step_up_id"])
        self.deliver()
        (text,) = [text for message_id, _, text in self.sms.sent if message_id == step_up_id]
        found = next(one for one in text.split() if one.strip("，,").isdecimal()).strip("，,")
        given = AnswerStepUp(self.person_id, step_up_id, code or found[:6])
        self.cards.step_ups.answer(given, operation())

    def deliver(self) -> int:
        """What the outbox worker would do now."""
        consumers = {
            STEP_UP_REQUESTED: self.messages.deliver_code,
            CARD_NOTICE: self.messages.deliver_notice,
            **self.cards.consumers(),
        }
        return OutboxWorker(self.units, consumers).deliver_due()

    def told(self, topic: str) -> list[Event]:
        """What the outbox was told, delivered or not."""
        outbox = METADATA[Which.BUSINESS].tables["outbox"]
        with self.units.read(Which.BUSINESS) as work:
            rows = work.execute(select(outbox).where(outbox.c.topic == topic)).all()
        return [Event(r.event_id, r.topic, r.payload, r.created_at, r.attempts) for r in rows]

    @property
    def unix(self) -> int:
        return int(self.clock.now().timestamp())
