"""What is handed to the customer and to the cash register; text in two languages, no decisions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any, Final

from reader_bridge.amounts import format_yuan
from reader_bridge.clock import CHINA
from reader_bridge.faults import Fault, Language, Text
from reader_bridge.journal import Entry, EntryKind, EntryState
from reader_bridge.loads.values import LoadTold
from reader_bridge.receipt_fare import Fare, find_fare


class Outcome(Enum):
    """How a sale or refund stands. UNKNOWN is worth asking again; INTENDED wants the same card."""

    CAPTURED = "captured"
    POSTED = "posted"  # a refund
    REFUSED = "refused"
    REVERSED = "reversed"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"  # taken offline: green; the backend hears of it later
    INTENDED = "intended"  # torn: only the same card can tell
    DROPPED = "dropped"  # torn, and the card has proved that it did not pay
    TOLD = "told"  # a balance was read; nothing was sold
    PASSED = "passed"  # nothing to take, paid a moment ago or free: green
    HELD = "held"  # the same card again: nothing taken, and another person may not pass on it
    LOADED = "loaded"  # money is on the card's purse
    RETURNED = "returned"  # it is not, and goes back where it came from


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a purse's own log. `kind` is its TTI: 02 load, 06 purchase, 09 compound."""

    amount_fen: int
    kind: int
    terminal_number: str  # 12 hex digits
    moment: str  # CCYYMMDDHHMMSS, in China

    def in_short(self, language: Language) -> str:
        """One line on a receipt."""
        sign = "+" if self.kind == _TTI_LOAD else "-"
        amount = f"{sign}{format_yuan(self.amount_fen)} {_YUAN.read(language)}"
        return f"{self.moment} {amount} {self.terminal_number}"


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above every receipt of one terminal."""

    merchant_name: str
    shop_name: str
    terminal_number: str
    language: Language


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: a stable code, and words for the holder in both languages where we have them."""

    code: str
    text: Text
    retryable: bool
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Receipt:
    """The result of one sale, refund or reversal. Times are milliseconds by step."""

    heading: Heading
    outcome: Outcome
    amount_fen: int
    register_reference: str | None = None
    payment_id: str | None = None
    refund_id: str | None = None
    receipt_number: str | None = None  # terminal number and terminal counter
    method: str | None = None
    application: str | None = None  # label of the card application which answered
    token_number_masked: str | None = None
    balance_fen: int | None = None
    refusal: Refusal | None = None
    business_date: str | None = None
    created_at: str | None = None
    is_repeated: bool = False  # the first result of this reference, told again
    steps: tuple[tuple[str, float], ...] = ()
    reader_name: str | None = None  # where the card was shown
    finished: tuple[Receipt, ...] = ()  # torn sales of this card that this tap brought to an end
    log: tuple[LogLine, ...] = ()  # of a purse whose balance was asked for, newest first
    fare: Fare | None = None  # of a terminal with fares of its own
    words: Text | None = None  # for the holder, where there is no fare
    load: LoadTold | None = None

    @property
    def told(self) -> Text | None:
        """The holder's words for what just happened."""
        return self.words if self.fare is None else self.fare.told

    @property
    def is_paid(self) -> bool:
        """The backend says so."""
        return self.outcome is Outcome.CAPTURED

    @property
    def is_green(self) -> bool:
        """The merchant may hand over the goods, the gate may open."""
        return self.outcome in {Outcome.CAPTURED, Outcome.ACCEPTED, Outcome.PASSED}

    def text(self, language: Language | None = None) -> str:
        """Lines to print, without the times."""
        chosen = language or self.heading.language
        rows = [(title.read(chosen), value) for title, value in self._rows(chosen) if value]
        head = [
            self.heading.merchant_name,
            self.heading.shop_name,
            _OUTCOMES[self.outcome].read(chosen),
        ]
        if self.told is not None:
            head.append(self.told.read(chosen))
        if self.is_repeated:
            head.append(_REPEATED.read(chosen))
        colon = ":" if chosen == "zh-CN" else ": "
        return "\n".join([*head, *(f"{title}{colon}{value}" for title, value in rows)])

    def times(self) -> str:
        """One line for the fitter: "select_directory 0.4 ms, …"."""
        return ", ".join(f"{name} {milliseconds:.1f} ms" for name, milliseconds in self.steps)

    def _rows(self, language: Language) -> list[tuple[Text, str | None]]:
        unit = _YUAN.read(language)
        is_balance = self.outcome is Outcome.TOLD
        balance = _UNKNOWN.read(language) if is_balance else None
        if self.balance_fen is not None:
            balance = f"{format_yuan(self.balance_fen)} {unit}"
        is_nothing = self.amount_fen == 0 and self.outcome in _TAKES_NOTHING
        amount = None if is_nothing else f"{format_yuan(self.amount_fen)} {unit}"
        refusal = self.refusal
        reason = f"{refusal.text.read(language)} [{refusal.code}]" if refusal else None
        method = self.method and _METHODS.get(self.method, Text(self.method, self.method))
        return [
            (Text("金额", "Amount"), amount),
            *(self.fare.rows(language) if self.fare else ()),
            (Text("原因", "Reason"), reason),
            *(self.load.rows(language, self.amount_fen) if self.load else ()),
            (Text("余额", "Balance"), balance),
            (Text("方式", "Method"), method.read(language) if method else None),
            (Text("应用", "Application"), self.application),
            (Text("卡号", "Card"), self.token_number_masked),
            (Text("小票号", "Receipt"), self.receipt_number),
            (Text("收银单号", "Reference"), self.register_reference),
            (Text("交易号", "Payment"), self.payment_id),
            (Text("退款号", "Refund"), self.refund_id),
            (Text("时间", "Time"), _local_time(self.created_at)),
            (Text("业务日期", "Business date"), self.business_date),
            *((_BEFORE, one.in_short(language)) for one in self.finished),
            *((_LOG, one.in_short(language)) for one in self.log),
        ]

    def in_short(self, language: Language) -> str:
        """One line on another receipt."""
        amount = f"{format_yuan(self.amount_fen)} {_YUAN.read(language)}"
        return f"{_OUTCOMES[self.outcome].read(language)} {amount} {self.register_reference}"


