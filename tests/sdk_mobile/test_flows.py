"""Every flow of a citizen against the fake backend, on a network that behaves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from card_protocol import emvco, key_batch, pay_code
from sdk_mobile import (
    AnswerMalformed,
    CodeUnreadable,
    KeysUnreadable,
    MemoryStorage,
    NotReady,
    Offline,
    Refused,
    SignedOut,
)
from tests.sdk_mobile.fake_backend import BANK_CARD, CODE, LATE_FEN, PHONE, Refusal, Reply, Seen

SHOP = emvco.MerchantAccount(emvco.MERCHANT_GUID, "shp_1", None, bytes(8))
STATIC_CODE = emvco.MerchantCode(
    merchant_account=SHOP,
    is_dynamic=False,
    mcc="5411",
    merchant_name="EAST SHOP",
    merchant_name_zh="城东超市",
    city="CITY",
).encode()
NOWHERE = "http://127.0.0.1:9"


def test_log_in_registers_this_phone_and_tells_whether_the_person_is_known(wallet, backend):
    sent = wallet.request_login_code(PHONE)
    assert sent.challenge_id in backend.challenges
    assert wallet.log_in(PHONE, CODE) is False
    person = wallet.register("张三", "110101199003070000")
    assert person.registered
    assert person.name_masked == "*三"
    assert wallet.person() == person


def test_a_wrong_code_is_refused_and_the_next_try_is_a_new_request(wallet):
    wallet.request_login_code(PHONE)
    with pytest.raises(Refused) as refused:
        wallet.log_in(PHONE, "000000")
    assert refused.value.code == "code_wrong"
    assert wallet.open_operations() == ()
    assert wallet.log_in(PHONE, CODE) is False


def test_log_in_without_a_code_asked_for_is_not_sent(wallet, backend):
    with pytest.raises(NotReady) as missing:
        wallet.log_in(PHONE, CODE)
    assert missing.value.code == "no_login_code"
    assert backend.seen == []


def test_one_state_belongs_to_one_phone_number(logged_in):
    with pytest.raises(NotReady) as other:
        logged_in.request_login_code("13900000002")
    assert other.value.code == "other_person"


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (lambda w: w.top_up(100, BANK_CARD), "no_wallet"),
        (lambda w: w.provision_card(), "no_wallet"),
        (lambda w: w.balance(), "no_wallet"),
        (lambda w: w.history(), "no_wallet"),
        (lambda w: w.pay_merchant_code(STATIC_CODE, 1), "no_wallet"),
        (lambda w: w.pay_code(), "no_card"),
        (lambda w: w.card(), "no_card"),
        (lambda w: w.report_loss(), "no_card"),
        (lambda w: w.refill_keys_if_needed(), "no_card"),
    ],
)
def test_a_step_too_early_names_what_is_missing(logged_in, step, code):
    with pytest.raises(NotReady) as missing:
        step(logged_in)
    assert missing.value.code == code


def test_without_a_session_one_is_signed_out(wallet, backend):
    with pytest.raises(SignedOut):
        wallet.open_wallet()
    assert backend.seen == []


def test_set_up_is_done_once_however_often_asked(ready, backend):
    before = len(backend.seen)
    assert ready.open_wallet() == ready.open_wallet()
    assert ready.enrol_device("again") == ready.enrol_device("again")
    assert ready.provision_card() == ready.phone_card()
    assert len(backend.seen) == before
    assert all(times == 1 for times in backend.done.values())


def test_a_second_phone_takes_up_the_wallet_the_person_has(ready, make_wallet, backend):
    second = make_wallet(MemoryStorage())
    second.request_login_code(PHONE)
    second.log_in(PHONE, CODE)
    assert second.open_wallet().wallet_id == ready.open_wallet().wallet_id
    assert len(backend.wallets) == 1


def test_top_up_arrives_in_balance_and_history(ready):
    top_up = ready.top_up(500, BANK_CARD)
    assert (top_up.state, top_up.amount_fen) == ("succeeded", 500)
    balance = ready.balance()
    assert (balance.balance_fen, balance.is_fresh) == (20_500, True)
    assert [line.amount_fen for line in ready.history().lines] == [500, 20_000]


def test_a_late_top_up_is_asked_for_when_the_backend_says(ready, clock, backend):
    top_up = ready.top_up(LATE_FEN, BANK_CARD)
    assert top_up.state == "processing"
    assert ready.unsettled_top_ups() == (top_up,)
    clock.slept.clear()
    assert ready.wait_for_top_up(top_up.topup_id, 60).state == "succeeded"
    assert clock.slept == [pytest.approx(3.0, abs=1.0)]
    assert ready.unsettled_top_ups() == ()
    assert backend.balance_fen == 20_000 + LATE_FEN


def test_waiting_for_a_top_up_ends(ready, clock, backend):
    top_up = ready.top_up(LATE_FEN, BANK_CARD)
    backend.asked[top_up.topup_id] = -1_000
    started = clock.seconds
    assert ready.wait_for_top_up(top_up.topup_id, 10).state == "processing"
    assert clock.seconds - started == pytest.approx(10, abs=1)


def test_waiting_counts_the_time_of_requests_that_fail(ready, clock, monkeypatch):
    """Goal: a dead network, where each request takes its 20 s to fail, does not triple the wait."""
    top_up = ready.top_up(LATE_FEN, BANK_CARD)
    asked = []

    def hang(topup_id):
        asked.append(topup_id)
        clock.seconds += 20
        raise Offline("no answer")

    monkeypatch.setattr(ready, "top_up_status", hang)
    with pytest.raises(Offline):
        ready.wait_for_top_up(top_up.topup_id, 30)
    assert len(asked) <= 3


def test_a_refused_top_up_carries_code_data_and_article(ready):
    with pytest.raises(Refused) as refused:
        ready.top_up(600_000, BANK_CARD)
    assert (refused.value.code, refused.value.status) == ("ceiling", 402)
    assert refused.value.data == {"ceiling_fen": 500_000}
    assert refused.value.article == "条 1"
    assert refused.value.detail == "detail of ceiling"
    assert ready.open_operations() == ()


@pytest.mark.parametrize("amount", [0, -1, True, 1.5, "100"])
def test_amounts_are_whole_fen_above_zero(ready, amount, backend):
    before = len(backend.seen)
    with pytest.raises(ValueError, match="whole number of fen"):
        ready.top_up(amount, BANK_CARD)
    with pytest.raises(ValueError, match="whole number of fen"):
        ready.pay_merchant_code(STATIC_CODE, amount)
    assert len(backend.seen) == before


def test_a_merchant_code_is_read_and_paid(ready, backend):
    view = ready.read_merchant_code(STATIC_CODE)
    assert (view.merchant_name, view.shop_id, view.is_checked) == ("城东超市", "shp_1", True)
    payment = ready.pay_merchant_code(STATIC_CODE, 1_250)
    assert (payment.state, payment.balance_fen) == ("captured", 18_750)
    assert ready.payment(payment.payment_id) == payment
    assert ready.balance().balance_fen == 18_750
    sent = next(one for one in backend.seen if one.path == "/v1/me/payments")
    assert json.loads(sent.body)["merchant_code"] == STATIC_CODE


def test_too_little_money_is_refused_with_the_figures(ready):
    with pytest.raises(Refused) as refused:
        ready.pay_merchant_code(STATIC_CODE, 20_001)
    assert refused.value.code == "insufficient_funds"
    assert refused.value.retryable
    assert refused.value.data == {"balance_fen": 20_000, "short_by_fen": 1}


@pytest.mark.parametrize("content", ["", "000201", "hello", STATIC_CODE[:-1] + "0", "9" * 19])
def test_what_is_no_merchant_code_is_not_sent(ready, backend, content):
    before = len(backend.seen)
    for call in (ready.read_merchant_code, lambda code: ready.pay_merchant_code(code, 1)):
        with pytest.raises(CodeUnreadable) as unreadable:
            call(content)
        assert unreadable.value.code.startswith("merchant_code_")
    assert len(backend.seen) == before


def test_loss_report_stops_codes_and_taps_until_release(ready):
    assert ready.report_loss().state == "suspended"
    for call in (ready.pay_code, ready.card):
        with pytest.raises(NotReady) as stopped:
            call()
        assert stopped.value.code == "card_suspended"
    assert ready.release().state == "active"
    assert len(ready.pay_code().digits) == 19


def test_a_card_released_elsewhere_is_learnt_by_asking(ready, backend):
    ready.report_loss()
    backend.cards[ready.phone_card().token_id]["state"] = "active"
    assert ready.refresh_card().state == "active"
    assert ready.phone_card().state == "active"


def test_history_is_fetched_page_by_page_and_then_only_what_is_new(ready, backend):
    for number in range(130):
        backend.post("payment", -1, f"pay_{number}")
    first = ready.history()
    assert len(first.lines) == 131
    assert first.lines[0].reference == "pay_129"
    backend.post("refund", 1, "ref_1")
    before = len(backend.seen)
    again = ready.history()
    assert len(backend.seen) == before + 1
    assert again.lines[1:] == first.lines
    assert again.lines[0].code == "refund"


def test_history_is_bounded(ready, backend):
    for number in range(700):
        backend.post("payment", -1, f"pay_{number}")
    assert len(ready.history().lines) == 500


def test_offline_the_remembered_figures_say_from_when_they_are(ready, make_wallet, storage, clock):
    online, lines = ready.balance(), ready.history()
    clock.seconds += 3_600
    away = make_wallet(storage, NOWHERE)
    balance = away.balance()
    assert (balance.balance_fen, balance.as_of) == (online.balance_fen, online.as_of)
    assert not balance.is_fresh
    assert away.history().lines == lines.lines
    assert not away.history().is_fresh
    assert away.person().registered
    view = away.read_merchant_code(STATIC_CODE)
    assert (view.merchant_name, view.is_checked) == ("城东超市", False)


def test_offline_nothing_is_begun_and_nothing_stays_open(ready, make_wallet, storage):
    away = make_wallet(storage, NOWHERE)
    with pytest.raises(Offline):
        away.top_up(100, BANK_CARD)
    with pytest.raises(Offline):
        away.pay_merchant_code(STATIC_CODE, 100)
    assert away.open_operations() == ()


# The card's keys and codes


def test_sealed_keys_are_opened_and_make_the_code_the_backend_expects(
    ready, backend, make_wallet, storage, clock
):
    away = make_wallet(storage, NOWHERE)
    shown = away.pay_code()
    card = ready.phone_card()
    batch = backend.batches[card.token_id][0]
    step = pay_code.step_at(int(clock.backend()))
    decoded = pay_code.decode(shown.digits)
    assert decoded.short_number == card.short_number
    assert decoded.one_time == pay_code.one_time_digits(batch.pay_code_key, step)
    assert shown.valid_until.timestamp() == (step + 1) * 30
    clock.seconds += 30
    assert away.pay_code().digits != shown.digits


def test_keys_sealed_to_another_phone_are_not_taken(logged_in, backend):
    backend.seal_foreign = True
    logged_in.open_wallet()
    logged_in.enrol_device("my phone")
    with pytest.raises(KeysUnreadable):
        logged_in.provision_card()
    with pytest.raises(NotReady):
        logged_in.pay_code()


def test_keys_end_and_new_ones_are_fetched_below_a_third_of_their_time(ready, backend, clock):
    assert ready.refill_keys_if_needed() is False
    clock.seconds += backend.keys_seconds * 0.7
    assert ready.refill_keys_if_needed() is True
    batches = backend.batches[ready.phone_card().token_id]
    assert isinstance(batches[1], key_batch.KeyBatch)
    step = pay_code.step_at(int(clock.backend()))
    one_time = pay_code.decode(ready.pay_code().digits).one_time
    assert one_time == pay_code.one_time_digits(batches[1].pay_code_key, step)
    clock.seconds += backend.keys_seconds + 100
    with pytest.raises(NotReady) as ended:
        ready.pay_code()
    assert ended.value.code == "keys_expired"


def test_a_card_answered_without_keys_gets_them_by_refill(logged_in, backend):
    provision = backend._provision
    backend._provision = lambda body: {**provision(body), "keys": None}
    logged_in.open_wallet()
    logged_in.enrol_device("my phone")
    logged_in.provision_card()
    assert backend.done["refill"] == 1
    assert len(logged_in.pay_code().digits) == 19


# Sessions


def test_tokens_are_renewed_before_they_end(ready, backend, clock):
    clock.seconds += backend.access_seconds - 10
    ready.balance()
    assert backend.done["refresh"] == 1
    ready.balance()
    assert backend.done["refresh"] == 1


def test_a_token_refused_early_is_renewed_once(ready, backend):
    backend.access.clear()
    assert ready.balance().is_fresh
    assert backend.done["refresh"] == 1


def test_a_session_the_backend_ended_is_over_and_log_in_begins_another(ready, backend):
    backend.ended |= set(backend.access.values())
    with pytest.raises(SignedOut):
        ready.balance()
    with pytest.raises(SignedOut):
        ready.top_up(100, BANK_CARD)
    assert ready.open_operations() == ()
    ready.request_login_code(PHONE)
    ready.log_in(PHONE, CODE)
    assert ready.balance().balance_fen == 20_000


# Answers


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_the_language_is_asked_for(make_wallet, storage, backend, language):
    make_wallet(storage, language=language).request_login_code(PHONE)
    assert backend.seen[-1].headers["accept-language"] == language


def test_every_post_carries_an_idempotency_key_of_its_own(ready, backend):
    posts = [one for one in backend.seen if one.method == "POST"]
    keys = [one.headers["idempotency-key"] for one in posts]
    assert len(set(keys)) == len(keys) >= 6
    assert all(1 <= len(key) <= 64 for key in keys)


def test_an_answer_of_another_shape_is_a_bug_not_a_success(ready, backend):
    backend._top_ups = lambda seen, body, rest: (202, {"topup_id": 7})
    with pytest.raises(AnswerMalformed):
        ready.top_up(100, BANK_CARD)
    assert [one.kind for one in ready.open_operations()] == ["top_up"]


def test_an_answer_about_another_top_up_is_not_taken(ready, backend):
    honest = backend._top_ups

    def lie(seen: Seen, body: dict[str, Any], rest: list[str]) -> Reply:
        status, document = honest(seen, body, rest)
        return status, {**document, "topup_id": "top_other"}

    backend._top_ups = lie
    with pytest.raises(AnswerMalformed):
        ready.top_up(100, BANK_CARD)


def test_a_refusal_at_the_door_leaves_nothing_open(ready, backend):
    backend.refusals["/v1/me/payments"] = [Refusal(403, "wallet_frozen")]
    with pytest.raises(Refused) as refused:
        ready.pay_merchant_code(STATIC_CODE, 1)
    assert refused.value.code == "wallet_frozen"
    assert ready.open_operations() == ()


def test_plain_http_is_only_for_this_machine(make_wallet, storage):
    for url in ("http://city.example", "ftp://127.0.0.1", "city.example", "https://"):
        with pytest.raises(ValueError, match="not an https URL"):
            make_wallet(storage, url)
