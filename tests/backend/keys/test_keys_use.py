"""What keys do, checked against computations that share no code with the keystore."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from hypothesis import given
from hypothesis import strategies as st
from keys_world import plain_keys

from backend.keys import (
    CommandMac,
    Derivation,
    KeyRef,
    KeyUnknown,
    SessionMac,
    SoftwareKeys,
    TacMac,
    TokenMac,
)

SIGNERS = [ref for ref in KeyRef if ref.algorithm == "es256"]
MACS = [ref for ref in KeyRef if ref.algorithm == "hmac-sha256"]


# --- CMAC (RFC 4493) and SP 800-108 counter mode, written out from the standards' text -----------


def _aes(key: bytes, block: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # one block at a time
    return encryptor.update(block) + encryptor.finalize()


def _doubled(block: bytes) -> bytes:
    shifted = int.from_bytes(block, "big") << 1
    reduced = (shifted & (2**128 - 1)) ^ (0x87 if shifted >> 128 else 0)
    return reduced.to_bytes(16, "big")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _cmac(key: bytes, message: bytes) -> bytes:
    first = _doubled(_aes(key, bytes(16)))
    count = max(1, -(-len(message) // 16))
    blocks = [message[16 * i : 16 * i + 16] for i in range(count)]
    last = blocks.pop()
    if len(last) == 16:
        last = _xor(last, first)
    else:
        last = _xor((last + b"\x80").ljust(16, b"\0"), _doubled(first))
    state = bytes(16)
    for block in [*blocks, last]:
        state = _aes(key, _xor(state, block))
    return state


def _kdf(key: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """SP 800-108r1, 4.1: K(i) = PRF(K_in, [i]32 ‖ label ‖ 00 ‖ context ‖ [L in bits]32)."""
    fixed = label + b"\0" + context + (8 * length).to_bytes(4, "big")
    blocks = -(-length // 16)
    return b"".join(_cmac(key, i.to_bytes(4, "big") + fixed) for i in range(1, blocks + 1))[:length]


@pytest.mark.parametrize(
    ("message", "tag"),
    [
        ("", "bb1d6929e95937287fa37d129b756746"),
        ("6bc1bee22e409f96e93d7e117393172a", "070a16b46b4d4144f79bdd9dd04a287c"),
        (
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411",
            "dfa66747de9ae63030ca32611497c827",
        ),
    ],
)
def test_our_own_cmac_meets_rfc_4493(message: str, tag: str) -> None:
    """RFC 4493, section 4: the yardstick itself is measured first."""
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    assert _cmac(key, bytes.fromhex(message)).hex() == tag


@pytest.mark.parametrize("length", [1, 15, 16, 17, 32, 100])
@pytest.mark.parametrize("context", [b"", b"token", bytes(range(64))], ids=["none", "short", "64"])
def test_derivation_is_sp_800_108(keys: SoftwareKeys, context: bytes, length: int) -> None:
    master = plain_keys(keys)[KeyRef.TOKEN_MASTER]
    expected = _kdf(master, KeyRef.TOKEN_MASTER.named(1).encode(), context, length)
    assert keys.derive(KeyRef.TOKEN_MASTER, context, length) == expected


def test_derived_keys_differ_by_context_and_repeat(keys: SoftwareKeys) -> None:
    contexts = [b"", b"\0", b"\0\0", *(f"tok_{i}".encode() for i in range(50))]
    derived = [keys.derive(KeyRef.TOKEN_MASTER, context, 16) for context in contexts]
    assert len(set(derived)) == len(contexts)
    assert derived == [keys.derive(KeyRef.TOKEN_MASTER, context, 16) for context in contexts]


def test_a_longer_key_does_not_begin_with_the_shorter(keys: SoftwareKeys) -> None:
    """The length is part of the input (SP 800-108): else a 16-byte key leaks into a 32-byte one."""
    short, long = (keys.derive(KeyRef.TOKEN_MASTER, b"c", n) for n in (16, 32))
    assert long[:16] != short


@pytest.mark.parametrize("ref", SIGNERS, ids=lambda ref: ref.name)
def test_a_signature_verifies_with_the_public_key(keys: SoftwareKeys, ref: KeyRef) -> None:
    public = keys.public_key(ref)
    for index in range(20):  # r and s shorter than 32 bytes must be padded
        data = f"data {index}".encode()
        raw = keys.sign(ref, data)
        assert len(raw) == 64
        der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        public.verify(der, data, ec.ECDSA(hashes.SHA256()))
        with pytest.raises(InvalidSignature):
            public.verify(der, data + b"!", ec.ECDSA(hashes.SHA256()))


def test_signing_keys_are_different_keys(keys: SoftwareKeys) -> None:
    numbers = {keys.public_key(ref).public_numbers() for ref in SIGNERS}
    assert len(numbers) == len(SIGNERS) > 1


@pytest.mark.parametrize("ref", MACS, ids=lambda ref: ref.name)
def test_mac_is_hmac_sha256(keys: SoftwareKeys, ref: KeyRef) -> None:
    secret = plain_keys(keys)[ref]
    assert keys.mac(ref, b"data") == hmac.new(secret, b"data", hashlib.sha256).digest()


def test_macs_of_different_keys_differ(keys: SoftwareKeys) -> None:
    assert len({keys.mac(ref, b"same") for ref in MACS}) == len(MACS)


@given(plain=st.binary(max_size=200), context=st.binary(max_size=60))
def test_what_was_encrypted_opens_in_its_context_only(
    keys: SoftwareKeys, plain: bytes, context: bytes
) -> None:
    sealed = keys.encrypt(KeyRef.PII_CIPHER, plain, context)
    assert len(sealed) == 2 + 12 + len(plain) + 16
    assert keys.decrypt(KeyRef.PII_CIPHER, sealed, context) == plain
    with pytest.raises(KeyUnknown):
        keys.decrypt(KeyRef.PII_CIPHER, sealed, context + b"!")


def test_altered_or_short_bytes_do_not_open(keys: SoftwareKeys) -> None:
    sealed = keys.encrypt(KeyRef.PII_CIPHER, b"name", b"c")
    for at in range(len(sealed)):
        altered = bytearray(sealed)
        altered[at] ^= 1
        with pytest.raises(KeyUnknown):
            keys.decrypt(KeyRef.PII_CIPHER, bytes(altered), b"c")
    for length in range(len(sealed)):
        with pytest.raises(KeyUnknown) as unknown:
            keys.decrypt(KeyRef.PII_CIPHER, sealed[:length], b"c")
        assert "name" not in str(unknown.value)


def test_the_same_plain_text_is_never_sealed_alike(keys: SoftwareKeys) -> None:
    assert len({keys.encrypt(KeyRef.PII_CIPHER, b"x", b"c") for _ in range(50)}) == 50


FACTORS = (b"issuer 1", b"serial 1")
HOW: dict[type, Derivation] = {
    TokenMac: TokenMac(b"c"),
    SessionMac: SessionMac(FACTORS, b"seed 123"),
    TacMac: TacMac(FACTORS),
    CommandMac: CommandMac(FACTORS, b"rand"),
}


def _uses(keys: SoftwareKeys, ref: KeyRef) -> dict[str, Callable[[], object]]:
    """Every operation there is, asked of one key."""
    derivations = {
        kind.__name__: partial(keys.derive_and_mac, ref, how, b"d") for kind, how in HOW.items()
    }
    return {
        "mac": lambda: keys.mac(ref, b"d"),
        "verify_mac": lambda: keys.verify_mac(ref, b"d", bytes(32)),
        "derive": lambda: keys.derive(ref, b"c", 16),
        "sign": lambda: keys.sign(ref, b"d"),
        "verify": lambda: keys.verify(ref, b"d", bytes(64)),
        "public_point": lambda: keys.public_point(ref),
        "public_key": lambda: keys.public_key(ref),
        "public_keys": lambda: keys.public_keys(ref),
        "public_points": lambda: keys.public_points(ref),
        "encrypt": lambda: keys.encrypt(ref, b"d", b"c"),
        "decrypt": lambda: keys.decrypt(ref, keys.encrypt(KeyRef.PII_CIPHER, b"d", b"c"), b"c"),
        "wrap": lambda: keys.wrap(KeyRef.TRANSPORT, ref, FACTORS),
        "wrap with": lambda: keys.wrap(ref, KeyRef.LOAD_SM4, FACTORS),
        **derivations,
    }


SIGNING = {"sign", "verify", "public_point", "public_points"}
ALLOWED = {
    "token-master": {"derive", "TokenMac"},
    "issuer-purchase": {"SessionMac", "wrap"},
    "issuer-load": {"SessionMac", "wrap"},
    "issuer-tac": {"TacMac", "wrap"},
    "issuer-maintenance": {"CommandMac", "wrap"},
    "issuer-pin": {"CommandMac", "wrap"},
    "transport": {"wrap with"},
}
BY_ALGORITHM = {
    "hmac-sha256": {"mac", "verify_mac"},
    "es256": SIGNING | {"public_key", "public_keys"},
    "sm2": SIGNING,
    "aes256gcm": {"encrypt", "decrypt"},
}


@pytest.mark.parametrize("ref", KeyRef, ids=lambda ref: ref.name)
def test_a_key_does_only_what_it_is_for(keys: SoftwareKeys, ref: KeyRef) -> None:
    """One key, one use: every other operation says so, naming the key."""
    allowed = ALLOWED.get(ref.purpose) or BY_ALGORITHM[ref.algorithm]
    uses = _uses(keys, ref)
    assert allowed <= set(uses)
    for name, use in uses.items():
        if name in allowed:
            use()
        else:
            with pytest.raises(KeyUnknown, match=f"{ref.value} is not a key for"):
                use()


@pytest.mark.parametrize("ref", [KeyRef.TOKEN_MASTER, KeyRef.TOKEN_MASTER_SM4])
def test_a_token_mac_is_cmac_under_the_derived_key(keys: SoftwareKeys, ref: KeyRef) -> None:
    cipher = algorithms.SM4 if ref.algorithm == "sm4" else algorithms.AES128
    mac = CMAC(cipher(keys.derive(ref, b"luk|1|7", 16)))
    mac.update(b"pdol, aip, atc")
    made = keys.derive_and_mac(ref, TokenMac(b"luk|1|7"), b"pdol, aip, atc")
    assert made == mac.finalize()


@pytest.mark.parametrize("ref", [KeyRef.ISSUER_SIGNING, KeyRef.ISSUER_SIGNING_SM2])
def test_a_signature_of_either_suite_verifies(keys: SoftwareKeys, ref: KeyRef) -> None:
    signature = keys.sign(ref, b"certificate")
    assert len(signature) == 64
    assert keys.verify(ref, b"certificate", signature)
    assert keys.verify(ref, b"certificate", signature, version=1)
    other = KeyRef.LEDGER_SEAL if ref.algorithm == "es256" else ref
    assert not keys.verify(other, b"another", signature)
    for wrong in (bytes(64), b"\xff" * 64, signature[:63], signature + b"\0", b""):
        assert not keys.verify(ref, b"certificate", wrong)
    assert keys.public_point(ref)[0] == 4
    assert len(keys.public_point(ref)) == 65


def test_a_mac_is_compared_at_its_agreed_length(keys: SoftwareKeys) -> None:
    """Who sends a mac does not choose how much of it counts."""
    mac = keys.mac(KeyRef.MERCHANT_CODES, b"code")
    assert keys.verify_mac(KeyRef.MERCHANT_CODES, b"code", mac)
    assert keys.verify_mac(KeyRef.MERCHANT_CODES, b"code", mac[:8], length=8)
    for short in (b"", mac[:1], mac[:8]):
        assert not keys.verify_mac(KeyRef.MERCHANT_CODES, b"code", short)
    assert not keys.verify_mac(KeyRef.MERCHANT_CODES, b"code", mac, length=8)
    assert not keys.verify_mac(KeyRef.MERCHANT_CODES, b"codf", mac)


def test_a_wrapped_card_key_is_the_card_key(keys: SoftwareKeys) -> None:
    """What the personaliser unwraps makes the MACs that the service makes."""
    kek = plain_keys(keys)[KeyRef.TRANSPORT]
    card_key = aes_key_unwrap(kek, keys.wrap(KeyRef.TRANSPORT, KeyRef.TAC_SM4, FACTORS))
    data = b"sixteen bytes ok" + b"\x80" + bytes(15)
    cbc = Cipher(algorithms.SM4(card_key), modes.CBC(bytes(16))).encryptor()
    mac = keys.derive_and_mac(KeyRef.TAC_SM4, TacMac(FACTORS), b"sixteen bytes ok")
    assert mac == cbc.update(data)[-16:-12]


@pytest.mark.parametrize(
    "make",
    [
        lambda: SessionMac((), bytes(8)),
        lambda: SessionMac((bytes(7),), bytes(8)),
        lambda: SessionMac((bytes(8),) * 4, bytes(8)),
        lambda: SessionMac((bytes(8),), bytes(7)),
        lambda: TacMac((bytes(9),)),
        lambda: CommandMac((bytes(8),), bytes(5)),
    ],
)
def test_a_derivation_of_another_shape_cannot_be_made(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"bytes|levels"):
        make()


@pytest.mark.parametrize("version", [0, 2, 255, 256, -1])
def test_a_version_that_is_not_there_is_named(keys: SoftwareKeys, version: int) -> None:
    with pytest.raises(KeyUnknown, match=f"secrets/hmac-sha256/{version} is not there"):
        keys.mac(KeyRef.SECRETS, b"d", version)


def test_threads_share_the_prepared_ciphers(keys: SoftwareKeys) -> None:
    """Encryptors are lent out: no two threads may get one at a time."""
    how = SessionMac(FACTORS, b"seed 123")
    expected = {n: keys.derive_and_mac(KeyRef.PURCHASE_3DES, how, bytes([n])) for n in range(200)}
    with ThreadPoolExecutor(8) as pool:
        made = pool.map(
            lambda n: (n, keys.derive_and_mac(KeyRef.PURCHASE_3DES, how, bytes([n]))),
            list(range(200)) * 10,
        )
        assert all(expected[n] == mac for n, mac in made)
