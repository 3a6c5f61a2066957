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
            "未安装读卡器驱动({driver})", "The reader driver ({driver}) is not installed"
        ),
        "service_missing": Text(
            "读卡服务(pcscd)未运行", "The reader service (pcscd) is not running"
        ),
        "reader_missing": Text("没有找到读卡器{name}", "No reader found{name}"),
        "reader_failed": Text("读卡器故障:{reason}", "The reader failed: {reason}"),
        "reader_stuck": Text(
            "读卡器没有响应,请拔下重插",
            "The reader does not respond: unplug it and plug it in again",
        ),
        "several_cards": Text(
            "同时读到多张卡,请只出示一张", "Several cards at once: hold only one to the reader"
        ),
        "scanner_failed": Text("扫码器故障:{reason}", "The scanner failed: {reason}"),
        "no_card": Text("没有读到卡,请重新靠近", "No card was shown: hold it to the reader"),
        "card_removed": Text(
            "卡片移开过早,请重新靠近并保持不动", "The card left too soon: hold still and try again"
        ),
        "card_mute": Text(
            "卡片没有应答,请重新靠近", "The card does not answer: hold still and try again"
        ),
        "tap_too_slow": Text("读卡超时,请重新靠近", "Reading took too long: hold still, try again"),
        "debit_unknown": Text(
            "交易未完成,请将同一张卡重新靠近并保持不动",
            "Not finished: hold the same card to the reader again",
        ),
        "credit_unknown": Text(
            "圈存未完成,请将同一张卡重新靠近并保持不动",
            "The load is not finished: hold the same card to the reader again",
        ),
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
        "card_never_done": Text(
            "卡片一直要求等待,未能完成", "The card asked for more time again and again"
        ),
        "card_link_broken": Text(
            "卡片通信不符合规范", "The card breaks the rules of the contactless link"
        ),
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
        "card_false_mac": Text("卡片应答不真实,拒绝受理", "The card's answer is not genuine"),
        "card_key_unknown": Text("本机没有该卡的密钥", "This terminal has no key for the card"),
        "purse_foreign": Text(
            "本机不受理该发卡机构的卡", "Cards of this issuer are not taken here"
        ),
        "purse_expired": Text("卡已过有效期", "The card has expired"),
        "purse_not_yet_valid": Text("卡尚未启用", "The card is not valid yet"),
        "purse_balance_low": Text("余额不足", "The balance is too low"),
        "purse_counter_spent": Text(
            "卡片交易次数已满,请换卡", "The card has done all its transactions: replace it"
        ),
        "purse_grey_locked": Text("钱包处于灰锁状态", "The purse is locked by another terminal"),
        "purse_record_locked": Text("卡上行程记录已锁定", "A journey record on the card is locked"),
        "purse_pin_required": Text("圈存需要输入卡密码", "The card wants its PIN before a load"),
        "purse_pin_wrong": Text(
            "卡密码错误({status})", "The card's PIN is wrong or blocked ({status})"
        ),
        "load_refused_by_card": Text(
            "卡片拒绝圈存({status})", "The card refused the load ({status})"
        ),
        "tap_seen": Text("该次挥卡已使用", "This terminal has seen this tap before"),
        # Sales that the backend is not asked about (reader_bridge/offline).
        "issuer_key_unknown": Text(
            "本机不认识该卡的发卡密钥", "This terminal does not know the issuer's key of this card"
        ),
        "card_denied": Text("该卡已挂失或停用", "This card is reported lost or out of use"),
        "offline_not_allowed": Text("该卡须联网使用", "This card can only be used online"),
        "offline_sale_too_large": Text(
            "金额超过离线限额 {limit_yuan} 元,请联网后重试",
            "More than {limit_yuan} yuan cannot be taken offline: try again online",
        ),
        "offline_card_sum_reached": Text(
            "该卡离线累计金额已满,请联网后重试",
            "This card has reached its offline sum: try again online",
        ),
        "offline_card_count_reached": Text(
            "该卡离线次数已满,请联网后重试",
            "This card has been used offline too often: try again online",
        ),
        "offline_sum_reached": Text(
            "本机离线累计金额已满,请恢复网络",
            "This terminal has reached its offline sum: go online",
        ),
        "offline_count_reached": Text(
            "本机离线笔数已满,请恢复网络", "This terminal keeps too many sales: go online"
        ),
        "offline_too_long": Text(
            "本机离线时间过长,请恢复网络", "This terminal has been offline too long: go online"
        ),
        "counter_not_rising": Text(
            "交易计数异常,请联网后重试", "The card's counter did not rise: try again online"
        ),
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
        "code_too_long": Text("码过长,无法识别", "The code is too long: this is none of ours"),
        "identity_code_not_accepted": Text(
            "这是身份码,不能付款,请出示付款码",
            "This is an identity code and cannot pay: show the pay code",
        ),
        "ride_code_not_accepted": Text(
            "本机不受理乘车码", "Ride codes are not taken at this terminal"
        ),
        "ride_code_needs_flat_fare": Text(
            "本机按里程计费,暂不受理乘车码,请用实体卡",
            "The fare here depends on where you go: show a plastic card, not a ride code",
        ),
        "pay_code_not_accepted": Text(
            "本机不受理付款码", "Pay codes are not taken at this terminal"
        ),
        "ride_code_malformed": Text(
            "乘车码无效,请刷新后重试", "This is no ride code: show it anew"
        ),
        "ride_code_version_unknown": Text(
            "乘车码版本不支持", "This terminal does not know this kind of ride code"
        ),
        "ride_code_foreign": Text("不是本市受理的乘车码", "A ride code that is not taken here"),
        "ride_code_altered": Text("乘车码校验失败", "This ride code is not genuine"),
        "ride_code_certificate_expired": Text(
            "发码机构证书已过期", "The certificate of the code's issuer has expired"
        ),
        "ride_code_account_type_refused": Text(
            "此类乘车码不可在此使用", "Ride codes of this kind are not taken here"
        ),
        "ride_code_authorisation_expired": Text(
            "乘车码授权已过期,请联网打开手机应用",
            "The ride code has run out: open the app with the phone online",
        ),
        "ride_code_expired": Text(
            "乘车码已过期,请刷新", "The ride code is too old: show a fresh one"
        ),
        "ride_code_not_yet_valid": Text(
            "乘车码时间早于当前,请检查手机时间",
            "The ride code is from the future: check the phone's clock",
        ),
        "ride_code_clock_wrong": Text(
            "手机与终端时钟相差 8 小时,请检查时区",
            "Phone and terminal are 8 hours apart: check the time zone",
        ),
        "ride_code_used": Text(
            "此乘车码已使用,请刷新", "This ride code was used: show a fresh one"
        ),
        "ride_code_denied": Text("该卡已挂失或停用", "This card is reported lost or out of use"),
        "ride_code_gate_full": Text(
            "闸机繁忙,请稍后再试", "The gate is too busy: try again in a moment"
        ),
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
        "amount_not_asked": Text(
            "本机按票价收费,不接受收银机金额",
            "This terminal charges by its own fare: no amount is asked of the register",
        ),
        "amount_missing": Text(
            "缺少金额", "This terminal has no fare of its own: an amount is needed"
        ),
        "place_unfit": Text(
            "终端位置与用途不符({reason}),请联系运营方",
            "The terminal's place does not fit its use ({reason}): call the operator",
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
        "profile_missing": Text(
            "本机尚无终端配置,请联网", "This terminal has no profile yet: go online"
        ),
        "profile_expired": Text(
            "终端配置已过期,请恢复网络", "The terminal's profile has expired: go online"
        ),
        "deny_list_missing": Text(
            "本机尚无黑名单,请联网", "This terminal has no deny list yet: go online"
        ),
        "deny_list_too_old": Text(
            "黑名单过旧,请恢复网络", "The terminal's deny list is too old: go online"
        ),
        "terminal_clock_wrong": Text(
            "终端时钟不准,请校时", "The terminal's clock is wrong: set it"
        ),
        "profile_malformed": Text(
            "后台下发的终端配置无效({reason})",
            "The profile that the backend sent cannot be read ({reason})",
        ),
        "profile_key_unknown": Text(
            "终端配置签名密钥未知,请安装人员重新绑定",
            "The profile is signed with an unknown key: a fitter has to pin the keys anew",
        ),
        "profile_altered": Text("终端配置签名无效", "The profile's signature is not valid"),
        "profile_foreign": Text(
            "终端配置属于另一终端 {terminal_id}", "The profile is another terminal's: {terminal_id}"
        ),
        "profile_older": Text(
            "收到的终端配置(第 {version} 版)早于本机(第 {kept} 版)",
            "The profile sent (version {version}) is older than the one kept ({kept})",
        ),
        "deny_list_damaged": Text(
            "黑名单文件损坏,联网后自动重新下载:{file}",
            "The deny list is damaged and is fetched anew when online: {file}",
        ),
        "deny_list_refused": Text(
            "后台下发的黑名单无效({reason})", "The deny list that was sent is refused ({reason})"
        ),
        "sale_unknown": Text("没有单号 {reference} 的交易", "No sale has reference {reference}"),
        "sale_not_captured": Text(
            "单号 {reference} 未成功扣款", "The sale {reference} is not paid: nothing to give back"
        ),
        "state_newer": Text(
            "终端数据由更新版本({version})写入,请升级程序",
            "A newer release (format {version}) wrote the terminal's data: update this one",
        ),
        "journal_full": Text(
            "存储空间不足,暂停脱机交易", "The disk is full: no offline sales until there is room"
        ),
        "sale_unfinished": Text(
            "该卡上一笔(单号 {reference})未完成,请重新靠近同一张卡",
            "The sale {reference} of this card is not finished: show the same card again",
        ),
    }


