"""What ride and identity codes are refused with by the backend: kinds, codes, words."""

from __future__ import annotations

from backend.kernel import DomainError, Kind, Words


class IdentityCodeMalformed(DomainError):
    kind, code = Kind.INVALID, "identity_code_malformed"
    title = Words(zh="身份码无法识别", en="Identity code not readable")
    detail = Words(zh="内容不是完整的身份码。", en="The content is not a whole identity code.")


class IdentityCodeForeign(DomainError):
    kind, code = Kind.INVALID, "identity_code_foreign"
    title = Words(zh="不是本市的身份码", en="Not this city's code")
    detail = Words(zh="此码由其他机构签发。", en="This code was issued by somebody else.")


class IdentityCodeAltered(DomainError):
    kind, code = Kind.REFUSED, "identity_code_altered"
    title = Words(zh="身份码校验不符", en="Identity code altered")
    detail = Words(zh="身份码签名校验失败。", en="The code's signature does not fit.")


class IdentityCodeAuthorisationExpired(DomainError):
    kind, code = Kind.REFUSED, "identity_code_authorisation_expired"
    title = Words(zh="身份码授权已过期", en="Authorisation expired")
    detail = Words(zh="请联网后重新出示。", en="Go online once, then show a fresh code.")


class IdentityCodeExpired(DomainError):
    kind, code = Kind.REFUSED, "identity_code_expired"
    title = Words(zh="身份码已过期", en="Identity code expired")
    detail = Words(zh="请刷新身份码。", en="Please show a fresh code.")


class IdentityCodeNotYetValid(DomainError):
    kind, code = Kind.REFUSED, "identity_code_not_yet_valid"
    title = Words(zh="身份码尚未生效", en="Identity code not yet valid")
    detail = Words(
        zh="手机时间快于标准时间，请校准。", en="The phone's clock is ahead; correct it."
    )


class IdentityCodeClockWrong(DomainError):
    kind, code = Kind.REFUSED, "identity_code_clock_wrong"
    title = Words(zh="手机时区有误", en="Time zone wrong")
    detail = Words(
        zh="身份码的时间相差约八小时，请检查手机时间与时区。",
        en="The code is about 8 hours off; check the phone's clock and time zone.",
    )


class IdentityCodeUsed(DomainError):
    kind, code = Kind.REFUSED, "identity_code_used"
    title = Words(zh="身份码已使用", en="Identity code already used")
    detail = Words(zh="请刷新身份码。", en="Please show a fresh code.")


class IdentityVerifierUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "identity_verifier_unknown"
    title = Words(zh="未登记为核验方", en="Not a registered verifier")
    detail = Words(
        zh="须先登记为身份码核验方。", en="Identity codes are read by registered verifiers only."
    )


class IdentityPurposeRefused(DomainError):
    kind, code = Kind.FORBIDDEN, "identity_purpose_refused"
    title = Words(zh="用途不符", en="Another purpose")
    detail = Words(
        zh="此码的用途为 {purpose}，核验方未登记该用途。",
        en="The code is for {purpose}; the verifier is not registered for that.",
    )


class IdentityClaimsRefused(DomainError):
    kind, code = Kind.FORBIDDEN, "identity_claims_refused"
    title = Words(zh="超出可核验范围", en="More than the verifier may learn")
    detail = Words(
        zh="核验方不得获知：{claims}。", en="The verifier is not registered to learn: {claims}."
    )
