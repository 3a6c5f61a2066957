"""The software SAM's files: sealed keys, passphrases, and a tally that survives any cut."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from card_protocol.epurse.sam import SamKey, SamTally
from card_protocol.epurse.suites import DES3
from card_protocol.errors import MalformedBytes
from reader_bridge.faults import SamFault
from reader_bridge.sam import sealed, tally
from reader_bridge.sam.sealed import SamKeys, read_passphrase, seal, unseal
from reader_bridge.sam.software import SoftwareSam
from reader_bridge.sam.tally import SLOT_BYTES, TallyFile
from tests.reader_bridge.sam.examples import (
    KEYS,
    REQUEST,
    TERMINAL,
    TEXTBOOK,
    MemoryTally,
    right_mac2,
)

MASTERS = tuple(key for key in KEYS if key.levels)
SAM_KEYS = SamKeys(TERMINAL, 1, MASTERS)
PASSPHRASE = b"correct horse"
FAST = 4


def written(path: Path, body: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(body)
    path.chmod(mode)
    return path


# --- the sealed file -----------------------------------------------------------------------------


def test_a_key_file_opens_with_its_passphrase(tmp_path):
    path = written(tmp_path / "keys", seal(SAM_KEYS, PASSPHRASE, cost_log2=FAST))
    assert sealed.read_keys(path, PASSPHRASE) == SAM_KEYS
    assert TEXTBOOK not in path.read_bytes()
    with pytest.raises(SamFault, match="sam_passphrase_wrong"):
        sealed.read_keys(path, b"wrong")


def test_any_changed_byte_is_noticed():
    body = seal(SAM_KEYS, PASSPHRASE, cost_log2=FAST)
    for at in range(len(body)):
        changed = bytearray(body)
        changed[at] ^= 1
        with pytest.raises((SamFault, MalformedBytes)):
            unseal(bytes(changed), PASSPHRASE)
    for size in (0, 5, 34, 36, len(body) - 1):
        with pytest.raises((SamFault, MalformedBytes)):
            unseal(body[:size], PASSPHRASE)


def test_a_file_cannot_ask_for_all_the_memory():
    body = bytearray(seal(SAM_KEYS, PASSPHRASE, cost_log2=FAST))
    for at, value in ((4, 30), (4, 0), (5, 255), (6, 255)):
        greedy = bytearray(body)
        greedy[at] = value
        with pytest.raises(MalformedBytes):
            unseal(bytes(greedy), PASSPHRASE)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_files_that_others_may_read(tmp_path, mode):
    keys = written(tmp_path / "keys", seal(SAM_KEYS, PASSPHRASE, cost_log2=FAST), mode)
    with pytest.raises(SamFault, match="sam_keys_exposed"):
        sealed.read_keys(keys, PASSPHRASE)
    words = written(tmp_path / "words", PASSPHRASE, mode)
    with pytest.raises(SamFault, match="sam_keys_exposed"):
        read_passphrase(words)


def test_files_that_are_none(tmp_path):
    with pytest.raises(SamFault, match="sam_missing"):
        sealed.read_keys(tmp_path / "nothing", PASSPHRASE)
    with pytest.raises(SamFault, match="sam_state_damaged"):
        sealed.read_keys(written(tmp_path / "noise", b"noise" * 20), PASSPHRASE)
    target = written(tmp_path / "keys", seal(SAM_KEYS, PASSPHRASE, cost_log2=FAST))
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(SamFault, match="sam_state_unusable"):
        sealed.read_keys(tmp_path / "link", PASSPHRASE)


def test_a_passphrase_from_a_file_or_a_descriptor(tmp_path):
    assert read_passphrase(written(tmp_path / "words", PASSPHRASE + b"\r\n")) == PASSPHRASE
    reading, writing = os.pipe()
    os.write(writing, PASSPHRASE + b"\n")
    os.close(writing)
    assert read_passphrase(reading) == PASSPHRASE
    with pytest.raises(SamFault, match="sam_state_unusable"):
        read_passphrase(reading)  # it is closed by now
    with pytest.raises(SamFault, match="empty"):
        read_passphrase(written(tmp_path / "empty", b"\n"))


def test_a_cards_own_key_is_not_sealed_as_a_master():
    with pytest.raises(MalformedBytes):
        seal(SamKeys(TERMINAL, 1, KEYS), PASSPHRASE, cost_log2=FAST)


@pytest.mark.parametrize("keys", [(), MASTERS + MASTERS[:1]])
def test_masters_are_named_apart(keys):
    with pytest.raises(MalformedBytes):
        SamKeys(TERMINAL, 1, keys)


def test_keys_do_not_print():
    for thing in (SAM_KEYS, MASTERS[0], [MASTERS]):
        assert TEXTBOOK.hex() not in repr(thing).lower()
        assert repr(TEXTBOOK)[2:-1] not in repr(thing)
    assert MASTERS[0] != replace(MASTERS[0], value=bytes(16))
    assert SamKey(2, DES3.algorithm, 1, TEXTBOOK) == MASTERS[0]
    assert MASTERS[0] != "another thing"


def test_test_keys_are_loud(caplog):
    with caplog.at_level(logging.WARNING):
        sam = SoftwareSam.with_test_keys(TERMINAL, MemoryTally())
    assert sam.is_test
    assert "TEST KEYS" in caplog.text
    assert not SoftwareSam(SAM_KEYS, MemoryTally()).is_test


# --- from disk to a purchase, and the tally ------------------------------------------------------


def test_a_whole_sam_from_disk(tmp_path):
    keys = written(tmp_path / "keys", seal(SAM_KEYS, PASSPHRASE, cost_log2=FAST))
    TallyFile.create(tmp_path / "tally", SamTally(TERMINAL)).close()
    request = replace(REQUEST, key_version=2)
    for serial in (1, 2):
        sam = SoftwareSam.open(keys, tmp_path / "tally", PASSPHRASE)
        offer = sam.begin_purchase(request)
        assert int.from_bytes(offer.terminal_serial) == serial
        assert sam.finish_purchase(right_mac2(request, offer.terminal_serial, MASTERS))
        sam.close()
        sam.close()


def test_the_tally_of_another_sam(tmp_path):
    keys = written(tmp_path / "keys", seal(SAM_KEYS, PASSPHRASE, cost_log2=FAST))
    TallyFile.create(tmp_path / "tally", SamTally(bytes(6))).close()
    for _ in range(2):  # the lock is given back each time
        with pytest.raises(SamFault, match="another SAM's"):
            SoftwareSam.open(keys, tmp_path / "tally", PASSPHRASE)


def test_one_process_at_a_time(tmp_path):
    path = tmp_path / "tally"
    with (
        TallyFile.create(path, SamTally(TERMINAL)),
        pytest.raises(SamFault, match="in use by another process"),
    ):
        TallyFile(path)
    TallyFile(path).close()


def test_a_tally_is_never_made_twice_nor_by_itself(tmp_path):
    path = tmp_path / "tally"
    with pytest.raises(SamFault, match="sam_missing"):
        TallyFile(path)
    TallyFile.create(path, SamTally(TERMINAL, serial=9)).close()
    with pytest.raises(SamFault, match="sam_state_unusable"):
        TallyFile.create(path, SamTally(TERMINAL))
    path.write_bytes(bytes(SLOT_BYTES * 2))
    with pytest.raises(SamFault, match="sam_state_damaged"):
        TallyFile(path)


def test_a_cut_at_any_byte_leaves_the_old_tally_or_the_new(tmp_path):
    """Goal: whatever is left on the disk, no serial that has left is given out again."""
    path = tmp_path / "tally"
    with TallyFile.create(path, SamTally(TERMINAL)) as file:
        for serial in range(1, 6):
            file.put(SamTally(TERMINAL, serial))
        before = path.read_bytes()
        file.put(SamTally(TERMINAL, 6))
    after = path.read_bytes()
    changed = [at for at in range(len(after)) if before[at] != after[at]]
    for end in range(changed[0], changed[-1] + 2):
        path.write_bytes(after[:end] + before[end:])
        with TallyFile(path) as file:
            assert file.view().serial == (6 if end > changed[-1] else 5)


def test_the_serial_is_synced_before_mac1_leaves(tmp_path, monkeypatch):
    """Goal: a disk that fails gives no MAC1, and what it wrote is believed afterwards."""
    path = tmp_path / "tally"
    sam = SoftwareSam(SAM_KEYS, TallyFile.create(path, SamTally(TERMINAL)))
    request = replace(REQUEST, key_version=2)
    synced: list[int] = []
    real = os.fdatasync
    monkeypatch.setattr(tally.os, "fdatasync", lambda handle: synced.append(handle) or real(handle))
    assert sam.begin_purchase(request).terminal_serial[-1] == 1
    assert len(synced) == 1

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(tally.os, "fdatasync", broken)
    with pytest.raises(SamFault, match="sam_state_unusable"):
        sam.begin_purchase(request)
    with pytest.raises(SamFault, match="sam_session_gone"):
        sam.finish_purchase(bytes(4))
    monkeypatch.setattr(tally.os, "fdatasync", real)
    assert sam.begin_purchase(request).terminal_serial[-1] == 3  # 2 may be on the disk
    sam.close()


@pytest.mark.parametrize("allowed", [-1, 70_000])
def test_a_lock_that_is_none(allowed):
    with pytest.raises(ValueError, match="mismatches_allowed"):
        SoftwareSam(SAM_KEYS, MemoryTally(), mismatches_allowed=allowed)
