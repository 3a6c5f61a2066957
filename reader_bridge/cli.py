"""A terminal simulator: one command a run; knows only the facade.

Exit codes: 0 done, 1 refused, 2 cannot work (state, backend, reader, SAM, wrong call), 3 unknown
(also a torn card: the same command with the same card finishes it).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, TextIO

import qrcode

from reader_bridge.acceptance import Order, OrderKind
from reader_bridge.amounts import parse_yuan
from reader_bridge.backend_client import Refused, Unreachable
from reader_bridge.codes import PICTURE_BYTES_MAX, read_picture
from reader_bridge.faults import LANGUAGES, CardFault, CodeFault, Fault, ReaderFault, TerminalFault
from reader_bridge.forward import StepKind
from reader_bridge.local.server import PORT, LocalServer
from reader_bridge.readers.pcsc import PcscReader
from reader_bridge.receipt import Outcome, Receipt
from reader_bridge.sam.port import Sam
from reader_bridge.sam.sealed import read_passphrase
from reader_bridge.sam.setup import open_sam
from reader_bridge.serving import serve_terminal
from reader_bridge.terminal import CARD_SECONDS, Terminal

DONE, REFUSED, CANNOT, UNKNOWN = 0, 1, 2, 3
_EXIT_CODES: Final[Mapping[Outcome, int]] = {
    Outcome.CAPTURED: DONE,
    Outcome.POSTED: DONE,
    Outcome.REVERSED: DONE,
    Outcome.REFUSED: REFUSED,
    Outcome.UNKNOWN: UNKNOWN,
    Outcome.ACCEPTED: DONE,
    Outcome.INTENDED: UNKNOWN,
    Outcome.DROPPED: REFUSED,
    Outcome.TOLD: DONE,
}
_TORN: Final = frozenset({"debit_unknown", "sale_unfinished"})
Command = Callable[[argparse.Namespace, TextIO], int]


def main(argv: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Run one command; every failure a person can act upon is one line on `err`."""
    arguments = _parser().parse_args(argv)
    command: Command = arguments.command
    try:
        return command(arguments, out)
    except (CardFault, CodeFault) as fault:
        err.write(f"{fault.code}: {fault.text(arguments.language)}\n")
        return REFUSED
    except Fault as fault:
        err.write(f"{fault.code}: {fault.text(arguments.language)}\n")
        return UNKNOWN if fault.code in _TORN else CANNOT
    except Refused as refusal:
        err.write(f"{refusal.code}: {refusal.detail}\n")
        return REFUSED
    except Unreachable as failure:
        words = "后台无应答" if arguments.language == "zh-CN" else "no answer from the backend"
        err.write(f"backend_unreachable: {words} ({failure.reason})\n")
        return CANNOT


def _activate(arguments: argparse.Namespace, out: TextIO) -> int:
    with Terminal.activate(
        arguments.state,
        arguments.url,
        arguments.code,
        label=arguments.label,
        language=arguments.language,
    ) as terminal:
        identity = terminal.identity
        out.write(
            f"{identity.client_id} {identity.terminal_number}"
            f" {identity.merchant_name} {identity.shop_name}\n"
        )
    return DONE


def _sell(arguments: argparse.Namespace, out: TextIO) -> int:
    amount_fen = parse_yuan(arguments.amount)
    pay_code = arguments.pay_code
    if arguments.picture is not None:
        pay_code = read_picture(_read_file(arguments.picture))
    with _sam_of(arguments) as sam, _open(arguments, sam) as terminal:
        if not arguments.offline_first:  # a bus does not wait for the backend
            terminal.recover()
        if pay_code is not None:
            receipt = terminal.sell(
                amount_fen, register_reference=arguments.register_reference, pay_code=pay_code
            )
        else:
            reader = PcscReader(arguments.reader_name)
            try:
                receipt = terminal.sell(
                    amount_fen,
                    register_reference=arguments.register_reference,
                    reader=reader,
                    card_seconds=arguments.wait,
                )
            finally:
                reader.close()
    return _print(receipt, arguments, out)


def _balance(arguments: argparse.Namespace, out: TextIO) -> int:
    order = Order(OrderKind.BALANCE, "balance")
    with _sam_of(arguments) as sam, _open(arguments, sam) as terminal:
        reader = PcscReader(arguments.reader_name)
        try:
            channel = reader.wait_for_card(arguments.wait)
            if channel is None:
                raise ReaderFault("no_card")
            receipt = terminal.tap(order, channel, reader.name)
        finally:
            reader.close()
    return _print(receipt, arguments, out)


def _forward(arguments: argparse.Namespace, out: TextIO) -> int:
    """Uploads what waits, once; profile and deny list first."""
    with _open(arguments) as terminal:
        step = terminal.forward()
        out.write(_status_line(terminal))
    if step.kind is StepKind.FAILED:
        out.write(f"{step.code}\n")
        return CANNOT
    return UNKNOWN if step.is_left else DONE


