"""Which refusals each kind of payment may answer: for the API document and for readers."""

from __future__ import annotations

from backend import merchants, virtual_card, wallet
from backend.kernel import AmountOutOfRange, DomainError
from backend.payments import model
from backend.payments.guessing import PayCodeGuessing
from backend.payments.states import TransitionRefused

Refusals = tuple[type[DomainError], ...]

WALLET_REFUSALS: Refusals = (
    wallet.InsufficientFunds,
    wallet.LimitExceeded,
    wallet.AccountFrozen,
    wallet.AccountClosed,
)

MONEY: Refusals = (
    AmountOutOfRange,
    *WALLET_REFUSALS,
    model.PaymentExists,
    model.PaymentReversed,
)

TERMINAL: Refusals = (merchants.TerminalUnknown, merchants.TerminalNotActive)

PROOF_REFUSALS: Refusals = (
    model.TapMismatch,
    virtual_card.TapMalformed,
    virtual_card.SuiteRefused,
    virtual_card.TokenUnknown,
    virtual_card.TokenPending,
    virtual_card.TokenSuspended,
    virtual_card.TokenCloned,
    virtual_card.TokenDeleted,
    virtual_card.KeyUnknown,
    virtual_card.KeyExpired,
    virtual_card.KeyExhausted,
    virtual_card.CryptogramInvalid,
    virtual_card.SignatureInvalid,
    virtual_card.AtcSeen,
    virtual_card.AtcOutOfWindow,
    virtual_card.PayCodeMalformed,
    virtual_card.PayCodeForeign,
    virtual_card.PayCodeUnknown,
    virtual_card.PayCodeExpired,
    virtual_card.PayCodeNotYetValid,
    virtual_card.PayCodeClockWrong,
    virtual_card.PayCodeAltered,
    virtual_card.PayCodeUsed,
    PayCodeGuessing,
)

SALE_REFUSALS: Refusals = (*MONEY, *TERMINAL, model.TerminalCounterSeen, *PROOF_REFUSALS)

CODE_REFUSALS: Refusals = (
    *MONEY,
    model.AmountMismatch,
    model.BillPaid,
    wallet.WalletUnknown,
    merchants.MerchantCodeMalformed,
    merchants.MerchantCodeForeign,
    merchants.MerchantCodeAltered,
    merchants.ShopUnknown,
)

REFUND_REFUSALS: Refusals = (
    model.PaymentUnknown,
    model.RefundTooMuch,
    model.RefundExists,
    TransitionRefused,
)
