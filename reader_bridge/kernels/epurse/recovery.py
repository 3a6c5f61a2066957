"""A torn purchase is finished on the next presentation: proved, or found never to have been."""

from __future__ import annotations

from card_protocol.commands import Select
from card_protocol.epurse.commands import Initialise, InitialisePurchaseAnswer, Prove, ProveAnswer
from card_protocol.epurse.files import LOG_SEQUENCE_IS_AFTER, LogRecord
from card_protocol.epurse.sam import PURCHASE_KINDS
from card_protocol.status import StatusWord
from reader_bridge.exchange import Exchange
from reader_bridge.faults import CardFault, SamFault
from reader_bridge.kernels.epurse.answers import card_speaks, fault_of, require_done
from reader_bridge.kernels.epurse.facts import read_log, read_public
from reader_bridge.kernels.epurse.values import (
    Intent,
    Lost,
    NotTaken,
    OtherCard,
    PurseSale,
    sale_of,
)
from reader_bridge.sam.port import Sam

Recovered = PurseSale | NotTaken | OtherCard | Lost


def recover(exchange: Exchange, sam: Sam, intent: Intent) -> Recovered:
    """What became of an intent whose DEBIT was never answered (design B.1.5).

    Selects the purse itself, so it may be called on any card in the field, and changes nothing on
    it. The sale comes from the card's own proof; its MAC2 is checked by the SAM as ever, and is
    `mac2_unchecked` where the SAM has gone on. May be called again after a ReaderFault.
    Raises CardFault (card_false_mac: the card's proof is not genuine), ReaderFault.
    """
    if not is_purse_of(exchange, intent.aid, intent.serial, intent.issuer_id):
        return OtherCard()
    counter = _find_counter(exchange, intent)
    if counter == intent.request.offline_atc:
        return NotTaken(intent)
    # INITIALIZE is refused when what is left is less than the amount: then the proof decides.
    proof = None if counter not in {None, intent.counter_after} else _find_proof(exchange, intent)
    if proof is None:
        return Lost(intent, counter, _log_shows(read_log(exchange), intent))
    return _judge(exchange, sam, intent, proof)


def is_purse_of(exchange: Exchange, aid: bytes, serial: bytes, issuer_id: bytes) -> bool:
    """Selects the purse; False for a card that has none, or another. A blocked one still proves."""
    answer = exchange.send("select_application", Select(aid).to_apdu())
    if answer.sw in {StatusWord.FILE_NOT_FOUND, StatusWord.INS_NOT_SUPPORTED}:
        return False
    if answer.sw not in {StatusWord.OK, StatusWord.WARNING_BLOCKED}:
        raise fault_of(answer.sw)
    with card_speaks():
        public = read_public(exchange)
    return (public.serial, public.issuer) == (serial, issuer_id)


def _find_counter(exchange: Exchange, intent: Intent) -> int | None:
    """The card's counter now. INITIALIZE also ends whatever the torn tap had left open."""
    request = intent.request
    command = Initialise(request.kind, intent.key_index, request.amount_fen, intent.terminal)
    answer = exchange.send("initialise", command.to_apdu())
    if answer.sw != StatusWord.OK:
        return None
    with card_speaks():
        return InitialisePurchaseAnswer.decode(answer.data).offline_atc


def _find_proof(exchange: Exchange, intent: Intent) -> ProveAnswer | None:
    """None when the card's last transaction is another one (9406)."""
    command = Prove(intent.request.kind, intent.counter_after).to_apdu()
    answer = exchange.send("prove", command)
    if answer.sw == StatusWord.MAC_NOT_AVAILABLE:
        return None
    with card_speaks():
        return ProveAnswer.decode(require_done(answer))


def _judge(
    exchange: Exchange, sam: Sam, intent: Intent, proof: ProveAnswer
) -> PurseSale | NotTaken:
    """The counter may have been used by another terminal since: MAC2 tells, else the log."""
    try:
        verified = sam.prove_purchase(intent.request, intent.offer, proof.mac2)
    except SamFault:
        verified = None
    except CardFault as fault:
        if _log_shows(read_log(exchange), intent) is False:
            return NotTaken(intent)
        if fault.code == "card_false_mac":
            raise
        verified = None  # the SAM's keys have changed since
    if verified is None and _log_shows(read_log(exchange), intent) is False:
        return NotTaken(intent)
    return sale_of(intent, proof.tac, verified)


def _log_shows(log: tuple[LogRecord, ...], intent: Intent) -> bool | None:
    """True: this purchase is there. False: the counter went to another one. None: no telling."""
    request = intent.request
    ours = (request.amount_fen, request.kind, intent.terminal, request.moment)
    if any((item.amount_fen, item.kind, item.terminal, item.moment) == ours for item in log):
        return True
    sequence = intent.counter_after if LOG_SEQUENCE_IS_AFTER else request.offline_atc
    is_anothers = any(item.sequence == sequence and item.kind in PURCHASE_KINDS for item in log)
    return False if is_anothers else None
