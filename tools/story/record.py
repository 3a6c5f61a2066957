"""What was played and how long it took: a line a step on the console, the whole as a JSON file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tools.story.stage import Told


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class PlayedStep:
    """One step as the result file tells it."""

    number: int
    name_zh: str
    name_en: str
    milliseconds: float
    detail_zh: str
    detail_en: str


@dataclass(slots=True)
class Line:
    """Filled by who plays the step."""

    told: Told | None = None


@dataclass(slots=True)
class Record:
    """The result file is written after every step, whole or not at all; None keeps no file."""

    path: Path | None
    reader: str | None = None
    ok: bool = False
    started_at: str = field(default_factory=_now)
    finished_at: str | None = None
    steps: list[PlayedStep] = field(default_factory=list)
    _failed_step: int = 0

    @contextmanager
    def step(self, zh: str, en: str) -> Iterator[Line]:
        """Times the `with`; a step that raises is not a played one."""
        number, line, began = len(self.steps) + 1, Line(), time.perf_counter()
        self._failed_step = number
        yield line
        milliseconds = round((time.perf_counter() - began) * 1000, 1)
        assert line.told is not None, "a step tells what it saw"
        told = line.told
        self.steps.append(PlayedStep(number, zh, en, milliseconds, told.zh, told.en))
        text = f"{number:>2}  {milliseconds:>6.0f} ms  {zh} · {en}: {told.zh} · {told.en}"
        print(text, flush=True)
        self._write()

    def succeed(self) -> None:
        """Prints the last line."""
        self.ok, self.finished_at = True, _now()
        self._write()
        print(f"story=ok steps={len(self.steps)}", flush=True)

    def fail(self, reason: str) -> None:
        """Prints the last line; step 0 is what comes before the first step."""
        self.ok, self.finished_at = False, _now()
        self._write()
        print(
            f"story=failed step={self._failed_step} reason={' '.join(reason.split())}", flush=True
        )

    def _write(self) -> None:
        if self.path is None or self.reader is None:
            return  # nothing to keep, or nothing was played
        document = {
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "ok": self.ok,
            "reader": self.reader,
            "steps": [asdict(step) for step in self.steps],
            "total_milliseconds": round(sum(step.milliseconds for step in self.steps), 1),
        }
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        beside.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
        beside.replace(self.path)
