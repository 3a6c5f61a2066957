"""Takes or refuses a card without the backend, in the order of design A.2. Pure: no clock, no disk.

A refusal names the first reason. Whether asking online may still help is part of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from card_protocol.certificate import Certificate, verify_certificate
from card_protocol.checks import digits_from_bcd
from card_protocol.deny_list import DenyKind, DenyList
from card_protocol.epurse import files
from card_protocol.epurse.files import PublicData
from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import GpoResponse, is_signed_by_device
from card_protocol.terminal_profile import Means
from reader_bridge.amounts import format_yuan
from reader_bridge.clock import CHINA
from reader_bridge.faults import CardFault, TerminalFault
from reader_bridge.journal import Usage
from reader_bridge.offline.standing import Level, standing_of
from reader_bridge.profile import SignedProfile

CERTIFICATES_MAX: Final = 4096

# What the backend would refuse as well: asking it only costs time.
FINAL: Final = frozenset(
    {
        "card_denied",
        "certificate_not_genuine",
        "certificate_expired",
        "certificate_not_yet_valid",
        "signature_invalid",
        "card_answer_malformed",
        "purse_foreign",
        "purse_expired",
        "purse_not_yet_valid",
    }
)

CertificateCheck = Callable[[Certificate, bytes], bool]
"""(certificate, issuer's SEC1 point) -> is it genuine; says nothing of time."""


@dataclass(frozen=True, slots=True)
class MobileCardFacts:
    """What a mobile card said to a sale of `amount_fen`."""

    amount_fen: int
    certificate: Certificate
    pdol_data: bytes
    response: GpoResponse


@dataclass(frozen=True, slots=True)
class PurseFacts:
    """What an e-purse says of itself, before it is debited. The SAM checks that it is genuine."""

    amount_fen: int
    public: PublicData


@dataclass(frozen=True, slots=True)
class Accept:
    """Taken, once the journal has it."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Not taken offline; `code` is CardFault's, or TerminalFault's where no card is to blame."""

    code: str
    limit_fen: int | None = None

    @property
    def may_ask_online(self) -> bool:
        """Whether the backend may still say yes."""
        return self.code not in FINAL

    def fault(self) -> CardFault | TerminalFault:
        if self.code in TerminalFault.TEXTS:
            return TerminalFault(self.code)
        if self.limit_fen is None:
            return CardFault(self.code)
        return CardFault(self.code, limit_yuan=format_yuan(self.limit_fen))


@dataclass(frozen=True, slots=True)
class GenuineCertificates:
    """Remembers certificates found genuine, by hash of certificate and key; bounded."""

    check: CertificateCheck = verify_certificate
    most: int = CERTIFICATES_MAX
    _known: dict[bytes, None] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, certificate: Certificate, point: bytes) -> bool:
        name = hashlib.sha256(point + certificate.encode()).digest()
        if name in self._known:
            return True
        if not self.check(certificate, point):
            return False
        if len(self._known) >= self.most:
            del self._known[next(iter(self._known))]
        self._known[name] = None
        return True


@dataclass(frozen=True, slots=True)
class _Moment:
    """What a decision stands on beside the card."""

    profile: SignedProfile
    deny_list: DenyList | None
    usage: Usage
    now: int


def decide(
    facts: MobileCardFacts | PurseFacts,
    profile: SignedProfile | None,
    deny_list: DenyList | None,
    usage: Usage,
    now: int,
    *,
    is_genuine: CertificateCheck = verify_certificate,
) -> Accept | Refuse:
    """Whether a sale may be kept and uploaded later, at unix second `now`.

    Order: age of profile and deny list; for a mobile card certificate (issuer's key, validity),
    deny list, signature, limits, counter; for a purse issuer, validity, deny list, limits.
    """
    if profile is None:
        return Refuse("profile_missing")
    moment = _Moment(profile, deny_list, usage, now)
    try:
        if isinstance(facts, MobileCardFacts):
            return next(_mobile_card(facts, moment, is_genuine), Accept())
        return next(_purse(facts, moment), Accept())
    except MalformedBytes:
        return Refuse("card_answer_malformed")


def within_limits(
    amount_fen: int,
    profile: SignedProfile,
    deny_list: DenyList | None,
    usage: Usage,
    now: int,
) -> Accept | Refuse:
    """The last part of `decide` alone, for what no card shows: a ride code that was checked."""
    return next(_limits(_Moment(profile, deny_list, usage, now), amount_fen), Accept())


