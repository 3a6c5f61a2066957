"""Which applications are known by name, and what can be read of each (Part B.1.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto, unique
from types import MappingProxyType
from typing import Final

from card_protocol.mobile_card import EPURSE_AID, MOBILE_CARD_AID, PPSE_NAME

PSE_NAME: Final = b"1PAY.SYS.DDF01"
ED, EP = 1, 2  # 电子存折, 电子钱包: P2 of GET BALANCE
MASTER_FILE: Final = 0x3F00


@unique
class Family(Enum):
    """How an application is read."""

    PURSE = auto()
    MOBILE_CARD = auto()
    NAMED_ONLY = auto()  # somebody else's money: said to be there, not read


@dataclass(frozen=True, slots=True)
class Known:
    aid: bytes
    zh: str
    en: str
    family: Family
    purse: int = EP


def _known(name: str | bytes, zh: str, en: str, family: Family, purse: int = EP) -> Known:
    aid = bytes.fromhex(name) if isinstance(name, str) else name
    return Known(aid, zh, en, family, purse)


# In the order they are tried. `MOT` 交通运输部 T-Union, `MOHURD` 住建部 City Union.
KNOWN: Final = (
    _known(MOBILE_CARD_AID, "市民卡手机卡", "citizen card on a phone", Family.MOBILE_CARD),
    _known(EPURSE_AID, "交通联合电子钱包", "T-Union e-purse", Family.PURSE),
    _known(
        "A000000632010107", "交通联合电子钱包（国密）", "T-Union e-purse, SM only", Family.PURSE
    ),
    _known("A000000632010106", "交通联合电子现金", "T-Union e-cash", Family.NAMED_ONLY),
    _known(
        "A000000632010108",
        "交通联合电子现金（国密）",
        "T-Union e-cash, SM only",
        Family.NAMED_ONLY,
    ),
    _known(
        "A000000632101002",
        "交通联合电子现金（修订版）",
        "T-Union e-cash, revised standard",
        Family.NAMED_ONLY,
    ),
    _known(
        "A000000632101004",
        "交通联合电子钱包（修订版）",
        "T-Union e-purse, revised standard",
        Family.PURSE,
    ),
    _known("A00000000386980701", "城市一卡通钱包", "City Union purse", Family.PURSE),
    _known("A00000000386980702", "城市一卡通应用二", "City Union application 2", Family.NAMED_ONLY),
    _known("A00000000386980703", "城市一卡通应用三", "City Union application 3", Family.NAMED_ONLY),
    _known(b"SUXIN.DDF01", "苏州市民卡", "Suzhou citizen card", Family.PURSE, ED),
    _known(b"PAY.SZT", "深圳通", "Shenzhen Tong", Family.PURSE),
    _known(b"PAY.APPY", "岭南通", "Lingnan Pass", Family.PURSE),
    _known(b"AP1.WHCTC", "武汉通", "Wuhan Tong", Family.PURSE),
    _known(b"1PUB.SYS.DDF01", "城市卡根目录", "city card's root", Family.NAMED_ONLY),
)
BY_AID: Final[Mapping[bytes, Known]] = MappingProxyType({known.aid: known for known in KNOWN})

# Registered providers whose applications are named and left alone: their cards show a PAN.
PROVIDERS: Final[Mapping[bytes, tuple[str, str]]] = MappingProxyType(
    {
        bytes.fromhex("A000000333"): ("银联卡", "UnionPay card"),
        bytes.fromhex("A000000003"): ("Visa 卡", "Visa card"),
        bytes.fromhex("A000000004"): ("万事达卡", "Mastercard"),
    }
)

# 银联地区码 (bytes 2 and 3 of a T-Union issuer) and postal digits (of a City Union issuer).
T_UNION_REGIONS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "1000": ("北京", "Beijing"),
        "1100": ("天津", "Tianjin"),
        "2900": ("上海", "Shanghai"),
        "3050": ("苏州", "Suzhou"),
        "3310": ("杭州", "Hangzhou"),
        "5840": ("深圳", "Shenzhen"),
        "7310": ("昆明", "Kunming"),
    }
)
CITY_UNION_REGIONS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "2000": ("上海", "Shanghai"),
        "3000": ("天津", "Tianjin"),
        "3100": ("杭州", "Hangzhou"),
        "4000": ("重庆", "Chongqing"),
    }
)

DIRECTORIES: Final = (PPSE_NAME, PSE_NAME)
