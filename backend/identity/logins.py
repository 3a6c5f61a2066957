"""Log-in by phone and one-time code; sessions whose refresh token rotates, bound to a device."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Row, insert, select, update

from backend.db import Units, Which, Work
from backend.identity.challenges import Challenges, LoginCode
from backend.identity.errors import LoginCodeUsed, RefreshInvalid, RefreshReused, SessionEnded
from backend.identity.model import check_phone
from backend.identity.persons import Persons
from backend.identity.refresh_tokens import RefreshToken, first_token, parse_token
from backend.identity.states import (
    SESSION_FLOW,
    ChallengeState,
    PersonState,
    SessionEvent,
    SessionState,
    advance,
)
from backend.identity.tables import login_session
from backend.identity.vault import Vault
from backend.kernel import DomainError, new_id
from backend.keys import Keys, key_thumbprint
from backend.web import AccessTokens, Caller, CallerKind, ProofInvalid, check_proof

LOGIN_PATH = "/v1/login/sessions"
REFRESH_PATH = "/v1/login/refresh"
REFRESH_TTL = timedelta(days=30)
REPEAT_WINDOW = timedelta(seconds=60)
# A phone that lost the answer of a rotation may be out of reach for long; the repeat needs the
# device key and the first proof's jti, so a stolen token alone gains nothing by waiting.
ROTATION_REPEAT_WINDOW = timedelta(days=1)
"""How long an identical request hears its first answer again: the phone lost it."""


@dataclass(frozen=True, slots=True)
class LogIn:
    """A code read from the SMS, and the device key the session shall be bound to."""

    challenge_id: str
    phone: str = field(repr=False)
    code: str = field(repr=False)
    device_key: ec.EllipticCurvePublicKey
    device_name: str = field(repr=False)
    proof: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a log-in or a refresh brings."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    session_id: str
    registered: bool
    token_type: str = "Bearer"  # noqa: S105 - RFC 6750, no secret


@dataclass(frozen=True, slots=True)
class Logins:
    """Codes asked for, sessions opened and renewed."""

    units: Units
    keys: Keys
    tokens: AccessTokens

    def ask_code(self, phone: str, language: str = "zh") -> LoginCode:
        """Send a code by SMS, in `language` "zh" or "en". Raises PhoneInvalid, LoginTooOften."""
        check_phone(phone)
        with self.units.write(Which.IDENTITY) as work:
            return self._challenges.make(work, phone, language)

    def log_in(self, command: LogIn) -> Tokens:
        """Open a session; a phone never seen becomes a person.

        The very same request again within 60 s hears the same session again.
        Raises PhoneInvalid, ProofInvalid, LoginUnknown, LoginCodeForeign, LoginCodeUsed,
        LoginCodeExpired, LoginLocked, LoginCodeWrong.
        """
        check_phone(command.phone)
        claims = check_proof(
            command.proof, command.device_key, audience=LOGIN_PATH, now=self.units.clock.now()
        )
        if claims["jti"] != command.challenge_id:
            raise ProofInvalid
        with self.units.write(Which.IDENTITY) as work:
            outcome = self._log_in(work, command)
        if isinstance(outcome, DomainError):  # raised here: what a wrong try cost stays
            raise outcome
        return outcome

    def refresh(self, refresh_token: str, proof: str) -> Tokens:
        """Rotate the refresh token; an old one seen again ends its session.

        The same token with the same proof jti again within 60 s hears the same new token.
        Raises RefreshInvalid, ProofInvalid, RefreshReused, SessionEnded.
        """
        token = parse_token(self._vault, refresh_token)
        with self.units.read(Which.IDENTITY) as work:
            device_key = _device_key(_get_session(work, token.session_id))
        claims = check_proof(proof, device_key, audience=REFRESH_PATH, now=self.units.clock.now())
        with self.units.write(Which.IDENTITY) as work:
            outcome = self._refresh(work, token, claims["jti"])
        if isinstance(outcome, DomainError):  # raised here: the session stays ended
            raise outcome
        return outcome

    @property
    def _vault(self) -> Vault:
        return Vault(self.keys)

    @property
    def _challenges(self) -> Challenges:
        return Challenges(self._vault)

    @property
    def _persons(self) -> Persons:
        return Persons(self._vault)

    def _log_in(self, work: Work, command: LogIn) -> Tokens | DomainError:
        challenges = self._challenges
        index = challenges.hold_phone(work, command.phone)
        row = challenges.get(work, index, command.challenge_id)
        if row.state == ChallengeState.USED.value:
            return self._repeat_log_in(work, row, command)
        challenges.check_open(row, work.now)
        if not challenges.is_code(row, command.code):
            return challenges.count_miss(work, row)
        person_id = self._persons.find_by_phone(work, command.phone)
        person_id = person_id or self._persons.make(work, command.phone)
        token = self._open_session(work, person_id, command)
        challenges.use(work, row, session_id=token.session_id, proof_mac=self._proof_mac(command))
        return self._say(work, person_id, token)

    def _repeat_log_in(self, work: Work, row: Row[Any], command: LogIn) -> Tokens:
        """The first answer again, to the bytes of its request only. Raises LoginCodeUsed."""
        session = _get_session(work, row.session_id, locked=True)
        is_same = hmac.compare_digest(row.proof_mac, self._proof_mac(command))
        is_fresh = work.now <= row.used_at + REPEAT_WINDOW and session.generation == 0
        is_open = session.state == SessionState.OPEN.value
        if not (is_same and is_fresh and is_open and self._challenges.is_code(row, command.code)):
            raise LoginCodeUsed
        token = first_token(self._vault, row.session_id, session.device_thumbprint)
        return self._say(work, session.person_id, token)

    def _proof_mac(self, command: LogIn) -> bytes:
        return self._vault.secret_mac("login_proof", command.proof)

    def _open_session(self, work: Work, person_id: str, command: LogIn) -> RefreshToken:
        session_id = new_id("ses")
        thumbprint = key_thumbprint(command.device_key)
        token = first_token(self._vault, session_id, thumbprint)
        name_column = login_session.c.device_name_sealed
        row = {
            "session_id": session_id,
            "person_id": person_id,
            "state": SessionState.OPEN.value,
            "device_key": command.device_key.public_bytes(
                Encoding.X962, PublicFormat.UncompressedPoint
            ),
            "device_thumbprint": thumbprint,
            "device_name_sealed": self._vault.seal(name_column, session_id, command.device_name),
            "generation": 0,
            "refresh_mac": token.mac(self._vault),
            "rotated_at": work.now,
            "expires_at": work.now + REFRESH_TTL,
            "created_at": work.now,
        }
        work.execute(insert(login_session), row)
        return token

    def _refresh(self, work: Work, token: RefreshToken, jti: str) -> Tokens | DomainError:
        session = _get_session(work, token.session_id, locked=True)
        if session.state == SessionState.ENDED.value or session.expires_at <= work.now:
            return SessionEnded()
        mac = token.mac(self._vault)
        following = token.next(self._vault, jti)
        if hmac.compare_digest(mac, session.refresh_mac):
            self._rotate(work, session, mac, following, jti)
            return self._say(work, session.person_id, following)
        if self._is_repeat(work, session, mac, jti):
            return self._say(work, session.person_id, following)
        if token.generation < session.generation:
            _change(work, session, SessionEvent.END, ended_at=work.now)
            return RefreshReused()
        return RefreshInvalid()

    def _is_repeat(self, work: Work, session: Row[Any], mac: bytes, jti: str) -> bool:
        if session.spent_mac is None or work.now > session.rotated_at + ROTATION_REPEAT_WINDOW:
            return False
        same_token = hmac.compare_digest(mac, session.spent_mac)
        return same_token and hmac.compare_digest(self._jti_mac(jti), session.spent_jti_mac)

    def _rotate(
        self, work: Work, session: Row[Any], spent_mac: bytes, following: RefreshToken, jti: str
    ) -> None:
        _change(
            work,
            session,
            SessionEvent.ROTATE,
            generation=following.generation,
            refresh_mac=following.mac(self._vault),
            spent_mac=spent_mac,
            spent_jti_mac=self._jti_mac(jti),
            rotated_at=work.now,
            expires_at=work.now + REFRESH_TTL,
        )

    def _jti_mac(self, jti: str) -> bytes:
        return self._vault.secret_mac("refresh_jti", jti)

    def _say(self, work: Work, person_id: str, token: RefreshToken) -> Tokens:
        person = self._persons.get(work, person_id)
        context = {"session_id": token.session_id}
        caller = Caller(CallerKind.CITIZEN, person_id, frozenset({"me"}), context)
        return Tokens(
            access_token=self.tokens.issue(caller),
            refresh_token=token.text,
            expires_in=self.tokens.ttl_seconds,
            session_id=token.session_id,
            registered=person.state == PersonState.REGISTERED.value,
        )


def _get_session(work: Work, session_id: str, *, locked: bool = False) -> Row[Any]:
    query = select(login_session).where(login_session.c.session_id == session_id)
    row = work.one(query.with_for_update() if locked else query)
    if row is None:
        raise RefreshInvalid
    return row


def _device_key(session: Row[Any]) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), session.device_key)


def _change(work: Work, session: Row[Any], event: SessionEvent, **values: object) -> None:
    state = advance(SESSION_FLOW, SessionState(session.state), event)
    key = login_session.c.session_id == session.session_id
    work.execute(update(login_session).where(key).values(state=state.value, **values))
