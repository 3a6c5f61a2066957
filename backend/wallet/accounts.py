"""The chart of accounts: which there are, on which side they grow, what their floors are.

Assets and expenses grow by debit, liabilities and income by credit. An id is its kind's short
name and whose it is, `:` between; a wallet's id is the wallet's own. Pure.
"""

from __future__ import annotations

from datetime import date
from enum import Enum
from functools import lru_cache

from backend.wallet.ledger import Account, Side
from backend.wallet.ledger.model import LedgerBroken

ACCOUNT_ID_MAX = 80  # the width of the ledger's column


class Channel(Enum):
    """Where money comes in and goes out: what it names is not yet on a bank statement."""

    BANK = "bank"
    COUNTER_CASH = "counter_cash"
    EMPLOYER_BATCH = "employer_batch"


def _id(*parts: str) -> str:
    account_id = ":".join(parts)
    if not all(parts) or len(account_id) > ACCOUNT_ID_MAX or any(":" in one for one in parts):
        raise LedgerBroken(f"no id of an account: {account_id[:ACCOUNT_ID_MAX]!r}")
    return account_id


def custody_id(bank_account: str) -> str:
    return _id("custody", bank_account)


def channel_id(channel: Channel) -> str:
    return _id("channel", channel.value)


def epurse_float_id(card_id: str) -> str:
    return _id("epurse", card_id)


def load_transit_id(load_id: str) -> str:
    return _id("load", load_id)


@lru_cache(maxsize=10_000)  # asked for several times by each sale
def payable_id(merchant_id: str, day: date) -> str:
    return _id("payable", merchant_id, day.isoformat())


def concession_id(programme: str) -> str:
    return _id("concession", programme)


def ride_debt_id(wallet_id: str) -> str:
    return _id("ride_debt", wallet_id)


def suspense_id(case_id: str) -> str:
    return _id("suspense", case_id)


CUSTODY = custody_id("main")  # 备付金
CHANNEL_BANK = channel_id(Channel.BANK)
FEE_INCOME = "income:fees"
REPLACEMENT_FEES = "income:replacement_fees"
CARD_DEPOSITS = "deposits:cards"  # 押金
WRITE_OFFS = "expense:write_offs"
OFFLINE_LOSSES = "expense:offline_losses"  # what the issuer bears of offline sales
OPERATOR_ADVANCE = "advance:operator"

# Kinds, as the proof adds them up.
CUSTODY_KIND = "custody"
CHANNEL_RECEIVABLE = "channel_receivable"
WALLET = "wallet"
EPURSE_FLOAT = "epurse_float"
LOAD_TRANSIT = "load_transit"
MERCHANT_PAYABLE = "merchant_payable"
FEE_INCOME_KIND = "fee_income"
REPLACEMENT_FEE = "replacement_fee"
CARD_DEPOSIT = "card_deposit"
CONCESSION_RECEIVABLE = "concession_receivable"
RIDE_DEBT = "ride_debt"
SUSPENSE = "suspense"
WRITE_OFF = "write_off"
ADVANCE = "operator_advance"

HOT_IDS = ("payable:", "channel:", "concession:", "income:", "expense:")
"""How the ids of accounts begin that everybody posts on: no class, no floor, never frozen."""

ASSETS = frozenset({CUSTODY_KIND, CHANNEL_RECEIVABLE, CONCESSION_RECEIVABLE, RIDE_DEBT})
"""What the city has or is owed. Suspense grows by credit and may stand on either side."""

CUSTOMERS_MONEY = frozenset(
    {WALLET, EPURSE_FLOAT, LOAD_TRANSIT, MERCHANT_PAYABLE, CARD_DEPOSIT, SUSPENSE}
)
"""What custody must cover in full: 100 % of it, every day (备付金).

Paying a merchant for a concession or a ride into the red that nobody has paid yet takes money
from custody: until it comes in, the operator covers it with its own (`OPERATOR_ADVANCE`).
"""


def house_accounts() -> list[Account]:
    """The accounts that exist before the first citizen."""
    return [
        custody_account("main"),
        *(channel_account(channel) for channel in Channel),
        Account(FEE_INCOME, FEE_INCOME_KIND, Side.CREDIT),
        Account(REPLACEMENT_FEES, REPLACEMENT_FEE, Side.CREDIT),
        Account(CARD_DEPOSITS, CARD_DEPOSIT, Side.CREDIT, floor_fen=0),
        Account(WRITE_OFFS, WRITE_OFF, Side.DEBIT),
        Account(OFFLINE_LOSSES, WRITE_OFF, Side.DEBIT),
        Account(OPERATOR_ADVANCE, ADVANCE, Side.CREDIT, floor_fen=0),
    ]


def custody_account(bank_account: str) -> Account:
    """备付金 at one bank. Moves only by what the bank's statement shows; is never overdrawn."""
    return Account(custody_id(bank_account), CUSTODY_KIND, Side.DEBIT, floor_fen=0)


def channel_account(channel: Channel) -> Account:
    """Paid in or out by a channel and not yet on the statement.

    No floor: a payout instructed before its day's takings arrive turns it negative.
    """
    return Account(channel_id(channel), CHANNEL_RECEIVABLE, Side.DEBIT)


def wallet_account(wallet_id: str, account_class: str) -> Account:
    """A citizen's account: it cannot go below zero; its class chooses its limits."""
    return Account(_id(wallet_id), WALLET, Side.CREDIT, account_class=account_class, floor_fen=0)


def epurse_float_account(card_id: str) -> Account:
    """The shadow of the value on one chip: loads written less purchases uploaded.

    No floor: an upload says what the chip has already paid, and cannot be refused.
    """
    return Account(epurse_float_id(card_id), EPURSE_FLOAT, Side.CREDIT)


def load_transit_account(load_id: str) -> Account:
    """Paid for a load and not yet on the chip; the floor lets it end only once."""
    return Account(load_transit_id(load_id), LOAD_TRANSIT, Side.CREDIT, floor_fen=0)


def payable_account(merchant_id: str, day: date) -> Account:
    """What the city owes a merchant for one business day; refunds may turn it negative."""
    return Account(payable_id(merchant_id, day), MERCHANT_PAYABLE, Side.CREDIT)


def concession_account(programme: str) -> Account:
    """What a programme owes for the discounts it gives: the city pays, then claims."""
    return Account(concession_id(programme), CONCESSION_RECEIVABLE, Side.DEBIT)


def ride_debt_account(wallet_id: str) -> Account:
    """What a rider owes for the ride into the red; the limits of its class say how much."""
    return Account(
        ride_debt_id(wallet_id), RIDE_DEBT, Side.DEBIT, account_class=RIDE_DEBT, floor_fen=0
    )


def suspense_account(case_id: str) -> Account:
    """Money of one case somebody must look into; either side, empty when the case is closed."""
    return Account(suspense_id(case_id), SUSPENSE, Side.CREDIT)
