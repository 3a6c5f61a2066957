"""One line, one step: what a scenario's line or a line at the prompt asks for. Plays nothing."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from reader_bridge.amounts import parse_yuan
from reader_bridge.faults import TerminalFault

LINE_CHARACTERS_MAX: Final = 1_000
APDUS_MAX: Final = 200  # a fault later than any tap is long
SLOW_MILLISECONDS_MAX: Final = 10_000
WAIT_SECONDS_MAX: Final = 60.0
SHIFT_SECONDS_MAX: Final = 400 * 86_400
_SHIFT = re.compile(r"(?P<sign>[+-]?)(?P<number>[0-9]{1,8})(?P<unit>[smhd])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class StepRefused(ValueError):
    """A line that is no step; the text says why, in plain words."""


class Fault(StrEnum):
    """What happens at the command of that number, counted from 1 for each presentation."""

    TEAR = "tear"  # the card leaves before it hears the command
    TEAR_AFTER = "tear-after"  # the card works, and its answer is lost
    UNPLUG = "unplug"  # the reader leaves before the card hears the command


class Network(StrEnum):
    """What the network does. The three last ones befall one command each."""

    UP = "up"
    DOWN = "down"
    SLOW = "slow"
    LOSE_REQUEST = "lose-request"
    LOSE_ANSWER = "lose-answer"
    TWICE = "twice"


@dataclass(frozen=True, slots=True)
class Present:
    """Hold a card to a reader; `others` lie there at the same time."""

    card: str
    reader: str | None = None
    others: tuple[str, ...] = ()
    fault: Fault | None = None
    at: int = 0
    slow_milliseconds: int = 0


@dataclass(frozen=True, slots=True)
class Withdraw:
    reader: str | None


@dataclass(frozen=True, slots=True)
class Unplug:
    reader: str | None


@dataclass(frozen=True, slots=True)
class Plug:
    reader: str | None


@dataclass(frozen=True, slots=True)
class Scan:
    text: str


@dataclass(frozen=True, slots=True)
class Sale:
    reference: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Balance:
    reference: str


@dataclass(frozen=True, slots=True)
class Cancel:
    reference: str


@dataclass(frozen=True, slots=True)
class SetNetwork:
    network: Network
    milliseconds: int = 0


@dataclass(frozen=True, slots=True)
class ShiftClock:
    """The terminal's clock alone; None puts it right."""

    seconds: int | None


@dataclass(frozen=True, slots=True)
class Later:
    """Time goes by, for terminal and city alike."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Restart:
    """The terminal's program ends and starts again."""


@dataclass(frozen=True, slots=True)
class Upload:
    """What was sold offline goes up now."""


@dataclass(frozen=True, slots=True)
class Expect:
    """What has to become true within a bounded time; see `EXPECTED` for the names."""

    reference: str | None
    wanted: Mapping[str, str]


Step = (
    Present
    | Withdraw
    | Unplug
    | Plug
    | Scan
    | Sale
    | Balance
    | Cancel
    | SetNetwork
    | ShiftClock
    | Later
    | Restart
    | Upload
    | Expect
)
OF_A_SALE: Final = frozenset({"state", "code", "outcome", "balance", "spent"})
ON_STAGE: Final = frozenset({"reader", "lying", "commands", "network"})
OF_THE_TILL: Final = frozenset({"stage", "code", "waiting", "torn", "aside", "city", "city_sum"})
EXPECTED: Final = ON_STAGE | OF_THE_TILL


def step_of(line: str) -> Step:
    """Raises StepRefused."""
    if len(line) > LINE_CHARACTERS_MAX:
        raise StepRefused("the line is too long")
    try:
        verb, *words = shlex.split(line)
    except ValueError:
        raise StepRefused("nothing to do, or a quotation mark too many") from None
    read = _READ.get(verb)
    if read is None:
        raise StepRefused(f"'{verb}' is none of: {', '.join(sorted(_READ))}")
    return read(words)


