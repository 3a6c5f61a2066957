"""Status words a card may answer with, and what each means in two languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, unique
from types import MappingProxyType


@unique
class StatusWord(IntEnum):
    """ISO/IEC 7816-4, 5.6, and the 93xx and 94xx words of JR/T 0025 purses."""

    OK = 0x9000
    WARNING_BLOCKED = 0x6283
    MEMORY_FAILURE = 0x6581
    WRONG_LENGTH = 0x6700
    COMMAND_NOT_ACCEPTABLE = 0x6901
    FILE_KIND_WRONG = 0x6981
    SECURITY_STATUS_NOT_MET = 0x6982
    PIN_BLOCKED = 0x6983
    CONDITIONS_NOT_MET = 0x6985
    NO_CURRENT_FILE = 0x6986
    SECURE_MESSAGING_WRONG = 0x6988
    WRONG_DATA = 0x6A80
    FUNCTION_NOT_SUPPORTED = 0x6A81
    FILE_NOT_FOUND = 0x6A82
    RECORD_NOT_FOUND = 0x6A83
    NO_ROOM = 0x6A84
    WRONG_P1_P2 = 0x6A86
    DATA_NOT_FOUND = 0x6A88
    WRONG_OFFSET = 0x6B00
    INS_NOT_SUPPORTED = 0x6D00
    CLA_NOT_SUPPORTED = 0x6E00
    INTERNAL_FAULT = 0x6F00
    MAC_INVALID = 0x9302
    APPLICATION_LOCKED = 0x9303
    INSUFFICIENT_BALANCE = 0x9401
    COUNTER_AT_MAXIMUM = 0x9402
    KEY_INDEX_NOT_SUPPORTED = 0x9403
    MAC_NOT_AVAILABLE = 0x9406
    RECORD_LOCKED = 0x9407
    GREY_LOCKED = 0x9408


@dataclass(frozen=True, slots=True)
class Meaning:
    en: str
    zh_cn: str


MEANINGS: Mapping[StatusWord, Meaning] = MappingProxyType(
    {
        StatusWord.OK: Meaning("done", "成功"),
        StatusWord.WARNING_BLOCKED: Meaning("card or application is blocked", "卡片或应用已锁定"),
        StatusWord.MEMORY_FAILURE: Meaning("memory failure", "存储器故障"),
        StatusWord.WRONG_LENGTH: Meaning("wrong length", "长度错误"),
        StatusWord.COMMAND_NOT_ACCEPTABLE: Meaning(
            "command not acceptable in this state", "当前状态不接受此命令"
        ),
        StatusWord.FILE_KIND_WRONG: Meaning("not that kind of file", "命令与文件结构不相容"),
        StatusWord.SECURITY_STATUS_NOT_MET: Meaning("security status not met", "不满足安全状态"),
        StatusWord.PIN_BLOCKED: Meaning("PIN is blocked", "密码已锁定"),
        StatusWord.CONDITIONS_NOT_MET: Meaning("conditions of use not met", "不满足使用条件"),
        StatusWord.NO_CURRENT_FILE: Meaning("no file is selected", "没有选择当前文件"),
        StatusWord.SECURE_MESSAGING_WRONG: Meaning(
            "secure messaging object is wrong", "安全报文数据项不正确"
        ),
        StatusWord.WRONG_DATA: Meaning("wrong data", "数据域参数错误"),
        StatusWord.FUNCTION_NOT_SUPPORTED: Meaning(
            "function not supported, or card locked", "不支持此功能或卡已锁定"
        ),
        StatusWord.FILE_NOT_FOUND: Meaning("file or application not found", "未找到文件或应用"),
        StatusWord.RECORD_NOT_FOUND: Meaning("record not found", "未找到记录"),
        StatusWord.NO_ROOM: Meaning("no room left", "存储空间不足"),
        StatusWord.WRONG_P1_P2: Meaning("wrong P1 or P2", "参数 P1 P2 错误"),
        StatusWord.DATA_NOT_FOUND: Meaning("data not found", "未找到引用数据"),
        StatusWord.WRONG_OFFSET: Meaning("offset outside the file", "偏移超出文件范围"),
        StatusWord.INS_NOT_SUPPORTED: Meaning("command not supported", "不支持此命令"),
        StatusWord.CLA_NOT_SUPPORTED: Meaning("class not supported", "不支持此命令类别"),
        StatusWord.INTERNAL_FAULT: Meaning("internal fault", "卡片内部故障"),
        StatusWord.MAC_INVALID: Meaning("MAC is invalid", "MAC 校验错误"),
        StatusWord.APPLICATION_LOCKED: Meaning("application permanently locked", "应用已永久锁定"),
        StatusWord.INSUFFICIENT_BALANCE: Meaning("balance is too low", "余额不足"),
        StatusWord.COUNTER_AT_MAXIMUM: Meaning("counter at its maximum", "交易计数器达到最大值"),
        StatusWord.KEY_INDEX_NOT_SUPPORTED: Meaning("key index not supported", "不支持此密钥索引"),
        StatusWord.MAC_NOT_AVAILABLE: Meaning("the MAC asked for is gone", "所需 MAC 不可用"),
        StatusWord.RECORD_LOCKED: Meaning("record is locked", "记录已锁定"),
        StatusWord.GREY_LOCKED: Meaning("purse is grey-locked", "钱包处于灰锁状态"),
    }
)


def meaning_of(sw: int) -> Meaning:
    """What a status word says, with the number inside 61xx, 6Cxx and 63Cx read out. Total."""
    sw1, sw2 = sw >> 8 & 0xFF, sw & 0xFF
    if sw1 == 0x61:
        return Meaning(f"{sw2 or 256} bytes are waiting", f"还有 {sw2 or 256} 字节可取")
    if sw1 == 0x6C:
        return Meaning(f"wrong Le: {sw2 or 256} is right", f"Le 错误，应为 {sw2 or 256}")
    if sw1 == 0x63 and sw2 & 0xF0 == 0xC0:
        tries = sw2 & 0x0F
        return Meaning(f"PIN is wrong: {tries} tries left", f"密码错误，还可试 {tries} 次")
    if sw in MEANINGS:
        return MEANINGS[StatusWord(sw)]
    return Meaning(f"unknown status word {sw:04X}", f"未知状态字 {sw:04X}")