def receipt_of_entry(heading: Heading, entry: Entry, *, is_repeated: bool) -> Receipt:
    """A stored sale or refund, as far as the journal knows how it went."""
    draft, answer = entry.draft, entry.answer or {}
    is_unknown = entry.state is EntryState.STORED
    receipt = Receipt(
        heading=heading,
        outcome=Outcome.UNKNOWN if is_unknown else Outcome(entry.state.value),
        amount_fen=draft.amount_fen,
        register_reference=draft.reference,
        payment_id=draft.payment_id,
        refund_id=draft.entry_id if draft.kind is EntryKind.REFUND else None,
        receipt_number=f"{heading.terminal_number}-{entry.terminal_counter:06d}",
        method=draft.method,
        application=draft.application,
        is_repeated=is_repeated,
        steps=entry.steps,
    )
    receipt = replace(receipt, fare=_fare_of(entry))
    if entry.state is EntryState.REFUSED:
        refusal = _refusal_of_answer(answer)
        balance_fen = _whole_or_none(refusal.data.get("balance_fen"))
        return replace(receipt, refusal=refusal, balance_fen=balance_fen)
    if entry.state is EntryState.ACCEPTED:
        return _with_proof(receipt, json.loads(entry.body).get("proof", {}))
    return _with_facts(receipt, answer)


def _fare_of(entry: Entry) -> Fare | None:
    """As an upload carries it; an online request has no room for it."""
    if entry.accepted_at is None:
        return None
    body = json.loads(entry.body)
    return find_fare(body.get("fare")) if isinstance(body, dict) else None


