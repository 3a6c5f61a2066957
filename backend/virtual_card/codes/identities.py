"""Identity codes: the issuer's part, and the release of what the holder agreed to, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from sqlalchemy import Row, select

from backend.db import Units, Which, Work
from backend.kernel import DomainError, check_id, new_id
from backend.keys import KeyRef, Keys
from backend.virtual_card import tables as card_tables
from backend.virtual_card.cards import require_usable
from backend.virtual_card.codes import errors, tables
from backend.virtual_card.codes.model import (
    PART_HOURS,
    REPEAT_SECONDS,
    IdentityKeys,
    IdentityRelease,
    NumberedKey,
    SignedPart,
    claims_of,
)
from backend.virtual_card.codes.rides import get_code_key, get_usable_token
from backend.virtual_card.codes.verifiers import IdentityVerifiers
from backend.web import Page
from card_protocol import identity_code
from card_protocol.code_keys import load_es256
from card_protocol.errors import CodeRefused, MalformedBytes
from card_protocol.identity_code import Claim, IdentityCode, IdentityCodeVerifier, IdentityPart
from card_protocol.pay_code import SHORT_NUMBER_DIGITS
from card_protocol.signatures import Suite

HANDLE_CONTEXT = b"identity code handle 1"
HANDLE_PLAIN_BYTES = 4
REFUSALS: Mapping[str, type[DomainError]] = {
    identity_code.CODE: errors.IdentityCodeMalformed,
    identity_code.FOREIGN_CODE: errors.IdentityCodeForeign,
    identity_code.ALTERED_CODE: errors.IdentityCodeAltered,
    identity_code.AUTHORISATION_EXPIRED_CODE: errors.IdentityCodeAuthorisationExpired,
    identity_code.EXPIRED_CODE: errors.IdentityCodeExpired,
    identity_code.NOT_YET_VALID_CODE: errors.IdentityCodeNotYetValid,
    identity_code.CLOCK_WRONG_CODE: errors.IdentityCodeClockWrong,
}


class PersonShown(Protocol):
    """A person as others may see them."""

    @property
    def registered(self) -> bool: ...

    @property
    def phone_masked(self) -> str: ...

    @property
    def name_masked(self) -> str | None: ...

    @property
    def id_number_masked(self) -> str | None: ...


class People(Protocol):
    """What is asked of the base records."""

    def get_person(self, person_id: str) -> PersonShown:
        """Masked."""

    def get_name(self, person_id: str) -> str:
        """The real name."""


@dataclass(frozen=True, slots=True)
class ReleaseIdentity:
    """A registered verifier read a code. `request_id` is the verifier's own (idq_…)."""

    merchant_id: str
    client_id: str
    request_id: str
    content: str


