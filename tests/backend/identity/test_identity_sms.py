"""One-time codes on their way: the outbox consumer and the SMS sandbox with its magic numbers."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta

import pytest
from sqlalchemy import select

from backend.db import METADATA, Event, Which
from backend.identity import LoginCodeSender, SandboxSms, SmsFailed
from backend.identity.sms_sandbox import MESSAGES_KEPT
from backend.identity.tables import login_challenge
from backend.kernel import Words
from backend.keys import KeyUnknown

REFUSED, FAILING, DOUBLE = "13800009001", "13800009002", "13800009003"


@pytest.fixture
def sandbox(tmp_path, clock):
    return SandboxSms(tmp_path / "book" / "sms.db", clock)


def events(city):
    outbox = METADATA[Which.IDENTITY].tables["outbox"]
    with city.units.read(Which.IDENTITY) as work:
        rows = work.execute(select(outbox).order_by(outbox.c.event_id)).all()
    return [Event(r.event_id, r.topic, r.payload, r.created_at, r.attempts) for r in rows]


def delivery(city):
    with city.units.read(Which.IDENTITY) as work:
        return work.execute(select(login_challenge.c.delivery)).scalars().all()


def texts(sandbox, phone):
    return [message.text for message in sandbox.messages(phone)]


# The sandbox


def test_a_message_is_delivered_once_whatever_how_often_sent(sandbox, clock):
    for _ in range(3):
        sandbox.send("otc_1", "13800000001", "the code")
    sandbox.send("otc_2", "13800000001", "two")
    sandbox.send("otc_3", "13800000002", "other")
    newest, oldest = sandbox.messages("13800000001")
    assert (newest.message_id, newest.text, newest.sent_at) == ("otc_2", "two", clock.now())
    assert (oldest.message_id, oldest.text, oldest.phone) == ("otc_1", "the code", "13800000001")
    assert "the code" not in repr(oldest)
    assert sandbox.messages("13800000009") == []


def test_messages_are_paged(sandbox):
    for number in range(5):
        sandbox.send(f"otc_{number}", "13800000001", str(number))
    page = sandbox.messages("13800000001", limit=2)
    assert [one.text for one in page] == ["4", "3"]
    rest = sandbox.messages("13800000001", limit=9, before=page[-1].sequence)
    assert [one.text for one in rest] == ["2", "1", "0"]


def test_9001_refuses_for_ever(sandbox):
    for _ in range(4):
        with pytest.raises(SmsFailed) as failure:
            sandbox.send("otc_1", REFUSED, "never")
        assert failure.value.retryable is False
    assert sandbox.messages(REFUSED) == []


def test_9002_fails_twice_then_delivers(sandbox):
    for message_id in ("otc_1", "otc_2"):
        for _ in range(2):
            with pytest.raises(SmsFailed) as failure:
                sandbox.send(message_id, FAILING, message_id)
            assert failure.value.retryable is True
        for _ in range(2):
            sandbox.send(message_id, FAILING, message_id)
    assert texts(sandbox, FAILING) == ["otc_2", "otc_1"]


def test_9003_delivers_twice(sandbox):
    for _ in range(2):
        sandbox.send("otc_1", DOUBLE, "twice")
    assert texts(sandbox, DOUBLE) == ["twice", "twice"]


def test_the_book_survives_a_restart_and_is_bounded(sandbox, clock):
    sandbox.send("otc_0", "13800000001", "first")
    with sqlite3.connect(sandbox.path) as book:
        book.execute("UPDATE sqlite_sequence SET seq = ?", (MESSAGES_KEPT,))
    book.close()
    again = SandboxSms(sandbox.path, clock)
    assert texts(again, "13800000001") == ["first"]
    again.send("otc_1", "13800000001", "last")
    assert texts(again, "13800000001") == ["last"]


# The consumer


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("zh", "【市民卡】登录验证码 {code}，5 分钟内有效。请勿告诉任何人。"),
        ("en", "[City Card] Your login code is {code}, valid for 5 minutes. Tell it to nobody."),
    ],
)
def test_a_code_is_sent_in_the_language_asked_for(city, language, expected):
    phone = city.phone()
    challenge_id, code = city.ask(phone, language)
    assert texts(city.sandbox, phone.number) == [expected.format(code=code)]
    assert delivery(city) == ["sent"]
    assert city.logins.log_in(phone.log_in(challenge_id, code))


def test_the_brand_is_the_city_s(city, keys):
    sender = LoginCodeSender(city.units, keys, city.sandbox, Words(zh="云州通", en="Yunzhou"))
    city.logins.ask_code("13800000001")
    sender.deliver(events(city)[0])
    assert texts(city.sandbox, "13800000001")[0].startswith("【云州通】")


def test_an_event_heard_twice_sends_once(city):
    phone = city.phone()
    city.ask(phone)
    for _ in range(3):
        city.sender.deliver(events(city)[0])
    assert len(texts(city.sandbox, phone.number)) == 1


def test_a_crash_between_sending_and_noting_sends_once(city):
    """Goal: the message's id is the challenge's, so the repeat is the same message."""
    phone = city.phone()
    city.ask(phone)
    with city.units.write(Which.IDENTITY) as work:
        work.execute(login_challenge.update().values(delivery="waiting"))
    city.sender.deliver(events(city)[0])
    assert len(texts(city.sandbox, phone.number)) == 1
    assert delivery(city) == ["sent"]


def test_a_centre_that_fails_twice_is_asked_a_third_time(city):
    city.logins.ask_code(FAILING)
    for _ in range(8):
        city.worker.deliver_due()
        city.clock.advance(timedelta(seconds=2))
    assert len(texts(city.sandbox, FAILING)) == 1
    assert delivery(city) == ["sent"]


def test_a_refusal_for_ever_is_noted_and_not_repeated(city):
    city.logins.ask_code(REFUSED)
    city.worker.deliver_due()
    assert delivery(city) == ["failed"]
    assert city.worker.parked() == 0
    city.clock.advance(timedelta(minutes=10))
    assert city.worker.deliver_due() == 0


def test_a_message_that_comes_twice_is_one_code(city):
    phone = city.phone(DOUBLE)
    challenge_id, code = city.ask(phone)
    assert len(texts(city.sandbox, DOUBLE)) == 2
    assert city.logins.log_in(phone.log_in(challenge_id, code))


def test_an_expired_code_is_not_sent_any_more(city):
    city.logins.ask_code("13800000001")
    city.clock.advance(timedelta(seconds=300))
    city.worker.deliver_due()
    assert texts(city.sandbox, "13800000001") == []
    assert delivery(city) == ["waiting"]


def test_an_event_of_a_forgotten_challenge_is_passed_over(city):
    city.logins.ask_code("13800000001")
    with city.units.write(Which.IDENTITY) as work:
        work.execute(login_challenge.delete())
    city.sender.deliver(events(city)[0])
    assert texts(city.sandbox, "13800000001") == []


def test_the_payload_shows_no_code_and_fits_its_challenge_only(city):
    phone = city.phone()
    _, code = city.ask(phone)
    first = events(city)[0]
    shown = {name: first.payload[name] for name in ("challenge_id", "code")}
    assert code not in json.dumps(shown)
    assert phone.number not in json.dumps(first.payload)
    city.clock.advance(timedelta(seconds=60))
    city.logins.ask_code(phone.number)
    second = next(one for one in events(city) if one.event_id != first.event_id)
    swapped = {**second.payload, "code": first.payload["code"]}
    with pytest.raises(KeyUnknown):
        city.sender.deliver(Event(second.event_id, second.topic, swapped, second.created_at, 0))
