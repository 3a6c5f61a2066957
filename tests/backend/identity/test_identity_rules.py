"""Rules of identity as tables: phones, numbers, names, ages, limits, states."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from backend.identity.errors import (
    BaseRecordsDamaged,
    GuardianNeeded,
    IdNumberInvalid,
    NameInvalid,
    PhoneInvalid,
    RefreshInvalid,
    TransitionRefused,
)
from backend.identity.model import (
    AGE_RULES,
    IdNumber,
    check_age,
    check_phone,
    mask_id_number,
    mask_name,
    mask_phone,
    next_code_at,
    normal_name,
    read_base_records,
    seconds_up,
)
from backend.identity.refresh_tokens import first_token, parse_token
from backend.identity.states import (
    CHALLENGE_FLOW,
    PERSON_FLOW,
    SESSION_FLOW,
    ChallengeEvent,
    ChallengeState,
    PersonEvent,
    PersonState,
    SessionEvent,
    SessionState,
    advance,
)
from backend.identity.vault import Vault

TODAY = date(2026, 11, 23)
NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
FLOWS: list[tuple[Any, Any, Any]] = [
    (PERSON_FLOW, PersonState, PersonEvent),
    (CHALLENGE_FLOW, ChallengeState, ChallengeEvent),
    (SESSION_FLOW, SessionState, SessionEvent),
]
PAIRS = [
    (flow, state, event)
    for flow, states, events in FLOWS
    for state, event in product(states, events)
]


@pytest.mark.parametrize(("flow", "state", "event"), PAIRS)
def test_every_pair_is_decided(flow, state, event):
    if (state, event) in flow:
        assert advance(flow, state, event) is flow[state, event]
    else:
        with pytest.raises(TransitionRefused):
            advance(flow, state, event)


@pytest.mark.parametrize(
    "end", [(PersonState.REGISTERED), ChallengeState.USED, ChallengeState.LOCKED]
)
def test_ends_are_ends(end):
    assert not [pair for flow, _, _ in FLOWS for pair in flow if pair[0] is end]


@pytest.mark.parametrize("text", ["13800000001", "19912345678"])
def test_phones(text):
    assert check_phone(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "1380000000", "138000000011", "12800000001", "+8613800000001", "1380000000１",
     "1380000000a", "13800000001\n", "٠١٣٨٠٠٠٠٠٠١"],
)  # fmt: skip
def test_no_phones(text):
    with pytest.raises(PhoneInvalid):
        check_phone(text)


@pytest.mark.parametrize(
    ("typed", "birth"),
    [
        # The examples of GB 11643-1999; the second was born before 1900.
        ("11010519491231002X", date(1949, 12, 31)),
        ("440524188001010014", None),
        ("999901198804120243", date(1988, 4, 12)),
        (" 99990119991130208x ", date(1999, 11, 30)),
        ("９９９９０１１９８８０４１２０２４３", date(1988, 4, 12)),
        ("999901198804120244", None),  # check digit
        ("99990119880412024X", None),
        ("999901198804130243", None),  # one digit altered
        ("999901198802300247", None),  # no such day
        ("099901198804120243", None),
        ("99990119880412024", None),
        ("9999011988041202433", None),
        ("110105491231002", None),  # the 15 digits of before 1999
        ("", None),
    ],
)
def test_identity_numbers(typed, birth):
    if birth is None:
        with pytest.raises(IdNumberInvalid):
            IdNumber.parse(typed, TODAY)
    else:
        assert IdNumber.parse(typed, TODAY).birth == birth


def test_every_altered_digit_is_noticed():
    """Goal: MOD 11-2 finds every single wrong character (ISO 7064, 4.2)."""
    good = "999901198804120243"
    for place, other in product(range(18), "0123456789X"):
        altered = good[:place] + other + good[place + 1 :]
        if altered == good:
            continue
        with pytest.raises(IdNumberInvalid):
            IdNumber.parse(altered, TODAY)


def test_no_birth_in_the_future(make_id_number):
    tomorrow = make_id_number("20261124")
    with pytest.raises(IdNumberInvalid):
        IdNumber.parse(tomorrow, TODAY)
    assert IdNumber.parse(tomorrow, TODAY + timedelta(days=1)).age_years(date(2026, 11, 24)) == 0


@pytest.mark.parametrize(
    ("birth", "under_years"),
    [
        ("20261123", 14),
        ("20121124", 14),  # 14 tomorrow
        ("20121123", 16),  # 14 today
        ("20101124", 16),  # 16 tomorrow
        ("20101123", None),  # 16 today
        ("19880412", None),
    ],
)
def test_guardians(birth, under_years, make_id_number):
    number = IdNumber(make_id_number(birth))
    if under_years is None:
        check_age(number, TODAY)
        return
    with pytest.raises(GuardianNeeded) as refusal:
        check_age(number, TODAY)
    assert refusal.value.data == {"under_years": under_years}
    rule = {rule.under_years: rule for rule in AGE_RULES}[under_years]
    assert refusal.value.article == rule.article


def test_a_rule_holds_from_its_day(make_id_number):
    rules = AGE_RULES[:1]
    number = IdNumber(make_id_number("20150101"))
    check_age(number, date(2021, 10, 31), rules)
    with pytest.raises(GuardianNeeded, match="guardian_needed") as refusal:
        check_age(number, date(2021, 11, 1), rules)
    assert refusal.value.article == "个人信息保护法 第三十一条"


def test_born_on_29_february(make_id_number):
    number = IdNumber(make_id_number("20080229"))
    assert number.age_years(date(2026, 2, 28)) == 17
    assert number.age_years(date(2026, 3, 1)) == 18


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        ("张三", "张三"),
        (" 张 三 ", "张三"),
        ("阿依古丽•买买提", "阿依古丽·买买提"),
        ("阿依古丽.买买提", "阿依古丽·买买提"),
        ("阿依古丽・买买提", "阿依古丽·买买提"),
        ("John Smith", "JOHNSMITH"),
        ("", None),
        ("  ", None),
        ("张" * 65, None),
        ("张\x00三", None),
        ("张\ud800", None),
    ],
)
def test_names(typed, normal):
    if normal is None:
        with pytest.raises(NameInvalid):
            normal_name(typed)
    else:
        assert normal_name(typed) == normal


def test_masks():
    assert mask_phone("13800000001") == "138****0001"
    assert mask_name("张三") == "张*"
    assert mask_name("欧阳娜娜") == "欧***"
    assert mask_name("张") == "*"
    assert mask_id_number("110101199003071234") == "110***********1234"


@pytest.mark.parametrize(
    ("minutes_ago", "allowed_in_seconds"),
    [
        ([], None),
        ([0], 60),
        ([1], 0),
        ([50, 40, 30, 20], -19 * 60),
        ([50, 40, 30, 20, 10], 10 * 60),
        ([60, 40, 30, 20, 10], 0),
        ([59.5, 4, 3, 2, 0], 60),  # both limits: the later one
        ([70, 50, 40, 30, 20, 10], 10 * 60),
    ],
)
def test_when_the_next_code_may_be_asked_for(minutes_ago, allowed_in_seconds):
    asked = [NOON - timedelta(minutes=minutes) for minutes in minutes_ago]
    expected = None
    if allowed_in_seconds is not None:
        expected = NOON + timedelta(seconds=allowed_in_seconds)
    assert next_code_at(asked) == expected


@pytest.mark.parametrize(("milliseconds", "seconds"), [(0, 1), (1, 1), (1000, 1), (1001, 2)])
def test_seconds_are_rounded_up(milliseconds, seconds):
    assert seconds_up(timedelta(milliseconds=milliseconds)) == seconds


def test_base_records_are_read_from_rows():
    rows = [
        {"name": "林 晓岚", "id_number": "999901198804120243", "local_household": "yes"},
        {"name": "苏念安", "id_number": "99990119991130208x", "local_household": "no", "phone": ""},
    ]
    first, second = read_base_records(rows)
    assert (first.name, first.id_number.text, first.is_local) == (
        "林晓岚",
        rows[0]["id_number"],
        True,
    )
    assert (second.id_number.text, second.is_local) == ("99990119991130208X", False)
    assert "林" not in repr(first)
    assert "99990" not in repr(first)


@pytest.mark.parametrize(
    "change",
    [{"id_number": "999901198804120244"}, {"name": ""}, {"local_household": "perhaps"},
     {"id_number": None}],
)  # fmt: skip
def test_a_damaged_row_is_named_by_its_number_only(change):
    good = {"name": "林晓岚", "id_number": "999901198804120243", "local_household": "yes"}
    with pytest.raises(BaseRecordsDamaged, match="row 2 cannot be read") as damage:
        list(read_base_records([good, {**good, **change}]))
    assert "9999" not in str(damage.value)


def test_a_missing_column_is_a_damaged_row():
    with pytest.raises(BaseRecordsDamaged):
        list(read_base_records([{"name": "林晓岚"}]))


def test_refresh_tokens_are_ours_or_refused(keys):
    """Goal: no altered character of a token passes; the same rotation gives the same token."""
    vault = Vault(keys)
    token = first_token(vault, "ses_01h455vb4pex5vsknk084sn02q", "thumb")
    assert parse_token(vault, token.text) == token
    assert token.text not in repr(token)
    following = token.next(vault, "jti-1")
    assert following == token.next(vault, "jti-1")
    assert following.generation == 1
    assert len({token.text, following.text, token.next(vault, "jti-2").text}) == 3
    for place, mark in enumerate(token.text):
        other = "1" if mark != "1" else "2"
        with pytest.raises(RefreshInvalid):
            parse_token(vault, token.text[:place] + other + token.text[place + 1 :])
    for text in ("", "x", token.text[:-1], token.text + "A", token.text + "\n"):
        with pytest.raises(RefreshInvalid):
            parse_token(vault, text)


def test_a_first_token_is_bound_to_session_and_device_key(keys):
    vault = Vault(keys)
    one, other = "ses_01h455vb4pex5vsknk084sn02q", "ses_01h455vb4pex5vsknk084sn02r"
    texts = {first_token(vault, ses, key).text for ses in (one, other) for key in ("a", "b")}
    assert len(texts) == 4
