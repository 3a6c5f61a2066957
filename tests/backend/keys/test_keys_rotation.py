"""Versions: which one works, which still verify, how processes find out, what retiring refuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from keys_world import NOW, Files, plain_keys

from backend.kernel import ManualClock
from backend.keys import (
    KeyRef,
    KeyUnknown,
    SessionMac,
    SoftwareKeys,
    TokenMac,
)
from backend.keys.admin import KeyAdmin
from backend.keys.handles import SoftwareWrap, software_handle
from backend.keys.model import (
    FLOW,
    NOT_RETIRED,
    NOT_ROTATED,
    KeyEvent,
    KeysRefused,
    KeyState,
    KeyVersion,
)
from backend.keys.port import VERSION_MAX
from backend.keys.service import LOOK_SECONDS, NamedKeys
from backend.keys.store import Store
from card_protocol.signatures import Suite, verify_signature

ROTATING = [ref for ref in KeyRef if ref.purpose not in NOT_ROTATED]
SIGNER = KeyRef.ACCESS_TOKENS


@pytest.mark.parametrize(("state", "event"), list(product(KeyState, KeyEvent)))
def test_every_pair_is_decided(state: KeyState, event: KeyEvent) -> None:
    version = KeyVersion(SIGNER, 1, state, NOW, NOW)
    if (state, event) in FLOW:
        assert version.after(event, NOW).state is FLOW[state, event]
    else:
        with pytest.raises(KeysRefused, match=f"es256/1 is {state.value}"):
            version.after(event, NOW)


@pytest.mark.parametrize("ref", ROTATING, ids=lambda ref: ref.name)
def test_every_rotating_key_gets_a_second_version(
    own: SoftwareKeys, admin: KeyAdmin, ref: KeyRef
) -> None:
    first = plain_keys(own)[ref]
    made = admin.rotate("li", ref)
    assert (made.number, made.state) == (2, KeyState.ACTIVE)
    own.look()
    assert own.active_version(ref) == 2
    assert plain_keys(own)[ref] != first
    states = {one.number: one.state for one in admin.contents().of(ref)}
    assert states == {1: KeyState.VERIFYING, 2: KeyState.ACTIVE}


@pytest.mark.parametrize("purpose", NOT_ROTATED)
def test_a_key_whose_values_are_looked_up_has_one_version(admin: KeyAdmin, purpose: str) -> None:
    ref = next(ref for ref in KeyRef if ref.purpose == purpose)
    for act in (admin.rotate, admin.announce):
        with pytest.raises(KeysRefused, match=NOT_ROTATED[purpose][:20]):
            act("li", ref)
    assert len(admin.contents().of(ref)) == 1


def test_what_the_old_version_made_is_still_good(own: SoftwareKeys, admin: KeyAdmin) -> None:
    context = b"luk|621000|1"
    sealed = own.encrypt(KeyRef.PII_CIPHER, b"name", b"row")
    signature, mac = own.sign(SIGNER, b"token"), own.mac(KeyRef.MERCHANT_CODES, b"code")
    derived = own.derive(KeyRef.TOKEN_MASTER, context, 16)
    for ref in (KeyRef.PII_CIPHER, SIGNER, KeyRef.MERCHANT_CODES, KeyRef.TOKEN_MASTER):
        admin.rotate("li", ref)
    own.look()
    assert own.decrypt(KeyRef.PII_CIPHER, sealed, b"row") == b"name"
    assert own.verify(SIGNER, b"token", signature)
    assert own.verify(SIGNER, b"token", signature, version=1)
    assert not own.verify(SIGNER, b"token", signature, version=2)
    assert own.verify_mac(KeyRef.MERCHANT_CODES, b"code", mac)
    assert own.mac(KeyRef.MERCHANT_CODES, b"code") != mac
    assert own.derive(KeyRef.TOKEN_MASTER, context, 16, version=1) == derived
    assert own.derive(KeyRef.TOKEN_MASTER, context, 16) != derived
    assert own.encrypt(KeyRef.PII_CIPHER, b"x", b"row")[1] == 2


def test_old_personal_data_opens_whatever_its_first_byte(files: Files, admin: KeyAdmin) -> None:
    """Bytes sealed before versions began with a nonce, by chance also with the new form's mark."""
    keys = SoftwareKeys.open(*files)
    handle = software_handle("aes256gcm", plain_keys(keys)[KeyRef.PII_CIPHER])
    admin.rotate("li", KeyRef.PII_CIPHER)
    keys.look()
    marked = 0
    for _ in range(2000):
        sealed = handle.seal(b"name", b"row")  # type: ignore[union-attr]
        marked += sealed[0] == 0xC2
        assert keys.decrypt(KeyRef.PII_CIPHER, sealed, b"row") == b"name"
    assert marked


