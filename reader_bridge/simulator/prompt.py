"""A prompt beside the till's page: every step of a scenario, typed; and what the till shows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final

import httpx

from reader_bridge.backend_client import Refused, Unreachable
from reader_bridge.faults import Fault, Text
from reader_bridge.simulator.card_specs import CardRefused
from reader_bridge.simulator.play import Player, Unexpected
from reader_bridge.simulator.script import built_in_names
from reader_bridge.simulator.steps import StepRefused, step_of
from reader_bridge.simulator.world import World

PROMPT_EXPECT_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.5
HELP: Final = """\
present CARD [on READER] [with CARD]    hold a card to the reader 贴卡; two at once 同时两张
        [tear N | tear-after N]         it leaves before command N, or after the card did it 中断
        [unplug N] [slow MS]            the reader leaves at command N 拔线; MS for each command 慢
withdraw [READER]                       take the card away 移开
unplug [READER], plug [READER]          the reader's cable 拔/插读卡器
scan TEXT                               a code at the scanner 扫码
sale [REFERENCE] YUAN                   an order, as the cash register's 收款
balance REFERENCE, cancel REFERENCE     查余额, 取消
network up | down | slow MS             网络
network lose-request | lose-answer | twice      befalls the next command 丢请求/丢应答/重复
clock +1d | -90s | right, later 60s     the terminal's clock alone 时钟偏差; time itself 时间流逝
restart, upload                         重启终端, 上传脱机交易
expect [REFERENCE] NAME=VALUE ...       as in a scenario 检查
status, cards, page, help, quit         状态, 卡, 页面链接, 帮助, 退出
"""
Tell = Callable[[str], object]


class Prompt:
    """`run` takes lines until `quit` or the end of them; `do` is one line."""

    def __init__(self, world: World, tell: Tell) -> None:
        self._world, self._tell = world, tell
        self._player = Player(world, tell, PROMPT_EXPECT_SECONDS)
        self._orders = 0

    def run(self, lines: Iterable[str]) -> None:
        watch = _ScreenWatch(self._world, self._tell)
        watch.start()
        try:
            for line in lines:
                if not self.do(line.strip()):
                    break
        finally:
            watch.stop()

    def do(self, line: str) -> bool:
        """One line; False for `quit`. What goes wrong is told and never ends the prompt."""
        try:
            return self._act(line)
        except (StepRefused, CardRefused, Unexpected) as failure:
            self._tell(str(failure))
        except (Fault, Refused, Unreachable) as failure:
            self._tell(f"{type(failure).__name__}: {failure}")
        except (httpx.HTTPError, RuntimeError, TimeoutError) as failure:
            self._tell(f"the terminal does not answer: {failure}")
        return True

    def _act(self, line: str) -> bool:
        world, word = self._world, line.partition(" ")[0]
        if word in {"quit", "exit"}:
            return False
        if word == "help":
            self._tell(HELP.rstrip())
        elif word == "cards":
            for name, spec in sorted(world.settings.cards.items()):
                self._tell(f"{name}  {spec.kind}")
        elif word == "page":
            self._tell(world.running.server.page_url())
        elif word == "status":
            self._status()
        elif word in built_in_names():
            self._tell(f"a scenario starts with a terminal of its own: simulate {word}")
        elif line:
            told = self._player.do(step_of(self._with_reference(line)))
            if told:
                self._tell(told)
        return True

    def _with_reference(self, line: str) -> str:
        """`sale 1.00` gets a reference that no earlier run has used."""
        words = line.split()
        if len(words) != 2 or words[0] != "sale":
            return line
        self._orders += 1
        return f"sale P{int(self._world.time.true_now())}-{self._orders} {words[1]}"

    def _status(self) -> None:
        world = self._world
        backlog = world.running.terminal.status().backlog
        readers = ", ".join(
            f"{name} {'ok' if works else 'gone'}"
            for name, works in sorted(world.running.till.readers().items())
        )
        self._tell(f"screen   {self._player.screen()}")
        self._tell(f"readers  {readers}; cards lie on: {', '.join(world.stage.lying()) or 'none'}")
        self._tell(f"network  {'up' if world.line.is_up else 'down'}")
        self._tell(f"kept     {backlog.count} to upload, {backlog.torn_count} torn")
        if world.city is not None:
            count, sum_fen = world.city.charged()
            self._tell(f"city     {count} sales booked, {sum_fen} fen (DEMO)")


class _ScreenWatch:
    """Tells what the till shows whenever that changes, also after a restart."""

    def __init__(self, world: World, tell: Tell) -> None:
        self._world, self._tell = world, tell
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="screen watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        till, version = None, -1
        while not self._stopping.is_set():
            try:
                now = self._world.running.till
            except RuntimeError:  # between two starts
                self._stopping.wait(LOOK_SECONDS)
                continue
            if now is not till:
                till, version = now, now.screen().version
            screen = now.wait_screen(version, LOOK_SECONDS)
            if screen is not None:
                version = screen.version
                self._tell(f"  [{screen.stage.value}] {self._words(screen.message)}")
            elif now.is_closed:
                self._stopping.wait(LOOK_SECONDS)

    def _words(self, text: Text) -> str:
        return text.read(self._world.settings.language)
