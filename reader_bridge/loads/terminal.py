"""What a terminal does with loads, as a cash register's program calls it; joins book and flow."""

from __future__ import annotations

from typing import Final

from reader_bridge.acceptance.desk import Desk
from reader_bridge.acceptance.joined import Acceptance
from reader_bridge.acceptance.knowledge import Knowledge, Known
from reader_bridge.acceptance.load import LoadFlow
from reader_bridge.acceptance.order import Order, OrderKind
from reader_bridge.amounts import require_amount
from reader_bridge.backend_client import BackendClient
from reader_bridge.clock import Clock
from reader_bridge.faults import ReaderFault
from reader_bridge.loads.book import LoadBook
from reader_bridge.loads.courier import LoadCourier, settle_all
from reader_bridge.loads.faults import LoadPause
from reader_bridge.loads.offers import loading_rules_of
from reader_bridge.loads.values import Funding
from reader_bridge.readers.port import CardChannel, Reader
from reader_bridge.receipt import Receipt
from reader_bridge.sam.port import Sam
from reader_bridge.till.post import Post, direction_of, fare_fen_of

CARD_SECONDS: Final = 30.0
REMOVAL_SECONDS: Final = 10.0


class TerminalLoads:
    """A part of `Terminal`: it has the clock, the acceptance and what is known."""

    _clock: Clock
    _acceptance: Acceptance
    _knowledge: Knowledge | None
    _loads: LoadFlow
    _courier: LoadCourier | None = None

    def load(
        self,
        amount_fen: int,
        *,
        register_reference: str,
        funding: Funding,
        reader: Reader,
        pay_code: str | None = None,
        pin: bytes | None = None,
        card_seconds: float = CARD_SECONDS,
    ) -> Receipt:
        """Money onto the purse held to `reader`; a known reference gives its first result.

        Paid from a wallet, the payer is `pay_code`, or the phone card that is held there first.
        `pin`: the purse's own, BCD, where it asks for one. Raises LoadPause(load_pin_wanted,
        load_pin_wrong), ReaderFault (nothing happened; `credit_unknown`: the same card again),
        TerminalFault, ValueError for a cash load with a code.
        """
        order = Order(
            OrderKind.LOAD, register_reference, require_amount(amount_fen), funding=funding, pin=pin
        )
        if pay_code is not None:
            if funding is not Funding.WALLET:
                raise ValueError("a pay code pays from a wallet")
            try:
                return self._acceptance.code(order, pay_code.encode())
            except LoadPause as pause:
                _require_purse_wanted(pause)
        payer = _card(reader, card_seconds)
        try:
            return self._acceptance.tap(order, payer, reader.name)
        except LoadPause as pause:
            _require_purse_wanted(pause)
        payer.wait_for_removal(REMOVAL_SECONDS)  # one that stays may carry the purse itself
        return self._acceptance.tap(order, _card(reader, card_seconds), reader.name)

    def open_loads(self) -> tuple[Receipt, ...]:
        """Loads whose card has to come back: paid, and not known to be on it; oldest first."""
        return tuple(self._loads.receipt(load) for load in self._loads.book.open_loads())

    def settle_loads(self) -> int:
        """Tell the backend what it has not heard, in this thread; how many words are left."""
        now = int(self._clock.unix_now())
        return settle_all(self._loads.teller, now, looks_after_seconds=0)

    def post(self) -> Post:
        """What kind of place this is now: a refresh of the profile may change it."""
        known = Known() if self._knowledge is None else self._knowledge.now
        terms = None if known.profile is None else known.profile.terms
        fare_fen = None if terms is None else fare_fen_of(terms.fare)
        direction = direction_of(None if known.profile is None else known.profile.place.direction)
        amounts_fen = loading_rules_of(terms).amounts_fen
        return Post(known.mode, fare_fen, direction, amounts_fen)

    def _open_loads(self, desk: Desk, sam: Sam | None) -> LoadFlow:
        self._loads = LoadFlow(desk, LoadBook(desk.journal.database), sam, self._wake_loads)
        return self._loads

    def _start_loads(self, client: BackendClient) -> None:
        self._courier = LoadCourier(self._loads.book, client, self._clock)

    def _wake_loads(self) -> None:
        if self._courier is not None:
            self._courier.wake()

    def _close_loads(self) -> None:
        if self._courier is not None:
            self._courier.close()
            self._courier = None


def _card(reader: Reader, card_seconds: float) -> CardChannel:
    """Raises ReaderFault(no_card)."""
    channel = reader.wait_for_card(card_seconds)
    if channel is None:
        raise ReaderFault("no_card")
    return channel


def _require_purse_wanted(pause: LoadPause) -> None:
    """Any other pause is the caller's to end."""
    if pause.code != "load_show_purse":
        raise pause
