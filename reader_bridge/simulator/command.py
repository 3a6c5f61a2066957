"""`python -m reader_bridge simulate`: a scenario played, or a till with a prompt beside it."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, TextIO

from reader_bridge.client_key import make_folder
from reader_bridge.faults import TerminalFault
from reader_bridge.simulator.card_specs import BUILT_IN
from reader_bridge.simulator.city import ACTIVATION_CODE
from reader_bridge.simulator.play import Player
from reader_bridge.simulator.prompt import Prompt
from reader_bridge.simulator.script import (
    Scenario,
    ScriptRefused,
    built_in_names,
    find_script,
    read_script,
)
from reader_bridge.simulator.stage import Trace
from reader_bridge.simulator.world import Settings, World

DONE, FAILED, CANNOT = 0, 1, 2
FOLDER: Final = "simulator"  # inside --state: a true terminal's files are never touched
PORT: Final = 8766  # beside that of `serve`
PORT_MAX: Final = 65_535


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers `simulate`."""
    simulate = commands.add_parser(
        "simulate", help="a till without hardware: scripted cards and faults 模拟器"
    )
    simulate.add_argument("scenario", nargs="?", help="a file, or a name from --list")
    simulate.add_argument("--list", action="store_true", help="the scenarios that come with it")
    simulate.add_argument(
        "--prompt", action="store_true", help="the scenario's cards and readers, steps by hand"
    )
    simulate.add_argument("--url", help="a city that runs elsewhere (default: one of its own)")
    simulate.add_argument("--code", default=ACTIVATION_CODE, help="its activation code")
    simulate.add_argument("--port", type=_port, default=PORT, help=f"with the prompt ({PORT})")
    simulate.add_argument("--record", type=Path, metavar="FILE", help="write every tap down")
    simulate.set_defaults(command=run)


def run(arguments: argparse.Namespace, out: TextIO, lines: Iterable[str] | None = None) -> int:
    """0 as expected, 1 a step failed, 2 cannot. `lines` stand for standard input."""
    if arguments.list:
        for name in built_in_names():
            out.write(f"{name:20} {read_script(find_script(name) or Path(name)).title}\n")
        return DONE
    try:
        scenario = _scenario(arguments.scenario)
    except ScriptRefused as refusal:
        out.write(f"{refusal}\n")
        return CANNOT
    with ExitStack() as stack:
        settings = _settings(arguments, scenario, _recording(arguments.record, stack))
        if scenario is not None and not arguments.prompt:
            return _play(scenario, settings, out)
        return _by_hand(settings, out, _typed() if lines is None else lines)


def _scenario(word: str | None) -> Scenario | None:
    """Raises ScriptRefused."""
    if word is None:
        return None
    path = find_script(word)
    if path is None:
        raise ScriptRefused(f"{word}: no file, and none of: {', '.join(built_in_names())}")
    return read_script(path)


def _settings(arguments: argparse.Namespace, scenario: Scenario | None, trace: Trace) -> Settings:
    settings = Settings(
        folder=arguments.state / FOLDER,
        cards=BUILT_IN if scenario is None else scenario.cards,
        readers=("counter",) if scenario is None else scenario.readers,
        language=arguments.language,
        url=arguments.url,
        code=arguments.code,
        trace=trace,
    )
    if scenario is not None and not arguments.prompt:
        return replace(settings, starts_at=scenario.starts_at)
    return replace(settings, port=arguments.port, forwards=True)


def _play(scenario: Scenario, settings: Settings, out: TextIO) -> int:
    """On a new terminal, which is gone afterwards."""
    make_folder(settings.folder)
    folder = Path(tempfile.mkdtemp(prefix="play-", dir=settings.folder))
    try:
        out.write(f"{scenario.name}: {scenario.title}\n")
        with World(replace(settings, folder=folder)) as world:
            is_good = Player(world, lambda line: out.write(f"  {line}\n")).play(scenario.lines)
    finally:
        shutil.rmtree(folder)
    out.write(f"{scenario.name}: {'as expected' if is_good else 'FAILED'}\n")
    return DONE if is_good else FAILED


def _by_hand(settings: Settings, out: TextIO, lines: Iterable[str]) -> int:
    """The same terminal and cards in every run; another one for another city."""
    where = "desk" if settings.url is None else _short(settings.url)

    def tell(line: str) -> None:
        out.write(f"{line}\n")
        out.flush()

    with World(replace(settings, folder=settings.folder / where)) as world:
        tell(f"page   {world.running.server.page_url()}")
        tell(f"API    {world.running.server.url}")
        tell(f"token  in {world.terminal_folder / 'local_token'}")
        tell("DEMO money only. `help` names the commands; for example: present plastic")
        try:
            Prompt(world, tell).run(lines)
        except KeyboardInterrupt:
            tell("")  # Ctrl-C is as good as `quit`
    return DONE


def _typed() -> Iterator[str]:
    """Standard input; at a keyboard with what was typed before at the arrow keys."""
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    with suppress(ImportError):
        import readline  # noqa: F401, PLC0415 - its import is what gives `input` its keys
    with suppress(EOFError):
        while True:
            yield input()


def _recording(path: Path | None, stack: ExitStack) -> Trace:
    if path is None:
        return lambda line: None
    try:
        file = stack.enter_context(path.open("w", encoding="utf-8"))
    except OSError as error:
        raise TerminalFault("state_unusable", reason=f"{path}: {error.strerror}") from None
    return lambda line: file.write(f"{line}\n")


def _short(url: str) -> str:
    return "city-" + hashlib.sha256(url.encode()).hexdigest()[:12]


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= PORT_MAX:
        raise ValueError
    return number
