"""What the city asks of an SMS centre, and the consumer that sends one-time codes through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from sqlalchemy import Row

from backend.db import Event, Units, Which, Work
from backend.identity.challenges import Challenges
from backend.identity.states import ChallengeState
from backend.identity.tables import login_challenge
from backend.identity.vault import Vault
from backend.kernel import Words
from backend.keys import Keys

log = structlog.get_logger(__name__)

CODE_TEXT = Words(
    zh="【{brand}】登录验证码 {code}，{minutes} 分钟内有效。请勿告诉任何人。",
    en="[{brand}] Your login code is {code}, valid for {minutes} minutes. Tell it to nobody.",
)
BRAND = Words(zh="市民卡", en="City Card")


class SmsFailed(Exception):
    """The SMS centre did not take a message; `retryable`: it may take it later."""

    def __init__(self, *, retryable: bool) -> None:
        super().__init__("retryable" if retryable else "refused for ever")
        self.retryable = retryable


class SmsGateway(Protocol):
    """An SMS centre. The same `message_id` again is the same message: it is sent once."""

    def send(self, message_id: str, phone: str, text: str) -> None:
        """Hand a message over. Raises SmsFailed."""


@dataclass(frozen=True, slots=True)
class LoginCodeSender:
    """Consumer of `login_code_requested`; bears hearing an event twice."""

    units: Units
    keys: Keys
    gateway: SmsGateway
    brand: Words = BRAND

    def deliver(self, event: Event) -> None:
        """Send the code unless it is sent, spent or expired. Raises SmsFailed to be called again.

        The challenge's id is the message's id: a crash after sending sends nothing twice.
        """
        challenge_id = str(event.payload["challenge_id"])
        index = bytes.fromhex(event.payload["phone_index"])
        with self.units.read(Which.IDENTITY) as work:
            row = self._challenges.find(work, index, challenge_id)
            if row is None or not _is_wanted(work, row):
                return
        code = self._challenges.unseal_code(challenge_id, event.payload["code"])
        outcome = self._send(row, code)
        with self.units.write(Which.IDENTITY) as work:
            self._challenges.mark_delivery(work, row, outcome)

    @property
    def _challenges(self) -> Challenges:
        return Challenges(Vault(self.keys))

    def _send(self, row: Row[Any], code: str) -> str:
        column = login_challenge.c.phone_sealed
        phone = Vault(self.keys).unseal(column, row.challenge_id, row.phone_sealed)
        minutes = (row.expires_at - row.asked_at).seconds // 60
        brand = self.brand.text(row.language)
        text = CODE_TEXT.text(row.language, brand=brand, code=code, minutes=minutes)
        try:
            self.gateway.send(row.challenge_id, phone, text)
        except SmsFailed as failure:
            if failure.retryable:
                raise
            log.warning("sms_refused", challenge_id=row.challenge_id)
            return "failed"
        return "sent"


def _is_wanted(work: Work, row: Row[Any]) -> bool:
    is_waiting = (row.delivery, row.state) == ("waiting", ChallengeState.WAITING.value)
    return is_waiting and bool(work.now < row.expires_at)
