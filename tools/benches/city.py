"""A city to load: shops, citizens with money and tokens, and the processes that serve it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from backend.app import Parts, open_parts
from backend.config import load_config
from backend.db import Which
from backend.kernel import SystemClock
from backend.merchants import AddMerchant, AddShop
from backend.web import Caller, CallerKind
from backend.web.tokens import AccessTokens
from tools.benches import subjects
from tools.benches.errors import BenchFailed
from tools.benches.ids import make_ids
from tools.benches.server import Server
from tools.story.instance import Instance, InstanceFailed, environment, free_port

ROOT = Path(__file__).resolve().parents[2]
MCC = "4111"  # local transport (ISO 18245)
WALLET_FEN = 500_000  # what a registered wallet may hold at most
TOKEN_SECONDS = 12 * 3600  # longer than any bench; a citizen's own lasts 15 minutes
ANY_PORT = 8080  # nobody listens while a city is filled
WORKERS = 2
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.05
PATH = "/v1/me/payments"
AMOUNT_FEN = 1


@dataclass(frozen=True, slots=True)
class Citizen:
    """Who pays; the token is a secret of this run alone."""

    wallet_id: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class City:
    """What is in the databases of `var`: citizens with money, static codes of shops."""

    var: Path
    settings: Mapping[str, str]  # CITY_* of the databases
    citizens: Sequence[Citizen]
    codes: Sequence[str]

    @property
    def ledger_url(self) -> str:
        """URL of the ledger's database, for SQLAlchemy."""
        fallback = f"sqlite:///{self.var / Which.LEDGER.value}.db"
        return self.settings.get(f"CITY_{Which.LEDGER.name}_DATABASE", fallback)


def make_city(var: Path, settings: Mapping[str, str], citizens: int, merchants: int) -> City:
    """Fills fresh databases; `settings` names them (none: SQLite under `var`)."""
    served_as = {**environment(var, ANY_PORT, ANY_PORT), **settings}
    parts = open_parts(load_config(served_as), make=True)
    try:
        parts.wallets.open_house()
        codes = _open_shops(parts, merchants)
        return City(var, settings, _open_wallets(parts, citizens), codes)
    finally:
        parts.databases.close()


def postgres_settings(server: Server) -> dict[str, str]:
    """Three empty databases on the bench's server."""
    settings = {}
    for which in Which:
        server.create(f"city_{which.value}")
        settings[f"CITY_{which.name}_DATABASE"] = server.url(f"city_{which.value}", sqlalchemy=True)
    return settings


def _open_shops(parts: Parts, count: int) -> list[str]:
    codes = []
    merchants, shops = make_ids("mer", count), make_ids("shp", count)
    for number, (merchant_id, shop_id) in enumerate(zip(merchants, shops, strict=True), start=1):
        parts.shops.add_merchant(
            AddMerchant(merchant_id, f"商户{number}", MCC, "澄江湾市", name_en=f"SHOP {number}")
        )
        parts.shops.add_shop(AddShop(shop_id, merchant_id, f"门店{number}"))
        codes.append(parts.merchant_codes.make_for_shop(shop_id).content)
    return codes


def _open_wallets(parts: Parts, count: int) -> list[Citizen]:
    persons, wallets = make_ids("per", count), make_ids("wal", count)
    subjects.fill_wallets(parts, list(zip(persons, wallets, strict=True)), WALLET_FEN)
    tokens = AccessTokens(parts.keys, SystemClock(), TOKEN_SECONDS)
    return [
        Citizen(wallet_id, tokens.issue(Caller(CallerKind.CITIZEN, person_id)))
        for person_id, wallet_id in zip(persons, wallets, strict=True)
    ]


