"""Goal: no order of taps at random stations makes a card ride free, pay too much or lose count."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from card_protocol.epurse.capp import RailRecord
from card_protocol.epurse.files import SFI_JOURNEYS, JourneyRecord
from card_protocol.fares import FlatFare, MatrixFare
from card_protocol.terminal_profile import Mode
from reader_bridge.faults import CardFault
from reader_bridge.modes import Direction, GateRules, Held, ModeBook, Remedy, Ride
from reader_bridge.modes.records import is_inside, rail_record_of
from tests.reader_bridge.modes.world import NOON, Purse, book, place

STATIONS = ("0101", "0102", "0103", "0201")
CLOSED_NOW = "0909"  # a station that the table no longer has
FEN = st.sampled_from([0, 100, 200, 350, 900])
TABLES = st.lists(st.tuples(FEN, FEN, FEN, FEN), min_size=4, max_size=4).map(
    lambda rows: MatrixFare(STATIONS, tuple(rows))
)
EITHER = st.sampled_from([Remedy.REFUSE, Remedy.MAXIMUM])
GATES = st.builds(
    GateRules,
    missing_entry=EITHER,
    entry_too_old=EITHER,
    entry_unknown=EITHER,
    double_entry=EITHER,
    same_station=st.sampled_from(list(Remedy)),
    ride_seconds_max=st.just(7_200),
    entry_needs_fen=st.sampled_from([None, 0, 100]),
)
WAITS = st.sampled_from([0, 5, 6, 60, 1_800, 7_200, 7_201, 90_000, -1, -100])
REFUSALS = {
    "entry_missing": "missing_entry",
    "entry_too_old": "entry_too_old",
    "entry_unknown": "entry_unknown",
    "entered_twice": "double_entry",
    "same_station": "same_station",
}


class GateLife(RuleBasedStateMachine):
    """One card; gates with the same rules; a bus now and then."""

    @initialize(table=TABLES, gate=GATES, balance_fen=st.sampled_from([0, 900, 5_000, 100_000]))
    def open(self, table: MatrixFare, gate: GateRules, balance_fen: int):
        self.table, self.gate, self.now = table, gate, NOON
        self.purse, self.first_fen = Purse(balance_fen=balance_fen), balance_fen
        self.entered_at: str | None = None  # the model's own memory
        self.entered_when = 0
        self.last_ride_at: dict[bytes, int] = {}
        self.paid_fen = self.allowed_fen = 0
        self.kinds: list[int] = []

    @rule(station=st.sampled_from(STATIONS), device=st.integers(1, 2), seconds=WAITS)
    def enter(self, station: str, device: int, seconds: int):
        self.now += seconds
        was_at = self.entered_at
        ride = self.tap(self.book(self.table, station, Direction.IN, device))
        if ride is None:
            return
        self.allowed_fen += self.table.highest_fen if was_at else 0
        assert ride.amount_fen == (self.table.highest_fen if was_at else 0)
        self.entered_at, self.entered_when = station, self.now

    @rule(device=st.integers(1, 2))
    def enter_where_the_table_ended(self, device: int):
        """The card came in under an older table."""
        older = MatrixFare((CLOSED_NOW,), ((0,),))
        if self.entered_at is not None:
            return
        if self.tap(self.book(older, CLOSED_NOW, Direction.IN, device)) is not None:
            self.entered_at, self.entered_when = CLOSED_NOW, self.now

    @rule(station=st.sampled_from(STATIONS), device=st.integers(3, 4), seconds=WAITS)
    def leave(self, station: str, device: int, seconds: int):
        self.now += seconds
        ride = self.tap(self.book(self.table, station, Direction.OUT, device))
        if ride is None:
            return
        assert ride.amount_fen == self.owed_fen(station)
        self.allowed_fen += self.table.highest_fen
        self.entered_at = None

    @rule(line=st.integers(1, 3))
    def take_a_bus(self, line: int):
        where = book(Mode.BUS, FlatFare(200), place(90 + line, line=bytes((0, line))))
        if self.tap(where) is not None:
            self.allowed_fen += 200

    def book(self, table: MatrixFare, station: str, direction: Direction, device: int) -> ModeBook:
        number = 10 * device + (*STATIONS, CLOSED_NOW).index(station)
        where = place(number, station=station, direction=direction)
        return book(Mode.GATE, table, where, gate=self.gate)

    def tap(self, where: ModeBook) -> Ride | None:
        """What came of it, with the card changed; refusals have to have their reason."""
        before = (self.purse.balance_fen, self.purse.rail, list(self.purse.journeys))
        try:
            said = where.decide(self.purse.tap(), self.now)
        except CardFault as fault:
            self.check_refusal(fault.code)
            assert before == (self.purse.balance_fen, self.purse.rail, self.purse.journeys)
            return None
        if isinstance(said, Held):
            assert self.now - self.last_ride_at[where.place.terminal] <= 5
            return None
        self.last_ride_at[where.place.terminal] = self.now
        self.purse.take(said)
        self.paid_fen += said.amount_fen
        self.kinds += [
            JourneyRecord.decode(record.body).kind
            for record in said.records
            if record.sfi == SFI_JOURNEYS
        ]
        return said

    def check_refusal(self, code: str):
        if code == "purse_balance_low":
            assert self.purse.balance_fen < 2 * 900 + 200
        else:
            assert getattr(self.gate, REFUSALS[code]) is Remedy.REFUSE

    def owed_fen(self, station: str) -> int:
        age_seconds = self.now - self.entered_when
        if self.entered_at in {None, CLOSED_NOW} or not -120 <= age_seconds <= 7_200:
            return self.table.highest_fen
        assert self.entered_at is not None
        if station == self.entered_at and self.gate.same_station is Remedy.MAXIMUM:
            return self.table.highest_fen
        return self.table.fare_fen(self.entered_at, station)

    @invariant()
    def promises_hold(self):
        if not hasattr(self, "purse"):
            return
        assert self.purse.balance_fen == self.first_fen - self.paid_fen >= 0
        assert self.paid_fen <= self.allowed_fen
        gates = [kind for kind in self.kinds if kind in {3, 4}]
        assert gates == [3, 4] * (len(gates) // 2) + [3] * (len(gates) % 2)
        rail = rail_record_of(self.purse.rail)
        assert is_inside(rail) is (self.entered_at is not None) is (len(gates) % 2 == 1)
        if any(rail.status):
            assert RailRecord.decode(self.purse.rail or b"") == rail


TestGateLife = GateLife.TestCase
TestGateLife.settings = settings(max_examples=120, stateful_step_count=40)
