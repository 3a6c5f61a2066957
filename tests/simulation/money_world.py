"""The real services of money joined as backend.app joins them, and a phone card in software."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import count
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection

from backend.db import Operation, OutboxWorker, Units, Which
from backend.db.operations import Answer
from backend.kernel import ManualClock, Words, business_date, new_id
from backend.keys import KeyRef, SoftwareKeys
from backend.merchants import (
    Activate,
    Activations,
    AddMerchant,
    AddShop,
    AddTerminal,
    MerchantCodes,
    Merchants,
    TerminalFacts,
)
from backend.payments import Payments, Statements
from backend.payments.model import Owner, PayCodeShown, PayMerchantCode, Sell, Tap
from backend.payments.moves import HOLD_EXPIRES
from backend.virtual_card import (
    Card,
    CardProduct,
    Cards,
    Devices,
    EnrolDevice,
    IssuedKeys,
    IssuerProfile,
    Provision,
    TapVerifier,
)
from backend.wallet import HOT_IDS, Ledger, Limits, OpenWallet, Proof, Wallets
from backend.wallet.bank import SandboxBank
from backend.wallet.ledger import AccountState, Limit, Period
from backend.wallet.topups import RequestTopUp, TopUp, TopUps
from backend.wallet.topups.service import REQUESTED
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
CEILING_FEN = 500_000
BANK_CARD = "6217000010001234567"
BANK_DELAY_SECONDS = 2.0


def operation(key: str | None = None, scope: str = "test") -> Operation:
    """A command named by a fresh key unless one is given."""
    return Operation(scope, key or f"key-{next(serial)}", {}, lambda _: Answer(200, ""))


def luhn_ended(digits: str) -> str:
    return digits + mobile_card.luhn_check_digit(digits)


BANK_CARD = luhn_ended(BANK_CARD[:-1])


@dataclass(slots=True)
class SoftCard:
    """The card as a phone keeps it: device key, one batch of keys, a counter."""

    card: Card
    device_key: ec.EllipticCurvePrivateKey
    sealing_key: ec.EllipticCurvePrivateKey
    key_index: int = 0
    key_version: int = 0
    batch: key_batch.KeyBatch = field(init=False)
    atc: int = 0

    def __post_init__(self) -> None:
        assert self.card.keys is not None
        self.take(self.card.keys)

    def take(self, keys: IssuedKeys) -> None:
        """Open a delivered batch."""
        self.batch = key_batch.open_sealed(
            keys.sealed, self.sealing_key, self.card.token_number, keys.key_index
        )
        self.key_index, self.key_version = keys.key_index, keys.key_version

    def tap(
        self, facts: TerminalFacts, amount_fen: int, *, atc: int | None = None, **changes: Any
    ) -> Tap:
        """What passes between terminal and card (A.2); `changes` are to what the card agrees."""
        if atc is None:
            self.atc += 1
            atc = self.atc
        asked: dict[str, Any] = {
            "amount_fen": amount_fen,
            "date": bytes.fromhex("261123"),
            "time": bytes.fromhex("100000"),
            "transaction_type": TransactionType.PURCHASE,
            "unpredictable_number": next(serial).to_bytes(4),
            "terminal_number": facts.terminal_number,
            "merchant_number": facts.merchant_number,
            **changes,
        }
        pdol = TransactionData(**asked).encode()
        iad = IssuerApplicationData(
            Suite.AES_ES256, self.key_version, self.key_index, HolderCheck.DEVICE_UNLOCKED
        )
        data = mobile_card.cryptogram_input(pdol, mobile_card.AIP, atc, iad.encode())
        cryptogram = mobile_card.compute_cryptogram(
            Suite.AES_ES256, self.batch.limited_use_key, data
        )
        answer = GpoResponse(
            aip=mobile_card.AIP,
            afl=mobile_card.AFL,
            token_number=self.card.token_number,
            sequence=0,
            atc=atc,
            cryptogram_information=mobile_card.CRYPTOGRAM_INFORMATION_ONLINE,
            iad=iad,
            cryptogram=cryptogram,
            signature=mobile_card.sign(self.device_key, data + cryptogram),
        )
        return Tap(pdol, answer.encode())

    def pay_code(self, now: datetime) -> PayCodeShown:
        """The 19 digits shown at `now` (A.3)."""
        step = pay_code.step_at(int(now.timestamp()))
        digits = pay_code.one_time_digits(self.batch.pay_code_key, step)
        return PayCodeShown(pay_code.encode(self.card.short_number, digits))


@dataclass(slots=True)
class Citizen:
    person_id: str
    wallet_id: str
    card: SoftCard


@dataclass(frozen=True, slots=True)
class World:
    """The services; `bank` keeps its book in `folder`."""

    units: Units
    ledger: Ledger
    keys: SoftwareKeys
    clock: ManualClock
    bank: SandboxBank
    wallets: Wallets
    topups: TopUps
    proof: Proof
    merchants: Merchants
    activations: Activations
    codes: MerchantCodes
    devices: Devices
    cards: Cards
    sales: Payments
    statements: Statements
    worker: OutboxWorker

    # --- who there is -------------------------------------------------------------------------

    def merchant(self, name: str = "城东超市") -> str:
        merchant_id = new_id("mer")
        self.merchants.add_merchant(
            AddMerchant(merchant_id, name, "5411", "银城", name_en="MARKET")
        )
        return merchant_id

    def shop(self, merchant_id: str, name: str = "一号店") -> str:
        shop_id = new_id("shp")
        self.merchants.add_shop(AddShop(shop_id, merchant_id, name))
        return shop_id

    def terminal(self, shop_id: str) -> TerminalFacts:
        """An active terminal."""
        terminal_id = new_id("trm")
        ordered = self.merchants.add_terminal(AddTerminal(terminal_id, shop_id, "till"))
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        self.activations.activate(Activate(ordered.activation_code, key, "till"))
        return self.merchants.vouch_for_terminal(terminal_id)

    def citizen(self, fen: int = 0) -> Citizen:
        """A person with wallet, phone card, and `fen` topped up by a bank that pays at once."""
        person_id, wallet_id, device_id = new_id("per"), new_id("wal"), new_id("dev")
        self.wallets.open(OpenWallet(person_id, wallet_id), operation())
        signing, sealing = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        claims = {
            "aud": "/v1/me/devices",
            "jti": device_id,
            "iat": int(self.clock.now().timestamp()),
        }
        proof = jwt.encode(claims, signing, algorithm="ES256")
        self.devices.enrol(
            EnrolDevice(
                person_id, device_id, "手机", signing.public_key(), sealing.public_key(), proof
            ),
            operation(),
        )
        command = Provision(person_id, new_id("tok"), device_id, wallet_id, "phone_card")
        card = self.cards.provision(command, operation())
        made = Citizen(person_id, wallet_id, SoftCard(card, signing, sealing))
        if fen:
            self.fund(made, fen)
        return made

    # --- money ---------------------------------------------------------------------------------

    def request_topup(
        self, citizen: Citizen, fen: int, topup_id: str | None = None, key: str | None = None
    ) -> TopUp:
        wanted = RequestTopUp(
            citizen.person_id, topup_id or new_id("top"), citizen.wallet_id, fen, BANK_CARD
        )
        return self.topups.request(wanted, operation(key))

    def fund(self, citizen: Citizen, fen: int) -> None:
        """Top up; `fen` must not order a fault of the bank."""
        self.request_topup(citizen, fen)
        self.worker.deliver_due()
        self.take_notices()

    def take_notices(self) -> int:
        """The bank's clock ticks: its notices reach us."""

        def deliver(body: bytes, headers: Any) -> bool:
            self.topups.receive_notice(headers, body)
            return True

        return self.bank.tick(deliver)

    def sell(
        self,
        facts: TerminalFacts,
        proof: Tap | PayCodeShown,
        fen: int,
        *,
        payment_id: str | None = None,
        counter: int | None = None,
        capture: bool = True,
        key: str | None = None,
    ) -> Any:
        wanted = Sell(
            facts.terminal_id,
            payment_id or new_id("pay"),
            counter or next(serial),
            fen,
            capture,
            proof,
        )
        return self.sales.sell(wanted, operation(key))

    def tap_sale(self, facts: TerminalFacts, citizen: Citizen, fen: int, **more: Any) -> Any:
        return self.sell(facts, citizen.card.tap(facts, fen), fen, **more)

    def pay_code_of(
        self, citizen: Citizen, code: str, fen: int, payment_id: str | None = None
    ) -> Any:
        """The citizen pays a merchant code."""
        wanted = PayMerchantCode(
            citizen.person_id, payment_id or new_id("pay"), citizen.wallet_id, code, fen
        )
        return self.sales.pay_merchant_code(wanted, operation())

    def balance(self, citizen: Citizen) -> tuple[int, int]:
        """(balance, available) in fen."""
        wallet = self.wallets.get(citizen.wallet_id, citizen.person_id)
        return wallet.balance_fen, wallet.available_fen

    def payable_fen(self, merchant_id: str) -> int:
        """What is owed to a merchant today."""
        page = self.statements.of_day(
            merchant_id, business_date(self.clock.now()), limit=1, after=None
        )
        return page.totals.net_fen

    def set_state(self, wallet_id: str, state: AccountState) -> None:
        """Freeze, close or open an account: no command does this yet."""
        with self.units.write(Which.LEDGER) as work:
            self.ledger.set_state(work.rows, wallet_id, state)

    def close(self, connection: Connection | None = None) -> None:
        self.units.databases.close()