def test_another_process_finds_out_within_a_second(files: Files, admin: KeyAdmin) -> None:
    now = [100.0]
    other = NamedKeys(SoftwareKeys.open(*files).vault, tick=lambda: now[0])
    admin.rotate("li", SIGNER)
    now[0] += LOOK_SECONDS * 0.9
    assert other.active_version(SIGNER) == 1
    now[0] += LOOK_SECONDS * 0.2
    assert other.active_version(SIGNER) == 2


def test_a_version_made_a_moment_ago_is_found_when_it_is_met(
    files: Files, own: SoftwareKeys, admin: KeyAdmin
) -> None:
    """Time stands still: only what comes in tells that there is something new."""

    def late() -> NamedKeys:
        return NamedKeys(SoftwareKeys.open(*files).vault, tick=lambda: 0.0)

    readers = [late() for _ in range(5)]
    for ref in (SIGNER, KeyRef.MERCHANT_CODES, KeyRef.PII_CIPHER, KeyRef.TOKEN_MASTER):
        admin.rotate("li", ref)
    own.look()
    assert readers[0].verify(SIGNER, b"x", own.sign(SIGNER, b"x"))
    mac = own.mac(KeyRef.MERCHANT_CODES, b"x")
    assert readers[1].verify_mac(KeyRef.MERCHANT_CODES, b"x", mac)
    sealed = own.encrypt(KeyRef.PII_CIPHER, b"x", b"row")
    assert readers[2].decrypt(KeyRef.PII_CIPHER, sealed, b"row") == b"x"
    derived = own.derive(KeyRef.TOKEN_MASTER, b"c", 16)
    assert readers[3].derive(KeyRef.TOKEN_MASTER, b"c", 16, version=2) == derived
    assert readers[4].public_key(SIGNER, 2) == own.public_key(SIGNER)


def test_a_store_damaged_while_it_is_open_stops_nobody(files: Files) -> None:
    keys = SoftwareKeys.open(*files)
    before = keys.mac(KeyRef.SECRETS, b"x")
    files[0].write_bytes(b"garbage")
    assert not keys.look()
    assert keys.mac(KeyRef.SECRETS, b"x") == before
    files[0].unlink()
    assert not keys.look()
    assert keys.mac(KeyRef.SECRETS, b"x") == before


