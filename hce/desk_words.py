"""The words of `python -m hce` outside an inspection, in two languages; knows no card."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hce.errors import (
    CardAbsent,
    CardFileDamaged,
    CardFileExists,
    CardFileExposed,
    CardFileFailed,
    CardFileMissing,
    CardFileUnfit,
    ReaderUnreachable,
)
from hce.inspect.commands import TooTalkative
from hce.inspect.words import Language, both, said
from hce.purse_order import OrderRefused

WORDS: Final = both(
    made_mobile=(
        "手机卡 {number} 已写入 {path}；演示卡，自带发卡密钥",
        "card {number} is in {path}; a demonstration card with its own issuer key",
    ),
    made_purse=(
        "电子钱包 {number}（{profile}，{yuan} 元）已写入 {path}",
        "purse {number} ({profile}, {yuan} yuan) is in {path}",
    ),
    test_keys=(
        "TEST 测试密钥，人人皆知：不得用于真实资金",
        "TEST keys, known to everybody: no real money on it",
    ),
    own_issuer=(
        "演示卡，自带发卡密钥，存于 {path}",
        "a demonstration card with its own issuer key, kept in {path}",
    ),
    mobile_card=("手机卡 {number}", "card {number}"),
    purse=("电子钱包 {number}", "purse {number}"),
    plugged=("{cards} 已插入 {place}", "{cards} is in {place}"),
    held=("{cards} 在 {place} 等待读卡器", "{cards} waits for a reader at {place}"),
    slot=(
        "{host}:{port} 虚拟读卡器的 {slot} 号卡槽",
        "slot {slot} of the virtual reader at {host}:{port}",
    ),
    no_slot=("{host}:{port} 的虚拟读卡器", "the virtual reader at {host}:{port}"),
    takes_out=("按 Ctrl-C 拔出", "Ctrl-C takes it out"),
    takes_away=("按 Ctrl-C 拿开", "Ctrl-C takes it away"),
    with_=("、", " and "),
    is_pcscd_running=(
        "pcscd 和 vsmartcard-vpcd 在运行吗？",
        "Is pcscd running with vsmartcard-vpcd?",
    ),
)

# What the operating system or a file has to say follows in English.
FAULTS: Final[Mapping[type[Exception], str]] = MappingProxyType(
    {
        CardFileMissing: "没有这个文件",
        CardFileExists: "已有文件，不会覆盖",
        CardFileDamaged: "文件已损坏，或不是卡文件",
        CardFileFailed: "文件无法使用",
        CardFileExposed: "密钥文件他人可读",
        CardFileUnfit: "文件不适用",
        CardAbsent: "没有卡",
        TooTalkative: "卡应答不休",
        ReaderUnreachable: "连不上读卡器",
        OrderRefused: "不能这样制卡",
    }
)


def told(error: Exception, language: Language) -> str:
    """One line for a fault of the table."""
    return said((f"{FAULTS[type(error)]}: {error}", str(error)), language)
