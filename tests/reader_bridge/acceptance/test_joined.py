"""Both kinds of card at one terminal: online, offline, torn, refused; money moves once."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from card_protocol.deny_list import DenyKind
from card_protocol.terminal_profile import Means, WhenExpired
from hce.card import Card
from reader_bridge import Order, OrderKind, Outcome, ReaderFault, TerminalFault
from reader_bridge.faults import SamFault
from reader_bridge.forward import StepKind
from reader_bridge.journal import EntryState
from tests.hce.epurse_bench import purse
from tests.reader_bridge.acceptance.world import (
    MANY,
    OfflineBackend,
    PurseCard,
    bus_terms,
    open_stall,
)
from tests.reader_bridge.epurse.examples import Dying, dated
from tests.reader_bridge.sam.examples import memory_sam
from tests.reader_bridge.support import PAY_CODE, TOKEN_NUMBER

START = bytes.fromhex("20190718")
GPO = b"\x80\xa8"
PURSE_PROOF = {
    "kind",
    "purse_number",
    "issuer_id",
    "balance_after_fen",
    "purchase_counter",
    "transaction_type",
    "terminal_number",
    "terminal_serial",
    "transaction_time",
    "key_version",
    "suite",
    "tac",
    "records",
}
ROOMY = {"offline_sale_max_fen": 10_000_000, "offline_sum_max_fen": 10_000_000}


def listened(transmit):
    """The commands a card hears, and the card."""
    seen = []

    def listening(command: bytes) -> bytes:
        seen.append(command)
        return transmit(command)

    return seen, listening


@pytest.fixture
def phone(kit) -> Card:
    return kit.card(kit.certificate(**ROOMY))


def test_a_purse_pays_without_the_backend(stall, backend):
    plastic = PurseCard()
    stall.go_away()
    receipt = stall.tap(plastic.shown(), 1250, "R1")
    assert (receipt.outcome, receipt.is_green, receipt.is_paid) == (Outcome.ACCEPTED, True, False)
    assert (receipt.balance_fen, plastic.balance_fen) == (3_750, 3_750)
    assert receipt.application == "MOT_T_EP"
    assert receipt.reader_name == "counter"
    assert receipt.text("zh-CN").splitlines()[2:5] == [
        "脱机支付成功,待上送",
        "金额:12.50 元",
        "余额:37.50 元",
    ]
    assert "Card: 0310 **** **** **** 1381" in receipt.text("en")
    again = stall.tap(plastic.shown(), 1250, "R1")
    assert again.is_repeated
    assert (again.payment_id, plastic.balance_fen) == (receipt.payment_id, 3_750)
    with pytest.raises(TerminalFault, match="reference_used_differently"):
        stall.tap(plastic.shown(), 1251, "R1")
    stall.come_back()
    assert stall.terminal.forward().kind is StepKind.ROUND_ENDED
    assert list(backend.uploaded) == [receipt.payment_id]
    assert stall.terminal.ask_again("R1").outcome is Outcome.CAPTURED


@pytest.mark.parametrize("tear", ["before", "after"])
def test_a_torn_purse_is_finished_by_the_same_card(stall, tear):
    plastic = PurseCard()
    with pytest.raises(ReaderFault, match="debit_unknown"):
        stall.tap(plastic.shown(tear=tear), 300, "R1")
    told = stall.terminal.ask_again("R1")
    assert (told.outcome, told.is_green) == (Outcome.INTENDED, False)
    receipt = stall.tap(plastic.shown(), 300, "R1")
    assert receipt.outcome is Outcome.ACCEPTED
    assert (receipt.balance_fen, plastic.balance_fen) == (4_700, 4_700)
    assert [one.draft.amount_fen for one in stall.terminal.journal.to_upload(9)] == [300]
    assert stall.terminal.journal.torn() == ()


@pytest.mark.parametrize(
    ("tear", "outcome", "left_fen"),
    [("before", Outcome.DROPPED, 4_950), ("after", Outcome.ACCEPTED, 4_650)],
)
def test_another_sale_finishes_the_torn_one_and_goes_on(stall, tear, outcome, left_fen):
    plastic = PurseCard()
    with pytest.raises(ReaderFault, match="debit_unknown"):
        stall.tap(plastic.shown(tear=tear), 300, "R1")
    receipt = stall.tap(plastic.shown(), 50, "R2")
    assert receipt.outcome is Outcome.ACCEPTED
    (before,) = receipt.finished
    assert (before.register_reference, before.outcome) == ("R1", outcome)
    assert "R1" in receipt.text("en")
    assert plastic.balance_fen == left_fen
    waiting = [one.draft.amount_fen for one in stall.terminal.journal.to_upload(9)]
    assert waiting == ([300, 50] if tear == "after" else [50])


def test_a_torn_order_waits_for_its_card(stall, phone, kit):
    """Goal: neither a phone nor another purse pays an order that somebody may have paid."""
    plastic = PurseCard()
    other = PurseCard(dated(purse(), start=START, serial=bytes.fromhex("03105170070104799999")))
    with pytest.raises(ReaderFault):
        stall.tap(plastic.shown(tear="after"), 300, "R1")
    with pytest.raises(ReaderFault, match="debit_unknown"):
        stall.tap(phone.transmit, 300, "R1")
    with pytest.raises(ReaderFault, match="debit_unknown"):
        stall.tap(other.shown(), 300, "R1")
    assert other.balance_fen == 5_000
    assert stall.tap(plastic.shown(), 300, "R1").is_green
    assert stall.backend.charges() == []


def test_a_torn_sale_survives_a_restart(stall, backend, folder, test_time):
    plastic = PurseCard()
    sam = memory_sam()
    stall.terminal.close()
    first = open_stall(folder, backend, test_time, sam)
    with first.terminal, pytest.raises(ReaderFault):
        first.tap(plastic.shown(tear="after"), 300, "R1")
    second = open_stall(folder, backend, test_time, sam)
    with second.terminal:
        assert second.balance(plastic.shown()).finished[0].outcome is Outcome.ACCEPTED
    assert plastic.balance_fen == 4_700


def test_a_phone_with_both_is_charged_once(stall, kit):
    kit.card(kit.certificate(**ROOMY))
    both = PurseCard()
    seen, transmit = listened(both.shown(kit.applet()))
    receipt = stall.tap(transmit, 300)
    assert receipt.method == "purse"
    assert stall.backend.charges() == []
    assert not any(command.startswith(GPO) for command in seen)
    assert both.balance_fen == 4_700


def test_without_a_sam_the_phone_pays_with_its_other_application(
    stall, backend, folder, test_time, kit
):
    kit.card(kit.certificate(**ROOMY))
    both = PurseCard()
    stall.terminal._acceptance._has_sam = False
    receipt = stall.tap(both.shown(kit.applet()), 300)
    assert (receipt.outcome, receipt.method) == (Outcome.CAPTURED, "tap")
    assert both.balance_fen == 5_000


def test_a_shop_asks_first_and_decides_when_nobody_is_there(stall, backend, phone):
    assert stall.tap(phone.transmit, 700).outcome is Outcome.CAPTURED
    stall.go_away()
    receipt = stall.tap(phone.transmit, 300, "R9")
    assert receipt.outcome is Outcome.ACCEPTED
    assert receipt.balance_fen is None
    assert [name for name, _ in receipt.steps][-1] == "store"
    at_once = stall.tap(phone.transmit, 200)
    assert at_once.outcome is Outcome.ACCEPTED
    stall.come_back()
    assert stall.tap(phone.transmit, 100).outcome is Outcome.CAPTURED
    stall.terminal.forward()
    assert backend.charges() == [700, 100]
    assert [one["amount_fen"] for one in backend.uploaded.values()] == [300, 200]
    assert len(set(stall.charged_ids())) == 4
    assert stall.terminal.ask_again("R9").is_paid


def test_a_lost_answer_is_never_taken_offline(stall, backend, phone):
    """Goal: what may have been refused gets no green light from the terminal."""
    backend.script = ["lose_answer"] * 20
    receipt = stall.tap(phone.transmit, 300, "R1")
    assert receipt.outcome is Outcome.UNKNOWN
    assert stall.terminal.journal.to_upload(9) == ()
    backend.script = []
    assert stall.tap(phone.transmit, 300, "R1").is_paid
    assert backend.charges() == [300]


def test_offline_the_reason_is_the_cards(stall, kit):
    """The city's usual certificate allows nothing offline."""
    stall.go_away()
    receipt = stall.tap(kit.card().transmit, 300, "R1")
    assert receipt.outcome is Outcome.REFUSED
    assert receipt.refusal.code == "offline_not_allowed"
    assert "该卡须联网使用" in receipt.text("zh-CN")
    again = stall.terminal.ask_again("R1")
    assert (again.refusal.code, again.text("en")) == ("offline_not_allowed", again.text("en"))
    assert "This card can only be used online" in again.text("en")


