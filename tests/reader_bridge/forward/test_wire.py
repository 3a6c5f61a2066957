"""Shapes of an upload: what the backend can check with nothing but what it was sent."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from reader_bridge.backend_client import ATTEMPTS_MAX
from reader_bridge.faults import LANGUAGES
from reader_bridge.forward import SALES_MAX, OfflineSale, Uploader, sale_body
from reader_bridge.forward.wire import canonical, fitting, upload_of, verdicts_of
from reader_bridge.journal import GENESIS, EntryState, next_chain
from reader_bridge.receipt import Heading, Outcome, receipt_of_entry
from tests.reader_bridge.forward.support import AT, sell

SALE = OfflineSale("pay_1", 7, 250, AT, 3, "bus", {"kind": "tap", "gpo_response": "市"})


def test_the_form_of_a_sale():
    document = json.loads(sale_body(SALE))
    assert document == {
        "payment_id": "pay_1",
        "terminal_counter": 7,
        "amount_fen": 250,
        "accepted_at": "2026-09-21T22:13:20+08:00",
        "profile_version": 3,
        "mode": "bus",
        "proof": {"kind": "tap", "gpo_response": "市"},
    }
    assert datetime.fromisoformat(document["accepted_at"]).timestamp() == AT
    assert sale_body(SALE) == canonical(document), "one form, whoever writes it"


def test_a_proof_has_no_floats_that_are_no_numbers():
    with pytest.raises(ValueError, match="JSON"):
        canonical({"x": float("nan")})


def test_the_backend_can_follow_the_chain_from_what_it_was_sent(journal, desk, uploader):
    for number in range(250):
        sell(journal, number)
    while desk.uploads == [] or journal.to_upload(1):
        uploader.step()
    chain = GENESIS
    for document in desk.documents:
        assert document["incarnation"] == journal.incarnation()
        for sale in document["sales"]:
            told = sale.pop("chain")
            chain = next_chain(chain, canonical(sale))
            assert told == chain.hex()


def test_a_later_opening_is_told_with_the_sales_of_an_earlier_one(journal, desk, clock, path):
    sell(journal, 1)
    before = journal.incarnation()
    journal.close()
    with_other = type(journal)(path)
    Uploader(with_other, desk, clock).step()
    assert desk.documents[0]["incarnation"] == with_other.incarnation() != before
    with_other.close()


def test_only_what_was_accepted_can_be_uploaded(journal):
    sell(journal, 1)
    (entry,) = journal.to_upload(1)
    stored = type(entry)(entry.draft, 2, b"{}", EntryState.STORED, None, AT, ())
    with pytest.raises(ValueError, match="accepted"):
        upload_of("0" * 16, [entry, stored])


def test_one_request_is_never_empty(journal):
    for number in range(3):
        sell(journal, number, proof={"records": ["ab" * 9_000]})
    entries = journal.to_upload(SALES_MAX)
    assert len(fitting(entries)) == 3
    assert len(fitting(entries[:1])) == 1
    assert ATTEMPTS_MAX * len(upload_of("0" * 16, entries)) < 1 << 20


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"results": None},
        {"results": {"payment_id": "pay_0001", "state": "captured"}},
        {"results": [None, 7, "pay_0001", []]},
        {"results": [{"state": "captured"}]},
        {"results": [{"payment_id": ["pay_0001"], "state": "captured"}]},
        {"results": [{"payment_id": "pay_0001"}]},
        {"results": [{"payment_id": "pay_0001", "state": "processing"}]},
        {"results": [{"payment_id": "pay_0001", "state": ["captured"]}]},
        {"results": [{"payment_id": "pay_other", "state": "captured"}]},
    ],
)
def test_what_is_no_word_about_a_sale_is_no_verdict(journal, answer):
    sell(journal, 1)
    assert verdicts_of(answer, journal.to_upload(1)) == ()


def test_hostile_members_are_cut_and_typed(journal):
    sell(journal, 1)
    result = {
        "payment_id": "pay_0001",
        "state": "refused",
        "code": "x" * 5000,
        "detail": {"a": "y" * 5000},
        "balance_fen": True,
    }
    (verdict,) = verdicts_of({"results": [result]}, journal.to_upload(1))
    assert verdict.answer["code"] == "x" * 64
    assert len(verdict.answer["detail"]) == 500
    assert verdict.answer["data"] == {}


@pytest.mark.parametrize("state", ["captured", "refused"])
def test_a_receipt_can_be_made_of_every_verdict(journal, state):
    sell(journal, 1)
    result = {"payment_id": "pay_0001", "state": state, "balance_fen": 77}
    journal.conclude(verdicts_of({"results": [result]}, journal.to_upload(1)), AT)
    heading = Heading("老街面馆", "一号店", "00010001", "zh-CN")
    receipt = receipt_of_entry(heading, journal.last_result("R1"), is_repeated=True)
    assert receipt.outcome is Outcome(state)
    assert receipt.balance_fen == 77
    assert all(receipt.text(language) for language in LANGUAGES)
