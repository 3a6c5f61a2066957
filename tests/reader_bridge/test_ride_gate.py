"""Goal: a gate takes a ride code once, offline, and says why it takes another not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from array import array
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from card_protocol.deny_list import DenyList
from card_protocol.errors import CodeRefused
from card_protocol.ride_certificate import RideSuite
from card_protocol.ride_code import AccountType
from card_protocol.ride_verifier import FULL_CODE
from card_protocol.terminal_profile import RideAuthorities, WhenExpired
from reader_bridge.faults import LANGUAGES, CodeFault, Fault, TerminalFault
from reader_bridge.offline import RideGate, SqliteUsedCodes
from tests.card_protocol.code_world import CARD_NUMBER, ISSUER_ID, NOW, Rides
from tests.reader_bridge.profile_world import TERMS, Issuer

LIST = DenyList(1, NOW, array("Q", [17]))


@pytest.fixture
def rides() -> Rides:
    return Rides()


@pytest.fixture
def used(tmp_path: Path) -> Iterator[SqliteUsedCodes]:
    opened = SqliteUsedCodes(tmp_path / "used.db")
    yield opened
    opened.close()


def authorities(rides: Rides) -> RideAuthorities:
    return RideAuthorities(
        suite=rides.suite,
        ca_keys={1: rides.ca.point},
        issuers=frozenset({ISSUER_ID}),
        account_types=frozenset({int(AccountType.ORDINARY)}),
        validity_seconds_max=30,
    )


def gate_of(rides: Rides, used: SqliteUsedCodes, deny_list: DenyList | None = LIST) -> RideGate:
    issuer = Issuer(rides=authorities(rides), issued_at=NOW - 60)
    return RideGate(issuer.profile(), deny_list, used)


def refused(gate: RideGate, code: bytes, now: int = NOW) -> str:
    with pytest.raises(Fault) as fault:
        gate.check(code, now)
    assert isinstance(fault.value, CodeFault | TerminalFault)
    for language in LANGUAGES:
        assert fault.value.text(language)
    return fault.value.code


@pytest.mark.parametrize("suite", list(RideSuite))
def test_a_genuine_code_rides_once(used: SqliteUsedCodes, suite: RideSuite) -> None:
    rides = Rides(suite)
    gate, code = gate_of(rides, used), rides.code()
    assert gate.check(code, NOW).part.card_number == CARD_NUMBER
    assert refused(gate, code) == "ride_code_used"
    assert refused(gate_of(rides, used), code, NOW + 30) == "ride_code_used"


def test_each_reason_has_its_own_code(used: SqliteUsedCodes, rides: Rides) -> None:
    gate, code = gate_of(rides, used), rides.code()
    assert refused(gate, code, NOW + 31) == "ride_code_expired"
    assert refused(gate, code, NOW - 31) == "ride_code_not_yet_valid"
    assert refused(gate, rides.code(NOW + 8 * 3_600)) == "ride_code_clock_wrong"
    assert refused(gate, rides.code(NOW - 8 * 3_600)) == "ride_code_clock_wrong"
    assert refused(gate, code[:-1] + bytes([code[-1] ^ 1])) == "ride_code_altered"
    assert refused(gate, b"") == "ride_code_malformed"
    assert refused(gate, b"\x80" + code[1:]) == "ride_code_version_unknown"
    assert refused(gate, Rides().code()) == "ride_code_altered"
    other_type = rides.part_with(account_type=AccountType.ORDINARY + 1)
    assert refused(gate, rides.code(part=other_type)) == "ride_code_account_type_refused"
    stale = rides.part_with(authorised_until=NOW - 1)
    assert refused(gate, rides.code(part=stale)) == "ride_code_authorisation_expired"
    assert gate.check(code, NOW)  # none of these has used it up


def test_a_lost_card_does_not_ride(used: SqliteUsedCodes, rides: Rides) -> None:
    denied = replace(LIST, tokens=array("Q", [int(CARD_NUMBER)]))
    assert refused(gate_of(rides, used, denied), rides.code()) == "ride_code_denied"


def test_a_terminal_that_is_no_gate_takes_no_ride_code(used: SqliteUsedCodes, rides: Rides) -> None:
    shop = RideGate(Issuer(issued_at=NOW).profile(), LIST, used)
    assert refused(shop, rides.code()) == "ride_code_not_accepted"
    assert refused(RideGate(None, LIST, used), rides.code()) == "profile_missing"
    assert refused(gate_of(rides, used, None), rides.code()) == "deny_list_missing"
    assert refused(gate_of(rides, used), rides.code(), NOW - 361) == "terminal_clock_wrong"


def test_an_expired_gate_rides_on_where_its_profile_says_so(
    used: SqliteUsedCodes, rides: Rides
) -> None:
    now = NOW + 3_600
    part = rides.part_with(authorised_until=now + 60)
    fresh = replace(LIST, as_of=now)
    assert gate_of(rides, used, fresh).check(rides.code(now, part), now)
    strict = replace(TERMS, when_expired=WhenExpired())
    issuer = Issuer(rides=authorities(rides), issued_at=NOW - 60, terms=strict)
    shut = RideGate(issuer.profile(), fresh, used)
    assert refused(shut, rides.code(now, part), now) == "profile_expired"


def test_used_codes_are_bounded_and_forget_the_old(tmp_path: Path) -> None:
    used = SqliteUsedCodes(tmp_path / "used.db", used_max=3)
    for at in range(3):
        assert used.claim(("1", at), 100 + at, now=50)
    with pytest.raises(CodeRefused, match=FULL_CODE):
        used.claim(("1", 9), 200, now=99)
    assert not used.claim(("1", 0), 100, now=99)
    assert used.claim(("1", 9), 200, now=101)  # two are over by then
    used.close()
    again = SqliteUsedCodes(tmp_path / "used.db", used_max=3)
    assert not again.claim(("1", 9), 200, now=101)
    assert not again.claim(("1", 2), 102, now=101)
    again.close()


def test_a_disk_that_fails_opens_no_gate(tmp_path: Path) -> None:
    with pytest.raises(TerminalFault):
        SqliteUsedCodes(tmp_path / "nowhere" / "used.db")
    used = SqliteUsedCodes(tmp_path / "used.db")
    used.close()
    with pytest.raises(TerminalFault):
        used.claim(("1", 1), 2, now=1)


KILLED = """
import os, signal, sys
from pathlib import Path
from reader_bridge.offline import SqliteUsedCodes
used = SqliteUsedCodes(Path(sys.argv[1]))
assert used.claim(("1", 1), 100, now=1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_gate_remembers(tmp_path: Path) -> None:
    path = tmp_path / "used.db"
    run = subprocess.run(  # its environment is ours
        [sys.executable, "-c", KILLED, str(path)], check=False, timeout=60, cwd=os.getcwd()
    )
    assert run.returncode == -signal.SIGKILL
    used = SqliteUsedCodes(path)
    assert not used.claim(("1", 1), 100, now=2)
    used.close()
