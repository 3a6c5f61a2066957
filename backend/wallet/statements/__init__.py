"""Statements (账单): a wallet's lines of a period, its past balances, receipts. Reads only."""

from backend.wallet.statements.model import (
    BalanceAt,
    Period,
    PeriodInFuture,
    PeriodInvalid,
    Receipt,
    Statement,
    StatementTooLong,
)
from backend.wallet.statements.service import WalletStatements
from backend.wallet.statements.words import Issuer

__all__ = [
    "BalanceAt",
    "Issuer",
    "Period",
    "PeriodInFuture",
    "PeriodInvalid",
    "Receipt",
    "Statement",
    "StatementTooLong",
    "WalletStatements",
]
