"""What a terminal is told to accept: its own facts and the city's configuration, also signed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from sqlalchemy import select

from backend.db import Operation, Units, Which, Work
from backend.keys import ISSUER_KEYS, KeyRef, Keys, key_thumbprint, point_to_jwk, public_jwk
from backend.merchants import tables
from backend.merchants.errors import (
    TerminalPlaceUnfit,
    TerminalProfileUnknown,
    TerminalUnknown,
)
from backend.merchants.model import (
    SHOP,
    Acceptance,
    AcceptedApplication,
    ClientKind,
    TerminalFacts,
)
from backend.merchants.rows import get_client
from backend.merchants.service import Merchants
from card_protocol.errors import MalformedBytes
from card_protocol.place import NO_STATION, Direction, TerminalPlace, require_fits
from card_protocol.signatures import Suite
from card_protocol.signed_document import encode_document
from card_protocol.terminal_profile import DOCUMENT_KIND, FORMAT, ProfileTerms, RideAuthorities

CURRENCY = 156  # ISO 4217: CNY
NO_LINE = "0000"
SLOTS = 8  # a signed profile is made anew this often within its validity
ALWAYS_CHANGING = ("profile_version", "deny_list_version")


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """Checks token certificates of this suite that name this index; only the pair is a name."""

    suite: Suite
    index: int
    point: bytes  # SEC1, 65 bytes, on the suite's curve


@dataclass(frozen=True, slots=True)
class TerminalProfile:
    """`profile_version` rises whenever anything here but `deny_list_version` changes."""

    profile_version: int
    terminal: TerminalFacts
    applications: tuple[AcceptedApplication, ...]
    issuer_keys: tuple[IssuerKey, ...]
    online_timeout_seconds: int
    profile_code: str
    terms: ProfileTerms
    place: TerminalPlace
    ride_codes: RideAuthorities | None
    deny_list_version: int
    currency: int = CURRENCY

    def to_document(self) -> dict[str, Any]:
        """The members that go over the wire."""
        return {
            "profile_version": self.profile_version,
            "terminal_id": self.terminal.terminal_id,
            "terminal_number": self.terminal.terminal_number,
            "merchant_number": self.terminal.merchant_number,
            "merchant_name": self.terminal.merchant_name,
            "shop_name": self.terminal.shop_name,
            "currency": self.currency,
            "applications": [
                {"aid": one.aid_hex, "label": one.label, "priority": one.priority}
                for one in self.applications
            ],
            "issuer_keys": [
                {
                    "suite": int(one.suite),
                    "index": one.index,
                    "public_key": point_to_jwk(one.point, one.suite),
                }
                for one in self.issuer_keys
            ],
            "online_timeout_seconds": self.online_timeout_seconds,
            "profile_code": self.profile_code,
            "deny_list_version": self.deny_list_version,
            "terms": self.terms.to_document(),
            "place": self.place.to_document(),
            "ride_codes": self.ride_codes.to_document() if self.ride_codes else None,
        }


@dataclass(frozen=True, slots=True)
class SignedProfile:
    """`document`: a JWS; `keys`: who may sign it, announced ones too; `tag` names what it says."""

    document: str
    keys: tuple[EllipticCurvePublicKey, ...]
    tag: str


@dataclass(frozen=True, slots=True)
class ChooseProfile:
    """What a terminal is for and where it stands, from now on: what is left out is forgotten."""

    terminal_id: str
    profile: str
    line: str = NO_LINE  # 4 hexadecimal digits each
    station: str = NO_STATION
    direction: Direction | None = None


@dataclass(frozen=True, slots=True)
class ChosenProfile:
    terminal_id: str
    profile: str
    line: str = NO_LINE
    station: str = NO_STATION
    direction: Direction | None = None


@dataclass(frozen=True, slots=True)
class TerminalProfiles:
    """`ride_codes` and `deny_list_version` come from domains above this one."""

    merchants: Merchants
    keys: Keys = field(repr=False)
    acceptance: Acceptance
    ride_codes: Callable[[], RideAuthorities | None] = lambda: None
    deny_list_version: Callable[[], int] = lambda: 0

    @property
    def units(self) -> Units:
        return self.merchants.units

    def choose(self, command: ChooseProfile, operation: Operation) -> ChosenProfile:
        """Raises TerminalUnknown, TerminalProfileUnknown, TerminalPlaceUnfit."""

        def decide(work: Work) -> ChosenProfile:
            if get_client(work, command.terminal_id).kind is not ClientKind.TERMINAL:
                raise TerminalUnknown
            terms = self._get_terms(command.profile)
            try:
                require_fits(terms, self._place_of(command))
            except MalformedBytes:
                raise TerminalPlaceUnfit from None
            _choose(work, command)
            return ChosenProfile(
                command.terminal_id,
                command.profile,
                command.line,
                command.station,
                command.direction,
            )

        return self.units.once(Which.BUSINESS, operation, decide)

    def get_profile(self, terminal_id: str) -> TerminalProfile:
        """Raises TerminalUnknown, TerminalNotActive, TerminalProfileUnknown."""
        facts = self.merchants.vouch_for_terminal(terminal_id)
        rows = tables.profile
        found = self.units.ask(
            Which.BUSINESS, select(rows).where(rows.c.client_id == facts.terminal_id)
        )
        chosen = _chosen(terminal_id, found[0] if found else None)
        draft, code = self._drafted(facts, chosen), chosen.profile
        digest = digest_of(draft)
        if found and found[0].digest == digest:
            return replace(draft, profile_version=found[0].version)
        return replace(draft, profile_version=self._next_version(terminal_id, code, digest))

    def get_signed(self, terminal_id: str) -> SignedProfile:
        """The same, signed for `terms.valid_seconds`. Raises what `get_profile` raises."""
        profile = self.get_profile(terminal_id)
        valid_seconds = profile.terms.valid_seconds
        now = int(self.units.clock.now().timestamp())
        issued_at = now - now % (valid_seconds // SLOTS)
        keys = tuple(self.keys.public_keys(KeyRef.TERMINAL_PROFILE).values())
        version = self.keys.active_version(KeyRef.TERMINAL_PROFILE)
        signing_key = self.keys.public_key(KeyRef.TERMINAL_PROFILE, version)
        claims = {
            "format": FORMAT,
            "sub": terminal_id,
            "iat": issued_at,
            "exp": issued_at + valid_seconds,
            "profile": profile.to_document(),
            "keys": [public_jwk(key) for key in keys],
        }
        document = encode_document(
            DOCUMENT_KIND,
            key_thumbprint(signing_key),
            claims,
            lambda text: self.keys.sign(KeyRef.TERMINAL_PROFILE, text, version),
        )
        tag = hashlib.sha256(_canonical({**claims, "kid": version})).hexdigest()[:32]
        return SignedProfile(document, keys, tag)

    def _drafted(self, facts: TerminalFacts, chosen: ChooseProfile) -> TerminalProfile:
        terms = self._get_terms(chosen.profile)
        return TerminalProfile(
            profile_version=0,
            terminal=facts,
            applications=self.acceptance.applications_for(terms),
            issuer_keys=tuple(
                IssuerKey(suite, version, point)
                for suite, ref in ISSUER_KEYS.items()
                for version, point in self.keys.public_points(ref).items()
            ),
            online_timeout_seconds=self.acceptance.online_timeout_seconds,
            profile_code=chosen.profile,
            terms=terms,
            place=self._place_of(chosen),
            ride_codes=self.ride_codes(),
            deny_list_version=self.deny_list_version(),
        )

    def _place_of(self, chosen: ChooseProfile) -> TerminalPlace:
        """The city's ids, the terminal's own place. Raises MalformedBytes."""
        return replace(
            self.acceptance.place,
            line=bytes.fromhex(chosen.line),
            station=chosen.station,
            direction=chosen.direction,
        )

    def _get_terms(self, code: str) -> ProfileTerms:
        """Raises TerminalProfileUnknown."""
        terms = self.acceptance.profiles.get(code)
        if terms is None:
            raise TerminalProfileUnknown(profile=code)
        return terms

    def _next_version(self, terminal_id: str, code: str, digest: str) -> int:
        """The version that says this: one more than the last, unless somebody was quicker."""
        rows = tables.profile
        with self.units.write(Which.BUSINESS) as work:
            first = {"client_id": terminal_id, "profile_code": code, "version": 1}
            insert = work.upsert_into(rows).values(**first, digest=digest, changed_at=work.now)
            work.execute(
                insert.on_conflict_do_update(
                    index_elements=["client_id"],
                    set_={
                        "version": rows.c.version + 1,
                        "digest": digest,
                        "changed_at": work.now,
                    },
                    where=(rows.c.digest.is_(None)) | (rows.c.digest != digest),
                )
            )
            row = work.one(select(rows.c.version).where(rows.c.client_id == terminal_id))
            assert row is not None
            return int(row.version)


def digest_of(profile: TerminalProfile) -> str:
    """What a version stands for: everything but what changes without anybody's doing."""
    document = profile.to_document()
    for name in ALWAYS_CHANGING:
        del document[name]
    return hashlib.sha256(_canonical(document)).hexdigest()


def _choose(work: Work, command: ChooseProfile) -> None:
    chosen = {
        "profile_code": command.profile,
        "line": command.line,
        "station": command.station,
        "direction": None if command.direction is None else command.direction.value,
    }
    row = {"client_id": command.terminal_id, **chosen}
    insert = work.upsert_into(tables.profile).values(**row, version=0, changed_at=work.now)
    work.execute(insert.on_conflict_do_update(index_elements=["client_id"], set_=chosen))


def _chosen(terminal_id: str, row: Any) -> ChooseProfile:
    """What staff chose last; a shop where nobody did."""
    if row is None:
        return ChooseProfile(terminal_id, SHOP)
    direction = None if row.direction is None else Direction(row.direction)
    return ChooseProfile(terminal_id, row.profile_code, row.line, row.station, direction)


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
