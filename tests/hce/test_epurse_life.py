"""A purse's life in any order against a model of three numbers and two lists."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from card_protocol.apdu import CommandApdu
from card_protocol.epurse.commands import UpdateCache
from card_protocol.epurse.files import LogRecord
from card_protocol.epurse.suites import DES3, SM4_SUITE
from card_protocol.epurse.transactions import TransactionKind
from tests.hce.epurse_bench import SELECT, Bench, Refusal, bench

AMOUNTS = st.integers(0, 60_000)
CEILING_FEN = 100_000


class PurseLife(RuleBasedStateMachine):
    """Goal: no order of loads, purchases, torn and foreign commands breaks a promise."""

    suite = DES3
    card: Bench

    def __init__(self) -> None:
        super().__init__()
        self.card = bench(self.suite, balance_fen=0)
        self.balance_fen, self.offline, self.online = 0, 0, 0
        self.log: list[tuple[int, int, int]] = []  # newest first: sequence, amount, kind
        self.journeys: list[bytes] = []
        self.last: tuple[TransactionKind, int] | None = None
        self.waiting: CommandApdu | None = None  # signed, not sent
        self.stale: list[CommandApdu] = []
        self.is_blocked = False

    def paid(self, amount_fen: int, kind: TransactionKind, journeys: list[bytes]) -> None:
        self.balance_fen -= amount_fen
        self.offline += 1
        self.log.insert(0, (self.offline, amount_fen, kind))
        self.journeys = journeys[::-1] + self.journeys
        self.last = (kind, self.offline)

    @rule(amount_fen=AMOUNTS)
    def load(self, amount_fen: int) -> None:
        try:
            self.card.load(amount_fen)
        except Refusal:
            assert self.is_blocked or self.balance_fen + amount_fen > CEILING_FEN
            return
        assert not self.is_blocked
        self.balance_fen += amount_fen
        self.online += 1
        self.log.insert(0, (self.online, amount_fen, TransactionKind.LOAD))
        self.last = (TransactionKind.LOAD, self.online)
        self.waiting = None

    @rule(amount_fen=AMOUNTS, marks=st.lists(st.integers(0, 255), max_size=3))
    def pay(self, amount_fen: int, marks: list[int]) -> None:
        journeys = [bytes((mark,)) * 48 for mark in marks]
        writes = [UpdateCache(0x1E, 0, journey) for journey in journeys]
        try:
            self.card.pay(amount_fen, *writes)
        except Refusal:
            assert self.is_blocked or amount_fen > self.balance_fen
            return
        assert not self.is_blocked
        kind = TransactionKind.COMPOUND_PURCHASE if marks else TransactionKind.PURCHASE
        self.paid(amount_fen, kind, journeys)
        self.waiting = None

    @precondition(lambda self: not self.is_blocked and self.balance_fen >= 5)
    @rule()
    def sign_a_purchase_and_wait(self) -> None:
        self.waiting, _, _ = self.card.debit_command(self.card.begin(5), 5)
        self.stale.append(self.waiting)

    @precondition(lambda self: self.waiting is not None)
    @rule()
    def send_it(self) -> None:
        assert self.waiting is not None
        self.card.get(self.waiting)
        self.waiting = None
        self.paid(5, TransactionKind.PURCHASE, [])

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def send_an_old_one(self, data: st.DataObject) -> None:
        command = data.draw(st.sampled_from(self.stale))
        if command is self.waiting:
            return
        assert self.card.send(command) in {"6901", "9302", "6985"}
        self.waiting = None

    @rule()
    def read(self) -> None:
        self.card.get("00B0950000")
        self.card.get("805C000204")

    @rule(command=st.sampled_from([SELECT, b"\x80\x99\x00\x00", b"\x00\x20\x00\x00\x02\x12\x34"]))
    def interrupt(self, command: bytes) -> None:
        self.card.send(command)
        self.waiting = None

    @rule()
    def pull_out_and_put_back(self) -> None:
        self.card.restart()
        self.card.select_any()
        self.waiting = None

    @rule()
    def block_or_unblock(self) -> None:
        header = (0x84, 0x18, 0, 0) if self.is_blocked else (0x84, 0x1E, 0, 0)
        self.card.get(self.card.secured(CommandApdu(*header)))
        self.is_blocked = not self.is_blocked
        self.waiting = None

    @invariant()
    def promises_hold(self) -> None:
        state = self.card.state
        assert (state.balance_fen, state.offline_atc, state.online_atc) == (
            self.balance_fen,
            self.offline,
            self.online,
        )
        assert 0 <= state.balance_fen <= CEILING_FEN

    @invariant()
    def records_are_those_of_the_model(self) -> None:
        if self.waiting is not None:
            return  # reads may stand between, and the next rules read
        records = self.card.get("00B201C500")
        log = [LogRecord.decode(records[at : at + 23]) for at in range(0, 230, 23)]
        written = [(item.sequence, item.amount_fen, item.kind) for item in log if any(item.moment)]
        assert written == self.log[:10]
        journeys = self.card.get("00B201F5000000")
        expected = b"".join(self.journeys)[: 48 * 30].ljust(48 * 30, b"\x00")
        assert journeys == expected

    @invariant()
    def only_the_last_can_be_proved(self) -> None:
        if self.waiting is not None:
            return
        for kind, atc in (
            (TransactionKind.PURCHASE, self.offline),
            (TransactionKind.LOAD, self.online),
        ):
            answer = self.card.send(bytes((0x80, 0x5A, 0, kind, 2)) + atc.to_bytes(2) + b"\x08")
            assert answer.endswith("9000") == (self.last == (kind, atc))


class Sm4Life(PurseLife):
    suite = SM4_SUITE


TestPurseLife = PurseLife.TestCase
TestSm4Life = Sm4Life.TestCase
TestPurseLife.settings = settings(max_examples=60, stateful_step_count=30)
TestSm4Life.settings = settings(max_examples=20, stateful_step_count=30)