def _with_proof(receipt: Receipt, proof: Mapping[str, Any]) -> Receipt:
    """What a purse said to a sale that the backend has not seen yet.

    Without the SAM's word nobody saw the card prove itself: no green light until the issuer spoke.
    """
    if proof.get("kind") != "purse":
        return receipt
    is_unchecked = proof.get("mac2_unchecked") is True
    return replace(
        receipt,
        outcome=Outcome.UNKNOWN if is_unchecked else Outcome.ACCEPTED,
        balance_fen=_whole_or_none(proof.get("balance_after_fen")),
        token_number_masked=masked_purse(str(proof.get("purse_number"))),
    )


def masked_purse(purse_number: str) -> str:
    """The first and last four of its 20 digits."""
    return f"{purse_number[:4]} **** **** **** {purse_number[-4:]}"


def words_of_fault(fault: Fault) -> dict[str, str]:
    """In both languages, as the journal keeps them."""
    return {"zh": fault.text("zh-CN"), "en": fault.text("en")}


def receipt_of_fault(
    heading: Heading, fault: Fault, amount_fen: int, register_reference: str
) -> Receipt:
    """A card or code that the terminal itself turned away: nothing was stored or sent."""
    words = words_of_fault(fault)
    text = Text(_plain(words["zh"]), _plain(words["en"]))
    return Receipt(
        heading=heading,
        outcome=Outcome.REFUSED,
        amount_fen=amount_fen,
        register_reference=register_reference,
        refusal=Refusal(fault.code, text, False, {}),
    )


def receipt_of_payment(heading: Heading, payment: Mapping[str, Any]) -> Receipt:
    """A captured payment that another device made, for example by a merchant code.

    Raises KeyError for a payment without amount or id.
    """
    receipt = Receipt(
        heading=heading,
        outcome=Outcome.CAPTURED,
        amount_fen=payment["amount_fen"],
        register_reference=payment.get("bill_number"),
        payment_id=payment["payment_id"],
        method=payment.get("method"),
    )
    return _with_facts(receipt, payment)


def _with_facts(receipt: Receipt, answer: Mapping[str, Any]) -> Receipt:
    """What a Payment or Refund tells the customer; a member of a wrong type is left out."""
    return replace(
        receipt,
        token_number_masked=_text_or_none(answer.get("token_number_masked")),
        business_date=_text_or_none(answer.get("business_date")),
        created_at=_text_or_none(answer.get("created_at")),
        balance_fen=_whole_or_none(answer.get("balance_fen")),
    )


def _refusal_of_answer(answer: Mapping[str, Any]) -> Refusal:
    """A refusal as the journal keeps it: code, detail, retryable, data."""
    plain = _plain(str(answer["detail"]))
    text = REFUSALS.get(answer["code"], Text(plain, plain))
    if "words" in answer:  # the terminal's own, with its figures
        text = Text(_plain(answer["words"]["zh"]), _plain(answer["words"]["en"]))
    return Refusal(answer["code"], text, bool(answer["retryable"]), answer["data"])


def _plain(words: str) -> str:
    """Braces in somebody's words are not placeholders."""
    return words.replace("{", "{{").replace("}", "}}")


