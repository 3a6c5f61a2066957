"""One tap, joined: selects once, gives the card to its kernel, answers with a Receipt."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from card_protocol.errors import MalformedBytes
from card_protocol.terminal_profile import Mode
from reader_bridge.acceptance.books import Books
from reader_bridge.acceptance.desk import Desk, Tap
from reader_bridge.acceptance.knowledge import Knowledge, Known
from reader_bridge.acceptance.load import LoadFlow
from reader_bridge.acceptance.mobile_card import MobileCardFlow
from reader_bridge.acceptance.order import Order, OrderKind
from reader_bridge.acceptance.purse import PurseFlow
from reader_bridge.acceptance.rides import RideFlow
from reader_bridge.acceptance.sale import Sale
from reader_bridge.amounts import require_amount
from reader_bridge.backend_client import Refused, Unreachable
from reader_bridge.codes import read_scanner_line
from reader_bridge.faults import CardFault, CodeFault, Fault, ReaderFault, TerminalFault, Text
from reader_bridge.journal import Entry, EntryState
from reader_bridge.kernels.selection import AcceptedApplication, Kernel, select
from reader_bridge.profile import Profile
from reader_bridge.readers.code_kind import CodeKind, classify, clean
from reader_bridge.readers.port import CardChannel
from reader_bridge.receipt import Outcome, Receipt, Refusal
from reader_bridge.sam.port import Sam

OFFLINE_FIRST: Final = frozenset({Mode.BUS, Mode.GATE})
# Troubles of the terminal that end one sale and not the service.
_ENDS_A_SALE: Final = frozenset({"journal_full", "sale_unfinished"})
_REFERENCE = re.compile(r"[!-~\u0080-\uffff]{1,64}")
_BALANCE_BY_CODE: Final = Text("查询余额请出示卡", "A balance is read from a card")


class Acceptance:
    """The joined terminal's `Acceptor`. One tap or code at a time; the next one waits."""

    def __init__(
        self,
        desk: Desk,
        knowledge: Knowledge | None,
        sam: Sam | None,
        ask_profile: Callable[[], Profile],
        folder: Path | None,
        *,
        is_offline_first: bool | None = None,
        loads: LoadFlow | None = None,
    ) -> None:
        """`ask_profile` is used while no signed profile is kept. `is_offline_first` None: as the
        profile's mode says."""
        self.desk, self._knowledge = desk, knowledge
        self._ask_profile, self._is_offline_first = ask_profile, is_offline_first
        self._mobile_cards = MobileCardFlow(desk)
        self._purses = PurseFlow(desk, sam)
        self._books = Books(sam)
        self._has_sam, self._loads = sam is not None, loads
        self._rides = None if folder is None else RideFlow(desk, folder)
        self._lock = threading.RLock()

    def close(self) -> None:
        if self._rides is not None:
            self._rides.close()

    def tap(self, order: Order, channel: CardChannel, reader_name: str) -> Receipt:
        """As `Acceptor.tap`."""
        with self._lock:
            try:
                return replace(self._tapped(order, channel), reader_name=reader_name)
            finally:
                channel.close()

    def code(self, order: Order, payload: bytes) -> Receipt:
        """As `Acceptor.code`."""
        with self._lock:
            if order.kind is OrderKind.BALANCE:
                return self._refused(order, "balance_needs_card", _BALANCE_BY_CODE)
            if order.kind is OrderKind.LOAD:
                return self._loaded(order, lambda loads: loads.code(order, payload))
            known = self.find_known(order)
            if known is not None:
                return known
            try:
                return self._paid_by_code(self.sale_of(order), clean(payload))
            except (CodeFault, CardFault) as fault:  # CardFault: a post that only loads
                return self.desk.refusal(fault, order.amount_fen or 0, order.reference)
            except (Unreachable, Refused, TerminalFault) as failure:
                return self._ended(order, failure)

    def find_known(self, order: Order) -> Receipt | None:
        """The first result of this reference told again; None where it is new, or still torn.

        Raises TerminalFault(reference_malformed, reference_used_differently).
        """
        entry = self._find_entry(order)
        if entry is None or entry.state is EntryState.INTENDED:
            return None
        return self.desk.told_again(entry, order.amount_fen or entry.draft.amount_fen)

    def sale_of(self, order: Order) -> Sale:
        """The order with all that a decision needs.

        Raises Unreachable, Refused while there is no signed profile, RideRefused at a post that
        only loads, TerminalFault (amount_missing, amount_not_asked, place_unfit first of all).
        """
        known = Known() if self._knowledge is None else self._knowledge.now
        profile = self._ask_profile() if known.profile is None else known.profile.facts
        book = self._books.of(known)
        book.require_asked(order.amount_fen)
        torn = self._find_entry(order)
        is_offline_first = self._is_offline_first
        if is_offline_first is None:
            is_offline_first = known.mode in OFFLINE_FIRST
        return Sale(
            reference=order.reference,
            asked_fen=order.amount_fen,
            amount_fen=0 if order.amount_fen is None else require_amount(order.amount_fen),
            at=self.desk.now(),
            profile=profile,
            known=known,
            is_offline_first=is_offline_first,
            book=book,
            stay_started_at=order.stay_started_at,
            torn_card_key=None if torn is None else torn.card_key,
        )

    def pay_code(self, sale: Sale, line: str) -> Receipt:
        """Online only, where the register names the amount. Raises CodeFault."""
        if not sale.book.is_told:
            raise CodeFault("pay_code_not_accepted")
        content = read_scanner_line(line)
        draft = sale.draft("pay_code", None)
        proof = {"kind": "pay_code", "content": content}
        return self.desk.sell_online(draft, sale.online_body(draft, proof), ())

    def pay_by_card(self, sale: Sale, channel: CardChannel) -> Receipt:
        """One selection, one kernel. Raises ReaderFault, SamFault, TerminalFault."""
        takes_purses = self._has_sam and sale.known.profile is not None
        accepted = [one for one in sale.applications if takes_purses or _is_mobile(one)]
        tap = Tap(channel, self.desk.clock)
        try:
            selected = select(tap.exchange, accepted, tries_by_aid=takes_purses)
            if selected.application.kernel is Kernel.EPURSE:
                loaded = self._finish_loads(tap)
                receipt = self._purses.sell(sale, tap, selected)
                return replace(receipt, finished=(*loaded, *receipt.finished))
            if sale.torn_card_key is not None:
                raise ReaderFault("debit_unknown")  # the order waits for the purse that was torn
            return self._mobile_cards.sell(sale, tap, selected)
        except MalformedBytes:
            malformed = CardFault("card_answer_malformed")
            return self.desk.refusal(malformed, sale.amount_fen, sale.reference)
        except CardFault as fault:
            return self.desk.refusal(fault, sale.amount_fen, sale.reference)
        except TerminalFault as fault:
            if fault.code not in _ENDS_A_SALE:
                raise
            return self.desk.refusal(fault, sale.amount_fen, sale.reference)

    def _tapped(self, order: Order, channel: CardChannel) -> Receipt:
        try:
            if order.kind is OrderKind.LOAD:
                return self._loaded(order, lambda loads: self._load(loads, order, channel))
            if order.kind is OrderKind.BALANCE:
                return self._balance(order, channel)
            known = self.find_known(order)
            return known or self.pay_by_card(self.sale_of(order), channel)
        except CardFault as fault:  # a post that only loads
            return self.desk.refusal(fault, order.amount_fen or 0, order.reference)
        except TerminalFault as fault:
            if fault.code != "place_unfit":
                raise
            return self.desk.refusal(fault, order.amount_fen or 0, order.reference)
        except (Unreachable, Refused) as failure:
            return self._ended(order, failure)

    def _finish_loads(self, tap: Tap) -> tuple[Receipt, ...]:
        return () if self._loads is None else self._loads.finish(tap)

    def _load(self, loads: LoadFlow, order: Order, channel: CardChannel) -> Receipt:
        known = Known() if self._knowledge is None else self._knowledge.now
        profile = self._ask_profile() if known.profile is None else known.profile.facts
        return loads.tap(order, profile, known, Tap(channel, self.desk.clock))

    def _loaded(self, order: Order, act: Callable[[LoadFlow], Receipt]) -> Receipt:
        """A load, or why there was none. Raises ReaderFault, also LoadPause; TerminalFault."""
        _require_reference(order.reference)
        if self._loads is None:
            raise ValueError("a terminal without a folder loads no card")
        try:
            return act(self._loads)
        except MalformedBytes:
            fault: Fault = CardFault("card_answer_malformed")
        except (CardFault, CodeFault) as refused:
            fault = refused
        except (Unreachable, Refused, TerminalFault) as failure:
            return self._ended(order, failure)
        return self.desk.refusal(fault, order.amount_fen or 0, order.reference)

    def _balance(self, order: Order, channel: CardChannel) -> Receipt:
        """A purse tells it; of a wallet only the backend knows it, and tells nobody but the holder
        and the merchant who was just paid."""
        _require_reference(order.reference)
        known = Known() if self._knowledge is None else self._knowledge.now
        profile = self._ask_profile() if known.profile is None else known.profile.facts
        tap = Tap(channel, self.desk.clock)
        try:
            selected = select(tap.exchange, profile.applications, tries_by_aid=True)
            if selected.application.kernel is Kernel.EPURSE:
                loaded = self._finish_loads(tap)
                receipt = self._purses.read_balance(order.reference, tap, selected)
                return replace(receipt, finished=(*loaded, *receipt.finished))
        except CardFault as fault:
            return self.desk.refusal(fault, 0, order.reference)
        return Receipt(
            heading=self.desk.heading,
            outcome=Outcome.TOLD,
            amount_fen=0,
            register_reference=order.reference,
            method="tap",
            application=selected.application.label,
            steps=tap.done(),
        )

    def _paid_by_code(self, sale: Sale, payload: bytes) -> Receipt:
        if classify(payload) is CodeKind.RIDE:
            if self._rides is None:
                raise CodeFault("ride_code_not_accepted")
            return self._rides.sell(sale, payload)
        try:
            text = payload.decode("utf-8")
        except UnicodeDecodeError:
            raise CodeFault("pay_code_malformed") from None
        return self.pay_code(sale, text)

    def _find_entry(self, order: Order) -> Entry | None:
        _require_reference(order.reference)
        entry = self.desk.journal.last_result(order.reference)
        if entry is None and self._loads is not None and self._loads.find(order.reference):
            raise TerminalFault(
                "reference_used_differently", reference=order.reference, field="kind"
            )
        is_other = order.amount_fen is not None and entry is not None
        if is_other and entry is not None and entry.draft.amount_fen != order.amount_fen:
            raise TerminalFault(
                "reference_used_differently", reference=order.reference, field="amount"
            )
        return entry

    def _ended(self, order: Order, failure: Unreachable | Refused | TerminalFault) -> Receipt:
        """Before anything was stored: the terminal cannot say what it accepts, or not now."""
        if isinstance(failure, TerminalFault):
            if failure.code in {"state_unusable", "state_damaged"} or failure.code.startswith(
                "reference_"
            ):
                raise failure
            return self.desk.refusal(failure, order.amount_fen or 0, order.reference)
        if isinstance(failure, Refused):
            words = failure.detail.replace("{", "{{").replace("}", "}}")
            return self._refused(order, failure.code, Text(words, words))
        text = Text("无法连接后台,未发送", "No connection: nothing was sent")
        return self._refused(order, "backend_unreachable", text)

    def _refused(self, order: Order, code: str, text: Text) -> Receipt:
        return Receipt(
            heading=self.desk.heading,
            outcome=Outcome.REFUSED,
            amount_fen=order.amount_fen or 0,
            register_reference=order.reference,
            refusal=Refusal(code, text, True, {}),
        )


def _is_mobile(application: AcceptedApplication) -> bool:
    return application.kernel is Kernel.MOBILE_CARD


def _require_reference(reference: str) -> None:
    if not _REFERENCE.fullmatch(reference):
        raise TerminalFault("reference_malformed")
