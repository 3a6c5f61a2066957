"""Every id sent one to five times in random order to several workers: one effect each."""

from __future__ import annotations

import asyncio
import random
from array import array
from collections import Counter, deque
from dataclasses import dataclass, field

from tools.benches.served import WORKER_PATH
from tools.chaos.dice import dice_for
from tools.chaos.errors import ChaosFailed
from tools.chaos.notebook import MADE, Notebook
from tools.chaos.proof import prove
from tools.chaos.scenes import Result, Stage, Watch
from tools.chaos.town import Town, Wish
from tools.chaos.wire import LOST, Wire

CLIENTS = 32
SENDS_MAX = 5
SENDS_PER_CONNECTION = 400
TOGETHER_SHARE = 0.1
"""Of ids whose sends come within a few others: an impatient caller, not one of next week."""
TOGETHER_SENDS = 20
ANSWER_SECONDS = 60.0
TRIES_MAX = 500
PAUSE_SECONDS = 0.02
CONNECT_PAUSE_SECONDS = 0.005
GREETING = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % WORKER_PATH.encode()


@dataclass(slots=True)
class Sends:
    """What is left to send; `open_at` and `by_worker`: connections by process, now and ever."""

    left: deque[Wish]
    notebook: Notebook
    open_at: Counter[bytes] = field(default_factory=Counter)
    by_worker: Counter[bytes] = field(default_factory=Counter)


def storm(stage: Stage, seed: int, *, ids: int) -> Result:
    """Raises ChaosFailed unless there are exactly `ids` effects and one answer for each id."""
    watch = Watch(stage.notebook)
    wishes, order = plan(stage.town, dice_for(seed, "storm"), ids)
    sends = Sends(deque(wishes[number] for number in order), stage.notebook)
    for wish in wishes:
        sends.notebook.want(wish)
    try:
        asyncio.run(_send_all(stage, sends))
    except* (ChaosFailed, *LOST) as broken:
        first = broken.exceptions[0]
        raise ChaosFailed(f"nobody was killed, yet: {first!r}") from first
    told = Counter(stage.notebook.told[wish.operation_id].status for wish in wishes)
    if told != {MADE: ids}:
        raise ChaosFailed(f"{ids} payments were to be made, these were answered: {dict(told)}")
    if watch.tally.answers != len(order):
        raise ChaosFailed(f"{len(order)} requests, {watch.tally.answers} answers")
    if len(sends.by_worker) < stage.served.workers:
        raise ChaosFailed(f"only {len(sends.by_worker)} workers took part")
    prove(stage.town, stage.notebook)
    return watch.result("every id 1 to 5 times")


def plan(town: Town, dice: random.Random, ids: int) -> tuple[list[Wish], array[int]]:
    """The payments, and the order in which their numbers are sent: each 1 to SENDS_MAX times."""
    wishes = [town.pay(dice, amount_fen=1) for _ in range(ids)]
    near = TOGETHER_SENDS / (ids * (1 + SENDS_MAX) / 2)
    places: list[tuple[float, int]] = []
    for number in range(ids):
        first, is_together = dice.random(), dice.random() < TOGETHER_SHARE
        places.append((first, number))
        for _ in range(dice.randint(0, SENDS_MAX - 1)):
            place = first + dice.random() * near if is_together else dice.random()
            places.append((place, number))
    places.sort()
    return wishes, array("q", (number for _, number in places))


async def _send_all(stage: Stage, sends: Sends) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(_client(stage, sends))


async def _client(stage: Stage, sends: Sends) -> None:
    """Connection after connection, so that an id's sends meet different workers."""
    while sends.left:
        wire, worker = await _connect(stage, sends)
        try:
            for _ in range(SENDS_PER_CONNECTION):
                if not sends.left or wire.is_closing:
                    break
                await _send(wire, sends, sends.left.popleft())
        finally:
            sends.open_at[worker] -= 1
            wire.close()


async def _connect(stage: Stage, sends: Sends) -> tuple[Wire, bytes]:
    """To a worker that has not its share yet: when all knock at once, one lets nearly all in."""
    share = -(-CLIENTS // stage.served.workers)
    for _ in range(TRIES_MAX):
        wire = await Wire.open(stage.served.port)
        worker = (await wire.ask(GREETING, ANSWER_SECONDS)).body
        if sends.open_at[worker] < share:
            sends.open_at[worker] += 1
            sends.by_worker[worker] += 1
            return wire, worker
        wire.close()
        await asyncio.sleep(CONNECT_PAUSE_SECONDS)
    raise ChaosFailed(f"workers {dict(sends.by_worker)} let nobody else in")


async def _send(wire: Wire, sends: Sends, wish: Wish) -> None:
    """Until the answer lasts: while the first is being decided, the second is told to wait."""
    for _ in range(TRIES_MAX):
        heard = await wire.ask(wish.request, ANSWER_SECONDS)
        if sends.notebook.hear(wish, heard):
            return
        await asyncio.sleep(PAUSE_SECONDS)
    raise ChaosFailed(f"{wish.operation_id} was told to wait {TRIES_MAX} times")
