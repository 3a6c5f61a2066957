"""What the merchants' domain refuses with: kinds, codes and words; knows no rows and no HTTP."""

from __future__ import annotations

from backend.kernel import DomainError, Kind, Words


class MerchantUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "merchant_unknown"
    title = Words(zh="没有此商户", en="No such merchant")
    detail = Words(zh="商户编号不存在。", en="There is no merchant with this id.")


class ShopUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "shop_unknown"
    title = Words(zh="没有此门店", en="No such shop")
    detail = Words(zh="门店不存在。", en="There is no such shop.")


class TerminalUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "terminal_unknown"
    title = Words(zh="没有此终端", en="No such terminal")
    detail = Words(zh="终端或接入方编号不存在。", en="There is no terminal or client with this id.")


class TerminalProfileUnknown(DomainError):
    kind, code = Kind.CONFLICT, "terminal_profile_unknown"
    title = Words(zh="没有此终端配置", en="No such terminal profile")
    detail = Words(
        zh="终端配置 {profile} 不存在，请联系运营方。",
        en="The city has no terminal profile {profile}; speak to the operator.",
    )


class TerminalPlaceUnfit(DomainError):
    kind, code = Kind.CONFLICT, "terminal_place_unfit"
    title = Words(zh="终端位置与用途不符", en="Place does not fit the terminal's use")
    detail = Words(
        zh="里程票价的闸机须给出票价表中的车站和进出方向；停车、自行车终端须给出进出方向；单一票价不得为出口。",
        en="A gate with a fare table needs one of its stations and a direction; a barrier or dock "
        "needs a direction; a flat fare is not paid going out.",
    )


class NumberTaken(DomainError):
    kind, code = Kind.CONFLICT, "number_taken"
    title = Words(zh="编号已被占用", en="Number taken")
    detail = Words(zh="此编号属于另一对象。", en="This number belongs to something else.")


class NumbersExhausted(DomainError):
    kind, code, retryable = Kind.UNAVAILABLE, "numbers_exhausted", True
    title = Words(zh="暂无可用编号", en="No free number found")
    detail = Words(zh="请稍后重试。", en="Please try again.")


class TerminalTransitionRefused(DomainError):
    kind, code = Kind.CONFLICT, "terminal_transition_refused"
    title = Words(zh="终端当前状态不允许", en="Not possible in this state")
    detail = Words(
        zh="终端状态为 {state}，不能执行 {event}。",
        en="The terminal is {state}: {event} is refused.",
    )


class ActivationCodeUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "activation_code_unknown"
    title = Words(zh="激活码不正确", en="Activation code unknown")
    detail = Words(
        zh="没有此激活码，请核对后重新输入。", en="There is no such code; check what was typed."
    )


class ActivationCodeUsed(DomainError):
    kind, code = Kind.CONFLICT, "activation_code_used"
    title = Words(zh="激活码已使用", en="Activation code used")
    detail = Words(
        zh="此激活码已被另一设备使用，请申请新的激活码。",
        en="Another device has used this code; ask for a new one.",
    )


class ActivationCodeExpired(DomainError):
    kind, code = Kind.CONFLICT, "activation_code_expired"
    title = Words(zh="激活码已失效", en="Activation code expired")
    detail = Words(zh="请申请新的激活码。", en="Ask for a new code.")


class ClientUnknown(DomainError):
    kind, code = Kind.UNAUTHENTICATED, "client_unknown"
    title = Words(zh="接入方未知", en="Client unknown")
    detail = Words(
        zh="此终端或接入方不存在或尚未激活。",
        en="This terminal or client does not exist or was never activated.",
    )


class AssertionInvalid(DomainError):
    kind, code = Kind.UNAUTHENTICATED, "assertion_invalid"
    title = Words(zh="登录断言无效", en="Assertion not accepted")
    detail = Words(
        zh="签名、用途、时间或编号不符；每个断言只能使用一次。",
        en="Signature, purpose, time or jti does not fit; an assertion works once.",
    )


class TerminalNotActive(DomainError):
    kind, code = Kind.FORBIDDEN, "terminal_not_active"
    title = Words(zh="终端未启用", en="Terminal not active")
    detail = Words(
        zh="终端状态为 {state}，请联系运营方。",
        en="The terminal is {state}; speak to the operator.",
    )


class MerchantCodeMalformed(DomainError):
    kind, code = Kind.INVALID, "merchant_code_malformed"
    title = Words(zh="收款码无法识别", en="Merchant code not readable")
    detail = Words(zh="内容不是完整的收款码。", en="The content is not a whole merchant code.")


class MerchantCodeForeign(DomainError):
    kind, code = Kind.INVALID, "merchant_code_foreign"
    title = Words(zh="不是本卡的收款码", en="Another scheme's code")
    detail = Words(
        zh="此收款码属于其他支付机构。", en="This merchant code belongs to another scheme."
    )


class MerchantCodeAltered(DomainError):
    kind, code = Kind.REFUSED, "merchant_code_altered"
    title = Words(zh="收款码被改动", en="Merchant code altered")
    detail = Words(
        zh="收款码校验不符，请勿付款。", en="The code was not made by this city: do not pay."
    )
