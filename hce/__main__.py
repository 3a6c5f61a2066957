"""`python -m hce`: plugs a card into pcscd, holds one to an NFC reader, makes one, reads any."""

from __future__ import annotations

import argparse
import io
import re
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Final

from hce.desk import DEMONSTRATION_PATH, MOBILE_SUITES, Desk
from hce.desk_words import WORDS, told
from hce.errors import CardAbsent, CardFileProblem, ReaderUnreachable
from hce.inspect import Language
from hce.inspect.commands import TooTalkative
from hce.purse_keys import SUITES
from hce.purse_order import OrderRefused
from hce.purse_profile import PROFILES
from hce.rehearsal import dice_of
from hce.transports.vpcd import HOST, PORT, SLOTS

WAIT_SECONDS, WAIT_SECONDS_MAX = 10.0, 600.0
UDP_READER: Final = "udp:127.0.0.1:54321"  # nfcpy's simulated field: another process is the reader
EXIT_OK, EXIT_UNUSABLE = 0, 2
YUAN: Final = re.compile(r"(?P<yuan>[0-9]{1,7})(?:\.(?P<fen>[0-9]{1,2}))?", re.ASCII)


def now_seconds() -> int:
    return int(time.time())


def _run(chosen: argparse.Namespace, desk: Desk) -> None:
    if chosen.command == "new" and chosen.purse:
        desk.new_purse(
            chosen.card,
            chosen.profile or next(iter(PROFILES)),
            suite=chosen.suite,
            balance_fen=chosen.balance or 0,
            number=chosen.number,
            keys_path=chosen.keys,
        )
    elif chosen.command == "new":
        suite = MOBILE_SUITES[chosen.suite or "intl"]
        desk.new_mobile_card(chosen.card, suite, chosen.issuer, chosen.offline or 0)
    elif chosen.command == "inspect":
        desk.inspect(chosen.reader, chosen.wait_seconds, show_personal=chosen.show_personal)
    elif chosen.command == "listen":
        desk.hold(chosen.card, chosen.keys, chosen.reader)
    else:
        desk.plug(chosen.card, chosen.keys, chosen.host, chosen.port or PORT + chosen.slot)


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65_535:
        raise ValueError
    return number


