"""The log of taps a phone tells when it asks for keys: true, bounded, and begun when it can be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sdk_mobile import FileStorage, OutcomeUnknown, Refused
from sdk_mobile.cards import COUNTER, LOG_LINES_MAX, TapLine
from sdk_mobile.shapes import b64u
from sdk_mobile.state import Kind
from tests.sdk_mobile.fake_backend import Refusal
from tests.sdk_mobile.test_flows import NOWHERE
from tests.sdk_mobile.test_taps import tap


@pytest.fixture
def storage(tmp_path):
    opened = FileStorage(tmp_path / "phone")
    yield opened
    opened.close()


def told(backend: Any) -> dict[str, Any]:
    """The body of the newest refill."""
    bodies = [one.body for one in backend.seen if one.path.endswith("/keys")]
    return dict(json.loads(bodies[-1]))


def test_each_tap_is_told_with_what_the_card_said(ready, backend):
    said = [tap(ready.card()) for _ in range(14)]
    assert ready.refill_keys_if_needed() is True
    assert told(backend) == {
        "atc": 14,
        "log": [
            {"atc": one.atc, "key_index": 1, "cryptogram": b64u(one.cryptogram)} for one in said
        ],
    }
    after = tap(ready.card())
    for _ in range(13):
        tap(ready.card())
    ready.refill_keys_if_needed()
    lines = told(backend)["log"]
    assert [one["atc"] for one in lines] == list(range(15, 29))
    assert lines[0] == {"atc": 15, "key_index": 2, "cryptogram": b64u(after.cryptogram)}


def test_the_log_outlives_the_app_but_for_the_last_word(ready, make_wallet, storage, backend):
    said = [tap(ready.card()) for _ in range(13)]
    ready.close()
    again = make_wallet(storage)
    tap(again.card())
    again.refill_keys_if_needed()
    lines = told(backend)["log"]
    assert [one["atc"] for one in lines] == list(range(1, 15))
    assert lines[11]["cryptogram"] == b64u(said[11].cryptogram)
    assert lines[12]["cryptogram"] is None  # the app ended before its next tap
    assert lines[13]["cryptogram"] is not None


def test_the_log_has_a_bound(ready):
    box, token_id = ready._box, ready.phone_card().token_id
    for atc in range(1, LOG_LINES_MAX + 6):
        box.advance(token_id, atc, 1)
    lines = box.log(token_id)
    assert (len(lines), lines[0], lines[-1].atc) == (LOG_LINES_MAX, TapLine(6, 1), 205)


def test_a_phone_that_kept_no_log_says_so_and_begins_one(ready, make_wallet, storage, backend):
    """Goal: an app that is brought up to date is not taken for a copy."""
    for _ in range(14):
        tap(ready.card())
    old = json.loads(storage.read(COUNTER))
    del old["log"]
    storage.write(COUNTER, json.dumps(old).encode())
    again = make_wallet(storage)
    again.refill_keys_if_needed()
    assert told(backend) == {"atc": 14, "log": None}
    for _ in range(14):
        tap(again.card())
    again.refill_keys_if_needed()
    assert [one["atc"] for one in told(backend)["log"]] == list(range(15, 29))


def test_a_refused_refill_keeps_its_lines(ready, backend):
    for _ in range(14):
        tap(ready.card())
    path = f"/v1/me/cards/{ready.phone_card().token_id}/keys"
    backend.refusals[path] = [Refusal(403, "step_up_required", step_up_id="stu_1", reasons=[])]
    with pytest.raises(Refused) as refused:
        ready.refill_keys_if_needed()
    assert refused.value.data["step_up_id"] == "stu_1"
    assert ready.refill_keys_if_needed() is True
    assert len(told(backend)["log"]) == 14


def test_a_refill_written_before_more_taps_is_made_anew(ready, make_wallet, storage, backend):
    for _ in range(14):
        tap(ready.card())
    ready.refresh_card()
    cut = make_wallet(storage, NOWHERE)
    with pytest.raises(OutcomeUnknown):
        _lose_answer(cut)
    tap(ready.card())
    assert ready.resume() == ()
    assert ready.refill_keys_if_needed() is True
    assert told(backend)["atc"] == 15


def _lose_answer(wallet: Any) -> None:
    """A refill that was written down, marked as sent, and never heard of."""
    make = wallet._commands.refill_keys
    wallet._document.change(lambda state: state.with_operation(make(state)))
    wallet._operations._mark_resumed(wallet._document.read().find_operation(Kind.REFILL_KEYS))
    wallet.refill_keys_if_needed()
