"""SM2 with SM3 by the published example, by OpenSSL's keys and signatures, and at every edge."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import protocol_examples as examples
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from card_protocol import sm2
from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import (
    AIP,
    Certificate,
    GpoResponse,
    Suite,
    is_signed_by_device,
    sign,
    signature_input,
    verify_certificate,
)
from card_protocol.signatures import (
    PublicKey,
    generate_private_key,
    private_key_from_der,
    private_key_to_der,
    public_point,
    suite_of,
    verify_signature,
)

VECTORS = json.loads((Path(__file__).parent / "vectors/sm_algorithms.json").read_text("utf-8"))
KEY = examples.SM_DEVICE_KEY
# `openssl ecparam -name SM2 -genkey | openssl pkcs8 -topk8 -nocrypt` and `openssl dgst -sm3 -sign`
# with the default user id, OpenSSL 3.0.
OPENSSL_DER = bytes.fromhex(
    "308187020100301306072A8648CE3D020106082A811CCF5501822D046D306B0201010420567E5040A81EF81922CB48"
    "C556F0DA4E42AD8FC435E02C1DC8668D72244009C1A14403420004B10DE72190EE07E859F4A1B0DE8C1AA537750D48"
    "7966095AB4B6FFB5CC493865A6FE896895FCB9CC4DA0155A8830BA349B3DE9B9194DEB50B5F2D25EA5E44DC4"
)
OPENSSL_SIGNATURE = bytes.fromhex(
    "CDCA8EF289F3F0BE41643591D3BB1D8285704F7D25828FBE0B93011AC543AA8F"
    "9D0A68D39980A3B5189EEE4D0A48586186316F6D41C4117BA01B525D579CD775"
)


def number(value: int) -> bytes:
    return value.to_bytes(32)


def test_the_published_signature_verifies():
    """GM/T 0003.5, A.2: the digest of the message under the key and its user id, and r ‖ s."""
    given = VECTORS["sm2_sign"]
    message, user_id = given["message_ascii"].encode(), given["id_ascii"].encode()
    key = sm2.PrivateKey.from_scalar(bytes.fromhex(given["d"]))
    assert user_id == sm2.USER_ID
    assert sm2.uncompressed(key.public_key) == bytes.fromhex("04" + given["pub_xy"])
    assert sm2.digest(key.public_key, message) == bytes.fromhex(given["e"])
    assert sm2.verify(key.public_key, message, bytes.fromhex(given["r"] + given["s"]))
    point = bytes.fromhex("04" + given["pub_xy"])
    assert sm2.verify(point, message, bytes.fromhex(given["r"] + given["s"]))
    assert not sm2.verify(point, message + b".", bytes.fromhex(given["r"] + given["s"]))
    assert not sm2.verify(point, message, bytes.fromhex(given["s"] + given["r"]))


def test_the_published_hash():
    given = VECTORS["sm3"]
    assert sm2.sm3(given["message_ascii"].encode()) == bytes.fromhex(given["digest"])


def test_keys_and_signatures_of_openssl_are_ours():
    key = sm2.PrivateKey.from_der(OPENSSL_DER)
    assert key.to_der() == OPENSSL_DER
    assert sm2.verify(key.public_key, b"citizen card", OPENSSL_SIGNATURE)
    assert sm2.PrivateKey.from_scalar(key.scalar).public_key == key.public_key


def test_what_is_signed_verifies_and_nothing_else_does():
    signature = KEY.sign(b"data")
    assert sm2.verify(KEY.public_key, b"data", signature)
    assert sm2.verify(sm2.uncompressed(KEY.public_key), b"data", signature)
    assert not sm2.verify(KEY.public_key, b"date", signature)
    assert not sm2.verify(examples.SM_ISSUER_KEY.public_key, b"data", signature)
    assert not sm2.verify(KEY.public_key, b"data", signature, b"another user")
    for at in range(0, 64, 7):
        altered = signature[:at] + bytes((signature[at] ^ 1,)) + signature[at + 1 :]
        assert not sm2.verify(KEY.public_key, b"data", altered)


def test_no_two_signatures_share_their_k_also_after_a_fork():
    """Goal: a repeated k gives the key away; processes are forked from one parent."""
    seen = {KEY.sign(b"data") for _ in range(20)}
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"".join(KEY.sign(b"data") for _ in range(20)))
        os._exit(0)
    seen |= {KEY.sign(b"data") for _ in range(20)}
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    seen |= {told[at : at + 64] for at in range(0, len(told), 64)}
    assert len(seen) == len({signature[:32] for signature in seen}) == 60


IMPOSSIBLE = {
    "nothing": b"",
    "one byte short": bytes(63),
    "one byte long": KEY.sign(b"data") + b"\0",
    "zeros": bytes(64),
    "r is 0": number(0) + number(1),
    "s is 0": number(1) + number(0),
    "r is n": number(sm2.N) + number(1),
    "s is n": number(1) + number(sm2.N),
    "r + s is n": number(5) + number(sm2.N - 5),
    "all ones": b"\xff" * 64,
}


@pytest.mark.parametrize("signature", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_an_impossible_signature_is_untrue_and_makes_no_noise(signature, capfd):
    assert sm2.verify(KEY.public_key, b"data", signature) is False
    assert capfd.readouterr() == ("", "")


NO_POINTS = {
    "nothing": b"",
    "infinity": b"\0",
    "zeros": bytes(33),
    "no coordinate": b"\x02",
    "cut": KEY.public_key[:-1],
    "longer": KEY.public_key + b"\0",
    "x beyond the field": b"\x02" + number(sm2.P + 1),
    "x of no point": b"\x02" + number(4),
    "hybrid form": b"\x06" + sm2.uncompressed(KEY.public_key)[1:],
    "off the curve": sm2.uncompressed(KEY.public_key)[:-1] + b"\0",
    "y beyond the field": b"\x04" + KEY.public_key[1:] + b"\xff" * 32,
    "uncompressed zeros": b"\x04" + bytes(64),
    "raw coordinates": sm2.uncompressed(KEY.public_key)[1:],
}


@pytest.mark.parametrize("point", NO_POINTS.values(), ids=NO_POINTS)
def test_no_point_verifies_nothing_and_reads_as_malformed(point, capfd):
    assert sm2.verify(point, b"data", KEY.sign(b"data")) is False
    with pytest.raises(MalformedBytes) as refusal:
        sm2.compressed(point)
    assert refusal.value.code == "public_key_malformed"
    assert capfd.readouterr() == ("", "")


def test_points_have_two_forms():
    signs = set()
    for _ in range(40):
        point = sm2.PrivateKey.generate().public_key
        whole = sm2.uncompressed(point)
        assert (sm2.compressed(whole), sm2.compressed(point)) == (point, point)
        assert sm2.uncompressed(whole) == whole
        signs.add(point[0])
    assert signs == {2, 3}


@pytest.mark.parametrize("scalar", [1, 2, 3, (1 << 255) + 1, sm2.N - 3, sm2.N - 2])
def test_own_arithmetic_agrees_with_the_library_at_its_ends(scalar):
    key = sm2.PrivateKey.from_scalar(number(scalar))
    assert sm2.verify(key.public_key, b"data", key.sign(b"data"))  # signed by theirs, from d alone


def test_own_arithmetic_agrees_with_the_library_anywhere():
    for _ in range(5):
        key = sm2.PrivateKey.generate()
        assert sm2.PrivateKey.from_scalar(key.scalar).public_key == key.public_key
    assert sm2.PrivateKey.from_scalar(number(1)).public_key == sm2.compressed(
        b"\x04" + number(sm2.GX) + number(sm2.GY)
    )


@pytest.mark.parametrize(
    "scalar", [b"", bytes(31), bytes(32), bytes(33), number(sm2.N - 1), number(sm2.N), b"\xff" * 32]
)
def test_a_scalar_out_of_range_is_no_key(scalar):
    with pytest.raises(MalformedBytes) as refusal:
        sm2.PrivateKey.from_scalar(scalar)
    assert refusal.value.code == "signing_key_malformed"


def test_a_user_id_too_long_to_be_told_is_refused():
    longest = b"i" * sm2.USER_ID_BYTES_MAX
    assert sm2.verify(KEY.public_key, b"data", KEY.sign(b"data", longest), longest)
    with pytest.raises(MalformedBytes):
        KEY.sign(b"data", longest + b"i")
    assert not sm2.verify(KEY.public_key, b"data", KEY.sign(b"data"), longest + b"i")


def test_a_damaged_key_file_is_no_key():
    """Goal: a key whose halves do not belong together signs nothing; no byte is let through."""
    of_another = OPENSSL_DER[:-64] + sm2.uncompressed(KEY.public_key)[1:]
    wrongs = [OPENSSL_DER[:-1], OPENSSL_DER + b"\0", of_another]
    for at in range(len(OPENSSL_DER)):
        wrongs.append(OPENSSL_DER[:at] + bytes((OPENSSL_DER[at] ^ 1,)) + OPENSSL_DER[at + 1 :])
    for der in wrongs:
        with pytest.raises(MalformedBytes):
            private_key_from_der(der)


def test_a_key_is_never_printed():
    for text in (repr(KEY), str(KEY), f"{KEY}"):
        assert text == "PrivateKey(<secret>)"


def suites():
    return pytest.mark.parametrize("suite", list(Suite), ids=lambda suite: suite.name)


@suites()
def test_a_private_key_of_either_suite_is_made_kept_and_used_alike(suite):
    key = generate_private_key(suite)
    again = private_key_from_der(private_key_to_der(key))
    assert suite_of(again) is suite
    assert public_point(again) == public_point(key)
    public = PublicKey(suite, public_point(key))
    assert public.verify(b"data", sign(again, b"data"))
    assert not public.verify(b"date", sign(again, b"data"))
    other = next(one for one in Suite if one is not suite)
    assert not PublicKey(other, public.point).verify(b"data", sign(key, b"data"))
    assert not verify_signature(public.point, b"data", sign(key, b"data"), other)


def test_keys_of_a_third_curve_are_refused():
    third = ec.derive_private_key(7, ec.SECP384R1())
    der = third.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(MalformedBytes, match="signing_key_malformed"):
        private_key_from_der(der)
    with pytest.raises(MalformedBytes):
        suite_of(third)


DEVICE_KEYS = {Suite.AES_ES256: examples.DEVICE_KEY, Suite.SM4_SM2: examples.SM_DEVICE_KEY}
ISSUER_KEYS = {Suite.AES_ES256: examples.ISSUER_KEY, Suite.SM4_SM2: examples.SM_ISSUER_KEY}


def certificate_of(suite: Suite) -> Certificate:
    unsigned = dataclasses.replace(
        examples.CERTIFICATE,
        device_public_key=public_point(DEVICE_KEYS[suite]),
        signature=bytes(64),
        suite=suite,
    )
    return unsigned.signed_by(lambda body: sign(ISSUER_KEYS[suite], body))


@suites()
def test_a_certificate_of_either_suite_holds_for_its_issuer_only(suite):
    certificate = certificate_of(suite)
    assert Certificate.decode(certificate.encode()) == certificate
    other = next(one for one in Suite if one is not suite)
    assert verify_certificate(certificate, public_point(ISSUER_KEYS[suite]))
    assert not verify_certificate(certificate, public_point(ISSUER_KEYS[other]))
    assert not verify_certificate(certificate, public_point(DEVICE_KEYS[suite]))
    relabelled = dataclasses.replace(certificate, suite=other)
    assert not verify_certificate(relabelled, public_point(ISSUER_KEYS[suite]))


def test_a_certificate_has_one_encoding_for_each_suite():
    record = bytes.fromhex(
        next(one for one in examples.EXAMPLES if one.name == "CertificateSm").wire
    )
    suite_at = record.index(bytes.fromhex("DF0B0102"))
    wrongs = {
        "ES256 named": record[: suite_at + 3] + b"\x01" + record[suite_at + 4 :],
        "unknown suite": record[: suite_at + 3] + b"\x03" + record[suite_at + 4 :],
        "version 1 with a suite": record.replace(
            bytes.fromhex("DF000102"), bytes.fromhex("DF000101")
        ),
        "version 3": record.replace(bytes.fromhex("DF000102"), bytes.fromhex("DF000103")),
        "version 2 without": bytes.fromhex("7081AF") + record[3:suite_at] + record[suite_at + 4 :],
    }
    assert Certificate.decode(record) == examples.SM_CERTIFICATE
    for name, wrong in wrongs.items():
        with pytest.raises(MalformedBytes) as refusal:
            Certificate.decode(wrong)
        assert refusal.value.code == "certificate_malformed", name


def answer_of(suite: Suite, named: Suite) -> tuple[bytes, GpoResponse]:
    """An answer signed by the suite's device key, naming `named` in 9F10."""
    pdol_data = examples.TRANSACTION.encode()
    iad = dataclasses.replace(examples.IAD, suite=named)
    unsigned = dataclasses.replace(examples.GPO, iad=iad)
    data = signature_input(pdol_data, AIP, unsigned.atc, iad.encode(), unsigned.cryptogram)
    return pdol_data, dataclasses.replace(unsigned, signature=sign(DEVICE_KEYS[suite], data))


@suites()
def test_a_terminal_checks_an_answer_against_the_certificates_suite(suite):
    certificate = certificate_of(suite)
    pdol_data, response = answer_of(suite, suite)
    assert is_signed_by_device(certificate, pdol_data, response)
    other = next(one for one in Suite if one is not suite)
    assert not is_signed_by_device(certificate_of(other), pdol_data, response)
    altered = dataclasses.replace(response, atc=response.atc + 1)
    assert not is_signed_by_device(certificate, pdol_data, altered)
    another = dataclasses.replace(certificate, token_number="0" * 19)
    assert not is_signed_by_device(another, pdol_data, response)
    named_otherwise = answer_of(suite, other)[1]  # the signature is right, the suite told is not
    assert not is_signed_by_device(certificate, pdol_data, named_otherwise)