def _whole_or_none(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _local_time(moment: str | None) -> str | None:
    """RFC 3339 as the customer's wall clock shows it; what is no moment is left out."""
    try:
        return moment and f"{datetime.fromisoformat(moment).astimezone(CHINA):%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return None


_TTI_LOAD: Final = 2
_TAKES_NOTHING: Final = frozenset({Outcome.TOLD, Outcome.REFUSED, Outcome.PASSED, Outcome.HELD})
_YUAN: Final = Text("元", "CNY")
_UNKNOWN: Final = Text("未知", "unknown")
_BEFORE: Final = Text("该卡上一笔", "Sale before")
_LOG: Final = Text("卡内记录", "Card log")
_REPEATED: Final = Text("(重复打印:此单已处理)", "(told again: this reference is settled)")
_OUTCOMES: Final[Mapping[Outcome, Text]] = {
    Outcome.CAPTURED: Text("支付成功", "PAID"),
    Outcome.POSTED: Text("退款成功", "REFUNDED"),
    Outcome.REFUSED: Text("交易失败,未扣款", "REFUSED, nothing charged"),
    Outcome.REVERSED: Text("已冲正,未扣款", "REVERSED, nothing charged"),
    Outcome.UNKNOWN: Text("结果未知,请稍后查询", "OUTCOME UNKNOWN, ask again"),
    Outcome.ACCEPTED: Text("脱机支付成功,待上送", "PAID OFFLINE, to be uploaded"),
    Outcome.INTENDED: Text(
        "交易未完成,请将同一张卡重新靠近", "NOT FINISHED, hold the same card to the reader again"
    ),
    Outcome.DROPPED: Text("未扣款,可重新收款", "NOT PAID, nothing charged"),
    Outcome.TOLD: Text("余额查询", "BALANCE"),
    Outcome.PASSED: Text("请通行,未扣款", "PASS, nothing charged"),
    Outcome.HELD: Text("已刷过,未扣款", "TAPPED BEFORE, nothing charged"),
    Outcome.LOADED: Text("圈存成功", "LOADED"),
    Outcome.RETURNED: Text("圈存未写入,款项退回", "NOT LOADED, the money goes back"),
}
_METHODS: Final[Mapping[str, Text]] = {
    "tap": Text("挥卡", "tap"),
    "pay_code": Text("付款码", "pay code"),
    "merchant_code": Text("收款码", "merchant code"),
    "refund": Text("退款", "refund"),
    "purse": Text("电子钱包", "e-purse"),
    "ride_code": Text("乘车码", "ride code"),
}
REFUSALS: Final[Mapping[str, Text]] = {
    "insufficient_funds": Text("余额不足", "Not enough money in the wallet"),
    "wallet_frozen": Text("账户已冻结", "The wallet is frozen"),
    "wallet_closed": Text("账户已注销", "The wallet is closed"),
    "token_suspended": Text("卡已挂失或停用", "The card is suspended"),
    "token_pending": Text("请先在新手机上完成换机", "Finish the move on the new phone first"),
    "token_clone_suspected": Text("卡已停用,请致电8890", "The card is stopped: call 8890"),
    "key_exhausted": Text("卡密钥已用完,请联网后重试", "The card has to go online first"),
    "key_expired": Text("卡密钥已过期,请联网后重试", "The card has to go online first"),
    "cryptogram_invalid": Text("卡校验失败", "The card's proof is not true"),
    "atc_seen": Text("该次挥卡已使用", "This tap was used before"),
    "atc_out_of_window": Text("卡计数器异常", "The card's counter is out of its window"),
    "pay_code_expired": Text("付款码已过期,请刷新", "The pay code has expired: show it anew"),
    "pay_code_not_yet_valid": Text(
        "付款码尚未生效,请校准手机时间", "The pay code is not valid yet: check the phone's clock"
    ),
    "pay_code_clock_wrong": Text(
        "手机时钟相差8小时,请校准手机时间", "The phone's clock is 8 hours off: set it right"
    ),
    "pay_code_used": Text("付款码已使用,请刷新", "The pay code was used: show it anew"),
    "pay_code_altered": Text("付款码被改动", "The pay code was altered"),
    "pay_code_unknown": Text("付款码无效", "The pay code is unknown"),
    "pay_code_malformed": Text("付款码无效,请刷新后重试", "This is no pay code: show it anew"),
    "pay_code_foreign": Text("不是市民卡付款码", "Not a pay code of the citizen card"),
    "payment_reversed": Text("该交易已冲正", "The payment was reversed"),
    "backend_unreachable": Text("无法连接后台,未发送", "No connection: nothing was sent"),
}
