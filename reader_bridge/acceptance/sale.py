"""One sale on its way, and its forms: draft, online request, offline upload, torn intent. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Self

from typeid import TypeID

from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import TransactionData, TransactionType
from reader_bridge.acceptance.knowledge import Known
from reader_bridge.backend_client import Unreachable
from reader_bridge.clock import CHINA
from reader_bridge.faults import Text
from reader_bridge.forward import OfflineSale, sale_body
from reader_bridge.journal import Draft, Entry, EntryKind, Journal
from reader_bridge.kernels.epurse import Intent, PurseSale
from reader_bridge.kernels.mobile_card import TapProof
from reader_bridge.kernels.selection import AcceptedApplication
from reader_bridge.modes import MOBILE_CARDS_IN, Held, MobileCards, ModeBook, Ride
from reader_bridge.modes.values import Tap
from reader_bridge.profile import Profile
from reader_bridge.receipt_fare import Fare, find_fare

TAPS_SECOND_MAX: Final = 5  # of one terminal: how far back the journal is looked through


@dataclass(frozen=True, slots=True)
class Sale:
    """An order for money with all that a decision about it needs; `at` in unix seconds.

    `asked_fen`: the register's amount. Where it is None the mode's fare decides, and `amount_fen`
    is 0 until `decided`.
    """

    reference: str
    asked_fen: int | None
    amount_fen: int
    at: int
    profile: Profile
    known: Known
    is_offline_first: bool
    book: ModeBook
    ride: Ride | None = None  # once decided
    stay_started_at: int | None = None
    torn_card_key: str | None = None  # the card whose torn purchase holds this reference

    @property
    def applications(self) -> tuple[AcceptedApplication, ...]:
        return self.profile.applications

    @property
    def has_fare(self) -> bool:
        """Whether the mode's own fare decides."""
        return self.asked_fen is None

    @property
    def is_free(self) -> bool:
        """Nothing is asked of the card: no amount, no records."""
        return self.ride is not None and not (self.ride.amount_fen or self.ride.records)

    @property
    def is_online_only(self) -> bool:
        """Of a mobile card: the backend has to answer."""
        return MOBILE_CARDS_IN[self.known.mode] is MobileCards.ONLINE

    @property
    def fare(self) -> Fare | None:
        """For the receipt; a shop has none."""
        ride = self.ride
        if ride is None or not self.has_fare:
            return None
        return Fare(
            kind=ride.kind.value,
            full_fare_fen=ride.full_fare_fen,
            concession_fen=ride.concession_fen,
            transfer_fen=ride.transfer_fen,
            told=ride.told,
        )

    def decided(self, tap: Tap) -> Sale | Held:
        """What the mode says of this tap. Raises RideRefused and CardFault."""
        said = self.book.decide(tap, self.at, self.asked_fen)
        return (
            said if isinstance(said, Held) else replace(self, amount_fen=said.amount_fen, ride=said)
        )

    def find_last_ride_at(self, journal: Journal, card_key: str) -> int | None:
        """When this card or code last paid here; None where the mode does not ask."""
        again_seconds = self.book.rules.again_seconds
        if not self.book.takes_ride_codes or not again_seconds:
            return None
        return journal.find_last_sale_at(card_key, TAPS_SECOND_MAX * (again_seconds + 1))

    def amount_like(self, entry: Entry) -> int:
        """The amount a known reference has to have: a fare may have changed since."""
        return entry.draft.amount_fen if self.asked_fen is None else self.asked_fen

    def draft(self, method: str, application: str | None) -> Draft:
        payment_id = str(TypeID(prefix="pay"))
        return Draft(
            kind=EntryKind.SALE,
            entry_id=payment_id,
            reference=self.reference,
            payment_id=payment_id,
            amount_fen=self.amount_fen,
            method=method,
            application=application,
        )

    def online_body(self, draft: Draft, proof: Mapping[str, Any]) -> Callable[[int], bytes]:
        """The request of POST /v1/terminal/payments, once the counter is known."""
        facts = {"payment_id": draft.entry_id, "amount_fen": draft.amount_fen, "capture": True}
        facts |= {"proof": dict(proof), "register_reference": draft.reference}

        def body_of(counter: int) -> bytes:
            whole = {**facts, "terminal_counter": counter}
            return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()

        return body_of

    def offline_body(self, draft: Draft, proof: Mapping[str, Any]) -> Callable[[int], bytes]:
        """The item of an upload, once the counter is known."""
        origin = Origin(self.profile.version, self.known.mode.value)
        return lambda counter: origin.body(draft, counter, self.at, proof, self.fare)

    def transaction(self, unpredictable_number: bytes) -> TransactionData:
        """Raises Unreachable as `transaction_of`."""
        return transaction_of(self.profile, self.amount_fen, self.at, unpredictable_number)


