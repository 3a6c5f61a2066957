"""The state of wallets as rows: read with the account, changed by the one table of states."""

from __future__ import annotations

from sqlalchemy import select

from backend.db import Rows, Work
from backend.wallet.ledger import Account, AccountState, Ledger
from backend.wallet.life.model import WalletChange
from backend.wallet.life.states import IN_LEDGER, WalletEvent, WalletState, advance, state_of
from backend.wallet.life.tables import wallet_change, wallet_life
from backend.wallet.model import WalletUnknown


def need(rows: Rows, ledger: Ledger, wallet_id: str) -> None:
    """Want a wallet's account and its state."""
    ledger.need(rows, (wallet_id,))
    rows.want(wallet_life, wallet_id)


def current(rows: Rows, account: Account) -> WalletState:
    """The state of the wallet this account is; one more row only for one that is shut."""
    if account.state is not AccountState.CLOSED:
        return WalletState(account.state.value)
    row = rows.find(wallet_life, account.account_id)
    return state_of(account, None if row is None else row["state"])


def change(
    rows: Rows,
    ledger: Ledger,
    wallet_id: str,
    event: WalletEvent,
    *,
    changed_by: str,
    reason: str = "",
) -> WalletChange:
    """Change the state, in the ledger too, and keep who did it and why.

    Raises WalletUnknown, WalletTransitionRefused.
    """
    account = ledger.find_account(rows, wallet_id)
    if account is None:
        raise WalletUnknown
    state = advance(current(rows, account), event)
    row = rows.find(wallet_life, wallet_id)
    number = 1 if row is None else row["changes"] + 1
    life = {"wallet_id": wallet_id, "state": state.value, "changes": number}
    if row is None:
        rows.add(wallet_life, life)
    else:
        rows.change(wallet_life, (wallet_id,), state=state.value, changes=number)
    ledger.set_state(rows, wallet_id, IN_LEDGER[state])
    made = WalletChange(wallet_id, number, event, state, reason, changed_by, rows.now)
    words = {"event": event.value, "state": state.value, "reason": reason}
    who = {"changed_by": changed_by, "changed_at": rows.now}
    rows.add(wallet_change, {"wallet_id": wallet_id, "number": number, **words, **who})
    return made


def history(work: Work, wallet_id: str, *, limit: int, before: int | None) -> list[WalletChange]:
    """Changes of a wallet, newest first, below the number `before`."""
    query = select(wallet_change).where(wallet_change.c.wallet_id == wallet_id)
    if before is not None:
        query = query.where(wallet_change.c.number < before)
    rows = work.execute(query.order_by(wallet_change.c.number.desc()).limit(limit)).mappings()
    return [
        WalletChange(
            **{**row, "event": WalletEvent(row["event"]), "state": WalletState(row["state"])}
        )
        for row in rows
    ]
