"""What runs at the merchant's terminal: reads cards and codes, stores sales, asks the backend."""

from __future__ import annotations

from reader_bridge.acceptance import Acceptor, Order, OrderKind, TerminalStatus
from reader_bridge.amounts import format_yuan, parse_yuan
from reader_bridge.backend_client import Refused, Unreachable
from reader_bridge.faults import CardFault, CodeFault, Fault, ReaderFault, SamFault, TerminalFault
from reader_bridge.receipt import LogLine, Outcome, Receipt, Refusal
from reader_bridge.terminal import Terminal

__all__ = [
    "Acceptor",
    "CardFault",
    "CodeFault",
    "Fault",
    "LogLine",
    "Order",
    "OrderKind",
    "Outcome",
    "ReaderFault",
    "Receipt",
    "Refusal",
    "Refused",
    "SamFault",
    "Terminal",
    "TerminalFault",
    "TerminalStatus",
    "Unreachable",
    "format_yuan",
    "parse_yuan",
]
