"""SAM, readers, scanners and the local port, each tried once; a card or a code when one is held."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import httpx

from card_protocol.errors import MalformedBytes
from reader_bridge.acceptance.knowledge import Known
from reader_bridge.attached import ScannerSpec
from reader_bridge.exchange import Exchange
from reader_bridge.faults import CardFault, CodeFault, ReaderFault, SamFault, TerminalFault
from reader_bridge.kernels.selection import select
from reader_bridge.local.server import HOST, bind
from reader_bridge.readers.code_kind import CodeKind, classify
from reader_bridge.readers.nfc import NfcReader
from reader_bridge.readers.pcsc import PcscPlugs
from reader_bridge.readers.port import CardChannel, Reader
from reader_bridge.readers.watches import CARD_CODES
from reader_bridge.sam.port import Sam
from reader_bridge.sam.sealed import read_passphrase
from reader_bridge.sam.setup import open_sam
from reader_bridge.selftest.lines import Line, fail, fail_by, ok

LOOK_SECONDS: Final = 0.3
HOLD_SECONDS: Final = 15.0  # for a person to hold a card or a code
_ASK_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.1
_OWN_ANSWER: Final = 401  # our API to who brings no token

OpenSam = Callable[[Path, bytes], Sam]


def check_sam(folder: Path, passphrase_file: Path | None, open_: OpenSam = open_sam) -> Line:
    """It opens and says which terminal it vouches for; no key is ever asked for."""
    try:
        passphrase = read_passphrase(passphrase_file or folder / "passphrase")
        with closing(open_(folder, passphrase)) as sam:
            number, index = sam.read_terminal_number().hex().upper(), sam.key_index()
            is_test = sam.is_test
    except SamFault as fault:
        return fail_by("sam", fault)
    zh, en = f"终端号 {number},密钥 {index}", f"terminal {number}, key {index}"
    if is_test:
        zh, en = f"{zh},测试密钥:不得收款", f"{en}, TEST keys: not for money"
    return ok("sam", zh, en)


def check_pcsc(reader_name: str | None) -> Iterator[Line]:
    """One line for each reader."""
    plugs = PcscPlugs(reader_name)
    try:
        names = plugs.list_names()
        if not names:
            wanted = f": {reader_name}" if reader_name else ""
            raise ReaderFault("reader_missing", name=wanted)
    except ReaderFault as fault:
        yield fail_by("pcsc", fault)
        return
    finally:
        plugs.close()
    for name in names:
        yield ok("pcsc", name, name)


def check_nfc(path: str) -> Line:
    """It can be opened and looks into its field."""
    reader = NfcReader(path)
    try:
        channel = reader.wait_for_card(LOOK_SECONDS)
        if channel is not None:
            channel.close()
    except ReaderFault as fault:
        if fault.code not in CARD_CODES:
            return fail_by("nfc", fault)
    finally:
        reader.close()
    return ok("nfc", path, path)


def check_card(
    readers: Sequence[Reader],
    known: Known,
    elapsed: Callable[[], float],
    sleep: Callable[[float], None] = time.sleep,
) -> Line:
    """Which application answers at whichever reader a card comes to; nothing is sold.

    Ends at once where no reader works. No card number is read. The readers stay the caller's.
    """
    deadline = elapsed() + HOLD_SECONDS
    fault = ReaderFault("reader_missing", name="")
    while elapsed() < deadline:
        works = False
        for reader in readers:
            try:
                channel = reader.wait_for_card(LOOK_SECONDS)
                if channel is not None:
                    return _selected(reader.name, channel, known, elapsed)
                works, fault = True, ReaderFault("no_card")
            except ReaderFault as seen:
                works, fault = works or seen.code in CARD_CODES, seen
            except CardFault as seen:
                return fail_by("card", seen)
        if not works:
            break
        sleep(_PAUSE_SECONDS)  # what answers at once is not asked again at once
    return fail_by("card", fault)


def check_scanner(spec: ScannerSpec) -> Line:
    """It can be opened and read; what it reads just now is of no matter."""
    scanner = spec.open()
    try:
        with suppress(CodeFault):
            scanner.read(LOOK_SECONDS)
    except ReaderFault as fault:
        return fail_by("scanner", fault)
    finally:
        scanner.close()
    return ok("scanner", scanner.name, scanner.name)


def check_code(spec: ScannerSpec) -> Line:
    """Which kind of code it reads within HOLD_SECONDS; never the code itself."""
    scanner = spec.open()
    try:
        payload = scanner.read(HOLD_SECONDS)
    except (ReaderFault, CodeFault) as fault:
        return fail_by("code", fault)
    finally:
        scanner.close()
    if payload is None:
        return fail("code", "no_code", "没有读到码", "no code was read")
    kind = classify(payload)
    said = f"{scanner.name}: {kind.value}, {len(payload)} B"
    return (
        ok("code", said, said)
        if kind is not CodeKind.FOREIGN
        else fail("code", "no_code", f"{said}(不是本市的码)", f"{said} (none of ours)")
    )


def check_port(port: int) -> Line:
    """Free for the page and the register, or ours already."""
    try:
        bind(port).close()
    except TerminalFault:
        if _is_ours(port):
            return ok("port", f"{port}:serve 已在运行", f"{port}: serve runs already")
        return fail("port", "port_taken", f"{port} 被占用", f"{port} is taken")
    return ok("port", f"{port} 空闲", f"{port} is free")


def _selected(name: str, channel: CardChannel, known: Known, elapsed: Callable[[], float]) -> Line:
    """Raises CardFault, ReaderFault."""
    if known.profile is None:
        channel.close()
        return ok("card", f"{name}:有卡", f"{name}: a card is there")
    exchange = Exchange(channel, elapsed)
    try:
        accepted = known.profile.facts.applications
        label = select(exchange, accepted, tries_by_aid=True).application.label
    except MalformedBytes:
        raise CardFault("card_answer_malformed") from None
    finally:
        channel.close()
    taken_ms = sum(timing.milliseconds for timing in exchange.timings)
    said = f"{name}: {label}, {taken_ms:.0f} ms"
    return ok("card", said, said)


def _is_ours(port: int) -> bool:
    try:
        url = f"http://{HOST}:{port}/v1/status"
        answer = httpx.get(url, timeout=_ASK_SECONDS, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code == _OWN_ANSWER
