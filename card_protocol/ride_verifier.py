"""A gate's check of a ride code, offline, in the order of B.3.4; knows no clock and no network.

What stays the same for a day (certificate, issuer part) is checked once and remembered; each code
then costs one signature. Not for several threads at once: a gate has one verifier.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from card_protocol import ride_code
from card_protocol.code_keys import KeyLoader, SignatureCheck
from card_protocol.errors import CodeRefused, MalformedBytes
from card_protocol.ride_certificate import CERTIFICATE_BYTES
from card_protocol.ride_code import HEAD, TAIL_BYTES, IssuerPart, RideCertificate, RideSuite

ALTERED_CODE = "ride_code_altered"
FOREIGN_CODE = "ride_code_foreign"
CERTIFICATE_EXPIRED_CODE = "ride_code_certificate_expired"
ACCOUNT_TYPE_CODE = "ride_code_account_type_refused"
AUTHORISATION_EXPIRED_CODE = "ride_code_authorisation_expired"
EXPIRED_CODE = "ride_code_expired"
NOT_YET_VALID_CODE = "ride_code_not_yet_valid"
CLOCK_WRONG_CODE = "ride_code_clock_wrong"
USED_CODE = "ride_code_used"
DENIED_CODE = "ride_code_denied"
FULL_CODE = "ride_code_gate_full"

CLOCK_WRONG_SECONDS = 8 * 60 * 60  # B.3.4: real codes exist that are off by a time zone
PARTS_MAX, CERTIFICATES_MAX = 10_000, 64
USED_MAX = 100_000
_SIGNED_BYTES = 65
_K = TypeVar("_K")
_V = TypeVar("_V")


class UsedCodes(Protocol):
    """Which codes were shown: shared by the gates of a station, or one gate's own."""

    def claim(self, key: tuple[str, int], ends_at: int, now: int) -> bool:
        """True the first time. `key`: (card number, generated at), which no signature's spelling
        can change; from `ends_at` on the code is refused for its age and need not be kept.

        Raises `CodeRefused` "ride_code_gate_full" rather than forget one that still counts.
        """


class MemoryUsedCodes:
    """Codes used at this gate, in memory and bounded; forgets each when its time is over."""

    def __init__(self, used_max: int = USED_MAX) -> None:
        self.used_max = used_max
        self._used: dict[tuple[str, int], int] = {}

    def claim(self, key: tuple[str, int], ends_at: int, now: int) -> bool:
        if key in self._used:
            return False
        if len(self._used) >= self.used_max:
            self._used = {one: until for one, until in self._used.items() if until > now}
            if len(self._used) >= self.used_max:
                raise CodeRefused(FULL_CODE, "more live codes than the gate can remember")
        self._used[key] = ends_at
        return True


@dataclass(frozen=True, slots=True)
class RideAccepted:
    """Whose ride begins, and which code said so."""

    part: IssuerPart
    generated_at: int


@dataclass(frozen=True, slots=True)
class RideRules:
    """What a gate was told: CA keys by (index, suite), issuers and account types it takes."""

    ca_keys: Mapping[tuple[int, RideSuite], bytes]  # SEC1 points, 33 bytes
    suites: Mapping[RideSuite, KeyLoader]
    issuers: frozenset[bytes]  # 4 bytes each
    account_types: frozenset[int]
    validity_seconds_max: int = ride_code.VALIDITY_SECONDS


class _Bounded(Generic[_K, _V]):
    """Remembers the last `most` things put in; the first in is the first out."""

    __slots__ = ("_known", "_most", "find")

    def __init__(self, most: int) -> None:
        self._known: dict[_K, _V] = {}
        self._most = most
        self.find = self._known.get

    def put(self, key: _K, value: _V) -> None:
        if key not in self._known and len(self._known) >= self._most:
            del self._known[next(iter(self._known))]
        self._known[key] = value

    def __len__(self) -> int:
        return len(self._known)


@dataclass(frozen=True, slots=True)
class _Trusted:
    """A certificate that was found genuine, with its key unpacked."""

    certificate: RideCertificate
    ends_at: int
    is_genuine: SignatureCheck
    load: KeyLoader


@dataclass(frozen=True, slots=True)
class _Known:
    """An issuer part that was found genuine, with the user's key unpacked."""

    part: IssuerPart
    certificate_ends_at: int
    authorised_until: int
    validity_seconds: int
    card_number: str
    is_genuine: SignatureCheck


