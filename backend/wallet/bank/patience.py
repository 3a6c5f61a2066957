"""How long a word from the bank is waited for: asked again in growing pauses, then a person's."""

from __future__ import annotations

from typing import NoReturn

from backend.db.outbox import AskAgain

ASK_AGAIN_SECONDS = 1.0
ASK_AGAIN_MAX_SECONDS = 300.0
SILENCE_MAX_SECONDS = 3 * 24 * 3600.0


class BankSilent(Exception):
    """Days without a word on an order: nobody's refusal, a matter between operator and bank."""


def wait_for_word(order_id: str, age_seconds: float) -> NoReturn:
    """For an outbox consumer whose order is that old and undecided.

    Raises AskAgain; after three days BankSilent, and the outbox parks the event.
    """
    if age_seconds > SILENCE_MAX_SECONDS:
        raise BankSilent(order_id)
    raise AskAgain(min(max(ASK_AGAIN_SECONDS, age_seconds / 4), ASK_AGAIN_MAX_SECONDS))
