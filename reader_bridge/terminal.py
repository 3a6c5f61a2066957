"""A merchant's terminal as a cash register sees it: sell, ask again, take back; joins all parts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from typeid import TypeID

from reader_bridge.acceptance import (
    Acceptance,
    Desk,
    Forwarding,
    KeepingUploader,
    Knowledge,
    Known,
    Line,
    Order,
    OrderKind,
    TerminalStatus,
    forward_all,
    status_of,
)
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
from reader_bridge.clock import Clock
from reader_bridge.delivery import PAYMENTS_PATH, Delivery
from reader_bridge.faults import CardFault, CodeFault, Language, ReaderFault, TerminalFault
from reader_bridge.forward import Sender, Step
from reader_bridge.journal import Draft, Entry, EntryKind, EntryState, Journal
from reader_bridge.loads.terminal import TerminalLoads
from reader_bridge.profile import Profile, ProfileKeeper, profile_of
from reader_bridge.readers.port import CardChannel, Reader
from reader_bridge.receipt import (
    Heading,
    Receipt,
    receipt_of_entry,
    receipt_of_fault,
    receipt_of_payment,
)
from reader_bridge.sam.port import Sam
from reader_bridge.till.service import require_reference

PROFILE_SECONDS: Final = 600.0
REASON_CHARACTERS_MAX: Final = 120
CARD_SECONDS: Final = 30.0
UNKNOWN_IN_A_ROW_MAX: Final = 3  # recovery stops when the backend is plainly not there
_BILL_NUMBER = re.compile(r"[A-Za-z0-9]{1,25}", re.ASCII)


class Terminal(TerminalLoads):
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
        folder: Path | None = None,
        make_client: Callable[[], BackendClient] | None = None,
        sam: Sam | None = None,
        is_offline_first: bool | None = None,
    ) -> None:
        """Without `folder` nothing is known or kept offline. The SAM stays the caller's."""
        self.identity, self.journal, self.client = identity, journal, client
        self._clock, self.language = clock, language
        self._heading = Heading(
            identity.merchant_name, identity.shop_name, identity.terminal_number, language
        )
        self._delivery = Delivery(journal, client, clock)
        self._make_client = make_client
        self._forwarding: Forwarding | None = None
        self._line = Line(clock.elapsed)
        self._line.listen(self._network_returned)
        self._knowledge = None if folder is None else Knowledge(folder, identity.client_id)
        desk = Desk(journal, self._delivery, clock, self._heading, self._line, self._wake)
        self._acceptance = Acceptance(
            desk,
            self._knowledge,
            sam,
            self._ask_profile,
            folder,
            is_offline_first=is_offline_first,
            loads=self._open_loads(desk, sam),
        )
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
        cls,
        folder: Path,
        *,
        language: Language = "zh-CN",
        clock: Clock | None = None,
        sam: Sam | None = None,
        is_offline_first: bool | None = None,
    ) -> Self:
        """An activated terminal. `sam`: purses are taken; `is_offline_first`: else as the profile's
        mode says. Raises TerminalFault(not_activated, state_damaged, …)."""
        identity, key = load_identity(folder), load_key(folder)
        clock = clock or Clock()

        def make_client() -> BackendClient:
            return BackendClient(
                identity.url, key, identity.client_id, language=language, clock=clock
            )

        client = make_client()
        try:
            journal = Journal(folder / JOURNAL_FILE)
        except TerminalFault:
            client.close()
            raise
        try:
            return cls(
                identity,
                journal,
                client,
                clock=clock,
                language=language,
                folder=folder,
                make_client=make_client,
                sam=sam,
                is_offline_first=is_offline_first,
            )
        except BaseException:
            client.close()
            journal.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Uploads end after the request under way. May be called again."""
        self._close_loads()
        if self._forwarding is not None:
            self._forwarding.close()
            self._forwarding = None
        self._acceptance.close()
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
        amount_fen: int | None,
        *,
        register_reference: str,
        reader: Reader | None = None,
        pay_code: str | None = None,
        card_seconds: float = CARD_SECONDS,
    ) -> Receipt:
        """One sale by card (`reader`) or by a scanner's line (`pay_code`), exactly one of them.
        `amount_fen` None: the terminal's own fare decides.

        A reference that is known gives the first sale's result and charges nothing.
        Before the sale is stored: ReaderFault, Unreachable and Refused mean nothing happened.
        """
        if (reader is None) == (pay_code is None):
            raise ValueError("a sale is made with a reader or with a pay code")
        if amount_fen is not None:
            require_amount(amount_fen)
        order = Order(OrderKind.SALE, register_reference, amount_fen)
        known = self._acceptance.find_known(order)
        if known is not None:
            return known
        try:
            sale = self._acceptance.sale_of(order)
            if reader is None:
                return self._acceptance.pay_code(sale, pay_code or "")
        except (CardFault, CodeFault) as fault:
            return receipt_of_fault(self._heading, fault, amount_fen or 0, register_reference)
        channel = reader.wait_for_card(card_seconds)
        if channel is None:
            raise ReaderFault("no_card")
        return self.tap(order, channel, reader.name)

    def tap(self, order: Order, channel: CardChannel, reader_name: str) -> Receipt:
        """As `Acceptor.tap`: the card in the field, whatever it carries, online or not."""
        return self._acceptance.tap(order, channel, reader_name)

    def code(self, order: Order, payload: bytes) -> Receipt:
        """As `Acceptor.code`: pay codes online, ride codes where the profile takes them."""
        return self._acceptance.code(order, payload)

    def refresh(self) -> Known:
        """Fetch profile and deny list now. Raises Refused, Unreachable, TerminalFault."""
        return self._get_knowledge().refresh(self.client)

    def start_forwarding(self) -> None:
        """From now on offline sales go up and profile and deny list stay fresh by themselves."""
        if self._forwarding is None:
            if self._make_client is None:
                raise ValueError("a terminal without a folder has one client only")
            knowledge, client = self._get_knowledge(), self._make_client()
            uploader = KeepingUploader(self.journal, client, self._clock, knowledge, self._line)
            sender = Sender(self.journal, uploader, self._clock)
            self._forwarding = Forwarding(uploader, sender, client)
            self._start_loads(self._make_client())

    def forward(self) -> Step:
        """One round of uploads in this thread, after a refresh where that succeeds."""
        self.journal.bring_back()
        knowledge = self._get_knowledge()
        uploader = KeepingUploader(self.journal, self.client, self._clock, knowledge, self._line)
        return forward_all(uploader)

    def status(self) -> TerminalStatus:
        """How much may be sold offline now, and what waits. Raises TerminalFault."""
        now = int(self._clock.unix_now())
        return status_of(self._knowledge, self.journal, self._forwarding, now)

    def ask_again(self, register_reference: str) -> Receipt:
        """How the sale of this reference stands. Raises TerminalFault(sale_unknown)."""
        if (load := self._loads.find(register_reference)) is not None:
            return self._loads.ask_again(load)
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
        require_reference(refund_reference)
        sale = self._get_sale(register_reference)
        known = self.journal.find(EntryKind.REFUND, refund_reference)
        if known is not None:
            if known.draft.payment_id != sale.draft.payment_id:
                raise TerminalFault(
                    "reference_used_differently", reference=refund_reference, field="sale"
                )
            return self._acceptance.desk.told_again(known, amount_fen)
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
        body = json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()
        return self._acceptance.desk.sell_online(draft, lambda _: body, ())

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

    def _ask_profile(self) -> Profile:
        """While no signed one is kept. Raises Refused, Unreachable."""
        self.client.ensure_session()
        return self.profile()

    def _wake(self) -> None:
        if self._forwarding is not None:
            self._forwarding.sender.wake()

    def _network_returned(self) -> None:
        if self._forwarding is not None:
            self._forwarding.sender.network_returned()

    def _get_knowledge(self) -> Knowledge:
        if self._knowledge is None:
            raise ValueError("a terminal without a folder knows nothing offline")
        return self._knowledge

    def _get_sale(self, register_reference: str) -> Entry:
        entry = self.journal.last_result(require_reference(register_reference))
        if entry is None:
            raise TerminalFault("sale_unknown", reference=register_reference)
        return entry

    def _receipt(self, entry: Entry, *, is_repeated: bool = False) -> Receipt:
        return receipt_of_entry(self._heading, entry, is_repeated=is_repeated)
