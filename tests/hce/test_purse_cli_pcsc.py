"""`python -m hce` with purses in both slots of a real pcscd: read, paid with, killed, as before."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from card_protocol.epurse.commands import (
    Debit,
    DebitAnswer,
    Initialise,
    InitialisePurchaseAnswer,
    Prove,
)
from card_protocol.epurse.files import PublicData, PurseFci
from card_protocol.epurse.suites import SM4_SUITE
from card_protocol.epurse.transactions import Purchase, TransactionKind, purchase_session_key
from card_protocol.mobile_card import GpoResponse
from hce.applets.epurse.state import KeyKind
from hce.purse_disk import PurseFileStore
from hce.purse_keys import TEST_KEYS, TEST_MASTERS
from tests.hce.epurse_bench import MOMENT, SELECT, TERMINAL
from tests.hce.examples import SELECT_CARD, gpo
from tests.hce.test_pcsc import READER, Reader, run

pytestmark = pytest.mark.pcsc

ROOT = Path(__file__).resolve().parents[2]
READERS = (READER, "Virtual PCD 00 01")
SERIAL = bytes.fromhex("00000007")
Plug = Callable[..., "subprocess.Popen[str]"]


def hce(cwd: Path, *arguments: str) -> str:
    """Its output; nothing on stderr and exit 0."""
    done = subprocess.run(
        [sys.executable, "-m", "hce", *arguments, "--lang", "en"],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def plug(tmp_path: Path) -> Iterator[Plug]:
    """Starts `python -m hce plug …` and waits for its line; what still runs is ended."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "hce", "plug", "--lang", "en", *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "TEST keys, known to everybody" in line, line
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@contextmanager
def reader_of(slot: int) -> Iterator[Reader]:
    reader = Reader(READERS[slot])
    try:
        assert reader.await_state(bool)[0] is True
        reader.connect()
        yield reader
    finally:
        reader.close()


def get(reader: Reader, command: bytes) -> bytes:
    answer = reader.transmit(command)
    assert answer[-2:] == b"\x90\x00", answer.hex()
    return answer[:-2]


def pay(reader: Reader, amount_fen: int) -> DebitAnswer:
    """A terminal of the SM4 suite whose SAM has the TEST masters."""
    public: PublicData = PurseFci.decode(get(reader, SELECT)).public
    key = SM4_SUITE.diversify(TEST_MASTERS[KeyKind.PURCHASE], public.key_factor)
    kind = TransactionKind.PURCHASE
    offer = InitialisePurchaseAnswer.decode(
        get(reader, Initialise(kind, 1, amount_fen, TERMINAL).to_apdu().encode())
    )
    purchase = Purchase(amount_fen, TERMINAL, SERIAL, MOMENT, kind)
    session_key = purchase_session_key(SM4_SUITE, key, offer.random, offer.offline_atc, SERIAL)
    debit = Debit(SERIAL, MOMENT, purchase.mac1(SM4_SUITE, session_key))
    answer = DebitAnswer.decode(get(reader, debit.to_apdu().encode()))
    assert answer.mac2 == purchase.mac2(SM4_SUITE, session_key)
    return answer


def balance_fen(reader: Reader) -> int:
    get(reader, SELECT)
    return int.from_bytes(get(reader, bytes.fromhex("805C000204")))


@pytest.mark.usefixtures("pcscd")
def test_both_applications_in_one_slot_and_a_purse_in_the_other(tmp_path: Path, plug: Plug) -> None:
    hce(tmp_path, "new", "--card", "phone", "--suite", "sm")
    for name, money in (("main", "66.60"), ("child", "1.23")):
        hce(tmp_path, "new", "--purse", "--card", name, "--balance", money)
    plug("--card", "main", "--card", "phone", "--slot", "0")
    plug("--card", "child", "--slot", "1")
    listed = run("opensc-tool", "-l")
    assert len(re.findall(r"^\d +Yes +.*Virtual PCD 00 0[01]$", listed, re.MULTILINE)) == 2, listed
    said = run("opensc-tool", "-r", "1", "-s", SELECT.hex(), "-s", "805C000204")
    assert "00 00 00 7B" in said
    first = hce(tmp_path, "inspect", "--reader", READERS[0])
    assert "2PAY.SYS.DDF01: 2 applications listed (CITY CARD, MOT_T_EP)" in first
    assert "balance: 66.60 yuan" in first
    assert "kind of card: test" in first
    second = hce(tmp_path, "inspect", "--reader", READERS[1])
    assert "2PAY.SYS.DDF01: 1 applications listed (MOT_T_EP)" in second
    assert "balance: 1.23 yuan" in second
    with reader_of(0) as reader:
        get(reader, SELECT_CARD)
        proof = GpoResponse.decode(get(reader, gpo()))
        assert (proof.iad.suite.name, proof.atc) == ("SM4_SM2", 1)


@pytest.mark.usefixtures("pcscd")
def test_a_purse_keeps_its_state_when_its_process_is_killed(tmp_path: Path, plug: Plug) -> None:
    arguments = ("--balance", "10", "--suite", "sm4", "--profile", "sim")
    hce(tmp_path, "new", "--purse", "--card", "p", *arguments)
    left_fen = 1_000
    for paid, signal_name in ((150, "kill"), (40, "terminate"), (10, "kill")):
        process = plug("--card", "p", "--slot", "1")
        with reader_of(1) as reader:
            assert balance_fen(reader) == left_fen
            answer = pay(reader, paid)
            getattr(process, signal_name)()  # the answer has left: the money is gone for good
            assert process.wait(10) == (-9 if signal_name == "kill" else 0)
        left_fen -= paid
        gone = Reader(READERS[1])
        assert gone.await_state(lambda is_present: not is_present)[0] is False
        gone.close()
    with PurseFileStore(tmp_path / "p", TEST_KEYS.sealing_key) as store:
        state = store.view()
    assert (state.balance_fen, state.offline_atc) == (left_fen, 3)
    plug("--card", "p", "--slot", "1")
    with reader_of(1) as reader:
        get(reader, SELECT)
        proof = get(reader, Prove(TransactionKind.PURCHASE, 3).to_apdu().encode())
        assert proof == answer.mac2 + answer.tac
