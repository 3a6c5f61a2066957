"""What a load asks of the people at the counter, and its own refusals; knows no card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from reader_bridge.faults import CardFault, ReaderFault, Text


class LoadPause(ReaderFault):
    """Nothing happened and nothing is wrong: the load wants something more, then a card again."""

    TEXTS: ClassVar[Mapping[str, Text]] = {
        "load_show_purse": Text(
            "付款人已确认,请将要充值的卡靠近并保持不动",
            "The payer is known: now hold the card to be loaded, and hold still",
        ),
        "load_show_payer": Text(
            "请先出示付款码或手机卡,再出示要充值的卡",
            "First show a pay code or a phone card, then the card to be loaded",
        ),
        "load_pin_wanted": Text(
            "请输入卡片密码,然后将同一张卡再次靠近",
            "Enter the card's PIN, then hold the same card again",
        ),
        "load_pin_wrong": Text(
            "卡片密码错误,请重新输入后再次靠近",
            "The PIN is wrong: enter it again, then hold the card again",
        ),
    }


class LoadFault(CardFault):
    """This card gets no load here now; nothing was taken for this order."""

    TEXTS: ClassVar[Mapping[str, Text]] = {
        "load_before_finished": Text(
            "上一笔圈存 {amount} 元已在卡内,本次未再充值;如需再充请重新开始",
            "The load before, {amount} yuan, is on the card: nothing more was loaded now",
        ),
        "load_before_open": Text(
            "该卡上一笔圈存尚未了结,请稍后重试",
            "The load before of this card is not finished: try again a little later",
        ),
        "load_cash_needs_card": Text(
            "现金充值请直接出示要充值的卡", "Paid in cash: show the card to be loaded, not a code"
        ),
        "load_payer_not_a_code": Text(
            "请出示付款码(不是乘车码)", "Show a pay code, not a ride code"
        ),
    }


LOST: Final = Text(
    "圈存结果无法判定,请勿重复充值,请联系运营方(圈存号见小票)",
    "Nobody here can tell whether the load is on the card: do not load again, call the operator",
)
LOST_CODE: Final = "load_outcome_lost"
NEVER_BEGUN: Final = Text("后台未收到本次圈存,未扣款", "The load never began: nothing was taken")
NEVER_BEGUN_CODE: Final = "load_not_begun"
