"""The rules of provisioning, events, suspensions, taps and logs as tables, without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from backend.virtual_card import (
    Action,
    Actor,
    ActorKind,
    ApplyEvent,
    AttestationInvalid,
    AttestationUnavailable,
    Attested,
    CardKind,
    DeviceFacts,
    EventKind,
    EventMalformed,
    OsIntegrity,
    Reason,
    SandboxAttester,
    SandboxVendor,
)
from backend.virtual_card.life.model import NEEDS, POLICY, TOLD_BY_HOLDER
from backend.virtual_card.life.notices import WHAT
from backend.virtual_card.provisioning.model import RULES, Facts, Figures, Outcome, judge
from backend.virtual_card.states import FLOW, RELEASED_BY, Release, TokenEvent, TokenState, graver
from backend.virtual_card.step_up.model import find_next_at
from backend.virtual_card.watch.model import (
    LOG_RULES,
    UNARRIVED_MAX,
    Answer,
    Finding,
    LoggedTap,
    Sign,
    TapMark,
    Watched,
    answer_to,
    check_log,
    find_sign,
)

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
ME = Actor(ActorKind.CITIZEN, "per_1")
GOOD = Facts(
    attested=Attested.HARDWARE,
    os_integrity=OsIntegrity.VERIFIED,
    other_devices=0,
    tokens_of_card=0,
    tokens_before=0,
    tokens_today=0,
    declines_today=0,
)
DAY = timedelta(days=1)


# --- provisioning ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "outcome", "reasons"),
    [
        ({}, Outcome.APPROVE, ()),
        ({"is_dead": True}, Outcome.DECLINE, ("holder_deceased",)),
        ({"is_device_lost": True}, Outcome.DECLINE, ("device_lost",)),
        ({"os_integrity": OsIntegrity.BROKEN}, Outcome.DECLINE, ("os_integrity_broken",)),
        ({"os_integrity": OsIntegrity.UNKNOWN}, Outcome.APPROVE, ()),
        ({"tokens_of_card": 5}, Outcome.DECLINE, ("tokens_per_card",)),
        ({"tokens_of_card": 4}, Outcome.APPROVE, ()),
        ({"tokens_today": 10}, Outcome.DECLINE, ("tokens_per_day",)),
        ({"tokens_today": 9}, Outcome.APPROVE, ()),
        ({"declines_today": 10}, Outcome.DECLINE, ("declines_per_day",)),
        ({"declines_today": 9}, Outcome.APPROVE, ()),
        ({"is_move": True}, Outcome.STEP_UP, ("move",)),
        ({"attested": Attested.NONE}, Outcome.APPROVE, ()),
        (
            {"attested": Attested.SOFTWARE, "other_devices": 1},
            Outcome.STEP_UP,
            ("device_unattested",),
        ),
        ({"attested": Attested.HARDWARE, "other_devices": 4}, Outcome.APPROVE, ()),
        ({"since_loss": 6 * DAY}, Outcome.STEP_UP, ("recent_loss",)),
        ({"since_loss": 7 * DAY}, Outcome.APPROVE, ()),
        ({"since_clone": 29 * DAY}, Outcome.STEP_UP, ("recent_clone",)),
        ({"since_clone": 30 * DAY}, Outcome.APPROVE, ()),
        ({"since_sim_change": 2 * DAY}, Outcome.STEP_UP, ("recent_sim_change",)),
        ({"since_sim_change": 3 * DAY}, Outcome.APPROVE, ()),
        ({"phone_number_age": DAY / 2}, Outcome.APPROVE, ()),
        (
            {"phone_number_age": DAY / 2, "tokens_before": 1},
            Outcome.STEP_UP,
            ("phone_number_young",),
        ),
        ({"phone_number_age": DAY, "tokens_before": 1}, Outcome.APPROVE, ()),
        ({"is_move": True, "has_code": True}, Outcome.APPROVE, ("move",)),
        ({"is_dead": True, "has_code": True}, Outcome.DECLINE, ("holder_deceased",)),
        (
            {"is_dead": True, "is_move": True},
            Outcome.DECLINE,
            ("holder_deceased", "move"),
        ),
    ],
    ids=str,
)
def test_each_rule_at_its_figure(
    changes: dict[str, Any], outcome: Outcome, reasons: tuple[str, ...]
) -> None:
    verdict = judge(replace(GOOD, **changes), Figures())
    assert (verdict.outcome, verdict.reasons) == (outcome, reasons)


def test_the_table_above_knows_every_rule() -> None:
    marks = test_each_rule_at_its_figure.pytestmark  # type: ignore[attr-defined]
    rows = next(mark for mark in marks if mark.name == "parametrize").args[1]
    assert {code for _, _, reasons in rows for code in reasons} == {rule.code for rule in RULES}
    assert len({rule.code for rule in RULES}) == len(RULES)


def test_figures_are_configuration() -> None:
    assert judge(replace(GOOD, tokens_of_card=1), Figures(tokens_per_card_max=1)).reasons
    with pytest.raises(ValueError, match="positive"):
        Figures(loss_days=0)


# --- events and suspensions -----------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "card_kind"), list(product(EventKind, CardKind)))
def test_every_event_is_decided_for_every_kind_of_card(
    kind: EventKind, card_kind: CardKind
) -> None:
    action = POLICY[kind, card_kind]
    reason = Reason(kind.value)
    if action is Action.SUSPEND:
        assert reason in RELEASED_BY
    if kind is EventKind.LOST_PHONE:
        assert action is Action.SUSPEND
    if kind is EventKind.DEATH:
        assert action is Action.DELETE
    if kind is EventKind.NEW_PHONE:
        assert action is Action.KEEP


def test_the_policy_is_what_was_agreed() -> None:
    """Goal: nobody changes a figure of the policy by accident."""
    said = {kind: "".join(POLICY[kind, one].value[0] for one in CardKind) for kind in EventKind}
    assert {kind.value: word for kind, word in said.items()} == {
        "lost_plastic": "ksk",  # main kept, secondary suspended, mobile kept
        "lost_phone": "sss",
        "new_phone": "kkk",
        "sim_change": "sks",
        "death": "ddd",
        "moved_away": "skk",
    }
    assert len(POLICY) == len(EventKind) * len(CardKind)


@pytest.mark.parametrize("kind", list(EventKind))
def test_an_event_without_what_it_needs_is_refused(kind: EventKind) -> None:
    whole = ApplyEvent("cev_1", kind, "per_1", ME, device_id="dev_1", new_device_id="dev_2")
    whole.check()
    for name in NEEDS[kind]:
        with pytest.raises(EventMalformed) as refused:
            replace(whole, **{name: None}).check()
        assert refused.value.data == {"event": kind.value, "field": name}
    with pytest.raises(EventMalformed):
        replace(whole, new_device_id="dev_1").check()


def test_a_citizen_tells_nothing_that_departments_must_tell() -> None:
    assert {EventKind.DEATH, EventKind.MOVED_AWAY} == set(EventKind) - TOLD_BY_HOLDER


def test_the_graver_reason_stands() -> None:
    assert graver(None, Reason.LOST_PHONE) is Reason.LOST_PHONE
    for held, new in product(RELEASED_BY, repeat=2):
        stands = graver(held, new)
        assert RELEASED_BY[stands].value == max(RELEASED_BY[held].value, RELEASED_BY[new].value)
    assert RELEASED_BY[Reason.COUNTERS_CONFLICT] is Release.NOBODY


def test_a_pending_card_never_comes_to_life_but_by_confirmation() -> None:
    ways = {
        event
        for (state, event), after in FLOW.items()
        if state is TokenState.PENDING and after is not TokenState.DELETED
    }
    assert ways == {TokenEvent.CONFIRM}


def test_whoever_loses_a_card_hears_of_it_but_for_death() -> None:
    silent = {Reason.HOLDER_REPORTED_LOSS, Reason.DEATH}
    assert set(RELEASED_BY) - silent <= set(WHAT)
    assert Reason.DEATH not in WHAT


# --- taps -----------------------------------------------------------------------------------------


def mark(atc: int, *, seen_in: float = 0, late: float = 0, cryptogram: int = 1) -> TapMark:
    """A tap seen `seen_in` seconds from now, made `late` seconds before that."""
    seen_at = NOW + timedelta(seconds=seen_in)
    return TapMark(atc, 1, bytes([cryptogram] * 8), seen_at - timedelta(seconds=late), seen_at)


@pytest.mark.parametrize(
    ("tap", "earlier", "watched", "sign"),
    [
        (mark(1), None, Watched(), None),
        (mark(1), mark(1, seen_in=-9), Watched(1), None),
        (mark(1, cryptogram=2), mark(1), Watched(1), Sign.SAME_COUNTER),
        (replace(mark(1), key_index=2), mark(1), Watched(1), Sign.SAME_COUNTER),
        (mark(100, late=9_999), None, Watched(300), None),
        (mark(99, late=9_999), None, Watched(300), None),
        (mark(99), None, Watched(300), Sign.FAR_BEHIND),
        (mark(100), None, Watched(300), None),
        (mark(900), None, Watched(300, 300, NOW - DAY), None),
        (mark(5, seen_in=61), None, Watched(9, 9, NOW), Sign.OVERLAP),
        (mark(5, seen_in=60), None, Watched(9, 9, NOW), None),
        (mark(5, seen_in=61, late=121), None, Watched(9, 9, NOW), None),
        (mark(5, seen_in=61), None, Watched(9), None),
        (replace(mark(5, seen_in=61), tapped_at=None), None, Watched(9, 9, NOW), None),
    ],
    ids=[str(one) for one in range(1, 15)],
)
def test_signs_of_a_second_device(
    tap: TapMark, earlier: TapMark | None, watched: Watched, sign: Sign | None
) -> None:
    assert find_sign(tap, earlier, watched) is sign


def test_only_live_taps_move_the_live_mark() -> None:
    watched = Watched().with_tap(mark(3)).with_tap(mark(9, late=600)).with_tap(mark(2, seen_in=5))
    assert watched == Watched(9, 3, NOW)


# --- logs -----------------------------------------------------------------------------------------


def line(atc: int, cryptogram: int | None = 1) -> LoggedTap:
    return LoggedTap(atc, 1, None if cryptogram is None else bytes([cryptogram] * 8))


def old(atc: int) -> TapMark:
    return mark(atc, seen_in=-3600)


LINES = tuple(line(atc) for atc in range(11, 15))


@pytest.mark.parametrize(
    ("atc", "log", "arrived", "findings"),
    [
        (14, LINES, [old(atc) for atc in range(11, 15)], ()),
        (14, LINES, [], ()),
        (14, LINES, None, ()),
        (14, None, [old(11)], ()),
        (14, (line(9), line(10), *LINES), [], ()),  # an answer that was lost: told again
        (14, (line(11, None), *LINES[1:]), [old(11)], ()),
        (14, LINES, [mark(15, seen_in=-60)], ()),  # tapped while the request was on its way
        (9, LINES, [], (Finding.SET_BACK,)),
        (14, LINES, [old(15)], (Finding.AHEAD,)),
        (14, None, [old(15)], (Finding.AHEAD,)),
        (14, (line(11, 2), *LINES[1:]), [old(11)], (Finding.OTHER_CONTENT,)),
        (14, LINES[1:], [old(11)], (Finding.NOT_LOGGED,)),
        (17, LINES, [], ()),
        (18, LINES, [], (Finding.GAPS,)),
        (14, (*LINES, line(14)), [], (Finding.MALFORMED,)),
        (13, LINES, [], (Finding.MALFORMED,)),
        (10 + UNARRIVED_MAX, tuple(map(line, range(11, 11 + UNARRIVED_MAX))), [], ()),
        (
            11 + UNARRIVED_MAX,
            tuple(map(line, range(11, 12 + UNARRIVED_MAX))),
            [],
            (Finding.UNARRIVED,),
        ),
        (11 + UNARRIVED_MAX, tuple(map(line, range(11, 12 + UNARRIVED_MAX))), None, ()),
    ],
)
def test_logs_against_what_arrived(
    atc: int,
    log: tuple[LoggedTap, ...] | None,
    arrived: list[TapMark] | None,
    findings: tuple[Finding, ...],
) -> None:
    assert check_log(10, atc, log, arrived, NOW) == findings


def test_every_finding_has_an_answer_and_the_gravest_counts() -> None:
    assert set(LOG_RULES) == set(Finding)
    assert answer_to([]) is Answer.ALLOW
    assert answer_to([Finding.GAPS]) is Answer.STEP_UP
    assert answer_to([Finding.GAPS, Finding.OTHER_CONTENT]) is Answer.SUSPEND


# --- one-time codes and attestation ---------------------------------------------------------------


def test_codes_are_asked_for_once_a_minute_and_five_times_an_hour() -> None:
    assert find_next_at([]) is None
    assert find_next_at([NOW]) == NOW + timedelta(seconds=60)
    five = [NOW + timedelta(minutes=one) for one in range(5)]
    assert find_next_at(five) == NOW + timedelta(hours=1)


VENDOR = SandboxVendor(ec.generate_private_key(ec.SECP256R1()))
ATTESTER = SandboxAttester(VENDOR.key.public_key())
POINT, NONCE = b"\x02" + bytes(32), b"n" * 56


@pytest.mark.parametrize(
    ("protection", "level"),
    [("software", Attested.SOFTWARE), ("trusted_environment", Attested.HARDWARE),
     ("strongbox", Attested.HARDWARE)],
)  # fmt: skip
def test_a_statement_says_how_keys_are_protected(protection: str, level: Attested) -> None:
    said = VENDOR.attest(POINT, NONCE, NOW, model="P9", key_protection=protection)
    assert ATTESTER.verify(said, POINT, NONCE, NOW) == DeviceFacts(
        level, OsIntegrity.VERIFIED, "P9"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"point": b"\x03" + bytes(32)}, "other_key"),
        ({"nonce": b"m" * 56}, "other_nonce"),
        ({"now": NOW + timedelta(seconds=301)}, "stale"),
        ({"now": NOW - timedelta(seconds=301)}, "stale"),
        ({"model": "sandbox-revoked"}, "key_revoked"),
        ({"model": "sandbox-unknown-root"}, "root_unknown"),
        ({"model": ""}, "malformed"),
        ({"model": "x" * 61}, "malformed"),
        ({"key_protection": "paper"}, "malformed"),
        ({"os_integrity": "sure"}, "malformed"),
        ({"vendor": SandboxVendor(ec.generate_private_key(ec.SECP256R1()))}, "not_genuine"),
    ],
    ids=str,
)
def test_statements_that_do_not_hold(changes: dict[str, Any], reason: str) -> None:
    asked = {"point": POINT, "nonce": NONCE, "now": NOW, "vendor": VENDOR} | changes
    point, nonce, now, vendor = (asked.pop(one) for one in ("point", "nonce", "now", "vendor"))
    with pytest.raises(AttestationInvalid) as refused:
        ATTESTER.verify(vendor.attest(POINT, NONCE, NOW, **asked), point, nonce, now)
    assert refused.value.data == {"reason": reason}


def test_a_judge_that_is_not_reached_is_told_apart() -> None:
    said = VENDOR.attest(POINT, NONCE, NOW, model="sandbox-unreachable")
    with pytest.raises(AttestationUnavailable):
        ATTESTER.verify(said, POINT, NONCE, NOW)


@pytest.mark.parametrize("claims", [{}, {"model": 1}, {"nonce": "é", "key": "é"}], ids=str)
def test_signed_nonsense_is_malformed(claims: dict[str, Any]) -> None:
    said = jwt.encode(claims, VENDOR.key, algorithm="ES256").encode()
    for raw, reason in ((said, "malformed"), (b"\xff", "not_genuine"), (b"", "not_genuine")):
        with pytest.raises(AttestationInvalid) as refused:
            ATTESTER.verify(raw, POINT, NONCE, NOW)
        assert refused.value.data == {"reason": reason}
