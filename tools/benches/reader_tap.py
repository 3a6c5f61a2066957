"""One offline tap with the pieces of the bridge: presentation in, durable green light out.

`tap_once` is all of the terminal that the bench knows. It knows no pcscd and no watch.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from typeid import TypeID

from card_protocol.deny_list import DenyList
from card_protocol.epurse.capp import capp_record
from card_protocol.epurse.files import SFI_JOURNEYS, JourneyRecord
from card_protocol.mobile_card import GpoResponse, TransactionData, TransactionType
from reader_bridge.clock import CHINA, Clock
from reader_bridge.exchange import Exchange
from reader_bridge.forward import OfflineSale, sale_body
from reader_bridge.journal import Atc, Draft, EntryKind, Journal
from reader_bridge.kernels import epurse, mobile_card
from reader_bridge.kernels.selection import Kernel, Selected, select
from reader_bridge.offline import (
    Accept,
    GenuineCertificates,
    MobileCardFacts,
    PurseFacts,
    decide,
)
from reader_bridge.profile import SignedProfile
from reader_bridge.readers.port import Reader
from reader_bridge.sam.port import Sam
from tools.benches.errors import BenchFailed
from tools.benches.reader_world import FARE_FEN, MERCHANT_NUMBER, TERMINAL_NUMBER

CARD_SECONDS: Final = 10.0
SFI_VARIABLE: Final = 0x1A
RAIL: Final = epurse.CappRecord(SFI_VARIABLE, capp_record(0x2712, b"\x09" * 124, 1, id_bytes=2))


@dataclass(frozen=True, slots=True)
class Till:
    """What a terminal has when a card comes."""

    journal: Journal
    profile: SignedProfile
    deny_list: DenyList
    sam: Sam | None = None
    clock: Clock = field(default_factory=Clock)
    is_genuine: GenuineCertificates = field(default_factory=GenuineCertificates)

    def decide(self, facts: MobileCardFacts | PurseFacts, card_key: str, now: int) -> None:
        """Raises BenchFailed unless the sale may be taken."""
        usage = self.journal.usage(card_key, now)
        answer = decide(facts, self.profile, self.deny_list, usage, now, is_genuine=self.is_genuine)
        if answer != Accept():
            raise BenchFailed(f"an offline sale was not taken: {answer}")


def tap_once(till: Till, reader: Reader, show_green: Callable[[], None]) -> None:
    """A sale of FARE_FEN to the card in the field. `show_green` is called once, when it is durable.

    Raises BenchFailed, and what the bridge raises.
    """
    channel = reader.wait_for_card(CARD_SECONDS)
    if channel is None:
        raise BenchFailed("the reader shows no card")
    try:
        exchange, now = Exchange(channel), int(till.clock.unix_now())
        selected = select(exchange, till.profile.facts.applications)
        is_purse = selected.application.kernel is Kernel.EPURSE
        (_take_purse if is_purse else _take_mobile_card)(till, exchange, selected, now)
        show_green()
    finally:
        channel.close()


def _take_mobile_card(till: Till, exchange: Exchange, selected: Selected, now: int) -> None:
    # The issuer's key is left to `decide`, which remembers certificates it has checked.
    proof = mobile_card.tap_selected(exchange, _transaction(till, now), selected, {})
    certificate, response = proof.certificate, GpoResponse.decode(proof.gpo_response)
    card_key = f"token:{certificate.token_number}"
    facts = MobileCardFacts(FARE_FEN, certificate, proof.pdol_data, response)
    till.decide(facts, card_key, now)
    draft = _draft("tap", selected)
    wire = {"pdol_data": _b64u(proof.pdol_data), "gpo_response": _b64u(proof.gpo_response)}
    wire["certificate"] = _b64u(certificate.encode())

    def body_of(counter: int) -> bytes:
        return _body(draft, counter, now, {"kind": "tap", **wire})

    atc = Atc(response.atc, certificate.not_after)
    _, is_new = till.journal.accept_new(draft, card_key, body_of, now, atc=atc)
    if not is_new:
        raise BenchFailed("a sale was in the journal before its tap")


def _take_purse(till: Till, exchange: Exchange, selected: Selected, now: int) -> None:
    if till.sam is None:
        raise BenchFailed("a purse needs a SAM")
    facts = epurse.read(exchange, selected)
    card_key = f"purse:{facts.purse_number}"
    till.decide(PurseFacts(FARE_FEN, facts.public), card_key, now)
    draft, moment = _draft("purse", selected), epurse.moment_at(now)
    counters: list[int] = []

    def intend(intent: epurse.Intent) -> None:
        entry, is_new = till.journal.intend(draft, card_key, lambda _: intent.encode(), now)
        if not is_new:
            raise BenchFailed("a sale was in the journal before its tap")
        counters.append(entry.terminal_counter)

    sale = epurse.compound(
        exchange,
        till.sam,
        facts,
        epurse.Terms(moment, frozenset({facts.issuer_id})),
        amount_fen=FARE_FEN,
        records=(_journey(facts, moment, till.sam.read_terminal_number()), RAIL),
        before_debit=intend,
    )
    if not sale.is_green:
        raise BenchFailed("the SAM did not vouch for a purchase")
    till.journal.accept(draft.entry_id, _body(draft, counters[0], now, _wire(sale)), now)


def _wire(sale: epurse.PurseSale) -> dict[str, Any]:
    return {
        "kind": "purse",
        "purse_number": sale.purse_number,
        "balance_after_fen": sale.balance_after_fen,
        "purchase_counter": sale.purchase_counter,
        "terminal_serial": _b64u(sale.terminal_serial),
        "transaction_time": _b64u(sale.transaction_time),
        "tac": _b64u(sale.tac),
    }


def _journey(facts: epurse.PurseFacts, moment: bytes, terminal: bytes) -> epurse.CappRecord:
    record = JourneyRecord(
        kind=3,
        terminal=bytes(2) + terminal,
        vehicle=1,
        line=b"\x00\x04",
        station=b"\x00\x12",
        operator=bytes(2),
        line_reserved=0,
        amount_fen=FARE_FEN,
        balance_fen=facts.balance_fen - FARE_FEN,
        moment=moment,
        city=b"\x10\x00",
        acquirer=facts.issuer_id,
    )
    return epurse.CappRecord(SFI_JOURNEYS, record.encode())


def _draft(method: str, selected: Selected) -> Draft:
    payment_id = str(TypeID(prefix="pay"))
    return Draft(
        kind=EntryKind.SALE,
        entry_id=payment_id,
        reference=payment_id,
        payment_id=payment_id,
        amount_fen=FARE_FEN,
        method=method,
        application=selected.application.label,
    )


def _body(draft: Draft, counter: int, now: int, proof: dict[str, Any]) -> bytes:
    return sale_body(OfflineSale(draft.payment_id, counter, FARE_FEN, now, 1, "bus", proof))


def _transaction(till: Till, now: int) -> TransactionData:
    moment = datetime.fromtimestamp(now, UTC).astimezone(CHINA)
    return TransactionData(
        amount_fen=FARE_FEN,
        date=bytes.fromhex(moment.strftime("%y%m%d")),
        time=bytes.fromhex(moment.strftime("%H%M%S")),
        transaction_type=TransactionType.PURCHASE,
        unpredictable_number=till.clock.random_bytes(4),
        terminal_number=TERMINAL_NUMBER,
        merchant_number=MERCHANT_NUMBER,
    )


def _b64u(body: bytes) -> str:
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()
