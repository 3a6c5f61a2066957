"""Money onto a purse (圈存), online with the issuer's host; a torn load is proved or given back.

Knows no network: the host is a port.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from card_protocol.checks import U8_MAX, require_bytes, require_whole
from card_protocol.epurse.commands import (
    Credit,
    Initialise,
    InitialiseLoadAnswer,
    Prove,
    ProveAnswer,
    verify_pin,
)
from card_protocol.epurse.suites import ALGORITHMS, MAC_BYTES
from card_protocol.epurse.transactions import (
    BALANCE_MAX_FEN,
    TERMINAL_BYTES,
    TransactionKind,
)
from card_protocol.errors import MalformedBytes
from card_protocol.status import StatusWord
from reader_bridge.exchange import Exchange
from reader_bridge.faults import CardFault, ReaderFault
from reader_bridge.kernels.epurse.answers import card_speaks, fault_of, require_done
from reader_bridge.kernels.epurse.facts import PurseFacts, Terms, require_usable
from reader_bridge.kernels.epurse.load_values import (
    CODE,
    LoadHost,
    LoadIntent,
    LoadLost,
    LoadRequest,
    NotWritten,
    PurseLoad,
    TornLoad,
)
from reader_bridge.kernels.epurse.purchase import NOT_DEBITED
from reader_bridge.kernels.epurse.recovery import is_purse_of
from reader_bridge.kernels.epurse.values import OtherCard


def load(
    exchange: Exchange,
    host: LoadHost,
    facts: PurseFacts,
    terms: Terms,
    *,
    amount_fen: int,
    before_credit: Callable[[LoadIntent], None],
    terminal_number: bytes,
    key_index: int,
    pin: bytes | None = None,
) -> PurseLoad:
    """One load onto the purse that was selected and read.

    `before_credit` stores the intent; CREDIT leaves only after it has returned. `pin`: 2 to 6
    bytes BCD, for cards that want it. Raises CardFault (nothing loaded; the host was told when it
    had the money), ReaderFault before CREDIT, TornLoad after it, ValueError, what the host raises.
    """
    if not 0 < amount_fen <= BALANCE_MAX_FEN:
        raise ValueError("a load has an amount")
    require_bytes(terminal_number, TERMINAL_BYTES, CODE, "terminal_number")
    require_whole(key_index, 0, U8_MAX, CODE, "key_index")
    require_usable(facts, terms)
    if pin is not None:
        _verify_pin(exchange, pin)
    serial, issuer_id = facts.public.serial, facts.issuer_id
    wanted = Wanted(facts.aid, serial, issuer_id, amount_fen, terminal_number, key_index)
    request = _initialise(exchange, wanted)
    intent = LoadIntent(request, host.begin(request))
    before_credit(intent)
    # From here on the card may have the money, whatever happens.
    done = _credit(exchange, host, intent)
    host.written(done)
    return done


def recover_load(
    exchange: Exchange, host: LoadHost, intent: LoadIntent, *, pin: bytes | None = None
) -> PurseLoad | NotWritten | OtherCard | LoadLost:
    """What became of a load whose CREDIT was never answered; tells the host.

    The proof (TTI 02) is asked first: with the money on it a card may refuse to INITIALIZE the
    same load again, for it would be too much. Changes nothing on the card.
    Raises CardFault, ReaderFault; may be called again.
    """
    asked = intent.request
    if not is_purse_of(exchange, asked.aid, asked.serial, asked.issuer_id):
        return OtherCard()
    tac = _find_proof(exchange, asked.load_counter + 1)
    if tac is not None:
        done = PurseLoad(intent, tac)
        host.written(done)
        return done
    if pin is not None:
        _verify_pin(exchange, pin)
    evidence = _find_evidence(exchange, asked)
    if evidence is None or evidence.load_counter != asked.load_counter:
        counter = None if evidence is None else evidence.load_counter
        return LoadLost(intent, counter, evidence)
    host.returned(intent, evidence)
    return NotWritten(intent, evidence)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What INITIALIZE FOR LOAD is asked with, and of whom."""

    aid: bytes
    serial: bytes
    issuer_id: bytes
    amount_fen: int
    terminal_number: bytes
    key_index: int

    def command(self) -> Initialise:
        kind = TransactionKind.LOAD
        return Initialise(kind, self.key_index, self.amount_fen, self.terminal_number)

    def request(self, init: InitialiseLoadAnswer) -> LoadRequest:
        return LoadRequest(
            self.aid,
            self.serial,
            self.issuer_id,
            self.amount_fen,
            self.terminal_number,
            self.key_index,
            init.balance_fen & BALANCE_MAX_FEN,
            init.online_atc,
            init.key_version,
            init.algorithm,
            init.random,
            init.mac1,
        )


