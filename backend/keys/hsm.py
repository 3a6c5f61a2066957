"""Keys in a PKCS#11 token (version 2.40): made or brought in there, never to come out again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pkcs11
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11 import exceptions as faults
from pkcs11.util.ec import encode_named_curve_parameters

from backend.keys import keywrap
from backend.keys.blocks import AES128, AES256, TRIPLE_DES
from backend.keys.handles import (
    ES256,
    GCM,
    HMAC,
    KEY_WRAP,
    NONCE_BYTES,
    Handle,
    block_check_value,
    mac_check_value,
    point_check_value,
)
from backend.keys.hsm_sessions import KeyNotSeen, Lease, Sessions
from backend.keys.port import KeyUnknown

T = TypeVar("T")

TAG_BITS = 128
POINT_BYTES = 65
CURVE = encode_named_curve_parameters("secp256r1")
NEEDS: Mapping[str, frozenset[Mechanism]] = {
    AES128: frozenset({Mechanism.AES_KEY_GEN, Mechanism.AES_ECB, Mechanism.AES_CMAC}),
    TRIPLE_DES: frozenset({Mechanism.DES2_KEY_GEN, Mechanism.DES3_ECB}),
    GCM: frozenset({Mechanism.AES_KEY_GEN, Mechanism.AES_GCM, Mechanism.AES_CMAC}),
    HMAC: frozenset({Mechanism.GENERIC_SECRET_KEY_GEN, Mechanism.SHA256_HMAC}),
    ES256: frozenset({Mechanism.EC_KEY_PAIR_GEN, Mechanism.ECDSA}),
    KEY_WRAP: frozenset({Mechanism.AES_KEY_GEN, Mechanism.AES_ECB, Mechanism.AES_CMAC}),
}
"""Algorithm -> what a token must do for it. SM2 and SM4 have no standard mechanism."""

SECRET_KEYS: Mapping[str, tuple[KeyType, int | None]] = {
    AES128: (KeyType.AES, 128),
    TRIPLE_DES: (KeyType.DES2, None),
    GCM: (KeyType.AES, 256),
    HMAC: (KeyType.GENERIC_SECRET, 256),
    KEY_WRAP: (KeyType.AES, 256),
}
STAYS: Mapping[Attribute, bool] = {
    Attribute.TOKEN: True,
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
}
WORKS: Mapping[str, frozenset[Attribute]] = {
    AES128: frozenset({Attribute.ENCRYPT, Attribute.SIGN}),
    TRIPLE_DES: frozenset({Attribute.ENCRYPT}),
    GCM: frozenset({Attribute.ENCRYPT, Attribute.DECRYPT, Attribute.SIGN}),
    HMAC: frozenset({Attribute.SIGN}),
    ES256: frozenset({Attribute.SIGN}),
    KEY_WRAP: frozenset({Attribute.ENCRYPT, Attribute.DECRYPT, Attribute.SIGN}),
}
"""Algorithm -> the only things its key may be used for. SIGN of AES is CMAC."""

SECRET_USES = (
    Attribute.ENCRYPT,
    Attribute.DECRYPT,
    Attribute.SIGN,
    Attribute.VERIFY,
    Attribute.WRAP,
    Attribute.UNWRAP,
    Attribute.DERIVE,
)
PRIVATE_USES = (Attribute.DECRYPT, Attribute.SIGN, Attribute.UNWRAP, Attribute.DERIVE)

NOT_OPENED = (
    faults.EncryptedDataInvalid,
    faults.EncryptedDataLenRange,
    faults.DataLenRange,
    faults.ArgumentsBad,
)


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key in the token, by name: found again in whichever session works with it."""

    sessions: Sessions
    name: str
    algorithm: str

    def use(self, work: Callable[[Any], T]) -> T:
        """`work` with the key object. Raises KeyUnknown, KeyUnavailable."""

        def with_lease(lease: Lease) -> T:
            key = lease.keys.get(self.name)
            if key is None:
                key = lease.keys[self.name] = self._found(lease)
            return work(key)

        return self.sessions.run(with_lease)

    def _found(self, lease: Lease) -> Any:
        assert lease.session is not None
        kind = ObjectClass.PRIVATE_KEY if self.algorithm == ES256 else ObjectClass.SECRET_KEY
        named = {Attribute.CLASS: kind, Attribute.LABEL: self.name}
        found: list[Any] = list(lease.session.get_objects(named))  # to its end: the search closes
        if not found:
            raise KeyNotSeen(f"{self.name} is not in the token")
        if len(found) > 1:
            raise KeyUnknown(f"{self.name} is {len(found)} times in the token")
        return found[0]