def test_guesses_do_not_make_us_read_a_damaged_store_again_and_again(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, reads = [100.0], []
    vault = SoftwareKeys.open(*files).vault
    keys = NamedKeys(vault, tick=lambda: now[0])
    load = Store._load

    def count(store: Store) -> dict[str, Any]:
        reads.append(store)
        return load(store)

    monkeypatch.setattr(Store, "_load", count)
    whole = files[0].read_bytes()
    files[0].write_bytes(b"garbage")
    for _ in range(50):
        assert not keys.verify_mac(KeyRef.MERCHANT_CODES, b"x", bytes(32))
    assert len(reads) == 1
    for _ in range(10):  # guessing all the while does not put off the next look
        now[0] += LOOK_SECONDS / 4
        assert not keys.verify_mac(KeyRef.MERCHANT_CODES, b"x", bytes(32))
    assert len(reads) == 3
    files[0].write_bytes(whole)  # mended: another stamp
    KeyAdmin(vault, ManualClock(NOW)).rotate("li", KeyRef.MERCHANT_CODES)
    mac = SoftwareKeys.open(*files).mac(KeyRef.MERCHANT_CODES, b"x")
    assert keys.verify_mac(KeyRef.MERCHANT_CODES, b"x", mac)


def test_an_announced_version_is_told_before_it_is_used(own: SoftwareKeys, admin: KeyAdmin) -> None:
    announced = admin.announce("li", KeyRef.ISSUER_SIGNING)
    own.look()
    assert announced.state is KeyState.ANNOUNCED
    assert set(own.public_keys(KeyRef.ISSUER_SIGNING)) == {1, 2}
    assert own.active_version(KeyRef.ISSUER_SIGNING) == 1
    with pytest.raises(KeysRefused, match="es256/2 is announced already"):
        admin.announce("li", KeyRef.ISSUER_SIGNING)
    promised = own.public_key(KeyRef.ISSUER_SIGNING, 2)
    assert admin.rotate("li", KeyRef.ISSUER_SIGNING).number == 2
    own.look()
    assert own.public_key(KeyRef.ISSUER_SIGNING) == promised


@pytest.mark.parametrize("ref", [KeyRef.ISSUER_SIGNING, KeyRef.ISSUER_SIGNING_SM2])
def test_the_points_told_are_those_that_may_have_signed(
    own: SoftwareKeys, admin: KeyAdmin, ref: KeyRef
) -> None:
    signed = own.sign(ref, b"x", 1)
    admin.rotate("li", ref)
    own.look()
    points = own.public_points(ref)
    assert points == {one: own.public_point(ref, one) for one in (1, 2)}
    suite = Suite.SM4_SM2 if ref.algorithm == "sm2" else Suite.AES_ES256
    assert [verify_signature(points[one], b"x", signed, suite) for one in (1, 2)] == [True, False]
    admin.retire("li", ref, 1, understood=True)
    own.look()
    assert set(own.public_points(ref)) == {2}


def test_retiring_destroys(own: SoftwareKeys, files: Files, admin: KeyAdmin) -> None:
    signature, secret = own.sign(SIGNER, b"x"), plain_keys(own)[SIGNER]
    admin.rotate("li", SIGNER)
    assert admin.retire("li", SIGNER, 1, understood=True).state is KeyState.RETIRED
    for keys in (own, SoftwareKeys.open(*files)):
        keys.look()
        assert not keys.verify(SIGNER, b"x", signature)
        with pytest.raises(KeyUnknown, match="access-tokens/es256/1 is not there, or was retired"):
            keys.sign(SIGNER, b"x", version=1)
    entry = json.loads(files[0].read_text())["versions"][SIGNER.named(1)]
    assert entry["sealed"] is None
    assert secret not in plain_keys(own).values()
    with pytest.raises(KeysRefused, match="is retired: no retire"):
        admin.retire("li", SIGNER, 1, understood=True)


def test_retiring_says_what_it_means(admin: KeyAdmin, clock: ManualClock) -> None:
    def retire(ref: KeyRef, number: int = 1, *, understood: bool = False) -> KeyVersion:
        return admin.retire("li", ref, number, understood=understood)

    with pytest.raises(KeysRefused, match="es256/1 is active: rotate"):
        retire(SIGNER, understood=True)
    with pytest.raises(KeysRefused, match="has no version 7"):
        retire(SIGNER, 7)
    for ref in (SIGNER, KeyRef.PII_CIPHER, KeyRef.LEDGER_SEAL, KeyRef.PURCHASE_3DES):
        admin.rotate("li", ref)
    with pytest.raises(KeysRefused, match="needed until 2026-11-23 03:00 UTC by access tokens"):
        retire(SIGNER)
    clock.advance(timedelta(hours=1))
    assert retire(SIGNER).state is KeyState.RETIRED
    clock.advance(timedelta(days=10_000))
    with pytest.raises(KeysRefused, match="still needed by every row sealed under it"):
        retire(KeyRef.PII_CIPHER)
    with pytest.raises(KeysRefused, match="still needed by cards personalised under it"):
        retire(KeyRef.PURCHASE_3DES)
    for understood in (False, True):
        with pytest.raises(KeysRefused, match=NOT_RETIRED["ledger-seal"]):
            retire(KeyRef.LEDGER_SEAL, understood=understood)


def test_versions_fit_one_byte(admin: KeyAdmin) -> None:
    contents = admin.contents()
    last = KeyVersion(SIGNER, VERSION_MAX, KeyState.RETIRED, NOW, NOW)
    with pytest.raises(KeysRefused, match="has had 255 versions"):
        contents.with_version(last).next_number(SIGNER)


def test_a_key_comes_in_wrapped_under_the_transport_key(own: SoftwareKeys, admin: KeyAdmin) -> None:
    key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    wrapped = SoftwareWrap(plain_keys(own)[KeyRef.TRANSPORT]).wrap(key)
    check_value = bytes.fromhex("08D7B4")
    with pytest.raises(KeysRefused, match="another key check value than 08D7B5"):
        admin.take_wrapped("li", KeyRef.PURCHASE_3DES, wrapped, bytes.fromhex("08D7B5"))
    with pytest.raises(KeysRefused, match="not wrapped under any transport key"):
        admin.take_wrapped("li", KeyRef.PURCHASE_3DES, bytes(24), check_value)
    with pytest.raises(KeysRefused, match="is a key pair"):
        admin.take_wrapped("li", SIGNER, wrapped, check_value)
    with pytest.raises(KeysRefused, match="has 16 bytes, transport/aes256kw takes 32"):
        admin.take_wrapped("li", KeyRef.TRANSPORT, wrapped, check_value)
    admin.rotate("li", KeyRef.TRANSPORT)  # what was wrapped before it comes in still
    made = admin.take_wrapped("li", KeyRef.PURCHASE_3DES, wrapped, check_value)
    assert made.state is KeyState.ANNOUNCED
    assert admin.rotate("li", KeyRef.PURCHASE_3DES).number == made.number
    assert plain_keys(own)[KeyRef.PURCHASE_3DES] == key


Work = Callable[[NamedKeys, NamedKeys], None]


def _signed(one: NamedKeys, other: NamedKeys) -> None:
    assert other.verify(SIGNER, b"token", one.sign(SIGNER, b"token"))


def _sealed(one: NamedKeys, other: NamedKeys) -> None:
    sealed = one.encrypt(KeyRef.PII_CIPHER, b"name", b"row")
    assert other.decrypt(KeyRef.PII_CIPHER, sealed, b"row") == b"name"


def _coded(one: NamedKeys, other: NamedKeys) -> None:
    mac = one.mac(KeyRef.MERCHANT_CODES, b"code")
    assert other.verify_mac(KeyRef.MERCHANT_CODES, b"code", mac)


def _tapped(one: NamedKeys, other: NamedKeys) -> None:
    """A phone's key from one process, its cryptogram checked by another."""
    version = one.active_version(KeyRef.TOKEN_MASTER)
    how = TokenMac(b"luk|621000|1")
    asked = [
        keys.derive_and_mac(KeyRef.TOKEN_MASTER, how, b"tap", version) for keys in (one, other)
    ]
    assert asked[0] == asked[1]


def _purchased(one: NamedKeys, other: NamedKeys) -> None:
    version = one.active_version(KeyRef.PURCHASE_SM4)
    how = SessionMac((b"serial 1",), b"rand 123")
    asked = [
        keys.derive_and_mac(KeyRef.PURCHASE_SM4, how, b"debit", version) for keys in (one, other)
    ]
    assert asked[0] == asked[1]


UNDER_LOAD: dict[KeyRef, Work] = {
    SIGNER: _signed,
    KeyRef.PII_CIPHER: _sealed,
    KeyRef.MERCHANT_CODES: _coded,
    KeyRef.TOKEN_MASTER: _tapped,
    KeyRef.PURCHASE_SM4: _purchased,
}
ROTATIONS = 3


def test_rotation_under_load_fails_nothing(files: Files, admin: KeyAdmin) -> None:
    """Two processes' keys, each checking the other's work, while a third rotates all the time."""
    first, second = SoftwareKeys.open(*files), SoftwareKeys.open(*files)
    done = threading.Event()
    rounds = {ref: 0 for ref in UNDER_LOAD}

    def ask(ref: KeyRef) -> int:
        count = 0
        while not done.is_set():
            UNDER_LOAD[ref](first, second)
            UNDER_LOAD[ref](second, first)
            count += 1
        return count

    with ThreadPoolExecutor(len(UNDER_LOAD)) as pool:
        asking = {ref: pool.submit(ask, ref) for ref in UNDER_LOAD}
        try:
            for turn, ref in product(range(ROTATIONS), UNDER_LOAD):
                (second if turn % 2 else first).look()  # one process knows before the other
                admin.rotate("li", ref)
        finally:
            done.set()
        rounds = {ref: one.result(timeout=60) for ref, one in asking.items()}
    assert all(count > ROTATIONS for count in rounds.values()), rounds
    first.look()
    assert {first.active_version(ref) for ref in UNDER_LOAD} == {ROTATIONS + 1}
