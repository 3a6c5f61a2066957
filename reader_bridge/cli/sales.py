"""Commands about one sale: take it, ask again, take it back, give money back."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TextIO

from reader_bridge.amounts import parse_yuan
from reader_bridge.cli.common import (
    DONE,
    UNKNOWN,
    Commands,
    add_sam,
    open_terminal,
    print_receipt,
    sam_of,
)
from reader_bridge.codes import PICTURE_BYTES_MAX, read_picture
from reader_bridge.faults import CodeFault
from reader_bridge.readers.pcsc import PcscReader
from reader_bridge.terminal import CARD_SECONDS


def _sell(arguments: argparse.Namespace, out: TextIO) -> int:
    amount_fen = parse_yuan(arguments.amount)
    pay_code = arguments.pay_code
    if arguments.picture is not None:
        pay_code = read_picture(_read_file(arguments.picture))
    with sam_of(arguments) as sam, open_terminal(arguments, sam) as terminal:
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
    return print_receipt(receipt, arguments, out)


def _ask_again(arguments: argparse.Namespace, out: TextIO) -> int:
    with open_terminal(arguments) as terminal:
        if arguments.register_reference is not None:
            return print_receipt(terminal.ask_again(arguments.register_reference), arguments, out)
        receipts = terminal.recover()
    codes = [print_receipt(receipt, arguments, out) for receipt in receipts]
    return UNKNOWN if UNKNOWN in codes else DONE


def _reverse(arguments: argparse.Namespace, out: TextIO) -> int:
    with open_terminal(arguments) as terminal:
        return print_receipt(terminal.reverse(arguments.register_reference), arguments, out)


def _refund(arguments: argparse.Namespace, out: TextIO) -> int:
    amount_fen = parse_yuan(arguments.amount)
    with open_terminal(arguments) as terminal:
        receipt = terminal.refund(
            arguments.register_reference,
            amount_fen,
            refund_reference=arguments.refund_reference,
            reason=arguments.reason,
        )
    return print_receipt(receipt, arguments, out)


def _read_file(path: Path) -> bytes:
    """One byte more than a picture may have, so that a larger one is noticed, not read."""
    try:
        with path.open("rb") as file:
            return file.read(PICTURE_BYTES_MAX + 1)
    except OSError:
        raise CodeFault("picture_unreadable") from None


def add_parser(commands: Commands) -> None:
    """sell, ask-again, reverse, refund."""
    _add_sell(commands)
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


def _add_sell(commands: Commands) -> None:
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
    add_sam(sell)
    sell.set_defaults(command=_sell)
