"""A wallet as its holder sees it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from backend.kernel import DomainError, Kind, Words


class WalletUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "wallet_unknown"
    title = Words(zh="没有这个钱包", en="No such wallet")
    detail = Words(zh="未找到该钱包。", en="There is no such wallet.")


class WalletExists(DomainError):
    kind, code = Kind.CONFLICT, "wallet_exists"
    title = Words(zh="钱包已开通", en="Wallet exists")
    detail = Words(zh="您已开通钱包 {wallet_id}。", en="You have the wallet {wallet_id} already.")


class FourEyesNeeded(DomainError):
    kind, code = Kind.FORBIDDEN, "four_eyes_needed"
    title = Words(zh="须由另一人办理", en="Somebody else must do this")
    detail = Words(
        zh="提出与审批须由两人分别办理。",
        en="Who asks for something does not approve it, nor change what another asked for.",
    )


class RegistrationNeeded(DomainError):
    kind, code = Kind.FORBIDDEN, "registration_needed"
    title = Words(zh="请先实名登记", en="Register first")
    detail = Words(zh="开通记名钱包须先实名登记。", en="A registered wallet needs your real name.")

    def __init__(self) -> None:
        super().__init__(article="支付机构预付卡业务管理办法")


@dataclass(frozen=True, slots=True)
class OpenWallet:
    """The command: `wallet_id` is made by the phone."""

    person_id: str
    wallet_id: str


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet and what is in it, in fen."""

    wallet_id: str
    person_id: str
    state: str
    account_class: str
    balance_fen: int
    available_fen: int
    ceiling_fen: int | None
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """A line of a citizen's history; `amount_fen` is negative when it was spent."""

    line_id: str
    time: datetime
    code: str
    amount_fen: int
    balance_fen: int
    reference: str
    counterparty: str
