"""The partner bank as a port, and the sandbox bank behind it. Knows no wallet."""

from backend.wallet.bank.notices import NoticeRefused, notice_headers, read_notice
from backend.wallet.bank.port import (
    Bank,
    BankUnreachable,
    Booking,
    CardKind,
    ChargeOutcome,
    ChargeState,
)
from backend.wallet.bank.sandbox import SandboxBank, StatementFault

__all__ = [
    "Bank",
    "BankUnreachable",
    "Booking",
    "CardKind",
    "ChargeOutcome",
    "ChargeState",
    "NoticeRefused",
    "SandboxBank",
    "StatementFault",
    "notice_headers",
    "read_notice",
]
