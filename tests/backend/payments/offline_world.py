"""Terminals that were offline, phone cards with offline limits, and purses with textbook keys."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import count
from pathlib import Path
from typing import Any, cast

from sqlalchemy import select

from backend.cards import ChangePurse, PurseEvent, PurseMacs, Purses, RegisterPurse
from backend.db import METADATA, Units, Which
from backend.kernel import ManualClock, Words, new_id
from backend.keys import KeyRef, Keys, SessionMac, SoftwareKeys, TacMac
from backend.keys.derivations import Derivation
from backend.merchants import TerminalFacts
from backend.payments import (
    ForeignSales,
    Judge,
    Loads,
    Oddities,
    OfflineSales,
    OfflineTerms,
    PurseBooks,
    PurseCases,
    PurseLosses,
    Sams,
    StuckLoads,
)
from backend.payments.offline.model import Told, Upload
from backend.payments.offline.schemas import read_item
from backend.virtual_card import (
    CardProduct,
    Cards,
    ChangeCard,
    IssuerProfile,
    PastProofs,
    TapVerifier,
    TapWatch,
)
from backend.virtual_card.codes.model import RideTerms
from backend.virtual_card.codes.rides import RideCodes
from backend.wallet import OFFLINE_LOSSES, Limits, ride_debt_id
from backend.wallet.ledger import Limit, Period, reading, tables
from card_protocol import ride_code
from card_protocol.epurse.suites import DES3, PurseSuite, get_suite
from card_protocol.epurse.transactions import Purchase, TransactionKind
from card_protocol.mobile_card import sign
from tests.simulation.money_world import CEILING, Citizen, World, join, operation

SHANGHAI = timezone(timedelta(hours=8))
MONEY_KEY = bytes.fromhex("11223344556677888877665544332211")
TAC_KEY = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
PURSE = "03105170070104791381"
ISSUER_ID = "01011000ffffffff"
SAM = "001122334455"
SALE_MAX_FEN = 5_000
DEBT_MAX_FEN = 1_000
DEBT = Limit(
    rule="ride_debt_balance",
    account_class="ride_debt",
    counter=None,
    period=Period.BALANCE,
    amount_max_fen=DEBT_MAX_FEN,
    times_max=None,
    effective_from=date(2020, 1, 1),
    article=Words(zh="乘车协议", en="Terms of rides"),
)
UNREGISTERED = replace(
    CEILING, rule="unregistered", account_class="unregistered", amount_max_fen=100_000
)


class TextbookKeys:
    """The key service of an issuer whose cards all have the textbook's keys."""

    def derive_and_mac(
        self, ref: KeyRef, how: Derivation, data: bytes, version: int | None = None
    ) -> bytes:
        assert version == 1
        suite = get_suite(4 if ref.algorithm == "sm4" else 0)
        if isinstance(how, TacMac):
            return suite.tac(TAC_KEY, data)
        assert isinstance(how, SessionMac)
        return suite.mac(suite.session_key(MONEY_KEY, how.seed), data)


