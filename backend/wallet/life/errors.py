"""Refusals of a wallet's later life, in two languages. Pure."""

from __future__ import annotations

from backend.kernel import DomainError, Kind, Words


class RedemptionUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "redemption_unknown"
    title = Words(zh="没有这笔赎回", en="No such redemption")
    detail = Words(zh="未找到该赎回。", en="There is no such redemption.")


class RedemptionExists(DomainError):
    kind, code = Kind.CONFLICT, "redemption_exists"
    title = Words(zh="赎回编号已使用", en="Redemption id in use")
    detail = Words(zh="此赎回编号已用于另一笔赎回。", en="This id belongs to another redemption.")


class RedemptionTooEarly(DomainError):
    kind, code = Kind.REFUSED, "redemption_too_early"
    title = Words(zh="未到赎回期限", en="Too early to redeem")
    detail = Words(zh="自 {first_day} 起可以赎回。", en="It may be redeemed from {first_day} on.")


class RedemptionNotAllowed(DomainError):
    kind, code = Kind.REFUSED, "redemption_not_allowed"
    title = Words(zh="不记名钱包不能赎回", en="An unregistered wallet is not redeemed")
    detail = Words(
        zh="不记名钱包余额低于 {below_fen} 分方可赎回。",
        en="An unregistered wallet is redeemed only when it holds less than {below_fen} fen.",
    )


class BankCardNeeded(DomainError):
    kind, code = Kind.INVALID, "bank_card_needed"
    title = Words(zh="请填写银行卡号", en="A bank card is needed")
    detail = Words(
        zh="钱包内尚有 {rest_fen} 分，须退至您本人的银行卡。",
        en="There are {rest_fen} fen left, to be paid to a bank card of yours.",
    )


class WalletBusy(DomainError):
    kind, code = Kind.CONFLICT, "wallet_busy"
    title = Words(zh="钱包有未完结的交易", en="Something is under way")
    detail = Words(
        zh="尚有 {outgoing_fen} 分被占用、{incoming_fen} 分在途，请待其完结。",
        en="{outgoing_fen} fen are held and {incoming_fen} fen are on their way in: wait for them.",
    )


class RideDebtOpen(DomainError):
    kind, code = Kind.REFUSED, "ride_debt_open"
    title = Words(zh="有未还的乘车欠款", en="A ride is still owed")
    detail = Words(
        zh="请先充值还清欠款 {owed_fen} 分。", en="{owed_fen} fen are owed: top up first."
    )


class RideDebtExceeded(DomainError):
    kind, code = Kind.REFUSED, "ride_debt_exceeded"
    title = Words(zh="超过可欠款额度", en="More than a rider may owe")
    detail = Words(
        zh="本次须欠 {short_by_fen} 分，最多可欠 {limit_fen} 分。",
        en="The ride is {short_by_fen} fen short; at most {limit_fen} fen may be owed.",
    )


class RideDebtUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "ride_debt_unknown"
    title = Words(zh="没有乘车欠款", en="No ride debt")
    detail = Words(zh="此钱包没有乘车欠款。", en="This wallet owes nothing for rides.")


class WriteOffExists(DomainError):
    kind, code = Kind.CONFLICT, "write_off_exists"
    title = Words(zh="核销编号已使用", en="Write-off id in use")
    detail = Words(zh="此核销编号已用于另一笔核销。", en="This id belongs to another write-off.")


class TransferExists(DomainError):
    kind, code = Kind.CONFLICT, "transfer_exists"
    title = Words(zh="转账编号已使用", en="Transfer id in use")
    detail = Words(zh="此编号已用于另一笔转账。", en="This id belongs to another transfer.")


class CaseUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "suspense_case_unknown"
    title = Words(zh="没有这个挂账", en="No such case")
    detail = Words(zh="未找到该挂账。", en="There is no such case.")


class CaseDecided(DomainError):
    kind, code = Kind.CONFLICT, "case_decided"
    title = Words(zh="挂账已处理", en="Case already decided")
    detail = Words(zh="此挂账的状态为 {state}。", en="The case is {state}.")


class CaseNotTheirs(DomainError):
    kind, code = Kind.REFUSED, "case_not_theirs"
    title = Words(zh="收款钱包不是本人的", en="Another person's wallet")
    detail = Words(
        zh="挂账只能付给其所有人的钱包。", en="A case is paid into a wallet of its owner only."
    )


class CorrectionUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "correction_unknown"
    title = Words(zh="没有这个更正", en="No such correction")
    detail = Words(zh="未找到该更正申请。", en="There is no such correction.")


class PostingUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "posting_unknown"
    title = Words(zh="没有这笔记账", en="No such posting")
    detail = Words(zh="未找到该笔记账。", en="There is no posting under this id.")


class CorrectionExists(DomainError):
    kind, code = Kind.CONFLICT, "correction_exists"
    title = Words(zh="更正编号已使用", en="Correction id in use")
    detail = Words(zh="此编号已用于另一更正。", en="This id belongs to another correction.")


class CorrectionDecided(DomainError):
    kind, code = Kind.CONFLICT, "correction_decided"
    title = Words(zh="更正已处理", en="Correction already decided")
    detail = Words(zh="此更正的状态为 {state}。", en="The correction is {state}.")


class AlreadyCorrected(DomainError):
    kind, code = Kind.CONFLICT, "already_corrected"
    title = Words(zh="此笔记账已撤回", en="Already taken back")
    detail = Words(zh="此笔记账已更正或冲正。", en="This posting was corrected or reversed before.")


class CorrectionNotPossible(DomainError):
    kind, code = Kind.REFUSED, "correction_not_possible"
    title = Words(zh="此类记账不能更正", en="This kind is not corrected")
    detail = Words(
        zh="{posting_code} 须用其自身的退款、冲正或退回。",
        en="A {posting_code} is taken back by its own refund, reversal or return.",
    )
