"""The issuer's part of ride codes: vouches for a token's device key for a day; stores nothing."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select

from backend.db import Units, Which, Work
from backend.keys import KeyRef, Keys
from backend.virtual_card import tables
from backend.virtual_card.cards import require_usable
from backend.virtual_card.codes.model import (
    PART_HOURS,
    NumberedKey,
    RideKeys,
    RideTerms,
    SignedPart,
)
from backend.virtual_card.errors import TokenUnknown
from backend.virtual_card.rows import get_device
from card_protocol import ride_code
from card_protocol.ride_certificate import EXPIRY_ZONE
from card_protocol.ride_code import IssuerPart, RideCertificate
from card_protocol.signatures import compressed_point

CERTIFICATE_YEARS = 1
SERIAL = bytes.fromhex("000001")


@dataclass(frozen=True, slots=True)
class RideCodes:
    """One read: the part a phone fetches once a day (B.3.4, fields 3 to 15)."""

    units: Units
    keys: Keys = field(repr=False)
    terms: RideTerms
    _certificates: dict[tuple[int, ...], RideCertificate] = field(
        default_factory=dict, init=False, repr=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def issue(self, person_id: str, token_id: str) -> SignedPart:
        """Raises TokenUnknown, TokenSuspended, TokenDeleted."""
        token, user_key, now = get_usable_token(self.units, person_id, token_id)
        version = self.keys.active_version(KeyRef.RIDE_ISSUER)
        certificate = self._certificate(now, version)
        until = now + timedelta(hours=PART_HOURS)
        part = IssuerPart(
            certificate=certificate,
            account_number=token.short_number.rjust(ride_code.ACCOUNT_NUMBER_CHARACTERS, "0"),
            card_number=token.token_number,
            issuer_id=self.terms.issuer_id,
            platform_id=self.terms.platform_id,
            account_type=self.terms.account_type,
            ride_max_fen=self.terms.ride_max_fen,
            user_public_key=user_key,
            authorised_until=int(until.timestamp()),
        ).signed_by(lambda body: self.keys.sign(KeyRef.RIDE_ISSUER, body, version))
        return SignedPart(part.encode(), until.replace(microsecond=0))

    def gate_keys(self) -> RideKeys:
        """What a gate is told to accept."""
        return RideKeys(
            suite=self.terms.suite,
            ca_keys=NumberedKey.all_of(self.keys.public_keys(KeyRef.RIDE_CA)),
            issuer_id=self.terms.issuer_id,
            account_types=(self.terms.account_type,),
            validity_seconds_max=ride_code.VALIDITY_SECONDS,
        )

    def _certificate(self, now: datetime, version: int) -> RideCertificate:
        """The same bytes all month: gates remember a certificate they have checked by its bytes."""
        local = now.astimezone(EXPIRY_ZONE)
        ca_version = self.keys.active_version(KeyRef.RIDE_CA)
        wanted = (local.year, local.month, ca_version, version)
        with self._lock:
            if wanted not in self._certificates:
                self._certificates.clear()
                self._certificates[wanted] = self._make_certificate(*wanted)
            return self._certificates[wanted]

    def _make_certificate(
        self, year: int, month: int, ca_version: int, version: int
    ) -> RideCertificate:
        return RideCertificate(
            ca_index=ca_version,
            issuer_id=self.terms.issuer_id,
            expiry_month=month,
            expiry_year=year + CERTIFICATE_YEARS,
            serial=SERIAL,
            suite=self.terms.suite,
            public_key=compressed_point(self.keys.public_key(KeyRef.RIDE_ISSUER, version)),
        ).signed_by(lambda body: self.keys.sign(KeyRef.RIDE_CA, body, ca_version))


def get_usable_token(
    units: Units, person_id: str, token_id: str
) -> tuple[Row[Any], bytes, datetime]:
    """(this person's token, the key of codes about it, now).

    Raises TokenUnknown, TokenPending, TokenSuspended, TokenDeleted.
    """
    with units.read(Which.BUSINESS) as work:
        row = work.one(select(tables.token).where(tables.token.c.token_id == token_id))
        if row is None or row.person_id != person_id:
            raise TokenUnknown
        require_usable(row.state)
        return row, get_code_key(work, row), work.now


def get_code_key(work: Work, token: Row[Any]) -> bytes:
    """The P-256 key of the token's phone (SEC1, 33 bytes): ride and identity codes are ES256 on
    cards of every suite, since a gate or a verifier knows one suite (docs/adr/0019)."""
    return get_device(work, token.person_id, token.device_id).signing_key