class Payments:
    """Requests to pay 1 fen each: citizen after citizen, shop after shop, a fresh id each.

    Nobody pays twice within `len(citizens)` requests: no wallet is fought for, and the limit of
    6 000 requests a minute for each caller stays far away (at 10 000 a second and 2 000 citizens
    each asks 300 times a minute). Nor do the 500 yuan a day for static codes end it: they are
    50 000 payments of each citizen.
    """

    def __init__(self, city: City, codes: Sequence[str], count: int, *, path: str = PATH) -> None:
        self.ids = make_ids("pay", count)
        self._heads = [_head(one, path) for one in city.citizens]
        self._wallets = [one.wallet_id.encode() for one in city.citizens]
        self._codes = [code.encode() for code in codes]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, number: int) -> bytes:
        citizen = number % len(self._heads)
        code = self._codes[number % len(self._codes)]
        payment_id = self.ids[number].encode()
        body = _body(payment_id, self._wallets[citizen], code)
        return b"%sIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s" % (
            self._heads[citizen],
            payment_id,
            len(body),
            body,
        )


class Repeated:
    """Requests that were answered before, each sent once more in the same order.

    Not round and round: an id that is asked for while it is being answered is told to wait.
    """

    def __init__(self, requests: Payments, good: Sequence[int]) -> None:
        self._requests, self._good = requests, good

    def __len__(self) -> int:
        return len(self._good)

    def __getitem__(self, number: int) -> bytes:
        return self._requests[self._good[number]]


def _head(citizen: Citizen, path: str) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {citizen.token}\r\n"
        "Content-Type: application/json\r\nAccept: application/json\r\n"
    ).encode()


def _body(payment_id: bytes, wallet_id: bytes, code: bytes) -> bytes:
    return b'{"payment_id":"%s","wallet_id":"%s","merchant_code":"%s","amount_fen":%d}' % (
        payment_id,
        wallet_id,
        code,
        AMOUNT_FEN,
    )


@dataclass(frozen=True, slots=True)
class Process:
    """A server that listens on a port of 127.0.0.1, and how many processes answer there."""

    port: int
    workers: int


@contextmanager
def gunicorn(app: str, city: City, name: str) -> Iterator[Process]:
    """`app` as `gunicorn.conf.py` says and the operator's page serves it; stopped at the end.

    Returns at once: `wait_until_ready` tells when it answers. Raises BenchFailed.
    """
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", app]
    workers = {"CITY_WORKERS": str(WORKERS)}
    log = city.var.parent / f"{name}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**environment(city.var, port, free_port()), **city.settings, **workers},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        yield Process(port, WORKERS)
        if process.poll() is not None:
            raise BenchFailed(f"{name} ended with {process.returncode}: {_last_words(log)}")
    finally:
        _stop(process)


def wait_until_ready(server: Process, path: str = "/readyz") -> None:
    """Returns once `path` is answered, by any status below 500. Raises BenchFailed."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not _is_answered(f"http://127.0.0.1:{server.port}{path}"):
        if time.monotonic() > deadline:
            raise BenchFailed(f"nobody answers on port {server.port}")
        time.sleep(POLL_SECONDS)


def _is_answered(url: str) -> bool:
    try:
        answer = httpx.get(url, timeout=5, trust_env=False)
    except httpx.TransportError:
        return False
    return not answer.is_server_error


@contextmanager
def sqlite_city(city: City) -> Iterator[Process]:
    """The default: `python -m backend run` on SQLite, one process; stopped at the end."""
    instance = Instance(city.var, free_port(), free_port())
    try:
        instance.start()
        yield Process(instance.public_port, workers=1)
    except InstanceFailed as failure:
        raise BenchFailed(f"the default city does not start: {failure}") from None
    finally:
        if instance.process is not None:
            instance.kill()  # nothing of it is kept: an orderly end would only take longer


def _stop(process: subprocess.Popen[bytes]) -> None:
    """A quick end (gunicorn's INT waits for no connection), or a hard one when it takes long."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_TIMEOUT_SECONDS)


def _last_words(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-1000:].strip()
