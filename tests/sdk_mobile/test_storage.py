"""State on disk: whole after kill -9, private, damage named, shared by processes."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sdk_mobile import FileStorage, Storage, StorageDamaged, StorageFailed, Wallet
from sdk_mobile.cards import CardBox
from sdk_mobile.clock import SkewedClock
from sdk_mobile.keys import SoftwareDeviceKeys
from tests.sdk_mobile.fake_backend import BANK_CARD

MakeWallet = Callable[[Storage], Wallet]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def storage(tmp_path):
    opened = FileStorage(tmp_path / "phone")
    yield opened
    opened.close()


def test_what_was_written_is_read_and_nothing_else(storage, tmp_path):
    assert storage.read("state") is None
    storage.write("state", b"one")
    storage.write("state", b"two")
    assert storage.read("state") == b"two"
    again = FileStorage(tmp_path / "phone")
    assert again.read("state") == b"two"
    again.close()
    assert sorted(path.name for path in (tmp_path / "phone").iterdir()) == ["lock", "state.doc"]


def test_only_the_owner_can_look(storage, tmp_path, ready):
    directory = tmp_path / "phone"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert set(modes.values()) == {0o600}
    assert {"device_signing_key.doc", "device_sealing_key.doc", "card_keys.doc"} <= set(modes)


def test_a_directory_open_to_others_is_closed_to_them(tmp_path):
    wide = tmp_path / "wide"
    wide.mkdir(mode=0o755)
    FileStorage(wide).close()
    assert stat.S_IMODE(wide.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-1],
        lambda raw: raw + b" ",
        lambda raw: b"",
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:],
        lambda raw: os.urandom(100),
        lambda raw: bytes([raw[0] ^ 1]) + raw[1:],
    ],
)
@pytest.mark.parametrize("name", ["state", "card_keys", "device_signing_key"])
def test_a_damaged_file_is_named_and_left_alone(ready, tmp_path, make_wallet, damage, name):
    ready.close()
    path = tmp_path / "phone" / f"{name}.doc"
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    storage = FileStorage(tmp_path / "phone")
    with pytest.raises(StorageDamaged) as damaged:
        use_all(make_wallet, storage)
    assert damaged.value.path == str(path)
    assert path.read_bytes() == before
    storage.close()


def use_all(make_wallet: MakeWallet, storage: Storage) -> None:
    phone = make_wallet(storage)
    phone.pay_code()
    SoftwareDeviceKeys(storage).sign(b"x")


def test_a_state_of_another_shape_is_damage_too(storage, make_wallet):
    storage.write("state", json.dumps({"phone": 7}).encode())
    with pytest.raises(StorageDamaged, match="phone"):
        make_wallet(storage)


def test_a_store_that_cannot_be_written_sends_nothing(ready, storage, backend, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    before = len(backend.seen)
    with pytest.raises(StorageFailed, match="No space left"):
        ready.top_up(100, BANK_CARD)
    assert len(backend.seen) == before
    monkeypatch.undo()
    assert ready.open_operations() == ()
    assert ready.balance().balance_fen == 20_000


def test_a_path_that_cannot_be_a_directory_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageFailed, match="file"):
        FileStorage(tmp_path / "file")


def test_secrets_do_not_print(ready, storage):
    box = CardBox(storage, SoftwareDeviceKeys(storage), SkewedClock(lambda: 0.0, 0.0))
    keys = box.find_keys(ready.phone_card().token_id)
    state = ready._document.read()
    assert keys is not None
    printed = repr((keys, state, SoftwareDeviceKeys(storage), ready.phone_card()))
    for secret in (
        repr(keys.limited_use_key),
        repr(keys.pay_code_key),
        state.session.access_token,
        state.session.refresh_token,
    ):
        assert secret not in printed


def test_everything_survives_a_restart(ready, tmp_path, make_wallet, backend):
    card, code = ready.phone_card(), ready.pay_code()
    ready.close()
    storage = FileStorage(tmp_path / "phone")
    again = make_wallet(storage)
    before = len(backend.seen)
    assert again.phone_card() == card
    assert again.pay_code() == code
    assert len(backend.seen) == before
    assert again.balance().balance_fen == 20_000
    storage.close()


WRITER = """
import sys
from pathlib import Path
from sdk_mobile import FileStorage
storage = FileStorage(Path(sys.argv[1]))
number = int((storage.read("state") or b"0").split(b":")[0])
while True:
    number += 1
    storage.write("state", b"%d:" % number + b"x" * 20_000)
    print(number, flush=True)
"""


def test_kill_nine_in_the_middle_of_writes_leaves_the_last_told_or_the_next(tmp_path):
    directory, told = tmp_path / "phone", 0
    for after in (1, 2, 5, 9, 17):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(directory)], stdout=subprocess.PIPE, cwd=ROOT
        ) as writer:
            assert writer.stdout is not None
            for _ in range(after):
                told = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read().split(b"\n")[:-1]
            told = int(rest[-1]) if rest else told
        storage = FileStorage(directory)
        content = storage.read("state")
        storage.close()
        assert content is not None
        assert int(content.split(b":")[0]) in (told, told + 1)
        assert len(list(directory.iterdir())) <= 3


COUNTER = """
import sys
from pathlib import Path
from sdk_mobile import FileStorage
storage = FileStorage(Path(sys.argv[1]))
for _ in range(40):
    with storage.exclusive():
        storage.write("state", b"%d" % (int(storage.read("state") or b"0") + 1))
"""


def test_processes_and_threads_take_turns(tmp_path):
    directory = tmp_path / "phone"
    command = [sys.executable, "-c", COUNTER, str(directory)]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    storage = FileStorage(directory)

    def count():
        for _ in range(40):
            with storage.exclusive():
                storage.write("state", b"%d" % (int(storage.read("state") or b"0") + 1))

    threads = [threading.Thread(target=count) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [process.wait(30) for process in processes] == [0, 0]
    assert storage.read("state") == b"160"
    storage.close()
