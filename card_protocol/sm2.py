"""SM2 signatures with SM3 (GM/T 0003.2, GB/T 32918.2); knows nothing of what is signed.

The one place that computes SM2: signing and verifying of digests are GmSSL's (`gmssl_pyx`, ADR
14), SM3 is OpenSSL's, and what neither does is plain arithmetic here: reading points, and the
public key of a bare scalar. Signatures are r‖s, 64 bytes; points are SEC1, 33 or 65 bytes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import gmssl_pyx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from card_protocol.checks import require, require_bytes
from card_protocol.errors import MalformedBytes

POINT_CODE = "public_key_malformed"
KEY_CODE = "signing_key_malformed"

# UNSURE: the texts of GM/T 0009 and JT/T 1179 were not at hand; every parser seen uses this one.
USER_ID: Final = b"1234567812345678"
USER_ID_BYTES_MAX: Final = 8_191  # its length in bits is told in two bytes

# The curve, GM/T 0003.5: y² = x³ - 3x + b over the field of p; n is the order of (GX, GY).
P: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A: Final = P - 3
B: Final = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
GX: Final = 0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7
GY: Final = 0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0

HALF_BYTES: Final = 32
SIGNATURE_BYTES: Final = 2 * HALF_BYTES
COMPRESSED_BYTES: Final = 1 + HALF_BYTES
UNCOMPRESSED_BYTES: Final = 1 + 2 * HALF_BYTES
POINTS_REMEMBERED_MAX: Final = 4_096  # reading a compressed point costs a fifth of a verification

_CURVE_BYTES: Final = b"".join(number.to_bytes(HALF_BYTES) for number in (A, B, GX, GY))
# PKCS #8 (RFC 5958) with the private key of RFC 5915 and its public half, as OpenSSL writes it.
_DER_HEAD: Final = bytes.fromhex(
    "308187 020100 3013 06072A8648CE3D0201 06082A811CCF5501822D 046D 306B 020101 0420"
)
_DER_MIDDLE: Final = bytes.fromhex("A144 034200 04")
_DER_BYTES: Final = len(_DER_HEAD) + HALF_BYTES + len(_DER_MIDDLE) + 2 * HALF_BYTES

Point = tuple[int, int] | None  # affine; None is the point at infinity


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PrivateKey:
    """A signing key and its public half; never printed. Whoever builds one vouches for the pair.

    Raises `MalformedBytes` "signing_key_malformed", "public_key_malformed".
    """

    scalar: bytes  # 32 bytes, 1..n-2
    public_key: bytes  # 33 bytes, SEC1 compressed

    def __post_init__(self) -> None:
        require_bytes(self.scalar, HALF_BYTES, KEY_CODE, "a scalar")
        require(1 <= int.from_bytes(self.scalar) <= N - 2, KEY_CODE, "a scalar out of range")
        require_bytes(self.public_key, COMPRESSED_BYTES, POINT_CODE, "a compressed point")
        _coordinates(self.public_key)

    def __repr__(self) -> str:
        return "PrivateKey(<secret>)"

    @classmethod
    def generate(cls) -> PrivateKey:
        """A fresh key, from the operating system's randomness."""
        coordinates, scalar = gmssl_pyx.sm2_key_generate()
        return cls(scalar, compressed(b"\x04" + coordinates))

    @classmethod
    def from_scalar(cls, scalar: bytes) -> PrivateKey:
        """From the bare 32 bytes; takes some 20 ms, since the public half is computed here."""
        require_bytes(scalar, HALF_BYTES, KEY_CODE, "a scalar")
        number = int.from_bytes(scalar)
        require(1 <= number <= N - 2, KEY_CODE, "a scalar out of range")
        # Split at random: the steps of plain arithmetic take their time by the bits they see.
        mask = secrets.randbelow(N)
        point = _add(_times_base(mask), _times_base((number - mask) % N))
        assert point is not None  # the scalar is no multiple of n
        return cls(scalar, _compressed(*point))

    @classmethod
    def from_der(cls, der: bytes) -> PrivateKey:
        """From `to_der`'s form, which is OpenSSL's. The two halves are tried on each other."""
        is_ours = len(der) == _DER_BYTES and is_der(der)
        at = len(_DER_HEAD) + HALF_BYTES
        point_at = at + len(_DER_MIDDLE)
        require(is_ours and der[at:point_at] == _DER_MIDDLE, KEY_CODE, "not a PKCS #8 SM2 key")
        key = cls(der[len(_DER_HEAD) : at], compressed(b"\x04" + der[point_at:]))
        probe = b"CITY CARD SM2 pair"
        require(verify(key.public_key, probe, key.sign(probe)), KEY_CODE, "not a pair")
        return key

    def to_der(self) -> bytes:
        """PKCS #8, unencrypted, with the public half."""
        return _DER_HEAD + self.scalar + _DER_MIDDLE + uncompressed(self.public_key)[1:]

    def sign(self, data: bytes, user_id: bytes = USER_ID) -> bytes:
        """r‖s, 64 bytes; a fresh k each time, so two signatures over one message differ."""
        der = gmssl_pyx.sm2_sign_sm3_digest(self.scalar, digest(self.public_key, data, user_id))
        r, s = decode_dss_signature(der)
        return r.to_bytes(HALF_BYTES) + s.to_bytes(HALF_BYTES)


