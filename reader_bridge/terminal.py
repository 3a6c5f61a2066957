"""A merchant's terminal as a cash register sees it: sell, ask again, take back; joins all parts."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from typeid import TypeID

from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import TransactionData, TransactionType
from reader_bridge.amounts import require_amount
from reader_bridge.backend_client import BackendClient, Unreachable
from reader_bridge.client_key import (
    IDENTITY_FILE,
    JOURNAL_FILE,
    Identity,
    identity_of,
    load_identity,
    load_key,
    load_or_make_key,
    make_folder,
    save_identity,
)
from reader_bridge.clock import CHINA, Clock
from reader_bridge.codes import read_scanner_line
from reader_bridge.delivery import PAYMENTS_PATH, Delivery, Steps
from reader_bridge.exchange import Exchange
from reader_bridge.faults import CardFault, CodeFault, Language, ReaderFault, TerminalFault
from reader_bridge.journal import Draft, Entry, EntryKind, EntryState, Journal
from reader_bridge.kernels import mobile_card
from reader_bridge.profile import Profile, ProfileKeeper, profile_of
from reader_bridge.readers.port import Reader
from reader_bridge.receipt import (
    Heading,
    Receipt,
    receipt_of_entry,
    receipt_of_fault,
    receipt_of_payment,
)

PROFILE_SECONDS: Final = 600.0
REASON_CHARACTERS_MAX: Final = 120
CARD_SECONDS: Final = 30.0
UNKNOWN_IN_A_ROW_MAX: Final = 3  # recovery stops when the backend is plainly not there
_REFERENCE = re.compile(r"[!-~\u0080-\uffff]{1,64}")
_BILL_NUMBER = re.compile(r"[A-Za-z0-9]{1,25}", re.ASCII)


class Terminal:
    """Everything a cash register needs. Made by `activate` once and by `open` ever after.

    Raises TerminalFault for a wrong call or damaged state; ReaderFault when the card was not
    judged (nothing happened: the same reference may be used again); Unreachable and Refused
    where no sale hangs on the answer. What happens to a sale is always a Receipt.
    """

    def __init__(
        self,
        identity: Identity,
        journal: Journal,
        client: BackendClient,
        *,
        clock: Clock,
        language: Language,
    ) -> None:
        self.identity, self.journal, self.client = identity, journal, client
        self._clock = clock
        self._heading = Heading(
            identity.merchant_name, identity.shop_name, identity.terminal_number, language
        )
        self._delivery = Delivery(journal, client, clock)
        self._profile: Profile | None = None
        self._profile_until = 0.0

    @classmethod
    def activate(
        cls,
        folder: Path,
        url: str,
        activation_code: str,
        *,
        label: str = "terminal",
        language: Language = "zh-CN",
        clock: Clock | None = None,
    ) -> Self:
        """Make this folder a terminal. Called again after a lost answer it goes on where it was.

        Raises TerminalFault, Refused (wrong or used code), Unreachable.
        """
        make_folder(folder)
        if (folder / IDENTITY_FILE).exists():
            raise TerminalFault("already_activated", terminal_id=load_identity(folder).client_id)
        key = load_or_make_key(folder)
        with BackendClient(url, key, None, language=language, clock=clock) as client:
            answer = client.activate(activation_code.strip().upper(), label)
        if answer.get("kind") != "terminal":
            raise TerminalFault("wrong_kind", kind=str(answer.get("kind"))[:20])
        try:
            identity = identity_of(answer, url=url)
            if answer.get("profile_keys"):  # an older backend names none: the first fetch pins
                ProfileKeeper(folder, identity.client_id, client.get).pin(answer["profile_keys"])
            save_identity(folder, identity)
        except (KeyError, TypeError):
            raise Unreachable("answer_not_understood", sent=True) from None
        return cls.open(folder, language=language, clock=clock)

    @classmethod
    def open(
        cls, folder: Path, *, language: Language = "zh-CN", clock: Clock | None = None
    ) -> Self:
        """An activated terminal. Raises TerminalFault(not_activated, state_damaged, …)."""
        identity, key = load_identity(folder), load_key(folder)
        clock = clock or Clock()
        client = BackendClient(
            identity.url, key, identity.client_id, language=language, clock=clock
        )
        try:
            journal = Journal(folder / JOURNAL_FILE)
        except TerminalFault:
            client.close()
            raise
        return cls(identity, journal, client, clock=clock, language=language)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.client.close()
        self.journal.close()

    def profile(self) -> Profile:
        """What to accept; asked for at most every ten minutes. Raises Refused, Unreachable."""
        now = self._clock.elapsed()
        if self._profile is None or now >= self._profile_until:
            document = self.client.get("/v1/terminal/profile")
            try:
                self._profile = profile_of(document)
            except (ValueError, KeyError, TypeError, AttributeError):
                raise Unreachable("answer_not_understood", sent=True) from None
            self._profile_until = now + PROFILE_SECONDS
            self.client.timeout_seconds = self._profile.online_timeout_seconds
        return self._profile

    def sell(
        self,
        amount_fen: int,
        *,
        register_reference: str,
        reader: Reader | None = None,
        pay_code: str | None = None,
        card_seconds: float = CARD_SECONDS,
    ) -> Receipt:
        """One sale by card (`reader`) or by a scanner's line (`pay_code`), exactly one of them.

        A reference that is known gives the first sale's result and charges nothing.
        Before the sale is stored: ReaderFault, Unreachable and Refused mean nothing happened.
        """
        if (reader is None) == (pay_code is None):
            raise ValueError("a sale is made with a reader or with a pay code")
        require_amount(amount_fen)
        known = self.journal.last_result(_require_reference(register_reference))
        if known is not None:
            return self._told_again(known, amount_fen)
        self.client.ensure_session()
        profile = self.profile()
        try:
            if reader is not None:
                proof, application, steps = self._tap(reader, amount_fen, profile, card_seconds)
            else:
                content = read_scanner_line(pay_code or "")
                proof, application, steps = {"kind": "pay_code", "content": content}, None, ()
        except (CardFault, CodeFault) as fault:
            return receipt_of_fault(self._heading, fault, amount_fen, register_reference)
        payment_id = str(TypeID(prefix="pay"))
        draft = Draft(
            kind=EntryKind.SALE,
            entry_id=payment_id,
            reference=register_reference,
            payment_id=payment_id,
            amount_fen=amount_fen,
            method=proof["kind"],
            application=application,
        )
        facts = {"payment_id": payment_id, "amount_fen": amount_fen, "capture": True}
        facts |= {"proof": proof, "register_reference": register_reference}
        return self._store_and_send(draft, facts, steps)

    def ask_again(self, register_reference: str) -> Receipt:
        """How the sale of this reference stands. Raises TerminalFault(sale_unknown)."""
        entry = self._get_sale(register_reference)
        if entry.state is EntryState.STORED:
            entry = self._delivery.ask(entry)
        return self._receipt(entry, is_repeated=True)

    def recover(self) -> tuple[Receipt, ...]:
        """Settle what an earlier run left open: asked by id, sent again, or reversed when old."""
        receipts: list[Receipt] = []
        unknown_in_a_row = 0
        for entry in self.journal.pending():
            settled = self._delivery.ask(entry)
            receipts.append(self._receipt(settled))
            is_unknown = settled.state is EntryState.STORED
            unknown_in_a_row = unknown_in_a_row + 1 if is_unknown else 0
            if unknown_in_a_row == UNKNOWN_IN_A_ROW_MAX:
                break
        return tuple(receipts)

    def reverse(self, register_reference: str) -> Receipt:
        """Take the whole sale back, whatever became of it. Raises Refused, Unreachable."""
        entry = self._get_sale(register_reference)
        if entry.state in {EntryState.STORED, EntryState.CAPTURED}:
            entry = self._delivery.reverse(entry)
        return self._receipt(entry)

    def refund(
        self,
        register_reference: str,
        amount_fen: int,
        *,
        refund_reference: str,
        reason: str = "refund",
    ) -> Receipt:
        """Give money of a sale back. A refund reference that is known is not refunded twice."""
        require_amount(amount_fen)
        _require_reference(refund_reference)
        sale = self._get_sale(register_reference)
        known = self.journal.find(EntryKind.REFUND, refund_reference)
        if known is not None:
            if known.draft.payment_id != sale.draft.payment_id:
                raise TerminalFault(
                    "reference_used_differently", reference=refund_reference, field="sale"
                )
            return self._told_again(known, amount_fen)
        if sale.state is not EntryState.CAPTURED:
            raise TerminalFault("sale_not_captured", reference=register_reference)
        self.client.ensure_session()
        refund_id = str(TypeID(prefix="ref"))
        draft = Draft(
            kind=EntryKind.REFUND,
            entry_id=refund_id,
            reference=refund_reference,
            payment_id=sale.draft.payment_id,
            amount_fen=amount_fen,
            method="refund",
            application=None,
        )
        words = reason[:REASON_CHARACTERS_MAX]
        facts = {"refund_id": refund_id, "amount_fen": amount_fen, "reason": words}
        return self._store_and_send(draft, facts, ())

    def merchant_code(self, amount_fen: int | None, bill_number: str) -> str:
        """The text of a code the customer scans. The same bill gives the same request again."""
        if amount_fen is not None:
            require_amount(amount_fen)
        if not _BILL_NUMBER.fullmatch(bill_number):
            raise TerminalFault("bill_number_malformed")
        body = json.dumps({"bill_number": bill_number, "amount_fen": amount_fen}).encode()
        key = f"code_{bill_number}_{amount_fen or 'open'}"
        content = self.client.post("/v1/terminal/codes", body, key).get("content")
        if not isinstance(content, str):
            raise Unreachable("answer_not_understood", sent=True)
        return content

    def paid(self, bill_number: str) -> Receipt | None:
        """The captured payment of a bill shown as a merchant code, or None while there is none."""
        if not _BILL_NUMBER.fullmatch(bill_number):
            raise TerminalFault("bill_number_malformed")
        answer = self.client.get(PAYMENTS_PATH, {"bill_number": bill_number})
        for payment in answer.get("data") or ():
            is_captured = payment.get("state") in {"captured", "partially_refunded", "refunded"}
            if is_captured and payment.get("bill_number") == bill_number:
                return receipt_of_payment(self._heading, payment)
        return None

    def _tap(
        self, reader: Reader, amount_fen: int, profile: Profile, card_seconds: float
    ) -> tuple[dict[str, Any], str, Steps]:
        """Raises CardFault; ReaderFault also when nobody shows a card."""
        channel = reader.wait_for_card(card_seconds)
        if channel is None:
            raise ReaderFault("no_card")
        try:
            started = self._clock.elapsed()
            exchange = Exchange(channel, self._clock.elapsed)
            transaction = self._transaction(amount_fen, profile)
            proof = mobile_card.tap(
                exchange, transaction, profile.applications, profile.issuer_keys
            )
            mobile_card.require_valid_at(proof.certificate, int(self._clock.unix_now()))
        finally:
            channel.close()
        whole = round((self._clock.elapsed() - started) * 1000, 3)
        steps = (*((timing.name, timing.milliseconds) for timing in exchange.timings),)
        wire = {
            "kind": "tap",
            "pdol_data": _b64u(proof.pdol_data),
            "gpo_response": _b64u(proof.gpo_response),
        }
        return wire, proof.application.label, (*steps, ("card", whole))

    def _transaction(self, amount_fen: int, profile: Profile) -> TransactionData:
        now = datetime.fromtimestamp(self._clock.unix_now(), UTC).astimezone(CHINA)
        try:
            return TransactionData(
                amount_fen=amount_fen,
                date=bytes.fromhex(now.strftime("%y%m%d")),
                time=bytes.fromhex(now.strftime("%H%M%S")),
                transaction_type=TransactionType.PURCHASE,
                unpredictable_number=self._clock.random_bytes(4),
                terminal_number=profile.terminal_number,
                merchant_number=profile.merchant_number,
            )
        except MalformedBytes:  # numbers that no card can be told: the profile is to blame
            raise Unreachable("profile_not_understood", sent=False) from None

    def _store_and_send(self, draft: Draft, facts: dict[str, Any], steps: Steps) -> Receipt:
        """On the disk first, then on the wire: exactly these bytes, now and whenever again."""

        def body_of(counter: int) -> bytes:
            is_sale = draft.kind is EntryKind.SALE
            whole = {**facts, "terminal_counter": counter} if is_sale else facts
            return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()

        started = self._clock.elapsed()
        entry, is_new = self.journal.store(draft, body_of, int(self._clock.unix_now()))
        stored = round((self._clock.elapsed() - started) * 1000, 3)
        if not is_new:  # another process used the reference while the card was read
            return self._told_again(entry, draft.amount_fen)
        return self._receipt(self._delivery.send_first(entry, (*steps, ("store", stored))))

    def _told_again(self, entry: Entry, amount_fen: int) -> Receipt:
        if entry.draft.amount_fen != amount_fen:
            raise TerminalFault(
                "reference_used_differently", reference=entry.draft.reference, field="amount"
            )
        if entry.state is EntryState.STORED:
            entry = self._delivery.ask(entry)
        return self._receipt(entry, is_repeated=True)

    def _get_sale(self, register_reference: str) -> Entry:
        entry = self.journal.last_result(_require_reference(register_reference))
        if entry is None:
            raise TerminalFault("sale_unknown", reference=register_reference)
        return entry

    def _receipt(self, entry: Entry, *, is_repeated: bool = False) -> Receipt:
        return receipt_of_entry(self._heading, entry, is_repeated=is_repeated)


def _b64u(body: bytes) -> str:
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def _require_reference(reference: str) -> str:
    if not _REFERENCE.fullmatch(reference):
        raise TerminalFault("reference_malformed")
    return reference
