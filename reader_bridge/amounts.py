"""Yuan as text to whole fen and back, without a float; knows nothing of what the amount is for."""

from __future__ import annotations

import re
from typing import Final

from reader_bridge.faults import TerminalFault

AMOUNT_FEN_MAX: Final = 2**31 - 1  # what the backend takes in one payment
_YUAN = re.compile(r"(?P<yuan>[0-9]{1,8})(?:\.(?P<fen>[0-9]{1,2}))?", re.ASCII)


def parse_yuan(text: str) -> int:
    """Text like 12.50 to 1250 fen, above zero. Raises TerminalFault(amount_malformed)."""
    match = _YUAN.fullmatch(text.strip())
    if match is None:
        raise TerminalFault("amount_malformed", text=repr(text[:20]))
    amount_fen = int(match["yuan"]) * 100 + int((match["fen"] or "").ljust(2, "0"))
    return require_amount(amount_fen)


def require_amount(amount_fen: int) -> int:
    """The same amount, if it can be paid. Raises TerminalFault(amount_malformed)."""
    whole = isinstance(amount_fen, int) and not isinstance(amount_fen, bool)
    if not whole or not 0 < amount_fen <= AMOUNT_FEN_MAX:
        raise TerminalFault("amount_malformed", text=str(amount_fen)[:20])
    return amount_fen


def format_yuan(amount_fen: int) -> str:
    """1250 -> "12.50"; a debt carries its sign."""
    sign = "-" if amount_fen < 0 else ""
    return f"{sign}{abs(amount_fen) // 100}.{abs(amount_fen) % 100:02d}"
