"""Refusals of log-in and registration: each has its own stable code."""

from __future__ import annotations

from backend.kernel import DomainError, Kind, Words


class PhoneInvalid(DomainError):
    kind, code = Kind.INVALID, "phone_invalid"
    title = Words(zh="手机号不正确", en="Invalid phone number")
    detail = Words(zh="请输入 11 位大陆手机号。", en="A mainland mobile number has 11 digits.")


class LoginTooOften(DomainError):
    kind, code, retryable = Kind.LIMITED, "login_too_often", True
    title = Words(zh="验证码请求过于频繁", en="Too many codes asked for")
    detail = Words(
        zh="请在 {retry_after_seconds} 秒后再获取验证码。",
        en="Ask for the next code in {retry_after_seconds} seconds.",
    )


class LoginUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "login_unknown"
    title = Words(zh="请先获取验证码", en="Ask for a code first")
    detail = Words(
        zh="没有为此手机号发送过这个验证码。", en="No such code was ever asked for with this phone."
    )


class LoginCodeForeign(DomainError):
    kind, code = Kind.UNAUTHENTICATED, "login_code_foreign"
    title = Words(zh="验证码与手机号不符", en="Code of another phone")
    detail = Words(
        zh="此验证码是为另一手机号发送的。", en="This code was asked for with another phone."
    )


class LoginCodeUsed(DomainError):
    kind, code = Kind.UNAUTHENTICATED, "login_code_used"
    title = Words(zh="验证码已使用", en="Code used before")
    detail = Words(
        zh="每个验证码只能使用一次，请重新获取。", en="A code works once; ask for another."
    )


class LoginCodeExpired(DomainError):
    kind, code = Kind.UNAUTHENTICATED, "login_code_expired"
    title = Words(zh="验证码已过期", en="Code expired")
    detail = Words(zh="请重新获取验证码。", en="Ask for another code.")


class LoginCodeWrong(DomainError):
    kind, code = Kind.UNAUTHENTICATED, "login_code_wrong"
    title = Words(zh="验证码错误", en="Wrong code")
    detail = Words(zh="还可尝试 {tries_left} 次。", en="Tries left: {tries_left}.")


class LoginLocked(DomainError):
    kind, code = Kind.LIMITED, "login_locked"
    title = Words(zh="验证码已锁定", en="Code locked")
    detail = Words(
        zh="错误次数过多，此验证码已失效，请重新获取。",
        en="Too many wrong tries: this code is void; ask for another.",
    )


class RefreshInvalid(DomainError):
    kind, code = Kind.UNAUTHENTICATED, "refresh_invalid"
    title = Words(zh="登录凭证无效", en="Refresh token not valid")
    detail = Words(zh="请重新登录。", en="Please log in again.")


class RefreshReused(DomainError):
    kind, code = Kind.UNAUTHENTICATED, "refresh_reused"
    title = Words(zh="登录凭证被重复使用", en="Refresh token used twice")
    detail = Words(
        zh="为了您的安全，此次登录已结束，请重新登录。",
        en="To be safe this login was ended; please log in again.",
    )


class SessionEnded(DomainError):
    kind, code = Kind.UNAUTHENTICATED, "session_ended"
    title = Words(zh="登录已结束", en="Login ended")
    detail = Words(zh="请重新登录。", en="Please log in again.")


class PersonUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "person_unknown"
    title = Words(zh="没有此人", en="No such person")
    detail = Words(zh="未找到该用户。", en="This person is not known here.")


class NameInvalid(DomainError):
    kind, code = Kind.INVALID, "name_invalid"
    title = Words(zh="姓名不正确", en="Invalid name")
    detail = Words(zh="请填写证件上的姓名。", en="Give the name on the identity card.")


class IdNumberInvalid(DomainError):
    kind, code = Kind.INVALID, "id_number_invalid"
    title = Words(zh="身份证号不正确", en="Invalid identity number")
    detail = Words(
        zh="请核对 18 位公民身份号码。", en="Check the 18 characters of the identity number."
    )


class GuardianNeeded(DomainError):
    kind, code = Kind.FORBIDDEN, "guardian_needed"
    title = Words(zh="需要监护人办理", en="A guardian is needed")
    detail = Words(
        zh="未满 {under_years} 周岁须由监护人办理。",
        en="Under the age of {under_years} a guardian registers the person.",
    )


class BaseRecordUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "base_record_unknown"
    title = Words(zh="未找到基础信息", en="No base record")
    detail = Words(
        zh="基础信息库中没有此身份证号。", en="The city's base records lack this identity number."
    )


class BaseRecordDiffers(DomainError):
    kind, code = Kind.CONFLICT, "base_record_differs"
    title = Words(zh="姓名与身份证号不符", en="Name and number differ")
    detail = Words(
        zh="姓名与基础信息库中的记录不一致。", en="The name is not the one in the base records."
    )


class AlreadyRegistered(DomainError):
    kind, code = Kind.CONFLICT, "already_registered"
    title = Words(zh="已经登记", en="Already registered")
    detail = Words(
        zh="此手机号或身份证号已用于另一登记。",
        en="This phone or this identity number is registered otherwise.",
    )


class RegistrationTooOften(DomainError):
    """Names could be guessed for identity numbers: misses are counted per person and day."""

    kind, code, retryable = Kind.LIMITED, "registration_too_often", True
    title = Words(zh="登记尝试过多", en="Too many tries to register")
    detail = Words(
        zh="请在 {retry_after_seconds} 秒后再试。", en="Try again in {retry_after_seconds} seconds."
    )


class TransitionRefused(DomainError):
    kind, code = Kind.CONFLICT, "transition_refused"
    title = Words(zh="状态不允许", en="Not possible now")
    detail = Words(zh="当前状态不允许此操作。", en="The present state does not allow this.")


class BaseRecordsDamaged(Exception):
    """A row of the base records cannot be read: told to the operator by its number, no content."""
