"""Ends PostgreSQL's backends one by one, idle or at work, and asks what callers notice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psycopg

from backend.db import Which
from backend.db.rows import lock_of
from backend.wallet.ledger import tables
from tools.chaos.crowd import Crowd, ask_again
from tools.chaos.dice import dice_for
from tools.chaos.postgres import Postgres
from tools.chaos.processes import until
from tools.chaos.scenes import Stage
from tools.chaos.town import Wish
from tools.chaos.wire import Heard, Wire

WARM_CLIENTS, WARM_ANSWERS = 24, 150
ANSWER_SECONDS = 35.0
LEDGER = f"city_{Which.LEDGER.value}"
ENDED = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {which}"
OURS = "datname LIKE 'city\\_%' AND pid <> pg_backend_pid()"
WAITS = f"{OURS} AND wait_event_type = 'Lock'"


class Backends:
    """The server's side of the service's connections."""

    def __init__(self, server: Postgres) -> None:
        self._server = server.server

    def end_all(self) -> int:
        """How many there were; none of them is left."""
        return self._end(OURS)

    def end_waiting(self) -> None:
        """The one that waits for a lock, in the middle of its transaction; once there is one."""
        until(lambda: self._end(WAITS) > 0, "a transaction that waits")

    @contextmanager
    def hold_account(self, account_id: str) -> Iterator[None]:
        """Nobody else may post to it meanwhile."""
        number = lock_of(tables.account, (account_id,))
        with psycopg.connect(self._server.url(LEDGER)) as holder:
            holder.execute("SELECT pg_advisory_xact_lock(%s)", [number])
            yield
            holder.rollback()

    def _end(self, which: str) -> int:
        return self._server.ask("postgres", ENDED.format(which=which))


class Asker:
    """One caller after another, each with a connection of its own: any worker may answer."""

    good = (201, 200)

    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage, self._seed, self._dice = stage, seed, dice_for(seed, "asker")

    def warm_up(self) -> None:
        """Until every worker has connections that lie idle."""
        stage = self._stage
        stage.served.wait_until_all_answer()
        crowd = Crowd(
            stage.town,
            stage.served.port,
            self._seed,
            clients=WARM_CLIENTS,
            notebook=stage.notebook,
        )
        with crowd:
            crowd.wait_for_answers(WARM_ANSWERS)

    def new_wish(self) -> Wish:
        wish = self._stage.town.pay(self._dice, amount_fen=1)
        self._stage.notebook.want(wish)
        return wish

    def ask(self) -> tuple[int, int]:
        """A payment, then a question about it: both statuses."""
        wish = self.new_wish()
        heard = self.send(wish)
        self._stage.notebook.hear(wish, heard)
        path, headers = self._stage.town.look(wish)
        url = f"http://127.0.0.1:{self._stage.served.port}{path}"
        return heard.status, httpx.get(url, headers=headers, trust_env=False).status_code

    def send(self, wish: Wish) -> Heard:
        """Once, without a second try."""
        return asyncio.run(self._send(wish.request))

    def fulfil(self, wish: Wish) -> None:
        """Until it has an answer that lasts."""
        ask_again(
            self._stage.served.port,
            self._stage.notebook,
            [wish.operation_id],
            self._seed,
            clients=1,
        )

    async def _send(self, request: bytes) -> Heard:
        wire = await Wire.open(self._stage.served.port)
        try:
            return await wire.ask(request, ANSWER_SECONDS)
        finally:
            wire.close()