def _status(arguments: argparse.Namespace, out: TextIO) -> int:
    with _open(arguments) as terminal:
        out.write(_status_line(terminal))
        for entry in terminal.journal.torn():
            receipt = terminal.ask_again(entry.draft.reference)
            out.write(receipt.in_short(arguments.language) + "\n")
    return DONE


def _status_line(terminal: Terminal) -> str:
    """One line for scripts: `name=figure …`."""
    status = terminal.status()
    backlog = status.backlog
    figures = {
        "offline": status.standing.level.name.lower(),
        "reason": status.standing.code or status.damage or "none",
        "profile": status.profile_version,
        "deny_list": status.deny_list_version,
        "waiting": backlog.count,
        "waiting_fen": backlog.sum_fen,
        "torn": backlog.torn_count,
        "aside": backlog.aside_count,
    }
    return " ".join(f"{name}={value}" for name, value in figures.items()) + "\n"


@contextmanager
def _sam_of(arguments: argparse.Namespace) -> Iterator[Sam | None]:
    """The software SAM of a folder, where one was named. Raises SamFault."""
    if arguments.sam is None:
        yield None
        return
    passphrase = read_passphrase(arguments.sam_passphrase or arguments.sam / "passphrase")
    with closing(open_sam(arguments.sam, passphrase)) as sam:
        yield sam


def _ask_again(arguments: argparse.Namespace, out: TextIO) -> int:
    with _open(arguments) as terminal:
        if arguments.register_reference is not None:
            return _print(terminal.ask_again(arguments.register_reference), arguments, out)
        receipts = terminal.recover()
    codes = [_print(receipt, arguments, out) for receipt in receipts]
    return UNKNOWN if UNKNOWN in codes else DONE


def _reverse(arguments: argparse.Namespace, out: TextIO) -> int:
    with _open(arguments) as terminal:
        return _print(terminal.reverse(arguments.register_reference), arguments, out)


def _refund(arguments: argparse.Namespace, out: TextIO) -> int:
    amount_fen = parse_yuan(arguments.amount)
    with _open(arguments) as terminal:
        receipt = terminal.refund(
            arguments.register_reference,
            amount_fen,
            refund_reference=arguments.refund_reference,
            reason=arguments.reason,
        )
    return _print(receipt, arguments, out)


def _merchant_code(arguments: argparse.Namespace, out: TextIO) -> int:
    amount_fen = None if arguments.amount is None else parse_yuan(arguments.amount)
    with _open(arguments) as terminal:
        content = terminal.merchant_code(amount_fen, arguments.bill_number)
    try:
        with arguments.out.open("wb") as file:
            qrcode.make(content).save(file)
    except OSError as error:
        raise TerminalFault("state_unusable", reason=f"{arguments.out}: {error.strerror}") from None
    out.write(f"{content}\n{arguments.out}\n")
    return DONE


def _paid(arguments: argparse.Namespace, out: TextIO) -> int:
    with _open(arguments) as terminal:
        receipt = terminal.paid(arguments.bill_number)
    if receipt is None:
        out.write("未付款\n" if arguments.language == "zh-CN" else "not paid yet\n")
        return UNKNOWN
    return _print(receipt, arguments, out)


def _readers(arguments: argparse.Namespace, out: TextIO) -> int:
    del arguments
    reader = PcscReader()
    try:
        names = reader.list_names()
    finally:
        reader.close()
    if not names:
        raise ReaderFault("reader_missing", name="")
    out.write("".join(f"{name}\n" for name in names))
    return DONE


def _serve(arguments: argparse.Namespace, out: TextIO) -> int:
    def on_ready(server: LocalServer) -> None:
        out.write(f"{server.page_url()}\n")
        out.flush()

    with _sam_of(arguments) as sam, _open(arguments, sam) as terminal:
        serve_terminal(
            terminal,
            arguments.state,
            port=arguments.port,
            reader_name=arguments.reader_name,
            on_ready=on_ready,
        )
    return DONE


def _profile(arguments: argparse.Namespace, out: TextIO) -> int:
    with _open(arguments) as terminal:
        profile = terminal.profile()
    out.write(
        f"{profile.terminal_id} {profile.terminal_number} {profile.merchant_number}"
        f" {profile.merchant_name} {profile.shop_name} version={profile.version}"
        f" timeout={profile.online_timeout_seconds:g}s\n"
    )
    for application in sorted(profile.applications, key=lambda item: item.priority):
        out.write(f"{application.priority} {application.aid.hex().upper()} {application.label}\n")
    return DONE


def _open(arguments: argparse.Namespace, sam: Sam | None = None) -> Terminal:
    return Terminal.open(
        arguments.state,
        language=arguments.language,
        sam=sam,
        is_offline_first=True if getattr(arguments, "offline_first", False) else None,
    )


def _print(receipt: Receipt, arguments: argparse.Namespace, out: TextIO) -> int:
    out.write(receipt.text(arguments.language) + "\n")
    if arguments.times and receipt.steps:
        out.write(receipt.times() + "\n")
    return _EXIT_CODES[receipt.outcome]


