"""Keys in a real PKCS#11 token (SoftHSM): the same answers, and nothing comes out."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from keys_world import NOW, Files
from pkcs11 import Attribute, ObjectClass
from pkcs11 import exceptions as faults
from softhsm import restart

from backend.kernel import ManualClock
from backend.keys import (
    CommandMac,
    KeyRef,
    KeystoreDamaged,
    KeyUnavailable,
    KeyUnknown,
    NamedKeys,
    SessionMac,
    SoftwareKeys,
    TacMac,
    TokenMac,
)
from backend.keys.admin import KeyAdmin
from backend.keys.handles import KEY_BYTES, SoftwareWrap, fresh_secret, software_handle
from backend.keys.hsm import NEEDS, PRIVATE_USES, SECRET_USES, WORKS, TokenDevice
from backend.keys.hsm_sessions import Lease, Sessions
from backend.keys.model import PKCS11, SOFTWARE
from backend.keys.opening import open_keys
from backend.keys.secret import Secret
from backend.keys.settings import KeySettings
from backend.keys.vault import Vault

FACTORS = (b"\x01\x01\x10\x00\xff\xff\xff\xff", b"\x04\x79\x13\x81\x20\x19\x07\x18")
SOFT_ALGORITHMS = {"sm4", "sm2"}
IN_TOKEN = [ref for ref in KeyRef if ref.algorithm not in SOFT_ALGORITHMS]


def _everything(keys: NamedKeys) -> dict[str, bytes]:
    """One answer of each kind that is the same for the same keys."""
    session = SessionMac(FACTORS, b"\x11\x22\x33\x44\x00\x00\x00\x01")
    return {
        "mac": keys.mac(KeyRef.SECRETS, b"data"),
        "derive": keys.derive(KeyRef.TOKEN_MASTER, b"luk|1|1", 32),
        "token": keys.derive_and_mac(KeyRef.TOKEN_MASTER, TokenMac(b"luk|1|1"), b"tap" * 9),
        "session": keys.derive_and_mac(KeyRef.PURCHASE_3DES, session, b"amount"),
        "tac": keys.derive_and_mac(KeyRef.TAC_3DES, TacMac(FACTORS), b"amount"),
        "command": keys.derive_and_mac(
            KeyRef.MAINTENANCE_3DES, CommandMac(FACTORS, b"\1\2\3\4"), b"command"
        ),
        "sm4": keys.derive_and_mac(KeyRef.TOKEN_MASTER_SM4, TokenMac(b"luk|1|1"), b"tap"),
        "wrapped": keys.wrap(KeyRef.TRANSPORT, KeyRef.LOAD_3DES, FACTORS),
        "point": keys.public_point(KeyRef.LEDGER_SEAL),
    }


def test_a_store_moved_into_the_token_gives_the_same_answers(
    files: Files, hsm_settings: KeySettings, token_is_bare: None, clock: ManualClock
) -> None:
    """Software and token share no code below the port: each checks the other."""
    software = SoftwareKeys.open(*files)
    sealed = software.encrypt(KeyRef.PII_CIPHER, "张三".encode(), b"row")
    signature = software.sign(KeyRef.LEDGER_SEAL, b"segment")
    before = _everything(software)

    started = open_keys(files, hsm_settings, clock)  # not moved yet: works all the same
    moved = KeyAdmin(started.vault, clock).move_to_device("li")
    assert {one.ref for one in moved} == set(IN_TOKEN)
    keys = open_keys(files, hsm_settings, clock)

    places = {one.ref: one.place for one in keys.vault.store.read().versions}
    assert {ref for ref, place in places.items() if place == SOFTWARE} == (
        set(KeyRef) - set(IN_TOKEN)
    )
    assert _everything(keys) == before
    assert keys.decrypt(KeyRef.PII_CIPHER, sealed, b"row") == "张三".encode()
    assert software.decrypt(
        KeyRef.PII_CIPHER, keys.encrypt(KeyRef.PII_CIPHER, b"x", b"row"), b"row"
    )
    assert keys.verify(KeyRef.LEDGER_SEAL, b"segment", signature)
    assert software.verify(
        KeyRef.LEDGER_SEAL, b"another", keys.sign(KeyRef.LEDGER_SEAL, b"another")
    )
    assert keys.sign(KeyRef.ISSUER_SIGNING_SM2, b"x")
    assert not any(one.sealed for one in moved)


def test_keys_made_in_the_token_do_not_come_out(hsm_keys: NamedKeys, sessions: Sessions) -> None:
    def look(lease: Lease) -> list[tuple[str, list[Any]]]:
        assert lease.session is not None
        found = []
        for one in lease.session.get_objects({Attribute.TOKEN: True}):
            if isinstance(one, pkcs11.PublicKey):
                continue
            flags: list[Any] = [one[Attribute.SENSITIVE], one[Attribute.EXTRACTABLE]]
            with pytest.raises((faults.AttributeSensitive, faults.AttributeTypeInvalid)):
                _ = one[Attribute.VALUE]
            found.append((one[Attribute.LABEL], flags))
        return found

    found = dict(sessions.run(look))
    assert set(found) == {ref.named(1) for ref in IN_TOKEN}
    assert all(flags == [True, False] for flags in found.values())


@pytest.mark.parametrize("algorithm", NEEDS)
def test_a_key_in_the_token_does_only_its_work(
    device: TokenDevice, sessions: Sessions, algorithm: str
) -> None:
    """Made there or brought in: nothing that its work does not need is switched on."""
    device.make("made", algorithm)
    device.take("taken", algorithm, _secret_for(algorithm))

    def uses(lease: Lease) -> list[set[Attribute]]:
        assert lease.session is not None
        kind = ObjectClass.PRIVATE_KEY if algorithm == "es256" else ObjectClass.SECRET_KEY
        found = list(lease.session.get_objects({Attribute.CLASS: kind}))
        return [{use for use in PRIVATE_USES + SECRET_USES if _is_on(one, use)} for one in found]

    assert sessions.run(uses) == [set(WORKS[algorithm])] * 2


def _is_on(key: Any, use: Attribute) -> bool:
    try:
        return bool(key[use])
    except faults.AttributeTypeInvalid:
        return False


@pytest.mark.parametrize("algorithm", NEEDS)
def test_token_and_software_agree_on_check_values(device: TokenDevice, algorithm: str) -> None:
    secret = _secret_for(algorithm)
    software, token = software_handle(algorithm, secret), device.take("one", algorithm, secret)
    assert token.check_value() == software.check_value()


def _secret_for(algorithm: str) -> bytes:
    if algorithm == "es256":
        return fresh_secret(algorithm)
    return bytes(range(KEY_BYTES[algorithm]))


def test_wrapping_by_blocks_is_rfc_3394(device: TokenDevice) -> None:
    """RFC 3394, 4.3: 128 bits of key data under a 256-bit key; and against the library's own."""
    kek = bytes(range(32))
    token: Any = device.take("transport", "aes256kw", kek)
    data = bytes.fromhex("00112233445566778899aabbccddeeff")
    wrapped = token.wrap(data)
    assert wrapped.hex() == "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"
    assert SoftwareWrap(kek).unwrap(wrapped) == data == token.unwrap(wrapped)
    for at in range(len(wrapped)):
        altered = bytearray(wrapped)
        altered[at] ^= 1
        with pytest.raises(ValueError, match="not wrapped"):
            token.unwrap(bytes(altered))


