"""The software keystore: what a file must look like to be opened, and what must never leave it."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import shutil
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from keys_world import Files, plain_keys

from backend.keys import KeyRef, KeystoreDamaged, SoftwareKeys, key_thumbprint
from backend.keys.form_1 import CONTENTS, FIRST_KEYS
from backend.keys.secret import Secret

FORM_1 = Path(__file__).parent / "form_1"
"""A store that the version before this one made, its key file, and what it said with it."""


@pytest.fixture
def old(tmp_path: Path) -> Files:
    """That store, to be opened."""
    shutil.copytree(FORM_1, tmp_path / "old")
    return tmp_path / "old" / "keystore.json", tmp_path / "old" / "kek.bin"


def _edit(store: Path, change: Callable[[dict[str, Any]], object]) -> None:
    entries = json.loads(store.read_text())
    change(entries)
    store.write_text(json.dumps(entries))


def _drop(ref: KeyRef) -> Callable[[dict[str, Any]], object]:
    def drop(whole: dict[str, Any]) -> None:
        del whole["versions"][ref.named(1)]

    return drop


def _set(ref: KeyRef, name: str, value: object) -> Callable[[dict[str, Any]], object]:
    def change(whole: dict[str, Any]) -> None:
        whole["versions"][ref.named(1)][name] = value

    return change


def _swap(one: KeyRef, other: KeyRef) -> Callable[[dict[str, Any]], object]:
    def swap(whole: dict[str, Any]) -> None:
        versions = whole["versions"]
        versions[one.named(1)]["sealed"] = versions[other.named(1)]["sealed"]

    return swap


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
    "entry not base64": lambda store, kek: _edit(store, _set(KeyRef.SECRETS, "sealed", "!!")),
    "entry empty": lambda store, kek: _edit(store, _set(KeyRef.SECRETS, "sealed", "")),
    "entry a number": lambda store, kek: _edit(store, _set(KeyRef.SECRETS, "sealed", 5)),
    "entry null": lambda store, kek: _edit(store, _set(KeyRef.SECRETS, "sealed", None)),
    "entry of another key": lambda store, kek: _edit(store, _swap(KeyRef.ANSWERS, KeyRef.SECRETS)),
    "a retired key made active": lambda store, kek: _edit(
        store, _set(KeyRef.SECRETS, "state", "retired")
    ),
    "another check value": lambda store, kek: _edit(
        store, _set(KeyRef.SECRETS, "check_value", "00" * 5)
    ),
    "no versions": lambda store, kek: _edit(store, lambda whole: whole.pop("versions")),
    "no seal": lambda store, kek: _edit(store, lambda whole: whole.pop("seal")),
    "another form": lambda store, kek: _edit(
        store, lambda whole: whole.update(format="city-card-keystore/3")
    ),
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


def test_every_bit_of_the_file_counts(files: Files) -> None:
    """Keys are sealed one by one, and the whole again: states and check values count too."""
    store, kek = files
    whole = store.read_bytes()
    for at in range(0, len(whole), 97):
        changed = bytearray(whole)
        changed[at] ^= 1
        store.write_bytes(changed)
        with pytest.raises(KeystoreDamaged):
            _ = SoftwareKeys.open(store, kek) if json_differs(whole, bytes(changed)) else _damaged()
    store.write_bytes(whole)
    SoftwareKeys.open(store, kek)


def json_differs(one: bytes, other: bytes) -> bool:
    """White space means nothing."""
    try:
        return bool(json.loads(one) != json.loads(other))
    except ValueError:
        return True


def _damaged() -> SoftwareKeys:
    raise KeystoreDamaged("keystore: only white space")


def _secrets(keys: SoftwareKeys) -> list[bytes]:
    return list(plain_keys(keys).values())


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
    assert len(_secrets(keys)) == len(KeyRef)
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


def test_a_file_of_the_first_form_opens_and_says_the_same(old: Files) -> None:
    said = json.loads((FORM_1 / "said.json").read_text())
    for keys in (SoftwareKeys.open(*old), SoftwareKeys.open(*old)):  # replaced, then read
        sealed = bytes.fromhex(said["pii_sealed"])
        assert keys.decrypt(KeyRef.PII_CIPHER, sealed, b"person.name:1").decode() == "张三"
        assert keys.mac(KeyRef.PII_INDEX, b"x").hex() == said["pii_index"]
        assert keys.derive(KeyRef.TOKEN_MASTER, b"luk|1|1", 16).hex() == said["luk"]
        assert keys.derive(KeyRef.TOKEN_MASTER, b"pay|1|1", 32).hex() == said["pay"]
        for name, thumbprint in said["thumbprints"].items():
            assert key_thumbprint(keys.public_key(KeyRef[name])) == thumbprint
    assert json.loads(old[0].read_text())["format"] == "city-card-keystore/2"
    assert stat.S_IMODE(old[0].stat().st_mode) == 0o600


def _as_before_contents(store: Path) -> None:
    """What the first stores looked like: nine keys and no list of contents."""
    first = {ref.named(1) for ref in FIRST_KEYS}
    whole = json.loads(store.read_text())
    store.write_text(json.dumps({name: whole[name] for name in first}))


def test_an_older_store_gains_the_keys_that_came_later(old: Files) -> None:
    store, kek = old
    _as_before_contents(store)
    first = SoftwareKeys.open(store, kek)
    again = SoftwareKeys.open(store, kek)
    for ref in (KeyRef.LEDGER_SEAL, KeyRef.AUDIT_SEAL):
        assert first.public_point(ref) == again.public_point(ref)
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    assert {path.name for path in store.parent.iterdir()} == {
        path.name for path in FORM_1.iterdir()
    }


def test_processes_that_open_an_older_store_together_get_one_key(old: Files) -> None:
    store, kek = old
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


LOST: dict[str, Callable[[dict[str, Any]], object]] = {
    "before stores named their contents": lambda whole: whole.pop(CONTENTS),
    "after": lambda whole: None,
}


@pytest.mark.parametrize("when", LOST)
def test_nothing_is_added_to_an_older_store_that_has_lost_a_key(old: Files, when: str) -> None:
    store, kek = old
    _edit(store, lambda whole: (whole.pop(KeyRef.PII_INDEX.named(1)), LOST[when](whole)))
    before = store.read_bytes()
    with pytest.raises(KeystoreDamaged, match=KeyRef.PII_INDEX.named(1)):
        SoftwareKeys.open(store, kek)
    assert store.read_bytes() == before


def test_an_older_store_whose_list_of_contents_was_edited_does_not_open(old: Files) -> None:
    store, kek = old
    _edit(store, lambda whole: whole.update({CONTENTS: whole[KeyRef.SECRETS.named(1)]}))
    with pytest.raises(KeystoreDamaged):
        SoftwareKeys.open(store, kek)


def test_a_passphrase_opens_with_its_key_file_and_not_without(tmp_path: Path) -> None:
    store, kek = tmp_path / "keystore.json", tmp_path / "kek"
    keys = SoftwareKeys.make(store, kek, Secret(b"correct horse"))
    again = SoftwareKeys.open(store, kek, Secret(b"correct horse"))
    assert again.mac(KeyRef.SECRETS, b"x") == keys.mac(KeyRef.SECRETS, b"x")
    for wrong in (None, Secret(b"correct horsf"), Secret(kek.read_bytes())):
        with pytest.raises(KeystoreDamaged, match="does not open with"):
            SoftwareKeys.open(store, kek, wrong)


def test_a_store_is_not_read_without_bound(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.keys.store.FILE_BYTES_MAX", 100)
    with pytest.raises(KeystoreDamaged):
        SoftwareKeys.open(*files)


def test_the_first_keys_are_still_named() -> None:
    """A key that is retired leaves FIRST_KEYS with it; the others never leave."""
    assert frozenset(KeyRef) >= FIRST_KEYS
    assert KeyRef.LEDGER_SEAL not in FIRST_KEYS