def test_a_bus_does_not_wait(kit, folder, test_time):
    with OfflineBackend(kit, bus_terms()) as backend:
        bus = open_stall(folder, backend, test_time)
        with bus.terminal:
            phone = kit.card(kit.certificate(**ROOMY))
            first = bus.tap(phone.transmit, None)
            assert (first.outcome, first.amount_fen) == (Outcome.ACCEPTED, 200)
            assert bus.tap(PurseCard().shown(), None).balance_fen == 4_800
            assert backend.requests == []
            test_time.forward(6)  # the same card within five seconds is the same ride
            online_only = kit.card()
            asked = bus.tap(online_only.transmit, None)
            assert asked.outcome is Outcome.CAPTURED
            assert len(backend.requests) == 1
            bus.go_away()
            test_time.forward(6)
            assert bus.tap(kit.card().transmit, None).refusal.code == "offline_not_allowed"


def test_a_denied_card_is_not_even_asked_about_in_a_bus(kit, folder, test_time):
    with OfflineBackend(kit, bus_terms()) as backend:
        backend.issuer.log.append((int(TOKEN_NUMBER), True))
        bus = open_stall(folder, backend, test_time)
        with bus.terminal:
            phone = kit.card(kit.certificate(**ROOMY))
            receipt = bus.tap(phone.transmit, None)
            assert receipt.refusal.code == "card_denied"
            assert bus.terminal.journal.last_result(receipt.register_reference) is None
            denied = bus.terminal._knowledge.now.deny_list
            assert denied.is_denied(DenyKind.TOKEN, TOKEN_NUMBER)