def test_altered_bytes_do_not_open(hsm_keys: NamedKeys) -> None:
    sealed = hsm_keys.encrypt(KeyRef.PII_CIPHER, b"name", b"row")
    for at in range(len(sealed)):
        altered = bytearray(sealed)
        altered[at] ^= 1
        with pytest.raises(KeyUnknown, match="not sealed"):
            hsm_keys.decrypt(KeyRef.PII_CIPHER, bytes(altered), b"row")
    assert hsm_keys.decrypt(KeyRef.PII_CIPHER, sealed, b"row") == b"name"
    with pytest.raises(KeyUnknown):
        hsm_keys.decrypt(KeyRef.PII_CIPHER, sealed, b"other row")


def test_keys_answer_again_after_the_token_was_restarted(hsm_keys: NamedKeys) -> None:
    before = hsm_keys.mac(KeyRef.SECRETS, b"data")
    with ThreadPoolExecutor(4) as pool:  # every session open
        assert set(pool.map(lambda _: hsm_keys.mac(KeyRef.SECRETS, b"data"), range(40))) == {before}
    for _ in range(3):
        restart()  # sessions and login are gone
        with ThreadPoolExecutor(4) as pool:
            answers = set(pool.map(lambda _: hsm_keys.mac(KeyRef.SECRETS, b"data"), range(40)))
        assert answers == {before}


