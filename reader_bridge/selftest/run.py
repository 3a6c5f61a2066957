"""All checks in order, each with a bound on its time; a check that breaks is a line, not an end."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reader_bridge.acceptance.knowledge import Knowledge, Known
from reader_bridge.attached import ScannerSpec
from reader_bridge.client_key import ClientKey, Identity, load_identity, load_key
from reader_bridge.clock import Clock
from reader_bridge.faults import Fault, Language, TerminalFault
from reader_bridge.local.server import PORT
from reader_bridge.readers.nfc import NfcReader
from reader_bridge.readers.pcsc import PcscReader
from reader_bridge.readers.port import Reader
from reader_bridge.selftest import devices, folder, journal, knowledge, network
from reader_bridge.selftest.lines import Line, fail, fail_by, ok, skip

CHECK_SECONDS: Final = 25.0  # longer than any check takes whose device answers
NEEDS_ACTIVATION: Final = (
    "backend",
    "clock",
    "login",
    "profile",
    "deny_list",
    "journal",
    "waiting",
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to look at. Without `wants_card` and `wants_code` nobody has to stand there."""

    folder: Path
    language: Language = "zh-CN"
    port: int = PORT
    has_pcsc: bool = True
    reader_name: str | None = None
    nfc: tuple[str, ...] = ()
    scanners: tuple[ScannerSpec, ...] = ()
    sam_folder: Path | None = None
    sam_passphrase: Path | None = None
    wants_card: bool = False
    wants_code: bool = False


def run(plan: Plan, clock: Clock) -> Iterator[Line]:
    """Line after line as they are found; each within CHECK_SECONDS."""
    state = bounded("folder", lambda: [folder.check_folder(plan.folder)])
    yield from state
    if state[0].code == "folder_missing":
        yield from (skip(name, "folder") for name in ("disk", "activation", *NEEDS_ACTIVATION))
    else:
        yield from bounded("disk", lambda: [folder.check_disk(plan.folder, clock.elapsed)])
        yield from _activated(plan, clock)
    if plan.sam_folder is not None:
        sam = plan.sam_folder
        yield from bounded("sam", lambda: [devices.check_sam(sam, plan.sam_passphrase)])
    yield from _devices(plan, clock)
    yield from bounded("port", lambda: [devices.check_port(plan.port)])


def bounded(
    name: str, check: Callable[[], Iterable[Line]], seconds: float = CHECK_SECONDS
) -> list[Line]:
    """The check's lines, or one that says that it hangs or broke. A hanging one is left alone."""
    found: queue.SimpleQueue[list[Line]] = queue.SimpleQueue()

    def work() -> None:
        try:
            found.put(list(check()))
        except Fault as fault:
            found.put([fail_by(name, fault)])
        except Exception as error:  # a bug: told in the log and in its line
            _log.exception("the check %s broke", name)
            found.put([fail(name, "check_broke", type(error).__name__, type(error).__name__)])

    threading.Thread(target=work, name=f"self-test {name}", daemon=True).start()
    try:
        return found.get(timeout=seconds)
    except queue.Empty:
        return [fail(name, "check_too_slow", f"> {seconds:g} s", f"> {seconds:g} s")]


def _activated(plan: Plan, clock: Clock) -> Iterator[Line]:
    """What only an activated terminal has."""
    try:
        identity, key = load_identity(plan.folder), load_key(plan.folder)
    except TerminalFault as fault:
        yield fail_by("activation", fault)
        yield from (skip(name, "activation") for name in NEEDS_ACTIVATION)
        return
    names = f"{identity.client_id} {identity.terminal_number} {identity.shop_name}"
    yield ok("activation", names, names)
    yield from _online(plan, identity, key, clock)
    now = int(clock.unix_now())
    yield from bounded("profile", lambda: _known(plan, identity, now))
    yield from bounded("journal", lambda: [journal.check_journal(plan.folder, clock.elapsed)])
    yield from bounded("waiting", lambda: [journal.check_waiting(plan.folder, now)])


def _online(plan: Plan, identity: Identity, key: ClientKey, clock: Clock) -> Iterator[Line]:
    def ask() -> list[Line]:
        seen = network.probe(identity, key, clock)
        lines = [seen.line, network.check_clock(seen)]
        if seen.line.code is None:
            return [*lines, network.check_login(identity, key, clock, plan.language)]
        return [*lines, skip("login", "backend")]

    yield from bounded("backend", ask)


def _known(plan: Plan, identity: Identity, now: int) -> list[Line]:
    held = Knowledge(plan.folder, identity.client_id)
    return [knowledge.check_profile(held, now), knowledge.check_deny_list(held, now)]


def _devices(plan: Plan, clock: Clock) -> Iterator[Line]:
    if plan.has_pcsc:
        yield from bounded("pcsc", lambda: devices.check_pcsc(plan.reader_name))
    for path in plan.nfc:
        yield from bounded("nfc", lambda path=path: [devices.check_nfc(path)])  # type: ignore[misc]
    if plan.wants_card:
        yield from bounded("card", lambda: [_card(plan, clock)])
    for spec in plan.scanners:
        check = devices.check_code if plan.wants_code else devices.check_scanner
        name = "code" if plan.wants_code else "scanner"
        yield from bounded(name, lambda one=spec, do=check: [do(one)])  # type: ignore[misc]


def _card(plan: Plan, clock: Clock) -> Line:
    readers: list[Reader] = [NfcReader(path) for path in plan.nfc]
    if plan.has_pcsc:
        readers.append(PcscReader(plan.reader_name))
    try:
        return devices.check_card(readers, _known_now(plan), clock.elapsed)
    finally:
        for reader in readers:
            reader.close()


def _known_now(plan: Plan) -> Known:
    """Nothing, where the folder is no terminal: a card is seen all the same."""
    try:
        return Knowledge(plan.folder, load_identity(plan.folder).client_id).now
    except TerminalFault:
        return Known()
