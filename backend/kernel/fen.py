"""Money as whole fen. A float never appears."""

from __future__ import annotations

from backend.kernel.errors import DomainError, Kind, Words

AMOUNT_MAX_FEN = 2**31 - 1
"""The largest amount of one operation, in fen: fits every INTEGER column and terminal field."""


class AmountInvalid(DomainError):
    kind, code = Kind.INVALID, "amount_invalid"
    title = Words(zh="金额不正确", en="Invalid amount")
    detail = Words(
        zh="金额须为 1 至 {maximum_fen} 之间的整数（单位：分）。",
        en="An amount is a whole number of fen from 1 to {maximum_fen}.",
    )


def check_amount(amount_fen: object) -> int:
    """`amount_fen` itself when it is a positive whole number up to `AMOUNT_MAX_FEN`.

    Raises AmountInvalid for anything else, `True` and `1.0` included.
    """
    if type(amount_fen) is not int or not 0 < amount_fen <= AMOUNT_MAX_FEN:
        raise AmountInvalid(maximum_fen=AMOUNT_MAX_FEN)
    return amount_fen


def yuan_text(amount_fen: int) -> str:
    """`-1250` as `-12.50`."""
    sign = "-" if amount_fen < 0 else ""
    yuan, fen = divmod(abs(amount_fen), 100)
    return f"{sign}{yuan}.{fen:02d}"