def _mobile_card(
    facts: MobileCardFacts, moment: _Moment, is_genuine: CertificateCheck
) -> Iterator[Refuse]:
    certificate = facts.certificate
    yield from _standing(moment, Means.MOBILE_CARD)
    point = moment.profile.issuer_keys.get((certificate.suite, certificate.issuer_key_index))
    if point is None:
        yield Refuse("issuer_key_unknown")
    elif not is_genuine(certificate, point):
        yield Refuse("certificate_not_genuine")
    if moment.now < certificate.not_before:
        yield Refuse("certificate_not_yet_valid")
    if moment.now > certificate.not_after:
        yield Refuse("certificate_expired")
    yield from _denied(moment, DenyKind.TOKEN, certificate.token_number)
    if not is_signed_by_device(certificate, facts.pdol_data, facts.response):
        yield Refuse("signature_invalid")
    yield from _certificate_limits(certificate, facts.amount_fen, moment.usage)
    yield from _limits(moment, facts.amount_fen)
    if moment.usage.last_atc is not None and facts.response.atc <= moment.usage.last_atc:
        yield Refuse("counter_not_rising")


def _purse(facts: PurseFacts, moment: _Moment) -> Iterator[Refuse]:
    public = facts.public
    yield from _standing(moment, Means.EPURSE)
    if public.issuer not in moment.profile.terms.purse_issuers:
        yield Refuse("purse_foreign")
    today = datetime.fromtimestamp(moment.now, UTC).astimezone(CHINA).strftime("%Y%m%d")
    if today < digits_from_bcd(public.start, files.CODE, "start"):
        yield Refuse("purse_not_yet_valid")
    if today > digits_from_bcd(public.expiry, files.CODE, "expiry"):
        yield Refuse("purse_expired")
    yield from _denied(moment, DenyKind.PURSE, public.serial.hex())
    yield from _limits(moment, facts.amount_fen)


def _standing(moment: _Moment, means: Means) -> Iterator[Refuse]:
    standing = standing_of(moment.profile, moment.deny_list, moment.now)
    code = standing.refusal_of(moment.profile, means)
    if code is not None:
        yield Refuse(code)


def _denied(moment: _Moment, kind: DenyKind, digits: str) -> Iterator[Refuse]:
    """Raises MalformedBytes for a number that no list could hold: such a card is not taken."""
    if moment.deny_list is None:
        yield Refuse("deny_list_missing")
    elif moment.deny_list.is_denied(kind, digits):
        yield Refuse("card_denied")


def _certificate_limits(
    certificate: Certificate, amount_fen: int, usage: Usage
) -> Iterator[Refuse]:
    if certificate.offline_sale_max_fen == 0:
        yield Refuse("offline_not_allowed")
    if amount_fen > certificate.offline_sale_max_fen:
        yield Refuse("offline_sale_too_large", certificate.offline_sale_max_fen)
    if usage.card_sum_fen + amount_fen > certificate.offline_sum_max_fen:
        yield Refuse("offline_card_sum_reached")


def _limits(moment: _Moment, amount_fen: int) -> Iterator[Refuse]:
    terms, usage = moment.profile.terms, moment.usage
    limits, sale_max_fen = terms.offline, terms.offline.sale_max_fen
    if standing_of(moment.profile, moment.deny_list, moment.now).level is not Level.FULL:
        sale_max_fen = min(sale_max_fen, terms.when_expired.sale_max_fen)
    if amount_fen > sale_max_fen:
        yield Refuse("offline_sale_too_large", sale_max_fen)
    if usage.card_sum_fen + amount_fen > limits.card_sum_max_fen:
        yield Refuse("offline_card_sum_reached")
    if usage.card_count + 1 > limits.card_count_max:
        yield Refuse("offline_card_count_reached")
    if usage.sum_fen + amount_fen > limits.sum_max_fen:
        yield Refuse("offline_sum_reached")
    if usage.count + 1 > limits.count_max:
        yield Refuse("offline_count_reached")
    if usage.oldest_at is not None and moment.now - usage.oldest_at > limits.age_max_seconds:
        yield Refuse("offline_too_long")
