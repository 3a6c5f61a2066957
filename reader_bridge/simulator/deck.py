"""All cards of a run by name: made at first, started when first shown, kept in a folder."""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reader_bridge.amounts import format_yuan
from reader_bridge.faults import RecordingFault
from reader_bridge.readers.recording import parse
from reader_bridge.readers.replay import ReplayReader
from reader_bridge.simulator.card_specs import OUR_CARDS, PORT, PURSES, CardRefused, CardSpec, Kind
from reader_bridge.simulator.hostile import Transmit
from reader_bridge.simulator.plugged import PluggedCard

MAKING_SECONDS: Final = 60.0
# The program of the cards; another process, because a terminal shares only bytes with a card.
CARD_PROGRAM: Final = (sys.executable, "-m", "hce")
OFFLINE_YUAN: Final = "300.00"  # what a phone may owe
NUMBER_PREFIX: Final = "3104999"  # T-Union's, of no city
NUMBER_DIGITS: Final = 19


@dataclass
class Deck:
    """Use `close` at the end. `stands_at` (unix seconds) makes purses answer the same each run."""

    folder: Path
    issuer_key: Path  # PKCS #8: vouches for phones
    specs: Mapping[str, CardSpec]
    hostile: Mapping[Kind, Transmit]
    stands_at: int | None = None
    _plugged: dict[str, PluggedCard] = field(default_factory=dict)
    _replays: dict[str, ReplayReader] = field(default_factory=dict)

    def shown(self, name: str) -> Transmit:
        """The card of that name, freshly powered. Raises CardRefused."""
        spec = self.specs[name]
        if spec.kind in self.hostile:
            return self.hostile[spec.kind]
        if spec.kind is Kind.RECORDING:
            return self._replayed(name, spec)
        card = self._plugged.get(name)
        if card is None or not card.is_alive:
            if card is not None:
                card.close()
            card = self._plugged[name] = self._start(name, spec)
        else:
            card.power_on()
        return card.transmit

    def close(self) -> None:
        for card in self._plugged.values():
            card.close()
        self._plugged.clear()

    def _start(self, name: str, spec: CardSpec) -> PluggedCard:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        command = list(spec.command)
        if spec.kind in OUR_CARDS:
            command = [*CARD_PROGRAM, "plug", "--port", PORT, "--lang", "en", *self._now()]
            if self.stands_at is not None:
                command += ["--seed", name]
            for path in self._files(name, spec):
                command += ["--card", str(path)]
        return PluggedCard(name, command, self.folder / f"{name}.log")

    def _files(self, name: str, spec: CardSpec) -> list[Path]:
        """Those of the card, made when they are not there."""
        files: list[Path] = []
        if spec.kind is not Kind.PLASTIC:
            files.append(self.folder / f"{name}.json")
            if not files[-1].exists():
                issuer = ["--issuer", str(self.issuer_key), "--offline", OFFLINE_YUAN]
                self._make(name, files[-1], issuer)
        if spec.kind in PURSES:
            files.append(self.folder / f"{name}.purse")
            if not files[-1].exists():
                # by the name, so that it is the same card in every run
                serial = str(zlib.crc32(name.encode()))
                number = NUMBER_PREFIX + serial.rjust(NUMBER_DIGITS - len(NUMBER_PREFIX), "0")
                purse = ["--purse", "--balance", format_yuan(spec.balance_fen)]
                self._make(name, files[-1], [*purse, "--number", number])
        return files

    def _make(self, name: str, path: Path, words: list[str]) -> None:
        command = [*CARD_PROGRAM, "new", "--card", str(path), "--lang", "en", *self._now(), *words]
        try:
            made = subprocess.run(  # noqa: S603 - our own program, no shell
                command, capture_output=True, timeout=MAKING_SECONDS, check=False, text=True
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CardRefused(f"card '{name}': {error}") from None
        if made.returncode:
            raise CardRefused(f"card '{name}': {made.stderr.strip()[-300:]}")

    def _now(self) -> list[str]:
        return [] if self.stands_at is None else ["--now", str(self.stands_at)]

    def _replayed(self, name: str, spec: CardSpec) -> Transmit:
        """The next tap of the recording; the first again after the last."""
        assert spec.file is not None
        channel = self._replays[name].wait_for_card(0) if name in self._replays else None
        if channel is None:
            try:
                taps = parse(spec.file.read_text("utf-8"))
            except OSError as error:
                raise CardRefused(f"card '{name}': {spec.file}: {error.strerror}") from None
            except (UnicodeDecodeError, RecordingFault) as error:
                raise CardRefused(f"card '{name}': {spec.file}: {error}") from None
            self._replays[name] = ReplayReader(taps)
            channel = self._replays[name].wait_for_card(0)
        if channel is None:
            raise CardRefused(f"card '{name}': {spec.file} holds no tap")
        return channel.transmit