@dataclass(frozen=True, slots=True)
class TokenBlock:
    """A master key: blocks and CMAC are made in the token."""

    key: TokenKey

    def encrypt_blocks(self, blocks: bytes) -> bytes:
        is_des = self.key.algorithm == TRIPLE_DES
        mechanism = Mechanism.DES3_ECB if is_des else Mechanism.AES_ECB
        made: bytes = self.key.use(lambda key: key.encrypt(blocks, mechanism=mechanism))
        return made

    def decrypt_blocks(self, blocks: bytes) -> bytes:
        made: bytes = self.key.use(lambda key: key.decrypt(blocks, mechanism=Mechanism.AES_ECB))
        return made

    def cmac(self, data: bytes) -> bytes:
        made: bytes = self.key.use(lambda key: key.sign(data, mechanism=Mechanism.AES_CMAC))
        return made

    def check_value(self) -> bytes:
        is_aes = self.key.algorithm != TRIPLE_DES
        return block_check_value(AES256 if is_aes else TRIPLE_DES, self)


@dataclass(frozen=True, slots=True)
class TokenMac:
    key: TokenKey

    def mac(self, data: bytes) -> bytes:
        made: bytes = self.key.use(lambda key: key.sign(data, mechanism=Mechanism.SHA256_HMAC))
        return made

    def check_value(self) -> bytes:
        return mac_check_value(self.mac(b""))


