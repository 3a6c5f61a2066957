"""The life of a wallet, and of what waits for the bank or for a second person, as tables. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from backend.kernel import DomainError, Kind, Words
from backend.wallet.ledger import Account, AccountState


class WalletState(Enum):
    """What everybody sees of a wallet."""

    OPEN = "open"
    FROZEN = "frozen"  # gives nothing away, still receives
    CLOSING = "closing"  # the rest is on its way to the owner; neither gives nor receives
    CLOSED = "closed"


class WalletEvent(Enum):
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    BEGIN_CLOSING = "begin_closing"
    CLOSE = "close"
    GIVE_UP = "give_up"  # the bank could not pay the rest out


class WalletTransitionRefused(DomainError):
    kind, code = Kind.CONFLICT, "wallet_transition_refused"
    title = Words(zh="钱包状态不允许此操作", en="Not possible in this state")
    detail = Words(
        zh="钱包状态为 {state}，不能进行 {event}。", en="The wallet is {state}: no {event} now."
    )


FLOW: Mapping[tuple[WalletState, WalletEvent], WalletState] = MappingProxyType(
    {
        (WalletState.OPEN, WalletEvent.FREEZE): WalletState.FROZEN,
        (WalletState.FROZEN, WalletEvent.UNFREEZE): WalletState.OPEN,
        (WalletState.OPEN, WalletEvent.BEGIN_CLOSING): WalletState.CLOSING,
        (WalletState.CLOSING, WalletEvent.CLOSE): WalletState.CLOSED,
        (WalletState.CLOSING, WalletEvent.GIVE_UP): WalletState.OPEN,
    }
)

IN_LEDGER: Mapping[WalletState, AccountState] = MappingProxyType(
    {
        WalletState.OPEN: AccountState.OPEN,
        WalletState.FROZEN: AccountState.FROZEN,
        # Shut at once: the one hold on it, the rest, is what the ledger still posts or voids.
        WalletState.CLOSING: AccountState.CLOSED,
        WalletState.CLOSED: AccountState.CLOSED,
    }
)


def advance(state: WalletState, event: WalletEvent) -> WalletState:
    """The only way a wallet changes state. Raises WalletTransitionRefused."""
    try:
        return FLOW[state, event]
    except KeyError:
        raise WalletTransitionRefused(state=state.value, event=event.value) from None


def state_of(account: Account, written: str | None) -> WalletState:
    """The state of a wallet: the ledger's word, and `written` where closed may mean closing."""
    if account.state is AccountState.CLOSED:
        is_closing = written == WalletState.CLOSING.value
        return WalletState.CLOSING if is_closing else WalletState.CLOSED
    return WalletState(account.state.value)


class RedemptionState(Enum):
    """`processing` is a state, not an error: the bank has not spoken yet."""

    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class CaseState(Enum):
    """Money nobody could place: waiting, on its way to the owner, or there."""

    OPEN = "open"
    PAYING = "paying"
    PAID = "paid"


class CorrectionState(Enum):
    """One person asks, another decides."""

    ASKED = "asked"
    APPROVED = "approved"
    REJECTED = "rejected"
