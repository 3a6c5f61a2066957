"""Fixtures: a fake backend on loopback, a clock that only moves when told, wallets on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.kernel.clock import ManualClock
from sdk_mobile import MemoryStorage, Storage, Wallet
from tests.sdk_mobile.fake_backend import BANK_CARD, CODE, PHONE
from tests.sdk_mobile.fake_server import ServedBackend, serving
from tests.sdk_mobile.real_city import START, RealCity, real_city


class Clock:
    """Phone and backend time; sleeping moves it."""

    def __init__(self) -> None:
        self.seconds = 1_795_000_000.25
        self.phone_ahead_seconds = 0.0
        self.slept: list[float] = []

    def backend(self) -> float:
        return self.seconds

    def phone(self) -> float:
        return self.seconds + self.phone_ahead_seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backend(clock: Clock) -> Iterator[ServedBackend]:
    with serving(ServedBackend(clock=clock.backend)) as running:
        yield running


@pytest.fixture
def city_clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def city(tmp_path: Path, city_clock: ManualClock) -> Iterator[RealCity]:
    """The real city with demo data; nobody has a phone in it yet."""
    with real_city(tmp_path / "var", city_clock) as running:
        yield running


MakeWallet = Callable[..., Wallet]


@pytest.fixture
def make_wallet(backend: ServedBackend, clock: Clock) -> Iterator[MakeWallet]:
    made: list[Wallet] = []

    def make(storage: Storage, url: str | None = None, **more: Any) -> Wallet:
        wallet = Wallet(url or backend.url, storage, clock=clock.phone, sleep=clock.sleep, **more)
        made.append(wallet)
        return wallet

    yield make
    for wallet in made:
        wallet.close()


@pytest.fixture
def storage() -> Storage:
    return MemoryStorage()


@pytest.fixture
def wallet(make_wallet: MakeWallet, storage: Storage) -> Wallet:
    return make_wallet(storage)


@pytest.fixture
def logged_in(wallet: Wallet) -> Wallet:
    wallet.request_login_code(PHONE)
    wallet.log_in(PHONE, CODE)
    return wallet


@pytest.fixture
def ready(logged_in: Wallet) -> Wallet:
    """Registered, wallet open, phone enrolled, card on it, 200 yuan in the wallet."""
    logged_in.register("张三", "110101199003070000")
    logged_in.open_wallet()
    logged_in.enrol_device("my phone")
    logged_in.provision_card()
    logged_in.top_up(20_000, BANK_CARD)
    return logged_in
