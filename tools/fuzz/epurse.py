"""Good, mutated, replayed and random commands to a purse, with a watcher beside it.

The watcher knows what terminal and issuer have signed for the moment. Money, counters, log, keys
and PIN may change by exactly those commands and by nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import count as counting
from typing import Final

from card_protocol.apdu import CommandApdu
from card_protocol.commands import Select
from card_protocol.epurse.capp import RAIL_ID, capp_record
from card_protocol.epurse.commands import (
    Credit,
    Debit,
    Initialise,
    InitialiseLoadAnswer,
    InitialisePurchaseAnswer,
    UpdateCache,
    change_pin,
)
from card_protocol.epurse.files import SFI_CAPP, SFI_JOURNEYS, SFI_LOG, SFI_TRANSIT
from card_protocol.epurse.secured import secure
from card_protocol.epurse.suites import DES3, SM4_SUITE, PurseSuite
from card_protocol.epurse.transactions import (
    Load,
    Purchase,
    TransactionKind,
    load_session_key,
    purchase_session_key,
)
from card_protocol.mobile_card import EPURSE_AID
from card_protocol.status import StatusWord
from hce.applets.epurse.applet import EpurseApplet
from hce.applets.epurse.state import KeyKind, Life, PurseState, Rules
from hce.card import Card
from hce.purse_keys import TEST_KEYS
from hce.purse_order import PurseOrder, make_purse
from hce.purse_profile import CAPP_BYTES, CAPP_ID, PLASTIC_MAIN, RAIL_BYTES
from hce.purse_store import MemoryPurseStore
from tools.fuzz.mutations import AS_IT_IS, Mutator
from tools.fuzz.report import FuzzReport, Watch, watched

HISTORY: Final = 40
IN_ORDER: Final = 0.55  # a good command in a possible order; else something is done to one
RESETS: Final = 0.004
OWN_ACCIDENTS: Final = ("replay", "order", "noise")
OWN_ACCIDENTS_SHARE: Final = 0.25
LIFE_COMMANDS: Final = 2_000
BALANCE_FEN: Final = 50_000
SUITES: Final = (DES3, SM4_SUITE)
FREE_RULES: Final = Rules(pin_tries_max=15, key_tries_max=0)
KEY_INDEX: Final = 1
TERMINAL: Final = bytes.fromhex("001122334455")
MOMENT: Final = bytes.fromhex("20251123083000")
SELECT: Final = Select(EPURSE_AID).to_apdu().encode()
PARKING: Final = UpdateCache(SFI_CAPP, CAPP_ID, capp_record(CAPP_ID, b"\x07" * (CAPP_BYTES - 3)))
RAIL: Final = UpdateCache(
    SFI_TRANSIT, RAIL_ID & 0xFF, capp_record(RAIL_ID, b"\x09" * (RAIL_BYTES - 4), 1, id_bytes=2)
)
WRITES: Final = (UpdateCache(SFI_JOURNEYS, 0, b"\x03" + b"\x11" * 47), PARKING, RAIL)
PLAIN: Final = tuple(
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


def money_of(state: PurseState) -> tuple[object, ...]:
    log, journeys = state.find_file(SFI_LOG), state.find_file(SFI_JOURNEYS)
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


def new_purse(suite: PurseSuite, rules: Rules) -> PurseState:
    """The same at each call, so that a seed is a run."""
    order = PurseOrder(PLASTIC_MAIN, date(2025, 11, 23), "310" + "0" * 16, BALANCE_FEN, suite)
    return replace(make_purse(order, TEST_KEYS), rules=rules)


def counting_random() -> Callable[[int], bytes]:
    numbers = counting(1)
    return lambda size: (next(numbers) * 0x9E3779B97F4A7C15 % (1 << 8 * size)).to_bytes(size)


@dataclass(slots=True)
class Walker:
    """Terminal, issuer and thief at one card."""

    watch: Watch
    mutator: Mutator
    suite: PurseSuite
    rules: Rules
    history: deque[bytes] = field(default_factory=lambda: deque([SELECT], maxlen=HISTORY))
    money: set[bytes] = field(default_factory=set)  # what is signed to move money
    orders: set[bytes] = field(default_factory=set)  # what the issuer has signed besides
    is_update_open: bool = False
    next: list[bytes] = field(default_factory=list)
    store: MemoryPurseStore = field(init=False)
    card: Card = field(init=False)

    def __post_init__(self) -> None:
        self.store = MemoryPurseStore(new_purse(self.suite, self.rules))
        self.card = Card([EpurseApplet(self.store, random_bytes=counting_random())])

    def step(self) -> None:
        """One command, checked. Raises FuzzFailed."""
        if self.mutator.chance.random() < RESETS:
            self.card.reset()
        before, body = self.store.view(), self.choose()
        answer = self.watch.call(body, self.card.transmit)
        self.history.append(body)
        self.check(before, body, answer)
        if answer[-2:] == b"\x90\x00":
            self.learn(body, answer[:-2])

    # --- what to send ---------------------------------------------------------------------------

    def choose(self) -> bytes:
        good = self.next.pop(0) if self.next else self.begin()
        if self.mutator.chance.random() < IN_ORDER:
            self.mutator.mix[AS_IT_IS] += 1
            return good
        return self.mutated(good)

    def begin(self) -> bytes:
        """The start of something; `learn` puts what follows into `next`."""
        chance, state = self.mutator.chance, self.store.view()
        match chance.randrange(8):
            case 0 | 1:
                kind = chance.choice(tuple(Initialise.KINDS.values()))
                amount_fen = chance.choice((0, 1, 100, 5_000, 0xFFFF_FFFF))
                return Initialise(kind, KEY_INDEX, amount_fen, TERMINAL).to_apdu().encode()
            case 2 | 6 if state.life is Life.BLOCKED:
                return bytes((0x00, 0x84, 0, 0, 4))
            case 2:
                return bytes((0x00, 0x84, 0, 0, chance.choice((4, 8, 16))))
            case 3 | 4:
                return SELECT
            case 5 if state.pin is not None:
                return change_pin(state.pin.value, bytes.fromhex("123456")).encode()
            case _:
                return chance.choice(PLAIN)

    def mutated(self, good: bytes) -> bytes:
        chance = self.mutator.chance
        if chance.random() >= OWN_ACCIDENTS_SHARE:
            return self.mutator.mutate(good)
        kind = chance.choice(OWN_ACCIDENTS)
        self.mutator.mix[kind] += 1
        match kind:
            case "replay":
                return chance.choice(self.history)
            case "order":
                self.next.reverse()
                return good
            case _:
                return chance.randbytes(chance.randrange(40))

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
        chance = self.mutator.chance
        request = Initialise.decode(Initialise.KINDS[command.p1], command.data)
        if request.kind is TransactionKind.LOAD:
            offer = InitialiseLoadAnswer.decode(data)
            load = Load(request.amount_fen, request.terminal, MOMENT)
            key = self.key(KeyKind.LOAD)
            session = load_session_key(self.suite, key, offer.random, offer.online_atc)
            signed = Credit(MOMENT, load.mac2(self.suite, session)).to_apdu()
        else:
            answer, serial = InitialisePurchaseAnswer.decode(data), chance.randbytes(4)
            key = self.key(KeyKind.PURCHASE)
            session = purchase_session_key(
                self.suite, key, answer.random, answer.offline_atc, serial
            )
            terms = (request.amount_fen, request.terminal, serial, MOMENT, request.kind)
            signed = Debit(serial, MOMENT, Purchase(*terms).mac1(self.suite, session)).to_apdu()
        self.money = {signed_part(signed)}
        writes = chance.choices(WRITES, k=chance.randrange(3))
        is_compound = request.kind is TransactionKind.COMPOUND_PURCHASE
        records = [write.to_apdu().encode() for write in writes if is_compound]
        self.next = [*records, signed.encode()]

    def sign_order(self, challenge: bytes) -> None:
        is_blocked = self.store.view().life is Life.BLOCKED
        command, kind = self.mutator.chance.choice(
            (
                (CommandApdu(0x84, 0x18 if is_blocked else 0x1E, 0, 0), KeyKind.MAINTENANCE),
                (CommandApdu(0x84, 0x24, 0, 0), KeyKind.PIN_UNBLOCK),
                (CommandApdu(0x04, 0xD6, 0x96, 0, b"\x41\x42"), KeyKind.MAINTENANCE),
                (CommandApdu(0x04, 0xDC, 1, 0xCC, PARKING.record), KeyKind.MAINTENANCE),
            )
        )
        signed = secure(command, self.suite, self.key(kind), challenge)
        self.orders = {signed_part(signed)}
        self.next = [signed.encode()]

    def key(self, kind: KeyKind) -> bytes:
        """The card's own: no command changes it, or `check` would have said so."""
        key = self.store.view().find_key(kind, KEY_INDEX)
        assert key is not None
        return key.value

    # --- the watcher ----------------------------------------------------------------------------

    def check(self, before: PurseState, body: bytes, answer: bytes) -> None:
        after = self.store.view()
        self.check_word(answer)
        if after is before:
            return
        command = CommandApdu.decode(body)  # only a whole command changes anything
        signed = signed_part(command)
        if money_of(after) != money_of(before):
            self.watch.require(signed in self.money, "money moved without its MAC")
            self.money = set()
            self.watch.outcomes["money moved"] += 1
        elif after.files != before.files:
            is_granted = signed in self.orders or self.is_update_open
            self.watch.require(is_granted, "a file changed without an order")
        if secrets_of(after) != secrets_of(before):
            is_granted = self.may_change_secrets(before, after, command)
            self.watch.require(is_granted, "keys, PIN or life changed without an order")
            self.watch.outcomes["orders done"] += 1
        self.orders.discard(signed)

    def may_change_secrets(
        self, before: PurseState, after: PurseState, command: CommandApdu
    ) -> bool:
        """Also: the holder who knows the PIN, and the tries that lock by themselves."""
        pin = before.pin.value if before.pin else b""
        is_holder = (command.cla, command.ins, command.p1) == (0x80, 0x5E, 1)
        if signed_part(command) in self.orders or (is_holder and command.data.startswith(pin)):
            return True
        unlocked = replace(after, life=before.life)
        return before.rules != FREE_RULES and secrets_of(unlocked) == secrets_of(before)

    def check_word(self, answer: bytes) -> None:
        word = int.from_bytes(answer[-2:])
        is_counted = word >> 8 in {0x61, 0x6C} or word & 0xFFF0 == 0x63C0
        is_known = len(answer) >= 2 and (is_counted or word in set(StatusWord))
        self.watch.require(is_known, f"no status word: {answer.hex()}")
        self.watch.require(word != StatusWord.INTERNAL_FAULT, "a fault inside")
        self.watch.outcomes[f"{word:04X}"] += 1


def fuzz_epurse(
    seed: int, count: int, rules: Rules = FREE_RULES, life_commands: int = LIFE_COMMANDS
) -> FuzzReport:
    """`count` commands over purses of either suite, one life after another. Raises FuzzFailed."""
    mutator = Mutator(seed, (SELECT, *PLAIN))
    with watched(seed) as watch:
        for number in range(count):
            if number % life_commands == 0:
                walker = Walker(watch, mutator, mutator.chance.choice(SUITES), rules)
            walker.step()
        return watch.report(count, mutator.mix)
