"""One sale on its way, and its forms: draft, online request, offline upload, torn intent. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from typeid import TypeID

from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import EPURSE_AID, TransactionData, TransactionType
from reader_bridge.acceptance.knowledge import Known
from reader_bridge.backend_client import Unreachable
from reader_bridge.clock import CHINA
from reader_bridge.forward import OfflineSale, sale_body
from reader_bridge.journal import Draft, EntryKind
from reader_bridge.kernels.epurse import Intent, PurseSale
from reader_bridge.kernels.mobile_card import TapProof
from reader_bridge.kernels.selection import AcceptedApplication, Kernel
from reader_bridge.profile import Profile

PURSE_LABEL: Final = "MOT_T_EP"


def applications_of(profile: Profile, known: Known) -> tuple[AcceptedApplication, ...]:
    """What a tap may select. Signed terms that name purse issuers accept purses, also where the
    list of applications does not name one: then after all that it names."""
    named = profile.applications
    takes_purses = known.profile is not None and bool(known.profile.terms.purse_issuers)
    if not takes_purses or any(one.kernel is Kernel.EPURSE for one in named):
        return named
    last = max((one.priority for one in named), default=0)
    return (*named, AcceptedApplication(EPURSE_AID, PURSE_LABEL, last + 1))


@dataclass(frozen=True, slots=True)
class Sale:
    """An order for money with all that a decision about it needs; `at` in unix seconds."""

    reference: str
    amount_fen: int
    at: int
    profile: Profile
    known: Known
    is_offline_first: bool
    torn_card_key: str | None = None  # the card whose torn purchase holds this reference

    @property
    def applications(self) -> tuple[AcceptedApplication, ...]:
        return applications_of(self.profile, self.known)

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
        return lambda counter: origin.body(draft, counter, self.at, proof)

    def transaction(self, unpredictable_number: bytes) -> TransactionData:
        """What a mobile card is asked to sign. Raises Unreachable for numbers no card can read."""
        now = datetime.fromtimestamp(self.at, UTC).astimezone(CHINA)
        try:
            return TransactionData(
                amount_fen=self.amount_fen,
                date=bytes.fromhex(now.strftime("%y%m%d")),
                time=bytes.fromhex(now.strftime("%H%M%S")),
                transaction_type=TransactionType.PURCHASE,
                unpredictable_number=unpredictable_number,
                terminal_number=self.profile.terminal_number,
                merchant_number=self.profile.merchant_number,
            )
        except MalformedBytes:  # the profile is to blame
            raise Unreachable("profile_not_understood", sent=False) from None


@dataclass(frozen=True, slots=True)
class Origin:
    """Under which profile a sale was made."""

    profile_version: int
    mode: str

    def body(self, draft: Draft, counter: int, at: int, proof: Mapping[str, Any]) -> bytes:
        return sale_body(
            OfflineSale(
                payment_id=draft.entry_id,
                terminal_counter=counter,
                amount_fen=draft.amount_fen,
                accepted_at=at,
                profile_version=self.profile_version,
                mode=self.mode,
                proof=proof,
            )
        )


@dataclass(frozen=True, slots=True)
class TornSale:
    """An intended purse sale as the journal keeps it: what finishes it after a restart."""

    intent: Intent
    origin: Origin

    def encode(self) -> bytes:
        facts = {"profile_version": self.origin.profile_version, "mode": self.origin.mode}
        return json.dumps({**facts, "intent": b64u(self.intent.encode())}).encode()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Raises ValueError, KeyError, MalformedBytes for what this terminal never wrote."""
        kept = json.loads(body)
        intent = Intent.decode(base64.urlsafe_b64decode(kept["intent"] + "=="))
        return cls(intent, Origin(kept["profile_version"], kept["mode"]))


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
