"""One-time codes: asked for, sent through the outbox, tried. Rows only inside a unit of work."""

from __future__ import annotations

import base64
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from backend.db import Work
from backend.identity.errors import (
    LoginCodeExpired,
    LoginCodeForeign,
    LoginCodeUsed,
    LoginCodeWrong,
    LoginLocked,
    LoginTooOften,
    LoginUnknown,
)
from backend.identity.model import (
    CODE_DIGITS,
    CODE_TRIES_MAX,
    CODE_TTL_SECONDS,
    CODES_PER_HOUR_MAX,
    next_code_at,
    seconds_up,
)
from backend.identity.states import CHALLENGE_FLOW, ChallengeEvent, ChallengeState, advance
from backend.identity.tables import login_challenge, login_phone
from backend.identity.vault import Vault
from backend.kernel import new_id
from backend.keys import KeyRef

LOGIN_CODE_REQUESTED = "login_code_requested"
"""Topic; payload: challenge_id, phone_index (hex), code (sealed, base64)."""

KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class LoginCode:
    """A code is on its way; it is not told here."""

    challenge_id: str
    expires_at: datetime
    resend_at: datetime


@dataclass(frozen=True, slots=True)
class Challenges:
    """Challenges of phones; who writes about a phone holds its row."""

    vault: Vault

    def hold_phone(self, work: Work, phone: str) -> bytes:
        """The phone's index; other writers about this phone wait until this work ends."""
        index = self.vault.index("phone", phone)
        touch = work.upsert_into(login_phone).values(phone_index=index, touched_at=work.now)
        work.execute(
            touch.on_conflict_do_update(
                index_elements=["phone_index"], set_={"touched_at": work.now}
            )
        )
        return index

    def make(self, work: Work, phone: str, language: str) -> LoginCode:
        """A new challenge, told to the outbox. Raises LoginTooOften."""
        index = self.hold_phone(work, phone)
        asked = self._asked(work, index)
        allowed_at = next_code_at(asked)
        if allowed_at is not None and work.now < allowed_at:
            raise LoginTooOften(retry_after_seconds=seconds_up(allowed_at - work.now))
        self._forget_old(work, index)
        challenge_id = new_id("otc")
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
        expires_at = work.now + timedelta(seconds=CODE_TTL_SECONDS)
        row = {
            "phone_index": index,
            "challenge_id": challenge_id,
            "phone_sealed": self.vault.seal(login_challenge.c.phone_sealed, challenge_id, phone),
            "code_mac": self._code_mac(challenge_id, code),
            "language": language,
            "state": ChallengeState.WAITING.value,
            "tries_left": CODE_TRIES_MAX,
            "delivery": "waiting",
            "asked_at": work.now,
            "expires_at": expires_at,
        }
        work.execute(insert(login_challenge), row)
        work.tell(
            LOGIN_CODE_REQUESTED,
            challenge_id=challenge_id,
            phone_index=index.hex(),
            code=self._seal_code(challenge_id, code),
        )
        resend_at = next_code_at([*asked, work.now])
        assert resend_at is not None
        return LoginCode(challenge_id, expires_at, resend_at)

    def get(self, work: Work, index: bytes, challenge_id: str) -> Row[Any]:
        """The challenge of this phone. Raises LoginCodeForeign, LoginUnknown."""
        row = self.find(work, index, challenge_id)
        if row is None:
            of_another = select(login_challenge.c.challenge_id).where(
                login_challenge.c.challenge_id == challenge_id
            )
            raise LoginUnknown if work.one(of_another) is None else LoginCodeForeign
        return row

    def find(self, work: Work, index: bytes, challenge_id: str) -> Row[Any] | None:
        return work.one(select(login_challenge).where(*_key(index, challenge_id)))

    def check_open(self, row: Row[Any], now: datetime) -> None:
        """Raises LoginCodeUsed, LoginCodeExpired, LoginLocked."""
        if row.state == ChallengeState.USED.value:
            raise LoginCodeUsed
        if row.expires_at <= now:
            raise LoginCodeExpired
        if row.state == ChallengeState.LOCKED.value:
            raise LoginLocked(retry_after_seconds=seconds_up(row.expires_at - now))

    def is_code(self, row: Row[Any], code: str) -> bool:
        return hmac.compare_digest(row.code_mac, self._code_mac(row.challenge_id, code))

    def count_miss(self, work: Work, row: Row[Any]) -> LoginCodeWrong:
        """One try less; the refusal to raise once that is committed."""
        left = row.tries_left - 1
        event = ChallengeEvent.MISS if left else ChallengeEvent.EXHAUST
        state = advance(CHALLENGE_FLOW, ChallengeState(row.state), event)
        self._change(work, row, state=state.value, tries_left=left)
        return LoginCodeWrong(tries_left=left)

    def use(self, work: Work, row: Row[Any], *, session_id: str, proof_mac: bytes) -> None:
        """The code is spent, for this session, by the request with this proof."""
        state = advance(CHALLENGE_FLOW, ChallengeState(row.state), ChallengeEvent.MATCH)
        self._change(
            work,
            row,
            state=state.value,
            session_id=session_id,
            proof_mac=proof_mac,
            used_at=work.now,
        )

    def mark_delivery(self, work: Work, row: Row[Any], delivery: str) -> None:
        self._change(work, row, delivery=delivery)

    def unseal_code(self, challenge_id: str, sealed: str) -> str:
        """The code of an event's payload; raises KeyUnknown for one that was moved or altered."""
        raw = base64.b64decode(sealed, validate=True)
        return self.vault.keys.decrypt(KeyRef.PII_CIPHER, raw, _code_place(challenge_id)).decode()

    def _seal_code(self, challenge_id: str, code: str) -> str:
        place = _code_place(challenge_id)
        return base64.b64encode(
            self.vault.keys.encrypt(KeyRef.PII_CIPHER, code.encode(), place)
        ).decode()

    def _code_mac(self, challenge_id: str, code: str) -> bytes:
        return self.vault.secret_mac("login_code", challenge_id, code)

    def _asked(self, work: Work, index: bytes) -> list[datetime]:
        """The last moments this phone asked, oldest first: as many as the limit needs."""
        newest = (
            select(login_challenge.c.asked_at)
            .where(login_challenge.c.phone_index == index)
            .order_by(login_challenge.c.asked_at.desc())
            .limit(CODES_PER_HOUR_MAX)
        )
        return sorted(work.execute(newest).scalars())

    def _forget_old(self, work: Work, index: bytes) -> None:
        """A phone number is kept no longer than its codes are of any use."""
        work.execute(
            delete(login_challenge).where(
                login_challenge.c.phone_index == index,
                login_challenge.c.asked_at < work.now - KEPT,
            )
        )

    def _change(self, work: Work, row: Row[Any], **values: object) -> None:
        where = _key(row.phone_index, row.challenge_id)
        work.execute(update(login_challenge).where(*where).values(**values))


def _key(index: bytes, challenge_id: str) -> tuple[Any, Any]:
    columns = login_challenge.c
    return columns.phone_index == index, columns.challenge_id == challenge_id


def _code_place(challenge_id: str) -> bytes:
    return f"outbox.login_code:{challenge_id}".encode()
