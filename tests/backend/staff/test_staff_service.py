"""Staff accounts, log-in and sessions on real databases."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Table, func, select
from sqlalchemy.exc import IntegrityError

from backend.db import METADATA, Which
from backend.staff import PERMISSIONS, RoleUnknown, Staff
from backend.staff.errors import CsrfInvalid, StaffLoginRefused, StaffSessionExpired
from backend.staff.model import check_roles, find_totp_step, scopes_of
from backend.staff.tables import staff_account, staff_role, staff_session

PASSWORD = "correct horse"


@pytest.fixture
def log_in(staff, totp):
    def run(password=PASSWORD, code=None, username="wang"):
        return staff.log_in(username, password, totp() if code is None else code)

    return run


def count(units, table):
    with units.read(Which.BUSINESS) as work:
        return work.execute(select(func.count()).select_from(table)).scalar_one()


# Rules


def test_roles_and_scopes_are_data():
    assert scopes_of([]) == frozenset()
    assert scopes_of(["auditor"]) == {"ledger.read"}
    assert scopes_of(["auditor", "agent"]) == {"ledger.read", "merchants.write", "cards.write"}
    assert scopes_of(["operator"]) == frozenset().union(*PERMISSIONS.values())
    assert check_roles(["operator", "agent", "operator"]) == ("agent", "operator")
    with pytest.raises(RoleUnknown, match="king"):
        check_roles(["operator", "king"])


@pytest.mark.parametrize(
    ("steps", "is_found"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_totp_forgives_one_step(clock, totp, secret, steps, is_found):
    present = int(clock.now().timestamp()) // 30
    expected = present + steps if is_found else None
    assert find_totp_step(secret, totp(steps), clock.now(), -1) == expected
    assert find_totp_step(secret, totp(steps), clock.now(), present + steps) is None


def test_totp_of_rfc_6238():
    """Goal: the vectors of RFC 6238, appendix B (SHA-1), cut to six digits."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    for seconds, code in ((59, "287082"), (1111111109, "081804"), (2000000000, "279037")):
        now = datetime.fromtimestamp(seconds, UTC)
        assert find_totp_step(secret, code, now, -1) == seconds // 30


# Accounts


def test_adding_twice_changes_nothing(staff, units, secret):
    def rows():
        with units.read(Which.BUSINESS) as work:
            tables = (staff_account, staff_role)
            return [work.execute(select(table)).all() for table in tables]

    before = rows()
    assert staff.add("wang", PASSWORD, secret, ["operator"]).startswith("stf_")
    assert rows() == before


def test_a_changed_row_is_brought_in_line(staff, log_in, totp, clock, secret):
    session = log_in()
    staff_id = staff.find_member(session.token).staff_id
    assert staff.add("wang", PASSWORD, secret, ["auditor"]) == staff_id
    member = staff.find_member(session.token)  # roles count at once, without a new login
    assert (member.roles, member.scopes) == (("auditor",), {"ledger.read"})
    assert staff.add("wang", "another horse", secret, ["auditor"]) == staff_id
    assert staff.find_member(session.token) is None
    clock.advance(timedelta(seconds=30))
    with pytest.raises(StaffLoginRefused):
        log_in()
    assert log_in("another horse").roles == ("auditor",)
    other = "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU"
    staff.add("wang", "another horse", other, ["auditor"])
    clock.advance(timedelta(seconds=30))
    with pytest.raises(StaffLoginRefused):
        log_in("another horse")
    assert log_in("another horse", totp(0, other))


@pytest.mark.parametrize(
    ("password", "totp_secret", "roles"),
    [
        ("short", "JBSWY3DPEHPK3PXP", ["operator"]),
        (PASSWORD, "not base 32!", ["operator"]),
        (PASSWORD, "JBSWY3DPEHPK3PXP", ["king"]),
    ],
)
def test_a_wrong_configuration_is_named(staff, units, password, totp_secret, roles):
    with pytest.raises(ValueError, match=r"li|king") as wrong:
        staff.add("li", password, totp_secret, roles)
    assert password not in str(wrong.value)
    assert totp_secret not in str(wrong.value)
    assert count(units, staff_account) == 1