def _wait(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= WAIT_SECONDS_MAX:
        raise ValueError
    return seconds


def _yuan(text: str) -> int:
    """Fen."""
    match = YUAN.fullmatch(text)
    if match is None:
        raise ValueError
    return int(match["yuan"]) * 100 + int((match["fen"] or "").ljust(2, "0"))


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    whole = argparse.ArgumentParser(prog="python -m hce", description=__doc__)
    commands = whole.add_subparsers(dest="command", required=True)
    words = argparse.ArgumentParser(add_help=False)
    words.add_argument(
        "--lang", type=Language, default=Language.ZH, metavar="{zh,en}", help="default: zh"
    )
    timed = argparse.ArgumentParser(add_help=False, parents=[words])
    timed.add_argument("--now", type=int, help="unix second at which the card's clock stands still")
    cards = argparse.ArgumentParser(add_help=False, parents=[timed])
    cards.add_argument(
        "--card",
        type=Path,
        action="append",
        default=[],
        help="card or purse file; twice puts both on one card "
        f"(default: a demonstration card, {DEMONSTRATION_PATH})",
    )
    cards.add_argument("--keys", type=Path, help="key file the purse is sealed with (else TEST)")
    _add_plugging(commands.add_parser("plug", parents=[cards], help="into a running pcscd 插卡"))
    holding = commands.add_parser("listen", parents=[cards], help="to an NFC reader (nfcpy) 贴卡")
    holding.add_argument(
        "--reader", default=UDP_READER, help=f"usb, tty:USB0:pn532, … (default: {UDP_READER})"
    )
    _add_inspecting(commands.add_parser("inspect", parents=[words], help="read any card 读卡"))
    _add_making(commands.add_parser("new", parents=[timed], help="make a card or purse file 制卡"))
    return whole


def _add_plugging(plugging: argparse.ArgumentParser) -> None:
    plugging.add_argument("--seed", help="TEST purses answer the same in every run")
    plugging.add_argument("--host", default=HOST, help="where pcscd's virtual reader listens")
    place = plugging.add_mutually_exclusive_group()
    place.add_argument(
        "--slot", type=int, choices=range(SLOTS), default=0, help=f"0: port {PORT}, 1: {PORT + 1}"
    )
    place.add_argument("--port", type=_port, help="of a virtual reader elsewhere")


def _add_inspecting(inspecting: argparse.ArgumentParser) -> None:
    inspecting.add_argument("--reader", help="part of its name (default: the first)")
    inspecting.add_argument(
        "--wait-seconds", type=_wait, default=WAIT_SECONDS, help=f"for a card ({WAIT_SECONDS})"
    )
    inspecting.add_argument(
        "--show-personal", action="store_true", help="names, numbers and places too 显示个人信息"
    )


def _add_making(making: argparse.ArgumentParser) -> None:
    making.add_argument("--card", type=Path, required=True, help="the file to make")
    making.add_argument(
        "--purse", action="store_true", help="an e-purse, not a mobile card 电子钱包"
    )
    making.add_argument(
        "--suite",
        choices=[*MOBILE_SUITES, *SUITES],
        help=f"mobile card: {', '.join(MOBILE_SUITES)}; purse: {', '.join(SUITES)}",
    )
    making.add_argument("--issuer", type=Path, help="mobile card: who vouches (PKCS #8, DER)")
    making.add_argument("--offline", type=_yuan, help="mobile card: yuan it may owe 脱机限额")
    making.add_argument("--profile", choices=PROFILES, help="of the purse (the first) 卡种")
    making.add_argument("--balance", type=_yuan, help="yuan on a TEST purse, 50.00 余额")
    making.add_argument("--number", help="19 digits from 310 (default: random) 卡号")
    making.add_argument("--keys", type=Path, help="an issuer's key file (default: TEST keys) 密钥")


def _checked(whole: argparse.ArgumentParser, chosen: argparse.Namespace) -> argparse.Namespace:
    """What argparse cannot tell: which options go together. Ends the program with the usage."""
    if chosen.command == "plug" and chosen.seed is not None and chosen.keys is not None:
        whole.error("--seed is for TEST cards: not with --keys")
    if chosen.command != "new":
        return chosen
    suites = SUITES if chosen.purse else MOBILE_SUITES
    if chosen.suite not in {None, *suites}:
        whole.error(f"--suite here is one of {', '.join(suites)}")
    purse_only, phone_only = ("profile", "balance", "number", "keys"), ("issuer", "offline")
    for name in phone_only if chosen.purse else purse_only:
        if getattr(chosen, name) is not None:
            whole.error(f"--{name} is {'not ' if chosen.purse else ''}for --purse")
    return chosen


def _stop(signal_number: int, frame: FrameType | None) -> None:
    del signal_number, frame
    raise KeyboardInterrupt


def _desk(chosen: argparse.Namespace) -> Desk:
    desk = Desk(chosen.lang, now_seconds, lambda line: print(line, flush=True))
    if chosen.command != "inspect" and chosen.now is not None:
        desk = replace(desk, now=lambda: chosen.now)
    if chosen.command == "plug" and chosen.seed is not None:
        desk = replace(desk, random_bytes=dice_of(chosen.seed))
    return desk


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 cannot (one line on stderr says why)."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a narrow terminal gets escapes, not a traceback
        sys.stdout.reconfigure(errors="backslashreplace")
    whole = parser()
    chosen = _checked(whole, whole.parse_args(arguments))
    language: Language = chosen.lang
    signal.signal(signal.SIGTERM, _stop)
    try:
        _run(chosen, _desk(chosen))
    except KeyboardInterrupt:
        return EXIT_OK
    except ReaderUnreachable as error:
        hint = f". {WORDS['is_pcscd_running'][language]}" if chosen.command == "plug" else ""
        print(f"hce: {told(error, language)}{hint}", file=sys.stderr)
        return EXIT_UNUSABLE
    except (CardFileProblem, CardAbsent, TooTalkative, OrderRefused) as error:
        print(f"hce: {told(error, language)}", file=sys.stderr)
        return EXIT_UNUSABLE
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