def test_an_expired_profile_narrows(kit, folder, test_time):
    narrow = WhenExpired(accepts=frozenset({Means.EPURSE}), sale_max_fen=200, grace_seconds=86_400)
    with OfflineBackend(kit, replace(MANY, when_expired=narrow)) as backend:
        stall = open_stall(folder, backend, test_time)
        with stall.terminal:
            stall.go_away()
            test_time.forward(7_200)
            assert stall.tap(PurseCard().shown(), 201).refusal.code == "offline_sale_too_large"
            assert stall.tap(PurseCard().shown(), 200).is_green
            phone = kit.card(kit.certificate(**ROOMY))
            refused = stall.tap(phone.transmit, 100).refusal.code
            assert refused == "deny_list_too_old"
            test_time.forward(90_000)
            assert stall.tap(PurseCard().shown(), 200).refusal.code == "deny_list_too_old"
            assert stall.terminal.status().standing.level == 0


def test_the_sam_fails_after_the_debit(stall, backend, folder, test_time):
    """Goal: no green light, but the card's word goes up and the issuer decides."""
    stall.terminal.close()
    dying = Dying(memory_sam(), "finish_purchase", SamFault("sam_session_gone"))
    shop = open_stall(folder, backend, test_time, dying)
    plastic = PurseCard()
    with shop.terminal:
        receipt = shop.tap(plastic.shown(), 300, "R1")
        assert (receipt.outcome, receipt.is_green) == (Outcome.UNKNOWN, False)
        assert plastic.balance_fen == 4_700
        shop.terminal.forward()
        assert len(backend.uploaded) == 1
        assert shop.terminal.ask_again("R1").is_paid


def test_a_dead_sam_is_nobodys_card(stall, backend, folder, test_time):
    stall.terminal.close()
    dead = Dying(memory_sam(), "begin_purchase", SamFault("sam_locked"))
    shop = open_stall(folder, backend, test_time, dead)
    plastic = PurseCard()
    with shop.terminal:
        with pytest.raises(SamFault, match="sam_locked"):
            shop.tap(plastic.shown(), 300, "R1")
        assert shop.terminal.journal.last_result("R1") is None
    assert plastic.balance_fen == 5_000


