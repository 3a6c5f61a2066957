"""What runs at the merchant's terminal: reads cards and codes, stores sales, asks the backend."""

from __future__ import annotations

from reader_bridge.amounts import format_yuan, parse_yuan
from reader_bridge.backend_client import Refused, Unreachable
from reader_bridge.faults import CardFault, CodeFault, Fault, ReaderFault, TerminalFault
from reader_bridge.receipt import Outcome, Receipt, Refusal
from reader_bridge.terminal import Terminal

__all__ = [
    "CardFault",
    "CodeFault",
    "Fault",
    "Outcome",
    "ReaderFault",
    "Receipt",
    "Refusal",
    "Refused",
    "Terminal",
    "TerminalFault",
    "Unreachable",
    "format_yuan",
    "parse_yuan",
]