@dataclass
class Box:
    """A terminal's journal: counter, chain, incarnation; and what it kept."""

    facts: TerminalFacts
    clock: ManualClock
    incarnation: str = field(default_factory=lambda: secrets.token_hex(8))
    counter: int = 0
    chain: str = "00" * 32

    def keep(self, amount_fen: int, proof: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
        """One sale as the journal keeps it."""
        self.counter += 1
        payment_id = new_id("pay")
        told = self.chain + payment_id
        self.chain = hashlib.sha256(told.encode()).hexdigest()
        return {
            "payment_id": payment_id,
            "terminal_counter": self.counter,
            "chain": self.chain,
            "amount_fen": amount_fen,
            "accepted_at": self.clock.now().astimezone(SHANGHAI).isoformat(),
            "profile_version": 7,
            "mode": "shop",
            "proof": dict(proof),
            **changes,
        }

    def tap(self, citizen: Citizen, amount_fen: int, **changes: Any) -> dict[str, Any]:
        """A phone card was tapped just now."""
        now = self.clock.now().astimezone(SHANGHAI)
        told = {
            "date": bytes.fromhex(now.strftime("%y%m%d")),
            "time": bytes.fromhex(now.strftime("%H%M%S")),
        }
        tap = citizen.card.tap(self.facts, amount_fen, **{**told, **changes})
        return self.keep(amount_fen, tap_proof(tap.pdol_data, tap.gpo_response))

    def clone(self) -> Box:
        """Another box with a copy of this disk, opened anew."""
        return replace(self, incarnation=secrets.token_hex(8))


def tap_proof(pdol_data: bytes, gpo_response: bytes) -> dict[str, str]:
    return {"kind": "tap", "pdol_data": b64u(pdol_data), "gpo_response": b64u(gpo_response)}


def b64u(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@dataclass
class Chip:
    """A purse that pays offline; its TAC by card_protocol, its counter its own."""

    clock: ManualClock
    number: str = PURSE
    suite: PurseSuite = DES3
    sam: str = SAM
    balance_fen: int = 10_000
    counter: int = 0
    serials: Any = field(default_factory=lambda: count(1))

    def pay(self, amount_fen: int, **changes: Any) -> dict[str, Any]:
        """The proof of a purchase just now."""
        self.balance_fen -= amount_fen
        self.counter += 1
        kind = changes.pop("transaction_type", 6)
        told = self.clock.now().astimezone(SHANGHAI).strftime("%Y%m%d%H%M%S")
        serial = changes.pop("terminal_serial", f"{next(self.serials):08x}")
        purchase = Purchase(
            amount_fen,
            bytes.fromhex(self.sam),
            bytes.fromhex(serial),
            bytes.fromhex(told),
            TransactionKind(kind),
        )
        return {
            "kind": "purse",
            "purse_number": self.number,
            "issuer_id": ISSUER_ID,
            "balance_after_fen": self.balance_fen,
            "purchase_counter": self.counter,
            "transaction_type": kind,
            "terminal_number": self.sam,
            "terminal_serial": serial,
            "transaction_time": told,
            "key_version": 1,
            "suite": self.suite.algorithm,
            "tac": purchase.tac(self.suite, TAC_KEY).hex(),
            "records": [],
            **changes,
        }


@dataclass
class Offline:
    """The services joined as backend.app joins them."""

    world: World
    folder: Path
    terms: OfflineTerms = field(default_factory=OfflineTerms)

    def __post_init__(self) -> None:
        world = self.world
        units, keys = world.units, world.keys
        self.watch = TapWatch(units)
        self.purses = Purses(units)
        self.macs = PurseMacs(cast("Keys", TextbookKeys()))
        self.rides = RideCodes(units, keys, RideTerms())
        past = PastProofs(units, keys, self.rides, self.watch)
        judge = Judge(past, self.purses, self.macs)
        self.sales = OfflineSales(units, world.ledger, world.merchants, judge, self.terms)
        self.oddities = Oddities(units)
        self.books = PurseBooks(units, world.ledger, self.purses)
        self.cases = PurseCases(units, world.ledger, self.purses)
        self.sams = Sams(units, world.merchants)
        self.foreign = ForeignSales(
            units, world.ledger, world.merchants, judge, read_item, self.terms
        )
        self.losses = PurseLosses(units, world.ledger, world.merchants, self.purses)
        self.stuck = StuckLoads(units, world.ledger, self.purses)
        self.loads = Loads(
            units, world.ledger, world.merchants, self.purses, self.macs, world.sales.verify
        )

    def box(self, facts: TerminalFacts | None = None) -> Box:
        made = facts or self.world.terminal(self.world.shop(self.world.merchant()))
        return Box(made, self.world.clock)

    def upload(self, box: Box, *items: Any, key: str | None = None) -> list[Told]:
        sales = tuple(read_item(json.loads(json.dumps(one))) for one in items)
        upload = Upload(box.facts.terminal_id, box.incarnation, sales, "en")
        return list(self.sales.upload(upload, operation(key)).results)

    def register(
        self, number: str = PURSE, *, suite: int = 0, wallet_id: str | None = None
    ) -> None:
        command = RegisterPurse(number, ISSUER_ID, suite, 1, "main_card", "stf_a", wallet_id)
        self.purses.register(command, operation())
        self.change(PurseEvent.ACTIVATE, number)

    def change(self, event: PurseEvent, number: str = PURSE, staff: str = "stf_a") -> None:
        self.purses.change(ChangePurse(number, event, "test", staff), operation())

    def report_loss(self, citizen: Citizen) -> None:
        command = ChangeCard(citizen.person_id, citizen.card.card.token_id)
        self.world.cards.report_loss(command, operation())

    def ride_code(self, citizen: Citizen, shown_at: datetime) -> bytes:
        part = self.rides.issue(citizen.person_id, citizen.card.card.token_id)
        key = citizen.card.device_key
        return ride_code.show(part.content, int(shown_at.timestamp()), lambda data: sign(key, data))

    def balance_fen(self, account_id: str) -> int:
        """An account's balance on its own side; 0 for none."""
        with self.world.units.read(Which.LEDGER) as work:
            account = self.world.ledger.find_account(work.rows, account_id)
        return 0 if account is None else account.balance_fen

    def hot_fen(self, account_id: str) -> int:
        """Debits less credits of an account that everybody posts on."""
        columns = tables.account.c
        query = select(columns.debits_posted, columns.credits_posted)
        with self.world.units.read(Which.LEDGER) as work:
            row = work.execute(query.where(columns.account_id == account_id)).one_or_none()
        return 0 if row is None else row.debits_posted - row.credits_posted

    def kinds(self) -> Mapping[str, int]:
        """Balances by kind of account; credits are positive."""
        with self.world.units.read(Which.LEDGER) as work:
            return reading.totals(work).by_kind

    @property
    def loss_fen(self) -> int:
        return self.hot_fen(OFFLINE_LOSSES)

    def debt_fen(self, citizen: Citizen) -> int:
        return self.balance_fen(ride_debt_id(citizen.wallet_id))

    def told(self, topic: str) -> int:
        """How many events of a topic the outbox was told."""
        outbox = METADATA[Which.LEDGER].tables["outbox"]
        with self.world.units.read(Which.LEDGER) as work:
            rows = work.execute(select(outbox.c.event_id).where(outbox.c.topic == topic)).all()
        return len(rows)


def join_offline(
    units: Units, keys: SoftwareKeys, clock: ManualClock, folder: Path, uses_max: int = 100
) -> Offline:
    """A city whose phone cards may pay 50 元 offline, and whose riders may owe 10 元."""
    limits = Limits([CEILING, DEBT, UNREGISTERED])
    world = join(units, keys, clock, folder, limits=limits)
    product = CardProduct(
        product="phone_card",
        label="CITY CARD",
        uses_max=uses_max,
        offline_sale_max_fen=SALE_MAX_FEN,
        offline_sum_max_fen=4 * SALE_MAX_FEN,
    )
    issuer = IssuerProfile(products={"phone_card": product})
    cards = Cards(units, keys, issuer, lambda _: True, world.wallets.is_owner)
    sales = replace(world.sales, verifier=TapVerifier(units, keys, TapWatch(units)))
    return Offline(replace(world, cards=cards, sales=sales), folder)


NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
