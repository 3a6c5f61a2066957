"""Signed notices by the Standard Webhooks convention (1.0): id, timestamp, HMAC over raw bytes."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import date, datetime

from backend.kernel import AMOUNT_MAX_FEN, DomainError, Kind, Words, check_id
from backend.kernel.ids import IdInvalid
from backend.wallet.bank.port import ChargeOutcome, ChargeState

TOLERANCE_SECONDS = 300
REFERENCE_MAX = 64
REASON_MAX = 40
CARD_END = 4


class NoticeRefused(DomainError):
    kind, code = Kind.UNAUTHENTICATED, "notice_refused"
    title = Words(zh="通知未被接受", en="Notice refused")
    detail = Words(
        zh="通知的签名、时间或内容不符。", en="Signature, time or content of the notice do not fit."
    )


def notice_headers(
    notice_id: str, moment: datetime, body: bytes, mac: Callable[[bytes], bytes]
) -> dict[str, str]:
    """The three headers for `body`, signed with `mac`."""
    stamp = str(int(moment.timestamp()))
    return {
        "webhook-id": notice_id,
        "webhook-timestamp": stamp,
        "webhook-signature": _signature(notice_id, stamp, body, mac),
    }


def read_notice(
    headers: Mapping[str, str], body: bytes, now: datetime, mac: Callable[[bytes], bytes]
) -> tuple[str, ChargeOutcome]:
    """(order id, outcome) of a notice. Raises NoticeRefused unless signature, time, form fit."""
    lower = {name.lower(): value for name, value in headers.items()}
    notice_id, stamp = lower.get("webhook-id", ""), lower.get("webhook-timestamp", "")
    expected = _signature(notice_id, stamp, body, mac)
    offered = lower.get("webhook-signature", "").split()[:4]
    # Every offer is compared: during a rotation two secrets live side by side.
    if not any(hmac.compare_digest(expected.encode(), one.encode()) for one in offered):
        raise NoticeRefused
    if not stamp.isdecimal() or abs(now.timestamp() - int(stamp)) > TOLERANCE_SECONDS:
        raise NoticeRefused
    return _content(body)


def _signature(notice_id: str, stamp: str, body: bytes, mac: Callable[[bytes], bytes]) -> str:
    signed = f"{notice_id}.{stamp}.".encode() + body
    return "v1," + base64.b64encode(mac(signed)).decode()


def _content(body: bytes) -> tuple[str, ChargeOutcome]:
    try:
        data = json.loads(body)
        state = ChargeState(data["state"])
        outcome = ChargeOutcome(
            state,
            _text(data["reference"], REFERENCE_MAX),
            _text(data["reason"], REASON_MAX),
            _amount(data.get("amount_fen")),
            _text(data.get("card_end"), CARD_END),
            _day(data.get("booked_on")),
        )
        return check_id(str(data["order_id"]), "top"), outcome
    except (ValueError, KeyError, TypeError, RecursionError, IdInvalid):
        raise NoticeRefused from None


def _text(value: object, length_max: int) -> str | None:
    """`value` when it is a short printable text or None; ValueError for what no row could keep."""
    if value is None:
        return None
    if not isinstance(value, str) or not value.isprintable() or len(value) > length_max:
        raise ValueError("not a short text")
    return value


def _amount(value: object) -> int | None:
    """A positive whole number of fen or None; what was paid may differ from what was ordered."""
    if value is None:
        return None
    if type(value) is not int or not 0 < value <= AMOUNT_MAX_FEN:
        raise ValueError("not an amount")
    return value


def _day(value: object) -> date | None:
    return None if value is None else date.fromisoformat(str(value))
