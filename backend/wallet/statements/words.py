"""Every text of statements and receipts, in both languages, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from backend.kernel import Words, yuan_text
from backend.kernel.clock import BUSINESS_ZONE

LANGUAGES = ("zh", "en")

CODES: Mapping[str, Words] = {
    "top_up": Words(zh="充值", en="Top-up"),
    "top_up_reversal": Words(zh="充值冲正", en="Top-up reversed"),
    "payment": Words(zh="消费", en="Payment"),
    "capture": Words(zh="消费", en="Payment"),
    "refund": Words(zh="退款", en="Refund"),
    "reversal": Words(zh="冲正", en="Reversal"),
    "load": Words(zh="圈存", en="Load onto a card"),
    "load_returned": Words(zh="圈存退回", en="Load returned"),
    "transfer": Words(zh="本人卡间转账", en="Transfer between own cards"),
    "redeem": Words(zh="赎回", en="Redemption"),
    "close": Words(zh="销户", en="Closing"),
    "replacement": Words(zh="补卡转入", en="Balance of a replaced card"),
    "fee": Words(zh="手续费", en="Fee"),
    "correction": Words(zh="更正", en="Correction"),
    "ride_debt": Words(zh="乘车欠费", en="Ride debt"),
}

TEXTS: Mapping[str, Words] = {
    "statement": Words(zh="账单", en="Statement"),
    "receipt": Words(zh="电子回单", en="Receipt"),
    "period": Words(zh="账期", en="Period"),
    "days": Words(zh="{first} 至 {last}", en="{first} to {last}"),
    "wallet": Words(zh="钱包编号", en="Wallet"),
    "opening": Words(zh="期初余额", en="Opening balance"),
    "came_in": Words(zh="收入合计", en="In"),
    "went_out": Words(zh="支出合计", en="Out"),
    "closing": Words(zh="期末余额", en="Closing balance"),
    "closing_so_far": Words(zh="截至目前余额", en="Balance so far"),
    "not_final": Words(
        zh="账期尚未结束，之后的明细未列出。", en="The period is not over: later lines are missing."
    ),
    "lines_count": Words(zh="共 {count} 笔", en="{count} in all"),
    "lines": Words(zh="明细", en="Lines"),
    "no_lines": Words(zh="本期没有收支。", en="No money moved in this period."),
    "line": Words(zh="序号", en="Line"),
    "time": Words(zh="时间", en="Time"),
    "business_date": Words(zh="记账日期", en="Business date"),
    "what": Words(zh="类型", en="Type"),
    "code": Words(zh="类型代码", en="Code"),
    "amount": Words(zh="金额", en="Amount"),
    "amount_yuan": Words(zh="金额（元）", en="Amount (yuan)"),
    "amount_fen": Words(zh="金额（分）", en="Amount (fen)"),
    "balance": Words(zh="余额", en="Balance"),
    "balance_after": Words(zh="交易后余额", en="Balance after"),
    "balance_yuan": Words(zh="余额（元）", en="Balance (yuan)"),
    "balance_fen": Words(zh="余额（分）", en="Balance (fen)"),
    "counterparty": Words(zh="对方", en="Counterparty"),
    "operation_id": Words(zh="交易编号", en="Operation"),
    "linked_to": Words(zh="原交易编号", en="Original operation"),
    "unit": Words(zh="元", en="yuan"),
    "in_yuan": Words(
        zh="金额单位：人民币元；时间为北京时间。", en="Amounts in yuan, times of Shanghai."
    ),
    "made_at": Words(zh="生成于 {moment}", en="Made {moment}"),
    "ask": Words(zh="如有疑问请拨打 {number}。", en="Questions: call {number}."),
}


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who stands behind a statement: the names and the phone line on its head and foot."""

    city: Words
    card: Words
    operator: Words
    hotline: str


@dataclass(frozen=True, slots=True)
class Speaker:
    """Says everything in one language, "zh" or "en"."""

    language: str

    def text(self, name: str, **data: object) -> str:
        """The text called `name`, filled with `data`. KeyError: no such text."""
        return TEXTS[name].text(self.language, **data)

    def say(self, words: Words) -> str:
        """One of the city's own texts."""
        return words.text(self.language)

    def kind(self, code: str) -> str:
        """Why money moved; the code itself where there is no word for it."""
        known = CODES.get(code)
        return known.text(self.language) if known else code

    def yuan(self, amount_fen: int) -> str:
        """`-123450` as `-1,234.50`."""
        whole, _, fen = yuan_text(abs(amount_fen)).partition(".")
        return f"{'-' if amount_fen < 0 else ''}{int(whole):,}.{fen}"

    def signed_yuan(self, amount_fen: int) -> str:
        """As `yuan`, with a plus before what came in."""
        return f"{'+' if amount_fen > 0 else ''}{self.yuan(amount_fen)}"

    def moment(self, moment: datetime) -> str:
        """A moment on the city's clocks: `2026-11-23 10:00:00`."""
        return moment.astimezone(BUSINESS_ZONE).strftime("%Y-%m-%d %H:%M:%S")
