"""What every recipe is made of: bounded ids, legs that may be empty or split, exact shares."""

from __future__ import annotations

from backend.kernel import AMOUNT_MAX_FEN
from backend.wallet.ledger import Leg, Transfer
from backend.wallet.ledger.model import LedgerBroken

OPERATION_ID_MAX = 100  # the widths of the ledger's columns
CODE_MAX = 32
MEMO_MAX = 120


def step(operation_id: str, *names: str) -> str:
    """The id of a derived operation: `<id>/<step>`. Raises LedgerBroken for a bad id."""
    derived = "/".join((operation_id, *names))
    if not operation_id or not all(names) or len(derived) > OPERATION_ID_MAX:
        raise LedgerBroken(f"an operation id has 1 to {OPERATION_ID_MAX} characters: {derived!r}")
    return derived


def legs(debit: str, credit: str, amount_fen: int) -> tuple[Leg, ...]:
    """No leg for 0 fen, one for most amounts, several above what one leg can carry.

    Raises LedgerBroken for what is no amount.
    """
    if type(amount_fen) is not int or amount_fen < 0:
        raise LedgerBroken(f"no amount: {amount_fen!r}")
    whole, rest_fen = divmod(amount_fen, AMOUNT_MAX_FEN)
    amounts = [AMOUNT_MAX_FEN] * min(whole, 9) + ([rest_fen] if rest_fen else [])
    return tuple(Leg(debit, credit, one) for one in amounts)


def transfer(
    operation_id: str,
    code: str,
    *parts: tuple[Leg, ...],
    linked_to: str | None = None,
    memo: str = "",
    counts: tuple[str, ...] = (),
    gives_back: tuple[str, ...] = (),
) -> Transfer:
    """The operation made of all legs; what is too long for its column never gets that far."""
    if len(code) > CODE_MAX:
        raise LedgerBroken(f"a code has at most {CODE_MAX} characters: {code!r}")
    return Transfer(
        operation_id=step(operation_id),
        code=code,
        legs=tuple(leg for part in parts for leg in part),
        linked_to=linked_to,
        memo=memo[:MEMO_MAX],
        counts=counts,
        gives_back=gives_back,
    )


def turned(made: Transfer) -> tuple[Leg, ...]:
    """The legs that undo a transfer: debit and credit change places, the last leg first."""
    return tuple(Leg(leg.credit, leg.debit, leg.amount_fen) for leg in reversed(made.legs))


def split_fen(amount_fen: int, numerator: int, denominator: int) -> tuple[int, int]:
    """`numerator`/`denominator` of an amount, rounded down; and the rest, which carries what
    rounding leaves. They sum to the whole. Raises LedgerBroken for a rate outside 0 to 1."""
    figures = (amount_fen, numerator, denominator)
    if any(type(one) is not int for one in figures):
        raise LedgerBroken(f"shares are of whole numbers: {figures}")
    if amount_fen < 0 or not 0 <= numerator <= denominator or denominator == 0:
        raise LedgerBroken(f"no share of an amount: {figures}")
    share_fen = amount_fen * numerator // denominator
    return share_fen, amount_fen - share_fen


def refund_shares(
    fare_fen: int, concession_fen: int, *, refunded_fen: int, amount_fen: int
) -> tuple[int, int]:
    """Of a refund of `amount_fen`, after `refunded_fen` before: to the wallet, to the programme.

    Counted over all refunds together, so that parts in any number give back exactly what each
    had paid. Raises LedgerBroken when more is asked back than was paid.
    """
    if not 0 <= refunded_fen < refunded_fen + amount_fen <= fare_fen:
        raise LedgerBroken(f"{refunded_fen} and {amount_fen} fen back of {fare_fen}")
    before_fen, _ = split_fen(refunded_fen, concession_fen, fare_fen)
    after_fen, _ = split_fen(refunded_fen + amount_fen, concession_fen, fare_fen)
    programme_fen = after_fen - before_fen
    return amount_fen - programme_fen, programme_fen
