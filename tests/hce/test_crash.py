"""Whole taps of killed processes: an ATC whose answer never left is lost, and none comes twice."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from card_protocol.mobile_card import GpoResponse, Suite
from hce.card_file import CardRecord
from hce.store import FileCardStore
from tests.hce.examples import SIGNERS, STATES, Bench, is_genuine

ROOT = Path(__file__).resolve().parents[2]
SUITES = pytest.mark.parametrize("suite", list(Suite), ids=lambda suite: suite.name)
TAPPER = """
import os, signal, sys
from pathlib import Path
from hce.store import FileCardStore
from tests.hce.examples import Bench, SELECT_CARD, gpo

class Deadly:
    '''Signs so many times; the next time the process is killed, with the counter stored.'''
    def __init__(self, signer, signatures):
        self.suite, self.signer, self.left = signer.suite, signer, signatures
    def sign(self, data):
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        return self.signer.sign(data)

store = FileCardStore(Path(sys.argv[1]))
card = Bench(store, signer=Deadly(store.signer(), int(sys.argv[2])))
for _ in range(int(sys.argv[3])):
    card.send(SELECT_CARD)
    sys.stdout.write(card.send(gpo()) + "\\n")
    sys.stdout.flush()
"""
NEVER = 1_000_000


def tapper(path: Path, signatures: int, taps: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", TAPPER, str(path), str(signatures), str(taps)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def atcs(out: bytes) -> list[int]:
    """The counters of whole answers, each of them genuine."""
    answers = [GpoResponse.decode(bytes.fromhex(line.decode())[:-2]) for line in out.split()]
    assert all(is_genuine(answer) for answer in answers)
    return [answer.atc for answer in answers]


def card_file(path: Path, suite: Suite) -> FileCardStore:
    key = STATES[suite].key
    assert key is not None
    state = replace(STATES[suite], atc=0, key=replace(key, uses_left=0xFFFF))
    return FileCardStore.create(path, CardRecord(state, SIGNERS[suite].to_der()))


@SUITES
def test_kill_9_between_the_stored_counter_and_the_answer_loses_that_counter(
    tmp_path: Path, suite: Suite
) -> None:
    path = tmp_path / "card.json"
    card_file(path, suite)
    last = 0
    for signatures in (0, 3, 1):
        process = tapper(path, signatures, NEVER)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == -9
        assert atcs(out) == list(range(last + 1, last + 1 + signatures))
        last += signatures + 1  # the one it died with was stored
        assert FileCardStore(path).record().state.atc == last
    assert Bench(FileCardStore(path), signer=SIGNERS[suite]).tap().atc == last + 1


def test_kill_9_at_any_moment_never_gives_an_answer_twice(tmp_path: Path) -> None:
    path, chance = tmp_path / "card.json", random.Random(9)
    card_file(path, Suite.SM4_SM2)
    given: list[int] = []
    for _ in range(4):
        process = tapper(path, NEVER, NEVER)
        assert process.stdout is not None
        with process.stdout:
            out = b"".join(process.stdout.readline() for _ in range(chance.randint(1, 30)))
            process.kill()
            out += b"\n".join(process.stdout.read().split(b"\n")[:-1])
        assert process.wait() == -9
        given += atcs(out)
        assert given[-1] <= FileCardStore(path).record().state.atc <= given[-1] + 1
    assert given == sorted(set(given))


@SUITES
def test_two_processes_with_one_card_file_never_give_the_same_counter(
    tmp_path: Path, suite: Suite
) -> None:
    path = tmp_path / "card.json"
    card_file(path, suite)
    processes = [tapper(path, NEVER, 60) for _ in range(2)]
    given = []
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        mine = atcs(out)
        assert mine == sorted(mine)
        given += mine
    assert sorted(given) == list(range(1, 121))
    state = FileCardStore(path).record().state
    assert state.key is not None
    assert (state.atc, state.key.uses_left) == (120, 0xFFFF - 120)
