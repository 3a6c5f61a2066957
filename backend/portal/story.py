"""The story's result, as its player left it in var/story.json: any content of the file is borne."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from backend.kernel import Words

FILE_MAX_BYTES = 256 * 1024
STEPS_MAX = 100
TEXT_MAX = 500
MILLISECONDS_MAX = 10**9
YEARS = range(2000, 3000)
SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: JSON can write it, UTF-8 cannot
RUNNING_MAX = timedelta(minutes=10)
"""A story without an end for so long was broken off."""


class StoryState(Enum):
    """How the story stands."""

    MISSING = "missing"  # nobody has played it
    DAMAGED = "damaged"  # the file is not what the player writes
    RUNNING = "running"
    STOPPED = "stopped"  # began, and was broken off
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened, and how long it took."""

    number: int
    name: Words
    detail: Words
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Story:
    """`version` changes whenever the page would look different."""

    state: StoryState
    version: str
    started_at: datetime | None = None
    reader: str | None = None  # "pcsc" or "loopback"
    steps: tuple[Step, ...] = ()
    total_milliseconds: float = 0.0

    @property
    def longest_milliseconds(self) -> float:
        return max((step.milliseconds for step in self.steps), default=0.0)


class _Unfit(Exception):
    """The file's content is not a story."""


def read_story(path: Path, now: datetime) -> Story:
    """The story in `path`, seen at `now`. Never raises for what the file holds or lacks."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_MAX_BYTES + 1)
    except FileNotFoundError:
        return Story(StoryState.MISSING, StoryState.MISSING.value)
    except OSError:
        return Story(StoryState.DAMAGED, StoryState.DAMAGED.value)
    mark = hashlib.sha256(content).hexdigest()[:16]
    try:
        return _story(_parse(content), mark, now)
    except _Unfit:
        return Story(StoryState.DAMAGED, f"{StoryState.DAMAGED.value}-{mark}")


def _parse(content: bytes) -> Mapping[str, Any]:
    if len(content) > FILE_MAX_BYTES:
        raise _Unfit
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        raise _Unfit from None
    if not isinstance(parsed, Mapping):
        raise _Unfit
    return parsed


def _story(parsed: Mapping[str, Any], mark: str, now: datetime) -> Story:
    started_at, reader, rows = _moment(parsed), parsed.get("reader"), parsed.get("steps")
    if reader not in ("pcsc", "loopback") or not isinstance(rows, list) or len(rows) > STEPS_MAX:
        raise _Unfit
    steps = tuple(_step(row) for row in rows)
    state = _state(parsed, started_at, now)
    total = parsed.get("total_milliseconds")
    spent = math.fsum(step.milliseconds for step in steps)
    return Story(
        state=state,
        version=f"{state.value}-{mark}",
        started_at=started_at,
        reader=reader,
        steps=steps,
        total_milliseconds=spent if total is None else _milliseconds(total),
    )


def _state(parsed: Mapping[str, Any], started_at: datetime, now: datetime) -> StoryState:
    if parsed.get("finished_at") is None:
        return StoryState.STOPPED if now - started_at > RUNNING_MAX else StoryState.RUNNING
    return StoryState.PASSED if parsed.get("ok") is True else StoryState.FAILED


def _moment(parsed: Mapping[str, Any]) -> datetime:
    try:
        moment = datetime.fromisoformat(parsed.get("started_at"))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise _Unfit from None
    if moment.tzinfo is None or moment.year not in YEARS:
        raise _Unfit
    return moment


def _step(row: object) -> Step:
    if not isinstance(row, Mapping) or type(row.get("number")) is not int:
        raise _Unfit
    return Step(
        number=row["number"],
        name=Words(zh=_text(row, "name_zh"), en=_text(row, "name_en")),
        detail=Words(zh=_text(row, "detail_zh"), en=_text(row, "detail_en")),
        milliseconds=_milliseconds(row.get("milliseconds")),
    )


def _text(row: Mapping[str, Any], name: str) -> str:
    text = row.get(name)
    if not isinstance(text, str) or len(text) > TEXT_MAX or SURROGATE.search(text):
        raise _Unfit
    return text


def _milliseconds(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _Unfit
    if not 0 <= value <= MILLISECONDS_MAX:  # false for NaN, too
        raise _Unfit
    return float(value)