def test_secrets_are_not_readable_at_rest(staff, log_in, units, secret):
    session = log_in()
    kept = []
    with units.read(Which.BUSINESS) as work:
        for table in METADATA[Which.BUSINESS].tables.values():
            for row in work.execute(select(table)):
                kept += [v if isinstance(v, bytes) else str(v).encode() for v in row]
    found = b"\n".join(kept)
    assert b"wang" in found
    for text in (PASSWORD, secret, session.token, session.csrf_token):
        assert text.encode() not in found
        assert text not in repr(session)
    assert b"$argon2id$" in found


def test_the_database_says_the_law_again(staff, units):
    cases: list[tuple[Table, dict[str, Any]]] = [
        (staff_account, {"failures": 6}),
        (staff_account, {"failures": 5}),  # locked, but not until when
        (staff_role, {"role": "king"}),
    ]
    for table, values in cases:
        with pytest.raises(IntegrityError), units.write(Which.BUSINESS) as work:
            work.execute(table.update().values(**values))


def test_the_default_hash_is_argon2id_as_recommended(units, keys):
    """Goal: RFC 9106, section 4: 64 MiB, 3 passes."""
    hasher = Staff(units, keys).hasher
    assert (hasher.type.name, hasher.memory_cost, hasher.time_cost) == ("ID", 65_536, 3)


# Log-in


def test_a_login(staff, log_in):
    session = log_in()
    assert (session.username, session.roles) == ("wang", ("operator",))
    member = staff.find_member(session.token)
    assert (member.username, member.roles) == ("wang", ("operator",))
    assert member.scopes == PERMISSIONS["operator"]
    assert member.staff_id.startswith("stf_")


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        (("nobody", PASSWORD), 0),
        (("WANG", PASSWORD), 0),
        (("wang", "wrong horse!"), 0),
        (("wang", ""), 0),
        (("wang", PASSWORD), 5),
        (("nobody", "wrong horse!"), 5),
    ],
)
def test_every_refusal_sounds_the_same(staff, units, totp, names, steps):
    with pytest.raises(StaffLoginRefused) as refusal:
        staff.log_in(*names, totp(steps))
    assert (refusal.value.code, refusal.value.data) == ("staff_login_refused", {})
    assert count(units, staff_session) == 0
    assert count(units, staff_account) == 1


def test_an_unknown_name_costs_a_hash_too(staff, log_in, monkeypatch):
    """Goal: no name is known by how fast the answer comes."""
    verified = []
    verify = type(staff.hasher).verify

    def spy(self, known, password):
        verified.append(known)
        return verify(self, known, password)

    monkeypatch.setattr(type(staff.hasher), "verify", spy)
    with pytest.raises(StaffLoginRefused):
        log_in(username="nobody")
    log_in()
    assert len(verified) == 2
    parameters = [known.rsplit("$", 2)[0] for known in verified]
    assert parameters[0] == parameters[1]
    assert verified[0] != verified[1]


def test_a_totp_step_works_once(staff, log_in, clock, totp):
    code = totp()
    log_in()
    with pytest.raises(StaffLoginRefused):
        log_in(code=code)
    clock.advance(timedelta(seconds=30))
    with pytest.raises(StaffLoginRefused):  # still inside the window, but seen
        log_in(code=code)
    assert log_in()


def test_a_step_before_the_one_used_is_spent_too(log_in, totp):
    earlier = totp(-1)
    log_in()
    with pytest.raises(StaffLoginRefused):
        log_in(code=earlier)


def test_a_totp_step_works_once_also_when_two_overlap(staff, totp, units):
    outcomes, code = [], totp()

    def run():
        try:
            outcomes.append(staff.log_in("wang", PASSWORD, code))
        except StaffLoginRefused as refusal:
            outcomes.append(refusal)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(outcomes) == 4
    assert sum(isinstance(one, StaffLoginRefused) for one in outcomes) == 3
    assert count(units, staff_session) == 1