@dataclass(frozen=True, slots=True)
class IdentityCodes:
    """Nothing personal is kept here: what was told is read anew when a lost answer is repeated."""

    units: Units
    keys: Keys = field(repr=False)
    verifiers: IdentityVerifiers
    people: People

    def issue(self, person_id: str, token_id: str) -> SignedPart:
        """The part for a day. Raises TokenUnknown, TokenSuspended, TokenDeleted."""
        token, user_key, now = get_usable_token(self.units, person_id, token_id)
        until = now + timedelta(hours=PART_HOURS)
        version = self.keys.active_version(KeyRef.ISSUER_SIGNING)
        plain = int(token.short_number).to_bytes(HANDLE_PLAIN_BYTES)
        part = IdentityPart(
            suite=Suite.AES_ES256,
            issuer_key_index=version,
            handle=self.keys.encrypt(KeyRef.PII_CIPHER, plain, HANDLE_CONTEXT),
            user_public_key=user_key,
            authorised_until=int(until.timestamp()),
        ).signed_by(lambda body: self.keys.sign(KeyRef.ISSUER_SIGNING, body, version))
        return SignedPart(part.encode(), until.replace(microsecond=0))

    def issuer_keys(self, merchant_id: str) -> IdentityKeys:
        """For checks offline. Raises IdentityVerifierUnknown."""
        self.verifiers.get(merchant_id)
        return IdentityKeys(Suite.AES_ES256, self._issuer_keys())

    def release(self, command: ReleaseIdentity) -> IdentityRelease:
        """Exactly the claims the holder agreed to; the code is used up by it.

        No Operation here: answers kept under one would keep a name in plain. The request_id makes
        the repeat safe for some minutes. Raises IdInvalid, IdentityVerifierUnknown, what REFUSALS
        has, IdentityPurposeRefused, IdentityClaimsRefused, TokenSuspended, TokenDeleted,
        IdentityCodeUsed.
        """
        check_id(command.request_id, "idq")
        verifier = self.verifiers.get(command.merchant_id)
        code = self._genuine(command.content)
        _check_allowed(verifier, code)
        with self.units.write(Which.BUSINESS) as work:
            token = self._token(work, code)
            require_usable(token.state)
            row = _use(work, token, code, command)
        return IdentityRelease(
            release_id=row.release_id,
            merchant_id=row.merchant_id,
            purpose=code.purpose.name.lower(),
            claims=claims_of(row.claims),
            released_at=row.released_at,
            values=self._values(token.person_id, code.claims),
        )

    def list(self, person_id: str, limit: int, after: str | None) -> Page[IdentityRelease]:
        """Who learnt what of a person, without the values, in the order it happened."""
        rows = tables.release
        query = select(rows).where(rows.c.person_id == person_id)
        if after is not None:
            query = query.where(rows.c.release_id > after)
        with self.units.read(Which.BUSINESS) as work:
            found = work.execute(query.order_by(rows.c.release_id).limit(limit + 1)).all()
        releases = [_release_of(row) for row in found[:limit]]
        return Page(releases, releases[-1].release_id if len(found) > limit else None)

    def _genuine(self, content: str) -> IdentityCode:
        keys = {(one.index, Suite.AES_ES256): one.public_key for one in self._issuer_keys()}
        verifier = IdentityCodeVerifier(keys, {Suite.AES_ES256: load_es256})
        try:
            return verifier.verify(content, int(self.units.clock.now().timestamp()))
        except (MalformedBytes, CodeRefused) as error:
            raise REFUSALS[error.code] from None

    def _token(self, work: Work, code: IdentityCode) -> Row[Any]:
        """The token behind a genuine code's handle. Raises IdentityCodeAltered."""
        plain = self.keys.decrypt(KeyRef.PII_CIPHER, code.part.handle, HANDLE_CONTEXT)
        numbers, tokens = card_tables.short_number, card_tables.token
        short_number = f"{int.from_bytes(plain):0{SHORT_NUMBER_DIGITS}d}"
        token_id = work.execute(
            select(numbers.c.token_id).where(numbers.c.short_number == short_number)
        ).scalar()
        token = work.one(select(tokens).where(tokens.c.token_id == token_id))
        if token is None or get_code_key(work, token) != code.part.user_public_key:
            raise errors.IdentityCodeAltered
        return token

    def _issuer_keys(self) -> tuple[NumberedKey, ...]:
        """Those whose parts may still be shown."""
        return NumberedKey.all_of(self.keys.public_keys(KeyRef.ISSUER_SIGNING))

    def _values(self, person_id: str, claims: Claim) -> Mapping[str, object]:
        person = self.people.get_person(person_id)
        asked: Mapping[Claim, Callable[[], object]] = {
            Claim.REGISTERED: lambda: person.registered,
            Claim.NAME_MASKED: lambda: person.name_masked,
            Claim.NAME: lambda: self.people.get_name(person_id),
            Claim.ID_NUMBER_MASKED: lambda: person.id_number_masked,
            Claim.PHONE_MASKED: lambda: person.phone_masked,
        }
        return {str(one.name).lower(): tell() for one, tell in asked.items() if one in claims}


def _check_allowed(verifier: Row[Any], code: IdentityCode) -> None:
    if not verifier.purposes >> code.purpose & 1:
        raise errors.IdentityPurposeRefused(purpose=code.purpose.name.lower())
    if beyond := code.claims & ~verifier.claims:
        raise errors.IdentityClaimsRefused(claims=", ".join(claims_of(beyond)))


def _use(work: Work, token: Row[Any], code: IdentityCode, command: ReleaseIdentity) -> Row[Any]:
    """Claims the code for this request. Raises IdentityCodeUsed when another one had it."""
    rows = tables.release
    fresh = {
        "person_id": token.person_id,
        "nonce": code.nonce.hex(),
        "release_id": new_id("idr"),
        "request_id": command.request_id,
        "token_id": token.token_id,
        "merchant_id": command.merchant_id,
        "client_id": command.client_id,
        "purpose": int(code.purpose),
        "claims": int(code.claims),
        "released_at": work.now,
    }
    is_first = work.insert_new(rows, fresh)
    there = select(rows).where(
        rows.c.person_id == fresh["person_id"], rows.c.nonce == fresh["nonce"]
    )
    row = work.execute(there).one()
    names = ("request_id", "token_id", "merchant_id", "purpose", "claims")
    is_same = all(row._mapping[name] == fresh[name] for name in names)
    is_late = work.now - row.released_at > timedelta(seconds=REPEAT_SECONDS)
    if not is_first and (not is_same or is_late):
        raise errors.IdentityCodeUsed
    return row


def _release_of(row: Row[Any]) -> IdentityRelease:
    purpose = identity_code.Purpose(row.purpose).name.lower()
    return IdentityRelease(
        row.release_id, row.merchant_id, purpose, claims_of(row.claims), row.released_at, {}
    )