def verify(public_key: bytes, data: bytes, signature: bytes, user_id: bytes = USER_ID) -> bool:
    """True when `signature` (r‖s) over `data` is by this SEC1 point (33 or 65 bytes).

    A point off the curve or an impossible signature is an untrue one: False, no exception.
    """
    if len(signature) != SIGNATURE_BYTES:
        return False
    r, s = int.from_bytes(signature[:HALF_BYTES]), int.from_bytes(signature[HALF_BYTES:])
    # Asked here although GmSSL asks too: it writes a line to stderr for each impossible one.
    if not (0 < r < N and 0 < s < N and r + s != N):
        return False
    try:
        coordinates, identity = _identity(public_key, user_id)
    except MalformedBytes:
        return False
    return bool(
        gmssl_pyx.sm2_verify_sm3_digest(
            coordinates, sm3(identity + data), encode_dss_signature(r, s)
        )
    )


def digest(public_key: bytes, data: bytes, user_id: bytes = USER_ID) -> bytes:
    """What is signed: e = SM3(Z ‖ data), 32 bytes (GM/T 0003.2, 6.1); Z binds user id and key.

    For keys that are elsewhere (an HSM signs e). Raises `MalformedBytes` "public_key_malformed".
    """
    return sm3(_identity(public_key, user_id)[1] + data)


def sm3(data: bytes) -> bytes:
    """32 bytes (GB/T 32905)."""
    state = hashes.Hash(hashes.SM3())
    state.update(data)
    return state.finalize()


def is_der(der: bytes) -> bool:
    """True when these bytes begin as a PKCS #8 key of this curve."""
    return der.startswith(_DER_HEAD)


def compressed(point: bytes) -> bytes:
    """33 bytes, from either form; raises `MalformedBytes` "public_key_malformed"."""
    return _compressed(*_coordinates(point))


def uncompressed(point: bytes) -> bytes:
    """65 bytes, from either form; raises `MalformedBytes` "public_key_malformed"."""
    x, y = _coordinates(point)
    return b"\x04" + x.to_bytes(HALF_BYTES) + y.to_bytes(HALF_BYTES)


@lru_cache(maxsize=POINTS_REMEMBERED_MAX)
def _identity(public_key: bytes, user_id: bytes) -> tuple[bytes, bytes]:
    """The coordinates (64 bytes) and Z of a public key (GM/T 0003.2, 5.5)."""
    require(len(user_id) <= USER_ID_BYTES_MAX, POINT_CODE, "the user id is too long")
    coordinates = uncompressed(public_key)[1:]
    bits = (8 * len(user_id)).to_bytes(2)
    return coordinates, sm3(bits + user_id + _CURVE_BYTES + coordinates)


def _coordinates(point: bytes) -> tuple[int, int]:
    """x and y of a SEC1 point (2.3.4): only points on the curve, in the field, one form each."""
    kind = point[0] if point else None
    x = int.from_bytes(point[1:COMPRESSED_BYTES])
    right = (x * x * x + A * x + B) % P
    if len(point) == COMPRESSED_BYTES and kind in {2, 3}:
        y = pow(right, (P + 1) // 4, P)  # p = 3 (mod 4)
        y = y if y & 1 == kind & 1 else P - y
    elif len(point) == UNCOMPRESSED_BYTES and kind == 4:
        y = int.from_bytes(point[COMPRESSED_BYTES:])
    else:
        raise MalformedBytes(POINT_CODE, "a SEC1 point has 33 or 65 bytes")
    if not (x < P and y < P and y * y % P == right):
        raise MalformedBytes(POINT_CODE, "not a point on the SM2 curve")
    return x, y


def _compressed(x: int, y: int) -> bytes:
    return bytes((2 | y & 1,)) + x.to_bytes(HALF_BYTES)


def _times_base(number: int) -> Point:
    """`number` times the base point, by doubling and adding; not in constant time."""
    sum_: Point = None
    step: Point = (GX, GY)
    while number:
        if number & 1:
            sum_ = _add(sum_, step)
        step = _add(step, step)
        number >>= 1
    return sum_


def _add(one: Point, other: Point) -> Point:
    """The group law in affine coordinates (GM/T 0003.1, 3.2.3.1)."""
    if one is None or other is None:
        return one or other
    (x1, y1), (x2, y2) = one, other
    if x1 == x2 and (y1 + y2) % P == 0:
        return None
    if one == other:
        slope = (3 * x1 * x1 + A) * pow(2 * y1, -1, P) % P
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, P) % P
    x = (slope * slope - x1 - x2) % P
    return x, (slope * (x1 - x) - y1) % P
