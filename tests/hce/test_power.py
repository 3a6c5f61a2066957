"""Power cut at any byte of the card file: the old card or the new one, whole; counters last."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hce.card_file import CardRecord
from hce.store import FileCardStore
from tests.hce.examples import ISSUER, KEY, SIGNER, STATE
from tests.hce.power import boot, every_cut

RECORD = CardRecord(STATE, SIGNER.to_der(), ISSUER.public_key)
NEXT_KEY = replace(KEY, index=8, value=bytes(range(16)))
RENEWED = replace(STATE.certificate, not_after=1_900_000_000)

CHANGES: dict[str, Callable[[FileCardStore], object]] = {
    "a tap": lambda store: store.take_counter(),
    "a key delivered": lambda store: store.put_key(NEXT_KEY),
    "a certificate renewed": lambda store: store.put_certificate(RENEWED),
    "a suspension": lambda store: store.suspend(),
}
NEW_STATES = {
    "a tap": STATE.counted(),
    "a key delivered": STATE.with_key(NEXT_KEY),
    "a certificate renewed": STATE.with_certificate(RENEWED),
    "a suspension": STATE.with_suspended(True),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_cut_at_any_byte_is_whole_or_did_not_happen(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, elsewhere = tmp_path / "wallet", tmp_path / "after"
    path = folder / "card.json"
    FileCardStore.create(path, RECORD)
    elsewhere.mkdir()
    new = replace(RECORD, state=NEW_STATES[name])
    cuts = list(every_cut(folder, lambda: CHANGES[name](FileCardStore(path))))
    assert len(cuts) > len(RECORD.encode())  # one cut a byte at least
    read = {}
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # for speed, now that the cuts are made
    for disk in set().union(*cuts):
        boot(elsewhere, disk)
        record = FileCardStore(elsewhere / path.name).record()
        assert record in (RECORD, new)
        read[disk] = record
        if not record.state.is_suspended:  # and the next tap goes on from there
            atc = FileCardStore(elsewhere / path.name).take_counter()[0]
            assert atc == record.state.atc + 1
    assert {read[disk] == new for disk in set().union(*cuts)} == {True, False}
    assert all(read[disk] == new for disk in cuts[-1])  # what returned lasts, whatever was lost
    assert all(read[disk] == RECORD for disk in cuts[0])


def test_a_card_made_while_power_fails_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "wallet", tmp_path / "after"
    folder.mkdir()
    elsewhere.mkdir()
    path = folder / "card.json"
    cuts = list(every_cut(folder, lambda: FileCardStore.create(path, RECORD)))
    for disk in set().union(*cuts):
        boot(elsewhere, disk)
        there = elsewhere / path.name
        assert not there.exists() or FileCardStore(there).record() == RECORD
    assert all(path.name in dict(disk) for disk in cuts[-1])
    assert not any(path.name in dict(disk) for disk in cuts[0])
