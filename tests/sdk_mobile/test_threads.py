"""One wallet, many threads: calls are whole, no counter is given twice, no money moved twice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from sdk_mobile import FileStorage, OutcomeUnknown, Wallet
from tests.sdk_mobile.fake_backend import BANK_CARD
from tests.sdk_mobile.test_flows import STATIC_CODE
from tests.sdk_mobile.test_taps import tap

MakeWallet = Callable[..., Wallet]
ROUNDS = 9  # two threads that tap stay within one delivery of keys


@pytest.fixture
def storage(tmp_path):
    opened = FileStorage(tmp_path / "phone")
    yield opened
    opened.close()


def in_threads(*jobs: Callable[[], object]) -> None:
    """Each job ROUNDS times in a thread of its own. An error of one is the test's."""
    errors: list[BaseException] = []
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], object]) -> None:
        start.wait(10)
        try:
            for _ in range(ROUNDS):
                job()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


class Doing:
    """What threads do with a wallet, and what they were told."""

    def __init__(self, wallet: Wallet) -> None:
        self.wallet = wallet
        self.moved: dict[str, int] = {}
        self.atcs: list[int] = []

    def pay(self) -> None:
        self._count(lambda: self.wallet.pay_merchant_code(STATIC_CODE, 7), "payment_id", -7)

    def top_up(self) -> None:
        self._count(lambda: self.wallet.top_up(11, BANK_CARD), "topup_id", 11)

    def _count(self, ask: Callable[[], Any], name: str, amount_fen: int) -> None:
        try:
            self.moved[getattr(ask(), name)] = amount_fen
        except OutcomeUnknown:
            return  # another thread's is under way: nothing of ours was begun

    def tap(self) -> None:
        self.atcs.append(tap(self.wallet.card()).atc)

    def look(self) -> None:
        self.wallet.balance()
        self.wallet.history()
        self.wallet.pay_code()
        self.wallet.offline_view()

    def keep(self) -> None:
        self.wallet.refill_keys_if_needed()
        self.wallet.resume()
        self.wallet.refresh_card()


def test_threads_share_a_wallet(ready, backend):
    """Goal: whatever runs at once, the sums are those of some order."""
    backend.keys_uses_max = 1_000
    doing = Doing(ready)
    in_threads(doing.pay, doing.pay, doing.top_up, doing.tap, doing.tap, doing.look, doing.keep)
    check(doing, backend, taps=2 * ROUNDS)


def test_wallets_of_two_processes_share_a_storage(ready, backend, make_wallet, tmp_path):
    """Goal: as above, with a lock between files that no thread lock helps."""
    backend.keys_uses_max = 1_000
    files = FileStorage(tmp_path / "phone")  # of its own: a second process would have one
    mine, other = Doing(ready), Doing(make_wallet(files))
    in_threads(mine.pay, other.pay, mine.top_up, other.look, mine.keep, other.keep, other.top_up)
    mine.moved.update(other.moved)
    check(mine, backend, taps=0)
    files.close()


def check(doing: Doing, backend: Any, *, taps: int) -> None:
    for outcome in doing.wallet.resume():
        pytest.fail(f"still open when all had ended: {outcome}")
    lines = {one["reference"]: one["amount_fen"] for one in backend.lines[1:]}
    assert doing.moved.items() <= lines.items()
    money = {name: n for name, n in backend.done.items() if name.startswith(("pay_", "top_"))}
    assert set(money.values()) == {1}
    assert backend.balance_fen == 20_000 + sum(lines.values())
    assert doing.wallet.balance().balance_fen == backend.balance_fen
    assert len(doing.moved) >= ROUNDS
    assert sorted(doing.atcs) == list(range(1, taps + 1))
    assert max(Counter(one.line_id for one in doing.wallet.history().lines).values()) == 1