@dataclass(frozen=True, slots=True)
class TokenCipher:
    key: TokenKey

    def seal(self, plain: bytes, context: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        made: bytes = self.key.use(
            lambda key: key.encrypt(
                plain,
                mechanism=Mechanism.AES_GCM,
                mechanism_param=pkcs11.GCMParams(nonce, context, TAG_BITS),
            )
        )
        return nonce + made

    def unseal(self, body: bytes, context: bytes) -> bytes:
        nonce, sealed = body[:NONCE_BYTES], body[NONCE_BYTES:]
        if len(sealed) < TAG_BITS // 8:
            raise InvalidTag

        def open_it(key: Any) -> bytes | None:
            parameters = pkcs11.GCMParams(nonce, context, TAG_BITS)
            try:
                opened: bytes = key.decrypt(
                    sealed, mechanism=Mechanism.AES_GCM, mechanism_param=parameters
                )
            except NOT_OPENED:
                return None
            except faults.GeneralError:  # SoftHSM says no more for a wrong tag
                key.encrypt(b"", mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
                return None  # the session is well: it was the bytes
            return opened

        plain = self.key.use(open_it)
        if plain is None:
            raise InvalidTag
        return plain

    def check_value(self) -> bytes:
        return TokenBlock(self.key).check_value()


@dataclass(frozen=True, slots=True)
class TokenSigner:
    key: TokenKey
    point: bytes

    def sign(self, data: bytes) -> bytes:
        digest = hashlib.sha256(data).digest()
        made: bytes = self.key.use(lambda key: key.sign(digest, mechanism=Mechanism.ECDSA))
        return made

    def check_value(self) -> bytes:
        return point_check_value(self.point)


@dataclass(frozen=True, slots=True)
class TokenWrap:
    key: TokenKey

    def wrap(self, secret: bytes) -> bytes:
        return keywrap.wrap(TokenBlock(self.key).encrypt_blocks, secret)

    def unwrap(self, wrapped: bytes) -> bytes:
        return keywrap.unwrap(TokenBlock(self.key).decrypt_blocks, wrapped)

    def check_value(self) -> bytes:
        return TokenBlock(self.key).check_value()


@dataclass(frozen=True, slots=True)
class TokenDevice:
    """`vault.Device` over a PKCS#11 token. A key's label is its version's name."""

    sessions: Sessions = field(repr=False)

    def does(self, algorithm: str) -> bool:
        needs = NEEDS.get(algorithm)
        return needs is not None and needs <= self.sessions.mechanisms

    def open(self, name: str, algorithm: str, point: bytes) -> Handle:
        key = TokenKey(self.sessions, name, algorithm)
        key.use(lambda found: found)
        return _handle(key, point)

    def make(self, name: str, algorithm: str) -> Handle:
        point = self.sessions.run(lambda lease: _generate(lease, name, algorithm))
        return _handle(TokenKey(self.sessions, name, algorithm), point)

    def take(self, name: str, algorithm: str, secret: bytes) -> Handle:
        template, point = _template(name, algorithm, secret)

        def create(lease: Lease) -> None:
            _sweep(lease, name)
            assert lease.session is not None
            lease.session.create_object(dict(template))

        self.sessions.run(create)
        return _handle(TokenKey(self.sessions, name, algorithm), point)

    def destroy(self, name: str) -> None:
        self.sessions.run(lambda lease: _sweep(lease, name))


def _generate(lease: Lease, name: str, algorithm: str) -> bytes:
    """Make the key; the public point of a pair. Done again, it replaces the first."""
    _sweep(lease, name)
    assert lease.session is not None
    stays = _kept(algorithm)
    named: dict[str, Any] = {"label": name, "id": name.encode(), "store": True}
    if algorithm != ES256:
        kind, bits = SECRET_KEYS[algorithm]
        lease.session.generate_key(kind, bits, template=stays, **named)
        return b""
    parameters = lease.session.create_domain_parameters(
        KeyType.EC, {Attribute.EC_PARAMS: CURVE}, local=True
    )
    public, _ = parameters.generate_keypair(private_template=stays, **named)
    point: bytes = public[Attribute.EC_POINT]
    return point[-POINT_BYTES:]  # inside a DER OCTET STRING


def _template(name: str, algorithm: str, secret: bytes) -> tuple[dict[Attribute, Any], bytes]:
    """What makes a token take this key in, and its public point."""
    named = {Attribute.LABEL: name, Attribute.ID: name.encode()}
    common = {**named, **_kept(algorithm)}
    if algorithm != ES256:
        kind, _ = SECRET_KEYS[algorithm]
        kinds = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: kind}
        return {**common, **kinds, Attribute.VALUE: secret}, b""
    private = serialization.load_der_private_key(secret, password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ValueError("a signing key is not on P-256")
    point = private.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    kinds = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.KEY_TYPE: KeyType.EC}
    value = private.private_numbers().private_value.to_bytes(32, "big")
    return {**common, **kinds, Attribute.EC_PARAMS: CURVE, Attribute.VALUE: value}, point


def _kept(algorithm: str) -> dict[Attribute, bool]:
    """Stays in the token and does its own work: what is not said, a library allows."""
    uses = PRIVATE_USES if algorithm == ES256 else SECRET_USES
    return {**STAYS, **{use: use in WORKS[algorithm] for use in uses}}


def _sweep(lease: Lease, name: str) -> None:
    """Remove what lies under this name: a half-done act, or a key that is to go."""
    assert lease.session is not None
    lease.keys.pop(name, None)
    for found in list(lease.session.get_objects({Attribute.LABEL: name})):
        found.destroy()


def _handle(key: TokenKey, point: bytes) -> Handle:
    makers: Mapping[str, Callable[[TokenKey], Handle]] = {
        AES128: TokenBlock,
        TRIPLE_DES: TokenBlock,
        GCM: TokenCipher,
        HMAC: TokenMac,
        KEY_WRAP: TokenWrap,
    }
    return TokenSigner(key, point) if key.algorithm == ES256 else makers[key.algorithm](key)