class SamFault(Fault):
    """The terminal's own SAM cannot be used; the card was not judged."""

    TEXTS: ClassVar[Mapping[str, Text]] = {
        "sam_lost": Text("PSAM 卡无法访问:{reason}", "The SAM cannot be reached: {reason}"),
        "sam_missing": Text("没有 PSAM:{reason}", "There is no SAM: {reason}"),
        "sam_failed": Text("PSAM 应答异常({status})", "The SAM refused ({status})"),
        "sam_locked": Text("PSAM 已锁定", "The SAM is locked"),
        "sam_session_gone": Text("PSAM 已无该笔交易", "The SAM no longer knows this purchase"),
        "sam_counter_spent": Text("PSAM 流水号已用完", "The SAM has given out all its serials"),
        "sam_state_unusable": Text(
            "PSAM 数据不可用:{reason}", "The SAM's data cannot be used: {reason}"
        ),
        "sam_state_damaged": Text("PSAM 数据损坏:{file}", "The SAM's data is damaged: {file}"),
        "sam_keys_exposed": Text(
            "文件权限过宽,应为 0600:{file}", "The file must have mode 0600: {file}"
        ),
        "sam_passphrase_wrong": Text("PSAM 口令不符", "The SAM's passphrase is wrong"),
    }


class RecordingFault(Fault):
    """A recorded tap cannot be played: for who develops or fits, never for a holder."""

    TEXTS: ClassVar[Mapping[str, Text]] = {
        "recording_malformed": Text(
            "录制文件第 {line} 行无效:{reason}", "Line {line} of the recording: {reason}"
        ),
        "recording_too_large": Text("录制文件过大", "The recording is too large"),
        "recording_differs": Text(
            "与录制第 {line} 行不符:应为 {expected},实为 {got}",
            "Line {line} of the recording has {expected}, but came {got}",
        ),
        "recording_over": Text(
            "录制已在第 {line} 行结束,又来了 {got}",
            "The recording ends at line {line}, but came {got}",
        ),
    }
