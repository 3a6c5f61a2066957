"""A purse in a real file: it comes back, it is alone, and it never takes another's place."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hce.errors import CardFileDamaged, CardFileExists, CardFileFailed, CardFileMissing
from hce.purse_disk import PurseFileStore
from hce.purse_store import STORE_BYTES
from tests.hce.epurse_bench import Bench, counting_random, purse

SEALING_KEY = bytes(range(32))
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "purse"


def test_a_purse_comes_back_from_its_file(path):
    with PurseFileStore.create(path, purse(), SEALING_KEY) as store:
        card = Bench(store, random_bytes=counting_random()).select()
        answer = card.pay(100)
        kept = card.state
    with PurseFileStore(path, SEALING_KEY) as store:
        assert store.view() == kept
        card = Bench(store, random_bytes=counting_random()).select()
        assert card.send("805A000602000108")[:-4] == (answer.mac2 + answer.tac).hex().upper()
    assert path.stat().st_size == STORE_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in path.parent.iterdir()] == ["purse"]


def test_a_file_has_one_user(path):
    with (
        PurseFileStore.create(path, purse(), SEALING_KEY),
        pytest.raises(CardFileFailed, match="in use"),
    ):
        PurseFileStore(path, SEALING_KEY)
    PurseFileStore(path, SEALING_KEY).close()


def test_a_purse_never_takes_anothers_place(path):
    path.write_bytes(b"mine")
    with pytest.raises(CardFileExists):
        PurseFileStore.create(path, purse(), SEALING_KEY)
    assert path.read_bytes() == b"mine"
    assert [item.name for item in path.parent.iterdir()] == ["purse"]


def test_files_that_are_no_purse(path, tmp_path):
    with pytest.raises(CardFileMissing):
        PurseFileStore(path, SEALING_KEY)
    (tmp_path / "file").write_bytes(b"no folder")
    with pytest.raises(CardFileFailed):
        PurseFileStore.create(tmp_path / "file" / "purse", purse(), SEALING_KEY)
    PurseFileStore.create(tmp_path / "new" / "folder" / "purse", purse(), SEALING_KEY).close()
    path.write_bytes(b"short")
    with pytest.raises(CardFileDamaged, match="one size"):
        PurseFileStore(path, SEALING_KEY)
    path.write_bytes(bytes(STORE_BYTES))
    with pytest.raises(CardFileDamaged, match="no slot"):
        PurseFileStore(path, SEALING_KEY)
    path.unlink()
    PurseFileStore.create(path, purse(), SEALING_KEY).close()
    with pytest.raises(CardFileDamaged, match="another key"):
        PurseFileStore(path, bytes(32))
    PurseFileStore(path, SEALING_KEY).close()  # the failed attempt holds no lock


def test_a_closed_purse_touches_no_file(path, tmp_path):
    store = PurseFileStore.create(path, purse(), SEALING_KEY)
    store.close()
    store.close()
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)  # gets the number that came free
    try:
        with pytest.raises(CardFileFailed):
            store.commit(purse(balance_fen=1))
        assert os.fstat(other).st_size == 0
    finally:
        os.close(other)


def test_a_link_is_not_followed(path, tmp_path):
    PurseFileStore.create(tmp_path / "real", purse(), SEALING_KEY).close()
    path.symlink_to(tmp_path / "real")
    with pytest.raises(CardFileFailed):
        PurseFileStore(path, SEALING_KEY)
    assert repr(PurseFileStore(tmp_path / "real", SEALING_KEY)).endswith("real')")


PAYING = """
import sys
from pathlib import Path
from hce.purse_disk import PurseFileStore
from tests.hce.epurse_bench import Bench, counting_random
store = PurseFileStore(Path(sys.argv[1]), bytes(range(32)))
card = Bench(store, random_bytes=counting_random()).select()
while True:
    card.pay(1)
    print(card.state.balance_fen, flush=True)
"""


@pytest.mark.parametrize("payments", [1, 7, 20])
def test_a_killed_process_leaves_what_its_terminal_heard(path, payments):
    """Goal: an answer that was given is kept; at most the one under way is decided besides."""
    PurseFileStore.create(path, purse(balance_fen=90_000), SEALING_KEY).close()
    process = subprocess.Popen(
        [sys.executable, "-c", PAYING, str(path)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    heard = [int(process.stdout.readline()) for _ in range(payments)]
    process.kill()
    # Not communicate(): it reads past what readline has buffered already.
    heard += [int(line) for line in process.stdout]
    process.wait(timeout=10)
    process.stdout.close()
    with PurseFileStore(path, SEALING_KEY) as store:
        state = store.view()
    assert heard == list(range(89_999, heard[-1] - 1, -1))
    assert state.balance_fen in {heard[-1], heard[-1] - 1}
    assert state.offline_atc == 90_000 - state.balance_fen
