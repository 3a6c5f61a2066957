"""Plastic city cards as written-down dialogues: what each application answers to each read.

The T-Union card is the worked example of the design page (Part B.1); the others follow the same
tables. Names and numbers are made up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from card_protocol.apdu import CommandApdu
from card_protocol.errors import MalformedBytes

ATR = bytes.fromhex("3B8A800180584349545943415244C0")
NOT_FOUND, NO_RECORD, UNKNOWN = (bytes.fromhex(sw) for sw in ("6A82", "6A83", "6D00"))

T_UNION_PUBLIC = "01011000FFFFFFFF" + "0201" + "03105170070104791381" + "2019071820401231" + "0000"
CITY_UNION_PUBLIC = (
    "8475310000000000" + "0201" + "0000" + "3100012345678901" + "20150101" + "20301231" + "0000"
)
HOLDER = (
    "0000"
    + "王小明".encode("gb18030").hex().ljust(40, "0")
    + (b"110101199003070011".hex().ljust(64, "0") + "00")
)
MANAGEMENT = "00000156" + "1000" + "1000" + "0001" + "03" + "00" * 49


def log(sequence: int, amount_fen: int, kind: int, when: str) -> str:
    terminal = "310000000042"
    return f"{sequence:04X}000000{amount_fen:08X}{kind:02X}{terminal}{when}"


def journey(kind: int, vehicle: int, amount_fen: int, balance_fen: int, when: str) -> str:
    place = "0005" + "0017" + "0000" + "00"  # line, station, operator
    head = f"{kind:02X}" + "0000310000000042" + f"{vehicle:02X}" + place
    tail = f"{amount_fen:08X}{balance_fen:08X}{when}" + "1000" + "01011000FFFFFFFF" + "00" * 6
    return head + tail


def rail(is_inside: bool) -> str:
    body = bytearray(128)
    body[:3] = bytes.fromhex("27127D")
    body[35:43] = bytes.fromhex("0000000000000A17")
    body[67:74] = bytes.fromhex("20251120080102")
    body[122] = 0x55 if is_inside else 0x66
    return body.hex()


@dataclass(frozen=True)
class Application:
    """`answers`: the command's hex without Le (or with, where it matters) to the answer's hex."""

    fci: str
    answers: Mapping[str, str] = field(default_factory=dict)
    sw: str = "9000"


class PlasticCard:
    """Answers by the book; keeps what it was asked. Safe for `VpcdPlug`, like `hce.card.Card`."""

    def __init__(self, applications: Mapping[bytes, Application]) -> None:
        self.atr = ATR
        self.asked: list[bytes] = []
        self._applications = applications
        self._selected: Application | None = None

    def power_on(self) -> bytes:
        self._selected = None
        return self.atr

    reset = power_on

    def power_off(self) -> None:
        self._selected = None

    def transmit(self, command: bytes) -> bytes:
        self.asked.append(command)
        try:
            asked = CommandApdu.decode(command)
        except MalformedBytes:
            return bytes.fromhex("6700")
        if asked.ins == 0xA4:
            self._selected = self._applications.get(asked.data) if asked.p1 == 4 else None
            return NOT_FOUND if self._selected is None else self._face(self._selected)
        known = self._selected.answers if self._selected is not None else {}
        for key in (command.hex().upper(), asked.header.hex().upper()):
            if key in known:
                return bytes.fromhex(known[key])
        return NO_RECORD if asked.ins == 0xB2 else NOT_FOUND if asked.ins == 0xB0 else UNKNOWN

    def _face(self, application: Application) -> bytes:
        return bytes.fromhex(application.fci + application.sw)


def fci(name: bytes, proprietary: str) -> str:
    inside = f"84{len(name):02X}{name.hex()}A5{len(proprietary) // 2:02X}{proprietary}"
    return f"6F{len(inside) // 2:02X}{inside}"


def directory(*entries: tuple[str, str]) -> Application:
    body = ""
    for aid, label in entries:
        inside = f"4F{len(aid) // 2:02X}{aid}50{len(label):02X}{label.encode().hex()}870101"
        body += f"61{len(inside) // 2:02X}{inside}"
    return Application(fci(b"2PAY.SYS.DDF01", f"BF0C{len(body) // 2:02X}{body}"))


PPSE = b"2PAY.SYS.DDF01"
T_UNION_AID, CITY_UNION_AID = "A000000632010105", "A00000000386980701"


def t_union(sw: str = "9000") -> PlasticCard:
    answers = {
        "00B09500": T_UNION_PUBLIC + "9000",
        "00B09600": HOLDER + "9000",
        "00B09700": MANAGEMENT + "9000",
        "805C0002": "000004D2" + "9000",
        "805C0302": "000004D2" + "9000",
        "00B201C4": log(12, 200, 9, "20251120080102") + "9000",
        "00B202C4": log(3, 5000, 2, "20251119120000") + "9000",
        "00B203C4": "00" * 23 + "9000",
        "00B201F4": journey(4, 1, 300, 1234, "20251120083000") + "9000",
        "00B202F4": journey(6, 2, 200, 1534, "20251120080102") + "9000",
        "00B203F4": "00" * 48 + "9000",
        "00B227D0": rail(is_inside=True) + "9000",
    }
    return PlasticCard(
        {
            PPSE: directory((T_UNION_AID, "MOT_T_EP")),
            bytes.fromhex(T_UNION_AID): Application(
                fci(bytes.fromhex(T_UNION_AID), "9F080102" + "9F0C1E" + T_UNION_PUBLIC), answers, sw
            ),
        }
    )


def city_union() -> PlasticCard:
    """An older card: no directory, no purse by P1 03, an overdraft, GET RESPONSE, a wrong Le."""
    answers = {
        "00B0950000": "6C1E",
        "00B095001E": "611E",
        "00C00000": CITY_UNION_PUBLIC + "9000",
        "805C0002": "00000820" + "9000",
        "805C0102": "00000320" + "9000",
        "00B201C4": log(7, 150, 6, "20251101073000") + "9000",
    }
    name = bytes.fromhex(CITY_UNION_AID)
    return PlasticCard({name: Application(fci(name, "9F0C1E" + CITY_UNION_PUBLIC), answers)})


def suzhou() -> PlasticCard:
    """Its own name, the balance in the 电子存折 (P2 01), no public file but in the FCI."""
    public = "0101305000000000" + T_UNION_PUBLIC[16:]
    answers = {"805C0001": "8000002A" + "9000", "805C0301": "8000002A" + "9000"}
    return PlasticCard(
        {b"SUXIN.DDF01": Application(fci(b"SUXIN.DDF01", "9F0C1E" + public), answers)}
    )


def bank() -> PlasticCard:
    aid = "A000000333010101"
    return PlasticCard(
        {
            PPSE: directory((aid, "UnionPay Debit")),
            bytes.fromhex(aid): Application(fci(bytes.fromhex(aid), "500855696F6E50617931")),
        }
    )


def nothing() -> PlasticCard:
    return PlasticCard({})
