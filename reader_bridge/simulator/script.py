"""A scenario file: TOML with a title, its cards and readers, and one line for each step.

    title = "A purse torn at every command"
    readers = ["counter"]
    starts_at = 2026-09-21T14:13:20Z       # the clock stands still there; without: it runs
    repeat = 12                            # steps are played for {n} = 1 to 12
    steps = ["sale S{n} 1.00", "present plastic tear {n}", "expect S{n} state=paid spent=1.00"]

    [cards.poor]                           # beside the built-in ones
    kind = "plastic"                       # plastic, phone, both, recording, program, …
    balance = "0.50"

Strict: an unknown name, a step that is none, a card nobody knows are refused before anything runs.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from reader_bridge.simulator.card_specs import BUILT_IN, CardRefused, CardSpec, spec_of
from reader_bridge.simulator.steps import Present, Step, StepRefused, step_of

FILE_BYTES_MAX: Final = 256 * 1024
STEPS_MAX: Final = 500
REPEAT_MAX: Final = 100
PLAYED_MAX: Final = 5_000
READERS_MAX: Final = 8
CARDS_MAX: Final = 32
TITLE_CHARACTERS_MAX: Final = 200
FOLDER: Final = Path(__file__).with_name("scenarios")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}", re.ASCII)
_MEMBERS: Final = frozenset({"title", "readers", "starts_at", "repeat", "steps", "cards"})
COUNTER: Final = "{n}"


class ScriptRefused(ValueError):
    """The file is no scenario; the text names file, line and step."""


@dataclass(frozen=True, slots=True)
class Line:
    """One step as it is played; `place` names it for people."""

    place: str
    text: str
    step: Step


@dataclass(frozen=True, slots=True)
class Scenario:
    """Checked: every step can be read, and every card and reader it names is there."""

    name: str
    title: str
    lines: tuple[Line, ...]  # with `{n}` filled in
    cards: Mapping[str, CardSpec]
    readers: tuple[str, ...] = ("counter",)
    starts_at: int | None = None  # unix seconds; None: the clock of this machine


def built_in_names() -> tuple[str, ...]:
    """The scenarios that come with the program."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def find_script(word: str) -> Path | None:
    """A built-in scenario's file by its name, else the file of that path; None for neither."""
    if word in built_in_names():
        return FOLDER / f"{word}.toml"
    path = Path(word)
    return path if path.is_file() else None


def read_script(path: Path) -> Scenario:
    """Raises ScriptRefused."""
    try:
        with path.open("rb") as file:
            body = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ScriptRefused(f"{path}: {error.strerror}") from None
    if len(body) > FILE_BYTES_MAX:
        raise ScriptRefused(f"{path}: more than {FILE_BYTES_MAX} bytes")
    try:
        text = body.decode("utf-8")
        document = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ScriptRefused(f"{path}: {error}") from None  # tomllib names line and column
    try:
        return _Reading(path, text).scenario(document)
    except (CardRefused, StepRefused) as error:
        raise ScriptRefused(f"{path}: {error}") from None


class _Reading:
    """One file. Every method raises StepRefused or CardRefused without the file's name."""

    def __init__(self, path: Path, text: str) -> None:
        self._path, self._source = path, text.splitlines()
        self._from_line = 0

    def scenario(self, document: Mapping[str, Any]) -> Scenario:
        unknown = sorted(set(document) - _MEMBERS)
        _require(not unknown, f"unknown: {', '.join(unknown)}")
        title, steps = document.get("title"), document.get("steps")
        is_title = isinstance(title, str) and 0 < len(title) <= TITLE_CHARACTERS_MAX
        _require(is_title, "`title` is a text of at most 200 characters")
        _require(isinstance(steps, list) and 0 < len(steps) <= STEPS_MAX, "`steps`: 1 to 500 texts")
        repeat = document.get("repeat", 1)
        is_count = type(repeat) is int and 1 <= repeat <= REPEAT_MAX
        _require(is_count, f"`repeat` is a whole number from 1 to {REPEAT_MAX}")
        assert isinstance(steps, list)
        _require(len(steps) * repeat <= PLAYED_MAX, f"more than {PLAYED_MAX} steps to play")
        cards = {**BUILT_IN, **self._cards(document.get("cards", {}))}
        readers = _readers(document.get("readers", ["counter"]))
        written = [(self._place(number, text), text) for number, text in enumerate(steps, 1)]
        lines = [
            self._line(place, text.replace(COUNTER, str(n)), cards, readers)
            for n in range(1, repeat + 1)
            for place, text in written
        ]
        starts_at = _moment(document.get("starts_at"))
        return Scenario(self._path.stem, str(title), tuple(lines), cards, readers, starts_at)

    def _cards(self, told: Any) -> dict[str, CardSpec]:
        _require(isinstance(told, dict) and len(told) <= CARDS_MAX, "`cards` are tables")
        for name in told:
            _require(_NAME.fullmatch(name) is not None, f"card '{name}': letters, digits, - and _")
        return {name: spec_of(name, table, self._path.parent) for name, table in told.items()}

    def _place(self, number: int, text: Any) -> str:
        """With the line of the file where it is written as it is played."""
        _require(isinstance(text, str), f"step {number} is no text")
        for at in range(self._from_line, len(self._source)):
            if text in self._source[at]:
                self._from_line = at
                return f"step {number} (line {at + 1})"
        return f"step {number}"

    def _line(
        self, place: str, text: str, cards: Mapping[str, CardSpec], readers: tuple[str, ...]
    ) -> Line:
        try:
            step = step_of(text)
            require_known(step, cards, readers)
        except StepRefused as error:
            raise StepRefused(f"{place}: {text}: {error}") from None
        return Line(place, text, step)


def require_known(step: Step, cards: Mapping[str, CardSpec], readers: tuple[str, ...]) -> None:
    """Raises StepRefused for a card or a reader that is not there."""
    if isinstance(step, Present):
        for name in (step.card, *step.others):
            if name not in cards:
                raise StepRefused(f"no card '{name}'; there are: {', '.join(sorted(cards))}")
    reader = getattr(step, "reader", None)
    if reader is not None and reader not in readers:
        raise StepRefused(f"no reader '{reader}'; there are: {', '.join(readers)}")


def _readers(told: Any) -> tuple[str, ...]:
    is_list = isinstance(told, list) and 0 < len(told) <= READERS_MAX
    _require(is_list, f"`readers`: 1 to {READERS_MAX} names")
    for name in told:
        is_name = isinstance(name, str) and _NAME.fullmatch(name) is not None
        _require(is_name, f"reader {name!r}: letters, digits, - and _")
    _require(len(set(told)) == len(told), "a reader is named twice")
    return tuple(told)


def _moment(told: Any) -> int | None:
    if told is None:
        return None
    is_moment = isinstance(told, datetime) and told.tzinfo is not None
    _require(is_moment, "`starts_at` is a moment with its offset: 2026-09-21T14:13:20Z")
    return int(told.timestamp())


def _require(is_true: bool, reason: str) -> None:
    if not is_true:
        raise StepRefused(reason)