def test_five_failures_lock_for_15_minutes(log_in, clock, totp):
    for _ in range(5):
        with pytest.raises(StaffLoginRefused):
            log_in("wrong horse!")
    clock.advance(timedelta(minutes=14, seconds=59))
    with pytest.raises(StaffLoginRefused):
        log_in()
    clock.advance(timedelta(seconds=1))
    assert log_in()


def test_trying_while_locked_does_not_prolong_the_lock(log_in, clock):
    for _ in range(8):
        with pytest.raises(StaffLoginRefused):
            log_in("wrong horse!")
        clock.advance(timedelta(minutes=1))
    clock.advance(timedelta(minutes=11))  # 15 minutes since the fifth
    assert log_in()


def test_after_a_lock_the_count_begins_anew(log_in, clock):
    for _ in range(5):
        with pytest.raises(StaffLoginRefused):
            log_in("wrong horse!")
    clock.advance(timedelta(minutes=15))
    for _ in range(4):
        with pytest.raises(StaffLoginRefused):
            log_in("wrong horse!")
    assert log_in()


def test_wrong_totp_counts_and_success_forgets(log_in, clock, totp):
    for _ in range(3):
        for _ in range(4):
            with pytest.raises(StaffLoginRefused):
                log_in(code=totp(7))
        assert log_in()
        clock.advance(timedelta(seconds=30))
    for _ in range(5):
        with pytest.raises(StaffLoginRefused):
            log_in(code=totp(7))
    with pytest.raises(StaffLoginRefused):
        log_in()


def test_one_account_s_lock_is_not_another_s(staff, log_in, secret):
    staff.add("li", PASSWORD, secret, ["agent"])
    for _ in range(5):
        with pytest.raises(StaffLoginRefused):
            log_in("wrong horse!")
    assert log_in(username="li").roles == ("agent",)


# Sessions


def test_idle_for_15_minutes_ends_a_session(staff, log_in, clock):
    token = log_in().token
    for _ in range(4):
        clock.advance(timedelta(minutes=14, seconds=59))
        assert staff.find_member(token)
    clock.advance(timedelta(minutes=15))
    with pytest.raises(StaffSessionExpired):
        staff.find_member(token)


def test_8_hours_end_a_session_however_busy(staff, log_in, clock):
    token = log_in().token
    for _ in range(47):
        clock.advance(timedelta(minutes=10))
        assert staff.find_member(token)
    clock.advance(timedelta(minutes=10))
    with pytest.raises(StaffSessionExpired):
        staff.find_member(token)


def test_not_every_click_writes(staff, log_in, clock, units):
    token = log_in().token

    def seen_at():
        with units.read(Which.BUSINESS) as work:
            return work.execute(select(staff_session.c.seen_at)).scalar_one()

    start = clock.now()
    clock.advance(timedelta(seconds=29))
    staff.find_member(token)
    assert seen_at() == start
    clock.advance(timedelta(seconds=1))
    staff.find_member(token)
    assert seen_at() == clock.now()


@pytest.mark.parametrize("token", ["", "x", "x" * 4000, "令牌"])
def test_nobody_is_logged_in_with_another_token(staff, log_in, token):
    log_in()
    assert staff.find_member(token) is None


def test_logging_out_ends_this_session_only(staff, log_in, clock):
    first = log_in()
    clock.advance(timedelta(seconds=30))
    second = log_in()
    for _ in range(2):
        staff.log_out(first.token)
        assert staff.find_member(first.token) is None
    assert staff.find_member(second.token)


def test_ended_sessions_are_swept_at_the_next_login(log_in, clock, units):
    for _ in range(4):
        log_in()
        clock.advance(timedelta(minutes=15))
    assert count(units, staff_session) == 1


def test_a_csrf_token_belongs_to_one_session(staff, log_in, clock):
    first = log_in()
    clock.advance(timedelta(seconds=30))
    second = log_in()
    staff.check_csrf(first.token, first.csrf_token)
    for wrong in ("", second.csrf_token, first.csrf_token[:-1], first.token, "令牌"):
        with pytest.raises(CsrfInvalid):
            staff.check_csrf(first.token, wrong)
