"""Everything of one run, joined: city, line, cards, readers, and the till that `serve` runs."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import httpx

from card_protocol.epurse.sam import SamTally
from reader_bridge.backend_client import Refused, Unreachable
from reader_bridge.client_key import IDENTITY_FILE, load_identity, make_folder, save_identity
from reader_bridge.clock import Clock
from reader_bridge.faults import Language, TerminalFault
from reader_bridge.local.app import make_local
from reader_bridge.local.server import LocalServer, bind
from reader_bridge.local.settings import LocalSettings
from reader_bridge.local.token import load_or_make_token
from reader_bridge.readers.events import Pace, ReaderSet
from reader_bridge.sam.software import SoftwareSam
from reader_bridge.sam.tally import TallyFile
from reader_bridge.serving import health_of
from reader_bridge.simulator.card_specs import CardSpec
from reader_bridge.simulator.city import ACTIVATION_CODE, DemoCity
from reader_bridge.simulator.city_papers import CityKeys
from reader_bridge.simulator.deck import Deck
from reader_bridge.simulator.hostile import hostile_cards
from reader_bridge.simulator.line import HttpUpstream, Line
from reader_bridge.simulator.stage import Stage, Trace
from reader_bridge.terminal import Terminal
from reader_bridge.till import Till

SAM_TERMINAL: Final = bytes.fromhex("DE3000000001")
TALLY_FILE: Final = "sam.tally"
API_SECONDS: Final = 30.0
PACE: Final = Pace(look_seconds=0.1, held_look_seconds=0.05)
DICE_BLOCK_BYTES: Final = 32
READY_LOOKS_MAX: Final = 200
READY_LOOK_SECONDS: Final = 0.05
_log = logging.getLogger(__name__)


class PlayedTime:
    """The terminal's clock, which may be wrong, beside the true one. Safe for several threads.

    `stands_at`: unix seconds at which time stands still until `later`; dice are then the same in
    every run.
    """

    def __init__(self, stands_at: int | None = None) -> None:
        self._outside, self._stands_at = Clock(), stands_at
        self._later = self._wrong = 0
        self._calls = 0
        self._lock = threading.Lock()
        self._slept_seconds = 0.0

    def true_now(self) -> float:
        begun = self._outside.unix_now() if self._stands_at is None else float(self._stands_at)
        return begun + self._later

    def later(self, seconds: int) -> None:
        self._later += seconds

    def be_wrong(self, seconds: int | None) -> None:
        """Adds to what the terminal's clock is wrong by; None puts it right."""
        self._wrong = 0 if seconds is None else self._wrong + seconds

    def sleep(self, seconds: float) -> None:
        """What a card takes. Where time stands still it only counts, and costs nobody time."""
        if self._stands_at is None:
            self._outside.sleep(seconds)
            return
        with self._lock:
            self._slept_seconds += seconds

    def elapsed(self) -> float:
        with self._lock:
            return self._outside.elapsed() + self._later + self._slept_seconds

    def clock(self) -> Clock:
        """The terminal's."""
        return replace(
            self._outside,
            unix_now=lambda: self.true_now() + self._wrong,
            elapsed=self.elapsed,
            random_bytes=self.random_bytes,
        )

    def random_bytes(self, length_bytes: int) -> bytes:
        """Raises ValueError for more than 32 bytes at once where time stands still."""
        if self._stands_at is None:
            return self._outside.random_bytes(length_bytes)
        if length_bytes > DICE_BLOCK_BYTES:
            raise ValueError(f"at most {DICE_BLOCK_BYTES} bytes at once")
        with self._lock:
            self._calls += 1
            return hashlib.sha256(b"terminal %d" % self._calls).digest()[:length_bytes]


@dataclass(frozen=True, slots=True)
class Settings:
    """`url` and `code`: a city that runs elsewhere and its activation code; None: the DEMO city."""

    folder: Path
    cards: Mapping[str, CardSpec]
    readers: tuple[str, ...] = ("counter",)
    starts_at: int | None = None
    language: Language = "en"
    port: int = 0
    url: str | None = None
    code: str = ACTIVATION_CODE
    trace: Trace = field(default=lambda line: None)
    forwards: bool = False  # uploads by itself, as a served terminal does


