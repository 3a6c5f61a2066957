"""Cryptogram, signatures, certificate, sealed keys: published vectors where there are any."""

from __future__ import annotations

import dataclasses

import protocol_examples as examples
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from card_protocol import key_batch
from card_protocol.certificate import BODY_CONTEXT, CERTIFICATE_BYTES_MAX
from card_protocol.errors import MalformedBytes
from card_protocol.key_batch import KeyBatch, open_sealed, seal, seal_info
from card_protocol.mobile_card import (
    AIP,
    PDOL,
    PDOL_DATA_BYTES,
    Certificate,
    IssuerApplicationData,
    Suite,
    compute_cryptogram,
    cryptogram_input,
    sign,
    signature_from_der,
    signature_input,
    verify_certificate,
    verify_cryptogram,
    verify_signature,
)
from card_protocol.signatures import load_public_key

PDOL_DATA = examples.TRANSACTION.encode()
IAD = examples.IAD.encode()
BATCH = KeyBatch(examples.LIMITED_USE_KEY, examples.PAY_CODE_KEY)
GROUP_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.mark.parametrize(
    ("message", "mac"),
    [  # NIST SP 800-38B, appendix D.1 (AES-128), examples 1 to 4
        ("", "BB1D6929E9593728"),
        ("6BC1BEE22E409F96E93D7E117393172A", "070A16B46B4D4144"),
        (
            "6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E5130C81C46A35CE411",
            "DFA66747DE9AE630",
        ),
        (
            "6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E51"
            "30C81C46A35CE411E5FBC1191A0A52EFF69F2445DF4F9B17AD2B417BE66C3710",
            "51F0BEBF7E3B9D92",
        ),
    ],
)
def test_cryptogram_is_cmac_cut_to_eight_bytes(message, mac):
    key = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C")
    got = compute_cryptogram(Suite.AES_ES256, key, bytes.fromhex(message))
    assert got == bytes.fromhex(mac)


@pytest.mark.parametrize(
    ("message", "mac"),
    [  # `openssl mac -cipher SM4-CBC … CMAC` of OpenSSL 3.0 under the same key
        ("", "399A9C930964A3D4"),
        ("6BC1BEE22E409F96E93D7E117393172A", "4E4C2A4417E567FE"),
    ],
)
def test_the_sm_suites_cryptogram_is_cmac_with_sm4(message, mac):
    key = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C")
    data = bytes.fromhex(message)
    assert compute_cryptogram(Suite.SM4_SM2, key, data) == bytes.fromhex(mac)
    assert verify_cryptogram(Suite.SM4_SM2, key, data, bytes.fromhex(mac))
    assert not verify_cryptogram(Suite.AES_ES256, key, data, bytes.fromhex(mac))
    assert not verify_cryptogram(Suite.SM4_SM2, key, data, bytes.fromhex(mac)[:-1])


def test_the_pdol_asks_for_the_forty_two_bytes_of_transaction_data():
    assert bytes.fromhex("9F0206 5F2A02 9A03 9F2103 9C01 9F3704 9F1C08 9F160F") == PDOL
    assert PDOL_DATA_BYTES == len(PDOL_DATA) == 42


def test_cryptogram_input_is_pdol_data_aip_atc_iad():
    data = cryptogram_input(PDOL_DATA, AIP, 258, IAD)
    assert data == PDOL_DATA + AIP + b"\x01\x02" + IAD
    assert signature_input(PDOL_DATA, AIP, 258, IAD, b"12345678") == data + b"12345678"


@pytest.mark.parametrize(
    "arguments",
    [
        (PDOL_DATA[:-1], AIP, 1, IAD),
        (PDOL_DATA, b"\x00", 1, IAD),
        (PDOL_DATA, AIP, 65_536, IAD),
        (PDOL_DATA, AIP, 1, IAD + b"\x00"),
    ],
)
def test_cryptogram_input_refuses_parts_of_wrong_size(arguments):
    with pytest.raises(MalformedBytes):
        cryptogram_input(*arguments)


def test_a_key_of_wrong_size_is_refused():
    with pytest.raises(MalformedBytes):
        compute_cryptogram(Suite.AES_ES256, bytes(32), b"")


def test_the_suite_of_an_answer_is_one_of_two():
    known = IssuerApplicationData.decode(b"\x02" + IAD[1:])
    assert known.suite is Suite.SM4_SM2
    assert known.encode() == b"\x02" + IAD[1:]
    for wrong in (b"\x00" + IAD[1:], b"\x03" + IAD[1:], IAD[:-1] + b"\x04"):
        with pytest.raises(MalformedBytes):
            IssuerApplicationData.decode(wrong)