def _initialise(exchange: Exchange, wanted: Wanted) -> LoadRequest:
    answer = exchange.send("initialise", wanted.command().to_apdu())
    if answer.sw == StatusWord.SECURITY_STATUS_NOT_MET:
        raise CardFault("purse_pin_required")
    with card_speaks():
        init = InitialiseLoadAnswer.decode(require_done(answer))
    if init.algorithm not in ALGORITHMS:
        raise CardFault("card_suite_unknown")
    return wanted.request(init)


def _verify_pin(exchange: Exchange, pin: bytes) -> None:
    answer = exchange.send("verify_pin", verify_pin(pin))
    if answer.sw == StatusWord.PIN_BLOCKED or answer.sw >> 8 == 0x63:
        raise CardFault("purse_pin_wrong", status=f"{answer.sw:04X}")
    if answer.sw != StatusWord.OK:
        raise fault_of(answer.sw)


def _credit(exchange: Exchange, host: LoadHost, intent: LoadIntent) -> PurseLoad:
    """Raises CardFault where the card surely refused, TornLoad where nobody can know."""
    command = Credit(intent.authorisation.moment, intent.authorisation.mac2).to_apdu()
    try:
        answer = exchange.send("credit", command)
    except (ReaderFault, CardFault):
        raise TornLoad(intent) from None
    if answer.sw in NOT_DEBITED:
        host.returned(intent, _evidence_now(exchange, intent.request))
        raise CardFault("load_refused_by_card", status=f"{answer.sw:04X}")
    if answer.sw != StatusWord.OK or len(answer.data) != MAC_BYTES:
        raise TornLoad(intent)
    return PurseLoad(intent, answer.data)


def _evidence_now(exchange: Exchange, asked: LoadRequest) -> LoadRequest | None:
    """The same while the card still lies there; None rather than a second fault."""
    try:
        evidence = _find_evidence(exchange, asked)
    except (ReaderFault, CardFault):
        return None
    is_unchanged = evidence is not None and evidence.load_counter == asked.load_counter
    return evidence if is_unchanged else None


def _find_proof(exchange: Exchange, counter_after: int) -> bytes | None:
    """The TAC of the load; None when the card's last transaction is another one (9406)."""
    answer = exchange.send("prove", Prove(TransactionKind.LOAD, counter_after).to_apdu())
    if answer.sw != StatusWord.OK:
        return None
    try:
        return ProveAnswer.decode(answer.data).tac
    except MalformedBytes:
        raise CardFault("card_answer_malformed") from None


def _find_evidence(exchange: Exchange, asked: LoadRequest) -> LoadRequest | None:
    """INITIALIZE FOR LOAD as it was; None where the card refuses it now (but for its PIN)."""
    wanted = Wanted(
        asked.aid,
        asked.serial,
        asked.issuer_id,
        asked.amount_fen,
        asked.terminal_number,
        asked.key_index,
    )
    answer = exchange.send("initialise", wanted.command().to_apdu())
    if answer.sw == StatusWord.SECURITY_STATUS_NOT_MET:
        raise CardFault("purse_pin_required")
    if answer.sw != StatusWord.OK:
        return None
    with card_speaks():
        return wanted.request(InitialiseLoadAnswer.decode(answer.data))