def test_a_token_that_is_gone_is_told_apart_from_a_key_that_is_gone(
    hsm_keys: NamedKeys, sessions: Sessions
) -> None:
    tried: list[int] = []

    def count(lease: Lease) -> None:
        tried.append(1)
        raise faults.DeviceRemoved

    with pytest.raises(KeyUnavailable, match="DeviceRemoved"):
        sessions.run(count)
    assert len(tried) == 3
    assert sessions.run(lambda lease: lease.session is not None)
    device = TokenDevice(sessions)
    device.destroy(KeyRef.SECRETS.named(1))
    fresh = TokenDevice(sessions)
    with pytest.raises(KeyUnknown, match="secrets/hmac-sha256/1 is not in the token"):
        fresh.open(KeyRef.SECRETS.named(1), "hmac-sha256", b"")


def test_who_finds_all_sessions_busy_is_told(
    hsm_settings: KeySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.keys.hsm_sessions.BORROW_SECONDS", 0.05)
    assert hsm_settings.token is not None
    sessions = Sessions(replace(hsm_settings.token, sessions=1))
    held, done = threading.Event(), threading.Event()

    def hold(lease: Lease) -> bool:
        held.set()
        return done.wait(10)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(sessions.run, hold)
        assert held.wait(10)
        with pytest.raises(KeyUnavailable, match="all 1 sessions are busy"):
            sessions.run(lambda lease: None)
        done.set()
        assert holding.result(10)
    assert sessions.run(lambda lease: "free") == "free"


def test_another_key_under_the_name_is_found_at_start(
    hsm_keys: NamedKeys, hsm_files: Files, hsm_settings: KeySettings, sessions: Sessions
) -> None:
    TokenDevice(sessions).take(KeyRef.SECRETS.named(1), "hmac-sha256", bytes(range(32)))
    with pytest.raises(KeystoreDamaged, match="another key lies where secrets/hmac-sha256/1"):
        open_keys(hsm_files, hsm_settings, ManualClock(NOW))


def test_what_a_token_cannot_do_is_told_before_anything_is_made(
    hsm_files: Files, hsm_settings: KeySettings, clock: ManualClock
) -> None:
    bare = replace(hsm_settings, in_software=frozenset({"sm2"}))
    with pytest.raises(KeystoreDamaged, match=r"cannot do sm4: .* CITY_KEYS_IN_SOFTWARE=sm4"):
        open_keys(hsm_files, bare, clock, make=True)
    assert not hsm_files[0].parent.exists()


def test_a_store_whose_keys_lie_in_a_token_says_so_without_one(
    hsm_keys: NamedKeys, hsm_files: Files
) -> None:
    with pytest.raises(KeystoreDamaged, match=r"lies in a PKCS#11 token.*CITY_PKCS11_MODULE"):
        SoftwareKeys.open(*hsm_files)


def test_wrong_token_settings_are_one_sentence(hsm_settings: KeySettings, tmp_path: Path) -> None:
    token = hsm_settings.token
    assert token is not None
    with pytest.raises(KeystoreDamaged, match="has no token 'nobody'"):
        Sessions(replace(token, label="nobody"))
    restart()  # logged out: a PIN is looked at again
    with pytest.raises(KeystoreDamaged, match="PIN does not open token 'city'") as damaged:
        Sessions(replace(token, pin=Secret(b"9999")))
    assert "9999" not in str(damaged.value)


def test_rotation_in_the_token(hsm_keys: NamedKeys, hsm_files: Files, clock: ManualClock) -> None:
    admin = KeyAdmin(hsm_keys.vault, clock)
    old = hsm_keys.sign(KeyRef.ACCESS_TOKENS, b"x")
    assert admin.rotate("li", KeyRef.ACCESS_TOKENS).place == PKCS11
    hsm_keys.look()
    assert hsm_keys.active_version(KeyRef.ACCESS_TOKENS) == 2
    assert hsm_keys.verify(KeyRef.ACCESS_TOKENS, b"x", old)
    admin.retire("li", KeyRef.ACCESS_TOKENS, 1, understood=True)
    hsm_keys.look()
    assert not hsm_keys.verify(KeyRef.ACCESS_TOKENS, b"x", old)
    vault: Vault = hsm_keys.vault
    assert vault.device is not None
    with pytest.raises(KeyUnknown):
        vault.device.open(KeyRef.ACCESS_TOKENS.named(1), "es256", b"")
