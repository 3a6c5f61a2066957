"""Sales, lost answers, repeated references, refunds: what the cash register relies on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from card_protocol.mobile_card import GpoResponse
from reader_bridge import Outcome, ReaderFault, TerminalFault
from reader_bridge.journal import EntryKind
from reader_bridge.readers.loopback import LoopbackReader
from tests.reader_bridge.support import (
    NOW,
    PAY_CODE,
    TERMINAL_NUMBER,
    unb64,
)

ROOT = Path(__file__).resolve().parents[2]
PAY = "/v1/terminal/payments"


def test_a_tap_is_paid_and_told_on_paper(terminal, backend, reader):
    receipt = terminal.sell(1250, register_reference="R1", reader=reader)
    assert receipt.is_paid
    assert (receipt.amount_fen, receipt.balance_fen) == (1250, 18_750)
    assert receipt.application == "CITY CARD"
    assert receipt.receipt_number == f"{TERMINAL_NUMBER}-000001"
    assert [name for name, _ in receipt.steps] == [
        "select_directory",
        "select_application",
        "get_processing_options",
        "read_record",
        "card",
        "store",
        "backend",
    ]
    assert receipt.text("zh-CN").splitlines()[:5] == [
        "老街面馆",
        "一号店",
        "支付成功",
        "金额:12.50 元",
        "余额:187.50 元",
    ]
    assert "时间:2026-09-21 22:13:20" in receipt.text("zh-CN")
    english = receipt.text("en")
    assert "PAID" in english
    assert "Amount: 12.50 CNY" in english
    assert "Application: CITY CARD" in english
    assert backend.charges() == [1250]


def test_the_request_is_the_one_of_the_contract(terminal, backend, reader):
    terminal.sell(1250, register_reference="R1", reader=reader)
    (_, path, body, key) = backend.requests[-1]
    sent = json.loads(body)
    proof = sent.pop("proof")
    payment_id = sent.pop("payment_id")
    assert path == PAY
    assert key == payment_id
    assert payment_id.startswith("pay_")
    assert len(payment_id) == 4 + 26
    assert sent == {
        "terminal_counter": 1,
        "amount_fen": 1250,
        "capture": True,
        "register_reference": "R1",
    }
    assert set(proof) == {"kind", "pdol_data", "gpo_response"}
    pdol_data = unb64(proof["pdol_data"])
    # 2026-09-21 14:13:20 UTC on the terminal's wall, eight hours ahead
    assert pdol_data[8:14].hex() == "260921221320"
    assert GpoResponse.decode(unb64(proof["gpo_response"])).atc == 1
    assert "=" not in proof["pdol_data"] + proof["gpo_response"]


def test_a_pay_code_is_paid(terminal, backend):
    receipt = terminal.sell(800, register_reference="R1", pay_code=PAY_CODE + "\n")
    assert receipt.is_paid
    assert receipt.application is None
    assert json.loads(backend.requests[-1][2])["proof"] == {"kind": "pay_code", "content": PAY_CODE}


def test_a_refusal_tells_why_and_how_much_is_left_and_is_not_sent_again(terminal, backend, reader):
    receipt = terminal.sell(30_000, register_reference="R1", reader=reader)
    assert receipt.outcome is Outcome.REFUSED
    assert receipt.refusal.code == "insufficient_funds"
    assert receipt.refusal.data == {"balance_fen": 20_000, "short_by_fen": 10_000}
    assert receipt.refusal.retryable
    assert "原因:余额不足 [insufficient_funds]" in receipt.text()
    assert "Balance: 200.00 CNY" in receipt.text("en")
    assert backend.paths() == [PAY]
    again = terminal.sell(30_000, register_reference="R1", reader=reader)
    assert again.is_repeated
    assert again.refusal == receipt.refusal
    assert backend.paths() == [PAY]


def test_a_code_without_a_text_of_ours_keeps_the_backends_words(terminal, backend, reader):
    terminal.sell(100, register_reference="R1", reader=reader)
    receipt = terminal.refund("R1", 101, refund_reference="F1")
    assert receipt.refusal.code == "refund_too_large"
    assert "no: refund_too_large [refund_too_large]" in receipt.text("en")


def test_a_repeated_reference_gives_the_first_result_and_wants_no_card(terminal, backend, reader):
    first = terminal.sell(1250, register_reference="R1", reader=reader)
    again = terminal.sell(1250, register_reference="R1", reader=LoopbackReader())
    assert again.is_repeated
    assert (again.payment_id, again.balance_fen) == (first.payment_id, first.balance_fen)
    assert backend.charges() == [1250]
    with pytest.raises(TerminalFault, match="reference_used_differently"):
        terminal.sell(1251, register_reference="R1", reader=reader)


def test_turned_away_cards_leave_no_trace_and_the_reference_free(terminal, backend, reader, kit):
    hostile = LoopbackReader(lambda _: b"\x61\x00")
    receipt = terminal.sell(1250, register_reference="R1", reader=hostile)
    assert receipt.outcome is Outcome.REFUSED
    assert receipt.refusal.code == "card_answer_endless"
    foreign = terminal.sell(1250, register_reference="R1", pay_code="134567890123456789")
    assert foreign.refusal.code == "pay_code_foreign"
    assert "微信支付" in foreign.text()
    expired = kit.card(kit.certificate(not_before=1, not_after=NOW - 1))
    late = terminal.sell(1250, register_reference="R1", reader=LoopbackReader(expired.transmit))
    assert late.refusal.code == "certificate_expired"
    assert backend.paths() == []
    assert terminal.journal.pending() == ()
    assert terminal.sell(1250, register_reference="R1", reader=reader).is_paid


def test_no_card_and_a_torn_card_are_told_apart_from_a_refused_one(terminal, backend, kit):
    with pytest.raises(ReaderFault, match="no_card"):
        terminal.sell(1, register_reference="R1", reader=LoopbackReader())
    card, seen = kit.card(), []

    def torn(command: bytes) -> bytes:
        seen.append(command)
        if len(seen) == 4:
            raise ConnectionResetError
        return card.transmit(command)

    with pytest.raises(ReaderFault, match="card_removed"):
        terminal.sell(1, register_reference="R1", reader=LoopbackReader(torn))
    assert backend.paths() == []


def test_reversal_gives_everything_back_once(terminal, backend, reader):
    terminal.sell(1250, register_reference="R1", reader=reader)
    for _ in range(2):
        receipt = terminal.reverse("R1")
        assert receipt.outcome is Outcome.REVERSED
    assert backend.balance_fen == 20_000
    assert backend.paths().count(f"{PAY}/{receipt.payment_id}/reversal") == 1


def test_reversal_of_a_refused_sale_changes_nothing(terminal, backend, reader):
    terminal.sell(99_999, register_reference="R1", reader=reader)
    assert terminal.reverse("R1").outcome is Outcome.REFUSED
    assert backend.reversed_ids == set()


def test_refunds_repeat_their_answer_not_the_money(terminal, backend, reader):
    terminal.sell(1250, register_reference="R1", reader=reader)
    first = terminal.refund("R1", 250, refund_reference="F1", reason="碗破了")
    assert first.outcome is Outcome.POSTED
    assert first.refund_id.startswith("ref_")
    assert "退款成功" in first.text()
    again = terminal.refund("R1", 250, refund_reference="F1")
    assert again.is_repeated
    assert again.refund_id == first.refund_id
    assert backend.balance_fen == 20_000 - 1000
    with pytest.raises(TerminalFault, match="reference_used_differently"):
        terminal.refund("R1", 251, refund_reference="F1")


def test_what_is_not_paid_cannot_be_refunded(terminal, backend, reader):
    with pytest.raises(TerminalFault, match="sale_unknown"):
        terminal.refund("R1", 1, refund_reference="F1")
    terminal.sell(99_999, register_reference="R1", reader=reader)
    with pytest.raises(TerminalFault, match="sale_not_captured"):
        terminal.refund("R1", 1, refund_reference="F1")
    assert terminal.journal.find(EntryKind.REFUND, "F1") is None


def test_merchant_code_and_its_payment(terminal, backend):
    assert terminal.merchant_code(1250, "B1") == "000201B11250"
    assert terminal.merchant_code(1250, "B1") == "000201B11250"
    keys = {key for _, path, _, key in backend.requests if path == "/v1/terminal/codes"}
    assert keys == {"code_B1_1250"}
    assert terminal.paid("B1") is None
    backend.add_payment("pay_7", 1250, "merchant_code", bill_number="B1")
    receipt = terminal.paid("B1")
    assert receipt is not None
    assert receipt.is_paid
    assert (receipt.payment_id, receipt.amount_fen) == ("pay_7", 1250)
    backend.payments["pay_7"]["state"] = "reversed"
    assert terminal.paid("B1") is None


@pytest.mark.parametrize("amount", [0, -1, 2**31, True, 12.5, "1250"])
def test_amounts_that_are_none(terminal, backend, amount):
    with pytest.raises(TerminalFault, match="amount_malformed"):
        terminal.sell(amount, register_reference="R1", pay_code=PAY_CODE)
    assert backend.requests == []


@pytest.mark.parametrize("reference", ["", "x" * 65, "a b", "a\n", "\x1b[2J"])
def test_references_that_are_none(terminal, reference):
    with pytest.raises(TerminalFault, match="reference_malformed"):
        terminal.sell(1, register_reference=reference, pay_code=PAY_CODE)


@pytest.mark.parametrize("bill", ["", "B-1", "x" * 26, "账单"])
def test_bill_numbers_that_are_none(terminal, bill):
    with pytest.raises(TerminalFault, match="bill_number_malformed"):
        terminal.merchant_code(1, bill)


def test_a_sale_has_exactly_one_source(terminal, reader):
    with pytest.raises(ValueError, match="reader or with a pay code"):
        terminal.sell(1, register_reference="R1")
    with pytest.raises(ValueError, match="reader or with a pay code"):
        terminal.sell(1, register_reference="R1", reader=reader, pay_code=PAY_CODE)


def test_many_sales_of_one_card_keep_money_and_counters_right(terminal, backend, kit):
    card = LoopbackReader(kit.card().transmit)
    for number in range(1, 8):
        backend.script = ["lose_answer"] if number % 2 else []
        receipt = terminal.sell(100, register_reference=f"R{number}", reader=card)
        assert receipt.receipt_number.endswith(f"-{number:06d}")
    assert backend.charges() == [100] * 7
    assert kit.store.change(lambda state: state).atc == 7