def test_published_es256_signature_verifies():
    """RFC 6979, A.2.5: P-256, SHA-256, message "sample"; compressed point (Uy is odd: 03)."""
    x = "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
    y = "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"
    signature = bytes.fromhex(
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
        "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
    )
    assert verify_signature(bytes.fromhex("03" + x), b"sample", signature)
    assert verify_signature(bytes.fromhex("04" + x + y), b"sample", signature)
    assert not verify_signature(bytes.fromhex("03" + x), b"samplf", signature)
    assert not verify_signature(bytes.fromhex("02" + x), b"sample", signature)


def test_a_signature_is_raw_and_comes_from_der():
    der = examples.DEVICE_KEY.sign(b"data", ec.ECDSA(hashes.SHA256()))
    raw = signature_from_der(der)
    r, s = decode_dss_signature(der)
    assert (int.from_bytes(raw[:32]), int.from_bytes(raw[32:])) == (r, s)
    assert verify_signature(examples.DEVICE_POINT, b"data", raw)
    with pytest.raises(MalformedBytes):
        signature_from_der(der[:-1])


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        bytes(63),
        bytes(64),
        bytes(65),
        b"\xff" * 64,
        GROUP_ORDER.to_bytes(32) + bytes(31) + b"\x01",
    ],
)
def test_an_impossible_signature_is_untrue(signature):
    assert verify_signature(examples.DEVICE_POINT, b"data", signature) is False


@pytest.mark.parametrize(
    "point",
    [
        b"",
        b"\x00",
        bytes(33),
        b"\x02" + b"\xff" * 32,
        b"\x04" + bytes(64),
        examples.DEVICE_POINT[:-1],
    ],
)
def test_no_point_verifies_nothing_and_loads_as_malformed(point):
    signature = sign(examples.DEVICE_KEY, b"data")
    assert verify_signature(point, b"data", signature) is False
    with pytest.raises(MalformedBytes) as refusal:
        load_public_key(point)
    assert refusal.value.code == "public_key_malformed"


def test_keys_of_another_curve_are_refused():
    other = ec.derive_private_key(7, ec.SECP384R1())
    with pytest.raises(MalformedBytes):
        sign(other, b"data")
    with pytest.raises(MalformedBytes):
        seal(BATCH, other.public_key(), examples.TOKEN_NUMBER, 1)


def signed_certificate() -> Certificate:
    fields = dataclasses.replace(
        examples.CERTIFICATE, device_public_key=examples.DEVICE_POINT, signature=bytes(64)
    )
    return fields.signed_by(lambda body: sign(examples.ISSUER_KEY, body))


def test_a_certificate_holds_for_its_issuer_only():
    certificate = signed_certificate()
    assert verify_certificate(certificate, examples.ISSUER_POINT)
    assert not verify_certificate(certificate, examples.DEVICE_POINT)
    assert verify_certificate(Certificate.decode(certificate.encode()), examples.ISSUER_POINT)


