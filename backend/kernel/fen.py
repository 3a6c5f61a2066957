"""Money as whole fen. A float never appears."""

from __future__ import annotations

from dataclasses import dataclass

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


class AmountOutOfRange(DomainError):
    kind, code = Kind.REFUSED, "amount_out_of_range"
    title = Words(zh="金额超出单笔限额", en="Amount outside the limit")
    detail = Words(
        zh="单笔金额须为 {minimum_yuan} 至 {maximum_yuan} 元。",
        en="One operation takes from {minimum_yuan} to {maximum_yuan} yuan.",
    )


@dataclass(frozen=True, slots=True)
class AmountRange:
    """What one operation may come to, in fen; a city sets it."""

    minimum_fen: int = 1
    maximum_fen: int = AMOUNT_MAX_FEN

    def check(self, amount_fen: int) -> None:
        """Raises AmountOutOfRange."""
        if not self.minimum_fen <= amount_fen <= self.maximum_fen:
            raise AmountOutOfRange(
                minimum_fen=self.minimum_fen,
                maximum_fen=self.maximum_fen,
                minimum_yuan=yuan_text(self.minimum_fen),
                maximum_yuan=yuan_text(self.maximum_fen),
            )


ANY_AMOUNT = AmountRange()


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
