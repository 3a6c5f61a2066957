"""A terminal with SAM, profile and deny list, a backend that can be away, cards of both kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from card_protocol.epurse.suites import get_suite
from card_protocol.epurse.transactions import Purchase, TransactionKind
from card_protocol.fares import FlatFare
from card_protocol.terminal_profile import Mode, ProfileTerms, RideAuthorities
from hce.applets.epurse.applet import EpurseApplet
from hce.applets.epurse.state import PurseState
from hce.card import Card
from hce.purse_store import MemoryPurseStore
from reader_bridge import Order, OrderKind, Receipt, Terminal
from reader_bridge.readers.loopback import LoopbackReader
from reader_bridge.readers.port import CardChannel
from reader_bridge.sam.port import Sam
from tests.hce.epurse_bench import TAC_KEY, counting_random, purse
from tests.reader_bridge.conftest import TestTime
from tests.reader_bridge.profile_world import TERMS, Issuer
from tests.reader_bridge.sam.examples import memory_sam
from tests.reader_bridge.support import (
    ACTIVATION_CODE,
    CardKit,
    FakeBackend,
    Problem,
    unb64,
)

READER = "counter"
Transmit = Callable[[bytes], bytes]
MANY = replace(
    TERMS,
    offline=replace(
        TERMS.offline,
        card_sum_max_fen=10_000_000,
        card_count_max=100_000,
        sum_max_fen=100_000_000,
        count_max=100_000,
    ),
)


class OfflineBackend(FakeBackend):
    """Also signs profiles, and takes uploads: each id once, each proof checked."""

    def __init__(self, kit: CardKit, terms: ProfileTerms) -> None:
        super().__init__(kit)
        self.issuer = Issuer(kit, terms=terms)
        self.rides: RideAuthorities | None = None
        self.place: dict[str, Any] | None = None  # as an older backend: none
        self.uploaded: dict[str, dict[str, Any]] = {}
        self.activation_extra = {"profile_keys": self.issuer.jwks()}

    def signed(self) -> str:
        more = {
            "deny_list_version": len(self.issuer.log),
            "terms": self.issuer.terms.to_document(),
            "ride_codes": self.rides.to_document() if self.rides else None,
            "profile_version": self.issuer.version,
        }
        if self.place is not None:
            more["place"] = self.place
        return self.issuer.document(profile={**self.profile(), **more})

    def _get(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        if path == "/v1/terminal/profile/signed":
            return 200, {"document": self.signed(), "keys": self.issuer.jwks()}
        if path == "/v1/terminal/deny-list":
            return 200, self.issuer.ask(path, {name: one[0] for name, one in query.items()})
        return super()._get(path, query)

    def _post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path != "/v1/terminal/offline-sales":
            return super()._post(path, body)
        return 200, {"results": [self._judge(item) for item in body["sales"]]}

    def _judge(self, item: Mapping[str, Any]) -> dict[str, Any]:
        payment_id, proof = item["payment_id"], item["proof"]
        if payment_id not in self.payments and payment_id not in self.uploaded:
            if proof["kind"] == "purse":
                assert_tac(item["amount_fen"], proof)
            elif proof["kind"] == "tap":
                gpo = unb64(proof["gpo_response"])
                if not self.kit.is_genuine(unb64(proof["pdol_data"]), gpo):
                    raise Problem(402, "cryptogram_invalid")
            self.uploaded[payment_id] = dict(item)
        return {"payment_id": payment_id, "state": "captured", "balance_fen": None}


def assert_tac(amount_fen: int, proof: Mapping[str, Any]) -> None:
    """The purse's word to its issuer, over exactly this amount."""
    made = Purchase(
        amount_fen,
        bytes.fromhex(proof["terminal_number"]),
        bytes.fromhex(proof["terminal_serial"]),
        bytes.fromhex(proof["transaction_time"]),
        TransactionKind(proof["transaction_type"]),
    )
    assert made.tac(get_suite(proof["suite"]), TAC_KEY).hex() == proof["tac"]


@dataclass
class PurseCard:
    """A plastic card; `tear` says at which DEBIT the hand leaves, before or after it worked."""

    state: PurseState = field(default_factory=purse)

    def __post_init__(self) -> None:
        self.store = MemoryPurseStore(self.state)
        self.random_bytes = counting_random()

    @property
    def balance_fen(self) -> int:
        return self.store.view().balance_fen

    def applet(self) -> EpurseApplet:
        return EpurseApplet(self.store, random_bytes=self.random_bytes)

    def shown(self, *more: Any, tear: str | None = None) -> Transmit:
        """`tear`: "before" or "after" DEBIT has worked."""
        card = Card([*more, self.applet()])
        card.power_on()

        def transmit(command: bytes) -> bytes:
            is_debit = command[:2] == b"\x80\x54"
            if is_debit and tear == "before":
                raise ConnectionError
            answer = card.transmit(command)
            if is_debit and tear == "after":
                raise ConnectionError
            return answer

        return transmit


@dataclass
class Stall:
    """One terminal and the hand that shows cards."""

    terminal: Terminal
    backend: OfflineBackend
    time: TestTime
    _numbers: Any = field(default_factory=lambda: count(1))

    def tap(self, transmit: Transmit, amount_fen: int | None = 100, reference: str = "") -> Receipt:
        return self.order(OrderKind.SALE, transmit, amount_fen, reference)

    def balance(self, transmit: Transmit) -> Receipt:
        return self.order(OrderKind.BALANCE, transmit, None, "B")

    def order(
        self, kind: OrderKind, transmit: Transmit, amount_fen: int | None, reference: str
    ) -> Receipt:
        channel = self.channel(transmit)
        order = Order(kind, reference or f"T{next(self._numbers)}", amount_fen)
        return self.terminal.tap(order, channel, READER)

    def channel(self, transmit: Transmit) -> CardChannel:
        """A card in the field."""
        channel = LoopbackReader(transmit).wait_for_card(0)
        assert channel is not None
        return channel

    def go_away(self) -> None:
        """Nobody listens where the backend was."""
        self._wire("http://127.0.0.1:9")

    def come_back(self) -> None:
        self._wire(self.backend.url)
        self.time.forward(60)  # the next tap tries the network again

    def _wire(self, url: str) -> None:
        self.terminal.client._http.close()
        self.terminal.client._http = httpx.Client(base_url=url, trust_env=False)

    def charged_ids(self) -> list[str]:
        """Every sale the backend was paid for, online and uploaded."""
        return [*self.backend.payments, *self.backend.uploaded]


def open_stall(
    folder: Path,
    backend: OfflineBackend,
    time: TestTime,
    sam: Sam | None = None,
    **options: Any,
) -> Stall:
    clock = time.clock()
    if not folder.exists():
        Terminal.activate(folder, backend.url, ACTIVATION_CODE, clock=clock).close()
    terminal = Terminal.open(folder, clock=clock, sam=sam or memory_sam(), **options)
    stall = Stall(terminal, backend, time)
    terminal.refresh()
    backend.requests.clear()
    return stall


def bus_terms() -> ProfileTerms:
    return replace(MANY, mode=Mode.BUS, fare=FlatFare(200))
