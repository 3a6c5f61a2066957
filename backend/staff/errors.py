"""Refusals of staff log-in: one code for everything that could tell an intruder something."""

from __future__ import annotations

from backend.kernel import DomainError, Kind, Words


class StaffLoginRefused(DomainError):
    """Unknown name, wrong password, wrong or used TOTP, locked account: all sound the same."""

    kind, code = Kind.UNAUTHENTICATED, "staff_login_refused"
    title = Words(zh="登录失败", en="Login refused")
    detail = Words(
        zh="用户名、密码或动态码不正确，或账号已暂时锁定。",
        en="Name, password or one-time code is not right, or the account is locked for a while.",
    )


class StaffSessionExpired(DomainError):
    kind, code = Kind.UNAUTHENTICATED, "staff_session_expired"
    title = Words(zh="登录已过期", en="Login expired")
    detail = Words(zh="请重新登录。", en="Please log in again.")


class CsrfInvalid(DomainError):
    kind, code = Kind.FORBIDDEN, "csrf_invalid"
    title = Words(zh="请求来源无法确认", en="Origin of the request not proven")
    detail = Words(
        zh="请求头 X-CSRF-Token 缺失或不正确。", en="The header X-CSRF-Token is missing or wrong."
    )
