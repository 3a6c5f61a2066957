"""Sales taken offline: torn, accepted, proved not taken, counted, chained, uploaded, set aside."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from reader_bridge.faults import CardFault, TerminalFault
from reader_bridge.journal import (
    BODY_BYTES_MAX,
    GENESIS,
    Atc,
    Conclusion,
    EntryState,
    Journal,
    SetAside,
    TransitionRefused,
    Usage,
    Verdict,
    next_chain,
)
from reader_bridge.journal.journal import SWEEP_SPARE_SECONDS
from tests.reader_bridge.journal.support import AT, CARD, body_of, draft

PURSE = "purse:03105170070104791381"
NOTHING = Usage(0, 0, None, 0, 0, None)


def test_a_torn_sale_is_found_by_its_card_and_becomes_accepted(journal, path):
    intended, is_new = journal.intend(draft(1), PURSE, lambda counter: b"intent", AT)
    assert (is_new, intended.state, intended.terminal_counter) == (True, EntryState.INTENDED, 1)
    assert journal.find_open(CARD) is None
    with closing(Journal(path)) as after_restart:
        assert after_restart.find_open(PURSE) == intended
        assert after_restart.torn() == (intended,)
        accepted = after_restart.accept("pay_1", b"with the TAC", AT + 5)
    assert (accepted.body, accepted.accepted_at, accepted.stored_at) == (
        b"with the TAC",
        AT + 5,
        AT,
    )
    assert journal.find_open(PURSE) is None
    assert journal.to_upload(9) == (accepted,)
    assert journal.accept("pay_1", b"with the TAC", AT + 9) == accepted
    with pytest.raises(TransitionRefused):
        journal.accept("pay_1", b"with another TAC", AT + 9)


def test_a_second_command_never_leaves_for_the_same_reference_or_the_same_card(journal):
    first, _ = journal.intend(draft(1), PURSE, body_of, AT)
    again, is_new = journal.intend(draft(2, reference="R1"), PURSE, body_of, AT)
    assert (again, is_new) == (first, False)
    with pytest.raises(TerminalFault) as caught:
        journal.intend(draft(3), PURSE, body_of, AT)
    assert (caught.value.code, caught.value.data["reference"]) == ("sale_unfinished", "R1")
    assert journal.intend(draft(4), CARD, body_of, AT)[0].terminal_counter == 2


def test_what_was_not_taken_frees_its_card_and_its_reference_but_not_its_counter(journal):
    journal.intend(draft(1), PURSE, body_of, AT)
    dropped = journal.drop("pay_1", AT + 1)
    assert journal.drop("pay_1", AT + 2) == dropped
    assert journal.last_result("R1") is None
    assert journal.usage(PURSE, AT) == NOTHING
    repeated, is_new = journal.intend(draft(2, reference="R1"), PURSE, body_of, AT + 3)
    assert (is_new, repeated.terminal_counter) == (True, 2)
    journal.accept("pay_2", b"{}", AT + 4)
    assert journal.last_result("R1").draft.entry_id == "pay_2"


def test_accepting_is_one_transaction(journal):
    """One COMMIT is one sync with synchronous=FULL in WAL mode."""
    said = []
    journal._database._connection.set_trace_callback(said.append)
    journal.accept_new(draft(1), CARD, body_of, AT, atc=Atc(7, AT + 99))
    assert said.count("COMMIT") == said.count("BEGIN IMMEDIATE") == 1


def test_a_sale_without_an_answer_is_taken_offline_under_its_own_id(journal):
    stored, _ = journal.store(draft(1), body_of, AT, card_key=CARD, atc=Atc(7, AT + 99))
    accepted = journal.accept("pay_1", b"the same tap", AT + 3)
    assert accepted.terminal_counter == stored.terminal_counter
    assert journal.pending() == ()
    assert journal.usage(CARD, AT + 3) == Usage(1250, 1, AT + 3, 1250, 1, 7)


def test_a_sale_stored_without_its_card_stays_online(journal):
    journal.store(draft(1), body_of, AT)
    with pytest.raises(ValueError, match="key"):
        journal.accept("pay_1", b"{}", AT)
    assert journal.pending()[0].state is EntryState.STORED


@pytest.mark.parametrize("seen", [7, 8])
def test_a_tap_is_accepted_once(journal, seen):
    journal.accept_new(draft(1), CARD, body_of, AT, atc=Atc(8, AT + 99))
    with pytest.raises(CardFault) as caught:
        journal.accept_new(draft(2), CARD, body_of, AT, atc=Atc(seen, AT + 99))
    assert caught.value.code == "tap_seen"
    assert journal.usage(CARD, AT).count == 1
    entry, _ = journal.accept_new(draft(3), CARD, body_of, AT, atc=Atc(9, AT + 99))
    assert entry.terminal_counter == 2, "a refused tap takes no counter"


def test_an_online_tap_is_remembered_and_never_judged_here(journal):
    journal.store(draft(1), body_of, AT, card_key=CARD, atc=Atc(9, AT + 99))
    journal.store(draft(2), body_of, AT, card_key=CARD, atc=Atc(4, AT + 99))
    assert journal.usage(CARD, AT).last_atc == 9
    with pytest.raises(CardFault):
        journal.accept_new(draft(3), CARD, body_of, AT, atc=Atc(9, AT + 99))


def test_counters_of_cards_outlive_uploads_and_go_long_after_their_tokens(journal):
    for number in range(3):
        card = f"token:{number}"
        journal.accept_new(draft(number), card, body_of, AT, atc=Atc(5, AT + number))
    journal.conclude([Verdict("pay_0", EntryState.CAPTURED, {})], AT)
    assert journal.usage("token:0", AT).last_atc == 5
    assert journal.tidy(AT + SWEEP_SPARE_SECONDS) == 0
    assert journal.tidy(AT + SWEEP_SPARE_SECONDS + 2) == 2
    assert [journal.usage(f"token:{n}", AT).last_atc for n in range(3)] == [None, None, 5]


def test_usage_counts_what_is_not_uploaded(journal):
    assert journal.usage(CARD, AT) == NOTHING
    journal.accept_new(draft(1, amount_fen=100), CARD, body_of, AT, atc=Atc(1, AT))
    journal.accept_new(draft(2, amount_fen=20), PURSE, body_of, AT + 5)
    journal.accept_new(draft(3, amount_fen=3), CARD, body_of, AT + 9, atc=Atc(2, AT))
    assert journal.usage(CARD, AT + 20) == Usage(123, 3, AT, 103, 2, 2)
    assert journal.usage("token:other", AT + 20) == Usage(123, 3, AT, 0, 0, None)
    assert journal.usage(CARD, AT - 86_400).oldest_at == AT - 86_400, "the clock was set back"
    journal.conclude([Verdict("pay_1", EntryState.CAPTURED, {"balance_fen": 5})], AT)
    assert journal.usage(CARD, AT + 20) == Usage(23, 2, AT + 5, 3, 1, 2)
    journal.set_aside("pay_2", SetAside("proof_malformed", "no"))
    assert journal.usage(PURSE, AT + 20) == Usage(3, 1, AT + 9, 0, 0, None)
    assert journal.bring_back() == 1
    assert journal.usage(PURSE, AT + 20) == Usage(23, 2, AT + 5, 20, 1, None)


def test_the_first_word_of_the_backend_stays(journal):
    for number in (1, 2, 3):
        journal.accept_new(draft(number), CARD, body_of, AT)
    journal.store(draft(4), body_of, AT)
    words = [
        Verdict("pay_2", EntryState.CAPTURED, {"balance_fen": 7}),
        Verdict("pay_1", EntryState.REFUSED, {"code": "tac_invalid"}),
        Verdict("pay_2", EntryState.CAPTURED, {"balance_fen": 7}),
        Verdict("pay_2", EntryState.REFUSED, {"code": "late"}),
        Verdict("pay_unknown", EntryState.CAPTURED, {}),
        Verdict("pay_4", EntryState.CAPTURED, {}),
    ]
    assert journal.conclude(words, AT) == Conclusion(1, 1, ("pay_2",))
    assert journal.conclude(words[:3], AT) == Conclusion(0, 0, ())
    assert journal.last_result("R2").answer == {"balance_fen": 7}
    assert journal.last_result("R1").answer == {"code": "tac_invalid"}
    assert [entry.draft.entry_id for entry in journal.to_upload(9)] == ["pay_3"]
    assert journal.last_result("R4").state is EntryState.STORED, "online sales have another way"


def test_the_chain_can_be_followed_from_the_bodies_alone(journal, path):
    journal.intend(draft(1), PURSE, body_of, AT)
    journal.accept_new(draft(2), CARD, body_of, AT)
    journal.store(draft(3), body_of, AT)
    with closing(Journal(path)) as after_restart:
        after_restart.accept_new(draft(4), CARD, body_of, AT)
        after_restart.accept("pay_1", b"late", AT)
    uploads = journal.to_upload(9)
    assert [entry.draft.entry_id for entry in uploads] == ["pay_2", "pay_4", "pay_1"]
    assert [entry.terminal_counter for entry in uploads] == [2, 4, 1]
    assert [entry.link for entry in uploads] == [1, 2, 3]
    chain = GENESIS
    for entry in uploads:
        chain = next_chain(chain, entry.body)
        assert entry.chain == chain
    assert journal.to_upload(1) == uploads[:1]
    assert journal.to_upload(9, after_link=1) == uploads[1:]


def test_two_boxes_with_one_disk_are_told_apart(journal, path, tmp_path):
    """A cloned image: another incarnation, and the same counter with another chain."""
    journal.accept_new(draft(1), CARD, body_of, AT)
    journal.close()
    twin_path = tmp_path / "twin.sqlite"
    twin_path.write_bytes(path.read_bytes())
    with closing(Journal(path)) as one, closing(Journal(twin_path)) as other:
        assert one.incarnation() != other.incarnation()
        ours, _ = one.accept_new(draft(2), CARD, lambda counter: b"one", AT)
        theirs, _ = other.accept_new(draft(3), CARD, lambda counter: b"other", AT)
    assert ours.terminal_counter == theirs.terminal_counter
    assert ours.chain != theirs.chain


def test_each_opening_is_another_incarnation_and_their_number_is_bounded(path):
    seen = set()
    for number in range(70):
        with closing(Journal(path, lambda count, n=number: n.to_bytes(count, "big"))) as journal:
            seen.add(journal.incarnation())
    assert len(seen) == 70
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM opening").fetchone() == (64,)


def test_a_clock_that_runs_backwards_is_marked_and_loses_nothing(journal):
    times = [AT, AT + 86_400, AT + 5, AT + 6]
    entries = [
        journal.accept_new(draft(number), CARD, body_of, at)[0] for number, at in enumerate(times)
    ]
    assert [entry.clock_suspect for entry in entries] == [False, False, True, False]
    journal.intend(draft(9), PURSE, body_of, AT + 7)
    assert journal.accept("pay_9", b"{}", AT).clock_suspect
    assert [entry.accepted_at for entry in journal.to_upload(9)] == [*times, AT]


def test_a_ride_that_costs_nothing_now_is_kept_and_an_online_sale_costs_something(journal):
    journal.accept_new(draft(1, amount_fen=0), CARD, body_of, AT)
    assert journal.usage(CARD, AT).count == 1
    with pytest.raises(sqlite3.IntegrityError):
        journal.store(draft(2, amount_fen=0), body_of, AT)


@pytest.mark.parametrize("key", ["", "x" * 65])
def test_a_card_has_a_key(journal, key):
    with pytest.raises(ValueError, match="key"):
        journal.accept_new(draft(1), key, body_of, AT)


def test_a_body_is_bounded_and_one_too_long_changes_nothing(journal):
    with pytest.raises(ValueError, match="bytes"):
        journal.accept_new(draft(1), CARD, lambda counter: bytes(BODY_BYTES_MAX + 1), AT)
    assert journal.accept_new(draft(2), CARD, body_of, AT)[0].terminal_counter == 1


def test_what_is_aside_is_shown_and_no_longer_offered(journal):
    first, _ = journal.accept_new(draft(1), CARD, body_of, AT)
    journal.accept_new(draft(2), CARD, body_of, AT)
    reason = SetAside("proof_malformed", "证明无法读取")
    journal.set_aside("pay_1", reason)
    assert [entry.draft.entry_id for entry in journal.to_upload(9)] == ["pay_2"]
    assert journal.aside() == (replace(first, aside=reason),)
    journal.conclude([Verdict("pay_1", EntryState.CAPTURED, {})], AT)
    assert journal.aside() == ()


@pytest.mark.parametrize("seed", range(5))
def test_the_sums_are_the_sums_in_any_order(journal, seed):
    """Goal: maintained sums and a count over all entries never differ."""
    dice = random.Random(seed)
    cards = [f"token:{n}" for n in range(3)]
    open_sales: dict[str, tuple[str, int]] = {}
    aside: dict[str, tuple[str, int]] = {}
    for number in range(60):
        card, amount_fen = dice.choice(cards), dice.randrange(5000)
        journal.accept_new(draft(number, amount_fen=amount_fen), card, body_of, AT)
        open_sales[f"pay_{number}"] = card, amount_fen
        word, name = dice.random(), dice.choice(list(open_sales))
        if word < 0.3:
            state = dice.choice([EntryState.CAPTURED, EntryState.REFUSED])
            journal.conclude([Verdict(name, state, {})], AT)
            del open_sales[name]
        elif word < 0.5:
            journal.set_aside(name, SetAside("x", "y"))
            aside[name] = open_sales.pop(name)
        elif word < 0.6:
            assert journal.bring_back() == len(aside)
            open_sales |= aside
            aside.clear()
        seen = journal.usage(card, AT)
        of_card = [fen for key, fen in open_sales.values() if key == card]
        assert (seen.count, seen.sum_fen) == (
            len(open_sales),
            sum(fen for _, fen in open_sales.values()),
        )
        assert (seen.card_count, seen.card_sum_fen) == (len(of_card), sum(of_card))


def test_when_a_card_last_paid_here(journal):
    """Goal: only what may have been charged counts, of this card, and only so far back."""
    other = "token:8800123456789019999"
    assert journal.find_last_sale_at(CARD, 9) is None
    journal.accept_new(draft(1), CARD, body_of, AT)
    journal.accept_new(draft(2), other, body_of, AT + 5)
    assert journal.find_last_sale_at(CARD, 9) == AT
    journal.store(draft(3), body_of, AT + 7, card_key=CARD)
    assert journal.find_last_sale_at(CARD, 9) == AT + 7
    answer = {"code": "insufficient_funds", "detail": "", "retryable": False, "data": {}}
    journal.settle("pay_3", EntryState.REFUSED, answer, AT + 8)
    journal.intend(draft(4), CARD, body_of, AT + 9)
    assert journal.find_last_sale_at(CARD, 9) == AT
    journal.drop("pay_4", AT + 10)
    assert journal.find_last_sale_at(CARD, 4) == AT
    assert journal.find_last_sale_at(CARD, 3) is None