class RideCodeVerifier:
    """Checks codes against `rules`; every refusal is `MalformedBytes` or `CodeRefused`.

    `denied` holds card numbers (19 digits). Its caches have bounds, and hold nothing secret.
    """

    def __init__(
        self,
        rules: RideRules,
        used: UsedCodes,
        denied: Container[str],
        *,
        parts_max: int = PARTS_MAX,
        certificates_max: int = CERTIFICATES_MAX,
    ) -> None:
        self._rules = rules
        self._used = used
        self._denied = denied
        self._parts: _Bounded[bytes, _Known] = _Bounded(parts_max)
        self._certificates: _Bounded[bytes, _Trusted] = _Bounded(certificates_max)

    @property
    def remembered(self) -> tuple[int, int]:
        """How many issuer parts and certificates are remembered now."""
        return len(self._parts), len(self._certificates)

    def verify(self, code: bytes, now: int) -> RideAccepted:
        """Whose ride it is, at unix second `now`. The first reason against it is raised:

        malformed, version unknown; certificate expired, foreign, altered; account type refused;
        authorisation expired; expired, not yet valid, clock wrong; altered; used; denied.
        """
        generated_at, signature = ride_code.split_tail(code)
        part = code[HEAD.size : -TAIL_BYTES]
        known = self._parts.find(part)
        if known is None:
            known = self._admit(part, now)
        elif now >= known.certificate_ends_at:
            raise _certificate_expired()
        if now > known.authorised_until:
            raise CodeRefused(AUTHORISATION_EXPIRED_CODE, "the issuer's part is out of date")
        age, validity = now - generated_at, known.validity_seconds
        if not -validity <= age <= validity:
            raise _mistimed(age, validity)
        if not known.is_genuine(code[:-_SIGNED_BYTES], signature):
            raise CodeRefused(ALTERED_CODE, "the user's signature does not fit")
        ends_at = generated_at + validity + 1
        if not self._used.claim((known.card_number, generated_at), ends_at, now):
            raise CodeRefused(USED_CODE, "this code was shown before")
        if known.card_number in self._denied:
            raise CodeRefused(DENIED_CODE, "the card is on the deny list")
        return RideAccepted(known.part, generated_at)

    def _admit(self, body: bytes, now: int) -> _Known:
        """An issuer part seen for the first time; remembered only when it is genuine."""
        trusted = self._trust(body[:CERTIFICATE_BYTES], now)
        part = IssuerPart.decode(body)
        if part.issuer_id != trusted.certificate.issuer_id:
            raise CodeRefused(FOREIGN_CODE, "the issuer is not the certificate's")
        if not trusted.is_genuine(body[:-_SIGNED_BYTES], part.signature):
            raise CodeRefused(ALTERED_CODE, "the issuer's signature does not fit")
        if part.account_type not in self._rules.account_types:
            raise CodeRefused(ACCOUNT_TYPE_CODE, "cards of this type do not ride here")
        try:
            is_genuine = trusted.load(part.user_public_key)
        except MalformedBytes as error:
            raise MalformedBytes(ride_code.CODE, error.reason) from None
        known = _Known(
            part,
            trusted.ends_at,
            part.authorised_until,
            min(part.validity_seconds, self._rules.validity_seconds_max),
            part.card_number,
            is_genuine,
        )
        # Only now: the CA does not sign the whole certificate, but the issuer does.
        self._certificates.put(body[:CERTIFICATE_BYTES], trusted)
        self._parts.put(body, known)
        return known

    def _trust(self, body: bytes, now: int) -> _Trusted:
        trusted = self._certificates.find(body)
        if trusted is not None:
            if now >= trusted.ends_at:
                raise _certificate_expired()
            return trusted
        certificate = RideCertificate.decode(body)
        if now >= certificate.ends_at:
            raise _certificate_expired()
        ca_key = self._rules.ca_keys.get((certificate.ca_index, certificate.suite))
        load = self._rules.suites.get(certificate.suite)
        if ca_key is None or load is None or certificate.issuer_id not in self._rules.issuers:
            raise CodeRefused(FOREIGN_CODE, "no CA or issuer that this gate knows")
        if not load(ca_key)(certificate.body(), certificate.signature):
            raise CodeRefused(ALTERED_CODE, "the CA's signature does not fit")
        try:
            is_genuine = load(certificate.public_key)
        except MalformedBytes as error:
            raise MalformedBytes(ride_code.CODE, error.reason) from None
        return _Trusted(certificate, certificate.ends_at, is_genuine, load)


def _certificate_expired() -> CodeRefused:
    return CodeRefused(CERTIFICATE_EXPIRED_CODE, "the issuing body's certificate is out of date")


def _mistimed(age: int, validity: int) -> CodeRefused:
    if abs(abs(age) - CLOCK_WRONG_SECONDS) <= validity:
        return CodeRefused(CLOCK_WRONG_CODE, "made 8 hours from now: a time zone mixed up")
    if age > 0:
        return CodeRefused(EXPIRED_CODE, "shown too late")
    return CodeRefused(NOT_YET_VALID_CODE, "shown before its time")
