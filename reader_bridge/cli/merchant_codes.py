"""Commands about the code that a customer scans, and whether its bill was paid."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any, TextIO

from reader_bridge.amounts import parse_yuan
from reader_bridge.cli.common import DONE, UNKNOWN, Commands, open_terminal, print_receipt
from reader_bridge.faults import ReaderFault, TerminalFault


def _merchant_code(arguments: argparse.Namespace, out: TextIO) -> int:
    amount_fen = None if arguments.amount is None else parse_yuan(arguments.amount)
    qrcode = _driver()
    with open_terminal(arguments) as terminal:
        content = terminal.merchant_code(amount_fen, arguments.bill_number)
    try:
        with arguments.out.open("wb") as file:
            qrcode.make(content).save(file)
    except OSError as error:
        raise TerminalFault("state_unusable", reason=f"{arguments.out}: {error.strerror}") from None
    out.write(f"{content}\n{arguments.out}\n")
    return DONE


def _paid(arguments: argparse.Namespace, out: TextIO) -> int:
    with open_terminal(arguments) as terminal:
        receipt = terminal.paid(arguments.bill_number)
    if receipt is None:
        out.write("未付款\n" if arguments.language == "zh-CN" else "not paid yet\n")
        return UNKNOWN
    return print_receipt(receipt, arguments, out)


def _driver() -> Any:
    """Raises ReaderFault(driver_missing)."""
    try:
        importlib.import_module("qrcode.image.pil")  # and Pillow with it
        return importlib.import_module("qrcode")
    except ImportError:
        raise ReaderFault("driver_missing", driver="qrcode") from None


def add_parser(commands: Commands) -> None:
    """merchant-code, paid."""
    code = commands.add_parser("merchant-code", help="write a code for the customer as PNG")
    code.add_argument("--bill-number", required=True)
    code.add_argument("--amount", help="yuan; without: the customer types it")
    code.add_argument("--out", type=Path, default=Path("merchant-code.png"))
    code.set_defaults(command=_merchant_code)
    paid = commands.add_parser("paid", help="has the bill of a merchant code been paid?")
    paid.add_argument("--bill-number", required=True)
    paid.set_defaults(command=_paid)
