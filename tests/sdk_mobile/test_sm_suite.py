"""A phone with a card of the SM suite, and the phone's counter when the power fails."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from card_protocol import key_batch, sm2
from card_protocol.mobile_card import (
    Certificate,
    HolderCheck,
    Suite,
    cryptogram_input,
    is_signed_by_device,
    verify_certificate,
    verify_cryptogram,
)
from card_protocol.signatures import (
    PublicKey,
    load_public_key,
    private_key_to_der,
    verify_signature,
)
from card_protocol.token_number import luhn_check_digit
from hce.transports.loopback import Loopback
from sdk_mobile import FileStorage, MemoryStorage, NotReady, SoftwareDeviceKeys, StorageDamaged
from sdk_mobile.cards import CardBox
from sdk_mobile.clock import SkewedClock
from sdk_mobile.keys import SM2_SIGNING, jwk
from sdk_mobile.models import PhoneCard, SealedKeys
from sdk_mobile.phone_card import PhoneCardStore, make_card
from sdk_mobile.shapes import from_b64u
from sdk_mobile.state import StateDocument
from sdk_mobile.storage import Storage
from tests.hce.power import boot, every_cut
from tests.sdk_mobile.test_taps import PDOL_DATA, READ, send, tap

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NUMBER = "96000000000000000" + "1"
TOKEN_NUMBER = NUMBER + luhn_check_digit(NUMBER)
ISSUER = sm2.PrivateKey.generate()
BATCH = key_batch.KeyBatch(bytes(range(16)), bytes(32))
SUITES = pytest.mark.parametrize("suite", list(Suite), ids=lambda suite: suite.name)


def clock() -> SkewedClock:
    return SkewedClock(NOW.timestamp, 0.0)


def provisioned(storage: Storage, *, suite: int = Suite.SM4_SM2) -> SoftwareDeviceKeys:
    """A phone that holds an SM card, and keys said to be of `suite`."""
    keys = SoftwareDeviceKeys(storage)
    moment = int(NOW.timestamp())
    certificate = Certificate(
        token_number=TOKEN_NUMBER,
        device_public_key=sm2.compressed(keys.signing_public_key(Suite.SM4_SM2)),
        product="phone_card",
        concession_group=0,
        not_before=moment,
        not_after=moment + 86_400,
        offline_sale_max_fen=5_000,
        offline_sum_max_fen=20_000,
        status_index=1,
        issuer_key_index=1,
        suite=Suite.SM4_SM2,
    ).signed_by(ISSUER.sign)
    card = PhoneCard(
        token_id="tok_1",
        token_number=TOKEN_NUMBER,
        short_number="00000001",
        state="active",
        product="phone_card",
        label="CITY CARD",
        certificate=certificate.encode(),
        wallet_id="wal_1",
        device_id="dev_1",
    )
    point = load_public_key(keys.sealing_public_key())
    sealed = SealedKeys(
        key_index=1,
        key_version=1,
        suite=suite,
        sealed=key_batch.seal(BATCH, point, TOKEN_NUMBER, 1),
        uses_max=20,
        not_before=NOW,
        not_after=NOW + timedelta(hours=120),
    )
    CardBox(storage, keys, clock()).put_keys(card, sealed)
    StateDocument(storage).change(lambda state: replace(state, card=card))
    return keys


def inserted(storage: Storage, keys: SoftwareDeviceKeys) -> Loopback:
    store = PhoneCardStore(storage, CardBox(storage, keys, clock()), "tok_1")
    reader = Loopback(make_card(store, keys, clock(), lambda: HolderCheck.BIOMETRIC))
    reader.insert()
    return reader


def test_an_sm_card_on_a_phone_is_what_terminal_and_issuer_check() -> None:
    storage = MemoryStorage()
    reader = inserted(storage, provisioned(storage))
    proof = tap(reader)
    certificate = Certificate.decode(send(reader, READ).data)
    assert verify_certificate(certificate, ISSUER.public_key)
    assert (proof.iad.suite, proof.atc) == (Suite.SM4_SM2, 1)
    assert is_signed_by_device(certificate, PDOL_DATA, proof)
    data = cryptogram_input(PDOL_DATA, proof.aip, proof.atc, proof.iad.encode())
    assert verify_cryptogram(Suite.SM4_SM2, BATCH.limited_use_key, data, proof.cryptogram)
    assert tap(reader).atc == 2


def test_keys_delivered_for_another_suite_than_the_cards_make_no_cryptogram() -> None:
    storage = MemoryStorage()
    keys = provisioned(storage, suite=Suite.AES_ES256)
    with pytest.raises(StorageDamaged, match="another suite"):
        inserted(storage, keys)


class OldKeystore(SoftwareDeviceKeys):
    """A phone whose keystore knows P-256 only."""

    suites = frozenset({Suite.AES_ES256})


def test_a_phone_that_cannot_sign_for_its_card_says_so_before_any_tap() -> None:
    storage = MemoryStorage()
    provisioned(storage)
    with pytest.raises(NotReady) as refusal:
        inserted(storage, OldKeystore(storage))
    assert refusal.value.code == "suite_not_supported"


@SUITES
def test_the_signing_key_of_each_suite_stays_the_same_and_is_its_own(suite: Suite) -> None:
    storage = MemoryStorage()
    keys, again = SoftwareDeviceKeys(storage), SoftwareDeviceKeys(storage)
    point = keys.signing_public_key(suite)
    assert (len(point), point[0]) == (65, 4)
    assert again.signing_public_key(suite) == point
    assert verify_signature(point, b"data", again.sign(b"data", suite), suite)
    other = next(one for one in Suite if one is not suite)
    assert not verify_signature(point, b"data", again.sign(b"data", other), other)
    assert "<secret>" in repr(keys)


@SUITES
def test_a_signing_key_as_jwk_names_its_curve(suite: Suite) -> None:
    keys = SoftwareDeviceKeys(MemoryStorage())
    written = jwk(keys.signing_public_key(suite), suite)
    assert written["crv"] == {Suite.AES_ES256: "P-256", Suite.SM4_SM2: "SM2"}[suite]
    x, y = from_b64u(written["x"]), from_b64u(written["y"])
    public = PublicKey(suite, bytes((2 | y[-1] & 1,)) + x)
    assert public.verify(b"data", keys.sign(b"data", suite))


def test_a_document_with_a_key_of_another_suite_is_damaged() -> None:
    storage = MemoryStorage()
    other = private_key_to_der(ec.generate_private_key(ec.SECP256R1()))
    for body in (other, other[:-1], b"", private_key_to_der(ISSUER)[:-1] + b"\0"):
        storage.write(SM2_SIGNING, body)
        with pytest.raises(StorageDamaged, match=SM2_SIGNING):
            SoftwareDeviceKeys(storage).sign(b"data", Suite.SM4_SM2)


def test_a_tap_of_the_phone_cut_at_any_byte_counts_or_does_not_and_never_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: once a tap was answered its counter lasts, whatever the power cut takes along."""
    folder, elsewhere = tmp_path / "phone", tmp_path / "after"
    storage = FileStorage(folder)
    keys = provisioned(storage)
    reader = inserted(storage, keys)
    assert [tap(reader).atc for _ in range(3)] == [1, 2, 3]
    FileStorage(elsewhere).close()
    cuts = list(every_cut(folder, lambda: tap(inserted(storage, keys))))
    storage.close()
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # for speed, now that the cuts are made
    atcs = {}
    for disk in set().union(*cuts):
        boot(elsewhere, disk)
        after = FileStorage(elsewhere)
        atcs[disk] = CardBox(after, keys, clock()).counter("tok_1").atc
        assert tap(inserted(after, SoftwareDeviceKeys(after))).atc == atcs[disk] + 1
        after.close()
    assert set(atcs.values()) == {3, 4}
    assert {atcs[disk] for disk in cuts[-1]} == {4}
    assert {atcs[disk] for disk in cuts[0]} == {3}