@pytest.mark.parametrize(
    "change",
    [
        {"token_number": "0000000000000000000"},
        {"device_public_key": examples.ISSUER_POINT},
        {"product": "phone_cart"},
        {"concession_group": 4},
        {"not_before": 1_700_000_001},
        {"not_after": 1_800_000_001},
        {"offline_sale_max_fen": 5_001},
        {"offline_sum_max_fen": 20_001},
        {"status_index": 65_538},
        {"issuer_key_index": 2},
        {"signature": bytes(64)},
        {"suite": Suite.SM4_SM2},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_field_of_a_certificate_is_signed(change):
    altered = dataclasses.replace(signed_certificate(), **change)
    assert not verify_certificate(altered, examples.ISSUER_POINT)


def test_every_field_of_a_certificate_was_altered():
    names = {field.name for field in dataclasses.fields(Certificate)}
    marks = test_each_field_of_a_certificate_is_signed.pytestmark
    assert {next(iter(change)) for change in marks[0].args[1]} == names


def test_the_largest_certificate_fits_one_record():
    largest = dataclasses.replace(
        examples.CERTIFICATE,
        product="p" * 16,
        concession_group=255,
        not_after=2**32 - 1,
        offline_sale_max_fen=2**32 - 1,
        offline_sum_max_fen=2**32 - 1,
        status_index=2**32 - 1,
        issuer_key_index=255,
    )
    assert len(largest.encode()) == 184
    assert len(dataclasses.replace(largest, suite=Suite.SM4_SM2).encode()) == 188
    assert len(largest.encode()) <= CERTIFICATE_BYTES_MAX
    assert largest.body().startswith(BODY_CONTEXT)


def test_validity_includes_both_ends():
    certificate = examples.CERTIFICATE
    moments = (1_699_999_999, 1_700_000_000, 1_800_000_000, 1_800_000_001)
    assert [certificate.is_valid_at(moment) for moment in moments] == [False, True, True, False]


def test_a_batch_opens_for_its_device_token_and_index_only():
    sealed = seal(BATCH, examples.SEALING_KEY.public_key(), examples.TOKEN_NUMBER, 7)
    assert len(sealed) == key_batch.SEALED_BYTES == 130
    assert open_sealed(sealed, examples.SEALING_KEY, examples.TOKEN_NUMBER, 7) == BATCH
    wrong = (
        (sealed, examples.DEVICE_KEY, examples.TOKEN_NUMBER, 7),
        (sealed, examples.SEALING_KEY, "0" * 19, 7),
        (sealed, examples.SEALING_KEY, examples.TOKEN_NUMBER, 8),
        (sealed[:-1], examples.SEALING_KEY, examples.TOKEN_NUMBER, 7),
        (b"\x04" + bytes(129), examples.SEALING_KEY, examples.TOKEN_NUMBER, 7),
    )
    for arguments in wrong:
        with pytest.raises(MalformedBytes) as refusal:
            open_sealed(*arguments)
        assert refusal.value.code == "key_batch_unopened"


def test_every_byte_of_a_sealed_batch_matters():
    sealed = seal(BATCH, examples.SEALING_KEY.public_key(), examples.TOKEN_NUMBER, 7)
    for at in range(len(sealed)):
        altered = sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1 :]
        with pytest.raises(MalformedBytes):
            open_sealed(altered, examples.SEALING_KEY, examples.TOKEN_NUMBER, 7)


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    mac = HMAC(key, hashes.SHA256())
    mac.update(data)
    return mac.finalize()


def labeled_extract(suite: bytes, salt: bytes, label: bytes, secret: bytes) -> bytes:
    return hmac_sha256(salt or bytes(32), b"HPKE-v1" + suite + label + secret)


def labeled_expand(suite: bytes, secret: bytes, label: bytes, info: bytes, length: int) -> bytes:
    full_info = length.to_bytes(2) + b"HPKE-v1" + suite + label + info
    return HKDFExpand(hashes.SHA256(), length, full_info).derive(secret)


def test_the_sealing_is_rfc_9180_with_the_named_suite():
    """Opened step by step by the text of RFC 9180, 4.1 and 5.1: what other phones' code will do."""
    sealed = seal(BATCH, examples.SEALING_KEY.public_key(), examples.TOKEN_NUMBER, 7)
    enc, ciphertext = sealed[:65], sealed[65:]
    info = seal_info(examples.TOKEN_NUMBER, 7)
    kem = b"KEM" + (0x0010).to_bytes(2)
    suite = b"HPKE" + bytes.fromhex("001000010001")
    dh = examples.SEALING_KEY.exchange(ec.ECDH(), load_public_key(enc))
    numbers = examples.SEALING_KEY.public_key().public_numbers()
    own_point = b"\x04" + numbers.x.to_bytes(32) + numbers.y.to_bytes(32)
    shared = labeled_expand(
        kem, labeled_extract(kem, b"", b"eae_prk", dh), b"shared_secret", enc + own_point, 32
    )
    context = (
        b"\x00"
        + labeled_extract(suite, b"", b"psk_id_hash", b"")
        + labeled_extract(suite, b"", b"info_hash", info)
    )
    secret = labeled_extract(suite, shared, b"secret", b"")
    key = labeled_expand(suite, secret, b"key", context, 16)
    nonce = labeled_expand(suite, secret, b"base_nonce", context, 12)
    assert KeyBatch.decode(AESGCM(key).decrypt(nonce, ciphertext, b"")) == BATCH


def test_seal_info_tells_token_and_index_apart():
    info = seal_info(examples.TOKEN_NUMBER, 7)
    assert (
        info == b"CITY CARD key batch 1\x00" + examples.TOKEN_NUMBER.encode() + bytes(3) + b"\x07"
    )
    with pytest.raises(MalformedBytes):
        seal_info(examples.TOKEN_NUMBER, -1)
    with pytest.raises(MalformedBytes):
        seal_info("1" * 19, 1)


def test_a_batch_of_another_version_is_refused_and_none_is_printed():
    with pytest.raises(MalformedBytes):
        KeyBatch.decode(b"\x02" + BATCH.encode()[1:])
    assert repr(BATCH) == str(BATCH) == "KeyBatch(<secret>)"
    assert KeyBatch(examples.LIMITED_USE_KEY, bytes(32)) != BATCH
    assert BATCH != b""
    assert len({BATCH, KeyBatch.decode(BATCH.encode())}) == 1
