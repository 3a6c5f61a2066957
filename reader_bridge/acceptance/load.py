"""A load at a terminal: who pays first, then the card; torn loads are finished before all else."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from reader_bridge.acceptance.desk import Desk, Tap
from reader_bridge.acceptance.knowledge import Known
from reader_bridge.acceptance.order import Order
from reader_bridge.acceptance.sale import tap_proof, transaction_of
from reader_bridge.amounts import format_yuan
from reader_bridge.backend_client import Refused, Unreachable
from reader_bridge.codes import read_scanner_line
from reader_bridge.faults import CardFault, ReaderFault, TerminalFault, Text
from reader_bridge.kernels import epurse
from reader_bridge.kernels.epurse import (
    LoadLost,
    NotWritten,
    OtherCard,
    PurseFacts,
    PurseLoad,
    Terms,
    moment_at,
)
from reader_bridge.kernels.epurse.answers import card_speaks
from reader_bridge.kernels.epurse.facts import read_public
from reader_bridge.kernels.mobile_card import require_valid_at, tap_selected
from reader_bridge.kernels.selection import AcceptedApplication, Kernel, Selected, select
from reader_bridge.loads import (
    ON_CARD,
    BackendLoadHost,
    Funding,
    Load,
    LoadBook,
    LoadFault,
    LoadPause,
    LoadStage,
    LoadTeller,
    LoadWish,
    ReferenceTaken,
)
from reader_bridge.loads.faults import LOST, LOST_CODE
from reader_bridge.loads.offers import require_offered
from reader_bridge.profile import Profile
from reader_bridge.readers.code_kind import CodeKind, classify, clean
from reader_bridge.receipt import (
    REFUSALS,
    Outcome,
    Receipt,
    Refusal,
    masked_purse,
)
from reader_bridge.sam.port import Sam

KEY_INDEX: Final = 1  # UNSURE: which of the card's load keys; the issuer's terms would tell
PAYERS_MAX: Final = 8  # proofs that wait for a card; each is good for one load only
PAYER_SECONDS: Final = 60.0  # a pay code lives for half a minute
PIN_BLOCKED: Final = "6983"
_DIGITS: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_OUTCOMES: Final[Mapping[LoadStage, Outcome]] = {
    LoadStage.ASKED: Outcome.UNKNOWN,
    LoadStage.PAID: Outcome.INTENDED,
    LoadStage.WRITTEN: Outcome.LOADED,
    LoadStage.CONFIRMED: Outcome.LOADED,
    LoadStage.RETURNING: Outcome.RETURNED,
    LoadStage.RETURNED: Outcome.RETURNED,
    LoadStage.REFUSED: Outcome.REFUSED,
    LoadStage.LOST: Outcome.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class _Payer:
    """Who pays, shown at this moment of the clock's `elapsed`. In memory only."""

    proof: Mapping[str, Any] = field(repr=False)
    at: float


