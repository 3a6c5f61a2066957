"""A walk of good, mutated, replayed and random commands over a purse, with a watcher beside it.

The watcher knows what terminal and issuer have signed for the moment. Money, counters, log, keys
and PIN may change by exactly those commands and by nothing else. Used by the test with a short
walk and by `make fuzz` with a long one: `walk(commands, seed)`.
"""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from dataclasses import dataclass, field, replace

from card_protocol.apdu import CommandApdu
from card_protocol.epurse.commands import (
    Credit,
    Debit,
    Initialise,
    InitialiseLoadAnswer,
    InitialisePurchaseAnswer,
    change_pin,
)
from card_protocol.epurse.secured import secure
from card_protocol.epurse.suites import DES3, SM4_SUITE
from card_protocol.epurse.transactions import (
    Load,
    Purchase,
    TransactionKind,
    load_session_key,
    purchase_session_key,
)
from card_protocol.status import StatusWord
from hce.applets.epurse.state import KeyKind, Life, PurseState, Rules
from hce.purse_store import MemoryPurseStore
from tests.hce.epurse_bench import (
    FREE_RULES,
    JOURNEY,
    KEYS,
    MOMENT,
    MONEY_KEY,
    PARKING,
    RAIL,
    SELECT,
    TERMINAL,
    Bench,
    counting_random,
    purse,
)

ANSWER_SECONDS_MAX = 0.050
HISTORY = 40
SEQUENCE_CHANCE = 0.55  # a good command in a possible order; else something is done to one
RESET_CHANCE = 0.004
PLAIN = tuple(
    bytes.fromhex(text)
    for text in (
        *("00B0950000", "00B095001E", "00B0960000", "00B0970000", "00B201C417", "00B201C500"),
        *("00B201F430", "00B201F5000000", "00B2AAC800", "00B202D400", "00A40000020015"),
        *("00A40000023F00", "00A40000021001", "805C000204", "805C030204", "0020000003123456"),
        *("0020000003999999", "805A000602000108", "805A000202000108", "0088000108" + "5A" * 8),
        *("0082000108" + "5A" * 8, "00C0000000", "00D6960002C1EE", "00E200C808BB0600" + "00" * 5),
        *("00A404000E325041592E5359532E444446303100", "8058000000", "805005010B" + "00" * 11),
    )
)


BYTE_ACCIDENTS = ("flip", "cut", "longer", "byte", "ins", "class", "length", "chained")


def damaged(chance: random.Random, kind: str, good: bytes) -> bytes:
    """One accident to the bytes of one command."""
    body, at = bytearray(good), chance.randrange(len(good))
    match kind:
        case "flip":
            body[at] ^= 1 << chance.randrange(8)
        case "cut":
            del body[at:]
        case "longer":
            body += chance.randbytes(chance.choice((1, 2, 4, 40, 300)))
        case "byte":
            body[at] = chance.randrange(256)
        case "ins":
            body[1:2] = chance.randbytes(1)
        case "class":
            body[:1] = chance.choice((b"\x00", b"\x04", b"\x80", b"\x84", b"\x0c"))
        case "chained":
            body[0] |= 0x10
        case _:
            body[4:5] = chance.randbytes(1)
    return bytes(body)


@dataclass
class Report:
    """What was done and what came back."""

    mutations: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    money_moves: int = 0
    orders_done: int = 0
    slowest_seconds: float = 0.0

    def lines(self) -> list[str]:
        mix = " ".join(f"{name}={count}" for name, count in sorted(self.mutations.items()))
        words = " ".join(f"{word}={count}" for word, count in self.words.most_common())
        return [
            f"mutations: {mix}",
            f"status words: {words}",
            f"money moved {self.money_moves} times, orders done {self.orders_done}, "
            f"slowest answer {1_000 * self.slowest_seconds:.2f} ms",
        ]


def money_of(state: PurseState) -> tuple[object, ...]:
    log, journeys = state.find_file(0x18), state.find_file(0x1E)
    counters = (state.offline_atc, state.online_atc)
    return (state.balance_fen, *counters, state.last, log, journeys)


def secrets_of(state: PurseState) -> tuple[object, ...]:
    keys = tuple((key.kind, key.index, key.version, key.value) for key in state.keys)
    return (keys, state.pin.value if state.pin else None, state.life, state.rules, state.face)


