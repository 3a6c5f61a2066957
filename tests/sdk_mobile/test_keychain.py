"""Documents sealed under the keychain's key: nothing to read on disk, nothing begun anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdk_mobile import (
    FileStorage,
    KeychainStorage,
    MemoryStorage,
    StorageDamaged,
    StorageFailed,
    Wallet,
)
from sdk_mobile.keychain import MARK
from tests.sdk_mobile.fake_backend import CODE, PHONE

MakeWallet = Callable[..., Wallet]


class MemoryKeychain:
    """A keyring backend in memory: the three calls, with their names and their order."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


class ShutKeychain(MemoryKeychain):
    """Locked by its owner."""

    def get_password(self, service: str, username: str) -> str | None:
        raise PermissionError("secret of the keychain")


class ReadOnlyKeychain(MemoryKeychain):
    def set_password(self, service: str, username: str, password: str) -> None:
        raise PermissionError("secret of the keychain")


class ForgetfulKeychain(MemoryKeychain):
    def set_password(self, service: str, username: str, password: str) -> None:
        """Says nothing, keeps nothing."""


@pytest.fixture
def keychain() -> MemoryKeychain:
    return MemoryKeychain()


@pytest.fixture
def storage(tmp_path: Path, keychain: MemoryKeychain) -> Iterator[KeychainStorage]:
    opened = KeychainStorage.in_directory(tmp_path / "phone", keychain)
    yield opened
    opened.close()


def test_a_wallet_lives_on_it_and_its_files_tell_nothing(
    ready, storage, tmp_path, keychain, make_wallet
):
    state = ready._document.read()
    assert state.session is not None
    for path in (tmp_path / "phone").iterdir():
        content = path.read_bytes()
        for secret in (state.session.refresh_token, PHONE, '"token_id"', "PRIVATE"):
            assert secret.encode() not in content, path
    code = ready.pay_code()
    ready.close()
    storage.close()
    opened = KeychainStorage.in_directory(tmp_path / "phone", keychain)
    assert make_wallet(opened).pay_code() == code
    opened.close()


def test_each_phone_of_an_app_has_a_key_of_its_own(tmp_path, keychain):
    for name in ("one", "two"):
        KeychainStorage.in_directory(tmp_path / name, keychain, username=name).close()
    assert len(set(keychain.entries.values())) == 2
    assert set(keychain.entries) == {("city-card", "one"), ("city-card", "two")}


def test_a_directory_may_move_as_it_does_when_an_app_is_updated(storage, tmp_path, keychain):
    storage.write("state", b"content")
    storage.close()
    (tmp_path / "phone").rename(tmp_path / "updated")
    moved = KeychainStorage.in_directory(tmp_path / "updated", keychain)
    assert moved.read("state") == b"content"
    moved.close()


@pytest.mark.parametrize("at", [0, 1, 12, 13, -1])
def test_an_altered_document_is_damage(at):
    inner = MemoryStorage()
    storage = KeychainStorage(inner, MemoryKeychain())
    storage.write("state", b"content")
    raw = bytearray(inner.read("state") or b"")
    raw[at] ^= 1
    inner.write("state", bytes(raw))
    with pytest.raises(StorageDamaged, match="state"):
        storage.read("state")


@pytest.mark.parametrize("left", [0, 1, 5, 12, 13, 20])
def test_a_cut_document_is_damage(left):
    inner = MemoryStorage()
    storage = KeychainStorage(inner, MemoryKeychain())
    storage.write("state", b"content")
    inner.write("state", (inner.read("state") or b"")[:left])
    with pytest.raises(StorageDamaged):
        storage.read("state")


def test_a_document_under_another_s_name_is_damage():
    inner = MemoryStorage()
    storage = KeychainStorage(inner, MemoryKeychain())
    storage.write("state", b"content")
    inner.write("history", inner.read("state") or b"")
    with pytest.raises(StorageDamaged, match="history"):
        storage.read("history")


def test_the_same_content_is_never_the_same_bytes():
    inner = MemoryStorage()
    storage = KeychainStorage(inner, MemoryKeychain())
    written = set()
    for _ in range(20):
        storage.write("state", b"content")
        written.add(inner.read("state"))
    assert len(written) == 20


@pytest.mark.parametrize("change", ["lost", "other", "nonsense"])
def test_a_keychain_without_our_key_is_damage_and_has_a_way_out(
    ready, storage, keychain, make_wallet, change
):
    """Goal: a lost key is not replaced behind the holder's back; `re_enrol` replaces it."""
    ready.close()
    (place,) = keychain.entries
    other = MemoryKeychain()
    KeychainStorage(MemoryStorage(), other)
    if change == "lost":
        keychain.delete_password(*place)
    else:
        (foreign,) = other.entries.values()
        keychain.entries[place] = foreign if change == "other" else "no key"
    before = dict(keychain.entries)
    reopened = KeychainStorage(storage._inner, keychain, service=place[0], username=place[1])
    with pytest.raises(StorageDamaged):
        make_wallet(reopened)
    with pytest.raises(StorageDamaged):
        reopened.write("state", b"new")
    assert keychain.entries == before
    done = Wallet.re_enrol(reopened)
    assert done.must_enrol
    assert "state" in done.put_aside
    again = make_wallet(reopened)
    again.request_login_code(PHONE)
    again.log_in(PHONE, CODE)
    again.open_wallet()
    assert again.balance().balance_fen == 20_000


def test_a_keychain_that_is_shut_later_fails_no_open_storage_and_no_data(storage, tmp_path):
    storage.write("state", b"content")
    with pytest.raises(StorageFailed, match="PermissionError") as failed:
        KeychainStorage.in_directory(tmp_path / "phone", ShutKeychain())
    assert "secret of the keychain" not in str(failed.value)
    assert storage.read("state") == b"content"


@pytest.mark.parametrize("kind", [ReadOnlyKeychain, ForgetfulKeychain])
def test_a_keychain_that_does_not_keep_the_key_seals_nothing(kind):
    inner = MemoryStorage()
    with pytest.raises(StorageFailed, match="keychain"):
        KeychainStorage(inner, kind())
    assert inner.read(MARK) is None


def test_a_damaged_mark_costs_nothing_while_the_key_is_there(storage, keychain, tmp_path):
    storage.write("state", b"content")
    storage.close()
    (tmp_path / "phone" / f"{MARK}.doc").write_bytes(b"?")
    again = KeychainStorage.in_directory(tmp_path / "phone", keychain)
    assert again.read("state") == b"content"
    again.close()


def test_forgetting_the_key_ends_every_document(storage, tmp_path, keychain):
    storage.write("state", b"content")
    storage.forget_key()
    assert keychain.entries == {}
    with pytest.raises(StorageDamaged):
        storage.read("state")


def test_it_closes_and_says_what_it_wraps(tmp_path, keychain):
    storage = KeychainStorage(FileStorage(tmp_path / "phone"), keychain)
    assert "secret" in repr(storage)
    (key,) = keychain.entries.values()
    assert key not in repr(storage)
    storage.close()
    with pytest.raises(StorageFailed, match="closed"):
        storage.write("state", b"x")
