"""The words of an inspection, in two languages; knows no layout."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, unique
from types import MappingProxyType
from typing import Final


@unique
class Language(Enum):
    ZH = "zh"
    EN = "en"


def both(**words: tuple[str, str]) -> Mapping[str, Mapping[Language, str]]:
    """Words written down in the order zh, en."""
    pairs = {key: {Language.ZH: zh, Language.EN: en} for key, (zh, en) in words.items()}
    return MappingProxyType({key: MappingProxyType(pair) for key, pair in pairs.items()})


WORDS: Final = both(
    reader=("读卡器", "reader"),
    directory=("目录", "directory"),
    listed=("列出 {count} 个应用", "{count} applications listed"),
    absent=("没有", "none"),
    application=("应用", "application"),
    unnamed=("未知应用", "unknown application"),
    state=("状态", "state"),
    usable=("可用", "usable"),
    blocked=("已锁定", "blocked"),
    no_answer=("应答无法识别", "an answer nobody can read"),
    number=("卡号", "card number"),
    issuer=("发卡机构", "issuer"),
    scheme_t_union=("交通联合", "T-Union"),
    scheme_city_union=("城市一卡通", "City Union"),
    validity=("有效期", "valid"),
    card_kind=("卡种", "kind of card"),
    holder=("持卡人", "holder"),
    identity_number=("证件号", "identity number"),
    balance=("余额", "balance"),
    spendable=("含透支可用", "spendable with overdraft"),
    unreadable=("读不到", "cannot be read"),
    log=("交易记录", "transactions"),
    journeys=("行程记录", "journeys"),
    compound=("复合消费记录", "compound records"),
    none_yet=("无", "none"),
    top_up=("充值", "top-up"),
    spend=("消费", "spent"),
    terminal=("终端", "terminal"),
    sequence=("序号", "number"),
    line=("线路", "line"),
    station=("站点", "station"),
    city=("城市", "city"),
    left=("余额", "left"),
    inside=("已进站", "inside"),
    outside=("已出站", "outside"),
    record=("记录", "record"),
    bytes=("{count} 字节", "{count} bytes"),
    file=("文件", "file"),
    product=("产品", "product"),
    token=("令牌", "token"),
    device_key=("设备密钥", "device key"),
    no_certificate=("证书读不到", "certificate cannot be read"),
    no_date=("日期不明", "no date"),
    not_read=("不读取内容", "named only, not read"),
    unknown_card=("不认识的卡，以下是它的应答", "not a card known here; what it answered"),
    master_file=("主文件 3F00", "master file 3F00"),
    hidden=("（已隐藏，--show-personal 可显示）", "(hidden; --show-personal shows it)"),
    yuan=("{amount} 元", "{amount} yuan"),
    to=("至", "to"),
)

JOURNEY_KINDS: Final[Mapping[int, tuple[str, str]]] = MappingProxyType(
    {2: ("单次", "single"), 3: ("进站", "entry"), 4: ("出站", "exit"), 6: ("单次", "single")}
)
VEHICLES: Final[Mapping[int, tuple[str, str]]] = MappingProxyType(
    {1: ("地铁", "metro"), 2: ("公交", "bus")}  # other readers number them differently
)
CARD_KINDS: Final[Mapping[int, tuple[str, str]]] = MappingProxyType(
    {
        1: ("普通卡", "ordinary"),
        2: ("学生卡", "student"),
        3: ("老人卡", "senior"),
        4: ("测试卡", "test"),
        5: ("军人卡", "military"),
    }
)
TRANSACTION_KINDS: Final[Mapping[int, tuple[str, str]]] = MappingProxyType(
    {
        1: ("存折圈存", "load (passbook)"),
        2: ("充值", "top-up"),
        3: ("圈提", "unload"),
        4: ("取现", "cash"),
        5: ("存折消费", "spent (passbook)"),
        6: ("消费", "spent"),
        7: ("改透支限额", "overdraft limit changed"),
        8: ("信用消费", "spent on credit"),
        9: ("复合消费", "spent (compound)"),
    }
)


def said(pair: tuple[str, str], language: Language) -> str:
    """One of two words written down in the order zh, en."""
    return pair[0] if language is Language.ZH else pair[1]