@dataclass(frozen=True, slots=True)
class LoadFlow:
    """One terminal's. Raises what `Acceptor.tap` does, and LoadPause: nothing happened, the order
    wants something more and then a card again."""

    desk: Desk
    book: LoadBook
    sam: Sam | None
    wake: Callable[[], None]  # there is a word for the backend
    _payers: OrderedDict[str, _Payer] = field(default_factory=OrderedDict, repr=False)

    @property
    def teller(self) -> LoadTeller:
        return LoadTeller(self.book, self.desk.delivery.client, self.desk.clock)

    def find(self, reference: str) -> Load | None:
        return self.book.find(reference)

    def ask_again(self, load: Load) -> Receipt:
        """How it stands; what can be done without the card is done."""
        return self.receipt(self.teller.settle(load), is_repeated=True)

    def tap(self, order: Order, profile: Profile, known: Known, tap: Tap) -> Receipt:
        """The card in the field is the payer's or the one to be loaded."""
        kept = self._find_same(order)
        if kept is not None:
            return self._go_on(kept, order, tap)
        if order.funding is Funding.WALLET and self._find_payer(order.reference) is None:
            self._keep_payer(order, self._read_payer(order, profile, tap))
            raise LoadPause("load_show_purse")
        selected = select(tap.exchange, _purses(profile), tries_by_aid=True)
        facts = epurse.read(tap.exchange, selected)
        finished = self._finish_before(facts.purse_number, tap, order.pin)
        if finished is not None and finished.stage is not LoadStage.REFUSED:
            told = self.receipt(finished)
            if finished.stage is LoadStage.LOST or finished.stage in ON_CARD:
                return replace(self._stopped(order, finished), finished=(told,))
            return replace(self._load(order, known, tap, facts, selected), finished=(told,))
        return self._load(order, known, tap, facts, selected)

    def code(self, order: Order, payload: bytes) -> Receipt:
        """Keeps who pays. Raises CodeFault, LoadPause; a settled order is told again."""
        kept = self._find_same(order)
        if kept is not None:
            return self.ask_again(kept)
        if order.funding is not Funding.WALLET:
            return self._refused(order, LoadFault("load_cash_needs_card"))
        body = clean(payload)
        if classify(body) is CodeKind.RIDE:
            return self._refused(order, LoadFault("load_payer_not_a_code"))
        content = read_scanner_line(body.decode("utf-8", "replace"))
        self._keep_payer(order, {"kind": "pay_code", "content": content})
        raise LoadPause("load_show_purse")

    def finish(self, tap: Tap) -> tuple[Receipt, ...]:
        """The torn load of the purse that was just selected, before a sale or a balance.

        Needs no network: the word goes up later. A card that wants its PIN for it is let by.
        """
        if not self.book.has_open():
            return ()
        with card_speaks():
            purse_number = read_public(tap.exchange).serial.hex().upper()
        load = self.book.find_open(purse_number)
        if load is None or load.stage is not LoadStage.PAID:
            return ()
        try:
            settled = self._recover(load, tap, None)
        except CardFault as fault:
            if fault.code != "purse_pin_required":
                raise
            return ()
        self.wake()
        return (self.receipt(settled),)

    # --- a new load ------------------------------------------------------------------------------

    def _load(
        self, order: Order, known: Known, tap: Tap, facts: PurseFacts, selected: Selected
    ) -> Receipt:
        signed = known.profile
        if signed is None:
            raise TerminalFault("profile_missing")
        amount_fen = _amount_of(order)
        require_offered(signed.terms, amount_fen)
        terms = Terms(moment_at(self.desk.now()), signed.terms.purse_issuers)
        proof = self._find_payer(order.reference)
        funding = order.funding or Funding.CASH
        label = selected.application.label
        wish = LoadWish(order.reference, amount_fen, funding, proof, label)
        host = BackendLoadHost(self.book, self.teller, wish=wish)
        try:
            epurse.load(
                tap.exchange,
                host,
                facts,
                terms,
                amount_fen=amount_fen,
                before_credit=host.before_credit,
                terminal_number=self._terminal_number(),
                key_index=KEY_INDEX,
                pin=order.pin,
            )
        except ReferenceTaken as taken:
            return self.receipt(taken.load, is_repeated=True)
        except (Unreachable, Refused):
            if host.load is None:
                raise
        except CardFault as fault:
            if host.load is None:
                raise _pause_of(fault) from None
        finally:
            if host.load is not None:  # the proof has been shown: it is good for no other load
                self._payers.pop(order.reference, None)
        assert host.load is not None
        return self._told(host.load, tap)

    def _told(self, load: Load, tap: Tap) -> Receipt:
        """The card may go; then the backend hears, and whoever waits hears both."""
        steps = tap.done()
        started = self.desk.clock.elapsed()
        settled = self.book.get(load.load_id)
        if settled.stage in {LoadStage.WRITTEN, LoadStage.RETURNING}:
            settled = self.teller.settle(settled)
            took = round((self.desk.clock.elapsed() - started) * 1000, 3)
            steps = (*steps, ("confirm", took))
            self.wake()
        return replace(self.receipt(settled), steps=steps)

    # --- a load that was begun -------------------------------------------------------------------

    def _go_on(self, load: Load, order: Order, tap: Tap) -> Receipt:
        """The same order again: only its own card ends what is open."""
        if load.stage is LoadStage.ASKED:
            load = self.teller.decide(load)
        if load.stage is not LoadStage.PAID:
            return self.receipt(self.teller.settle(load), is_repeated=True)
        try:
            return self._told(self._recover(load, tap, order.pin), tap)
        except CardFault as fault:
            raise _pause_of(fault) from None

    def _finish_before(self, purse_number: str, tap: Tap, pin: bytes | None) -> Load | None:
        """Raises LoadPause, LoadFault(load_before_open) where the network is wanted for it."""
        load = self.book.find_open(purse_number)
        if load is None:
            return None
        if load.stage is LoadStage.ASKED:
            load = self.teller.decide(load)
        if load.stage is LoadStage.ASKED:
            raise LoadFault("load_before_open")
        if load.stage is not LoadStage.PAID:
            return load
        try:
            settled = self._recover(load, tap, pin)
        except CardFault as fault:
            raise _pause_of(fault) from None
        if settled.stage is LoadStage.PAID:
            raise LoadFault("load_before_open")
        return self.teller.settle(settled)

    def _recover(self, load: Load, tap: Tap, pin: bytes | None) -> Load:
        """What the card says of it, on the disk. Raises ReaderFault(credit_unknown) for another
        card."""
        host = BackendLoadHost(self.book, self.teller, load=load)
        outcome = epurse.recover_load(tap.exchange, host, load.intent, pin=pin)
        match outcome:
            case OtherCard():
                raise ReaderFault("credit_unknown")
            case PurseLoad() | NotWritten():
                pass
            case LoadLost(_, counter, evidence) if evidence is not None:
                if counter is not None and counter > load.intent.request.load_counter:
                    host.returned(load.intent, evidence)  # its counter says that it is written
                else:
                    self._lose(load, counter)
            case LoadLost():  # the card would not tell now: it may another time
                return load
        return self.book.get(load.load_id)

    def _lose(self, load: Load, counter: int | None) -> None:
        words = {"zh": LOST.zh, "en": LOST.en}
        answer = {"code": LOST_CODE, "detail": LOST.en, "words": words, "counter": counter}
        self.book.settle(load.load_id, LoadStage.LOST, answer)

    # --- who pays --------------------------------------------------------------------------------

    def _read_payer(self, order: Order, profile: Profile, tap: Tap) -> Mapping[str, Any]:
        """A phone card's word for this amount. Raises LoadPause(load_show_payer), CardFault."""
        amount_fen = _amount_of(order)
        at = self.desk.now()
        phones = [one for one in profile.applications if one.kernel is Kernel.MOBILE_CARD]
        try:
            selected = select(tap.exchange, phones)
        except CardFault as fault:
            if fault.code in {"application_missing", "card_foreign"}:
                raise LoadPause("load_show_payer") from None
            raise
        random = self.desk.clock.random_bytes(4)
        transaction = transaction_of(profile, amount_fen, at, random)
        proof = tap_selected(tap.exchange, transaction, selected, profile.issuer_keys)
        require_valid_at(proof.certificate, at)
        return tap_proof(proof)

    def _keep_payer(self, order: Order, proof: Mapping[str, Any]) -> None:
        self._payers[order.reference] = _Payer(proof, self.desk.clock.elapsed())
        while len(self._payers) > PAYERS_MAX:
            self._payers.popitem(last=False)

    def _find_payer(self, reference: str) -> Mapping[str, Any] | None:
        """A proof that is still worth sending: an older one is asked for anew."""
        payer = self._payers.get(reference)
        if payer is None or self.desk.clock.elapsed() - payer.at > PAYER_SECONDS:
            return None
        return payer.proof

    # --- words -----------------------------------------------------------------------------------

    def receipt(self, load: Load, *, is_repeated: bool = False) -> Receipt:
        return Receipt(
            heading=self.desk.heading,
            outcome=_OUTCOMES[load.stage],
            amount_fen=load.amount_fen,
            register_reference=load.reference,
            method="purse",
            application=load.application,
            token_number_masked=masked_purse(load.purse_number),
            balance_fen=load.balance_fen,
            refusal=_refusal_of(load),
            is_repeated=is_repeated,
            load=load.told(),
        )

    def _stopped(self, order: Order, before: Load) -> Receipt:
        """A load before turned out to be on the card, or lost: no second one on top of it."""
        if before.stage is LoadStage.LOST:
            refusal = Refusal(LOST_CODE, LOST, False, {"reference": before.reference})
            return replace(self._refused(order, LoadFault("load_before_open")), refusal=refusal)
        amount = format_yuan(before.amount_fen)
        told = self._refused(order, LoadFault("load_before_finished", amount=amount))
        return replace(told, balance_fen=before.balance_fen)

    def _refused(self, order: Order, fault: CardFault) -> Receipt:
        return self.desk.refusal(fault, order.amount_fen or 0, order.reference)

    def _find_same(self, order: Order) -> Load | None:
        """Raises TerminalFault(reference_used_differently), also for a sale's reference."""
        load = self.book.find(order.reference)
        if load is None:
            if self.desk.journal.last_result(order.reference) is not None:
                raise TerminalFault(
                    "reference_used_differently", reference=order.reference, field="kind"
                )
            return None
        for name in ("amount_fen", "funding"):
            if getattr(load, name) != getattr(order, name):
                field_name = name.removesuffix("_fen")
                raise TerminalFault(
                    "reference_used_differently", reference=order.reference, field=field_name
                )
        return load

    def _terminal_number(self) -> bytes:
        """The SAM's where there is one; else the terminal's own 8 characters in 6 bytes."""
        if self.sam is not None:
            return self.sam.read_terminal_number()
        number = self.desk.heading.terminal_number
        if _DIGITS.fullmatch(number):
            return bytes.fromhex(number.rjust(12, "0"))
        return hashlib.sha256(number.encode()).digest()[:6]


