"""Who did what to which key: a file that is only added to, each line chained to the one before.

The store names the last line it answers for: a trail that was cut or edited is found out by it.
Holds names and check values, never a key.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

import structlog

from backend.keys import files
from backend.keys.model import Contents, KeysRefused
from backend.keys.store import Store

log = structlog.get_logger(__name__)

FIRST_MAC = ""
BYTES_MAX = 64 * 2**20
NOT_DONE = "not-done"


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did: `key` is a version's name, or a key's where no version is meant."""

    who: str
    act: str
    key: str
    check_value: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class TrailLine:
    """One act. `mac` covers the line and the mac before it."""

    number: int
    at: str
    who: str
    act: str
    key: str
    check_value: str
    note: str = ""
    mac: str = ""


@dataclass(frozen=True, slots=True)
class Trail:
    """The trail beside a store. A line is written before the act is: none goes untold."""

    store: Store

    @property
    def path(self) -> Path:
        return self.store.path.with_name(f"{self.store.path.stem}-trail.jsonl")

    def tell(self, contents: Contents, now: datetime, act: Act) -> Contents:
        """Write the line, and the contents that answer for it. Call under `files.alone`.

        Raises KeysRefused when the trail is not whole.
        """
        lines = self.read(contents)
        for untrue in lines[contents.trail_lines :]:  # told, and a crash came before the act
            note = f"line {untrue.number} was not carried out"
            undone = Act(act.who, NOT_DONE, untrue.key, note=note)
            lines.append(self._append(lines, now, undone))
        last = self._append(lines, now, act)
        log.info("key_act", **asdict(act))
        return replace(contents, trail_lines=last.number, trail_mac=last.mac)

    def read(self, contents: Contents) -> list[TrailLine]:
        """Every line, checked against the one before and the store. Raises KeysRefused."""
        lines: list[TrailLine] = []
        for number, text in enumerate(self._texts(), start=1):
            try:
                line = TrailLine(**json.loads(text))
            except (ValueError, TypeError):
                raise KeysRefused(f"trail: line {number} of {self.path} cannot be read") from None
            before = lines[-1].mac if lines else FIRST_MAC
            if line.number != number or not hmac.compare_digest(line.mac, self._mac(before, line)):
                raise KeysRefused(f"trail: line {number} of {self.path} was changed")
            lines.append(line)
        held = lines[contents.trail_lines - 1].mac if 0 < contents.trail_lines <= len(lines) else ""
        if len(lines) < contents.trail_lines or held != contents.trail_mac:
            raise KeysRefused(
                f"trail: {self.path} ends at line {len(lines)} or differs, the store answers for "
                f"{contents.trail_lines}: restore both from the same backup"
            )
        return lines

    def _texts(self) -> list[str]:
        try:
            with self.path.open(encoding="utf-8") as file:
                text = file.read(BYTES_MAX + 1)
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise KeysRefused(f"trail: {self.path} cannot be read: {error}") from None
        if len(text) > BYTES_MAX:
            raise KeysRefused(f"trail: {self.path} is longer than {BYTES_MAX} bytes")
        whole, _, torn = text.rpartition("\n")
        if torn:  # a crash while it was written: nothing was done under it
            log.warning("key_trail_torn", bytes=len(torn))
        return whole.split("\n") if whole else []

    def _append(self, lines: list[TrailLine], now: datetime, act: Act) -> TrailLine:
        before = lines[-1].mac if lines else FIRST_MAC
        line = TrailLine(number=len(lines) + 1, at=now.isoformat(), **asdict(act))
        line = replace(line, mac=self._mac(before, line))
        self._cut_torn_end()
        files.append(self.path, json.dumps(asdict(line), ensure_ascii=False).encode() + b"\n")
        return line

    def _cut_torn_end(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("r+b") as file:
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)

    def _mac(self, before: str, line: TrailLine) -> str:
        body = json.dumps([before, {**asdict(line), "mac": ""}], sort_keys=True)
        return self.store.mac("keystore-trail/1", body.encode()).hex()
