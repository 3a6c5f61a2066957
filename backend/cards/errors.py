"""What the registry of purses refuses with: kinds, codes and words; knows no rows and no HTTP."""

from __future__ import annotations

from backend.kernel import DomainError, Kind, Words


class PurseUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "purse_unknown"
    title = Words(zh="没有此电子钱包", en="No such purse")
    detail = Words(zh="系统未登记该电子钱包。", en="This purse is not registered here.")


class PurseExists(DomainError):
    kind, code = Kind.CONFLICT, "purse_exists"
    title = Words(zh="电子钱包已登记", en="Purse registered before")
    detail = Words(
        zh="此卡号已登记，内容不同（{field}）。",
        en="This number is registered with another {field}.",
    )


class PurseNotActive(DomainError):
    kind, code = Kind.REFUSED, "purse_not_active"
    title = Words(zh="电子钱包不可用", en="Purse not active")
    detail = Words(zh="电子钱包状态为 {state}。", en="The purse is {state}.")


class PurseMismatch(DomainError):
    kind, code = Kind.REFUSED, "purse_mismatch"
    title = Words(zh="卡片数据与登记不符", en="The card differs from its registration")
    detail = Words(zh="{field} 与登记不一致。", en="The {field} is not the registered one.")


class PurseKeyUnknown(DomainError):
    kind, code = Kind.REFUSED, "purse_key_unknown"
    title = Words(zh="密钥版本未知", en="Key version unknown")
    detail = Words(
        zh="没有该算法或版本的发卡方密钥。", en="The issuer has no key of this suite and version."
    )


class PurseTransitionRefused(DomainError):
    kind, code = Kind.CONFLICT, "purse_state_conflict"
    title = Words(zh="当前状态不允许此操作", en="Not possible in this state")
    detail = Words(
        zh="电子钱包处于 {state}，不能执行 {event}。",
        en="The purse is {state}: {event} is refused.",
    )


class PurseFourEyesNeeded(DomainError):
    kind, code = Kind.FORBIDDEN, "purse_four_eyes_needed"
    title = Words(zh="须由另一人办理", en="Somebody else must do this")
    detail = Words(
        zh="暂停与销户须由两人分别办理。", en="Who suspended a purse may not close it as well."
    )
