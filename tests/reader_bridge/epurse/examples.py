"""A purse, a SAM and a hand that tears the card away at any APDU, before or after it has worked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from card_protocol.epurse.files import SFI_PUBLIC, PublicData
from card_protocol.epurse.suites import DES3, PurseSuite
from card_protocol.mobile_card import EPURSE_AID
from hce.applets.epurse.applet import EpurseApplet
from hce.applets.epurse.purse_files import BinaryFile
from hce.applets.epurse.state import PurseState
from hce.card import Card
from hce.purse_store import MemoryPurseStore
from reader_bridge.exchange import Exchange
from reader_bridge.faults import ReaderFault
from reader_bridge.kernels import epurse
from reader_bridge.kernels.epurse import CappRecord, Intent, PurseFacts, PurseSale, Terms
from reader_bridge.kernels.selection import AcceptedApplication, select
from reader_bridge.readers.loopback import LoopbackReader
from reader_bridge.sam.port import Sam
from tests.hce.epurse_bench import JOURNEY, PUBLIC, RAIL, counting_random, purse
from tests.reader_bridge.sam.examples import MOMENT, memory_sam

ACCEPTED = (AcceptedApplication(EPURSE_AID, "MOT_T_EP", 1),)
ISSUER = PUBLIC.issuer
TERMS = Terms(MOMENT, frozenset({ISSUER[:4]}))
RECORDS = (CappRecord(JOURNEY.sfi, JOURNEY.record), CappRecord(RAIL.sfi, RAIL.record))
Transmit = Callable[[bytes], bytes]
Alter = Callable[[bytes, bytes], bytes]  # (command, answer) -> what the terminal hears


def dated(state: PurseState, **changes: bytes) -> PurseState:
    """The published examples are of 2012: the purse is made valid then."""
    public = replace(PUBLIC, **({"start": bytes.fromhex("20110101")} | changes))
    return state.with_file(BinaryFile(SFI_PUBLIC, public.encode()))


@dataclass
class Cut:
    """The card is torn away at APDU number `at` (from 0), with its work done or not."""

    at: int
    is_done: bool


@dataclass
class Scene:
    """One purse, one SAM; each presentation is a new exchange with the card freshly powered."""

    suite: PurseSuite = DES3
    sam: Sam = field(default_factory=memory_sam)
    state: PurseState | None = None
    random_bytes: Callable[[int], bytes] = field(default_factory=counting_random)
    kept: list[bytes] = field(default_factory=list)  # intents, as a journal has them
    lines: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = MemoryPurseStore(self.state or dated(purse(self.suite)))

    @property
    def balance_fen(self) -> int:
        return self.store.view().balance_fen

    def card(self) -> Card:
        card = Card([EpurseApplet(self.store, random_bytes=self.random_bytes)])
        card.power_on()
        return card

    def present(self, cut: Cut | None = None, alter: Alter | None = None) -> Exchange:
        """A card held to the reader anew."""
        return exchange_with(self._watched(self.card().transmit, cut, alter))

    def _watched(self, transmit: Transmit, cut: Cut | None, alter: Alter | None) -> Transmit:
        self.lines.clear()

        def watched(command: bytes) -> bytes:
            is_cut = cut is not None and len(self.lines) == cut.at
            if is_cut and cut is not None and not cut.is_done:
                raise ConnectionError
            answer = transmit(command)
            if alter is not None:
                answer = alter(command, answer)
            self.lines.append((command.hex().upper(), answer.hex().upper()))
            if is_cut:
                raise ConnectionError
            return answer

        return watched

    def keep(self, intent: Intent) -> None:
        self.kept.append(intent.encode())

    def read(self, exchange: Exchange, **options: bool) -> PurseFacts:
        return epurse.read(exchange, select(exchange, ACCEPTED), **options)

    def buy(self, amount_fen: int, exchange: Exchange | None = None) -> PurseSale:
        exchange = exchange or self.present()
        facts = self.read(exchange)
        return epurse.purchase(
            exchange, self.sam, facts, TERMS, amount_fen=amount_fen, before_debit=self.keep
        )

    def ride(self, amount_fen: int, exchange: Exchange | None = None) -> PurseSale:
        exchange = exchange or self.present()
        facts = self.read(exchange)
        return epurse.compound(
            exchange,
            self.sam,
            facts,
            TERMS,
            amount_fen=amount_fen,
            records=RECORDS,
            before_debit=self.keep,
        )

    def recover(self, exchange: Exchange | None = None):
        """As after a restart: from the bytes that were kept."""
        intent = Intent.decode(self.kept[-1])
        return epurse.recover(exchange or self.present(), self.sam, intent)


def exchange_with(transmit: Transmit) -> Exchange:
    channel = LoopbackReader(transmit).wait_for_card(0)
    assert channel is not None
    return Exchange(channel)


def is_debit(command: bytes) -> bool:
    return command[:2] == b"\x80\x54"


def public_data(**changes: bytes) -> PublicData:
    return replace(PUBLIC, **changes)


class Dying:
    """A SAM that fails at one method, for good or bad luck."""

    def __init__(self, sam: Sam, method: str, fault: Exception) -> None:
        self._sam, self._method, self._fault = sam, method, fault

    def __getattr__(self, name: str):
        if name == self._method:
            return self._fail
        return getattr(self._sam, name)

    def _fail(self, *_: object) -> None:
        raise self._fault


def torn(call: Callable[[], object]) -> ReaderFault | None:
    """The fault a torn tap ends with; None when it came through."""
    try:
        call()
    except ReaderFault as fault:
        return fault
    return None
