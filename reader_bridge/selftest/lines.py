"""One line of the self-test: what was looked at, how it stands, what to do; values and words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from types import MappingProxyType
from typing import Final

from reader_bridge.extras import words_of
from reader_bridge.faults import Fault, Language, Text


@unique
class Verdict(Enum):
    """SKIP: another line has to be put right first. It fails nothing by itself."""

    OK = "OK"
    FAIL = "FAIL"
    SKIP = "SKIP"


TITLES: Final[Mapping[str, Text]] = MappingProxyType(
    {
        "folder": Text("终端目录", "state folder"),
        "disk": Text("磁盘", "disk"),
        "activation": Text("激活", "activation"),
        "backend": Text("后台", "backend"),
        "clock": Text("时钟", "clock"),
        "login": Text("登录", "login"),
        "profile": Text("终端配置", "profile"),
        "deny_list": Text("黑名单", "deny list"),
        "journal": Text("交易日志", "journal"),
        "waiting": Text("待上传", "waiting"),
        "sam": Text("PSAM", "SAM"),
        "pcsc": Text("读卡器", "PC/SC reader"),
        "nfc": Text("NFC 读卡器", "NFC reader"),
        "card": Text("试卡", "card"),
        "scanner": Text("扫码器", "scanner"),
        "code": Text("试码", "code"),
        "port": Text("本机端口", "port"),
    }
)

# What to do about a code, where its own words do not say it.
ADVICE: Final[Mapping[str, Text]] = MappingProxyType(
    {
        "folder_missing": Text("先激活:activate", "activate first"),
        "folder_exposed": Text("chmod 700 该目录", "chmod 700 the folder"),
        "file_exposed": Text("chmod 600 该文件", "chmod 600 the file"),
        "folder_not_writable": Text(
            "用服务的用户运行,目录归其所有", "run as the service's user, who must own the folder"
        ),
        "disk_low": Text("腾出空间或换更大的存储", "make room, or fit a larger disk"),
        "disk_slow": Text("换存储:交易须先落盘", "fit another disk: a sale waits for it"),
        "not_activated": Text(
            "向运营方要激活码,然后 activate", "ask the operator for a code, then activate"
        ),
        "key_exposed": Text("chmod 600 该文件", "chmod 600 the file"),
        "state_damaged": Text("不要删除,联系运营方", "delete nothing, ask the operator"),
        "state_newer": Text("升级程序", "install the newer release"),
        "address_refused": Text("用 https 地址重新激活", "activate again with an https address"),
        "backend_unreachable": Text(
            "查网线、DNS、防火墙、代理", "check cable, DNS, firewall and proxy"
        ),
        "tls_refused": Text(
            "查时钟与 CA 证书;网络中可能有人截取",
            "check clock and CA certificates; somebody may intercept this line",
        ),
        "backend_failing": Text("联系运营方", "ask the operator"),
        "clock_wrong": Text("开启网络校时(timedatectl)", "switch on network time (timedatectl)"),
        "login_refused": Text(
            "终端被停用或钥匙不符,联系运营方", "suspended, or another key: ask the operator"
        ),
        "profile_missing": Text("联网后运行 forward", "go online and run forward"),
        "profile_expired": Text("联网后运行 forward", "go online and run forward"),
        "terminal_clock_wrong": Text("校时", "set the clock"),
        "deny_list_missing": Text("联网后运行 forward", "go online and run forward"),
        "deny_list_too_old": Text("联网后运行 forward", "go online and run forward"),
        "deny_list_damaged": Text("联网后运行 forward", "go online and run forward"),
        "journal_damaged": Text(
            "停用本机,不要删除,联系运营方", "stop, delete nothing, ask the operator"
        ),
        "journal_full": Text("腾出磁盘空间", "make room on the disk"),
        "sales_aside": Text(
            "后台拒收,联系运营方核对", "the backend did not take them: ask the operator"
        ),
        "sales_wait_long": Text("查网络,然后 forward", "check the network, then forward"),
        "service_missing": Text("systemctl start pcscd", "systemctl start pcscd"),
        "reader_missing": Text("插好读卡器,看 readers", "plug it in; see readers"),
        "reader_failed": Text(
            "拔下重插;查 udev 权限,serve 是否占用",
            "plug it in again; udev rights; is serve using it?",
        ),
        "scanner_failed": Text(
            "拔下重插;查 udev 权限,serve 是否占用",
            "plug it in again; udev rights; is serve using it?",
        ),
        "no_card": Text("把卡放稳再试", "hold a card to the reader, try again"),
        "no_code": Text("查扫码器的接口、回车后缀", "check the scanner's interface and its Enter"),
        "port_taken": Text("换 --port,或停掉占用者", "another --port, or stop who has it"),
        "check_too_slow": Text(
            "设备或磁盘无响应,重启再试", "device or disk hangs: restart, try again"
        ),
        "check_broke": Text("程序缺陷,请上报", "a bug: report it"),
    }
)


@dataclass(frozen=True, slots=True)
class Line:
    """`said` holds no secret and no card number; `code` is None where nothing is wrong."""

    name: str
    verdict: Verdict
    said: Text
    code: str | None = None

    def __post_init__(self) -> None:
        if self.name not in TITLES:
            raise KeyError(f"no title for {self.name!r}")

    @property
    def advice(self) -> Text | None:
        return None if self.code is None else ADVICE.get(self.code)

    def read(self, language: Language) -> str:
        """For a person: verdict, title, what was found, and what to do."""
        words = f"{self.verdict.value:4} {_in(TITLES[self.name], language)}: "
        words += _in(self.said, language)
        if self.code is not None:
            words += f" [{self.code}]"
        return words if self.advice is None else f"{words} -> {_in(self.advice, language)}"

    def to_document(self) -> dict[str, object]:
        """For a program."""
        advice = self.advice
        return {
            "name": self.name,
            "verdict": self.verdict.value,
            "code": self.code,
            "said": {"zh-CN": self.said.zh, "en": self.said.en},
            "advice": None if advice is None else {"zh-CN": advice.zh, "en": advice.en},
        }


def ok(name: str, zh: str, en: str) -> Line:
    return Line(name, Verdict.OK, Text(zh, en))


def fail(name: str, code: str, zh: str, en: str) -> Line:
    return Line(name, Verdict.FAIL, Text(zh, en), code)


def fail_by(name: str, fault: Fault) -> Line:
    """A fault's own words, with what to install where a driver is missing."""
    return fail(name, fault.code, words_of(fault, "zh-CN"), words_of(fault, "en"))


def skip(name: str, because: str) -> Line:
    zh, en = TITLES[because].zh, TITLES[because].en
    return Line(name, Verdict.SKIP, Text(f"先解决:{zh}", f"first put right: {en}"))


def _in(text: Text, language: Language) -> str:
    """Unformatted: what was found may hold braces."""
    return text.zh if language == "zh-CN" else text.en
