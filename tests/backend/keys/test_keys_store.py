"""The software keystore: what a file must look like to be opened, and what must never leave it."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.keys import KeyRef, KeystoreDamaged, SoftwareKeys, key_thumbprint
from backend.keys.software import CONTENTS, FIRST_KEYS

Files = tuple[Path, Path]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    store, kek = tmp_path / "deep" / "keystore.json", tmp_path / "elsewhere" / "kek"
    SoftwareKeys.make(store, kek)
    return store, kek


def _edit(store: Path, change: Callable[[dict[str, object]], object]) -> None:
    entries = json.loads(store.read_text())
    changed = change(entries)
    store.write_text(json.dumps(entries if changed is None else changed))


def _drop(ref: KeyRef) -> Callable[[dict[str, object]], object]:
    return lambda entries: {k: v for k, v in entries.items() if k != ref.value}


def _swap(one: KeyRef, other: KeyRef) -> Callable[[dict[str, object]], object]:
    """An entry moved under another name must not open: the name is bound to the bytes."""
    return lambda entries: {**entries, one.value: entries[other.value]}


def test_a_reopened_store_holds_the_same_keys(files: Files) -> None:
    first, second = SoftwareKeys.open(*files), SoftwareKeys.open(*files)
    assert first.mac(KeyRef.SECRETS, b"x") == second.mac(KeyRef.SECRETS, b"x")
    sealed = first.encrypt(KeyRef.PII_CIPHER, b"name", b"row")
    assert second.decrypt(KeyRef.PII_CIPHER, sealed, b"row") == b"name"


def test_two_stores_share_no_key(files: Files, keys: SoftwareKeys) -> None:
    other = SoftwareKeys.open(*files)
    assert other.mac(KeyRef.SECRETS, b"x") != keys.mac(KeyRef.SECRETS, b"x")


def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    store, kek = tmp_path / "store", tmp_path / "kek"
    before = os.umask(0)
    try:
        SoftwareKeys.make(store, kek)
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (store, kek)] == [0o600, 0o600]


def test_a_store_is_never_overwritten(files: Files) -> None:
    store, kek = files
    before = store.read_bytes(), kek.read_bytes()
    with pytest.raises(FileExistsError):
        SoftwareKeys.make(store, kek)
    with pytest.raises(FileExistsError):
        SoftwareKeys.make(store, kek.with_name("another"))
    assert (store.read_bytes(), kek.read_bytes()) == before


DAMAGE: dict[str, Callable[[Path, Path], object]] = {
    "store missing": lambda store, kek: store.unlink(),
    "kek missing": lambda store, kek: kek.unlink(),
    "kek wrong": lambda store, kek: kek.write_bytes(os.urandom(32)),
    "kek short": lambda store, kek: kek.write_bytes(b"short"),
    "kek empty": lambda store, kek: kek.write_bytes(b""),
    "store empty": lambda store, kek: store.write_bytes(b""),
    "store not UTF-8": lambda store, kek: store.write_bytes(b"\xff\xfe{}"),
    "store cut": lambda store, kek: store.write_bytes(store.read_bytes()[:-20]),
    "store a list": lambda store, kek: store.write_text("[]"),
    "store a number": lambda store, kek: store.write_text("5"),
    "store null": lambda store, kek: store.write_text("null"),
    "store deep": lambda store, kek: store.write_text("[" * 100_000),
    "store a directory": lambda store, kek: (store.unlink(), store.mkdir()),
    "kek a directory": lambda store, kek: (kek.unlink(), kek.mkdir()),
    "entry not base64": lambda store, kek: _edit(
        store, lambda entries: {**entries, KeyRef.SECRETS.value: "!!"}
    ),
    "entry empty": lambda store, kek: _edit(
        store, lambda entries: {**entries, KeyRef.SECRETS.value: ""}
    ),
    "entry a number": lambda store, kek: _edit(
        store, lambda entries: {**entries, KeyRef.SECRETS.value: 5}
    ),
    "entry null": lambda store, kek: _edit(
        store, lambda entries: {**entries, KeyRef.SECRETS.value: None}
    ),
    "entry of another key": lambda store, kek: _edit(store, _swap(KeyRef.ANSWERS, KeyRef.SECRETS)),
    "key missing": lambda store, kek: _edit(store, _drop(KeyRef.PII_INDEX)),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told_in_one_line_without_secrets(files: Files, name: str) -> None:
    store, kek = files
    kek_before = kek.read_bytes()
    DAMAGE[name](store, kek)
    with pytest.raises(KeystoreDamaged) as damage:
        SoftwareKeys.open(store, kek)
    line = str(damage.value)
    assert line.startswith("keystore: ")
    assert "\n" not in line
    assert str(store) in line or str(kek) in line
    whole = "".join(traceback.format_exception(damage.value))
    assert kek_before.hex() not in whole
    assert repr(kek_before) not in whole


@pytest.mark.parametrize("ref", KeyRef, ids=lambda ref: ref.name)
def test_a_missing_key_is_named(files: Files, ref: KeyRef) -> None:
    _edit(files[0], _drop(ref))
    with pytest.raises(KeystoreDamaged, match=ref.value):
        SoftwareKeys.open(*files)


def test_every_bit_of_an_entry_counts(files: Files) -> None:
    store, kek = files
    whole = json.loads(store.read_text())
    for ref in (KeyRef.TOKEN_MASTER, KeyRef.ISSUER_SIGNING):
        text = whole[ref.value]
        for at in (0, 5, 20, len(text) // 2):
            other = "A" if text[at] != "A" else "B"
            store.write_text(json.dumps({**whole, ref.value: text[:at] + other + text[at + 1 :]}))
            with pytest.raises(KeystoreDamaged):
                SoftwareKeys.open(store, kek)


def _secrets(keys: SoftwareKeys) -> list[bytes]:
    return list(keys._secrets.values())


def _shows(text: str | bytes, secret: bytes) -> bool:
    raw = text.encode() if isinstance(text, str) else text
    forms = (secret, secret.hex().encode(), repr(secret).encode())
    return any(form in raw for form in forms)


def test_nothing_printed_holds_a_secret(
    keys: SoftwareKeys, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").info("%s %r %s", keys, keys, {"keys": keys, "all": [keys]})
    printed = [repr(keys), str(keys), f"{keys}", caplog.text]
    assert len(_secrets(keys)) >= 7
    assert not [1 for text in printed for secret in _secrets(keys) if _shows(text, secret)]


def test_keys_cannot_be_pickled_or_copied_out(keys: SoftwareKeys) -> None:
    for take in (pickle.dumps, copy.deepcopy, copy.copy):
        with pytest.raises(TypeError):
            take(keys)


def test_the_store_holds_no_secret_in_the_clear(files: Files) -> None:
    keys = SoftwareKeys.open(*files)
    text = files[0].read_bytes()
    assert not [1 for secret in _secrets(keys) if _shows(text, secret)]
    assert KeyRef.TOKEN_MASTER.value.encode() in text


def _as_before_contents(store: Path) -> None:
    """What the first stores looked like: nine keys and no list of contents."""
    first = {ref.value for ref in FIRST_KEYS}
    _edit(store, lambda entries: {k: v for k, v in entries.items() if k in first})


def test_an_older_store_gains_the_keys_that_came_later(files: Files) -> None:
    store, kek = files
    token_master = SoftwareKeys.open(store, kek).derive(KeyRef.TOKEN_MASTER, b"x", 16)
    _as_before_contents(store)
    first = SoftwareKeys.open(store, kek)
    again = SoftwareKeys.open(store, kek)
    assert first.derive(KeyRef.TOKEN_MASTER, b"x", 16) == token_master
    assert key_thumbprint(first.public_key(KeyRef.LEDGER_SEAL)) == key_thumbprint(
        again.public_key(KeyRef.LEDGER_SEAL)
    )
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    assert sorted(path.name for path in store.parent.iterdir()) == [store.name]


def test_processes_that_open_an_older_store_together_get_one_key(files: Files) -> None:
    store, kek = files
    _as_before_contents(store)
    code = (
        "import sys; from pathlib import Path; from backend.keys import *;"
        "keys = SoftwareKeys.open(Path(sys.argv[1]), Path(sys.argv[2]));"
        "print(key_thumbprint(keys.public_key(KeyRef.LEDGER_SEAL)))"
    )
    command = [sys.executable, "-c", code, str(store), str(kek)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=60)[0] for process in running]
    ours = key_thumbprint(SoftwareKeys.open(store, kek).public_key(KeyRef.LEDGER_SEAL))
    assert said == [f"{ours}\n"] * 3


def test_nothing_is_added_to_a_store_that_has_lost_a_key(files: Files) -> None:
    store, kek = files
    _as_before_contents(store)
    _edit(store, _drop(KeyRef.PII_INDEX))
    before = store.read_bytes()
    with pytest.raises(KeystoreDamaged, match=KeyRef.PII_INDEX.value):
        SoftwareKeys.open(store, kek)
    assert store.read_bytes() == before


def test_a_store_whose_list_of_contents_was_edited_does_not_open(files: Files) -> None:
    store, kek = files
    _edit(store, lambda entries: {**entries, CONTENTS: entries[KeyRef.SECRETS.value]})
    with pytest.raises(KeystoreDamaged):
        SoftwareKeys.open(store, kek)


def test_the_first_keys_are_still_named() -> None:
    """A key that is retired leaves FIRST_KEYS with it; the others never leave."""
    assert frozenset(KeyRef) >= FIRST_KEYS
    assert KeyRef.LEDGER_SEAL not in FIRST_KEYS
