"""What a ride, a stay or a load is refused with, and what is said when it is not. Knows no rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from reader_bridge.amounts import format_yuan
from reader_bridge.faults import CardFault, Text


class RideRefused(CardFault):
    """This card cannot ride, stay or load here and now; nothing was taken from it."""

    TEXTS: ClassVar[Mapping[str, Text]] = {
        "rail_record_missing": Text("该卡不能用于闸机", "This card cannot be used at gates"),
        "rail_record_damaged": Text(
            "卡上行程记录异常,请到服务台处理",
            "The journey on the card cannot be read: go to the service desk",
        ),
        "entry_missing": Text(
            "没有进站记录,请到服务台处理", "The card has no entry: go to the service desk"
        ),
        "entry_too_old": Text(
            "进站超时,请到服务台处理", "The entry is too long ago: go to the service desk"
        ),
        "entry_unknown": Text(
            "进站车站不属于本线网,请到服务台处理",
            "The card entered where this gate knows no fare: go to the service desk",
        ),
        "entered_twice": Text(
            "上次行程未出站,请到服务台处理",
            "The last ride has no exit: go to the service desk",
        ),
        "same_station": Text(
            "同站进出,请到服务台处理", "Left where it entered: go to the service desk"
        ),
        "mobile_card_not_taken": Text(
            "本机暂不受理手机卡,请用实体卡",
            "Phone cards are not taken here yet: show a plastic card",
        ),
        "mobile_card_online_only": Text(
            "本机离线,暂不受理手机卡", "This terminal is offline and takes no phone cards now"
        ),
        "stay_record_missing": Text("该卡不能在此计时", "This card cannot keep a start time"),
        "stay_record_foreign": Text(
            "卡上计时记录不是本系统写入,请到服务台处理",
            "The card's time record was written by others: go to the service desk",
        ),
        "stay_open": Text(
            "卡上还有未结束的停车或骑行,请先结束",
            "The card has a parking or hire that has not ended: end it first",
        ),
        "stay_not_started": Text("没有开始记录", "The card has no start to end here"),
        "stay_elsewhere": Text(
            "不是在本处开始的,请到开始处结束", "It began somewhere else: end it there"
        ),
        "stay_too_long": Text(
            "计时过长,请到服务台处理", "It began too long ago: go to the service desk"
        ),
        "stay_start_later": Text(
            "开始时间晚于当前时间,请到服务台处理",
            "It began later than now: go to the service desk",
        ),
        "stay_start_unknown": Text(
            "不知道开始时间,不能用手机卡结算",
            "The start is not known: a phone card cannot pay for it here",
        ),
        "load_amount_not_offered": Text(
            "本机不能圈存 {amount} 元", "{amount} yuan cannot be loaded here"
        ),
        "load_ceiling_reached": Text(
            "圈存后余额将超过 {ceiling} 元", "The card would hold more than {ceiling} yuan"
        ),
        "no_payment_here": Text("本机只用于圈存", "This post only loads cards"),
    }


PAID: Final = Text("付款 {amount} 元", "Paid {amount} yuan")
ENTERED: Final = Text("请进", "Go in")
LEFT: Final = Text("车费 {amount} 元", "Fare {amount} yuan")
LEFT_MAXIMUM: Final = Text(
    "行程不完整,按最高票价收取 {amount} 元", "The ride is not complete: highest fare, {amount} yuan"
)
ENTERED_MAXIMUM: Final = Text(
    "上次行程未出站,补收 {amount} 元,请进",
    "The last ride had no exit: {amount} yuan for it. Go in",
)
STARTED: Final = Text("开始计时", "The time begins now")
ENDED: Final = Text("费用 {amount} 元", "{amount} yuan to pay")
LOADED: Final = Text("圈存 {amount} 元", "Loaded {amount} yuan")
BALANCE: Final = Text(",余额 {balance} 元", ", balance {balance} yuan")

PAID_ALREADY: Final = Text("已付款,无需再刷", "Paid already: no need to tap again")
ENTERED_ALREADY: Final = Text("已进站,请通行", "Entered already: walk on")
LEFT_ALREADY: Final = Text("已出站,请通行", "Left already: walk on")
STARTED_ALREADY: Final = Text("已开始计时", "The time has begun already")
ENDED_ALREADY: Final = Text("已结束,无需再刷", "Ended already: no need to tap again")


def said(text: Text, amount_fen: int, balance_fen: int | None) -> Text:
    """The sentence with its figures; without the balance where it is not known."""
    figures = {"amount": format_yuan(amount_fen)}
    filled = Text(text.zh.format(**figures), text.en.format(**figures))
    if balance_fen is None:
        return filled
    balance = format_yuan(balance_fen)
    return Text(
        filled.zh + BALANCE.zh.format(balance=balance),
        filled.en + BALANCE.en.format(balance=balance),
    )