def signed_part(command: CommandApdu) -> bytes:
    """What a MAC is over or lies in; of DEBIT, the serial's first half is under no MAC."""
    data = command.data
    if (command.cla, command.ins, len(data)) == (0x80, 0x54, Debit.DATA_BYTES):
        data = data[2:]
    return command.header + data


class Walker:
    """Terminal, issuer and thief at one card."""

    def __init__(self, seed: int, rules: Rules) -> None:
        self.chance = random.Random(seed)
        suite = self.chance.choice((DES3, SM4_SUITE))
        self.store = MemoryPurseStore(purse(suite, rules=rules, balance_fen=50_000))
        self.card = Bench(self.store, suite, counting_random())
        self.suite = suite
        self.history: deque[bytes] = deque([SELECT], maxlen=HISTORY)
        self.money: set[bytes] = set()
        self.orders: set[bytes] = set()
        self.is_update_open = False
        self.next: list[bytes] = []
        self.report = Report()

    def step(self) -> None:
        """One command, checked."""
        if self.chance.random() < RESET_CHANCE:
            self.card.card.reset()
        before, body = self.store.view(), self.choose()
        started = time.thread_time()
        answer = self.card.card.transmit(body)
        spent = time.thread_time() - started
        self.report.slowest_seconds = max(self.report.slowest_seconds, spent)
        self.history.append(body)
        self.check(before, body, answer, spent)
        if answer[-2:] == b"\x90\x00":
            self.learn(body, answer[:-2])

    # --- what to send ---------------------------------------------------------------------------

    def choose(self) -> bytes:
        good = self.next.pop(0) if self.next else self.begin()
        if self.chance.random() < SEQUENCE_CHANCE:
            self.report.mutations["none"] += 1
            return good
        return self.mutated(good)

    def begin(self) -> bytes:
        """The start of something; `learn` puts what follows into `next`."""
        match self.chance.randrange(8):
            case 0 | 1:
                kind = self.chance.choice(tuple(Initialise.KINDS.values()))
                amount_fen = self.chance.choice((0, 1, 100, 5_000, 0xFFFFFFFF))
                return Initialise(kind, 1, amount_fen, TERMINAL).to_apdu().encode()
            case 2 | 6 if self.store.view().life is Life.BLOCKED:
                return bytes((0x00, 0x84, 0, 0, 4))
            case 2:
                return bytes((0x00, 0x84, 0, 0, self.chance.choice((4, 8, 16))))
            case 3 | 4:
                return SELECT
            case 5 if self.store.view().pin is not None:
                pin = self.store.view().pin
                assert pin is not None
                return change_pin(pin.value, bytes.fromhex("123456")).encode()
            case _:
                return self.chance.choice(PLAIN)

    def mutated(self, good: bytes) -> bytes:
        kind = self.chance.choice((*BYTE_ACCIDENTS, "glued", "replay", "order", "noise"))
        self.report.mutations[kind] += 1
        match kind:
            case "glued":
                at = self.chance.randrange(len(good))
                return good[:at] + self.chance.choice(self.history) + good[at:]
            case "replay":
                return self.chance.choice(self.history)
            case "order":
                self.next.reverse()
                return good
            case "noise":
                return self.chance.randbytes(self.chance.randrange(40))
        return damaged(self.chance, kind, good)

    # --- what it meant --------------------------------------------------------------------------

    def learn(self, body: bytes, data: bytes) -> None:
        """Terminal and issuer read a 9000 and sign what comes next."""
        command = CommandApdu.decode(body)
        match (command.cla, command.ins):
            case (0x80, 0x50):
                self.sign_money(command, data)
            case (0x00, 0x84):
                self.sign_order(data)
            case (0x00, 0x82):
                self.is_update_open = True
            case (0x00, 0xA4):
                self.is_update_open, self.money, self.orders = False, set(), set()

    def sign_money(self, command: CommandApdu, data: bytes) -> None:
        request = Initialise.decode(Initialise.KINDS[command.p1], command.data)
        if request.kind is TransactionKind.LOAD:
            offer = InitialiseLoadAnswer.decode(data)
            load = Load(request.amount_fen, request.terminal, MOMENT)
            key = load_session_key(self.suite, MONEY_KEY, offer.random, offer.online_atc)
            signed = Credit(MOMENT, load.mac2(self.suite, key)).to_apdu()
        else:
            answer = InitialisePurchaseAnswer.decode(data)
            serial = self.chance.randbytes(4)
            key = purchase_session_key(
                self.suite, MONEY_KEY, answer.random, answer.offline_atc, serial
            )
            terms = (request.amount_fen, request.terminal, serial, MOMENT, request.kind)
            mac1 = Purchase(*terms).mac1(self.suite, key)
            signed = Debit(serial, MOMENT, mac1).to_apdu()
        self.money = {signed_part(signed)}
        writes = self.chance.choices((JOURNEY, PARKING, RAIL), k=self.chance.randrange(3))
        is_compound = request.kind is TransactionKind.COMPOUND_PURCHASE
        records = [write.to_apdu().encode() for write in writes if is_compound]
        self.next = [*records, signed.encode()]

    def sign_order(self, challenge: bytes) -> None:
        is_blocked = self.store.view().life is Life.BLOCKED
        command, kind = self.chance.choice(
            (
                (CommandApdu(0x84, 0x18 if is_blocked else 0x1E, 0, 0), KeyKind.MAINTENANCE),
                (CommandApdu(0x84, 0x24, 0, 0), KeyKind.PIN_UNBLOCK),
                (CommandApdu(0x04, 0xD6, 0x96, 0, b"\x41\x42"), KeyKind.MAINTENANCE),
                (CommandApdu(0x04, 0xDC, 1, 0xCC, PARKING.record), KeyKind.MAINTENANCE),
            )
        )
        signed = secure(command, self.suite, KEYS[kind], challenge)
        self.orders = {signed_part(signed)}
        self.next = [signed.encode()]

    # --- the watcher ----------------------------------------------------------------------------

    def check(self, before: PurseState, body: bytes, answer: bytes, spent: float) -> None:
        after, context = self.store.view(), (body.hex(), answer.hex())
        self.check_word(answer[-2:], context)
        assert spent < ANSWER_SECONDS_MAX, context
        if after is before:
            return
        command = CommandApdu.decode(body)  # only a whole command changes anything
        if money_of(after) != money_of(before):
            assert signed_part(command) in self.money, context
            self.money = set()
            self.report.money_moves += 1
        elif after.files != before.files:
            assert signed_part(command) in self.orders or self.is_update_open, context
        if secrets_of(after) != secrets_of(before):
            assert self.may_change_secrets(before, command), context
            self.report.orders_done += 1
        if signed_part(command) in self.orders:
            self.orders = set()

    def may_change_secrets(self, before: PurseState, command: CommandApdu) -> bool:
        """Also: the holder who knows the PIN, and the tries that lock by themselves."""
        pin = before.pin.value if before.pin else b""
        is_holder = (command.cla, command.ins, command.p1) == (0x80, 0x5E, 1)
        if signed_part(command) in self.orders or (is_holder and command.data.startswith(pin)):
            return True
        after = self.store.view()
        unlocked = replace(after, life=before.life)
        return before.rules != FREE_RULES and secrets_of(unlocked) == secrets_of(before)

    def check_word(self, sw: bytes, context: tuple[str, str]) -> None:
        word = int.from_bytes(sw)
        is_counted = word >> 8 in {0x61, 0x6C} or word & 0xFFF0 == 0x63C0
        assert is_counted or word in set(StatusWord), context
        assert word != StatusWord.INTERNAL_FAULT, context
        self.report.words[sw.hex().upper()] += 1


def walk(commands: int, seed: int, rules: Rules = FREE_RULES, lives: int = 10) -> Report:
    """So many commands over `lives` purses. AssertionError names the command that broke a rule."""
    whole = Report()
    for life in range(lives):
        walker = Walker(seed * 1_000 + life, rules)
        for _ in range(commands // lives):
            walker.step()
        made = walker.report
        whole.mutations += made.mutations
        whole.words += made.words
        whole.money_moves += made.money_moves
        whole.orders_done += made.orders_done
        whole.slowest_seconds = max(whole.slowest_seconds, made.slowest_seconds)
    return whole
