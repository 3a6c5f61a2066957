"""The purse through a real pcscd: scriptor plays a load, a terminal pays, quickly enough."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from card_protocol.apdu import CommandApdu
from card_protocol.epurse.transactions import TransactionKind
from hce.purse_disk import PurseFileStore
from hce.purse_store import MemoryPurseStore
from hce.transports.vpcd import VpcdPlug
from tests.hce.epurse_bench import PIN, SELECT, Bench, counting_random, fixed_random, purse
from tests.hce.test_pcsc import ANSWERS_OF_SCRIPTOR, READER, Reader, hexed, run
from tools.pcscd import Daemon

pytestmark = pytest.mark.pcsc

DIALOGUES = json.loads((Path(__file__).parent / "epurse_vectors.json").read_text("utf-8"))
PURCHASE_MEDIAN_MAX_MILLISECONDS = 30.0


class FieldBench(Bench):
    """The same terminal and host, with pcscd between them and the card."""

    reader: Reader | None = None

    def send(self, command: CommandApdu | bytes | str) -> str:
        if self.reader is None:
            return super().send(command)
        if isinstance(command, CommandApdu):
            command = command.encode()
        body = bytes.fromhex(command) if isinstance(command, str) else command
        return self.reader.transmit(body).hex().upper()


@pytest.fixture
def reader(pcscd: Daemon) -> Iterator[Reader]:
    found = Reader()
    assert found.await_state(lambda is_present: not is_present)[0] is False
    yield found
    found.close()


def test_scriptor_plays_a_load(pcscd: Daemon, reader: Reader) -> None:
    book = next(
        item for item in DIALOGUES["dialogues"] if (item["suite"], item["name"]) == ("3des", "load")
    )
    card = Bench(MemoryPurseStore(purse(**book["start"])), random_bytes=fixed_random)
    commands = [command for command, _ in book["exchange"]]
    with VpcdPlug(card.card, port=pcscd.vpcd_port):
        assert reader.await_state(bool)[0]
        script = "\n".join(hexed(bytes.fromhex(command)) for command in commands)
        told = run("scriptor", "-r", READER, text=script + "\n")
    answers = [bytes.fromhex(answer) for answer in ANSWERS_OF_SCRIPTOR.findall(told)]
    assert [answer.hex().upper() for answer in answers] == [
        answer for _, answer in book["exchange"]
    ]


def test_opensc_tool_reads_the_balance(pcscd: Daemon, reader: Reader) -> None:
    card = Bench(MemoryPurseStore(purse(balance_fen=0x1234)))
    with VpcdPlug(card.card, port=pcscd.vpcd_port):
        assert reader.await_state(bool)[0]
        told = run("opensc-tool", "-r", "0", "-s", SELECT.hex(), "-s", "805C000204")
    assert "SW1=0x90, SW2=0x00" in told
    assert "00 00 12 34" in told


def test_a_terminal_pays_loads_and_recovers_within_its_time(
    pcscd: Daemon,
    reader: Reader,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Goal: select, init, debit and proof, with the purse in a file that is synced each time."""
    state = purse(balance_fen=5_000)
    with PurseFileStore.create(tmp_path / "purse", state, bytes(32)) as store:
        card = FieldBench(store, random_bytes=counting_random())
        with VpcdPlug(card.card, port=pcscd.vpcd_port):
            assert reader.await_state(bool)[0]
            reader.connect()
            card.reader, milliseconds = reader, []
            for atc in range(1, 41):
                started = time.perf_counter()
                card.select()
                card.pay(10)
                card.prove(TransactionKind.PURCHASE, atc)
                milliseconds.append((time.perf_counter() - started) * 1_000)
            card.get(b"\x00\x20\x00\x00\x03" + PIN)
            card.load(100)
            reader.disconnect()
        assert store.view().balance_fen == 5_000 - 400 + 100
    median = statistics.median(milliseconds)
    record_property("purchase_median_milliseconds", round(median, 2))
    assert median < PURCHASE_MEDIAN_MAX_MILLISECONDS
