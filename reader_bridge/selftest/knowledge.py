"""What the terminal knows without asking: profile and deny list, their age and their end."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from reader_bridge.acceptance.knowledge import Knowledge, Known
from reader_bridge.clock import CHINA
from reader_bridge.faults import TerminalFault
from reader_bridge.offline.standing import CLOCK_SECONDS
from reader_bridge.selftest.lines import Line, fail, fail_by, ok

_HOUR: Final = 3600


def check_profile(knowledge: Knowledge, now: int) -> Line:
    """It is there, genuine (it was checked when it was read) and not past its end."""
    profile = knowledge.now.profile
    if profile is None:
        return fail_by("profile", _damage(knowledge, "profile_missing"))
    until = _shown(profile.expires_at)
    age_hours = max(0, now - profile.issued_at) // _HOUR
    zh = f"第 {profile.version} 版,{age_hours} 小时前签发,有效至 {until}"
    en = f"version {profile.version}, signed {age_hours} h ago, valid until {until}"
    if now + CLOCK_SECONDS < profile.issued_at:
        return fail("profile", "terminal_clock_wrong", zh, en)
    if now > profile.expires_at:
        return fail("profile", "profile_expired", zh, en)
    return ok("profile", zh, en)


def check_deny_list(knowledge: Knowledge, now: int) -> Line:
    """As old as the profile allows; a terminal that never sells offline needs none."""
    known: Known = knowledge.now
    deny_list = known.deny_list
    if not known.sells_offline and deny_list is None:
        return ok("deny_list", "不做脱机交易,不需要", "not needed: no offline sales here")
    if deny_list is None or not deny_list.as_of:
        return fail_by("deny_list", _damage(knowledge, "deny_list_missing"))
    age_hours = max(0, now - deny_list.as_of) // _HOUR
    zh, en = (
        f"第 {deny_list.version} 版,{age_hours} 小时前",
        f"version {deny_list.version}, {age_hours} h old",
    )
    profile = known.profile
    if profile is not None and now - deny_list.as_of > profile.terms.deny_list_age_max_seconds:
        return fail("deny_list", "deny_list_too_old", zh, en)
    return ok("deny_list", zh, en)


def _damage(knowledge: Knowledge, missing: str) -> TerminalFault:
    code = knowledge.damage
    return TerminalFault(missing) if code is None else TerminalFault(code, file=code)


def _shown(unix_seconds: int) -> str:
    return datetime.fromtimestamp(unix_seconds, CHINA).strftime("%Y-%m-%d %H:%M")