class World:
    """Use as a context. What `open` and the methods raise: TerminalFault, Unreachable, Refused."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.time = PlayedTime(settings.starts_at)
        keys = CityKeys(settings.folder / "city")
        self.city = DemoCity(keys, self.time.true_now) if settings.url is None else None
        self._elsewhere = None if settings.url is None else HttpUpstream(settings.url)
        upstream = self._elsewhere if self.city is None else self.city.handle
        assert upstream is not None
        self.line = Line(upstream, Clock().sleep)
        self.stage = Stage(settings.readers, self.time.sleep, settings.trace)
        self.deck = Deck(
            settings.folder / "cards",
            keys.issuer_path,
            settings.cards,
            hostile_cards(self.time.sleep, self.time.random_bytes),
            settings.starts_at,
        )
        self._port = settings.port
        self._running: Running | None = None

    def __enter__(self) -> World:
        try:
            self._activate()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def running(self) -> Running:
        """Raises RuntimeError between `stop` and `start`."""
        if self._running is None:
            raise RuntimeError("the terminal is switched off")
        return self._running

    def start(self) -> None:
        self._running = Running(self, self._port)
        self._port = self._running.server.port  # a register finds it again after a restart

    def stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.close()

    def close(self) -> None:
        self.stop()
        self.deck.close()
        self.line.close()
        if self._elsewhere is not None:
            self._elsewhere.close()

    @property
    def terminal_folder(self) -> Path:
        return self.settings.folder / "terminal"

    def _activate(self) -> None:
        """Once; and the address of the line is another one in every run."""
        folder = self.terminal_folder
        if (folder / IDENTITY_FILE).exists():
            save_identity(folder, replace(load_identity(folder), url=self.line.url))
            return
        make_folder(folder)
        clock = self.time.clock()
        Terminal.activate(
            folder, self.line.url, self.settings.code, label="simulator", clock=clock
        ).close()


class Running:
    """The terminal's program, from one start to the next."""

    def __init__(self, world: World, port: int) -> None:
        folder, settings, clock = world.terminal_folder, world.settings, world.time.clock()
        self.api: httpx.Client
        with ExitStack() as stack:
            sam = _open_sam(folder, stack)
            self.terminal = stack.enter_context(
                Terminal.open(folder, language=settings.language, clock=clock, sam=sam)
            )
            try:
                self.terminal.refresh()
            except (Refused, Unreachable, TerminalFault) as failure:
                _log.info("it starts with what it knows: %s", failure)
            self.terminal.recover()
            if settings.forwards:
                self.terminal.start_forwarding()
            readers = stack.enter_context(
                ReaderSet(scanners=[world.stage.scanner], plugs=[world.stage.plugs], pace=PACE)
            )
            self.till = stack.enter_context(Till(self.terminal, readers, clock))
            token = load_or_make_token(folder)
            self.server = self._serve(token, port, settings.language)
            stack.callback(self.server.stop)
            self.api = stack.enter_context(
                httpx.Client(
                    base_url=self.server.url,
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=API_SECONDS,
                    trust_env=False,
                )
            )
            self._await_readers(world.stage.plugs.there())
            self._stack = stack.pop_all()

    def _serve(self, token: str, port: int, language: Language) -> LocalServer:
        listener = bind(port)
        settings = LocalSettings(
            port=listener.getsockname()[1],
            token=token,
            shop_name=self.terminal.identity.shop_name,
            language=language,
            health=lambda: health_of(self.terminal.status()),
        )
        server = LocalServer(make_local(self.till, settings), listener)
        server.start()
        return server

    def close(self) -> None:
        self._stack.close()

    def _await_readers(self, names: tuple[str, ...]) -> None:
        """Until the till knows them, so that the first step meets a terminal that is up.

        Raises TimeoutError.
        """
        version = 0
        for _ in range(READY_LOOKS_MAX):
            if all(self.till.readers().get(name) for name in names):
                return
            screen = self.till.wait_screen(version, READY_LOOK_SECONDS)
            version = version if screen is None else screen.version
        raise TimeoutError("the terminal does not see its readers")

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What the local API answers: the document, a problem's too. Raises httpx.HTTPError."""
        answer = self.api.request(method, path, json=None if body is None else dict(body))
        document: dict[str, Any] = answer.json()
        return document


def _open_sam(folder: Path, stack: ExitStack) -> SoftwareSam:
    """With the published TEST masters: no purchase here is money."""
    path = folder / TALLY_FILE
    if not path.exists():
        TallyFile.create(path, SamTally(SAM_TERMINAL)).close()
    tally = TallyFile(path)
    sam = SoftwareSam.with_test_keys(SAM_TERMINAL, tally)
    stack.callback(sam.close)
    return sam