def transaction_of(
    profile: Profile, amount_fen: int, at: int, unpredictable_number: bytes
) -> TransactionData:
    """What a mobile card is asked to sign. Raises Unreachable for numbers no card can read."""
    now = datetime.fromtimestamp(at, UTC).astimezone(CHINA)
    try:
        return TransactionData(
            amount_fen=amount_fen,
            date=bytes.fromhex(now.strftime("%y%m%d")),
            time=bytes.fromhex(now.strftime("%H%M%S")),
            transaction_type=TransactionType.PURCHASE,
            unpredictable_number=unpredictable_number,
            terminal_number=profile.terminal_number,
            merchant_number=profile.merchant_number,
        )
    except MalformedBytes:  # the profile is to blame
        raise Unreachable("profile_not_understood", sent=False) from None


@dataclass(frozen=True, slots=True)
class Origin:
    """Under which profile a sale was made."""

    profile_version: int
    mode: str

    def body(
        self,
        draft: Draft,
        counter: int,
        at: int,
        proof: Mapping[str, Any],
        fare: Fare | None = None,
    ) -> bytes:
        return sale_body(
            OfflineSale(
                payment_id=draft.entry_id,
                terminal_counter=counter,
                amount_fen=draft.amount_fen,
                accepted_at=at,
                profile_version=self.profile_version,
                mode=self.mode,
                proof=proof,
                fare=None if fare is None else fare.to_document(),
            )
        )


@dataclass(frozen=True, slots=True)
class TornSale:
    """An intended purse sale as the journal keeps it: what finishes it after a restart."""

    intent: Intent
    origin: Origin
    fare: Fare | None = None  # with its words: the holder hears them when it is finished

    def encode(self) -> bytes:
        facts: dict[str, Any] = {
            "profile_version": self.origin.profile_version,
            "mode": self.origin.mode,
        }
        if self.fare is not None:
            facts["fare"] = self.fare.to_document()
        if self.fare is not None and self.fare.told is not None:
            facts["told"] = [self.fare.told.zh, self.fare.told.en]
        return json.dumps({**facts, "intent": b64u(self.intent.encode())}).encode()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Raises ValueError, KeyError, MalformedBytes for what this terminal never wrote."""
        kept = json.loads(body)
        intent = Intent.decode(base64.urlsafe_b64decode(kept["intent"] + "=="))
        fare = find_fare(kept.get("fare"))
        if fare is not None and "told" in kept:
            fare = replace(fare, told=Text(*kept["told"]))
        return cls(intent, Origin(kept["profile_version"], kept["mode"]), fare)


def tap_proof(proof: TapProof) -> dict[str, Any]:
    """The wire's `tap`."""
    return {
        "kind": "tap",
        "pdol_data": b64u(proof.pdol_data),
        "gpo_response": b64u(proof.gpo_response),
    }


def purse_proof(sale: PurseSale) -> dict[str, Any]:
    """The wire's `purse` (docs/protocol/offline-sales.md); `mac2_unchecked` is our own mark."""
    proof = {
        "kind": "purse",
        "purse_number": sale.purse_number,
        "issuer_id": sale.issuer_id.hex(),
        "balance_after_fen": sale.balance_after_fen,
        "purchase_counter": sale.purchase_counter,
        "transaction_type": int(sale.transaction_type),
        "terminal_number": sale.terminal_number.hex(),
        "terminal_serial": sale.terminal_serial.hex(),
        "transaction_time": sale.transaction_time.hex(),
        "key_version": sale.key_version,
        "suite": sale.suite,
        "tac": sale.tac.hex(),
        "records": [record.body.hex() for record in sale.records],
    }
    return {**proof, "mac2_unchecked": True} if sale.mac2_unchecked else proof


def b64u(body: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()