def _amount_of(order: Order) -> int:
    if order.amount_fen is None:
        raise ValueError("a load has an amount")
    return order.amount_fen


def _purses(profile: Profile) -> tuple[AcceptedApplication, ...]:
    accepted = profile.applications
    return tuple(one for one in accepted if one.kernel is Kernel.EPURSE)


def _pause_of(fault: CardFault) -> CardFault | LoadPause:
    """A card that wants its PIN is not refused: the order waits for it."""
    if fault.code == "purse_pin_required":
        return LoadPause("load_pin_wanted")
    if fault.code == "purse_pin_wrong" and fault.data.get("status") != PIN_BLOCKED:
        return LoadPause("load_pin_wrong")
    return fault


def _refusal_of(load: Load) -> Refusal | None:
    if load.stage not in {LoadStage.REFUSED, LoadStage.LOST} or load.answer is None:
        return None
    answer = load.answer
    code, detail = str(answer["code"]), str(answer.get("detail", ""))
    words = answer.get("words") or {"zh": detail, "en": detail}
    text = Text(*(str(words[name]).replace("{", "{{").replace("}", "}}") for name in ("zh", "en")))
    if load.stage is LoadStage.LOST:
        text = LOST
    retryable = bool(answer.get("retryable", False))
    return Refusal(code, REFUSALS.get(code, text), retryable, dict(answer.get("data") or {}))
