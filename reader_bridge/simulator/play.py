"""Plays steps on a world, one after the other, and tells what happened; knows no file format."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from reader_bridge.amounts import format_yuan, parse_yuan
from reader_bridge.faults import TerminalFault
from reader_bridge.forward import StepKind
from reader_bridge.simulator.card_specs import PURSES, CardRefused
from reader_bridge.simulator.script import Line, require_known
from reader_bridge.simulator.steps import (
    Balance,
    Cancel,
    Expect,
    Later,
    Plug,
    Present,
    Restart,
    Sale,
    Scan,
    SetNetwork,
    ShiftClock,
    Step,
    StepRefused,
    Unplug,
    Upload,
    Withdraw,
)
from reader_bridge.simulator.world import World

EXPECT_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 0.02
NOTHING: Final = "-"  # what is expected, and seen, where there is nothing
_NETWORK: Final[Mapping[bool, str]] = {True: "up", False: "down"}
Tell = Callable[[str], object]


class Unexpected(Exception):
    """What was expected did not come within its time; the text says what was there instead."""


@dataclass
class Player:
    """One run over one world."""

    world: World
    tell: Tell
    expect_seconds: float = EXPECT_SECONDS
    _shown: str | None = None  # the card that was presented last
    _balances_fen: dict[str, int] = field(default_factory=dict)

    def play(self, lines: Iterable[Line]) -> bool:
        """Every line in turn, until one fails. Whether all went as expected."""
        for line in lines:
            try:
                told = self.do(line.step)
            except (Unexpected, StepRefused, CardRefused) as failure:
                self.tell(f"FAILED {line.place}: {line.text}")
                self.tell(f"       {failure}")
                return False
            self.tell(f"{line.text}{' -> ' + told if told else ''}")
        return True

    def do(self, step: Step) -> str:
        """One step; what is worth telling of it.

        Raises Unexpected, StepRefused, CardRefused; httpx.HTTPError when the local API is away.
        """
        world = self.world
        require_known(step, world.settings.cards, world.settings.readers)
        match step:
            case Present():
                return self._present(step)
            case Withdraw(reader):
                world.stage.withdraw(reader)
            case Unplug(reader):
                world.stage.unplug(reader)
            case Plug(reader):
                world.stage.plug(reader)
            case Scan(text):
                world.stage.scanner.scan(text.encode())
            case SetNetwork(network, milliseconds):
                world.line.set(network, milliseconds)
            case ShiftClock(seconds):
                world.time.be_wrong(seconds)
            case Later(seconds):
                world.time.later(seconds)
            case Restart():
                world.stop()
                world.start()
            case _:
                return self._ask(step)
        return ""

    def screen(self) -> str:
        """What the till shows, in a line."""
        screen = self.world.running.ask("GET", "/v1/screen")
        words = screen["message"]
        language = "zh" if self.world.settings.language == "zh-CN" else "en"
        return f"[{screen['stage']}] {words[language]} ({screen['code']})"

    def _ask(self, step: Step) -> str:
        """Steps that go over the local API, as a register's would."""
        ask = self.world.running.ask
        match step:
            case Sale(reference, amount_fen):
                body = {"reference": reference, "amount_fen": amount_fen}
                return _state_of(ask("POST", "/v1/sales", body))
            case Balance(reference):
                return _state_of(ask("POST", "/v1/balance", {"reference": reference}))
            case Cancel(reference):
                return _state_of(ask("POST", f"/v1/sales/{quote(reference)}/cancellation"))
            case Upload():
                return self._upload()
            case Expect():
                return self._expect(step)
        raise TypeError(f"no step: {step!r}")

    def _present(self, step: Present) -> str:
        """The card that lies there, if any, is taken away first."""
        deck = self.world.deck
        card = deck.shown(step.card)
        others = tuple(deck.shown(name) for name in step.others)
        self.world.stage.present(step, card, others)
        self._shown = step.card
        return ""

    def _upload(self) -> str:
        terminal = self.world.running.terminal
        before = terminal.status().backlog.count
        made = terminal.forward()
        gone = before - terminal.status().backlog.count
        trouble = f", {made.code}" if made.kind is StepKind.FAILED else ""
        return f"{gone} of {before} uploaded{trouble}"

    def _expect(self, step: Expect) -> str:
        deadline = time.monotonic() + self.expect_seconds
        while True:
            seen = self._seen(step)
            wrong = {name for name, value in step.wanted.items() if seen[name] != value}
            if not wrong:
                break
            if time.monotonic() >= deadline:
                told = ", ".join(f"{name}={seen[name]}" for name in sorted(wrong))
                raise Unexpected(f"after {self.expect_seconds:g} s: {told}; {self.screen()}")
            time.sleep(LOOK_SECONDS)  # sleep: between two looks; bounded by the deadline
        self._remember(step)
        return "as expected"

    def _seen(self, step: Expect) -> dict[str, str]:
        """Text by name, for the names that are wanted."""
        if step.reference is not None:
            seen_of_sale = self._seen_of_sale(step.reference)
            if "spent" in step.wanted:
                seen_of_sale["spent"] = self._spent(seen_of_sale["balance"])
            return seen_of_sale
        wanted, running = step.wanted.keys(), self.world.running
        seen = self._seen_on_stage()
        if {"stage", "code"} & wanted:
            screen = running.ask("GET", "/v1/screen")
            seen |= {"stage": screen["stage"], "code": screen["code"]}
        if {"waiting", "torn", "aside"} & wanted:
            backlog = running.terminal.status().backlog
            seen |= {"waiting": str(backlog.count), "torn": str(backlog.torn_count)}
            seen["aside"] = str(backlog.aside_count)
        if {"city", "city_sum"} & wanted:
            if self.world.city is None:
                raise StepRefused("only a DEMO city tells what it has booked")
            count, sum_fen = self.world.city.charged()
            seen |= {"city": str(count), "city_sum": format_yuan(sum_fen)}
        return seen

    def _seen_on_stage(self) -> dict[str, str]:
        world = self.world
        return {
            "reader": self._readers(),
            "lying": ",".join(world.stage.lying()) or NOTHING,
            "commands": str(world.stage.commands()),
            "network": _NETWORK[world.line.is_up],
        }

    def _readers(self) -> str:
        """The names of those that work."""
        readers = self.world.running.till.readers()
        names = self.world.settings.readers
        return ",".join(name for name in names if readers.get(name)) or NOTHING

    def _seen_of_sale(self, reference: str) -> dict[str, str]:
        sale = self.world.running.ask("GET", f"/v1/sales/{quote(reference)}")
        receipt = sale.get("receipt") or {}
        told = receipt.get("balance_fen")
        balance = format_yuan(told) if isinstance(told, int) else NOTHING
        return {
            "state": str(sale.get("state", NOTHING)),
            "code": str(sale.get("code", NOTHING)),
            "outcome": str(receipt.get("outcome") or NOTHING),
            "balance": balance,
        }

    def _spent(self, balance: str) -> str:
        """Since somebody last looked at `spent`, from the purse that was shown last."""
        name = self._shown
        if name is None or self.world.settings.cards[name].kind not in PURSES:
            raise StepRefused("`spent` is told of a card with a purse that was presented")
        before_fen = self._balances_fen.get(name, self.world.settings.cards[name].balance_fen)
        return NOTHING if balance == NOTHING else format_yuan(before_fen - _fen(balance))

    def _remember(self, step: Expect) -> None:
        if "spent" in step.wanted and self._shown is not None and step.reference is not None:
            balance = self._seen_of_sale(step.reference)["balance"]
            self._balances_fen[self._shown] = _fen(balance)


def _state_of(answer: Mapping[str, Any]) -> str:
    """Of an order, or a problem's code."""
    if "state" in answer:
        return f"{answer['state']} ({answer['code']})"
    return f"refused ({answer.get('code', 'no answer')})"


def _fen(text: str) -> int:
    try:
        return parse_yuan(text)
    except TerminalFault:
        return 0  # a purse that is empty now
