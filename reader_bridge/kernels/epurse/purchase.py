"""A purchase from a purse, offline, with the terminal's SAM: plain or compound (消费, 复合消费)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from card_protocol.apdu import ResponseApdu
from card_protocol.epurse.commands import (
    Debit,
    DebitAnswer,
    Initialise,
    InitialisePurchaseAnswer,
)
from card_protocol.epurse.sam import SamRequest
from card_protocol.epurse.suites import ALGORITHMS
from card_protocol.epurse.transactions import BALANCE_MAX_FEN, TransactionKind
from card_protocol.errors import MalformedBytes
from card_protocol.status import StatusWord
from reader_bridge.exchange import Exchange
from reader_bridge.faults import CardFault, ReaderFault, SamFault
from reader_bridge.kernels.epurse.answers import ask, card_speaks, fault_of
from reader_bridge.kernels.epurse.facts import PurseFacts, Terms, require_usable
from reader_bridge.kernels.epurse.values import (
    RECORDS_MAX,
    CappRecord,
    Intent,
    PurseSale,
    Torn,
    sale_of,
)
from reader_bridge.sam.port import Sam, Verified

BeforeDebit = Callable[[Intent], None]
# With these a card says that it did not debit. Any other word, 6581 and 6F00 first of all, leaves
# it open, and the card is asked again.
NOT_DEBITED: Final = frozenset(
    {
        StatusWord.MAC_INVALID,
        StatusWord.COMMAND_NOT_ACCEPTABLE,
        StatusWord.CONDITIONS_NOT_MET,
        StatusWord.SECURITY_STATUS_NOT_MET,
        StatusWord.WRONG_LENGTH,
        StatusWord.WRONG_DATA,
        StatusWord.FUNCTION_NOT_SUPPORTED,
        StatusWord.NO_ROOM,
        StatusWord.WRONG_P1_P2,
        StatusWord.INS_NOT_SUPPORTED,
        StatusWord.CLA_NOT_SUPPORTED,
        StatusWord.APPLICATION_LOCKED,
        StatusWord.INSUFFICIENT_BALANCE,
        StatusWord.COUNTER_AT_MAXIMUM,
        StatusWord.RECORD_LOCKED,
        StatusWord.GREY_LOCKED,
    }
)


def purchase(
    exchange: Exchange,
    sam: Sam,
    facts: PurseFacts,
    terms: Terms,
    *,
    amount_fen: int,
    before_debit: BeforeDebit,
) -> PurseSale:
    """A plain purchase (TTI 06) from the purse that was selected and read.

    `before_debit` is called once, with everything a later proof needs; DEBIT leaves only after it
    has returned, so what it raises stops the purchase with nothing taken.
    Raises CardFault and SamFault (nothing taken; card_false_mac: the card is not genuine),
    ReaderFault before DEBIT, Torn after it, ValueError for an amount that is none.
    """
    if not 0 < amount_fen <= BALANCE_MAX_FEN:
        raise ValueError("a purchase has an amount")
    wanted = Wanted(TransactionKind.PURCHASE, amount_fen, terms)
    return _purchase(exchange, sam, facts, wanted, before_debit)


def compound(
    exchange: Exchange,
    sam: Sam,
    facts: PurseFacts,
    terms: Terms,
    *,
    amount_fen: int,
    records: Sequence[CappRecord],
    before_debit: BeforeDebit,
) -> PurseSale:
    """A compound purchase (TTI 09): money and records change together; 0 fen at an entry gate.

    Raises as `purchase` does, and CardFault(purse_record_locked).
    """
    if not 0 <= amount_fen <= BALANCE_MAX_FEN:
        raise ValueError("an amount is not negative")
    if not 0 < len(records) <= RECORDS_MAX:
        raise ValueError("a compound purchase writes 1 to 8 records")
    wanted = Wanted(TransactionKind.COMPOUND_PURCHASE, amount_fen, terms, tuple(records))
    return _purchase(exchange, sam, facts, wanted, before_debit)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the register asks for."""

    kind: TransactionKind
    amount_fen: int
    terms: Terms
    records: tuple[CappRecord, ...] = ()


def _purchase(
    exchange: Exchange,
    sam: Sam,
    facts: PurseFacts,
    wanted: Wanted,
    before_debit: BeforeDebit,
) -> PurseSale:
    require_usable(facts, wanted.terms)
    terminal, key_index = sam.read_terminal_number(), sam.key_index()
    init = _initialise(exchange, Initialise(wanted.kind, key_index, wanted.amount_fen, terminal))
    request = _sam_request(init, facts, wanted)
    offer = sam.begin_purchase(request)
    for record in wanted.records:
        ask(exchange, "update_cache", record.to_write().to_apdu())
    balance_fen = init.balance_fen & BALANCE_MAX_FEN
    serial, issuer_id = facts.public.serial, facts.issuer_id
    intent = Intent(
        facts.aid,
        serial,
        issuer_id,
        terminal,
        key_index,
        balance_fen,
        request,
        offer,
        wanted.records,
    )
    before_debit(intent)
    # From here on the card may have paid, whatever happens.
    answer = _debit(exchange, intent)
    return sale_of(intent, answer.tac, _verify(sam, answer.mac2))


def _initialise(exchange: Exchange, command: Initialise) -> InitialisePurchaseAnswer:
    with card_speaks():
        data = ask(exchange, "initialise", command.to_apdu())
        init = InitialisePurchaseAnswer.decode(data)
    if init.algorithm not in ALGORITHMS:
        raise CardFault("card_suite_unknown")
    if command.amount_fen > (init.balance_fen & BALANCE_MAX_FEN):
        # Also where the card would lend: an overdraft is no money this terminal can promise.
        raise CardFault("purse_balance_low")
    return init


def _sam_request(init: InitialisePurchaseAnswer, facts: PurseFacts, wanted: Wanted) -> SamRequest:
    """What the card said, told to the SAM."""
    return SamRequest(
        init.random,
        init.offline_atc,
        wanted.amount_fen,
        wanted.kind,
        wanted.terms.moment,
        init.key_version,
        init.algorithm,
        facts.public.key_factor,
        facts.issuer_id,
    )


def _debit(exchange: Exchange, intent: Intent) -> DebitAnswer:
    """Raises CardFault where the card surely refused, Torn where nobody can know."""
    offer, request = intent.offer, intent.request
    command = Debit(offer.terminal_serial, request.moment, offer.mac1).to_apdu()
    try:
        answer: ResponseApdu = exchange.send("debit", command)
    except (ReaderFault, CardFault):
        raise Torn(intent) from None
    if answer.sw in NOT_DEBITED:
        raise fault_of(answer.sw)
    if answer.sw != StatusWord.OK:
        raise Torn(intent)
    try:
        return DebitAnswer.decode(answer.data)
    except MalformedBytes:
        raise Torn(intent) from None


def _verify(sam: Sam, mac2: bytes) -> Verified | None:
    """None when the SAM itself fails now: the card may well have paid. A false MAC2 is raised."""
    try:
        return sam.finish_purchase(mac2)
    except SamFault:
        return None
