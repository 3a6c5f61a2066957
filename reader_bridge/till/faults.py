"""What the till itself refuses, and the sentences its screen shows; knows no card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from reader_bridge.faults import TerminalFault, Text


class TillFault(TerminalFault):
    """A call that does not fit what the till is doing."""

    TEXTS: ClassVar[Mapping[str, Text]] = {
        "till_busy": Text(
            "正在处理单号 {reference},请先完成或取消",
            "The till is busy with {reference}: finish or cancel that first",
        ),
        "till_closed": Text("终端正在关闭", "The terminal is being switched off"),
        "cancel_too_late": Text(
            "单号 {reference} 可能已扣款,不能取消;请等待结果,必要时冲正",
            "{reference} may be charged already: wait for the result, then reverse it if need be",
        ),
        "pin_not_wanted": Text(
            "单号 {reference} 现在不需要卡密码", "{reference} does not ask for a card's PIN now"
        ),
        "full_fare_malformed": Text(
            "原价应不低于实收金额", "A full fare is at least the amount to pay"
        ),
    }


MESSAGES: Final[Mapping[str, Text]] = {
    "ready": Text("请输入金额", "Enter an amount"),
    "show_card": Text("请刷卡或出示付款码", "Hold a card or phone to the reader, or show a code"),
    "show_tap": Text("请刷卡", "Please tap"),
    "show_purse": Text(
        "请将要充值的卡靠近并保持不动", "Hold the card to be loaded, and hold still"
    ),
    "show_payer": Text("请出示付款码或手机卡付款", "Show a pay code or a phone card that pays"),
    "pin_taken": Text(
        "请将同一张卡再次靠近并保持不动", "Hold the same card to the reader again, and hold still"
    ),
    "loaded": Text("圈存成功", "Loaded"),
    "load_returned": Text("未写入卡片,款项退回", "Not loaded: the money goes back"),
    "load_left": Text(
        "圈存未完成,款项已付:请勿重复充值。同一张卡再次出示时自动补完或退回",
        "Paid, not finished: do not load again. The same card, here or at its next load anywhere,"
        " finishes it or gets the money back",
    ),
    "show_same_card": Text(
        "交易未完成,请将同一张卡重新靠近并保持不动",
        "Not finished: hold the same card to the reader again",
    ),
    "hold_still": Text("请保持不动", "Hold still"),
    "asking": Text("正在联网确认,卡可移开", "Asking online: the card may be taken away"),
    "paid": Text("支付成功", "Paid"),
    "balance_read": Text("余额查询完成", "Balance read"),
    "refused": Text("交易失败,未扣款", "Refused, nothing charged"),
    "not_charged": Text("未扣款", "Nothing was charged"),
    "reversed": Text("已冲正,未扣款", "Reversed, nothing charged"),
    "outcome_unknown": Text(
        "结果未知,请勿重复收款,请稍后查询", "Outcome unknown: do not charge again, ask later"
    ),
    "cancelled": Text("已取消,未扣款", "Cancelled, nothing charged"),
    "timed_out": Text("超时未刷卡,未扣款", "Nobody showed a card in time: nothing charged"),
    "torn_left": Text(
        "交易未完成,同一张卡再次刷卡时继续",
        "Left unfinished: goes on when the same card comes back",
    ),
    "terminal_failed": Text(
        "终端内部错误,请先查询结果", "The terminal failed: look up the result before charging again"
    ),
}
