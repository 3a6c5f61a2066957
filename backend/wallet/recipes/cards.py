"""Value on a chip: load (圈存) in three steps, purchases uploaded, value that comes back."""

from __future__ import annotations

from backend.wallet.accounts import epurse_float_id, load_transit_id
from backend.wallet.ledger import Transfer
from backend.wallet.ledger.model import LedgerBroken
from backend.wallet.recipes.parts import legs, step, transfer

COUNTER_MAX = 2**32 - 1


def load(load_id: str, source_id: str, amount_fen: int) -> Transfer:
    """圈存, first step: paid, not yet on the chip.

    Debit wallet (or the channel that was paid), credit load in transit.
    """
    return transfer(load_id, "load", legs(source_id, load_transit_id(load_id), amount_fen))


def load_written(load_id: str, card_id: str, amount_fen: int) -> Transfer:
    """圈存, second step: the chip has confirmed. Debit load in transit, credit e-purse float."""
    return transfer(
        step(load_id, "written"),
        "load_written",
        legs(load_transit_id(load_id), epurse_float_id(card_id), amount_fen),
        linked_to=load_id,
    )


def load_returned(load_id: str, source_id: str, amount_fen: int) -> Transfer:
    """圈存 that never reached the chip: the money goes back by itself to where it came from.

    Debit load in transit, credit wallet (or channel). Written and returned exclude each other:
    what is in transit cannot go below zero.
    """
    return transfer(
        step(load_id, "returned"),
        "load_returned",
        legs(load_transit_id(load_id), source_id, amount_fen),
        linked_to=load_id,
    )


def epurse_purchase_id(card_id: str, purchase_counter: int) -> str:
    """The id of an offline purchase: card and the chip's own counter, whoever uploads it."""
    if type(purchase_counter) is not int or not 0 <= purchase_counter <= COUNTER_MAX:
        raise LedgerBroken(f"no counter of a chip: {purchase_counter!r}")
    return step(epurse_float_id(card_id), str(purchase_counter))


def epurse_purchase(
    card_id: str, purchase_counter: int, payable_id: str, amount_fen: int, memo: str
) -> Transfer:
    """脱机消费上送: what the chip has paid already. Debit e-purse float, credit merchant payable.

    Late: the payable is that of the business day of the first upload, a day that was paid out
    stays as it is. Gap: what is not uploaded is not posted, its money stays in the float.
    Duplicate: card and counter are the id, so another upload finds this posting; with another
    amount it is a conflict, which is a case for a person.
    """
    return transfer(
        epurse_purchase_id(card_id, purchase_counter),
        "epurse_purchase",
        legs(epurse_float_id(card_id), payable_id, amount_fen),
        memo=memo,
    )


def epurse_unloaded(
    unload_id: str, card_id: str, wallet_id: str, amount_fen: int, memo: str = ""
) -> Transfer:
    """What a chip gave back, or still held when its waiting time was over.

    Debit e-purse float, credit wallet.
    """
    back = legs(epurse_float_id(card_id), wallet_id, amount_fen)
    return transfer(unload_id, "epurse_unloaded", back, memo=memo)
