"""`load` and `loads` on the command line: money onto a purse, and what is still open."""

from __future__ import annotations

import argparse
from typing import TextIO

from reader_bridge.amounts import parse_yuan
from reader_bridge.cli.common import DONE, UNKNOWN, Commands, open_terminal, print_receipt
from reader_bridge.loads.values import Funding, pin_of
from reader_bridge.readers.pcsc import PcscReader
from reader_bridge.terminal import CARD_SECONDS


def add_parser(commands: Commands) -> None:
    load = commands.add_parser("load", help="put money onto a purse card (圈存)")
    load.add_argument("--amount", required=True, help="yuan, for example 50")
    load.add_argument("--register-reference", required=True)
    load.add_argument("--funding", choices=[one.value for one in Funding], default="wallet")
    load.add_argument("--pay-code", help="the payer's code; without: a phone card, held first")
    load.add_argument(
        "--pin-file", type=argparse.FileType("r"), help="the card's PIN, where it asks for one"
    )
    load.add_argument("--wait", type=float, default=CARD_SECONDS, help="seconds for each card")
    load.add_argument("--reader-name", help="part of a PC/SC reader's name")
    load.set_defaults(command=_load)
    loads = commands.add_parser("loads", help="loads whose card has to come back")
    loads.set_defaults(command=_loads)


def _load(arguments: argparse.Namespace, out: TextIO) -> int:
    amount_fen = parse_yuan(arguments.amount)
    pin = None
    if arguments.pin_file is not None:
        with arguments.pin_file as file:
            pin = pin_of(file.readline().strip())
    with open_terminal(arguments) as terminal:
        terminal.settle_loads()
        reader = PcscReader(arguments.reader_name)
        try:
            receipt = terminal.load(
                amount_fen,
                register_reference=arguments.register_reference,
                funding=Funding(arguments.funding),
                reader=reader,
                pay_code=arguments.pay_code,
                pin=pin,
                card_seconds=arguments.wait,
            )
        finally:
            reader.close()
    return print_receipt(receipt, arguments, out)


def _loads(arguments: argparse.Namespace, out: TextIO) -> int:
    with open_terminal(arguments) as terminal:
        left = terminal.settle_loads()
        receipts = terminal.open_loads()
    for receipt in receipts:
        out.write(receipt.in_short(arguments.language) + "\n")
    return UNKNOWN if left or receipts else DONE
