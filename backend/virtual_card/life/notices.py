"""What a holder is told by SMS: that a card changed, and one-time codes. Consumes the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from sqlalchemy import select

from backend.db import Event, Units, Which, Work
from backend.identity import SmsFailed, SmsGateway
from backend.kernel import Words
from backend.keys import Keys
from backend.virtual_card.ports import Holders
from backend.virtual_card.states import Reason
from backend.virtual_card.step_up.model import StepUpState
from backend.virtual_card.step_up.service import StepUps
from backend.virtual_card.tables import step_up

log = structlog.get_logger(__name__)

CARD_NOTICE = "card_notice"
"""Topic; payload: person_id, token_id, reason (a `Reason`), state (a `TokenState`)."""

BRAND = Words(zh="市民卡", en="City Card")
CODE_TEXT = Words(
    zh="【{brand}】手机卡验证码 {code}，5 分钟内有效。若非本人操作请致电客服，请勿告诉任何人。",
    en="[{brand}] Your phone card code is {code}, valid for 5 minutes. Tell it to nobody.",
)
NOTICE_TEXT = Words(
    zh="【{brand}】您的手机卡{what}。如有疑问请致电客服。",
    en="[{brand}] Your phone card {what}. Call the service line if this surprises you.",
)
WHAT: Mapping[Reason, Words] = {
    Reason.COUNTERS_CONFLICT: Words(
        zh="疑似被复制，已暂停使用，请重新开卡",
        en="may have been copied and is suspended: please get a new one",
    ),
    Reason.LOG_CONFLICT: Words(
        zh="交易记录不符，已暂停使用", en="is suspended: its records contradict each other"
    ),
    Reason.LOST_PLASTIC: Words(
        zh="因实体卡挂失已更新", en="was updated: the plastic card is reported lost"
    ),
    Reason.LOST_PHONE: Words(zh="因手机挂失已暂停", en="is suspended: the phone is reported lost"),
    Reason.NEW_PHONE: Words(zh="可转移到新手机", en="is ready to move to the new phone"),
    Reason.SIM_CHANGE: Words(zh="因更换 SIM 卡已暂停", en="is suspended: the SIM was changed"),
    Reason.MOVED_AWAY: Words(zh="因户籍迁出已变更", en="was changed: its holder moved away"),
    Reason.MOVED_ON: Words(zh="已转移到新手机", en="now lives on the new phone"),
    Reason.MOVE_OVERDUE: Words(
        zh="换机逾期，旧手机上的卡已停用", en="on the old phone has ended: the move took too long"
    ),
}
"""Reasons a holder hears of. Death is told to nobody."""


def tell_holder(work: Work, person_id: str, token_id: str, reason: Reason, state: str) -> None:
    """Inside the transaction that made it true; a reason without words is not told."""
    if reason in WHAT:
        work.tell(
            CARD_NOTICE, person_id=person_id, token_id=token_id, reason=reason.value, state=state
        )


@dataclass(frozen=True, slots=True)
class CardMessages:
    """Consumer of CARD_NOTICE and STEP_UP_REQUESTED; the event or code is the message's id, so
    that one heard twice is sent once."""

    units: Units
    keys: Keys = field(repr=False)
    gateway: SmsGateway
    holders: Holders
    brand: Words = BRAND

    def deliver_notice(self, event: Event) -> None:
        """Raises SmsFailed to be called again."""
        words = WHAT[Reason(event.payload["reason"])]
        self._send(event.event_id, str(event.payload["person_id"]), NOTICE_TEXT, words, code="")

    def deliver_code(self, event: Event) -> None:
        """Send the code unless it was given, locked or is too old. Raises SmsFailed."""
        person_id, step_up_id = str(event.payload["person_id"]), str(event.payload["step_up_id"])
        columns = step_up.c
        find = select(step_up).where(
            columns.person_id == person_id, columns.step_up_id == step_up_id
        )
        with self.units.read(Which.BUSINESS) as work:
            row = work.one(find)
            now = work.now
        if row is None or row.state != StepUpState.WAITING.value or row.expires_at <= now:
            return
        code = StepUps(self.units, self.keys).unseal_code(step_up_id, event.payload["code"])
        self._send(step_up_id, person_id, CODE_TEXT, Words(zh="", en=""), code=code)

    def _send(self, message_id: str, person_id: str, text: Words, what: Words, code: str) -> None:
        """In both languages: which one a holder reads is not known here."""
        phone = self.holders.find_phone(person_id)
        if phone is None:
            log.warning("holder_without_phone", message_id=message_id)
            return
        said = [
            text.text(one, brand=self.brand.text(one), what=what.text(one), code=code)
            for one in ("zh", "en")
        ]
        try:
            self.gateway.send(message_id, phone, " ".join(said))
        except SmsFailed as failure:
            if failure.retryable:
                raise
            log.warning("sms_refused", message_id=message_id)