def owner_of(facts: TerminalFacts) -> Owner:
    return Owner(terminal_id=facts.terminal_id)


CEILING = Limit(
    rule="registered_balance",
    account_class="registered",
    counter=None,
    period=Period.BALANCE,
    amount_max_fen=CEILING_FEN,
    times_max=None,
    effective_from=date(2012, 11, 1),
    article=Words(zh="支付机构预付卡业务管理办法", en="Measures for Prepaid Cards"),
)


def join(
    units: Units,
    keys: SoftwareKeys,
    clock: ManualClock,
    folder: Path,
    *,
    uses_max: int = 20,
    limits: Limits | None = None,
) -> World:
    """All services over `units`, and the house accounts opened; one ceiling and no other limit."""
    ledger = Ledger(limits or Limits([CEILING]), HOT_IDS)
    bank = SandboxBank(
        folder / "bank.db",
        clock,
        lambda data: keys.mac(KeyRef.BANK_NOTICES, data),
        BANK_DELAY_SECONDS,
    )
    wallets = Wallets(units, ledger, lambda _: True)
    wallets.open_house()
    merchants = Merchants(units, keys)
    codes = MerchantCodes(units, keys, "YINCHENG")
    topups = TopUps(units, ledger, keys, bank)
    product = CardProduct(product="phone_card", label="CITY CARD", uses_max=uses_max)
    issuer = IssuerProfile(products={"phone_card": product})
    sales = Payments(units, ledger, TapVerifier(units, keys), merchants, codes, wallets)
    consumers = {REQUESTED: topups.instruct, HOLD_EXPIRES: sales.expire_hold}
    return World(
        units=units,
        ledger=ledger,
        keys=keys,
        clock=clock,
        bank=bank,
        wallets=wallets,
        topups=topups,
        proof=Proof(units, ledger, bank),
        merchants=merchants,
        activations=Activations(units, keys),
        codes=codes,
        devices=Devices(units),
        cards=Cards(units, keys, issuer, lambda _: True, wallets.is_owner),
        sales=sales,
        statements=Statements(units),
        worker=OutboxWorker(units, consumers),
    )
