"""Everything a terminal tells a person, each with a stable code, in Chinese and English."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

Language = Literal["zh-CN", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("zh-CN", "en")


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence in both languages; `{names}` are filled from a fault's data."""

    zh: str
    en: str

    def read(self, language: Language, **data: object) -> str:
        return (self.zh if language == "zh-CN" else self.en).format(**data)


class Fault(Exception):
    """Something a person at the counter can act upon. A bug is never a Fault."""

    TEXTS: ClassVar[Mapping[str, Text]] = {}

    def __init__(self, code: str, **data: object) -> None:
        if code not in self.TEXTS:
            raise KeyError(f"{type(self).__name__} has no code {code!r}")
        super().__init__(code)
        self.code = code
        self.data: Mapping[str, object] = data

    def text(self, language: Language) -> str:
        return self.TEXTS[self.code].read(language, **self.data)

    def __str__(self) -> str:
        return f"{self.code}: {self.text('en')}"


class ReaderFault(Fault):
    """Hold still, or repair the reader: the card was not judged and nothing was paid."""

    TEXTS: ClassVar[Mapping[str, Text]] = {
        "driver_missing": Text(
            "未安装读卡器驱动(pyscard)", "The reader driver (pyscard) is not installed"
        ),
        "service_missing": Text(
            "读卡服务(pcscd)未运行", "The reader service (pcscd) is not running"
        ),
        "reader_missing": Text("没有找到读卡器{name}", "No reader found{name}"),
        "reader_failed": Text("读卡器故障:{reason}", "The reader failed: {reason}"),
        "no_card": Text("没有读到卡,请重新靠近", "No card was shown: hold it to the reader"),
        "card_removed": Text(
            "卡片移开过早,请重新靠近并保持不动", "The card left too soon: hold still and try again"
        ),
        "card_mute": Text(
            "卡片没有应答,请重新靠近", "The card does not answer: hold still and try again"
        ),
        "tap_too_slow": Text("读卡超时,请重新靠近", "Reading took too long: hold still, try again"),
    }


class CardFault(Fault):
    """This card is refused; showing it again will not help."""

    TEXTS: ClassVar[Mapping[str, Text]] = {
        "card_foreign": Text("不是本市市民卡", "This is not a card of this city"),
        "application_missing": Text(
            "卡上没有本机受理的应用", "The card has no application that this terminal accepts"
        ),
        "application_blocked": Text("卡应用已锁定", "The card's application is blocked"),
        "card_declined": Text("卡片拒绝交易({status})", "The card declined ({status})"),
        "card_answer_malformed": Text("卡片应答无效", "The card gave an invalid answer"),
        "card_answer_too_long": Text("卡片应答过长", "The card gave too long an answer"),
        "card_answer_endless": Text("卡片应答不结束", "The card's answer does not end"),
        "card_request_unknown": Text(
            "卡片要求的交易要素本机不支持", "The card asks for other facts than a sale has"
        ),
        "card_suite_unknown": Text(
            "本机不支持该卡的算法", "This terminal does not know the card's algorithm"
        ),
        "certificate_missing": Text("卡证书缺失", "The card has no certificate"),
        "certificate_of_another_card": Text(
            "证书与卡号不符", "The certificate belongs to another card"
        ),
        "certificate_not_genuine": Text(
            "证书不是本市签发", "The certificate was not signed by the issuer"
        ),
        "certificate_expired": Text("卡证书已过期", "The card's certificate has expired"),
        "certificate_not_yet_valid": Text(
            "卡证书尚未生效", "The card's certificate is not valid yet"
        ),
        "signature_invalid": Text("卡签名无效", "The card's signature is not valid"),
    }


class CodeFault(Fault):
    """This pay code, or the picture that should hold one, cannot be used."""

    TEXTS: ClassVar[Mapping[str, Text]] = {
        "pay_code_malformed": Text("付款码无效,请刷新后重试", "This is no pay code: show it anew"),
        "pay_code_foreign": Text(
            "这是{issuer_zh}的码,请出示市民卡付款码",
            "This code is of {issuer_en}: show the pay code of the citizen card",
        ),
        "picture_unreadable": Text("图片无法读取(PNG/JPEG)", "Not a readable PNG or JPEG picture"),
        "picture_too_large": Text("图片过大", "The picture is too large"),
        "code_not_found": Text("图中没有找到码", "No code found in the picture"),
        "code_ambiguous": Text("图中有多个付款码", "The picture holds several pay codes"),
    }


class TerminalFault(Fault):
    """The terminal itself, or the way it was called, has to be put right first."""

    TEXTS: ClassVar[Mapping[str, Text]] = {
        "not_activated": Text("终端尚未激活:{folder}", "The terminal is not activated: {folder}"),
        "already_activated": Text(
            "该目录已有终端 {terminal_id}", "This folder already holds terminal {terminal_id}"
        ),
        "wrong_kind": Text("激活码不是终端的:{kind}", "This code activates no terminal: {kind}"),
        "state_damaged": Text("终端数据损坏:{file}", "The terminal's data is damaged: {file}"),
        "state_unusable": Text(
            "终端目录不可用:{reason}", "The terminal's folder cannot be used: {reason}"
        ),
        "key_exposed": Text(
            "密钥文件权限过宽,应为 0600:{file}", "The key file must have mode 0600: {file}"
        ),
        "address_refused": Text(
            "后台地址须为 https(本机除外):{url}",
            "The backend's address must be https (or this machine): {url}",
        ),
        "amount_malformed": Text(
            "金额无效:{text}(例:12.50)", "Not an amount in yuan: {text} (example: 12.50)"
        ),
        "reference_malformed": Text(
            "单号应为 1 至 64 个可见字符", "A reference has 1 to 64 visible characters"
        ),
        "bill_number_malformed": Text(
            "账单号应为 1 至 25 个字母或数字", "A bill number has 1 to 25 letters or digits"
        ),
        "reference_used_differently": Text(
            "单号 {reference} 已用于另一笔({field})",
            "Reference {reference} was used with another {field}",
        ),
        "sale_unknown": Text("没有单号 {reference} 的交易", "No sale has reference {reference}"),
        "sale_not_captured": Text(
            "单号 {reference} 未成功扣款", "The sale {reference} is not paid: nothing to give back"
        ),
    }