def _read_file(path: Path) -> bytes:
    """One byte more than a picture may have, so that a larger one is noticed, not read."""
    try:
        with path.open("rb") as file:
            return file.read(PICTURE_BYTES_MAX + 1)
    except OSError:
        raise CodeFault("picture_unreadable") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reader_bridge",
        description="A merchant's terminal. Exit: 0 done, 1 refused, 2 cannot work, 3 unknown.",
    )
    parser.set_defaults(
        language="zh-CN",
        times=False,
        state=Path(os.environ.get("READER_BRIDGE_STATE", "var/terminal")),
    )
    _add_common(parser)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_sale_commands(commands)
    _add_other_commands(commands)
    for command in commands.choices.values():
        _add_common(command)  # the same options behind the command, where people type them
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--language", choices=LANGUAGES, default=argparse.SUPPRESS)
    parser.add_argument(
        "--times", action="store_true", default=argparse.SUPPRESS, help="milliseconds per step"
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=argparse.SUPPRESS,
        help="folder of key and journal (default: $READER_BRIDGE_STATE or var/terminal)",
    )


def _add_sale_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sell = commands.add_parser("sell", help="take a payment by card or pay code")
    sell.add_argument("--amount", required=True, help="yuan, for example 12.50")
    sell.add_argument("--register-reference", required=True)
    sell.add_argument("--wait", type=float, default=CARD_SECONDS, help="seconds for a card")
    source = sell.add_mutually_exclusive_group()
    source.add_argument("--reader", choices=["pcsc"], default="pcsc")
    source.add_argument("--pay-code", help="the line a scanner typed")
    source.add_argument("--picture", type=Path, help="PNG or JPEG with a pay code")
    sell.add_argument("--reader-name", help="part of a PC/SC reader's name")
    sell.add_argument(
        "--offline-first", action="store_true", help="ask the backend only where we may not decide"
    )
    _add_sam(sell)
    sell.set_defaults(command=_sell)
    balance = commands.add_parser("balance", help="what is on a card")
    balance.add_argument("--wait", type=float, default=CARD_SECONDS, help="seconds for a card")
    balance.add_argument("--reader-name", help="part of a PC/SC reader's name")
    _add_sam(balance)
    balance.set_defaults(command=_balance)
    ask = commands.add_parser("ask-again", help="how a sale stands; without reference: all open")
    ask.add_argument("--register-reference")
    ask.set_defaults(command=_ask_again)
    reverse = commands.add_parser("reverse", help="take a whole sale back")
    reverse.add_argument("--register-reference", required=True)
    reverse.set_defaults(command=_reverse)
    refund = commands.add_parser("refund", help="give money of a sale back")
    refund.add_argument("--register-reference", required=True)
    refund.add_argument("--amount", required=True)
    refund.add_argument("--refund-reference", required=True, help="the register's own number")
    refund.add_argument("--reason", default="refund")
    refund.set_defaults(command=_refund)


def _add_sam(command: argparse.ArgumentParser) -> None:
    command.add_argument("--sam", type=Path, metavar="FOLDER", help="a software SAM: e-purses pay")
    command.add_argument(
        "--sam-passphrase", type=Path, metavar="FILE", help="mode 0600 (default: FOLDER/passphrase)"
    )


def _add_other_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    activate = commands.add_parser("activate", help="make the state folder a terminal")
    activate.add_argument("--url", required=True)
    activate.add_argument("--code", required=True, help="activation code XXXX-XXXX")
    activate.add_argument("--label", default="terminal")
    activate.set_defaults(command=_activate)
    code = commands.add_parser("merchant-code", help="write a code for the customer as PNG")
    code.add_argument("--bill-number", required=True)
    code.add_argument("--amount", help="yuan; without: the customer types it")
    code.add_argument("--out", type=Path, default=Path("merchant-code.png"))
    code.set_defaults(command=_merchant_code)
    paid = commands.add_parser("paid", help="has the bill of a merchant code been paid?")
    paid.add_argument("--bill-number", required=True)
    paid.set_defaults(command=_paid)
    readers = commands.add_parser("readers", help="list PC/SC readers")
    readers.set_defaults(command=_readers)
    serve = commands.add_parser("serve", help="the local API and the page for a cash register")
    serve.add_argument("--port", type=int, default=PORT, help="of 127.0.0.1; 0: any free one")
    serve.add_argument("--reader-name", help="part of a PC/SC reader's name")
    _add_sam(serve)
    serve.set_defaults(command=_serve)
    profile = commands.add_parser("profile", help="what this terminal accepts")
    profile.set_defaults(command=_profile)
    forward = commands.add_parser("forward", help="upload offline sales, refresh what is known")
    forward.set_defaults(command=_forward)
    status = commands.add_parser("status", help="what may be sold offline, and what waits")
    status.set_defaults(command=_status)