def _present(words: list[str]) -> Step:
    if not words:
        raise StepRefused("present which card?")
    card, rest = words[0], words[1:]
    if len(rest) % 2:
        raise StepRefused(f"'{rest[-1]}' stands alone; {_PRESENT_FORM}")
    reader: str | None = None
    others: list[str] = []
    fault, at, slow = None, 0, 0
    for name, value in zip(rest[::2], rest[1::2], strict=True):
        if name == "on":
            reader = value
        elif name == "with":
            others.append(value)
        elif name == "slow":
            slow = _whole(value, 1, SLOW_MILLISECONDS_MAX, "milliseconds")
        elif name in set(Fault) and fault is None:
            fault, at = Fault(name), _whole(value, 1, APDUS_MAX, "commands")
        else:
            raise StepRefused(f"'{name} {value}'; {_PRESENT_FORM}")
    return Present(card, reader, tuple(others), fault, at, slow)


_PRESENT_FORM: Final = (
    "present CARD [on READER] [with CARD] [tear N | tear-after N | unplug N] [slow MILLISECONDS]"
)


def _sale(words: list[str]) -> Step:
    reference, amount = _exactly(words, 2, "sale REFERENCE YUAN")
    try:
        return Sale(reference, parse_yuan(amount))
    except TerminalFault:
        raise StepRefused(f"'{amount}' is no amount; for example 12.50") from None


def _network(words: list[str]) -> Step:
    form = "network " + " | ".join(one + " MILLISECONDS" * (one == "slow") for one in Network)
    if not words or words[0] not in set(Network):
        raise StepRefused(form)
    network = Network(words[0])
    if network is not Network.SLOW:
        _exactly(words, 1, form)
        return SetNetwork(network)
    (_, value) = _exactly(words, 2, form)
    return SetNetwork(network, _whole(value, 1, SLOW_MILLISECONDS_MAX, "milliseconds"))


def _clock(words: list[str]) -> Step:
    (word,) = _exactly(words, 1, "clock +1d | -90s | right")
    return ShiftClock(None if word == "right" else _seconds(word))


def _later(words: list[str]) -> Step:
    (word,) = _exactly(words, 1, "later 90s")
    seconds = _seconds(word)
    if seconds < 0:
        raise StepRefused("time goes one way")
    return Later(seconds)


def _expect(words: list[str]) -> Step:
    reference = words.pop(0) if words and "=" not in words[0] else None
    names = EXPECTED if reference is None else OF_A_SALE
    wanted: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in names or name in wanted:
            raise StepRefused(f"'{word}': here NAME=VALUE, once, of {', '.join(sorted(names))}")
        wanted[name] = value
    if not wanted:
        raise StepRefused("expect what? For example: expect S1 state=paid")
    return Expect(reference, MappingProxyType(wanted))


def _one(form: str, make: Callable[[str], Step]) -> Callable[[list[str]], Step]:
    return lambda words: make(_exactly(words, 1, form)[0])


def _perhaps(form: str, make: Callable[[str | None], Step]) -> Callable[[list[str]], Step]:
    def read(words: list[str]) -> Step:
        return make(_exactly(words, 1, form)[0]) if words else make(None)

    return read


def _none(form: str, make: Callable[[], Step]) -> Callable[[list[str]], Step]:
    def read(words: list[str]) -> Step:
        _exactly(words, 0, form)
        return make()

    return read


def _exactly(words: list[str], count: int, form: str) -> list[str]:
    if len(words) != count:
        raise StepRefused(form)
    return words


def _whole(text: str, least: int, most: int, what: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= most):
        raise StepRefused(f"'{text}': {what} from {least} to {most}")
    return int(text)


def _seconds(text: str) -> int:
    found = _SHIFT.fullmatch(text)
    seconds = 0 if found is None else int(found["number"]) * _SECONDS[found["unit"]]
    if found is None or seconds > SHIFT_SECONDS_MAX:
        raise StepRefused(f"'{text}': for example +1d, -90s; s, m, h, d; at most 400 days")
    return -seconds if found["sign"] == "-" else seconds


_READ: Final[Mapping[str, Callable[[list[str]], Step]]] = MappingProxyType(
    {
        "present": _present,
        "withdraw": _perhaps("withdraw [READER]", Withdraw),
        "unplug": _perhaps("unplug [READER]", Unplug),
        "plug": _perhaps("plug [READER]", Plug),
        "scan": _one("scan TEXT", Scan),
        "sale": _sale,
        "balance": _one("balance REFERENCE", Balance),
        "cancel": _one("cancel REFERENCE", Cancel),
        "network": _network,
        "clock": _clock,
        "later": _later,
        "restart": _none("restart", Restart),
        "upload": _none("upload", Upload),
        "expect": _expect,
    }
)
VERBS: Final = tuple(_READ)
