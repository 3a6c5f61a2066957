"""Clients that pay, refund and ask again while the service dies under them, in one thread.

A client has at most one operation open. It asks with the same id until it has an answer that
lasts, whatever happens to its connection; sometimes it loses patience and hangs up by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable, Sequence

from tools.chaos.dice import dice_for
from tools.chaos.errors import ChaosFailed
from tools.chaos.notebook import Notebook
from tools.chaos.town import Town, Wish
from tools.chaos.wire import LOST, Heard, Wire

CLIENTS = 64
ANSWER_SECONDS = 35.0  # longer than anything in the service waits
OPERATION_SECONDS = 90.0  # a client that hears nothing that lasts for so long gives the alarm
JOIN_SECONDS = OPERATION_SECONDS + 30.0
PAUSE_SECONDS = 0.01
PAUSE_SECONDS_MAX = 0.4
THINK_SECONDS_MAX = 0.06
IMPATIENT_SHARE, IMPATIENT_SECONDS_MAX = 0.04, 0.015
REFUND_SHARE, AGAIN_SHARE, LEAVE_SHARE = 0.15, 0.08, 0.02


class Crowd:
    """`clients` who live until `stop`; what they were told is in `notebook`."""

    def __init__(
        self,
        town: Town,
        port: int,
        seed: int,
        *,
        clients: int = CLIENTS,
        notebook: Notebook | None = None,
    ) -> None:
        self.notebook = notebook or Notebook()
        self._town, self._port, self._seed, self._clients = town, port, seed, clients
        self._changed = threading.Condition()
        self._latest_asked = 0.0  # when the newest answered question was asked
        self._answers = 0
        self._stopping = False
        self._error: BaseException | None = None
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None
        self._thread = threading.Thread(target=self._run, name="crowd")

    def __enter__(self) -> Crowd:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopping = True
        if exception[0] is not None:  # nobody waits for answers any more
            self._give_up()
        self._thread.join(JOIN_SECONDS)
        if exception[0] is None:
            self._check()

    def wait_for_answers(self, more: int, seconds: float = 60.0) -> None:
        """Until so many more final answers were heard. Raises ChaosFailed."""
        with self._changed:
            goal = self._answers + more
            self._wait(lambda: self._answers >= goal, seconds, f"{more} more answers")

    def wait_for_answer_after(self, moment: float, seconds: float) -> float:
        """Until something asked after `moment` (monotonic) is answered; how long after it."""
        with self._changed:
            self._wait(lambda: self._latest_asked > moment, seconds, "an answer after a death")
            return time.monotonic() - moment

    def _wait(self, is_true: Callable[[], bool], seconds: float, what: str) -> None:
        came = self._changed.wait_for(lambda: self._error or is_true(), seconds)
        self._check()
        if not came:
            raise ChaosFailed(f"waited {seconds:.0f} s for {what}")

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._stopping and self._thread.is_alive():
            raise ChaosFailed("the clients do not end")

    def _give_up(self) -> None:
        if self._running is not None:
            loop, everybody = self._running
            with contextlib.suppress(RuntimeError):  # they have just ended
                loop.call_soon_threadsafe(everybody.cancel)

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:
            with self._changed:
                self._error = _first(error)
                self._changed.notify_all()

    async def _live(self) -> None:
        everybody = asyncio.current_task()
        assert everybody is not None
        self._running = asyncio.get_running_loop(), everybody
        async with asyncio.TaskGroup() as group:
            for number in range(self._clients):
                group.create_task(self._client(number))

    async def _client(self, number: int) -> None:
        # Dice apart: what it wants next does not depend on how often it had to ask.
        dice = dice_for(self._seed, number, "wants")
        client = Client(self._port, self.notebook, dice_for(self._seed, number, "asks"))
        try:
            while not self._stopping:
                asked_at = await client.fulfil(self._next(dice))
                with self._changed:
                    self._answers += 1
                    self._latest_asked = max(self._latest_asked, asked_at)
                    self._changed.notify_all()
                await asyncio.sleep(dice.uniform(0, THINK_SECONDS_MAX))
        finally:
            client.leave()

    def _next(self, dice: random.Random) -> Wish:
        """Something new to pay, something to give back, or a question asked before."""
        made, chosen = self.notebook.made, dice.random()
        if made and chosen < REFUND_SHARE:
            wish = self._town.refund(dice, _any_of(made, dice))
        elif made and chosen < REFUND_SHARE + AGAIN_SHARE:
            return _any_of(made, dice)
        else:
            wish = self._town.pay(dice)
        self.notebook.want(wish)
        return wish


def _any_of(made: Sequence[Wish], dice: random.Random) -> Wish:
    """One throw, however many there are."""
    return made[int(dice.random() * len(made))]


class Client:
    """One caller and its connection."""

    def __init__(self, port: int, notebook: Notebook, dice: random.Random) -> None:
        self._port, self._notebook, self._dice = port, notebook, dice
        self._wire: Wire | None = None

    async def fulfil(self, wish: Wish) -> float:
        """Asks until the answer lasts; when the question that got it was asked (monotonic)."""
        deadline = time.monotonic() + OPERATION_SECONDS
        pause_seconds = PAUSE_SECONDS
        while True:
            asked_at = time.monotonic()
            heard = await self._ask(wish)
            if heard is not None and self._notebook.hear(wish, heard):
                return asked_at
            if asked_at > deadline:
                raise ChaosFailed(f"{wish.operation_id}: no answer for {OPERATION_SECONDS:.0f} s")
            await asyncio.sleep(pause_seconds * self._dice.uniform(0.5, 1.5))
            pause_seconds = min(2 * pause_seconds, PAUSE_SECONDS_MAX)

    def leave(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def _ask(self, wish: Wish) -> Heard | None:
        """One attempt; None when the connection was lost, by the service or by our impatience."""
        seconds = ANSWER_SECONDS
        if self._dice.random() < IMPATIENT_SHARE:
            seconds = self._dice.uniform(0, IMPATIENT_SECONDS_MAX)
        try:
            if self._wire is None:
                self._wire = await Wire.open(self._port)
            heard = await self._wire.ask(wish.request, seconds)
        except LOST as error:
            self._notebook.retries[_why(error)] += 1
            self.leave()
            return None
        if self._wire.is_closing or self._dice.random() < LEAVE_SHARE:
            self.leave()  # the next connection may be another process's
        return heard


def _why(error: BaseException) -> str:
    return "hung_up" if isinstance(error, TimeoutError) else "connection_lost"


def ask_again(
    port: int, notebook: Notebook, ids: Sequence[str], seed: int, *, clients: int = CLIENTS
) -> None:
    """Asks every one of `ids` once more; `notebook` raises ChaosFailed for another answer."""

    async def some(number: int) -> None:
        client = Client(port, notebook, dice_for(seed, "again", number))
        try:
            for name in ids[number::clients]:
                await client.fulfil(notebook.wishes[name])
        finally:
            client.leave()

    async def everyone() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(some(number))

    try:
        asyncio.run(everyone())
    except BaseExceptionGroup as broken:
        raise _first(broken) from broken


def _first(error: BaseException) -> BaseException:
    """What one client died of; the others were only told to leave."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
