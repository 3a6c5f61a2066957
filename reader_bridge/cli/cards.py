"""Commands that read a card and sell nothing."""

from __future__ import annotations

import argparse
from typing import TextIO

from reader_bridge.acceptance import Order, OrderKind
from reader_bridge.cli.common import Commands, add_sam, open_terminal, print_receipt, sam_of
from reader_bridge.faults import ReaderFault
from reader_bridge.readers.pcsc import PcscReader
from reader_bridge.terminal import CARD_SECONDS


def _balance(arguments: argparse.Namespace, out: TextIO) -> int:
    order = Order(OrderKind.BALANCE, "balance")
    with sam_of(arguments) as sam, open_terminal(arguments, sam) as terminal:
        reader = PcscReader(arguments.reader_name)
        try:
            channel = reader.wait_for_card(arguments.wait)
            if channel is None:
                raise ReaderFault("no_card")
            receipt = terminal.tap(order, channel, reader.name)
        finally:
            reader.close()
    return print_receipt(receipt, arguments, out)


def add_parser(commands: Commands) -> None:
    """balance."""
    balance = commands.add_parser("balance", help="what is on a card")
    balance.add_argument("--wait", type=float, default=CARD_SECONDS, help="seconds for a card")
    balance.add_argument("--reader-name", help="part of a PC/SC reader's name")
    add_sam(balance)
    balance.set_defaults(command=_balance)
