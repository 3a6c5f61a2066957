"""The till that gets killed. A nursery has imported everything and forks a fresh till on demand.

Lines to the nursery: one JSON `Orders` each. Lines from it: `P pid` (a till lives), `T ref` (a card
is being taken), `D ref` (the purse's chip was debited: the till cannot take that back), `A ref id`
(the light is green), `E` (the till is dead).
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typeid import TypeID

from reader_bridge.backend_client import BackendClient
from reader_bridge.client_key import load_or_make_key
from reader_bridge.clock import Clock
from reader_bridge.forward import OfflineSale, Pace, Sender, Uploader, sale_body
from reader_bridge.journal import Atc, Draft, EntryKind, Journal

PURSES, TOKENS = 5, 20
AMOUNT_FEN_STEP = 10
PACE = Pace(
    base_seconds=0.005,
    busy_seconds_max=0.05,
    gone_seconds_max=0.05,
    idle_seconds=0.05,
    wake_seconds_min=0.0,
)
ANSWER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Orders:
    """What a till starts with: which sales to try again, which chips were debited, what is next."""

    again: list[int]
    debited: list[int]
    first: int
    is_last: bool  # sell nothing new, upload everything, end


def is_purse(number: int) -> bool:
    return number % 3 == 0


def amount_fen_of(number: int) -> int:
    return (1 + number % 500) * AMOUNT_FEN_STEP


def tell(line: str) -> None:
    """One write, so that no line is ever half."""
    os.write(1, f"{line}\n".encode())


class Till:
    """Takes cards as fast as it can until somebody kills it."""

    def __init__(self, folder: Path, url: str) -> None:
        self._clock = Clock()
        client = BackendClient(
            url, load_or_make_key(folder), "trm_chaos", timeout_seconds=ANSWER_SECONDS
        )
        self.journal = Journal(folder / "journal.sqlite")
        self.sender = Sender(
            self.journal, Uploader(self.journal, client, self._clock), self._clock, PACE
        )

    def run(self, orders: Orders) -> None:
        self._finish_torn(set(orders.debited))
        self.sender.start()
        for number in orders.again:
            self._take(number, is_debited=number in orders.debited)
        if orders.is_last:
            self._drain()
            return
        number = orders.first
        while True:
            self._take(number, is_debited=False)
            number += 1

    def _finish_torn(self, debited: set[int]) -> None:
        """Each purse is shown again; the chip says whether it was debited."""
        for entry in self.journal.torn():
            number = int(entry.draft.reference)
            if number in debited:
                body = self._body(number, entry.draft.entry_id, entry.terminal_counter)
                self.journal.accept(entry.draft.entry_id, body, self._now())
                tell(f"A {number} {entry.draft.entry_id}")
            else:
                self.journal.drop(entry.draft.entry_id, self._now())

    def _take(self, number: int, *, is_debited: bool) -> None:
        tell(f"T {number}")
        payment_id = str(TypeID(prefix="pay"))
        draft = Draft(
            kind=EntryKind.SALE,
            entry_id=payment_id,
            reference=str(number),
            payment_id=payment_id,
            amount_fen=amount_fen_of(number),
            method="purse" if is_purse(number) else "tap",
            application=None,
        )
        now = self._now()

        def body_of(counter: int) -> bytes:
            return self._body(number, payment_id, counter)

        if is_purse(number):
            entry, is_new = self.journal.intend(draft, f"purse:{number % PURSES}", body_of, now)
            if is_new:
                if is_debited:
                    raise AssertionError(f"chip {number} was debited for a sale nobody intended")
                tell(f"D {number}")
                self.journal.accept(payment_id, body_of(entry.terminal_counter), now)
        else:
            atc = Atc(number + 1, now + 86_400)
            entry, _ = self.journal.accept_new(
                draft, f"token:{number % TOKENS}", body_of, now, atc=atc
            )
        tell(f"A {number} {entry.draft.entry_id}")
        self.sender.wake()

    def _body(self, number: int, payment_id: str, counter: int) -> bytes:
        return sale_body(
            OfflineSale(
                payment_id=payment_id,
                terminal_counter=counter,
                amount_fen=amount_fen_of(number),
                accepted_at=self._now(),
                profile_version=1,
                mode="shop",
                proof={"kind": "chaos", "reference": str(number)},
            )
        )

    def _drain(self) -> None:
        """The parent ends this when it takes too long."""
        while self.journal.to_upload(1):
            self._clock.sleep(0.005)
        self.sender.close()
        self.journal.close()

    def _now(self) -> int:
        return int(self._clock.unix_now())


def main() -> int:
    folder, url = Path(sys.argv[1]), sys.argv[2]
    for line in sys.stdin:
        orders: dict[str, Any] = json.loads(line)
        child = os.fork()
        if child == 0:
            tell(f"P {os.getpid()}")
            Till(folder, url).run(Orders(**orders))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        tell(f"E {os.waitstatus_to_exitcode(status)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
