"""State that lasts: restart, damage, crashes at every step, kill -9, two processes, secrets."""

from __future__ import annotations

import errno
import json
import os
import random
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import HolderCheck, verify_certificate
from hce import store as store_module
from hce.applets.mobile_card import MobileCardApplet
from hce.card import Card
from hce.card_file import CardRecord, _digest
from hce.demonstration import KEY_VALID_SECONDS, make_demonstration, renew_key_if_needed
from hce.errors import (
    CardFileDamaged,
    CardFileExists,
    CardFileFailed,
    CardFileMissing,
    CardRefusal,
    KeyNotNewer,
)
from hce.ports import LimitedUseKey, Signer
from hce.signer import SoftwareSigner
from hce.state import CardState
from hce.store import FileCardStore, MemoryCardStore
from tests.hce.examples import (
    CERTIFICATE,
    ISSUER,
    KEY,
    NOW,
    SELECT_CARD,
    SIGNER,
    SM_SIGNER,
    SM_STATE,
    STATE,
    Bench,
    Clock,
    gpo,
)

RECORD = CardRecord(STATE, SIGNER.to_der(), ISSUER.public_key)
ROOT = Path(__file__).resolve().parents[2]
TAPPER = """
import sys
from pathlib import Path
from hce.store import FileCardStore
store = FileCardStore(Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    atc, key = store.take_counter()
    sys.stdout.write(f"{atc}\\n")
    sys.stdout.flush()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wallet" / "card.json"


@pytest.fixture
def store(path: Path) -> FileCardStore:
    return FileCardStore.create(path, RECORD)


def tapper(path: Path, taps: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", TAPPER, str(path), str(taps)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def test_a_card_survives_a_restart(path: Path, store: FileCardStore) -> None:
    atc = Bench(store).tap().atc
    again = Bench(FileCardStore(path))
    assert again.store.view().key == replace(KEY, uses_left=KEY.uses_left - 1)
    assert again.tap().atc == atc + 1
    assert FileCardStore(path).signer().public_key == CERTIFICATE.device_public_key


class Witness:
    """A signer that looks at the disk first."""

    suite = SIGNER.suite

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[int] = []

    def sign(self, data: bytes) -> bytes:
        self.seen.append(FileCardStore(self.path).record().state.atc)
        return SIGNER.sign(data)


class BrokenSigner:
    suite = SIGNER.suite

    def sign(self, data: bytes) -> bytes:
        raise RuntimeError("the keystore is locked")


def card_of(store: FileCardStore, signer: Signer) -> Card:
    return Card(
        [MobileCardApplet(store, signer, holder_check=lambda: HolderCheck.NONE, now=Clock())]
    )


def test_the_counter_is_on_disk_before_anything_is_signed(path: Path, store: FileCardStore) -> None:
    witness = Witness(path)
    card = card_of(store, witness)
    for atc in (STATE.atc + 1, STATE.atc + 2):
        card.transmit(SELECT_CARD)
        assert card.transmit(gpo())[-2:] == b"\x90\x00"
        assert witness.seen[-1] == atc


def test_a_counter_whose_answer_was_never_made_stays_spent(
    path: Path, store: FileCardStore
) -> None:
    card = card_of(store, BrokenSigner())
    card.transmit(SELECT_CARD)
    assert card.transmit(gpo()) == b"\x6f\x00"
    assert Bench(FileCardStore(path)).tap().atc == STATE.atc + 2


def test_only_the_owner_reads_the_file_and_a_card_is_never_made_twice(
    path: Path, store: FileCardStore
) -> None:
    store.take_counter()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(CardFileExists, match=r"card\.json"):
        FileCardStore.create(path, RECORD)
    assert store.view().key == replace(KEY, uses_left=KEY.uses_left - 1)


@pytest.mark.parametrize("step", ["open", "write", "fsync", "replace", "directory"])
def test_a_crash_at_any_step_leaves_the_old_card_or_the_new(
    path: Path, store: FileCardStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Goal: what fails is told, names the file, and the next start finds a whole card."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def half_written(target: Path, body: bytes) -> None:
        target.write_bytes(body[: len(body) // 2])
        fail()

    with monkeypatch.context() as patch:
        if step == "open":
            patch.setattr(store_module, "_write_synced", fail)
        elif step == "write":
            patch.setattr(store_module, "_write_synced", half_written)
        elif step == "fsync":
            patch.setattr(os, "fsync", fail)
        elif step == "replace":
            patch.setattr(os, "replace", fail)
        else:
            patch.setattr(store_module, "sync_directory", fail)
        card = Bench(store)
        card.send(SELECT_CARD)
        assert card.send(gpo()) == "6F00"  # no cryptogram without a stored counter
        with pytest.raises(CardFileFailed, match=r"card\.json: No space left"):
            store.take_counter()
    atc = FileCardStore(path).record().state.atc
    renamed = 2 if step == "directory" else 0  # both changes are in place, perhaps not durable
    assert atc == STATE.atc + renamed
    assert FileCardStore(path).take_counter()[0] == atc + 1


def test_kill_9_in_the_middle_never_gives_a_counter_twice(path: Path) -> None:
    many = replace(STATE, atc=0, key=replace(KEY, uses_left=0xFFFF))
    FileCardStore.create(path, replace(RECORD, state=many))
    chance, given = random.Random(9), [0]
    for _ in range(6):
        process = tapper(path, 60_000)
        assert process.stdout is not None
        with process.stdout:
            told = [int(process.stdout.readline()) for _ in range(chance.randint(1, 40))]
            process.kill()
            told += [int(line) for line in process.stdout.read().split(b"\n")[:-1]]
        assert process.wait() == -9
        assert told[0] > given[-1]  # greater, not next: the kill may fall before the line
        assert told == list(range(told[0], told[0] + len(told)))
        given += told
        state = FileCardStore(path).record().state
        assert given[-1] <= state.atc <= given[-1] + 1
        assert state.key is not None
        assert state.key.uses_left == 0xFFFF - state.atc


def test_two_processes_and_four_threads_share_one_card(path: Path) -> None:
    many = replace(STATE, atc=0, key=replace(KEY, uses_left=400))
    store = FileCardStore.create(path, replace(RECORD, state=many))
    processes = [tapper(path, 50) for _ in range(2)]
    given: list[int] = []

    def tap() -> None:
        given.extend(store.take_counter()[0] for _ in range(25))

    threads = [threading.Thread(target=tap) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for process in processes:
        out, _ = process.communicate(timeout=30)
        given += [int(line) for line in out.split()]
    assert sorted(given) == list(range(1, 201))
    assert FileCardStore(path).record().state.atc == 200


def test_every_cut_and_every_flipped_byte_is_noticed(path: Path, store: FileCardStore) -> None:
    """Goal: a damaged file is told by name, or reads as the very same card; never as another."""
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CardFileDamaged, match=r"card\.json: damaged card file"):
            store.view()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes((whole[at] ^ 0x01,)) + whole[at + 1 :])
        try:
            record = store.record()
        except CardFileDamaged:
            continue
        assert record == RECORD, at


DAMAGES = {
    "empty": b"",
    "not a document": b"[]",
    "another document": b'{"format": "x"}',
    "binary": b"\xff\x00\xfe",
    "deep": b"[" * 10_000,
    "huge": b" " * 20_000,
    "of a later version": b'{"format": "city-card-file", "version": 2}',
    "nothing inside": b'{"format": "city-card-file", "version": 1}',
    "fields of wrong kinds": b'{"format":"city-card-file","version":1,"digest":1,"card":2}',
}


@pytest.mark.parametrize("body", DAMAGES.values(), ids=DAMAGES)
def test_what_is_no_card_file_is_told_by_name(
    path: Path, store: FileCardStore, body: bytes
) -> None:
    path.write_bytes(body)
    with pytest.raises(CardFileDamaged, match=r"card\.json"):
        store.take_counter()
    card = Bench(store)
    assert card.send(SELECT_CARD) == "6F00"
    assert path.read_bytes() == body  # nobody writes over what he cannot read


@pytest.mark.parametrize("name", ["certificate", "atc", "is_suspended", "key", "signing_key"])
def test_a_digest_that_fits_does_not_excuse_a_wrong_field(name: str) -> None:

    wrongs: tuple[object, ...] = ("?", -1, [], {}, True if name == "atc" else 7.5)
    for wrong in wrongs:
        document = json.loads(RECORD.encode())
        document["card"][name] = wrong
        document["digest"] = _digest(document["card"])
        with pytest.raises(MalformedBytes):
            CardRecord.decode(json.dumps(document).encode())


def test_a_record_reads_as_it_was_written() -> None:
    sm_record = CardRecord(SM_STATE, SM_SIGNER.to_der())
    for record in (RECORD, CardRecord(CardState(CERTIFICATE)), CardRecord(STATE), sm_record):
        assert CardRecord.decode(record.encode()) == record


def test_the_signing_key_is_the_certificates() -> None:
    for state, signer in ((STATE, ISSUER), (STATE, SM_SIGNER), (SM_STATE, SIGNER)):
        with pytest.raises(MalformedBytes, match="not the certificate"):
            CardRecord(state, signer.to_der())


def test_missing_files_and_folders_are_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(CardFileMissing, match=r"none\.json: no such card file"):
        FileCardStore(tmp_path / "none.json").view()
    with pytest.raises(CardFileMissing, match=r"none\.json"):
        FileCardStore(tmp_path / "no-folder" / "none.json").take_counter()
    with pytest.raises(CardFileFailed, match="directory"):
        FileCardStore(tmp_path).view()
    (tmp_path / "file").touch()
    with pytest.raises(CardFileFailed, match="file"):
        FileCardStore.create(tmp_path / "file" / "card.json", RECORD)


def test_a_card_whose_key_is_in_a_keystore_has_no_signer_here(path: Path) -> None:
    store = FileCardStore.create(path, CardRecord(STATE))
    with pytest.raises(CardFileFailed, match="keystore"):
        store.signer()


def test_a_store_that_somebody_keeps_locked_is_given_up(
    path: Path, store: FileCardStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "LOCK_WAIT_SECONDS", 0.05)
    with store._exclusive():
        with pytest.raises(CardFileFailed, match="another process"):
            FileCardStore(path).take_counter()
        with pytest.raises(CardFileFailed, match="another thread"):
            store.take_counter()
    assert store.take_counter()[0] == STATE.atc + 1


def newer(index: int = 8, version: int = 2, uses_left: int = 5) -> LimitedUseKey:
    return replace(KEY, index=index, version=version, uses_left=uses_left, value=bytes(16))


def test_a_new_key_takes_over_and_an_old_one_never_comes_back(store: FileCardStore) -> None:
    store.take_counter()
    store.put_key(KEY)  # the same delivery learnt twice: no use is given back
    assert store.view().key == replace(KEY, uses_left=KEY.uses_left - 1)
    for refused in (newer(index=6), newer(index=7), newer(index=9, version=1)):
        with pytest.raises(KeyNotNewer):
            store.put_key(refused)
    store.put_key(newer())
    assert store.take_counter() == (STATE.atc + 2, newer(uses_left=4))
    store.put_key(newer(version=3, index=1))
    assert store.view().key == newer(version=3, index=1)


def test_suspension_and_certificates_last(path: Path, store: FileCardStore) -> None:
    store.suspend()
    assert FileCardStore(path).view().is_suspended
    with pytest.raises(CardRefusal):
        store.take_counter()
    store.release()
    renewed = replace(CERTIFICATE, not_after=1_900_000_000)
    store.put_certificate(renewed)
    assert FileCardStore(path).view().certificate == renewed
    with pytest.raises(ValueError, match="another token"):
        store.put_certificate(replace(CERTIFICATE, token_number="6210000000000000025"))


def test_secrets_print_as_secret() -> None:
    key_text, signer_text = KEY.value.hex(), SIGNER.to_der().hex()
    for value in (KEY, STATE, STATE.view(), RECORD, SIGNER, MemoryCardStore(STATE)):
        for text in (repr(value), str(value), f"{value}"):
            assert key_text not in text.lower()
            assert repr(KEY.value) not in text
            assert signer_text not in text
    for value in (KEY, STATE, STATE.view(), RECORD, SIGNER, SM_SIGNER):
        assert "<secret>" in repr(value)


@pytest.mark.parametrize("der", [b"", b"\x30\x00", bytes(64), SM_SIGNER.to_der()[:-1]])
def test_what_is_no_signing_key_is_refused(der: bytes) -> None:
    with pytest.raises(MalformedBytes, match="signing_key_malformed"):
        SoftwareSigner.from_der(der)


def test_a_demonstration_card_vouches_for_itself_and_renews_its_own_key(path: Path) -> None:
    record = make_demonstration(NOW)
    assert record.issuer_public_key is not None

    assert verify_certificate(record.state.certificate, record.issuer_public_key)
    store = FileCardStore.create(path, record)
    renew_key_if_needed(store, NOW)
    assert store.record() == record  # nothing to do
    for _ in range(14):
        store.take_counter()
    renew_key_if_needed(store, NOW)
    key = store.view().key
    assert key is not None
    assert (key.index, key.uses_left) == (2, 20)
    renew_key_if_needed(store, NOW + KEY_VALID_SECONDS)
    key = store.view().key
    assert key is not None
    assert (key.index, key.not_after) == (3, NOW + 2 * KEY_VALID_SECONDS)


def test_a_card_of_an_issuer_gets_its_keys_from_there(path: Path) -> None:
    spent = CardRecord(replace(STATE, key=replace(KEY, uses_left=0)), SIGNER.to_der())
    store = FileCardStore.create(path, spent)
    renew_key_if_needed(store, NOW)
    assert store.record() == spent