def test_a_false_card_is_refused_and_its_sale_void(stall):
    plastic = PurseCard()
    honest = plastic.shown()

    def lying(command: bytes) -> bytes:
        answer = honest(command)
        return answer[:4] + bytes(4) + answer[8:] if command[:2] == b"\x80\x54" else answer

    receipt = stall.tap(lying, 300, "R1")
    assert receipt.refusal.code == "card_false_mac"
    assert stall.terminal.journal.torn() == ()
    assert stall.terminal.journal.to_upload(9) == ()


HOSTILE = {
    "nothing": lambda _: b"",
    "endless": lambda _: b"\x61\x00",
    "wrong length": lambda _: b"\x6c\x05",
    "noise": lambda command: bytes(200) + b"\x90\x00",
    "huge": lambda _: bytes(5_000),
    "yes to all": lambda _: b"\x90\x00",
    "unknown": lambda _: b"\x6a\x82",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_card_costs_one_refusal(stall, name, phone):
    receipt = stall.tap(HOSTILE[name], 300, "R1")
    assert receipt.outcome is Outcome.REFUSED
    assert stall.balance(HOSTILE[name]).outcome is Outcome.REFUSED
    assert stall.terminal.journal.last_result("R1") is None
    assert stall.tap(PurseCard().shown(), 300, "R1").is_green
    assert stall.tap(phone.transmit, 300).is_paid


def test_balances(stall, phone):
    plastic = PurseCard()
    stall.tap(plastic.shown(), 300)
    told = stall.balance(plastic.shown())
    assert (told.outcome, told.balance_fen) == (Outcome.TOLD, 4_700)
    assert [(one.amount_fen, one.kind) for one in told.log] == [(300, 6)]
    assert "-3.00 CNY" in told.text("en")
    seen, transmit = listened(phone.transmit)
    unknown = stall.balance(transmit)
    assert unknown.balance_fen is None
    assert "余额:未知" in unknown.text("zh-CN")
    assert not any(command.startswith(GPO) for command in seen)


def test_codes(stall, backend):
    def code(payload: bytes, amount_fen: int = 400, reference: str = "C1"):
        return stall.terminal.code(Order(OrderKind.SALE, reference, amount_fen), payload)

    assert code(PAY_CODE.encode() + b"\r\n").is_paid
    assert code(PAY_CODE.encode()).is_repeated
    assert code(b"134567890123456789", reference="C2").refusal.code == "pay_code_foreign"
    assert code(b"\xff\xfe", reference="C2").refusal.code == "pay_code_malformed"
    assert code(b"\x81" + bytes(150), reference="C2").refusal.code == "ride_code_not_accepted"
    asked = stall.terminal.code(Order(OrderKind.BALANCE, "B"), PAY_CODE.encode())
    assert asked.refusal.code == "balance_needs_card"
    stall.go_away()
    away = code(PAY_CODE.encode(), reference="C3")
    assert away.refusal.code == "backend_unreachable"
    assert backend.charges() == [400]


def test_a_full_disk_refuses_and_takes_nothing(stall, monkeypatch, phone):
    stall.go_away()
    reserve = type(stall.terminal.journal._database.reserve)
    monkeypatch.setattr(reserve, "hold", lambda _: False)
    plastic = PurseCard()
    assert stall.tap(plastic.shown(), 300).refusal.code == "journal_full"
    assert plastic.balance_fen == 5_000
    assert stall.tap(phone.transmit, 300).refusal.code == "journal_full"
    assert stall.terminal.journal.to_upload(9) == ()


def test_the_upload_is_what_the_contract_says(stall):
    stall.tap(PurseCard().shown(), 300, "R1")
    (entry,) = stall.terminal.journal.to_upload(9)
    body = json.loads(entry.body)
    assert entry.state is EntryState.ACCEPTED
    assert (body["mode"], body["profile_version"], body["terminal_counter"]) == ("shop", 4, 1)
    assert body["accepted_at"] == "2026-09-21T22:13:20+08:00"
    assert body["proof"]["transaction_time"] == "20260921221320"
    assert set(body["proof"]) == PURSE_PROOF
